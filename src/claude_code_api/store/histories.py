"""What a conversation holds, as its rows tell it."""

from __future__ import annotations

from dataclasses import replace

from sqlalchemy import ColumnElement, Connection, func, select

from claude_code_api.core.turn import Message
from claude_code_api.runtime.stored import StoredConversation, Unread
from claude_code_api.store.rows import COMPLETED, REWOUND, conversation_of, from_json
from claude_code_api.store.schema import conversation, turn

WITH_BASE = (COMPLETED, REWOUND)
"""A turn that replaced the history before it did so for good: taken back, it leaves the history that it came with."""


def beginning(connection: Connection, key: str) -> int:
    """The number of the turn that the present history begins at: the last that replaced everything before it, or 0."""
    forks = (turn.c.conversation_key == key, turn.c.status.in_(WITH_BASE), turn.c.base.is_not(None))
    return connection.scalar(select(func.max(turn.c.number)).where(*forks)) or 0


def present(connection: Connection, key: str) -> tuple[ColumnElement[bool], ...]:
    """What picks the turns of the present history."""
    return (
        turn.c.conversation_key == key,
        turn.c.status == COMPLETED,
        turn.c.number >= beginning(connection, key),
    )


def base(connection: Connection, key: str) -> tuple[Message, ...]:
    """The messages that the present history begins with, before its first turn."""
    at = (turn.c.conversation_key == key, turn.c.number == beginning(connection, key), turn.c.status.in_(WITH_BASE))
    return from_json(connection.scalar(select(turn.c.base).where(*at)) or ())


def history(connection: Connection, key: str) -> tuple[Message, ...]:
    """What a conversation holds: its base, and its completed turns since then."""
    found = [*base(connection, key)]
    rows = connection.execute(
        select(turn.c.input, turn.c.output).where(*present(connection, key)).order_by(turn.c.number)
    )
    for given, answered in rows:
        found += [*from_json([given]), *from_json(answered or ())]
    return tuple(found)


def summary(connection: Connection, *mine: ColumnElement[bool]) -> StoredConversation | None:
    """A conversation that is kept, without its history."""
    row = connection.execute(select(conversation).where(*mine, conversation.c.kept)).one_or_none()
    return None if row is None else conversation_of(row)


def load(connection: Connection, *mine: ColumnElement[bool]) -> StoredConversation | None:
    """A conversation that is kept."""
    found = summary(connection, *mine)
    if found is None:
        return None
    return replace(found, history=history(connection, found.key), unread=_unread(connection, found.key))


def _unread(connection: Connection, key: str) -> Unread | None:
    row = connection.execute(
        select(turn.c.id, turn.c.fingerprint, turn.c.delivered, turn.c.finished_at)
        .where(*present(connection, key))
        .order_by(turn.c.number.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None or row.delivered else Unread(row.id, row.fingerprint, row.finished_at)
