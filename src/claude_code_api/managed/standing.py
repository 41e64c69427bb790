"""How a session stands, as far as its conversation says so."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from claude_code_api.core.turn import Usage
from claude_code_api.managed import events as ev
from claude_code_api.managed.session_store import Json


@dataclass(frozen=True, slots=True)
class Conversation:
    """What a conversation has cost so far."""

    usage: Usage
    cost_usd: float


def spent(stands: Conversation, active_seconds: float) -> Json:
    """What a session has used so far, as it is shown."""
    return ev.session_usage(stands.usage, stands.cost_usd, active_seconds)


def thread_id_of(key: str) -> str:
    """The id of a session's only thread."""
    return f"sthr_{hashlib.sha256(key.encode()).hexdigest()[:32]}"
