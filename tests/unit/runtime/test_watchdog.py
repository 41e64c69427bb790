"""When a turn has taken too long, and what does not count."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from claude_code_api.core.turn import ApprovalSettled, ApprovalWanted
from claude_code_api.errors import TurnTimeout
from claude_code_api.runtime.watchdog import Limits, Pause, watch


@dataclass
class Turn:
    sent_at: float | None
    answering: bool = True
    pause: Pause = field(default_factory=Pause)


class Agent:
    last_frame_at = 0.0


def wanted(identity: str) -> ApprovalWanted:
    return ApprovalWanted(identity, "Bash", {}, 0.0, "Waiting")


def settled(identity: str) -> ApprovalSettled:
    return ApprovalSettled(identity, "allowed")


def test_pauses_are_added_up_and_overlap() -> None:
    pause = Pause()
    for event, now in ((wanted("a"), 10.0), (wanted("b"), 11.0), (settled("a"), 13.0)):
        pause.note(event, now)
    assert pause.lasts
    pause.note(settled("b"), 15.0)
    assert (pause.lasts, pause.total_s, pause.ended_at) == (False, 5.0, 15.0)
    pause.note(settled("never asked"), 16.0)
    pause.note(wanted("c"), 20.0)
    pause.note(settled("c"), 21.0)
    assert (pause.total_s, pause.ended_at) == (6.0, 21.0)


async def watched(turn: Turn, limits: Limits, seconds: float) -> TurnTimeout | None:
    """What the watchdog says within so many seconds."""
    end = asyncio.get_running_loop().time() + seconds
    return await watch(turn, cast(Any, Agent()), limits, lambda: asyncio.get_running_loop().time() < end)


@pytest.mark.parametrize("limits", [Limits(60, 60, 0.01), Limits(60, 0.01, 60)])
async def test_waiting_for_people_does_not_count(limits: Limits) -> None:
    now = asyncio.get_running_loop().time()
    turn = Turn(now - 30)
    assert await watched(turn, limits, 5) is not None
    turn.pause.note(wanted("a"), now - 30)
    assert await watched(turn, limits, 0.1) is None
    turn.pause.note(settled("a"), asyncio.get_running_loop().time())
    assert await watched(turn, limits, 5) is not None
    turn = Turn(now - 30, pause=Pause(total_s=60.0, ended_at=now + 60))
    assert await watched(turn, limits, 0.1) is None
