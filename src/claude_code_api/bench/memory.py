"""The memory of live conversations: raw CLIs first, the gateway after they are gone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from claude_code_api.bench import FIRST_TEXT, FOLLOW_UP_TEXT
from claude_code_api.bench.machine import few_at_once, memory
from claude_code_api.bench.measure import Memory, MemoryRow
from claude_code_api.bench.raw import RawCli
from claude_code_api.bench.sides import Sides

_REST_S = 2.0


async def compare(sides: Sides, sessions: int, tell: Callable[[str], None]) -> MemoryRow:
    """Measure both sides with `sessions` live conversations of two turns. Raises BenchFailed."""
    tell(f"memory: {sessions} raw CLIs")
    raw = await _raw(sides, sessions)
    tell(f"memory: the gateway with {sessions} sessions")
    return MemoryRow(sessions, raw, await _gateway(sides, sessions))


async def _raw(sides: Sides, sessions: int) -> Memory:
    clis = [sides.raw() for _ in range(sessions)]

    async def live(cli: RawCli) -> None:
        await cli.start(FIRST_TEXT)
        await cli.follow_up(FOLLOW_UP_TEXT)

    await few_at_once(live, clis)
    await asyncio.sleep(_REST_S)
    taken = memory(cli.pid for cli in clis)
    await asyncio.gather(*(cli.stop() for cli in clis))
    return taken


async def _gateway(sides: Sides, sessions: int) -> Memory:
    server = await sides.gateway(max_concurrent_sessions=str(max(20, sessions)))

    async def live(number: int) -> None:
        async with server.connection() as connection:
            await connection.chat(f"memory-{number}", FIRST_TEXT, first=True)
            await connection.chat(f"memory-{number}", FOLLOW_UP_TEXT, first=False)

    await few_at_once(live, range(sessions))
    await asyncio.sleep(_REST_S)
    taken = memory([server.pid])
    await server.stop()
    return taken
