"""The ids of what is made here. Pure, but for the chance in a new one."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from claude_code_api.core import profiles

AGENT, ENVIRONMENT, FILE, SKILL, SKILL_VERSION = "agent", "env", "file", "skill", "skillver"

IMPLICIT_AGENTS: Mapping[str, str] = {profiles.CHAT: "agent_chat", profiles.AGENT: "agent_default"}
"""By profile, the agents that stand for conversations that were made in another dialect."""


def new_id(kind: str) -> str:
    """An id that nothing had before, such as `agent_4f...`: letters, digits and `_` alone."""
    return f"{kind}_{uuid.uuid4().hex}"
