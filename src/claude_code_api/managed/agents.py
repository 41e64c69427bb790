"""Agents: what is kept under a name and a version, how it changes, and what a session takes of it.

An agent's definition is JSON in the shapes that the API shows, with every default filled in. Here it is decided; that
it is kept is for an `AgentStore`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeAlias

from claude_code_api.errors import InvalidRequest, ResourceArchived, ResourceNotFound, VersionConflict
from claude_code_api.managed import metadata as meta
from claude_code_api.managed.ids import AGENT, IMPLICIT_AGENTS, new_id
from claude_code_api.managed.paging import Page
from claude_code_api.managed.skills import SkillStore, resolved_skills
from claude_code_api.managed.tools import check_references

Json: TypeAlias = dict[str, Any]

DEFAULT_EFFORT = "high"
"""What Claude's models go by when nobody says."""

_EMPTY: Mapping[str, Any] = {
    "description": None,
    "system": None,
    "tools": [],
    "mcp_servers": [],
    "skills": [],
    "multiagent": None,
    "execution_identity": {"type": "service_account"},
    "metadata": {},
}
_SNAPSHOT = (
    *("name", "description", "system", "model", "tools", "mcp_servers", "skills", "multiagent"),
    "execution_identity",
)
_MOST_TRIES = 10


@dataclass(frozen=True, slots=True)
class Agent:
    """One version of an agent. `definition` has what a client can set; times are Unix seconds.

    `updated_at` is when this version was made; `created_at` and `archived_at` are the agent's.
    """

    id: str
    version: int
    definition: Mapping[str, Any]
    created_at: float
    updated_at: float
    archived_at: float | None = None


@dataclass(frozen=True, slots=True)
class AgentRef:
    """Which agent a session is made of: the newest version when none is named.

    `overrides` are parts of a definition that stand in for the agent's own.
    """

    id: str
    version: int | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)


class AgentStore(Protocol):
    """Where agents are kept, every tenant's apart."""

    async def add_agent(self, tenant: str, agent: Agent) -> None:
        """Keep a new agent."""

    async def agent(self, tenant: str, agent_id: str, version: int | None = None) -> Agent | None:
        """One version, the newest without a number; None when there is none."""

    async def add_agent_version(self, tenant: str, agent: Agent) -> bool:
        """Keep the version that follows the newest one; False when that is another one by now, or archived."""

    async def archive_agent(self, tenant: str, agent_id: str, now: float) -> None:
        """Mark an agent as archived, unless it is."""

    async def agents(
        self, tenant: str, page: Page, *, archived: bool, since: float | None, until: float | None
    ) -> list[Agent]:
        """The newest versions of agents, the last one made first; both bounds of `created_at` are included."""

    async def agent_versions(self, tenant: str, agent_id: str, *, before: int | None, limit: int) -> list[Agent]:
        """The versions of an agent, the newest first."""


def made(given: Mapping[str, Any], now: float) -> Agent:
    """A new agent of what a client gave; `name` and `model` are there. Raises InvalidRequest."""
    definition: Json = {**_EMPTY, **given}
    definition["metadata"] = meta.checked(given.get("metadata") or {})
    return Agent(new_id(AGENT), 1, _sound(definition), now, now)


def changed(agent: Agent, patch: Mapping[str, Any], now: float) -> Agent:
    """The next version of an agent, or the same when the patch changes nothing. Raises InvalidRequest.

    A field of the patch stands in for the agent's whole field; only metadata are patched key by key, and a model
    without an effort keeps the agent's.
    """
    if agent.archived_at is not None:
        raise ResourceArchived(f"The agent {agent.id!r} is archived, and stays as it is.", param="agent_id")
    definition: Json = {**agent.definition, **patch}
    definition["metadata"] = meta.patched(agent.definition["metadata"], patch.get("metadata"))
    definition = _sound(definition, effort=agent.definition["model"]["effort"])
    if definition == agent.definition:
        return agent
    return replace(agent, version=agent.version + 1, definition=definition, updated_at=now)


