"""Watches one running turn: the first event, silence, the wall clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from claude_code_api.errors import TurnTimeout
from claude_code_api.runtime.ports import Agent


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds: until the first event of the model, between two frames, and for a whole turn."""

    first_event_s: float
    silence_s: float
    turn_s: float


class Watched(Protocol):
    """A turn: when it was sent, on the event loop's clock, and whether the model has begun to answer."""

    sent_at: float | None
    answering: bool


async def watch(turn: Watched, agent: Agent, limits: Limits, running: Callable[[], bool]) -> TurnTimeout | None:
    """Return why the turn must end, or None when it ended by itself."""
    loop = asyncio.get_running_loop()
    assert turn.sent_at is not None
    while running():
        now = loop.time()
        deadlines = [
            (turn.sent_at + limits.turn_s, f"The turn took more than {limits.turn_s:g} s ([claude] timeout_seconds)."),
            (
                max(agent.last_frame_at, turn.sent_at) + limits.silence_s,
                f"Claude Code said nothing for {limits.silence_s:g} s ([claude] silence_seconds).",
            ),
        ]
        if not turn.answering:
            deadlines.append(
                (
                    turn.sent_at + limits.first_event_s,
                    f"The model did not begin to answer within {limits.first_event_s:g} s ([claude] "
                    "first_event_seconds). The usual reason is credentials or a base_url that do not work.",
                )
            )
        due, message = min(deadlines)
        if now >= due:
            return TurnTimeout(message)
        await asyncio.sleep(min(due - now, 0.5))
    return None
