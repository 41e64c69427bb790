"""Agents and their versions."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from claude_code_api.managed.agents import Agent
from claude_code_api.managed.paging import Page
from claude_code_api.store.pages import paged
from claude_code_api.store.schema import managed_agent, managed_agent_version

_A, _V = managed_agent.c, managed_agent_version.c
_VERSIONS = select(_A.id, _A.created_at, _A.archived_at, _V.version, _V.definition, _V.updated_at).join_from(
    managed_agent, managed_agent_version, _V.agent_id == _A.id
)


def add(connection: Connection, tenant: str, agent: Agent) -> None:
    """Keep a new agent."""
    connection.execute(
        insert(managed_agent).values(
            id=agent.id, tenant=tenant, version=agent.version, created_at=agent.created_at, archived_at=None
        )
    )
    _add_version(connection, agent)


def add_version(connection: Connection, tenant: str, agent: Agent) -> bool:
    """Keep the version that follows the newest one; False when that is another one by now, or archived."""
    before = (_A.id == agent.id, _A.tenant == tenant, _A.version == agent.version - 1, _A.archived_at.is_(None))
    if connection.execute(update(managed_agent).where(*before).values(version=agent.version)).rowcount == 0:
        return False
    _add_version(connection, agent)
    return True


def load(connection: Connection, tenant: str, agent_id: str, version: int | None) -> Agent | None:
    """One version, the newest without a number; None when there is none."""
    which = _V.version == (_A.version if version is None else version)
    row = connection.execute(_VERSIONS.where(_A.tenant == tenant, _A.id == agent_id, which)).one_or_none()
    return None if row is None else _agent_of(row)


def archive(connection: Connection, tenant: str, agent_id: str, now: float) -> None:
    """Mark an agent as archived, unless it is."""
    mine = (_A.tenant == tenant, _A.id == agent_id, _A.archived_at.is_(None))
    connection.execute(update(managed_agent).where(*mine).values(archived_at=now))


def page(
    connection: Connection, tenant: str, page: Page, archived: bool, since: float | None, until: float | None
) -> list[Agent]:
    """The newest versions of agents, the last one made first."""
    wanted = _VERSIONS.where(_A.tenant == tenant, _V.version == _A.version)
    if not archived:
        wanted = wanted.where(_A.archived_at.is_(None))
    if since is not None:
        wanted = wanted.where(_A.created_at >= since)
    if until is not None:
        wanted = wanted.where(_A.created_at <= until)
    return [_agent_of(row) for row in connection.execute(paged(wanted, managed_agent, page))]


def versions(connection: Connection, tenant: str, agent_id: str, before: int | None, limit: int) -> list[Agent]:
    """The versions of an agent, the newest first."""
    wanted = _VERSIONS.where(_A.tenant == tenant, _A.id == agent_id)
    if before is not None:
        wanted = wanted.where(_V.version < before)
    return [_agent_of(row) for row in connection.execute(wanted.order_by(_V.version.desc()).limit(limit))]


def _add_version(connection: Connection, agent: Agent) -> None:
    connection.execute(
        insert(managed_agent_version).values(
            agent_id=agent.id,
            version=agent.version,
            definition=dict(agent.definition),
            updated_at=agent.updated_at,
        )
    )


def _agent_of(row: Row[*tuple[Any, ...]]) -> Agent:
    return Agent(row.id, row.version, row.definition, row.created_at, row.updated_at, row.archived_at)
