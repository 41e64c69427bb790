"""Sessions of Managed Agents: what their conversations do not say. Their events are in `managed_events.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, case, exists, insert, select, tuple_, update

from claude_code_api.core.identity import Address
from claude_code_api.core.turn import Usage
from claude_code_api.managed.ids import IMPLICIT_AGENTS
from claude_code_api.managed.session_store import Bounds, ListedSession, ManagedSession, Run, SessionQuery, Waiting
from claude_code_api.store import conversations
from claude_code_api.store.rows import TOKENS
from claude_code_api.store.schema import conversation, managed_event, managed_session

_ROUNDED = 5e-7
"""Seconds: by how much a moment that was shown can differ from the one that is stored."""

_NAMES = tuple(one.name for one in fields(ManagedSession) if one.name not in ("key", "tenant", "session_id"))
_OF_CONVERSATION = tuple(column.label(f"of_{column.name}") for column in conversation.c)
_WITH_SESSION = select(managed_session, *_OF_CONVERSATION).select_from(
    conversation.outerjoin(managed_session, managed_session.c.conversation_key == conversation.c.key)
)


def adopt(connection: Connection, session: ManagedSession) -> ManagedSession:
    """Make a session of a conversation; the one that is there already if there is one."""
    found = load(connection, session.tenant, session.session_id)
    if found is not None:
        return found
    if connection.scalar(select(conversation.c.key).where(conversation.c.key == session.key)) is None:
        raise conversations.deleted()
    row = {name: getattr(session, name) for name in _NAMES}
    connection.execute(insert(managed_session), {"conversation_key": session.key, **columns_of(row)})
    return session


def load(connection: Connection, tenant: str, session_id: str) -> ManagedSession | None:
    """A session's own row."""
    row = connection.execute(_WITH_SESSION.where(*conversations.at(tenant, session_id), _is_session())).one_or_none()
    return None if row is None else _session_of(row)


def listed(connection: Connection, tenant: str, session_id: str) -> ListedSession | None:
    """A conversation that is kept, as a session."""
    mine = (*conversations.at(tenant, session_id), conversation.c.kept)
    row = connection.execute(_WITH_SESSION.where(*mine)).one_or_none()
    return None if row is None else _listed_of(row)


def change(connection: Connection, key: str, state: Mapping[str, Any]) -> None:
    """Change a session's row. Raises ConversationDeleted when it is gone."""
    mine = managed_session.c.conversation_key == key
    statement = update(managed_session).where(mine).values(columns_of(state) or {"conversation_key": key})
    if connection.execute(statement).rowcount == 0:
        raise conversations.deleted()


def rest(connection: Connection, key: str, first_queued: int) -> bool:
    """Nothing is to be done for a session, unless an event of it waits."""
    mine = managed_session.c.conversation_key == key
    waits = exists().where(managed_event.c.session_key == key, managed_event.c.seq >= first_queued)
    return connection.execute(update(managed_session).where(mine, ~waits).values(works=False)).rowcount > 0


def working(connection: Connection) -> list[Address]:
    """The sessions of all tenants that something is to be done for."""
    rows = connection.execute(
        select(conversation.c.tenant, conversation.c.conversation_id)
        .join(managed_session, managed_session.c.conversation_key == conversation.c.key)
        .where(managed_session.c.works)
    )
    return [Address(*row) for row in rows]


def page(connection: Connection, tenant: str, query: SessionQuery) -> list[ListedSession]:
    """A page of conversations as sessions, in the order that was asked for."""
    order = (conversation.c.created_at, conversation.c.conversation_id)
    statement = _WITH_SESSION.where(conversation.c.tenant == tenant, conversation.c.kept, *_filters(query))
    falls = query.newest_first is not query.backwards
    if query.place is not None:
        place = tuple_(*order) < tuple_(*query.place) if falls else tuple_(*order) > tuple_(*query.place)
        statement = statement.where(place)
    found = _in_order(connection, statement.limit(query.limit), order, falls=falls)
    return found[::-1] if query.backwards else found


def within(column: ColumnElement[Any], bounds: Bounds) -> list[ColumnElement[bool]]:
    """What picks the rows between these moments, which are the ones that were shown: whole microseconds."""
    found = []
    if bounds.gt is not None:
        found.append(column > bounds.gt + _ROUNDED)
    if bounds.gte is not None:
        found.append(column >= bounds.gte - _ROUNDED)
    if bounds.lt is not None:
        found.append(column < bounds.lt - _ROUNDED)
    if bounds.lte is not None:
        found.append(column <= bounds.lte + _ROUNDED)
    return found


def _in_order(
    connection: Connection, statement: Select[Any], order: tuple[ColumnElement[Any], ...], *, falls: bool
) -> list[ListedSession]:
    ordered = statement.order_by(*(column.desc() if falls else column.asc() for column in order))
    return [_listed_of(row) for row in connection.execute(ordered)]


def _filters(query: SessionQuery) -> list[ColumnElement[bool]]:
    found = within(conversation.c.created_at, query.created)
    if query.agent_id is not None:
        implicit = case(*((conversation.c.profile == one, agent) for one, agent in IMPLICIT_AGENTS.items()), else_="")
        found.append(case((_is_session(), managed_session.c.agent_id), else_=implicit) == query.agent_id)
    if query.agent_version is not None:
        found.append(case((_is_session(), managed_session.c.agent_version), else_=1) == query.agent_version)
    if not query.include_archived:
        found.append(managed_session.c.archived_at.is_(None))
    if query.statuses:
        written = case((_is_session(), managed_session.c.status), else_="idle")
        is_busy = (written == "idle") & conversation.c.conversation_id.in_(query.busy)
        found.append(case((is_busy, "running"), else_=written).in_(query.statuses))
    return found


def _is_session() -> ColumnElement[bool]:
    return managed_session.c.conversation_key.is_not(None)


def columns_of(state: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a session as they are stored."""
    row = dict(state)
    if "agent" in row:
        row |= {"agent_id": row["agent"]["id"], "agent_version": row["agent"]["version"]}
    if "waiting" in row:
        row["waiting"] = [asdict(one) for one in row["waiting"]]
    if row.get("run") is not None:
        row["run"] = asdict(row["run"])
    for name in ("resources", "outcomes"):
        if name in row:
            row[name] = list(row[name])
    return row


def _session_of(row: Row[Any]) -> ManagedSession:
    told = {name: getattr(row, name) for name in _NAMES}
    told["waiting"] = tuple(Waiting(**one) for one in row.waiting)
    told["resources"], told["outcomes"] = tuple(row.resources), tuple(row.outcomes)
    if row.run is not None:
        told["run"] = Run(**{**row.run, "events": tuple(row.run["events"])})
    return ManagedSession(row.conversation_key, row.of_tenant, row.of_conversation_id, **told)


def _listed_of(row: Row[Any]) -> ListedSession:
    of = {column.name: getattr(row, f"of_{column.name}") for column in conversation.c}
    return ListedSession(
        key=of["key"],
        conversation_id=of["conversation_id"],
        session=None if row.conversation_key is None else _session_of(row),
        model=of["model"],
        profile=of["profile"],
        system=of["system"],
        usage=Usage(*(of[name] for name in TOKENS)),
        cost_usd=of["cost_usd"],
        created_at=of["created_at"],
        last_used_at=of["last_used_at"],
        metadata=of["metadata"],
    )