async def update(
    store: AgentStore, tenant: str, agent_id: str, patch: Mapping[str, Any], *, version: int | None, now: float
) -> Agent:
    """Change an agent; with a `version` only if that is its newest.

    Raises ResourceNotFound, VersionConflict or InvalidRequest.
    """
    for _ in range(_MOST_TRIES):
        agent = await found(store, tenant, agent_id)
        if version is not None and version != agent.version:
            raise VersionConflict(
                f"The agent {agent_id!r} is at version {agent.version}, not {version}: somebody else changed it. "
                "Retrieve it, and send the change again with its version.",
                param="version",
            )
        after = changed(agent, patch, now)
        if after is agent or await store.add_agent_version(tenant, after):
            return after
    raise VersionConflict(f"The agent {agent_id!r} is changed by many at once. Send the change again.", param="version")


async def archive(store: AgentStore, tenant: str, agent_id: str, now: float) -> Agent:
    """Let nothing new be made with an agent; sessions that have it go on. Raises ResourceNotFound."""
    await found(store, tenant, agent_id)
    await store.archive_agent(tenant, agent_id, now)
    return await found(store, tenant, agent_id)


async def found(store: AgentStore, tenant: str, agent_id: str, version: int | None = None) -> Agent:
    """One version of a tenant's agent, the newest without a number. Raises ResourceNotFound."""
    agent = await store.agent(tenant, agent_id, version)
    if agent is not None:
        return agent
    if agent_id in IMPLICIT_AGENTS.values():
        raise ResourceNotFound(
            f"{agent_id!r} stands for what conversations of other dialects go by, and is no agent of its own: each of "
            "these sessions shows what goes for it.",
            param="agent_id",
        )
    if version is not None and await store.agent(tenant, agent_id) is not None:
        raise ResourceNotFound(f"The agent {agent_id!r} has no version {version}.", param="version")
    raise ResourceNotFound(f"There is no agent {agent_id[:100]!r}.", param="agent_id")


class AgentSources(AgentStore, SkillStore, Protocol):
    """Where agents are kept, and the skills that they name."""


async def resolve(store: AgentSources, tenant: str, ref: AgentRef) -> Json:
    """What a session keeps of an agent, as the API shows it.

    Skills among the overrides are resolved here. Raises ResourceNotFound, ResourceArchived, NotSupported, or
    InvalidRequest when the overrides do not fit.
    """
    agent = await found(store, tenant, ref.id, ref.version)
    if agent.archived_at is not None:
        raise ResourceArchived(f"The agent {agent.id!r} is archived: no session is made of it.", param="agent")
    overrides = dict(ref.overrides)
    if "skills" in overrides:
        overrides["skills"] = await resolved_skills(store, tenant, overrides["skills"], "agent.skills")
    return overridden(snapshot(agent), overrides)


def snapshot(agent: Agent) -> Json:
    """An agent as a session has it: without its times and metadata."""
    return {
        "id": agent.id,
        "type": "agent",
        "version": agent.version,
        **{name: agent.definition[name] for name in _SNAPSHOT},
    }


def overridden(kept: Mapping[str, Any], overrides: Mapping[str, Any]) -> Json:
    """A session's agent with parts of it replaced. Raises InvalidRequest when they do not fit together."""
    return _sound({**kept, **overrides}, where="agent.") if overrides else dict(kept)


def _sound(definition: Mapping[str, Any], *, effort: Mapping[str, Any] | None = None, where: str = "") -> Json:
    """A definition whose parts fit together, with the effort that its model goes by. Raises InvalidRequest."""
    if not definition["name"].strip():
        raise InvalidRequest(f"{where}name must not be empty.", param=f"{where}name")
    check_references(definition["tools"], definition["mcp_servers"], where)
    model = definition["model"]
    return {**definition, "model": {**model, "effort": model.get("effort") or effort or {"type": DEFAULT_EFFORT}}}
