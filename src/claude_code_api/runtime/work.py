"""What takes time on a conversation's process: turns are sent, answered, undone, taken back.

Runs in tasks. Whatever becomes of them comes back to the actor as an event, unless it is too late for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, Protocol

from claude_code_api.core import events as ev
from claude_code_api.core.events import StopReason
from claude_code_api.core.session import Session, State
from claude_code_api.core.turn import (
    AnswerStarted,
    Message,
    ServerFailed,
    StartKind,
    ThinkingSigned,
    ThinkingStarted,
    TurnCompleted,
    TurnEvent,
    TurnFailed,
    TurnStarted,
)
from claude_code_api.errors import ConversationDeleted, GatewayError, InvalidRequest
from claude_code_api.runtime.edits import Edit
from claude_code_api.runtime.host import Host, Turn
from claude_code_api.runtime.needs import content_of, needs
from claude_code_api.runtime.own_process import OwnProcess
from claude_code_api.runtime.pending import Pending
from claude_code_api.runtime.ports import Agent
from claude_code_api.runtime.record import Record
from claude_code_api.runtime.refusals import own_error, too_few
from claude_code_api.runtime.standing import Standing
from claude_code_api.runtime.unstored import TurnStore
from claude_code_api.runtime.watchdog import watch

_SILENT = AnswerStarted | ThinkingStarted | ThinkingSigned | ServerFailed
"""Of a turn, what nobody hears."""


class Owner(Protocol):
    """The actor whose work it is."""

    record: Record

    def post(self, event: ev.Event) -> None:
        """Take an event."""
        ...

    def cut(self, turn_id: str, error: GatewayError | None = None) -> None:
        """End a turn."""
        ...


class Work:
    """An actor's. Reads its session, and never changes where that is."""

    def __init__(
        self, owner: Owner, host: Host, store: TurnStore, session: Session, pending: Pending, process: OwnProcess
    ) -> None:
        self._owner = owner
        self._record = owner.record
        self._host = host
        self._store = store
        self._session = session
        self._pending = pending
        self._process = process

    def send(self, turn: Turn) -> None:
        """Send a turn to the live process, on whose context it can go on; answered with TurnFinished or TurnBroken."""
        agent, standing, epoch = self._process.agent, self._process.standing, self._session.epoch
        assert agent is not None
        assert standing is not None
        turn.needs = needs(self._record, turn.input)
        back = standing.way_back(turn.needs.context) or []
        turn.start = self._process.take_kind(StartKind.FORKED if back else StartKind.LIVE)
        turn.sent_at = asyncio.get_running_loop().time()
        if turn.start is StartKind.LIVE:
            self._host.stats.counts["reused"] += 1
            self._process.tell("session_reused", request_id=turn.mark.request_id)
        self._pending.put(turn, TurnStarted(turn.start))
        try:
            content = content_of(turn.input.new, standing.after(back))
        except InvalidRequest as error:
            self._emitted(turn, epoch, TurnFailed(error))
            return
        turn.input = replace(turn.input, new=Message("user", content))
        self._spawn_for(turn, epoch, self._run(turn, agent, standing, back, epoch), "turn")

    def undo(self, turn_id: str) -> None:
        """Take a turn back that ran; answered with TurnUndone or UndoFailed."""
        agent = self._process.agent
        assert agent is not None
        self._host.tasks.spawn(self._undo(agent, turn_id, self._session.epoch), f"undo-{turn_id}")

    def halt(self, turn: Turn) -> None:
        """End a turn where it stands, as soon as its process has it; once."""
        was_halted, turn.halted = turn.halted, True
        agent = self._process.agent
        if turn.is_given and not was_halted and agent is not None:
            self._host.tasks.spawn(self._halt(agent, turn), f"halt-{turn.id}")

    def go_back(self, turns: int) -> None:
        """Take back the last completed turns; answered with TurnUndone or UndoFailed, when `committing` is done."""
        going = self._go_back(turns, self._session.epoch)
        self._process.committing = self._host.tasks.spawn(going, f"rewind-{self._record.key}")

    def edit(self, edit: Edit) -> None:
        """Change what the history holds; answered with TurnUndone or UndoFailed, when `committing` is done."""
        editing = self._edit(edit, self._session.epoch)
        self._process.committing = self._host.tasks.spawn(editing, f"edit-{self._record.key}")

    def _spawn_for(self, turn: Turn, epoch: int, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Start what a turn needs done; if that fails, so does the turn."""

        def done(task: asyncio.Task[None]) -> None:
            if self._process.committing is task:
                self._process.committing = None
            if not task.cancelled() and (error := task.exception()) is not None:
                self._emitted(turn, epoch, TurnFailed(own_error(error)))

        task = self._host.tasks.spawn(work, f"{name}-{turn.id}")
        task.add_done_callback(done)
        return task

    async def _run(self, turn: Turn, agent: Agent, standing: Standing, back: list[str], epoch: int) -> None:
        """Record the turn, send it, and watch over it. `back` are turns to take back first."""
        if back and not await agent.rewind(back, standing.taken_back):
            if turn.id in self._pending and epoch == self._session.epoch:
                self._owner.post(ev.ProcessUnfit(epoch))
            return
        if turn.id not in self._pending or epoch != self._session.epoch:
            return
        assert turn.needs is not None
        needed = turn.needs = turn.needs.settled(standing.context)
        await self._store.begin(self._record.began(turn, needed, agent, epoch=epoch))
        self._record.is_placed = True
        if turn.id not in self._pending or epoch != self._session.epoch:
            return
        content = needed.sent(turn.input.new.content)
        if not self._session.parked:
            standing.sent(turn.id, content)
        agent.send(turn.id, content, turn.input.options, lambda event: self._emitted(turn, epoch, event))
        turn.is_given = True
        if turn.halted:
            self._host.tasks.spawn(self._halt(agent, turn), f"halt-{turn.id}")
        overdue = await watch(turn, agent, self._host.limits, lambda: turn.id in self._pending)
        if overdue is not None:
            self._owner.cut(turn.id, overdue)

    def _emitted(self, turn: Turn, epoch: int, event: TurnEvent) -> None:
        if epoch != self._session.epoch or self._session.current != turn.id or self._session.state is not State.BUSY:
            return
        if self._process.committing is not None:
            return  # the answer is complete: nothing that its process still says changes that
        now = asyncio.get_running_loop().time()
        if isinstance(event, TurnCompleted):
            self._process.committing = self._spawn_for(turn, epoch, self._commit(turn, epoch, event), "commit")
        elif isinstance(event, TurnFailed):
            self._host.stats.counts["failed"] += 1
            self._process.tell("turn_failed", request_id=turn.mark.request_id, code=event.error.code)
            self._pending.fail(turn, event.error)
            self._owner.post(ev.TurnBroken(epoch))
        else:
            turn.pause.note(event, now)
            turn.answering = turn.answering or not isinstance(event, ServerFailed)
            if turn.first_token_at is None and not isinstance(event, _SILENT):
                turn.first_token_at = now
                self._host.stats.first_token(turn.start, now - turn.requested_at)
            self._pending.put(turn, event)

    async def _commit(self, turn: Turn, epoch: int, event: TurnCompleted) -> None:
        """Store the answer, and only then tell the client that it is complete."""
        agent, standing, needed = self._process.agent, self._process.standing, turn.needs
        assert agent is not None
        assert standing is not None
        assert needed is not None
        self._process.account(agent)
        history = [*needed.history, turn.input.new, *event.messages]
        done = self._record.completed(turn, needed, event, agent, epoch=epoch, history=history)
        if not await self._store.complete(done):
            raise ConversationDeleted("The conversation was deleted.")
        self._process.committing = None
        agent.note_stored(len(done.entries))
        self._session.keep()
        standing.context = history
        if event.compacted:
            standing.marks.clear()
        self._record.apply(done, turn, needed, history)
        self._host.stats.counts["turns"] += 1
        self._host.stats.turn(turn.start, asyncio.get_running_loop().time() - turn.requested_at)
        self._pending.end(turn, event, cost_usd=done.cost_usd)
        self._owner.post(ev.TurnFinished(epoch, parked=event.stop_reason == "tool_use"))
        if not agent.alive:
            self._owner.post(ev.StopWanted(StopReason.DIRTY))

    async def _undo(self, agent: Agent, turn_id: str, epoch: int) -> None:
        clean = await agent.undo(turn_id)
        self._process.account(agent)
        if not clean:
            self._process.tell("turn_not_undone", turn=turn_id)
        elif self._process.standing is not None:
            self._process.standing.taken_back(turn_id)
        self._owner.post(ev.TurnUndone(epoch) if clean else ev.UndoFailed(epoch))

    async def _halt(self, agent: Agent, turn: Turn) -> None:
        if not await agent.halt(turn.id):
            self._owner.cut(turn.id)

    async def _go_back(self, turns: int, epoch: int) -> None:
        """In the store first: what is not there any more is in no history, whatever becomes of the process."""
        outcome: ev.Event = ev.TurnUndone(epoch)
        try:
            rewound = await self._host.store.rewind(self._record.key, turns, epoch=epoch)
            if rewound is None:
                raise too_few(turns)
            outcome = ev.UndoFailed(epoch)
            self._record.renewed(self._host.aftermath.brought_up(rewound.left))
            self._host.feeds.rewound(self._record.address, turns)
            in_place = not self._session.parked and await self._process.go_back(rewound.first_turn)
            self._host.stats.counts["rewound"] += 1
            self._process.tell("session_rewound", turns=turns, in_place=in_place)
            if in_place:
                outcome = ev.TurnUndone(epoch)
        finally:
            self._process.committing = None
            self._owner.post(outcome)

    async def _edit(self, edit: Edit, epoch: int) -> None:
        """In the store first; the process stays if it can go on with what is there then."""
        outcome: ev.Event = ev.TurnUndone(epoch)
        try:
            left = await edit.write(self._host.store, self._record.key, epoch)
            outcome = ev.TurnUndone(epoch) if edit.keeps_process else ev.UndoFailed(epoch)
            self._record.renewed(self._host.aftermath.brought_up(left))
            self._host.feeds.edited(self._record.address)
            self._process.tell("session_edited", edit=edit.name, in_place=edit.keeps_process)
        finally:
            self._process.committing = None
            self._owner.post(outcome)
