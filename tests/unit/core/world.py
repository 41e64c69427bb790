"""A world around sessions: does what `runtime/actor.py` and `runtime/manager.py` do, with pretended processes and no
event loop, and asserts what must hold whenever something is done."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from claude_code_api.core import events as ev
from claude_code_api.core.events import StopReason
from claude_code_api.core.pool import Decision, SlotPool
from claude_code_api.core.session import BETWEEN_TURNS, WITH_PROCESS, Session, State


@dataclass(frozen=True)
class Asked:
    """What a turn wants: a launch profile, and whether it brings the results of calls or says something new."""

    profile: int
    results: bool = False


@dataclass
class Process:
    """A pretended process. `turn` was sent to it and is not over; `used` counts the turns sent.

    `calls` are open: it stands still until their results come. `resumed` says that the running turn brought some.
    """

    epoch: int
    profile: int
    ready: bool = False
    stopping: bool = False
    turn: str | None = None
    used: int = 0
    calls: bool = False
    resumed: bool = False


@dataclass(frozen=True)
class Settings:
    """The numbers that a world goes by; `unkept` are the names of conversations that end with their process."""

    size: int = 2
    max_waiting: int = 4
    max_queued_turns: int = 2
    interactive: bool = True
    unkept: str = "d"


class Conversation:
    """What an actor is: one session, its mailbox, its turns and its process."""

    def __init__(self, key: str, name: str, world: World, *, kept: bool) -> None:
        self.key = key
        self.name = name
        self.world = world
        self.session = Session(
            fits=self._fits,
            interactive=world.settings.interactive,
            max_waiting=world.settings.max_queued_turns,
            kept=kept,
        )
        self.process: Process | None = None
        self.undoing: list[tuple[str, int]] = []
        self.going_back: int | None = None
        self.pending: dict[str, Asked] = {}
        self.has_slot = False
        self.forgotten = False
        self._last_sent = -1
        self._mailbox: deque[ev.Event] = deque()
        self._handling = False

    def __repr__(self) -> str:
        return f"{self.key}:{self.state}"

    @property
    def state(self) -> State:
        return self.session.state

    @property
    def empty(self) -> bool:
        return not self.session.resumable and self.state in {State.NEW, State.FAILED} and not self._mailbox

    def post(self, event: ev.Event) -> None:
        """Handle an event, and those that it causes, in order."""
        self._mailbox.append(event)
        if self._handling:
            return
        self._handling = True
        while self._mailbox:
            before = self.state
            effects = self.session.handle(self._mailbox.popleft())
            self.session.validate()
            self._validate_calls()
            if self.state is not before:
                self.world.changed(self)
            for effect in effects:
                self._do(effect)
        self._handling = False
        self.world.changed(self)

    def answer(self, turn: str, how: str) -> None:
        """The turn's client gets its one answer."""
        assert turn in self.pending, f"{turn} is answered twice: {how} after {self.world.answers.get(turn)}"
        del self.pending[turn]
        self.world.answers[turn] = how

    def _validate_calls(self) -> None:
        """Between turns the session knows whether its process has open calls."""
        if self.state in BETWEEN_TURNS and self.process is not None:
            assert (self.state is State.PARKED) == self.process.calls, f"{self} with {self.process}"

    def _fits(self, turn: str) -> bool:
        process, asked = self.process, self.pending[turn]
        assert process is not None
        assert process.calls == self.session.parked, f"{self} with {process}"
        return process.profile == asked.profile and (asked.results or not process.calls)

    def _do(self, effect: ev.Effect) -> None:
        match effect:
            case ev.AcquireSlot():
                self.world.acquire(self)
            case ev.CancelAcquire():
                self.world.timers.discard(self.key)
                self.world.carry_out(self.world.pool.cancel(self.key))
            case ev.ReleaseSlot():
                assert self.has_slot, f"{self} gives back a slot that it does not hold"
                assert self.process is None, f"{self} gives back the slot of a process that lives"
                self.has_slot = False
                self.world.carry_out(self.world.pool.release(self.key))
            case ev.StartProcess(epoch):
                assert self.has_slot
                assert self.process is None, f"{self} starts a second process"
                self.process = Process(epoch, self.pending[self.session.current or ""].profile)
            case ev.SendTurn(turn):
                self._send(turn)
            case ev.UndoTurn(turn):
                assert self.process is not None
                self.undoing.append((turn, self.session.epoch))
            case ev.GoBack() | ev.Edit():
                assert self.process is not None, f"{self} goes back without a process"
                assert self.process.turn is None, f"{self} goes back during {self.process.turn}"
                assert self.going_back is None, f"{self} goes back twice at once"
                self.going_back = self.session.epoch
            case ev.StopProcess():
                assert self.process is not None, f"{self} stops a process that it does not have"
                self.process.stopping = True
            case ev.RefuseTurn(turn, why):
                self.answer(turn, why)
            case ev.Forget():
                assert not self.forgotten
                self.forgotten = True

    def _send(self, turn: str) -> None:
        process, asked = self.process, self.pending[turn]
        assert process is not None
        assert process.ready, f"{turn} is sent before the process is ready"
        assert not process.stopping, f"{turn} is sent to a process that stops"
        assert process.turn is None, f"{turn} is sent while {process.turn} runs"
        assert self.going_back is None, f"{turn} is sent to a process that goes back"
        assert process.profile == asked.profile, f"{turn} is sent to a process of another profile"
        assert asked.results or not process.calls, f"{turn} is sent to a process that waits for results"
        assert self.session.interactive or not process.used, f"{turn} is sent to a used process"
        number = int(turn.removeprefix("turn"))
        assert number > self._last_sent, f"{turn} is sent after turn{self._last_sent}"
        self._last_sent = number
        process.turn = turn
        process.used += 1
        process.calls, process.resumed = False, process.calls

    # What the process does

    @property
    def under_way(self) -> bool:
        """Something will happen by itself."""
        process = self.process
        if process is None or self.going_back is not None:
            return bool(self.undoing) or self.going_back is not None
        return bool(self.undoing) or process.stopping or not process.ready or process.turn is not None

    def advance(self, *, well: bool, parked: bool = False) -> None:
        """Let the next thing that is under way end, well or badly; a turn perhaps with calls."""
        process = self.process
        if self.undoing:
            self.undo_ends(well=well)
        elif self.going_back is not None:
            self.is_back(well=well)
        elif process is None:
            return
        elif not process.ready:
            self.start_succeeds() if well else self.start_fails()
        elif process.stopping:
            self.exits()
        else:
            self.turn_ends(well=well, parked=parked)

    def start_succeeds(self) -> None:
        """The process answers its handshake, perhaps although its stop is wanted already."""
        assert self.process is not None
        self.process.ready = True
        self.post(ev.ProcessReady(self.process.epoch))

    def start_fails(self) -> None:
        """The start fails or was cancelled; nothing of it is left."""
        assert self.process is not None
        epoch, self.process = self.process.epoch, None
        self.post(ev.StartFailed(epoch))

    def exits(self) -> None:
        """The process is reaped, whatever it was doing; that it went back is told first."""
        assert self.process is not None
        if self.going_back is not None:
            self.is_back(well=False)
        epoch, self.process = self.process.epoch, None
        self.post(ev.ProcessExited(epoch))

    def turn_ends(self, *, well: bool, parked: bool = False) -> None:
        """The process reports the end of its turn; nobody listens any more when the turn was cut.

        `parked`: the answer ends with calls of the client's tools.
        """
        assert self.process is not None
        turn, self.process.turn = self.process.turn, None
        if turn is None or self.session.current != turn or self.state is not State.BUSY:
            return
        epoch = self.process.epoch
        self.answer(turn, "finished" if well else "broken")
        self.process.calls = well and parked
        self.post(ev.TurnFinished(epoch, parked) if well else ev.TurnBroken(epoch))

    def is_back(self, *, well: bool) -> None:
        """Turns were taken back or the history was edited: the process fits that, or it is only in the store."""
        epoch, self.going_back = self.going_back, None
        assert epoch is not None
        self.post(ev.TurnUndone(epoch) if well else ev.UndoFailed(epoch))

    def undo_ends(self, *, well: bool) -> None:
        """The undoing of a turn comes to its end, which cannot be a good one without the process.

        A turn that brought results can be undone only as long as they were not given: the calls are open as before.
        """
        turn, epoch = self.undoing.pop(0)
        process = self.process
        alive = process is not None and process.epoch == epoch
        if process is not None and alive:
            if process.turn == turn:
                process.turn = None
            process.calls = well and process.resumed
        self.post(ev.TurnUndone(epoch) if well and alive else ev.UndoFailed(epoch))


