"""Which dialect a request speaks, by its path and headers: in that one it is answered, errors included. Pure.

The only place that knows. Whether a path exists is for the routes.
"""

from __future__ import annotations

from collections.abc import Mapping

MANAGED_AGENTS = "managed-agents-2026-04-01"
"""What a client of Claude Managed Agents has in its `anthropic-beta` header."""

_ANTHROPICS = frozenset(
    {
        *("messages", "agents", "environments", "files", "skills", "vaults", "memory_stores"),
        *("deployments", "deployment_runs", "dreams"),
    }
)
"""Rooms below `/v1` that only Anthropic's API has."""
_OPENAIS = frozenset({"chat", "responses", "conversations"})
_SESSIONS = "sessions"
"""Our own room, and one of Managed Agents."""


def speaks_anthropic(path: str, headers: Mapping[str, str]) -> bool:
    """Whether a request speaks one of Anthropic's dialects. `headers` are found in whatever case they are asked for.

    Anthropic's clients tell their API's version in each request; so rooms that others have as well, `/v1/models` and
    those that are not there, are told apart.
    """
    root, version, room, *_ = *path.split("/", 3), "", ""
    if root or version != "v1":
        return False
    if room == _SESSIONS:
        return manages_agents(headers)
    return room in _ANTHROPICS or (room not in _OPENAIS and "anthropic-version" in headers)


def manages_agents(headers: Mapping[str, str]) -> bool:
    """Whether a request comes from a client of Claude Managed Agents."""
    return MANAGED_AGENTS in (one.strip() for one in headers.get("anthropic-beta", "").split(","))
