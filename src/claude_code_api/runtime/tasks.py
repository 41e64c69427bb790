"""The only place that creates tasks. A background task that fails is logged, never silent."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Coroutine
from typing import Any

import structlog

from claude_code_api.errors import GatewayError

log = structlog.get_logger(__name__)


class Tasks:
    """The background tasks of one owner; keeps them alive and ends them together."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    def spawn(self, coroutine: Coroutine[Any, Any, Any], name: str, *, detached: bool = False) -> asyncio.Task[Any]:
        """Start a task. Its failure is logged under `name`; `detached` leaves the request's id out of its logs."""
        context = contextvars.Context() if detached else None
        task = asyncio.create_task(coroutine, name=name, context=context)
        self._running.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        error = None if task.cancelled() else task.exception()
        # A GatewayError is an answer: whoever waits for the task passes it on.
        if error is not None and not isinstance(error, GatewayError):
            log.error("background_task_failed", task=task.get_name(), exc_info=error)

    async def drain(self) -> None:
        """Wait until every task has ended, those started meanwhile included."""
        while self._running:
            await asyncio.wait(set(self._running))

    async def cancel(self) -> None:
        """Cancel every task and wait for them."""
        for task in set(self._running):
            task.cancel()
        await self.drain()
