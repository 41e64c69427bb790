"""One conversation's actor: carries out what its state machine decides.

Owns the conversation's process, its history and its turns. A request never touches the process: it posts an event and
reads a stream, so a request that is cancelled can leak nothing. Events are handled one after another and to the end;
what takes time runs in tasks (`work.py`), and comes back as an event.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import replace
from typing import assert_never

import structlog

from claude_code_api.core import events as ev
from claude_code_api.core.events import Refusal
from claude_code_api.core.identity import Address
from claude_code_api.core.session import BETWEEN_TURNS, RESTING, Session, State
from claude_code_api.errors import GatewayError, InvalidRequest, TurnCancelled
from claude_code_api.runtime.approvals import Approval, Approvals, ApprovalStatus, decided
from claude_code_api.runtime.edits import Edit
from claude_code_api.runtime.host import Host, Turn
from claude_code_api.runtime.needs import content_of
from claude_code_api.runtime.own_process import OwnProcess
from claude_code_api.runtime.pending import Pending
from claude_code_api.runtime.record import Record
from claude_code_api.runtime.refusals import defect, refusal_error
from claude_code_api.runtime.stored import StoredConversation
from claude_code_api.runtime.ticket import Running
from claude_code_api.runtime.unstored import Notes, Unstored
from claude_code_api.runtime.work import Work

_log = structlog.get_logger("claude_code_api.session")

_CHANGING = frozenset({State.REWINDING, State.CLOSING, State.CLOSED})
"""Where something else than a turn changes the history, or ends it."""


class Actor:
    """The live side of one conversation. All methods are synchronous and must be called on the event loop.

    `in_memory`: it is stored nowhere, and ends with its process. `placed` is the turn that came last, as its readers
    share it.
    """

    def __init__(
        self,
        address: Address,
        host: Host,
        stored: StoredConversation | None,
        *,
        interactive: bool,
        max_waiting: int,
        in_memory: bool = False,
    ) -> None:
        self.record = Record(*address) if stored is None else Record.of(stored)
        self.idle_since = asyncio.get_running_loop().time()
        self.closed = asyncio.Event()
        self.undone = asyncio.Event()
        self.undone.set()
        self.in_memory = in_memory
        self.placed: Running | None = None
        unstored = Unstored()
        self.notes: Notes = unstored if in_memory else host.aftermath
        self._host = host
        self._session = Session(fits=self._fits, interactive=interactive, max_waiting=max_waiting, kept=not in_memory)
        self._mailbox: deque[ev.Event] = deque()
        self._handling = False
        self._pending = Pending(self.record, host.feeds, self.notes)
        self._coming: dict[str, Turn | None] = {}
        store = unstored if in_memory else host.store
        self._process = OwnProcess(self.record, host, store, self.post)
        self._work = Work(self, host, store, self._session, self._pending, self._process)
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
    def launched_model(self) -> str | None:
        """The model that the live process was started with, as it was asked for."""
        standing = self._process.standing
        return None if standing is None else standing.profile.model

    @property
    def resting(self) -> bool:
        """Nothing is under way: what there is to know is in the store."""
        return self.state in RESTING and not self._mailbox and not self._pending

    @property
    def at_rest(self) -> bool:
        """No turn runs or waits, with a process or without."""
        return self.state in RESTING | BETWEEN_TURNS and not self._pending

    @property
    def settled(self) -> bool:
        """Nothing more comes to its history; what was cut or has failed may still be on its way out."""
        return self.state not in _CHANGING and not self._pending

    @property
    def kept(self) -> bool:
        """The store keeps it: it had a turn, or was made without one, and is not deleted."""
        return self._session.resumable and self.state is not State.CLOSED

    @property
    def leftover(self) -> str | None:
        """The directory that nobody needs once this is dropped; that of a deleted conversation is looked after."""
        if not self.in_memory and (self.state is State.CLOSED or (self.kept and self.record.is_placed)):
            return None
        return self.record.place

    @property
    def waiting(self) -> int:
        """Turns that wait for their predecessor."""
        return len(self._session.waiting)

    @property
    def current(self) -> str | None:
        """The turn that runs, or is the next to run."""
        return self._session.current

    def stands_at(self, turn_id: str) -> bool:
        """Whether the next turn goes on from this one, and from nothing later."""
        return self.settled and self.record.head == turn_id

    def expect(self, turn: Turn) -> None:
        """A turn is about to be requested, or given up: nothing comes before it that is not there yet."""
        self._pending.add(turn)
        self._coming[turn.id] = None

    def accepted(self) -> None:
        """The store has what is expected, and keeps the conversation for it."""
        self.record.is_stored = self._session.resumable = True

    def give_up(self, turn: Turn, error: GatewayError) -> None:
        """A turn that was expected does not come."""
        self._coming.pop(turn.id, None)
        self._pending.fail(turn, error)
        self._let_in()
        self._host.changed(self)

    def request(self, turn: Turn) -> None:
        """Take a turn; everything else about it comes through its stream."""
        self._pending.add(turn)
        if self._coming:
            self._coming[turn.id] = turn  # one that is expected has its place already
            self._let_in()
        else:
            self._take(turn)

    def _let_in(self) -> None:
        """Take what has come, up to the first turn that is still expected."""
        while self._coming and (turn := next(iter(self._coming.values()))) is not None:
            del self._coming[turn.id]
            self._take(turn)

    def _take(self, turn: Turn) -> None:
        if self.state in RESTING | BETWEEN_TURNS and len(self._pending) == 1 and turn.input.history is None:
            try:
                content_of(turn.input.new, [*self.record.history, *turn.input.before])
            except InvalidRequest as error:
                self.give_up(turn, error)
                return
        self.post(ev.TurnRequested(turn.id))

    def cut(self, turn_id: str, error: GatewayError | None = None) -> None:
        """End a turn now; its reader gets `error`. A turn that is over is left alone, and so is a complete answer."""
        if not self._can_be_cut(turn_id):
            return
        error = error or TurnCancelled("The turn was interrupted.")
        if (turn := self._coming.get(turn_id)) is not None:  # the session does not know of it yet
            self.give_up(turn, error)
        else:
            self._pending.note_cut(turn_id, error)
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

    def halt(self, turn_id: str) -> bool:
        """End a turn where it stands, and keep what was said: it completes. One that waits does as soon as it begins.

        False when it is over, or its answer is complete.
        """
        if not self._can_be_cut(turn_id):
            return False
        self._process.tell("turn_halted", turn=turn_id)
        self._work.halt(self._pending[turn_id])
        return True

    def halt_current(self) -> bool:
        """The same to the turn that runs, or is the next to run."""
        current = self._session.current
        return current is not None and self.halt(current)

    @property
    def approvals(self) -> Approvals:
        """The calls that wait for a person."""
        return self._pending.approvals

    def decide(self, approval_id: str, *, allowed: bool, message: str | None) -> Approval:
        """Decide about a call that waits. Raises ApprovalNotFound or ApprovalDecided."""
        approval = self.approvals.undecided(approval_id)
        agent = self._process.agent
        if agent is None or not agent.decide(approval_id, allowed=allowed, message=message):
            raise decided(replace(approval, status=ApprovalStatus.CANCELLED))  # its turn is about to end
        return self.approvals.find(approval_id)

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
        self._coming.clear()
        for turn in self._pending:
            self._pending.fail(turn, defect())
        deleted = self.state in {State.CLOSING, State.CLOSED}
        self._session.begin_again()
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
                self._work.send(self._pending[effect.turn])
            case ev.UndoTurn():
                self._work.undo(effect.turn)
            case ev.GoBack():
                self._work.go_back(effect.turns)
            case ev.Edit():
                self._work.edit(self._edits.pop(effect.edit))
            case ev.StopProcess():
                self._process.stop_for(effect.reason, parked=self._session.parked)
            case ev.RefuseTurn():
                self._refuse(effect.turn, effect.why)
            case ev.Forget():
                self.closed.set()
            case _:
                assert_never(effect)

    def _fits(self, turn_id: str) -> bool:
        return self._process.fits(self._pending[turn_id].input, parked=self._session.parked)

    def _refuse(self, turn_id: str, why: Refusal) -> None:
        turn = self._pending[turn_id]
        own = self._process.start_error if why is Refusal.START_FAILED else self._pending.cut_error(turn_id)
        error = own or refusal_error(why)
        self._process.tell("turn_refused", request_id=turn.mark.request_id, why=why.value, code=error.code)
        self._pending.fail(turn, error)
