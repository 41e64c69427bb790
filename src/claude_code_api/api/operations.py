"""`/health` and `/stats`."""

from __future__ import annotations

import time
from typing import Any

from fastapi import APIRouter

from claude_code_api import __version__
from claude_code_api.api.context import Ctx, Who
from claude_code_api.core.session import State

router = APIRouter(tags=["Operations"])


@router.head("/health", include_in_schema=False)
@router.get("/health", summary="Is the server up?")
async def health(context: Ctx) -> dict[str, Any]:
    """Answers as soon as the server takes requests; spends no turn."""
    return {"status": "ok", "version": __version__, "model": "offline" if context.offline else "claude"}


@router.get("/stats", summary="What the sessions do")
async def stats(context: Ctx, caller: Who) -> dict[str, Any]:
    """Counts since the start, the present state, and latencies by start kind in milliseconds; of all tenants.

    Where there are API keys, this needs an admin key. `hibernated` and `total` are null while the store is unavailable.
    """
    caller.check_admin()
    manager = context.manager
    census = await manager.census()
    counts = manager.stats.counts
    return {
        "version": __version__,
        "uptime_seconds": round(time.monotonic() - context.started_at, 1),
        "sessions": {
            "live": manager.slots.held,
            "idle": census[State.IDLE],
            "parked": census[State.PARKED],
            "busy": census[State.BUSY] + census[State.INTERRUPTING] + census[State.REWINDING],
            "starting": census[State.STARTING],
            "stopping": census[State.STOPPING] + census[State.CLOSING],
            "queued": manager.slots.waiting,
            "hibernated": census.get(State.HIBERNATED),
            "total": sum(census.values()) if State.HIBERNATED in census else None,
        },
        "limits": {
            "max_concurrent_sessions": manager.settings.max_sessions,
            "processes_for_memory": manager.slots.size,
            "max_waiting": manager.settings.max_waiting,
            "max_queued_turns": manager.settings.max_queued_turns,
            "session_idle_seconds": manager.settings.idle_s,
        },
        "counters": {
            name: counts[name]
            for name in (
                *("created", "started", "reused", "resumed", "rebuilt", "culled", "evicted"),
                *("too_large", "hibernated", "crashed", "deleted"),
                *("turns", "failed", "interrupted", "rewound", "forked"),
            )
        },
        "pool": context.pool.describe(),
        "latency": manager.stats.latencies(),
    }
