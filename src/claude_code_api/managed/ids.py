"""The ids of what is made here. Pure, but for the chance in a new one."""

from __future__ import annotations

import uuid

AGENT, ENVIRONMENT, FILE, SKILL, SKILL_VERSION = "agent", "env", "file", "skill", "skillver"


def new_id(kind: str) -> str:
    """An id that nothing had before, such as `agent_4f...`: letters, digits and `_` alone."""
    return f"{kind}_{uuid.uuid4().hex}"
