"""Who waits at a gate: in order, for so long, beside their own tenant only, and while their client is there."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from starlette.types import Message, Receive

from claude_code_api.api.gate import Gate
from claude_code_api.errors import CapacityExceeded, TurnCancelled


async def here() -> Message:
    """A client that stays."""
    await asyncio.Event().wait()
    raise AssertionError


async def gone() -> Message:
    """A client that has left."""
    return {"type": "http.disconnect"}


class Crowd:
    """Requests at a gate, and who of them are inside."""

    def __init__(self, gate: Gate) -> None:
        self.inside: list[str] = []
        self.tasks: list[asyncio.Task[None]] = []
        self._gate = gate

    async def come(self, name: str, tenant: str = "a", receive: Receive = here) -> asyncio.Task[None]:
        async def visit() -> None:
            async with self._gate.admitted(tenant, receive):
                self.inside.append(name)
                try:
                    await asyncio.Event().wait()
                finally:
                    self.inside.remove(name)

        self.tasks.append(asyncio.create_task(visit()))
        await settle()
        return self.tasks[-1]


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def leave(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    await settle()


@contextlib.asynccontextmanager
async def crowd(most: int = 1, *, max_waiting: int = 9, wait_s: float = 60) -> AsyncIterator[Crowd]:
    crowd = Crowd(Gate(most, max_waiting=max_waiting, wait_s=wait_s))
    yield crowd
    await leave(*(task for task in crowd.tasks if not task.done()))


async def test_the_next_comes_in_when_one_leaves() -> None:
    async with crowd(2) as at:
        one, _, three = [await at.come(name) for name in ("one", "two", "three")]
        await at.come("four")
        assert at.inside == ["one", "two"]
        await leave(three, one)
        assert at.inside == ["two", "four"], "who has given up is passed over"


async def test_a_tenant_waits_for_its_own_only() -> None:
    async with crowd() as at:
        await at.come("one")
        await at.come("two")
        await at.come("theirs", "b")
        assert at.inside == ["one", "theirs"]


async def test_so_many_wait_and_no_more() -> None:
    async with crowd(max_waiting=1) as at:
        await at.come("one")
        waits = await at.come("two")
        with pytest.raises(CapacityExceeded, match="max_waiting") as refused:
            await (await at.come("three"))
        assert refused.value.retry_after
        await leave(waits)
        assert not (await at.come("four")).done()


async def test_nobody_waits_for_ever() -> None:
    async with crowd(wait_s=0.01) as at:
        one = await at.come("one")
        with pytest.raises(CapacityExceeded, match="slot_wait_seconds"):
            await (await at.come("two"))
        assert at.inside == ["one"], "the time is that of the wait"
        await leave(one)
        await at.come("three")
        assert at.inside == ["three"]


async def test_whose_client_has_left_waits_no_more() -> None:
    async with crowd() as at:
        one = await at.come("one")
        with pytest.raises(TurnCancelled):
            await (await at.come("two", receive=gone))
        await leave(one)
        await at.come("three")
        assert at.inside == ["three"]
