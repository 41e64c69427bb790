"""A server with many stored conversations against one with none: its start, its memory, the look-up of one."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from statistics import median

import psutil

from claude_code_api.bench.gateway import Connection, Gateway
from claude_code_api.bench.measure import LOOK_UP_MS, STORED_MEMORY_MB, STORED_START_RATIO, StoredRow
from claude_code_api.bench.seed import conversation_id, seed
from claude_code_api.bench.sides import Sides

_LOOK_UPS = 10
_STARTS = 3
_SEED = 3

Say = Callable[[str], None]
Settle = Callable[[], Awaitable[None]]
Pair = tuple[tuple[float, ...], tuple[float, ...]]
"""Samples of the empty server, and of the full one."""


async def stored(sides: Sides, conversations: int, runs: int, say: Say, settle: Settle) -> tuple[StoredRow, ...]:
    """Seed a data directory and measure a server on it, taking turns with one on an empty store. Raises BenchFailed."""
    empty, full = sides.data_dir(), sides.data_dir()
    await _seed(empty, 0, say)
    await _seed(full, conversations, say)
    looked_up, memory = await _look_ups(sides, (empty, full), conversations, runs, say, settle)
    starts = await _starts(sides, (empty, full), max(_STARTS, runs), say, settle)
    return (
        StoredRow("look-up of one", "ms", (), looked_up, LOOK_UP_MS),
        StoredRow("memory of the server (RSS)", "MB", *memory, STORED_MEMORY_MB),
        StoredRow("start, to /health", "ms", *starts, STORED_START_RATIO * median(starts[0])),
    )


async def _seed(data: Path, count: int, say: Say) -> None:
    for so_far in seed(data, count):
        say(f"stored: seeding, {so_far} of {count}")
        await asyncio.sleep(0)


async def _look_ups(
    sides: Sides, data: Sequence[Path], conversations: int, runs: int, say: Say, settle: Settle
) -> tuple[tuple[float, ...], Pair]:
    """Milliseconds of each look-up, and the megabytes of both servers after as many requests."""
    say("stored: starting both servers")
    empty, full = [await sides.gateway(data=one) for one in data]
    chosen = random.Random(_SEED)
    taken: list[float] = []
    for number in range(1, runs + 1):
        say(f"stored: look-ups, {number * _LOOK_UPS} of {runs * _LOOK_UPS}")
        await settle()
        async with empty.connection() as connection:
            for _ in range(_LOOK_UPS):
                await _timed(connection, "/health")
        async with full.connection() as connection:
            for _ in range(_LOOK_UPS):
                one = conversation_id(chosen.randrange(conversations))
                taken.append(await _timed(connection, f"/v1/sessions/{one}"))
    memory = ((_rss_mb(empty),), (_rss_mb(full),))
    await empty.stop()
    await full.stop()
    return tuple(taken), memory


async def _timed(connection: Connection, path: str) -> float:
    started = time.perf_counter()
    await connection.request("GET", path)
    return (time.perf_counter() - started) * 1000


def _rss_mb(server: Gateway) -> float:
    """Megabytes (10^6 bytes) of the server's own process."""
    return float(psutil.Process(server.pid).memory_info().rss / 1e6)


async def _starts(sides: Sides, data: Sequence[Path], starts: int, say: Say, settle: Settle) -> Pair:
    """Milliseconds of `starts` starts on each directory, which a server has used before."""
    samples: tuple[list[float], list[float]] = ([], [])
    for number in range(1, starts + 1):
        for one, taken, what in zip(data, samples, ("empty", "full"), strict=True):
            say(f"stored: start {number} of {starts}, {what}")
            await settle()
            server = await sides.gateway(data=one)
            taken.append(server.start_ms)
            await server.stop()
    return tuple(samples[0]), tuple(samples[1])
