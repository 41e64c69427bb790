"""Spare children: started ahead, adopted by new conversations.

Owns every spare from its start to its adoption or its end. Must not know conversations: what is adopted is handed out
and forgotten. See docs/architecture/warm-pool.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import psutil
import structlog

from claude_code_api.claude.process import ClaudeProcess
from claude_code_api.errors import StartFailed
from claude_code_api.runtime.tasks import Tasks

log = structlog.get_logger(__name__)

_PAUSE_S = 0.4
"""Between starts of spares, and after an adoption: a start takes half a CPU second, which a first turn needs more."""

_QUIET_S = 60.0
_MAX_BACKOFF_S = 60.0


@dataclass(frozen=True, slots=True)
class SpareSettings:
    """How many spares: at least `min_size`, at most `max_size`; `max_lifetime_s` in seconds, `min_free` in bytes."""

    min_size: int
    max_size: int
    max_lifetime_s: float
    min_free: int


@dataclass(frozen=True, slots=True)
class _Spare:
    process: ClaudeProcess
    expires_at: float


class WarmPool:
    """Keeps spares. `start` starts one, `forget` removes the directory of one that was never adopted; `busy` says
    whether a conversation's own process is starting right now."""

    def __init__(
        self,
        settings: SpareSettings,
        *,
        start: Callable[[], Awaitable[ClaudeProcess]],
        busy: Callable[[], bool],
        forget: Callable[[str], None],
    ) -> None:
        self.settings = settings
        self.counts: Counter[str] = Counter()
        self._start = start
        self._busy = busy
        self._forget = forget
        self._spares: deque[_Spare] = deque()
        self._leaving = 0
        self._starting = 0
        self._room = 0
        self._target = settings.min_size
        self._failures = 0
        self._closed = False
        self._tasks = Tasks()
        self._changed = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._not_before = 0.0
        self._quiet_since = self._loop.time()
        if settings.max_size:
            self._tasks.spawn(self._tend(), "warm-pool", detached=True)

    @property
    def available(self) -> int:
        """Spares that can be adopted."""
        return len(self._spares)

    @property
    def size(self) -> int:
        """Processes of the pool, those that start or stop included."""
        return len(self._spares) + self._starting + self._leaving

    def pids(self) -> list[int]:
        """The processes of the spares that wait."""
        return [spare.process.pid for spare in self._spares]

    def describe(self) -> dict[str, int]:
        """Sizes and counts since the start, for `/stats`."""
        return {
            "pool_min": self.settings.min_size,
            "pool_max": self.settings.max_size,
            "pool_size": self.size,
            "pool_available": self.available,
            "pool_target": self._target,
            "adopted": self.counts["adopted"],
            "missed": self.counts["missed"],
            "started": self.counts["started"],
            "expired": self.counts["expired"],
            "lost": self.counts["lost"],
        }

    def set_room(self, processes: int) -> None:
        """How many spares the process limit leaves room for."""
        if processes != self._room:
            self._room = processes
            self._changed.set()

    def shrink(self) -> None:
        """Stop the spares beyond the room. Not done with each `set_room`: a slot is taken a moment before its spare."""
        self._trim(max(0, self._room))

    def take(self) -> ClaudeProcess | None:
        """Hand out the oldest spare; it belongs to the caller, alive or not. None when there is none."""
        now = self._loop.time()
        self._not_before = max(self._not_before, now + _PAUSE_S)
        self._quiet_since = now
        self._changed.set()
        if self._spares:
            self.counts["adopted"] += 1
            return self._spares.popleft().process
        if self.settings.max_size:
            self.counts["missed"] += 1
            self._target = min(self._target + 1, self.settings.max_size)
        return None

    def proved(self) -> None:
        """A spare that was handed out works: spares can be started without a pause again."""
        self._failures = 0

    async def make_room(self) -> None:
        """Wait until the spares are within their room, stopping as many as that takes.

        Only a start that cannot use a spare asks for it: an adoption moves a process, and needs no room.
        """
        while self.size > max(0, self._room):
            self._trim(max(0, self._room))
            await asyncio.sleep(0.005)

    async def close(self) -> None:
        """Stop every spare; returns when they are reaped."""
        self._closed = True
        self._room = 0
        self._changed.set()
        await self.make_room()
        await self._tasks.drain()

    # Inside

    async def _tend(self) -> None:
        while not self._closed:
            now = self._loop.time()
            self._expire(now)
            self._trim(self._target)
            wait = self._wait_before_start(now)
            if wait == 0:
                await self._add()
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._changed.wait()
            self._changed.clear()

    def _wait_before_start(self, now: float) -> float:
        """Seconds until it is worth looking again; 0 to start a spare now."""
        if self.size >= min(self._target, self._room):
            return 1.0
        if now < self._not_before:
            return self._not_before - now
        if self._busy():
            return 0.1
        if psutil.virtual_memory().available < self.settings.min_free:
            return 1.0
        return 0

    def _expire(self, now: float) -> None:
        if now - self._quiet_since > _QUIET_S and self._target > self.settings.min_size:
            self._target -= 1
            self._quiet_since = now
        for spare in [spare for spare in self._spares if spare.expires_at <= now]:
            self.counts["expired"] += 1
            self._stop(spare)

    def _trim(self, most: int) -> None:
        while self._spares and len(self._spares) + self._starting > most:
            self._stop(self._spares[0])

    def _stop(self, spare: _Spare) -> None:
        self._spares.remove(spare)
        self._leaving += 1
        self._tasks.spawn(self._end(spare.process), f"stop-spare-{spare.process.pid}")

    async def _end(self, process: ClaudeProcess) -> None:
        try:
            await process.stop(flush=False)
        finally:
            self._leaving -= 1
            self._changed.set()
        await asyncio.to_thread(self._forget, process.place)

    async def _add(self) -> None:
        self._starting += 1
        try:
            process = await self._start()
        except (StartFailed, OSError) as error:
            self._failed(str(error))
            return
        finally:
            self._starting -= 1
        now = self._loop.time()
        lifetime = self.settings.max_lifetime_s * random.uniform(0.9, 1.0)
        spare = _Spare(process, now + lifetime)
        self._spares.append(spare)
        self.counts["started"] += 1
        self._not_before = now + _PAUSE_S
        self._tasks.spawn(self._watch(spare), f"spare-{process.pid}", detached=True)

    async def _watch(self, spare: _Spare) -> None:
        """Notice a spare that dies while it waits; one that was handed out is somebody else's."""
        stderr = await spare.process.exited()
        if spare in self._spares:
            self._spares.remove(spare)
            self._failed(stderr[-300:])
            await asyncio.to_thread(self._forget, spare.process.place)

    def _failed(self, reason: str) -> None:
        self.counts["lost"] += 1
        self._failures += 1
        pause = min(_MAX_BACKOFF_S, 2.0**self._failures * _PAUSE_S)
        self._not_before = self._loop.time() + pause
        log.warning("spare_lost", reason=reason, next_try_in_s=round(pause, 1))
        self._changed.set()
