"""What a response says while nobody listens is written down, a few times a second, and told to whoever asks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, cast

import pytest

from claude_code_api.core.turn import TextDelta, TurnCompleted, TurnEvent, TurnFailed, Usage
from claude_code_api.errors import GatewayError, StoreUnavailable, TurnCancelled
from claude_code_api.runtime import aftermath as notes
from claude_code_api.runtime import background
from claude_code_api.runtime.aftermath import Aftermath
from claude_code_api.runtime.background import Backgrounds, Reader
from claude_code_api.runtime.stream import TurnStream
from claude_code_api.runtime.tasks import Tasks
from claude_code_api.runtime.ticket import Running, Ticket
from tests.unit.runtime.test_edits import World as Server

FULL = StoreUnavailable("The store is full at the moment; nothing was written.")
DONE = TurnCompleted("end_turn", "sonnet", Usage(), None)
CUT = TurnFailed(TurnCancelled("The turn was interrupted."))
FOR_EVER = 3600.0

Event = Mapping[str, Any]


class Journal:
    """Keeps the events of one response in memory; waits for `let`, and refuses so many writes, or all reads."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.kept: list[Event] = []
        self.deleted = False
        self.refuses = 0
        self.unreadable = False
        self.error: Exception = FULL
        self.asked = 0
        self.read = 0
        self.ended: list[str] = []
        self.let = asyncio.Event()
        self.let.set()
        self.refuses_ends = False
        self.let_end = asyncio.Event()
        self.let_end.set()

    async def append_events(self, turn_id: str, first: int, events: Sequence[Event]) -> bool:
        self.asked += 1
        await self.let.wait()
        if self.refuses:
            self.refuses -= 1
            raise self.error
        if self.deleted:
            return False
        numbers = [event["sequence_number"] for event in events]
        assert numbers == list(range(first, first + len(events)))
        assert first == len(self.kept), "a hole, or something twice"
        self.batches.append(numbers)
        self.kept += events
        return True

    async def events(self, turn_id: str, *, after: int) -> list[Event]:
        self.read += 1
        if self.unreadable:
            raise self.error
        return [] if self.deleted else self.kept[after + 1 :]

    async def end(self, turn_id: str, **_: object) -> None:
        await self.let_end.wait()
        if self.refuses_ends:
            raise self.error
        self.ended.append(turn_id)

    async def delivered(self, turn_ids: Sequence[str]) -> None:
        pass


class World:
    """One turn, what its response says, and what it is recorded by."""

    def __init__(self) -> None:
        self.store = Journal()
        self.tasks = Tasks()
        self.stream = TurnStream()
        self.cuts = 0
        self.arrived = 0
        self.aftermath = Aftermath(cast(Any, self.store), self.tasks)
        self.backgrounds = self.restarted()
        self.running = Running(
            *("conversation", "turn", "fingerprint"),
            created_at=1.0,
            stream=self.stream,
            replayed=False,
            cut=self._cut,
            halt=lambda: False,
            delivered=self._delivered,
        )
        self._number = 0
        self._said: asyncio.Queue[Event | Exception | None] = asyncio.Queue()

    def restarted(self) -> Backgrounds:
        return Backgrounds(cast(Any, self.store), self.tasks, self.aftermath)

    def _cut(self, error: GatewayError | None) -> None:
        self.cuts += 1
        if not self.stream.ended:
            self.aftermath.ended("turn", error_code="turn_cancelled", message="Cut.")
            self.say("response.failed")
            self.end(CUT)

    def _delivered(self) -> None:
        self.arrived += 1

    async def _events(self) -> AsyncIterator[Event]:
        while (event := await self._said.get()) is not None:
            if isinstance(event, Exception):
                raise event
            yield event

    def run(self) -> Ticket:
        ticket = Ticket(self.running)
        self.backgrounds.run(ticket, self._events())
        return ticket

    def say(self, *types: str) -> None:
        for kind in types:
            self._said.put_nowait({"type": kind, "sequence_number": self._number})
            self._number += 1

    def end(self, event: TurnEvent = DONE) -> None:
        """The turn is over, and so is what its response says."""
        self.stream.put(event)
        self._said.put_nowait(None)

    def break_off(self, error: Exception) -> None:
        self._said.put_nowait(error)

    def follow(self, after: int = -1) -> asyncio.Task[list[int]]:
        """Read to the end."""
        return asyncio.create_task(numbers(self.backgrounds.read("turn", after)))

    async def settle(self) -> None:
        for _ in range(30):
            await asyncio.sleep(0)

    async def over(self) -> None:
        async with asyncio.timeout(5):
            await self.tasks.drain()


