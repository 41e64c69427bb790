"""Ends a turn where it stands, and keeps what was said: because somebody wants it, or because it has cost enough."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from claude_code_api.claude.control import Control, Frame
from claude_code_api.claude.frames import TurnReader
from claude_code_api.errors import ProcessDied
from claude_code_api.runtime.tasks import Tasks

INTERRUPTED, BUDGET_REACHED = "interrupted", "budget_reached"
"""The stop reasons of such turns."""

_HALT_S = _ASK_S = 5.0


class Halter:
    """One process's. Of a turn with a budget, the CLI is asked what it has cost whenever it has got further."""

    def __init__(self, control: Control, tasks: Tasks) -> None:
        self._control = control
        self._tasks = tasks
        self._moved = asyncio.Event()
        self._limit: float | None = None
        self._asking = False

    def begin(self, budget: float | None, spent: float) -> None:
        """A turn begins with at most this to spend, in USD; `spent` is what the CLI counted before it."""
        self._limit = None if budget is None else spent + budget

    def note(self, frame: Frame, reader: TurnReader) -> None:
        """The turn has read this frame."""
        self._moved.set()
        if self._limit is None or self._asking or reader.over or reader.halted is not None:
            return
        if frame.get("type") in ("assistant", "user") or frame.get("event", {}).get("type") == "message_stop":
            self._asking = True
            self._tasks.spawn(self._check(reader, self._limit), f"budget-{reader.turn}")

    async def _check(self, reader: TurnReader, limit: float) -> None:
        try:
            usage = await self._control.ask({"subtype": "get_usage"}, _ASK_S)
            spent = float(usage["session"]["total_cost_usd"])
        except (ProcessDied, TimeoutError, KeyError, TypeError, ValueError):
            return  # it is asked again behind the next frame
        finally:
            self._asking = False
        if spent >= limit and not reader.over and not await self.halt(reader, BUDGET_REACHED):
            reader.halted = None  # it is tried again behind the next frame

    async def halt(self, reader: TurnReader, why: str = INTERRUPTED) -> bool:
        """End the turn; False when it does not end, or leaves the process useless.

        A message that the CLI has not begun with is waited for: an interrupt would not reach it.
        """
        reader.halted = reader.halted or why
        try:
            async with asyncio.timeout(_HALT_S):
                await self._until(lambda: reader.started or reader.over)
                if not reader.over:
                    await self._control.ask({"subtype": "interrupt"}, _HALT_S)
                    await self._until(lambda: reader.over)
        except (ProcessDied, TimeoutError):
            return False
        return not reader.dirty

    async def _until(self, reached: Callable[[], bool]) -> None:
        while not reached():
            self._moved.clear()
            await self._moved.wait()
