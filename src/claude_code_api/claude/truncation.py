"""Ends an answer at its token limit, without the words that the CLI would put in to go on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from claude_code_api.claude.frames import TurnReader
from claude_code_api.claude.rewind import Rewinder
from claude_code_api.core.turn import TurnCompleted
from claude_code_api.runtime.tasks import Tasks

_UNDO_S = 5.0


class Truncation:
    """One process's. `done` is told whether the process is of use still, and of the turn if it is complete."""

    def __init__(
        self, rewinder: Rewinder, tasks: Tasks, done: Callable[[TurnReader, TurnCompleted | None, bool], None]
    ) -> None:
        self._rewinder = rewinder
        self._tasks = tasks
        self._done = done
        self._over = asyncio.Event()

    def note(self, reader: TurnReader) -> None:
        """The turn has read a frame."""
        if (target := reader.continuation) is not None:
            reader.continuation = None
            self._over.clear()
            self._tasks.spawn(self._drop(reader, target), f"truncate-{reader.turn}")
        if reader.truncated is not None:
            self._over.set()

    async def _drop(self, reader: TurnReader, target: str) -> None:
        clean = await self._rewinder.one(target)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_UNDO_S):
                await self._over.wait()
        self._done(reader, reader.truncated, clean)
