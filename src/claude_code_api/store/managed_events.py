"""The logs of sessions. What waits for the agent stands behind everything else, until the agent has it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, func, insert, null, select

from claude_code_api.managed.session_store import EventQuery, NewEvent, StoredEvent, Writing
from claude_code_api.runtime.stored import StoredTurn
from claude_code_api.store import conversations, managed_sessions
from claude_code_api.store.rows import COMPLETED, turn_of
from claude_code_api.store.schema import managed_event, turn

FIRST_QUEUED = 2**40
"""From this place on stands what waits."""

_AT_ONCE = 500
"""Most ids in one statement: databases bound how many values that may have."""


def write(connection: Connection, key: str, writing: Writing) -> list[StoredEvent]:
    """Write one step of a session; returns the events that its log gained, and those that wait from now on."""
    now = round(time.time(), 6)  # as it is shown, and can be asked for
    managed_sessions.change(connection, key, writing.state)
    if writing.toolbox is not None:
        conversations.equip(connection, key, writing.toolbox)
    gained = _processed(connection, key, writing.processed, now) + _added(connection, key, writing.events, now)
    waiting = _next(connection, key, queued=True)
    queued = [_stored(waiting + number, event, now, None) for number, event in enumerate(writing.queued)]
    _insert(connection, key, queued)
    return [*gained, *queued]


def queued(connection: Connection, key: str) -> list[StoredEvent]:
    """The events that wait for the agent, in the order in which they came, without what the model gets of them."""
    slim = [null().label(column.name) if column.name == "blocks" else column for column in managed_event.c]
    return [_event_of(row) for row in connection.execute(select(*slim).where(*_queued(key)).order_by("seq"))]


def waits(connection: Connection, key: str) -> int:
    """How many events wait for the agent."""
    return connection.scalar(select(func.count()).select_from(managed_event).where(*_queued(key))) or 0


def page(connection: Connection, key: str, query: EventQuery) -> list[StoredEvent]:
    """A page of a log."""
    seq = managed_event.c.seq
    statement = select(managed_event).where(managed_event.c.session_key == key)
    if query.after is not None:
        statement = statement.where(seq < query.after if query.newest_first else seq > query.after)
    if query.types:
        statement = statement.where(managed_event.c.type.in_(query.types))
    statement = statement.where(*managed_sessions.within(managed_event.c.processed_at, query.processed))
    statement = statement.order_by(seq.desc() if query.newest_first else seq.asc()).limit(query.limit)
    return [_event_of(row) for row in connection.execute(statement)]


def by_id(connection: Connection, key: str, ids: Sequence[str]) -> list[StoredEvent]:
    """These events, in the order of the ids."""
    found: dict[str, StoredEvent] = {}
    for start in range(0, len(ids), _AT_ONCE):
        mine = (managed_event.c.session_key == key, managed_event.c.id.in_(ids[start : start + _AT_ONCE]))
        found |= {row.id: _event_of(row) for row in connection.execute(select(managed_event).where(*mine))}
    return [found[one] for one in ids if one in found]


def ids_of_calls(connection: Connection, key: str, calls: Sequence[str]) -> dict[str, str]:
    """Which events told of these calls: the first of each, for its result bears the id as well."""
    found: dict[str, str] = {}
    for start in range(0, len(calls), _AT_ONCE):
        mine = (managed_event.c.session_key == key, managed_event.c.call_id.in_(calls[start : start + _AT_ONCE]))
        rows = select(managed_event.c.call_id, managed_event.c.id).where(*mine).order_by(managed_event.c.seq.desc())
        found |= {row.call_id: row.id for row in connection.execute(rows)}
    return found


def of_turn(connection: Connection, key: str, turn_id: str) -> list[StoredEvent]:
    """What the log has of a turn."""
    mine = (managed_event.c.session_key == key, managed_event.c.turn_id == turn_id)
    return [_event_of(row) for row in connection.execute(select(managed_event).where(*mine).order_by("seq"))]


def turns_behind(connection: Connection, key: str, number: int, limit: int) -> list[tuple[int, StoredTurn, bool]]:
    """The completed turns of a conversation behind this one, and whether the log has events of each."""
    told = select(managed_event.c.seq).where(
        managed_event.c.session_key == turn.c.conversation_key, managed_event.c.turn_id == turn.c.id
    )
    rows = connection.execute(
        select(turn, told.exists().label("is_told"))
        .where(turn.c.conversation_key == key, turn.c.status == COMPLETED, turn.c.number > number)
        .order_by(turn.c.number)
        .limit(limit)
    )
    return [(row.number, turn_of(row), bool(row.is_told)) for row in rows]


def completed_turn(connection: Connection, key: str, turn_id: str) -> StoredTurn | None:
    """A turn of the conversation that has an answer."""
    mine = (turn.c.id == turn_id, turn.c.conversation_key == key, turn.c.status == COMPLETED)
    row = connection.execute(select(turn).where(*mine)).one_or_none()
    return None if row is None else turn_of(row)


def _queued(key: str) -> tuple[ColumnElement[bool], ...]:
    return managed_event.c.session_key == key, managed_event.c.seq >= FIRST_QUEUED


def _processed(connection: Connection, key: str, ids: Sequence[str], now: float) -> list[StoredEvent]:
    """Take events out of what waits and put them at the end of the log."""
    if not ids:
        return []
    waiting = [event for event in by_id(connection, key, ids) if event.seq >= FIRST_QUEUED]
    mine = (managed_event.c.session_key == key, managed_event.c.id.in_([event.id for event in waiting]))
    connection.execute(delete(managed_event).where(*mine))
    first = _next(connection, key, queued=False)
    moved = [
        StoredEvent(
            seq=first + number,
            id=event.id,
            type=event.type,
            body=event.body,
            created_at=event.created_at,
            processed_at=now,
            turn_id=event.turn_id,
            call_id=event.call_id,
            blocks=event.blocks,
        )
        for number, event in enumerate(waiting)
    ]
    _insert(connection, key, moved)
    return moved


def _added(connection: Connection, key: str, events: Sequence[NewEvent], now: float) -> list[StoredEvent]:
    first = _next(connection, key, queued=False)
    added = [_stored(first + number, event, now, now) for number, event in enumerate(events)]
    _insert(connection, key, added)
    return added


def _next(connection: Connection, key: str, *, queued: bool) -> int:
    seq = managed_event.c.seq
    part = seq >= FIRST_QUEUED if queued else seq < FIRST_QUEUED
    last = connection.scalar(select(func.max(seq)).where(managed_event.c.session_key == key, part))
    return (FIRST_QUEUED if queued else 1) if last is None else last + 1


def _insert(connection: Connection, key: str, events: Sequence[StoredEvent]) -> None:
    if events:
        connection.execute(insert(managed_event), [{"session_key": key, **_row(event)} for event in events])


def _stored(seq: int, event: NewEvent, created_at: float, processed_at: float | None) -> StoredEvent:
    return StoredEvent(
        seq=seq,
        id=event.id,
        type=event.type,
        body=event.body,
        created_at=created_at,
        processed_at=processed_at,
        turn_id=event.turn_id,
        call_id=event.call_id,
        blocks=event.blocks,
    )


def _row(event: StoredEvent) -> dict[str, Any]:
    return {
        "seq": event.seq,
        "id": event.id,
        "type": event.type,
        "body": event.body,
        "blocks": None if event.blocks is None else list(event.blocks),
        "created_at": event.created_at,
        "processed_at": event.processed_at,
        "turn_id": event.turn_id,
        "call_id": event.call_id,
    }


def _event_of(row: Row[Any]) -> StoredEvent:
    return StoredEvent(
        seq=row.seq,
        id=row.id,
        type=row.type,
        body=row.body,
        created_at=row.created_at,
        processed_at=row.processed_at,
        turn_id=row.turn_id,
        call_id=row.call_id,
        blocks=None if row.blocks is None else tuple(row.blocks),
    )