@dataclass
class World:
    """What the manager is: the conversations, and the pool that they share."""

    settings: Settings = field(default_factory=Settings)

    def __post_init__(self) -> None:
        self.pool = SlotPool(self.settings.size, self.settings.max_waiting)
        self.open: dict[str, Conversation] = {}
        self.by_key: dict[str, Conversation] = {}
        self.everyone: list[Conversation] = []
        self.timers: set[str] = set()
        self.answers: dict[str, str] = {}
        self.turns: dict[str, Conversation] = {}
        self.grants: Counter[str] = Counter()
        self.spared: set[str] = set()
        self.draining = False

    # What clients and operators do

    def submit(self, name: str, profile: int = 0, *, results: bool = False) -> str:
        """A client sends a turn, or the results of calls; its id is returned."""
        conversation = self.open.get(name)
        if conversation is None:
            key = f"{name}{len(self.everyone)}"
            conversation = Conversation(key, name, self, kept=name not in self.settings.unkept)
            self.open[name] = self.by_key[conversation.key] = conversation
            self.everyone.append(conversation)
        return self.request(conversation, profile, results=results)

    def request(self, conversation: Conversation, profile: int = 0, *, results: bool = False) -> str:
        """The same for one conversation, also when it is deleted already."""
        turn = f"turn{len(self.turns)}"
        self.turns[turn] = conversation
        conversation.pending[turn] = Asked(profile, results)
        conversation.post(ev.TurnRequested(turn))
        return turn

    def cut(self, turn: str) -> None:
        """The client of a turn leaves."""
        if turn in self.turns[turn].pending:
            self.turns[turn].post(ev.TurnCut(turn))

    def delete(self, name: str) -> None:
        """A conversation is to be forgotten; its name is free at once."""
        self.open.pop(name).post(ev.Deleted())

    def drain(self) -> None:
        """The server shuts down."""
        self.draining = True
        for conversation in list(self.open.values()):
            conversation.post(ev.Drained())

    def expire(self, key: str) -> None:
        """A conversation has waited long enough for a slot."""
        self.timers.discard(key)
        self.pool.cancel(key)
        self.by_key[key].post(ev.WaitExpired())

    def spare_no_longer(self, key: str) -> None:
        """A client has run its tools for so long that its process may be needed elsewhere."""
        self.spared.discard(key)
        conversation = self.by_key.get(key)
        if conversation is not None and conversation.state is State.PARKED:
            self.carry_out(self.pool.mark_idle(key))

    # What the manager does for actors

    def acquire(self, conversation: Conversation) -> None:
        """Queue the conversation for a slot."""
        decision = self.pool.request(conversation.key)
        if decision is None:
            conversation.post(ev.WaitExpired())
            return
        self.timers.add(conversation.key)
        self.carry_out(decision)

    def carry_out(self, decision: Decision) -> None:
        """Hand out what the pool decided."""
        for key in decision.grant:
            self.timers.discard(key)
            conversation = self.by_key.get(key)
            if conversation is None:
                self.carry_out(self.pool.release(key))
                continue
            assert not conversation.has_slot, f"{conversation} gets a second slot"
            conversation.has_slot = True
            self.grants[key] += 1
            conversation.post(ev.SlotGranted())
        for key in decision.evict:
            if (victim := self.by_key.get(key)) is not None:
                victim.post(ev.StopWanted(StopReason.EVICTED))

    def changed(self, conversation: Conversation) -> None:
        """Tell the pool; drop a conversation that has nothing to keep."""
        key, state = conversation.key, conversation.state
        if state is State.PARKED:
            self.spared.add(key)
        if state is State.IDLE:
            self.carry_out(self.pool.mark_idle(key))
        elif state in {State.STOPPING, State.CLOSING}:
            self.carry_out(self.pool.mark_leaving(key))
        elif state in WITH_PROCESS:
            self.carry_out(self.pool.mark_busy(key))
        elif state is State.CLOSED or conversation.empty:
            self.by_key.pop(key, None)
            if self.open.get(conversation.name) is conversation:
                del self.open[conversation.name]

    # What tests ask and want

    def could_make_room(self, conversation: Conversation) -> bool:
        """Whether its process can be stopped for another: idle ones at once, parked ones after a while."""
        state = conversation.state
        return state is State.IDLE or (state is State.PARKED and conversation.key not in self.spared)

    def processes(self) -> Iterator[tuple[Conversation, Process]]:
        """Every process that is not reaped, with its conversation."""
        for conversation in self.everyone:
            if conversation.process is not None:
                yield conversation, conversation.process

    def unanswered(self) -> list[str]:
        """The turns whose clients still wait."""
        return [turn for turn in self.turns if turn not in self.answers]

    def settle(self, *, parked: bool = False) -> None:
        """Let everything that is under way come to a good end, what it causes included."""
        for _ in range(1000):
            busy = [conversation for conversation in self.everyone if conversation.under_way]
            if not busy:
                return
            for conversation in busy:
                conversation.advance(well=True, parked=parked)
        raise AssertionError(f"the world does not come to rest: {self.everyone}")
