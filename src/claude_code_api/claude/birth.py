"""Spawns a child, so that none is left behind when nobody wants it any more."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from claude_code_api.claude.child import Child
from claude_code_api.claude.life import LINE_LIMIT
from claude_code_api.errors import StartFailed
from claude_code_api.runtime.guard import Guard
from claude_code_api.runtime.tasks import Tasks


async def born(
    argv: Sequence[str], *, env: Mapping[str, str], secrets: Mapping[str, str], cwd: Path, guard: Guard
) -> Child:
    """A child in a process group of its own, which the guard knows. Raises StartFailed."""
    creating: asyncio.Task[Child] = Tasks().spawn(_create(argv, env, secrets, str(cwd)), "spawn")
    try:
        child = await asyncio.shield(creating)
    except asyncio.CancelledError:
        with contextlib.suppress(StartFailed):
            orphan = await creating
            orphan.kill()
            await orphan.wait()
        raise
    guard.add(child.pid)
    return child


async def _create(argv: Sequence[str], env: Mapping[str, str], secrets: Mapping[str, str], cwd: str) -> Child:
    try:
        return await Child.spawn(argv, env=env, secrets=secrets, cwd=cwd, limit=LINE_LIMIT)
    except OSError as error:
        raise StartFailed(f"Claude Code could not be started: {error}", retry_after=5) from error
