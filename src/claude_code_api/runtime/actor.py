"""One conversation's actor: carries out what its state machine decides.

Owns the conversation's process, its history and its turns. A request never touches the process: it posts an event and
reads a stream, so a request that is cancelled can leak nothing. Events are handled one after another and to the end;
what takes time runs in tasks, and comes back as an event.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, assert_never

import structlog

from claude_code_api.core import events as ev
from claude_code_api.core.events import Refusal, StopReason
from claude_code_api.core.identity import Address
from claude_code_api.core.session import BETWEEN_TURNS, RESTING, Session, State
from claude_code_api.core.turn import (
    AnswerStarted,
    Message,
    StartKind,
    TurnCompleted,
    TurnEvent,
    TurnFailed,
    TurnStarted,
)
from claude_code_api.errors import ConversationDeleted, GatewayError, InvalidRequest, TurnCancelled
from claude_code_api.runtime.edits import Edit
from claude_code_api.runtime.host import Host, Turn
from claude_code_api.runtime.own_process import OwnProcess
from claude_code_api.runtime.ports import Agent
from claude_code_api.runtime.record import Record
from claude_code_api.runtime.refusals import defect, own_error, refusal_error, too_few
from claude_code_api.runtime.standing import Standing, content_of, needs
from claude_code_api.runtime.stored import StoredConversation
from claude_code_api.runtime.watchdog import watch

_log = structlog.get_logger("claude_code_api.session")


class Actor:
    """The live side of one conversation. All methods are synchronous and must be called on the event loop."""

    def __init__(
        self,
        address: Address,
        host: Host,
        stored: StoredConversation | None,
        *,
        interactive: bool,
        max_waiting: int,
    ) -> None:
        self.record = Record(*address) if stored is None else Record.of(stored)
        self.idle_since = asyncio.get_running_loop().time()
        self.closed = asyncio.Event()
        self.undone = asyncio.Event()
        self.undone.set()
        self._host = host
        self._session = Session(fits=self._fits, interactive=interactive, max_waiting=max_waiting)
        self._mailbox: deque[ev.Event] = deque()
        self._handling = False
        self._pending: dict[str, Turn] = {}
        self._cut_errors: dict[str, GatewayError] = {}
        self._process = OwnProcess(self.record, host, self.post)
        self.released = self._process.released
        self._edits: dict[str, Edit] = {}
        if stored is not None:
            self._session.resumable = True
            self._session.state = State.HIBERNATED
            self._session.epoch = stored.epoch

    @property
    def key(self) -> str:
        """The conversation's internal id."""
        return self.record.key

    @property
    def state(self) -> State:
        """Where the session is."""
        return self._session.state

    @property
    def pid(self) -> int | None:
        """The live process's id."""
        return self._process.pid

    @property
    def profile(self) -> str:
        """The kind of session that it is, or, without a process, was."""
        standing = self._process.standing
        return self.record.profile if standing is None else standing.profile.name

    @property
    def resting(self) -> bool:
        """Nothing is under way: what there is to know is in the store."""
        return self.state in RESTING and not self._mailbox and not self._pending

    @property
    def at_rest(self) -> bool:
        """No turn runs or waits, with a process or without."""
        return self.state in RESTING | BETWEEN_TURNS and not self._pending

    @property
    def kept(self) -> bool:
        """A turn was completed, and the conversation is not deleted."""
        return self._session.resumable and self.state is not State.CLOSED

    @property
    def waiting(self) -> int:
        """Turns that wait for their predecessor."""
        return len(self._session.waiting)

    @property
    def current(self) -> str | None:
        """The turn that runs, or is the next to run."""
        return self._session.current

    def request(self, turn: Turn) -> None:
        """Take a turn; everything else about it comes through its stream."""
        if self.at_rest and turn.input.history is None:
            try:
                content_of(turn.input.new, self.record.history)
            except InvalidRequest as error:
                self._put(turn, TurnFailed(error))
                self._host.changed(self)
                return
        self._pending[turn.id] = turn
        self.post(ev.TurnRequested(turn.id))

    def cut(self, turn_id: str, error: GatewayError | None = None) -> None:
        """End a turn now; its reader gets `error`. A turn that is over is left alone, and so is a complete answer."""
        if self._can_be_cut(turn_id):
            self._cut_errors[turn_id] = error or TurnCancelled("The turn was interrupted.")
            self.post(ev.TurnCut(turn_id))

    def cut_current(self, error: GatewayError) -> None:
        """End the turn that runs, if one does."""
        if self._session.current is not None:
            self.cut(self._session.current, error)

    def interrupt(self) -> bool:
        """End the turn that runs, also while its process starts; False when none does, or its answer is complete.

        `undone` is set when the live context is without it.
        """
        current = self._session.current
        if current is None or not self._can_be_cut(current):
            return False
        self._process.tell("turn_interrupted", turn=current)
        self.cut(current)
        return True

    def _can_be_cut(self, turn_id: str) -> bool:
        is_complete = self.state is State.BUSY and self._process.committing is not None
        return turn_id in self._pending and not (is_complete and turn_id == self._session.current)

    def rewind(self, turns: int) -> asyncio.Task[None]:
        """Take back the last completed turns; only between turns.

        The task raises InvalidRequest when there are fewer, ConversationDeleted, ConversationMoved or StoreUnavailable:
        the conversation is as it was then.
        """
        assert self.state in BETWEEN_TURNS
        self.post(ev.RewindWanted(turns))
        assert self._process.committing is not None
        return self._process.committing

    def edit(self, edit: Edit) -> asyncio.Task[None]:
        """Change what the history holds; only between turns.

        The task raises what the edit raises: the conversation is as it was then.
        """
        assert self.state in BETWEEN_TURNS
        self._edits[edit.name] = edit
        self.post(ev.EditWanted(edit.name))
        assert self._process.committing is not None
        return self._process.committing

    def post(self, event: ev.Event) -> None:
        """Handle an event, and those that it causes, in order."""
        self._mailbox.append(event)
        if self._handling:
            return
        self._handling = True
        try:
            while self._mailbox:
                self._handle(self._mailbox.popleft())
        except Exception:  # noqa: BLE001 - the actor's top: a defect must not leave a client or a slot waiting for ever
            _log.exception("actor_failed", conversation_id=self.record.conversation_id, story=list(self._session.story))
            self._collapse()
        finally:
            self._handling = False
        self._host.changed(self)

    def _collapse(self) -> None:
        """Answer everybody, end the process, and begin again from the last completed turn."""
        self._mailbox.clear()
        for turn in list(self._pending.values()):
            self._fail(turn, defect())
        old = self._session
        self._session = Session(
            old.fits,
            old.interactive,
            old.max_waiting,
            resumable=old.resumable,
            draining=old.draining,
            epoch=old.epoch + 1,
        )
        deleted = old.state in {State.CLOSING, State.CLOSED}
        if self._process.stop_as(self._session.epoch):
            self._session.state = State.CLOSING if deleted else State.STOPPING
        else:
            self._session.state = State.CLOSED if deleted else self._session.rest()
            self._host.cancel_acquire(self)
            self._host.release(self)
            if deleted:
                self.closed.set()

    def _handle(self, event: ev.Event) -> None:
        before = self.state
        effects = self._session.handle(event)
        if self.state is not before:
            if self.state in BETWEEN_TURNS:
                self.idle_since = asyncio.get_running_loop().time()
            (self.undone.clear if self.state is State.INTERRUPTING else self.undone.set)()
            if self.state is not State.CLOSED:  # that is told when its rows are gone, too
                self._host.feeds.state(self.record.address, self.state.value, self._session.current)
            self._host.changed(self)
        if isinstance(event, ev.ProcessExited) and before not in {State.STOPPING, State.CLOSING}:
            self._host.stats.counts["crashed"] += 1
            self._process.tell("session_crashed", state=before.value)
        for effect in effects:
            self._do(effect)

    def _do(self, effect: ev.Effect) -> None:
        match effect:
            case ev.AcquireSlot():
                self._host.acquire(self)
            case ev.CancelAcquire():
                self._host.cancel_acquire(self)
            case ev.ReleaseSlot():
                self._process.drop()
                self._host.release(self)
            case ev.StartProcess():
                turn = self._pending[self._session.current or ""]
                self._process.start(effect.epoch, turn.input, resumable=self._session.resumable)
            case ev.SendTurn():
                self._send(self._pending[effect.turn])
            case ev.UndoTurn():
                agent = self._process.agent
                assert agent is not None
                self._host.tasks.spawn(self._undo(agent, effect.turn, self._session.epoch), f"undo-{effect.turn}")
            case ev.GoBack():
                going = self._go_back(effect.turns, self._session.epoch)
                self._process.committing = self._host.tasks.spawn(going, f"rewind-{self.key}")
            case ev.Edit():
                editing = self._edit(self._edits.pop(effect.edit), self._session.epoch)
                self._process.committing = self._host.tasks.spawn(editing, f"edit-{self.key}")
            case ev.StopProcess():
                self._stop(effect.reason)
            case ev.RefuseTurn():
                self._refuse(effect.turn, effect.why)
            case ev.Forget():
                self.closed.set()
            case _:
                assert_never(effect)

    def _fits(self, turn_id: str) -> bool:
        return self._process.fits(self._pending[turn_id].input, parked=self._session.parked)

    # Doing

    def _send(self, turn: Turn) -> None:
        agent, standing, epoch = self._process.agent, self._process.standing, self._session.epoch
        assert agent is not None
        assert standing is not None
        back = standing.way_back(needs(self.record, turn.input)[1]) or []
        turn.start = self._process.take_kind(StartKind.FORKED if back else StartKind.LIVE)
        turn.sent_at = asyncio.get_running_loop().time()
        if turn.start is StartKind.LIVE:
            self._host.stats.counts["reused"] += 1
            self._process.tell("session_reused", request_id=turn.mark.request_id)
        self._put(turn, TurnStarted(turn.start))
        try:
            content = content_of(turn.input.new, standing.after(back))
        except InvalidRequest as error:
            self._emitted(turn, epoch, TurnFailed(error))
            return
        turn.input = replace(turn.input, new=Message("user", content))
        self._spawn_for(turn, epoch, self._run(turn, agent, standing, back, epoch), "turn")

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
                self.post(ev.ProcessUnfit(epoch))
            return
        if turn.id not in self._pending or epoch != self._session.epoch:
            return
        context = standing.context
        began = self.record.began(turn, agent, epoch=epoch, context=context)
        await self._host.store.begin(began)
        if turn.id not in self._pending or epoch != self._session.epoch:
            return
        asked = turn.input
        if not self._session.parked:
            standing.sent(turn.id, asked.new.content)
        agent.send(turn.id, asked.new.content, asked.options, lambda event: self._emitted(turn, epoch, event))
        overdue = await watch(turn, agent, self._host.limits, lambda: turn.id in self._pending)
        if overdue is not None:
            self.cut(turn.id, overdue)

    def _emitted(self, turn: Turn, epoch: int, event: TurnEvent) -> None:
        if epoch != self._session.epoch or self._session.current != turn.id or self.state is not State.BUSY:
            return
        if self._process.committing is not None:
            return  # the answer is complete: nothing that its process still says changes that
        now = asyncio.get_running_loop().time()
        if isinstance(event, TurnCompleted):
            self._process.committing = self._spawn_for(turn, epoch, self._commit(turn, epoch, event), "commit")
        elif isinstance(event, TurnFailed):
            self._host.stats.counts["failed"] += 1
            self._process.tell("turn_failed", request_id=turn.mark.request_id, code=event.error.code)
            self._fail(turn, event.error)
            self.post(ev.TurnBroken(epoch))
        else:
            turn.answering = True
            if turn.first_token_at is None and not isinstance(event, AnswerStarted):
                turn.first_token_at = now
                self._host.stats.first_token(turn.start, now - turn.requested_at)
            self._put(turn, event)

    async def _commit(self, turn: Turn, epoch: int, event: TurnCompleted) -> None:
        """Store the answer, and only then tell the client that it is complete."""
        process = self._process
        agent, standing = process.agent, process.standing
        assert agent is not None
        assert standing is not None
        process.account(agent)
        history = [*standing.context, turn.input.new, *event.messages]
        done = self.record.completed(
            turn,
            event,
            agent,
            epoch=epoch,
            profile=standing.profile,
            is_fork=standing.context is not self.record.history,
            history=history,
        )
        if not await self._host.store.complete(done):
            raise ConversationDeleted("The conversation was deleted.")
        process.committing = None
        agent.note_stored(len(done.entries))
        self._session.resumable = True
        standing.context = history
        if event.compacted:
            standing.marks.clear()
        self.record.apply(done, turn, history)
        self._host.stats.counts["turns"] += 1
        self._host.stats.turn(turn.start, asyncio.get_running_loop().time() - turn.requested_at)
        self._end(turn, event, cost_usd=done.cost_usd)
        self.post(ev.TurnFinished(epoch, parked=event.stop_reason == "tool_use"))
        if not agent.alive:
            self.post(ev.StopWanted(StopReason.DIRTY))

    async def _undo(self, agent: Agent, turn_id: str, epoch: int) -> None:
        clean = await agent.undo(turn_id)
        self._process.account(agent)
        if not clean:
            self._process.tell("turn_not_undone", turn=turn_id)
        elif self._process.standing is not None:
            self._process.standing.taken_back(turn_id)
        self.post(ev.TurnUndone(epoch) if clean else ev.UndoFailed(epoch))

    async def _edit(self, edit: Edit, epoch: int) -> None:
        """In the store first; the process stays if it can go on with what is there then."""
        outcome: ev.Event = ev.TurnUndone(epoch)
        try:
            left = await edit.write(self._host.store, self.key, epoch)
            outcome = ev.TurnUndone(epoch) if edit.keeps_process else ev.UndoFailed(epoch)
            self.record.renewed(self._host.aftermath.brought_up(left))
            self._host.feeds.edited(self.record.address)
            self._process.tell("session_edited", edit=edit.name, in_place=edit.keeps_process)
        finally:
            self._process.committing = None
            self.post(outcome)

    async def _go_back(self, turns: int, epoch: int) -> None:
        """In the store first: what is not there any more is in no history, whatever becomes of the process."""
        outcome: ev.Event = ev.TurnUndone(epoch)
        try:
            rewound = await self._host.store.rewind(self.key, turns, epoch=epoch)
            if rewound is None:
                raise too_few(turns)
            outcome = ev.UndoFailed(epoch)
            self.record.renewed(self._host.aftermath.brought_up(rewound.left))
            self._host.feeds.rewound(self.record.address, turns)
            in_place = not self._session.parked and await self._process.go_back(rewound.first_turn)
            self._host.stats.counts["rewound"] += 1
            self._process.tell("session_rewound", turns=turns, in_place=in_place)
            if in_place:
                outcome = ev.TurnUndone(epoch)
        finally:
            self._process.committing = None
            self.post(outcome)

    def _stop(self, reason: StopReason) -> None:
        name = _COUNTED.get(reason)
        if name is not None:
            self._host.stats.counts[name] += 1
        self._process.tell(f"session_{name or 'stopping'}", reason=reason.value)
        # A parked process would wait for its calls; all that matters of it is stored.
        useless = reason in {StopReason.DELETED, StopReason.DIRTY, StopReason.REWOUND}
        self._process.stop(flush=not useless and not self._session.parked)

    def _refuse(self, turn_id: str, why: Refusal) -> None:
        turn = self._pending[turn_id]
        own = self._process.start_error if why is Refusal.START_FAILED else self._cut_errors.get(turn_id)
        error = own or refusal_error(why)
        self._process.tell("turn_refused", request_id=turn.mark.request_id, why=why.value, code=error.code)
        self._fail(turn, error)

    def _fail(self, turn: Turn, error: GatewayError) -> None:
        if turn.sent_at is not None:
            self._host.aftermath.ended(turn.id, error_code=error.code)
        self._end(turn, TurnFailed(error))

    def _end(self, turn: Turn, event: TurnEvent, *, cost_usd: float = 0.0) -> None:
        self._pending.pop(turn.id, None)
        self._cut_errors.pop(turn.id, None)
        self._put(turn, event, cost_usd=cost_usd)

    def _put(self, turn: Turn, event: TurnEvent, *, cost_usd: float = 0.0) -> None:
        """Tell the turn's readers, and those who watch the conversation."""
        turn.stream.put(event)
        self._host.feeds.turn(self.record.address, turn.id, turn.mark.request_id, event, cost_usd)


_COUNTED = {
    StopReason.IDLE: "culled",
    StopReason.EVICTED: "evicted",
    StopReason.MEMORY: "too_large",
    StopReason.HIBERNATED: "hibernated",
}