async def numbers(reader: Reader) -> list[int]:
    return [event["sequence_number"] async for event in reader]


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "_GATHER_S", 0.001)
    monkeypatch.setattr(background, "_PAUSE_S", 0.001)
    monkeypatch.setattr(notes, "_GATHER_S", 0.001)
    monkeypatch.setattr(notes, "_PAUSE_S", 0.001)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    await world.tasks.cancel()


# What is written, and when


async def test_the_first_event_is_written_at_once_and_what_follows_is_gathered(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "_GATHER_S", 0.05)
    world.run()
    world.say("response.queued")
    await world.settle()
    assert world.store.batches == [[0]]
    world.say("a", "b")
    await world.settle()
    assert world.store.batches == [[0]]
    await asyncio.sleep(0.08)
    assert world.store.batches == [[0], [1, 2]]


async def test_the_last_event_is_written_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "_GATHER_S", FOR_EVER)
    world.run()
    world.say("response.queued")
    await world.settle()
    world.say("a", "b", "response.completed")
    await world.settle()
    assert world.store.batches == [[0]]
    world.end()
    await world.over()
    assert world.store.batches == [[0], [1, 2, 3]]


async def test_many_events_are_few_writes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "_GATHER_S", 0.03)
    world.run()
    begun = asyncio.get_running_loop().time()
    for _ in range(200):
        world.say("delta")
        await asyncio.sleep(0.0005)
    took = asyncio.get_running_loop().time() - begun
    world.end()
    await world.over()
    assert [number for batch in world.store.batches for number in batch] == list(range(200))
    assert 3 <= len(world.store.batches) <= took / 0.03 + 3


async def test_what_comes_during_a_slow_write_is_written_after_it(world: World) -> None:
    world.store.let.clear()
    world.run()
    world.say("a")
    await world.settle()
    world.say("b", "c")
    world.end()
    await world.settle()
    assert world.store.asked == 1
    world.store.let.set()
    await world.over()
    assert world.store.batches == [[0], [1, 2]]


async def test_the_turn_goes_on_without_a_reader_and_counts_as_delivered_at_the_end(world: World) -> None:
    world.run()
    world.say("a", "b")
    await world.settle()
    assert (world.running.readers, world.cuts, world.arrived) == (1, 0, 0)
    world.store.let.clear()
    world.say("response.completed")
    world.end()
    await asyncio.sleep(0.005)
    assert (world.store.asked, world.arrived) == (2, 0)
    world.store.let.set()
    await world.over()
    assert (world.running.readers, world.cuts, world.arrived) == (0, 0, 1)


async def test_a_response_that_says_nothing_is_over_with_its_turn(world: World) -> None:
    world.run()
    following = world.follow()
    world.end()
    await world.over()
    assert (await following, world.store.asked) == ([], 0)


async def test_a_turn_is_recorded_once(world: World) -> None:
    world.run()
    world.say("a")
    world.run()  # another request with the same key
    await world.settle()
    assert (world.running.readers, world.cuts) == (1, 0)
    world.say("b")
    world.end()
    await world.over()
    assert [number for batch in world.store.batches for number in batch] == [0, 1]
    world.running.replayed = True
    world.run()
    await world.over()
    assert (len(world.store.kept), world.running.readers) == (2, 0)


# Who reads


async def test_readers_get_what_is_stored_and_then_what_comes_each_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.run()
    first = world.follow()
    world.say("a", "b")
    await asyncio.sleep(0.01)
    second, third, ahead = world.follow(), world.follow(0), world.follow(3)
    world.say("c")
    await asyncio.sleep(0.01)
    fourth = world.follow(1)
    world.say("d", "e", "f")
    world.end()
    await world.over()
    assert await first == await second == list(range(6))
    assert (await third, await fourth, await ahead) == ([1, 2, 3, 4, 5], [2, 3, 4, 5], [4, 5])
    assert await world.follow(2) == [3, 4, 5], "what is over is read from the store"


async def test_nothing_is_passed_on_before_it_is_on_the_disk(world: World) -> None:
    world.store.let.clear()
    world.run()
    reader = world.backgrounds.read("turn", -1)
    reading = asyncio.create_task(reader.__anext__())
    world.say("a")
    await world.settle()
    assert not reading.done()
    world.store.let.set()
    assert (await reading)["type"] == "a"


