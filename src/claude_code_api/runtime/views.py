"""A conversation as it is shown, whether it is live or only stored."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from claude_code_api.core.session import BETWEEN_TURNS, State
from claude_code_api.core.turn import Usage
from claude_code_api.runtime.actor import Actor
from claude_code_api.runtime.stored import StoredConversation


@dataclass(frozen=True, slots=True)
class SessionView:
    """Times are Unix seconds; usage and cost are the whole conversation's. `idle_seconds` is None unless it idles."""

    conversation_id: str
    state: str
    pid: int | None
    model: str
    profile: str
    turns: int
    queued_turns: int
    pending_approvals: int
    usage: Usage
    cost_usd: float
    created_at: float
    last_used_at: float
    idle_seconds: float | None
    metadata: Mapping[str, str]


def view_of_actor(actor: Actor) -> SessionView:
    """A conversation with something under way."""
    idle = asyncio.get_running_loop().time() - actor.idle_since if actor.state in BETWEEN_TURNS else None
    return SessionView(
        conversation_id=actor.record.conversation_id,
        state=actor.state.value,
        pid=actor.pid,
        model=actor.record.model,
        profile=actor.profile,
        turns=actor.record.turns,
        queued_turns=actor.waiting,
        pending_approvals=len(actor.approvals.waiting),
        usage=actor.record.usage,
        cost_usd=actor.record.cost_usd,
        created_at=actor.record.created_at,
        last_used_at=actor.record.last_used_at,
        idle_seconds=idle,
        metadata=actor.record.metadata,
    )


def view_of_stored(stored: StoredConversation) -> SessionView:
    """A conversation that is only in the store."""
    return SessionView(
        conversation_id=stored.conversation_id,
        state=State.HIBERNATED.value,
        pid=None,
        model=stored.model,
        profile=stored.profile,
        turns=stored.turns,
        queued_turns=0,
        pending_approvals=0,
        usage=stored.usage,
        cost_usd=stored.cost_usd,
        created_at=stored.created_at,
        last_used_at=stored.last_used_at,
        idle_seconds=None,
        metadata=stored.metadata,
    )
