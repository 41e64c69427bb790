"""Many new conversations at one moment: simultaneous raw starts against the gateway with as many spares."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Awaitable, Callable

from claude_code_api.bench import FIRST_TEXT
from claude_code_api.bench.gateway import Connection, Gateway
from claude_code_api.bench.measure import BURST_RATIO, Row
from claude_code_api.bench.sides import Sides

SIZE = 8
_BURSTS = 3


async def burst(sides: Sides, say: Callable[[str], None], settle: Callable[[], Awaitable[None]]) -> Row:
    """Take some bursts of each side, in turn; every conversation's first token is a sample."""
    raw: list[float] = []
    gateway: list[float] = []
    server = await sides.gateway(spares=SIZE)
    for number in range(1, _BURSTS + 1):
        say(f"burst {number} of {_BURSTS}: {SIZE} raw starts at once")
        clis = [sides.raw() for _ in range(SIZE)]
        await settle()
        raw += [sample.first_ms for sample in await asyncio.gather(*(cli.start(FIRST_TEXT) for cli in clis))]
        await asyncio.gather(*(cli.stop() for cli in clis))
        say(f"burst {number} of {_BURSTS}: {SIZE} new conversations at once")
        await server.spares(SIZE)
        gateway += await _new_conversations(server, settle)
    await server.stop()
    return Row(f"{SIZE} first requests, spares", tuple(raw), tuple(gateway), max_ratio=BURST_RATIO)


async def _new_conversations(server: Gateway, settle: Callable[[], Awaitable[None]]) -> list[float]:
    names = [f"burst-{uuid.uuid4().hex}" for _ in range(SIZE)]
    async with contextlib.AsyncExitStack() as stack:
        connections: list[Connection] = [await stack.enter_async_context(server.connection()) for _ in names]
        await settle()
        samples = await asyncio.gather(
            *(one.chat(name, FIRST_TEXT, first=True) for one, name in zip(connections, names, strict=True))
        )
        for name in names:
            await connections[0].request("DELETE", f"/v1/sessions/{name}")
    return [sample.first_ms for sample in samples]