async def test_who_keeps_up_asks_the_store_nothing(world: World) -> None:
    world.run()
    following = [world.follow() for _ in range(3)]
    for _ in range(10):
        world.say("a")
        await asyncio.sleep(0.003)
    world.end()
    await world.over()
    assert await asyncio.gather(*following) == [list(range(10))] * 3
    assert world.store.read == 0


async def test_a_reader_that_stops_reading_holds_nobody_up_and_misses_nothing(world: World) -> None:
    world.run()
    slow = world.backgrounds.read("turn", -1)
    world.say("a")
    assert (await anext(slow))["sequence_number"] == 0
    for _ in range(5):
        world.say("b", "c")
        await asyncio.sleep(0.003)
    world.end()
    await world.over()
    assert len(world.store.kept) == 11
    assert await numbers(slow) == list(range(1, 11))


async def test_a_read_that_is_cancelled_loses_nothing(world: World) -> None:
    world.run()
    reader = world.backgrounds.read("turn", -1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.005):
            await anext(reader)
    world.say("a")
    world.end()
    assert await numbers(reader) == [0]


async def test_a_reader_that_is_closed_ends_while_the_others_read_on(world: World) -> None:
    world.run()
    reader, following = world.backgrounds.read("turn", -1), world.follow()
    leaving = asyncio.create_task(numbers(reader))
    world.say("a")
    await world.settle()
    reader.close()
    assert await leaving == [0]
    world.say("b")
    world.end()
    assert await following == [0, 1]


async def test_after_a_restart_what_is_stored_is_read_and_nothing_is_waited_for(world: World) -> None:
    world.run()
    world.say("a", "b")
    await world.settle()
    after = world.restarted()
    assert await numbers(after.read("turn", -1)) == [0, 1]
    assert await numbers(after.read("turn", 1)) == []
    assert not await after.cut("turn")
    world.store.unreadable = True
    with pytest.raises(StoreUnavailable):
        await numbers(after.read("turn", -1))


# The store refuses


async def test_a_store_that_refuses_is_asked_until_it_takes_it_and_readers_wait(world: World) -> None:
    world.store.refuses = 10**9
    world.run()
    following = world.follow()
    world.say("a")
    await asyncio.sleep(0.01)
    world.say("b", "c")
    world.end()
    await asyncio.sleep(0.01)
    assert (following.done(), world.store.kept, world.arrived) == (False, [], 0)
    assert world.store.asked > 2
    world.store.refuses = 0
    assert await following == [0, 1, 2]
    await world.over()
    assert (world.store.batches, world.arrived) == ([[0], [1, 2]], 1)


async def test_a_refused_write_is_repeated_after_a_pause(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "_PAUSE_S", 0.05)
    world.store.refuses = 10**9
    world.run()
    world.say("a")
    await asyncio.sleep(0.12)
    assert 2 <= world.store.asked <= 4


async def test_who_is_behind_waits_for_a_store_that_cannot_be_read(world: World) -> None:
    world.run()
    world.say("a")
    await asyncio.sleep(0.005)
    world.say("b")
    await asyncio.sleep(0.005)
    world.store.unreadable = True
    following = world.follow()
    await asyncio.sleep(0.01)
    assert not following.done()
    world.store.unreadable = False
    world.say("c")
    world.end()
    assert await following == [0, 1, 2]


async def test_at_the_end_of_the_server_a_refused_write_is_tried_once_more(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "_PAUSE_S", FOR_EVER)
    world.store.refuses = 1
    world.run()
    following = world.follow()
    world.say("a")
    world.end()
    await world.settle()
    assert world.store.kept == []
    world.backgrounds.close()
    await world.over()
    assert (await following, world.arrived) == ([0], 1)


async def test_a_store_that_refuses_to_the_end_does_not_keep_the_server(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "_PAUSE_S", FOR_EVER)
    world.store.refuses = 10**9
    world.run()
    following = world.follow()
    world.say("a")
    world.end()
    await world.settle()
    world.backgrounds.close()
    await world.over()
    assert (await following, world.store.asked, world.arrived) == ([], 2, 0)


# It ends early


async def test_cutting_ends_the_turn_and_returns_when_that_is_stored(world: World) -> None:
    world.run()
    following = world.follow()
    world.say("a")
    await world.settle()
    world.store.let.clear()
    other = Ticket(world.running)  # somebody else reads the turn as well
    cutting = asyncio.create_task(world.backgrounds.cut("turn"))
    await asyncio.sleep(0.01)
    assert (world.cuts, cutting.done()) == (1, False)
    world.store.let.set()
    assert await cutting
    assert (world.store.kept[-1]["type"], await following) == ("response.failed", [0, 1])
    assert not await world.backgrounds.cut("turn")
    other.abandon()


