"""What is written after a turn is tried until the store takes it, or the server ends."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from claude_code_api.errors import StoreUnavailable
from claude_code_api.runtime import aftermath
from claude_code_api.runtime.aftermath import Aftermath
from claude_code_api.runtime.tasks import Tasks
from tests.unit.runtime.no_store import NoStore

FULL = StoreUnavailable("The store is full at the moment; nothing was written.")
FOR_EVER = 10**9


class FullStore(NoStore):
    """Refuses so many writes and takes the others. `asked` counts both."""

    def __init__(self, refuses: int = 0, error: Exception = FULL) -> None:
        self.refuses = refuses
        self.error = error
        self.asked = 0
        self.ends: list[tuple[str, str, str]] = []
        self.arrived: list[list[str]] = []

    def _take(self) -> None:
        self.asked += 1
        if self.refuses:
            self.refuses -= 1
            raise self.error

    async def end(self, turn_id: str, *, error_code: str, message: str) -> None:
        self._take()
        self.ends.append((turn_id, error_code, message))

    async def delivered(self, turn_ids: Sequence[str]) -> None:
        self._take()
        self.arrived.append(list(turn_ids))


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aftermath, "_GATHER_S", 0.001)
    monkeypatch.setattr(aftermath, "_PAUSE_S", 0.001)


async def drained(tasks: Tasks) -> None:
    async with asyncio.timeout(5):
        await tasks.drain()


async def until_asked(store: FullStore, times: int) -> None:
    async with asyncio.timeout(5):
        while store.asked < times:
            await asyncio.sleep(0)


async def test_an_end_is_written_at_once() -> None:
    store, tasks = FullStore(), Tasks()
    Aftermath(store, tasks).ended("t1", error_code="turn_timeout", message="It took too long.")
    await asyncio.sleep(0)
    assert store.ends == [("t1", "turn_timeout", "It took too long.")]
    await drained(tasks)


async def test_an_end_that_is_refused_for_a_while_is_written_in_the_end() -> None:
    store, tasks = FullStore(refuses=3), Tasks()
    Aftermath(store, tasks).ended("t1", error_code="turn_timeout", message="It took too long.")
    await drained(tasks)
    assert (store.ends, store.asked) == ([("t1", "turn_timeout", "It took too long.")], 4)


async def test_a_store_that_refuses_is_asked_once_for_all_that_waits() -> None:
    store, tasks = FullStore(refuses=3), Tasks()
    after = Aftermath(store, tasks)
    for number in range(50):
        after.ended(f"t{number}", error_code="turn_timeout", message="It took too long.")
    await drained(tasks)
    assert store.ends == [(f"t{number}", "turn_timeout", "It took too long.") for number in range(50)]
    assert store.asked == 3 + 50


async def test_what_ends_while_another_end_waits_is_written_too() -> None:
    store, tasks = FullStore(refuses=FOR_EVER), Tasks()
    after = Aftermath(store, tasks)
    after.ended("t1", error_code="turn_timeout", message="It took too long.")
    await until_asked(store, 2)
    after.ended("t2", error_code="process_died", message="It died.")
    store.refuses = 0
    await drained(tasks)
    assert store.ends == [("t1", "turn_timeout", "It took too long."), ("t2", "process_died", "It died.")]


async def test_answers_that_arrive_together_are_written_together() -> None:
    store, tasks = FullStore(), Tasks()
    after = Aftermath(store, tasks)
    for name in ("t1", "t2", "t3"):
        after.delivered(name)
    await drained(tasks)
    assert store.arrived == [["t1", "t2", "t3"]]


async def test_an_answer_is_known_to_have_arrived_until_the_store_knows_it() -> None:
    store, tasks = FullStore(refuses=FOR_EVER), Tasks()
    after = Aftermath(store, tasks)
    after.delivered("t1")
    await until_asked(store, 3)
    assert after.is_delivered("t1")
    assert not after.is_delivered("t2")
    store.refuses = 0
    await drained(tasks)
    assert store.arrived == [["t1"]]
    assert not after.is_delivered("t1")


async def test_closing_ends_the_retries_after_one_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aftermath, "_PAUSE_S", 3600.0)
    store, tasks = FullStore(refuses=FOR_EVER), Tasks()
    after = Aftermath(store, tasks)
    after.ended("t1", error_code="turn_timeout", message="It took too long.")
    after.delivered("t2")
    await until_asked(store, 2)
    after.close()
    await drained(tasks)
    assert (store.asked, store.ends, store.arrived) == (4, [], [])


async def test_what_waits_is_written_at_the_close_when_the_store_takes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aftermath, "_GATHER_S", 3600.0)
    monkeypatch.setattr(aftermath, "_PAUSE_S", 3600.0)
    store, tasks = FullStore(refuses=1), Tasks()
    after = Aftermath(store, tasks)
    after.ended("t1", error_code="turn_timeout", message="It took too long.")
    after.delivered("t2")
    await until_asked(store, 1)
    after.close()
    await drained(tasks)
    assert (store.ends, store.arrived) == ([("t1", "turn_timeout", "It took too long.")], [["t2"]])


async def test_a_defect_of_one_write_does_not_stop_those_that_follow() -> None:
    store, tasks = FullStore(refuses=1, error=RuntimeError("a defect")), Tasks()
    after = Aftermath(store, tasks)
    after.delivered("t1")
    await drained(tasks)
    after.delivered("t2")
    await drained(tasks)
    assert store.arrived == [["t1", "t2"]]
