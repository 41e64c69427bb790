"""What has to be looked after again and again: idle processes, memory, conversations that are kept long enough."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from claude_code_api.core.memory import affordable
from claude_code_api.errors import GatewayError
from claude_code_api.runtime.answers import KEPT_S
from claude_code_api.runtime.manager import SessionManager
from claude_code_api.runtime.memory import measure
from claude_code_api.runtime.ports import SparePool
from claude_code_api.runtime.tasks import Tasks

log = structlog.get_logger(__name__)

_HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class JanitorSettings:
    """Bytes and seconds. `retain_s` None keeps conversations for ever."""

    idle_s: float
    process_memory: int
    total_memory: int
    retain_s: float | None


class Janitor:
    """Runs from `start` to `stop`, on one event loop."""

    def __init__(self, manager: SessionManager, spares: SparePool, settings: JanitorSettings) -> None:
        self._manager = manager
        self._spares = spares
        self._settings = settings
        self._tasks = Tasks()
        self._skew = _skew()

    def start(self) -> None:
        """Begin."""
        self._tasks.spawn(self._every(max(0.2, min(10.0, self._settings.idle_s / 10)), self._tidy), "janitor")
        self._tasks.spawn(self._every(_HOUR_S, self._retain), "retention")

    async def stop(self) -> None:
        """End; what was begun is finished or undone."""
        await self._tasks.cancel()

    async def _every(self, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
            except (GatewayError, OSError, RuntimeError) as error:
                # Out of files or threads, say: then it is needed most.
                log.warning("janitor_failed", reason=str(error))
            await asyncio.sleep(seconds)

    async def _tidy(self) -> None:
        self._manager.stop_idle(self._settings.idle_s)
        taken = await asyncio.to_thread(measure, [*self._manager.pids(), *self._spares.pids()])
        too_large = {pid for pid, size in taken.groups.items() if size > self._settings.process_memory}
        most = affordable(len(taken.groups), taken.total, self._settings.total_memory)
        self._manager.slots.bound(most, too_large)

    async def _retain(self) -> None:
        """Delete what is older than it may become; not in the hour after the clock was seen to be set."""
        skew, before = _skew(), self._skew
        self._skew = skew
        if abs(skew - before) > _HOUR_S:
            log.warning("retention_waits", reason="the clock was set", seconds=round(skew - before))
            return
        now = time.time()
        await self._manager.store.forget_keys(now - KEPT_S)
        if self._settings.retain_s is not None:
            await self._manager.delete_unused(now - self._settings.retain_s)


def _skew() -> float:
    """The clock against the time since the machine started: it changes when the clock is set."""
    return time.time() - time.monotonic()
