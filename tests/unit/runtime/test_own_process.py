"""A conversation's process: what its actor is told, whenever it asks for an end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest

from claude_code_api.core import events as ev
from claude_code_api.core.turn import Block, Message, Options, StartKind, Tool, TurnInput
from claude_code_api.errors import StartFailed
from claude_code_api.runtime.host import Host
from claude_code_api.runtime.own_process import OwnProcess
from claude_code_api.runtime.ports import Binding, Emit, Entry, Launch, Origin, Profile
from claude_code_api.runtime.record import Record
from claude_code_api.runtime.stats import Stats
from claude_code_api.runtime.tasks import Tasks
from claude_code_api.runtime.unstored import Unstored

HELLO = Message("user", ({"type": "text", "text": "Hello"},))
HISTORY = (HELLO, Message("assistant", ({"type": "text", "text": "Hi."},)))
EDITED = (HELLO, Message("assistant", ({"type": "text", "text": "Ho."},)))


def asked(model: str = "sonnet", **more: Any) -> TurnInput:
    return TurnInput(HELLO, model, "Be kind.", **more)


class FakeAgent:
    """A process that runs until it is stopped."""

    pid, place, alive, origin = 4711, "place", True, Origin.FRESH
    cli_session_id, cost_usd, last_frame_at = "session", 0.0, 0.0
    entries: tuple[Entry, ...] = ()

    def __init__(self) -> None:
        self.stops: list[bool] = []
        self._gone = asyncio.Event()

    def takes(self, options: Options) -> bool:
        return True

    def send(self, turn: str, content: tuple[Block, ...], options: Options, emit: Emit) -> None:
        raise AssertionError("no turn is sent here")

    async def rewind(self, turns: Sequence[str], taken_back: Callable[[str], None]) -> bool:
        raise AssertionError("no turn is taken back here")

    def note_stored(self, entries: int) -> None:
        raise AssertionError("nothing is stored here")

    async def undo(self, turn: str) -> bool:
        return True

    def decide(self, call: str, *, allowed: bool, message: str | None) -> bool:
        raise AssertionError("nobody decides here")

    async def halt(self, turn: str) -> bool:
        raise AssertionError("no turn is halted here")

    async def stop(self, *, flush: bool) -> None:
        self.stops.append(flush)
        self._gone.set()

    async def exited(self) -> str:
        await self._gone.wait()
        return ""


class FakeHost:
    """Starts the one agent when `let` is set; `deaf` to a cancel, as a start is that has just come to its end."""

    def __init__(self, *, deaf: bool = False, error: StartFailed | None = None) -> None:
        self.agent = FakeAgent()
        self.let = asyncio.Event()
        self.launched: list[Launch] = []
        self.tasks = Tasks()
        self.stats = Stats()
        self.launcher = self
        self._deaf = deaf
        self._error = error

    async def start(self, launch: Launch) -> FakeAgent:
        self.launched.append(launch)
        try:
            await self.let.wait()
        except asyncio.CancelledError:
            if not self._deaf:
                raise
        if self._error is not None:
            raise self._error
        return self.agent


class World:
    """A process of its own, and the events that its actor got."""

    def __init__(self, **host: Any) -> None:
        self.host = FakeHost(**host)
        self.events: list[ev.Event] = []
        self.record = Record("default", "conversation")
        self.process = OwnProcess(self.record, cast(Host, self.host), Unstored(), self.events.append)

    def start(self, epoch: int = 1, asked: TurnInput = asked(), *, resumable: bool = False) -> None:
        self.process.start(epoch, asked, resumable=resumable)

    async def settled(self) -> list[ev.Event]:
        """The events, once nothing more happens by itself."""
        for _ in range(10):
            await asyncio.sleep(0)
        return self.events


async def test_a_start_and_an_end() -> None:
    world = World()
    world.start()
    assert await world.settled() == []
    world.host.let.set()
    assert await world.settled() == [ev.ProcessReady(1)]
    assert (world.process.pid, world.record.place) == (4711, "place")
    assert [world.process.take_kind(StartKind.LIVE) for _ in range(2)] == [StartKind.COLD, StartKind.LIVE]
    assert world.process.fits(asked(), parked=False)
    assert not world.process.fits(asked("opus"), parked=False)
    world.process.stop(flush=True)
    assert await world.settled() == [ev.ProcessReady(1), ev.ProcessExited(1)]
    assert world.host.agent.stops == [True]
    world.process.drop()
    assert world.process.pid is None
    assert not world.process.fits(asked(), parked=False)


async def test_nothing_fits_a_process_that_is_dead_or_not_there_yet() -> None:
    world = World()
    world.start()
    await world.settled()
    assert not world.process.fits(asked(), parked=False)
    world.host.let.set()
    await world.settled()
    world.host.agent.alive = False
    assert not world.process.fits(asked(), parked=False)


async def test_a_process_is_started_for_the_turn_as_it_is() -> None:
    look = Tool("look", "Looks.", {"properties": {}})
    world = World()
    world.start(asked=asked(schema={"type": "object"}, options=Options(tools=(look,))))
    await world.settled()
    (launch,) = world.host.launched
    assert launch.profile == Profile("sonnet", "Be kind.", "chat", '{"type":"object"}')
    assert launch.options.tools == (look,)
    assert (launch.place, launch.binding, launch.history) == (None, None, ())


@pytest.mark.parametrize(("sent", "resumed"), [(None, True), (HISTORY, True), (EDITED, False), ((), False)])
async def test_a_conversation_is_resumed_for_its_own_history_and_forked_for_another(
    sent: tuple[Message, ...] | None, resumed: bool
) -> None:
    world = World()
    binding = Binding("session", "leaf")
    world.record.history, world.record.binding, world.record.place = list(HISTORY), binding, "place"
    world.host.let.set()
    world.start(asked=asked(history=sent), resumable=True)
    await world.settled()
    (launch,) = world.host.launched
    assert launch.binding == (binding if resumed else None)
    assert launch.history == (HISTORY if resumed else sent)
    assert world.process.take_kind(StartKind.LIVE) is (StartKind.RESUMED if resumed else StartKind.FORKED)


async def test_what_nobody_has_answered_is_no_part_of_what_a_process_starts_with() -> None:
    world = World()
    binding = Binding("session", "leaf")
    world.record.history, world.record.binding, world.record.place = [*HISTORY, HELLO], binding, "place"
    world.host.let.set()
    world.start(asked=asked(), resumable=True)
    await world.settled()
    (launch,) = world.host.launched
    assert (launch.binding, launch.history) == (binding, HISTORY)
    assert world.process.take_kind(StartKind.LIVE) is StartKind.RESUMED
    assert world.process.fits(asked(), parked=False)
    world.record.history.pop()
    assert world.process.fits(asked(), parked=False)


@pytest.mark.parametrize("origin", [Origin.FRESH, Origin.SPARE])
async def test_a_conversation_that_was_made_before_its_first_turn_starts_like_a_new_one(origin: Origin) -> None:
    world = World()
    world.host.agent.origin = origin
    world.record.history.append(HELLO)
    world.host.let.set()
    world.start(asked=asked(), resumable=True)
    await world.settled()
    (launch,) = world.host.launched
    assert (launch.place, launch.binding, launch.history) == (None, None, ())
    started = StartKind.WARM if origin is Origin.SPARE else StartKind.COLD
    assert world.process.take_kind(StartKind.LIVE) is started


async def test_a_start_that_fails_says_why() -> None:
    world = World(error=StartFailed("no memory"))
    world.host.let.set()
    world.start()
    assert await world.settled() == [ev.StartFailed(1)]
    assert str(world.process.start_error) == "no memory"


async def test_a_start_that_is_stopped_is_cancelled() -> None:
    world = World()
    world.start()
    await world.settled()
    world.process.stop(flush=False)
    world.process.stop(flush=False)
    assert await world.settled() == [ev.StartFailed(1)]
    assert world.process.start_error is None


async def test_a_start_that_comes_to_its_end_when_it_is_stopped_leaves_no_process() -> None:
    world = World(deaf=True)
    world.start()
    await world.settled()
    world.process.stop(flush=True)
    assert await world.settled() == [ev.ProcessReady(1), ev.ProcessExited(1)]
    assert world.host.agent.stops == [False]


async def test_a_start_that_has_ended_a_moment_before_it_is_stopped_leaves_no_process() -> None:
    world = World()
    world.host.let.set()
    world.start()
    await asyncio.sleep(0)  # the start is done, and nobody was told yet
    assert world.process.agent is None
    world.process.stop(flush=True)
    assert await world.settled() == [ev.ProcessReady(1), ev.ProcessExited(1)]


@pytest.mark.parametrize("ready", [True, False])
async def test_a_stop_under_another_generation_answers_under_it(ready: bool) -> None:
    world = World()
    if ready:
        world.host.let.set()
    world.start()
    await world.settled()
    assert world.process.stop_as(7)
    answered = await world.settled()
    assert (ev.ProcessExited(7) if ready else ev.StartFailed(7)) in answered


async def test_without_a_process_there_is_nothing_to_stop() -> None:
    assert not World().process.stop_as(7)


async def test_the_next_start_does_not_inherit_that_the_last_one_was_unwanted() -> None:
    world = World()
    world.start()
    await world.settled()
    world.process.stop(flush=False)
    await world.settled()
    world.host.let.set()
    world.start(epoch=2)
    assert await world.settled() == [ev.StartFailed(1), ev.ProcessReady(2)]
    assert world.host.agent.stops == []


async def test_an_end_waits_for_the_answer_that_is_being_stored() -> None:
    world = World()
    world.host.let.set()
    world.start()
    await world.settled()
    stored = asyncio.Event()

    async def store() -> None:
        await stored.wait()

    world.process.committing = world.host.tasks.spawn(store(), "commit")
    world.process.stop(flush=False)
    assert await world.settled() == [ev.ProcessReady(1)]
    stored.set()
    assert await world.settled() == [ev.ProcessReady(1), ev.ProcessExited(1)]