async def test_cutting_waits_until_it_is_written_how_the_turn_ended(world: World) -> None:
    world.run()
    world.store.let_end.clear()
    cutting = asyncio.create_task(world.backgrounds.cut("turn"))
    await asyncio.sleep(0.01)
    assert (len(world.store.kept), cutting.done()) == (1, False)
    world.store.let_end.set()
    assert await cutting
    assert world.store.ended == ["turn"]


async def test_cutting_does_not_wait_for_what_is_given_up_at_the_end_of_the_server(world: World) -> None:
    world.store.refuses_ends = True
    world.run()
    cutting = asyncio.create_task(world.backgrounds.cut("turn"))
    await asyncio.sleep(0.01)
    assert not cutting.done()
    world.aftermath.close()
    await world.over()
    assert await cutting


async def test_an_answer_that_is_complete_is_not_cut(world: World) -> None:
    world.run()
    world.stream.put(DONE)
    cutting = asyncio.create_task(world.backgrounds.cut("turn"))
    await world.settle()
    assert not cutting.done()
    world.say("response.completed")
    world.end()
    assert await cutting
    assert [event["type"] for event in world.store.kept] == ["response.completed"]


async def test_a_turn_that_is_not_recorded_here_is_not_cut(world: World) -> None:
    assert not await world.backgrounds.cut("another")


async def test_when_the_response_is_deleted_its_turn_is_cut_and_its_readers_are_done(world: World) -> None:
    world.run()
    following, behind = world.follow(), world.backgrounds.read("turn", -1)
    world.say("a")
    await asyncio.sleep(0.005)
    world.say("b")
    await asyncio.sleep(0.005)
    world.store.deleted = True
    world.say("c")
    await asyncio.sleep(0.005)
    assert world.cuts == 1
    assert await following == [0, 1]
    assert await numbers(behind) == []
    await world.over()
    assert (len(world.store.batches), world.arrived) == (2, 0)


async def test_when_the_response_is_deleted_nobody_else_loses_its_turn(world: World) -> None:
    world.run()
    other = Ticket(world.running)
    world.store.deleted = True
    world.say("a")
    await world.over()
    assert (world.cuts, world.running.readers) == (0, 1)
    other.abandon()


@pytest.mark.parametrize("error", [RuntimeError("a defect"), GatewayError("another")])
async def test_events_that_break_off_leave_the_turn_alone(world: World, error: Exception) -> None:
    world.run()
    following = world.follow()
    world.say("a")
    world.break_off(error)
    await asyncio.sleep(0.005)
    assert (world.store.batches, following.done()) == ([[0]], False)
    world.stream.put(TextDelta("more"))
    world.stream.put(DONE)
    assert await following == [0]
    await world.over()
    assert (world.cuts, world.arrived) == (0, 1)


async def test_events_that_broke_off_can_still_be_cut(world: World) -> None:
    world.run()
    world.break_off(RuntimeError("a defect"))
    await asyncio.sleep(0.005)
    assert await world.backgrounds.cut("turn")
    assert world.stream.ended


async def test_a_defect_of_the_store_leaves_nobody_waiting(world: World) -> None:
    world.store.refuses, world.store.error = 1, RuntimeError("a defect")
    world.run()
    following = world.follow()
    world.say("a")
    assert await following == []
    assert world.cuts == 1
    assert not await world.backgrounds.cut("turn")


# With the server


async def events_of(ticket: Ticket) -> AsyncIterator[Event]:
    number = 0
    async for event in ticket.events():
        yield {"type": type(event).__name__, "sequence_number": number}
        number += 1


@pytest.mark.parametrize("refused", [False, True])
async def test_the_end_of_the_server_waits_for_the_last_write_if_there_can_be_one(refused: bool) -> None:
    server, journal = Server(), Journal()
    cast(Any, server.store).append_events = journal.append_events
    ticket = await server.ask("Hello")
    server.manager.backgrounds.run(ticket, events_of(ticket))
    await server.settle()
    assert [event["type"] for event in journal.kept] == ["TurnStarted"]
    journal.refuses = 10**9 if refused else 0
    async with asyncio.timeout(5):
        await server.manager.shutdown()
    assert [event["type"] for event in journal.kept] == ["TurnStarted", *([] if refused else ["TurnFailed"])]
