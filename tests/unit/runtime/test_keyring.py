"""How fresh the keys are that a running server goes by, and what that costs."""

from __future__ import annotations

import asyncio

import pytest

from claude_code_api.core.keys import ApiKey
from claude_code_api.errors import StoreUnavailable
from claude_code_api.runtime import keyring
from claude_code_api.runtime.keyring import Keyring

KEY = ApiKey("a", "digest", "default", "alice", None, False, 1.0, None, None)


class Shelf:
    """Keys that change; counts how often they are read."""

    def __init__(self) -> None:
        self.there: list[ApiKey] = []
        self.reads = 0
        self.fails = False
        self.reading = asyncio.Event()
        self.reading.set()

    async def keys(self) -> list[ApiKey]:
        """Every key."""
        self.reads += 1
        await asyncio.sleep(0)
        await self.reading.wait()
        if self.fails:
            raise StoreUnavailable("locked", retry_after=5)
        return list(self.there)


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyring, "_FRESH_S", 0.1)
    monkeypatch.setattr(keyring, "_OLD_S", 0.3)


async def test_many_requests_share_one_read_and_a_change_is_seen_when_it_is_old() -> None:
    shelf = Shelf()
    ring = Keyring(shelf)
    assert await asyncio.gather(*(ring.known() for _ in range(20))) == [{}] * 20
    shelf.there = [KEY]
    assert await ring.known() == {}
    assert shelf.reads == 1
    await asyncio.sleep(0.31)
    assert await ring.known() == {"a": KEY}
    assert shelf.reads == 2


async def test_under_steady_use_nobody_waits_and_a_change_is_seen_all_the_same() -> None:
    shelf = Shelf()
    ring = Keyring(shelf)
    await ring.known()
    shelf.there = [KEY]
    await asyncio.sleep(0.11)
    shelf.reading.clear()
    assert await asyncio.gather(*(ring.known() for _ in range(20))) == [{}] * 20, "it is being read"
    shelf.reading.set()
    await ring.close()
    assert await ring.known() == {"a": KEY}
    assert shelf.reads == 2


async def test_a_read_that_takes_too_long_is_waited_for() -> None:
    shelf = Shelf()
    ring = Keyring(shelf)
    await ring.known()
    shelf.there = [KEY]
    shelf.reading.clear()
    await asyncio.sleep(0.11)
    assert await ring.known() == {}
    await asyncio.sleep(0.2)
    late = asyncio.create_task(ring.known())
    await asyncio.sleep(0.05)
    assert not late.done()
    shelf.reading.set()
    assert await late == {"a": KEY}
    assert shelf.reads == 2


async def test_what_cannot_be_read_lets_nobody_in_by_what_was_known() -> None:
    shelf = Shelf()
    shelf.there = [KEY]
    ring = Keyring(shelf)
    await ring.known()
    shelf.fails = True
    await asyncio.sleep(0.31)
    with pytest.raises(StoreUnavailable):
        await ring.known()
    shelf.fails = False
    assert await ring.known() == {"a": KEY}


async def test_a_request_that_leaves_during_the_read_does_not_stop_the_others() -> None:
    ring = Keyring(Shelf())
    first, second = asyncio.create_task(ring.known()), asyncio.create_task(ring.known())
    await asyncio.sleep(0)
    first.cancel()
    assert await second == {}
