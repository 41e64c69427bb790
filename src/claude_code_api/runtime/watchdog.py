"""Watches one running turn: the first event, silence, the wall clock. While it waits for people, the clock stands."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from claude_code_api.core.turn import ApprovalSettled, ApprovalWanted, TurnEvent
from claude_code_api.errors import TurnTimeout
from claude_code_api.runtime.ports import Agent

_STEP_S = 0.5


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds: until the first event of the model, between two frames, and for a whole turn."""

    first_event_s: float
    silence_s: float
    turn_s: float


@dataclass
class Pause:
    """For how long a turn has waited for people, in seconds, and when that ended last, on the event loop's clock."""

    total_s: float = 0.0
    ended_at: float = 0.0
    _since: float = 0.0
    _waiting: set[str] = field(default_factory=set)

    @property
    def lasts(self) -> bool:
        """Whether it waits for somebody now."""
        return bool(self._waiting)

    def note(self, event: TurnEvent, now: float) -> None:
        """An event of the turn; most mean nothing here."""
        if isinstance(event, ApprovalWanted):
            self._since = self._since if self._waiting else now
            self._waiting.add(event.id)
        elif isinstance(event, ApprovalSettled) and event.id in self._waiting:
            self._waiting.discard(event.id)
            if not self._waiting:
                self.total_s += now - self._since
                self.ended_at = now


class Watched(Protocol):
    """A turn: when it was sent, on the event loop's clock, whether the model has begun to answer, and its pauses."""

    sent_at: float | None
    answering: bool
    pause: Pause


async def watch(turn: Watched, agent: Agent, limits: Limits, running: Callable[[], bool]) -> TurnTimeout | None:
    """Return why the turn must end, or None when it ended by itself."""
    loop = asyncio.get_running_loop()
    assert turn.sent_at is not None
    while running():
        if turn.pause.lasts:
            await asyncio.sleep(_STEP_S)
            continue
        now = loop.time()
        end = turn.sent_at + limits.turn_s + turn.pause.total_s
        deadlines = [
            (end, f"The turn took more than {limits.turn_s:g} s ([claude] timeout_seconds)."),
            (
                max(agent.last_frame_at, turn.sent_at, turn.pause.ended_at) + limits.silence_s,
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
        await asyncio.sleep(min(due - now, _STEP_S))
    return None
