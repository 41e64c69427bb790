"""A gate that lets in so many requests of a tenant at once; the others wait in front of it, and not for ever."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from weakref import WeakValueDictionary

from starlette.types import Receive

from claude_code_api.api.client import ClientWatch
from claude_code_api.errors import CapacityExceeded, TurnCancelled

_RETRY_S = 5.0


class Gate:
    """Lives on one event loop. `most` of a tenant are inside, and `max_waiting` wait, each for `wait_s`."""

    def __init__(self, most: int, *, max_waiting: int, wait_s: float) -> None:
        self._most = most
        self._max_waiting = max_waiting
        self._wait_s = wait_s
        self._doors: WeakValueDictionary[str, _Door] = WeakValueDictionary()

    @contextlib.asynccontextmanager
    async def admitted(self, tenant: str, receive: Receive) -> AsyncIterator[None]:
        """Be inside, as soon as there is room. `receive` tells of a client that leaves.

        Raises CapacityExceeded when too many wait or it takes too long, and TurnCancelled when the client leaves.
        """
        door = self._doors.setdefault(tenant, _Door(self._most))
        if door.inside.locked() and door.waiting >= self._max_waiting:
            raise _full("[claude] max_waiting")
        with contextlib.ExitStack() as leaving:
            door.waiting += 1
            try:
                await self._wait(door, leaving, receive)
            finally:
                door.waiting -= 1
            yield

    async def _wait(self, door: _Door, leaving: contextlib.ExitStack, receive: Receive) -> None:
        waiting = asyncio.timeout(self._wait_s)
        gone = asyncio.Event()

        def leave() -> None:
            gone.set()
            if not waiting.expired():
                waiting.reschedule(0)

        try:
            async with waiting, ClientWatch(receive, leave):
                await door.inside.acquire()
                leaving.callback(door.inside.release)
        except TimeoutError as error:
            if gone.is_set():
                raise TurnCancelled("The client left before its turn came.") from error
            raise _full("[claude] slot_wait_seconds") from error


class _Door:
    """A tenant's own; it is there while somebody is inside or waits."""

    def __init__(self, most: int) -> None:
        self.inside = asyncio.Semaphore(most)
        self.waiting = 0


def _full(setting: str) -> CapacityExceeded:
    return CapacityExceeded(
        f"Too many token counts are under way. Try again, or raise {setting}.", retry_after=_RETRY_S
    )
