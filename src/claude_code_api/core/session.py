"""The state machine of one conversation's live session.

Decides, and does nothing: an event goes in, a new state and a list of effects come out. It knows no clock, no process
and no event loop. Every (state, event) pair that may happen stands in `TABLE`; any other raises `InvalidTransition`
with the story of how the session got there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from claude_code_api.core import events as ev
from claude_code_api.core.events import Effect, Event, Refusal, StopReason


class State(StrEnum):
    """Where a session is: QUEUED waits for a process slot, the states of `WITH_PROCESS` hold one.

    PARKED is IDLE with tool calls open: the process stands still in the middle of its work until the client's results
    come. Nothing is lost when it is stopped: the calls are part of the conversation. REWINDING takes completed turns
    back, or changes what the history holds, with its process; what comes meanwhile waits.
    """

    NEW = "new"
    QUEUED = "queued"
    STARTING = "starting"
    BUSY = "busy"
    INTERRUPTING = "interrupting"
    IDLE = "idle"
    PARKED = "parked"
    REWINDING = "rewinding"
    STOPPING = "stopping"
    HIBERNATED = "hibernated"
    FAILED = "failed"
    CLOSING = "closing"
    CLOSED = "closed"


RESTING = frozenset({State.NEW, State.HIBERNATED, State.FAILED})
BETWEEN_TURNS = frozenset({State.IDLE, State.PARKED})
"""With a process that nothing is asked of."""

WITH_PROCESS = BETWEEN_TURNS | {
    *(State.STARTING, State.BUSY, State.INTERRUPTING),
    *(State.REWINDING, State.STOPPING, State.CLOSING),
}
_WITHOUT_TURN = frozenset({State.STARTING, State.REWINDING, State.STOPPING})
"""The next turn is current at once, although it has to wait."""

_OPEN = frozenset(State) - {State.CLOSED, State.CLOSING}


class InvalidTransition(AssertionError):
    """An event that must not happen in this state; the message tells the last transitions."""


@dataclass
class Session:
    """One conversation's session, without its process.

    `fits(turn)` says whether the live process can take the turn as it is (same launch profile, same history); it is
    asked when the turn is about to run, not when it comes in. `interactive` False stops the process after each turn.
    `parked`: the process waits for the results of tool calls. `kept` False: there is nothing to resume once the process
    is gone.
    """

    fits: Callable[[str], bool] = lambda turn: True
    interactive: bool = True
    max_waiting: int = 8
    kept: bool = True
    state: State = State.NEW
    epoch: int = 0
    resumable: bool = False
    draining: bool = False
    parked: bool = False
    current: str | None = None
    waiting: deque[str] = field(default_factory=deque)
    story: deque[str] = field(default_factory=lambda: deque(maxlen=24))

    def handle(self, event: Event) -> list[Effect]:
        """Take one event; return what is to be done, in order. Raises InvalidTransition."""
        epoch = getattr(event, "epoch", None)
        if epoch is not None and epoch != self.epoch:
            return []
        before = self.state
        handler = TABLE.get((before, type(event)))
        if handler is None:
            raise InvalidTransition(f"{event!r} in state {before}; story: {' | '.join(self.story)}")
        effects = handler(self, event)
        if isinstance(event, ev.ProcessExited | ev.StartFailed):
            self.epoch += 1  # what its process still has to say comes too late
        self.story.append(f"{before} {type(event).__name__} -> {self.state}")
        return effects

    def validate(self) -> None:
        """Raise AssertionError when the state contradicts itself; for tests."""
        where = f"{self.state}, current={self.current}, waiting={list(self.waiting)}; {' | '.join(self.story)}"
        if self.state in {State.QUEUED, State.BUSY, State.INTERRUPTING}:
            assert self.current is not None, where
        if self.state in RESTING | BETWEEN_TURNS | {State.CLOSING, State.CLOSED}:
            assert self.current is None, where
        assert not self.waiting or self.current is not None, where
        assert len(self.waiting) <= self.max_waiting, where

    # What several rows of the table share

    def rest(self) -> State:
        """The state without a process: resumable once a turn has completed."""
        return State.HIBERNATED if self.resumable else State.NEW

    def keep(self) -> None:
        """A turn has completed: from now on the conversation can be resumed."""
        self.resumable = self.kept

    def begin_again(self) -> None:
        """Forget every turn and the process; what these still have to say comes too late. The state is to be set."""
        self.current, self.parked = None, False
        self.waiting.clear()
        self.epoch += 1

    def take_next(self) -> str | None:
        """Make the first waiting turn the current one."""
        self.current = self.waiting.popleft() if self.waiting else None
        return self.current

    def settle_with_process(self, *, used: bool) -> list[Effect]:
        """The process is free: run the next turn on it, keep it idle, or stop it. `used`: it has run a turn."""
        turn = self.current or self.take_next()
        if self.draining:
            return self.stop(StopReason.DRAINED)
        if used and not self.interactive:
            return self.stop(StopReason.ONE_SHOT)
        if turn is None:
            self.state = State.PARKED if self.parked else State.IDLE
            return []
        if not self.fits(turn):
            return self.stop(StopReason.PROFILE_CHANGED)
        self.state = State.BUSY
        return [ev.SendTurn(turn)]

    def settle_without_process(self, resting: State) -> list[Effect]:
        """No process is left: queue for a new one if a turn wants it, else rest."""
        if self.current is None and self.take_next() is None:
            self.state = resting
            return []
        self.state = State.QUEUED
        return [ev.AcquireSlot()]

    def stop(self, reason: StopReason) -> list[Effect]:
        """Stop the process; turns that wait get the next one."""
        self.state = State.STOPPING
        return [ev.StopProcess(reason)]

    def refuse_all(self, why: Refusal) -> list[Effect]:
        """Answer the current turn, unless it was answered and is being undone, and every waiting one."""
        turns = list(self.waiting)
        if self.current is not None and self.state is not State.INTERRUPTING:
            turns.insert(0, self.current)
        self.current = None
        self.waiting.clear()
        return [ev.RefuseTurn(turn, why) for turn in turns]


Handler: TypeAlias = Callable[[Session, Event], list[Effect]]
TABLE: dict[tuple[State, type], Handler] = {}


def _on(states: State | frozenset[State], *event_types: type) -> Callable[[Handler], Handler]:
    def register(handler: Handler) -> Handler:
        for state in {states} if isinstance(states, State) else states:
            for event_type in event_types:
                assert (state, event_type) not in TABLE, f"two handlers for {state}, {event_type.__name__}"
                TABLE[state, event_type] = handler
        return handler

    return register


# Turns come in


@_on(RESTING | BETWEEN_TURNS, ev.TurnRequested)
def _first_turn(session: Session, event: Event) -> list[Effect]:
    assert isinstance(event, ev.TurnRequested)
    if session.draining:
        return [ev.RefuseTurn(event.turn, Refusal.DRAINING)]
    session.current = event.turn
    if session.state in BETWEEN_TURNS:
        return session.settle_with_process(used=False)
    return session.settle_without_process(session.state)


@_on(
    _WITHOUT_TURN | {State.QUEUED, State.BUSY, State.INTERRUPTING},
    ev.TurnRequested,
)
def _turn_waits(session: Session, event: Event) -> list[Effect]:
    assert isinstance(event, ev.TurnRequested)
    if session.draining:
        return [ev.RefuseTurn(event.turn, Refusal.DRAINING)]
    if session.current is None and session.state in _WITHOUT_TURN:
        session.current = event.turn
    elif len(session.waiting) >= session.max_waiting:
        return [ev.RefuseTurn(event.turn, Refusal.QUEUE_FULL)]
    else:
        session.waiting.append(event.turn)
    return []


@_on(frozenset({State.CLOSING, State.CLOSED}), ev.TurnRequested)
def _turn_on_deleted(session: Session, event: Event) -> list[Effect]:
    assert isinstance(event, ev.TurnRequested)
    return [ev.RefuseTurn(event.turn, Refusal.DELETED)]


# Turns are cut


@_on(frozenset(State), ev.TurnCut)
def _cut(session: Session, event: Event) -> list[Effect]:
    """A turn that waits is dropped; one that runs is undone; one that is over already is left alone."""
    assert isinstance(event, ev.TurnCut)
    turn = event.turn
    if turn in session.waiting:
        session.waiting.remove(turn)
        return [ev.RefuseTurn(turn, Refusal.CUT)]
    if turn != session.current or session.state is State.INTERRUPTING:
        return []
    answer: list[Effect] = [ev.RefuseTurn(turn, Refusal.CUT)]
    if session.state is State.BUSY:
        session.state = State.INTERRUPTING
        return [*answer, ev.UndoTurn(turn)]
    session.take_next()
    if session.state is State.QUEUED and session.current is None:
        session.state = session.rest()
        return [*answer, ev.CancelAcquire()]
    return answer


# Slots


@_on(State.QUEUED, ev.SlotGranted)
def _start(session: Session, event: Event) -> list[Effect]:
    session.epoch += 1
    session.state = State.STARTING
    session.parked = False
    return [ev.StartProcess(session.epoch)]


@_on(RESTING | {State.CLOSED}, ev.SlotGranted)
def _slot_too_late(session: Session, event: Event) -> list[Effect]:
    return [ev.ReleaseSlot()]


@_on(State.QUEUED, ev.WaitExpired)
def _no_slot(session: Session, event: Event) -> list[Effect]:
    session.state = session.rest()
    return session.refuse_all(Refusal.NO_SLOT)


# The process


@_on(State.STARTING, ev.ProcessReady)
def _ready(session: Session, event: Event) -> list[Effect]:
    return session.settle_with_process(used=False)


@_on(State.STARTING, ev.StartFailed)
@_on(frozenset({State.STARTING, State.BUSY}), ev.ProcessExited)
def _process_lost(session: Session, event: Event) -> list[Effect]:
    why = Refusal.PROCESS_DIED if session.state is State.BUSY else Refusal.START_FAILED
    effects: list[Effect] = [ev.ReleaseSlot()]
    if session.current is not None:
        effects.append(ev.RefuseTurn(session.current, why))
        session.current = None
    return effects + session.settle_without_process(State.FAILED)


@_on(BETWEEN_TURNS | {State.REWINDING, State.STOPPING}, ev.ProcessExited)
def _process_gone(session: Session, event: Event) -> list[Effect]:
    return [ev.ReleaseSlot(), *session.settle_without_process(session.rest())]


@_on(State.INTERRUPTING, ev.ProcessExited)
def _process_gone_undoing(session: Session, event: Event) -> list[Effect]:
    session.current = None
    return [ev.ReleaseSlot(), *session.settle_without_process(session.rest())]


@_on(State.STOPPING, ev.StartFailed)
def _start_failed_while_stopping(session: Session, event: Event) -> list[Effect]:
    return [ev.ReleaseSlot(), *session.settle_without_process(session.rest())]


@_on(State.CLOSING, ev.ProcessExited, ev.StartFailed)
def _closed(session: Session, event: Event) -> list[Effect]:
    session.state = State.CLOSED
    return [ev.ReleaseSlot(), ev.Forget()]


@_on(frozenset({State.STOPPING, State.CLOSING}), ev.ProcessReady, ev.TurnFinished, ev.TurnBroken)
@_on(frozenset({State.STOPPING, State.CLOSING}), ev.TurnUndone, ev.UndoFailed, ev.ProcessUnfit)
@_on(State.INTERRUPTING, ev.TurnFinished, ev.TurnBroken, ev.ProcessUnfit)
def _too_late(session: Session, event: Event) -> list[Effect]:
    return []


# Turns end


@_on(State.BUSY, ev.TurnFinished)
def _finished(session: Session, event: Event) -> list[Effect]:
    assert isinstance(event, ev.TurnFinished)
    session.keep()
    session.parked = event.parked
    session.current = None
    return session.settle_with_process(used=True)


@_on(State.BUSY, ev.TurnBroken)
def _broken(session: Session, event: Event) -> list[Effect]:
    assert session.current is not None
    session.state = State.INTERRUPTING
    return [ev.UndoTurn(session.current)]


@_on(State.BUSY, ev.ProcessUnfit)
def _unfit(session: Session, event: Event) -> list[Effect]:
    return session.stop(StopReason.DIRTY)


@_on(State.INTERRUPTING, ev.TurnUndone)
def _undone(session: Session, event: Event) -> list[Effect]:
    session.current = None
    return session.settle_with_process(used=True)


@_on(State.INTERRUPTING, ev.UndoFailed)
def _undo_failed(session: Session, event: Event) -> list[Effect]:
    session.take_next()
    return session.stop(StopReason.DIRTY)


# Turns are taken back, or what the history holds is changed


@_on(BETWEEN_TURNS, ev.RewindWanted)
def _rewind(session: Session, event: Event) -> list[Effect]:
    assert isinstance(event, ev.RewindWanted)
    session.state = State.REWINDING
    return [ev.GoBack(event.turns)]


@_on(BETWEEN_TURNS, ev.EditWanted)
def _edit(session: Session, event: Event) -> list[Effect]:
    assert isinstance(event, ev.EditWanted)
    session.state = State.REWINDING
    return [ev.Edit(event.edit)]


@_on(State.REWINDING, ev.TurnUndone)
def _rewound(session: Session, event: Event) -> list[Effect]:
    return session.settle_with_process(used=False)


@_on(State.REWINDING, ev.UndoFailed)
def _rewound_without_process(session: Session, event: Event) -> list[Effect]:
    return session.stop(StopReason.REWOUND)


# Somebody wants the process gone


@_on(BETWEEN_TURNS, ev.StopWanted)
def _stop_idle(session: Session, event: Event) -> list[Effect]:
    assert isinstance(event, ev.StopWanted)
    return session.stop(event.reason)


@_on(_OPEN, ev.Drained)
def _drain(session: Session, event: Event) -> list[Effect]:
    session.draining = True
    if session.state in {State.BUSY, State.INTERRUPTING}:
        waiting = [ev.RefuseTurn(turn, Refusal.DRAINING) for turn in session.waiting]
        session.waiting.clear()
        return list(waiting)
    effects = session.refuse_all(Refusal.DRAINING)
    if session.state is State.QUEUED:
        session.state = session.rest()
        return [*effects, ev.CancelAcquire()]
    if session.state in BETWEEN_TURNS | {State.STARTING}:
        return effects + session.stop(StopReason.DRAINED)
    return effects


@_on(_OPEN, ev.Deleted)
def _delete(session: Session, event: Event) -> list[Effect]:
    effects = session.refuse_all(Refusal.DELETED)
    if session.state in WITH_PROCESS:
        session.state = State.CLOSING
        return [*effects, ev.StopProcess(StopReason.DELETED)]
    if session.state is State.QUEUED:
        effects.append(ev.CancelAcquire())
    session.state = State.CLOSED
    return [*effects, ev.Forget()]


@_on(frozenset(State) - {State.QUEUED}, ev.WaitExpired)
@_on(frozenset(State) - BETWEEN_TURNS, ev.StopWanted)
@_on(frozenset({State.CLOSING, State.CLOSED}), ev.Drained, ev.Deleted)
def _not_now(session: Session, event: Event) -> list[Effect]:
    return []
