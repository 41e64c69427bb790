"""What is written about a turn when nobody waits for it any more: that it failed, that its answer arrived.

Owns these writes until they are done. A store that is full or locked is tried again; what could not be written until
the server ends is set right at the next start.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from functools import partial

import structlog

from claude_code_api.errors import StoreUnavailable
from claude_code_api.runtime.ports import Store
from claude_code_api.runtime.tasks import Tasks

log = structlog.get_logger(__name__)

_GATHER_S = 0.25
_PAUSE_S = 1.0


class Aftermath:
    """Lives on one event loop. No method waits."""

    def __init__(self, store: Store, tasks: Tasks) -> None:
        self._store = store
        self._tasks = tasks
        self._closing = asyncio.Event()
        self._delivered: set[str] = set()

    def ended(self, turn_id: str, *, error_code: str) -> None:
        """A turn ended without an answer."""
        name = f"end-{turn_id}"
        work = partial(self._store.end, turn_id, error_code=error_code)
        self._tasks.spawn(self._write(work, name), name, detached=True)

    def delivered(self, turn_id: str) -> None:
        """An answer reached its client. Written a little later, many at a time."""
        if not self._delivered:
            self._tasks.spawn(self._write_delivered(), "delivered", detached=True)
        self._delivered.add(turn_id)

    def is_delivered(self, turn_id: str) -> bool:
        """Whether an answer is known to have arrived although the store does not say so yet."""
        return turn_id in self._delivered

    def close(self) -> None:
        """Try once more what is left, and no longer."""
        self._closing.set()

    async def _write_delivered(self) -> None:
        while self._delivered:
            await self._pause(_GATHER_S)
            told = list(self._delivered)
            await self._write(partial(self._store.delivered, told), "delivered")
            self._delivered.difference_update(told)

    async def _write(self, work: Callable[[], Awaitable[None]], what: str) -> None:
        while True:
            try:
                return await work()
            except StoreUnavailable as error:
                log.warning("write_postponed", what=what, reason=error.message)
            if self._closing.is_set():
                return
            await self._pause(_PAUSE_S)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closing.wait()
