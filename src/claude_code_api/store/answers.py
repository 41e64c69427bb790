"""Answers that can be had again, and whether they reached their clients."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, Select, delete, select, update

from claude_code_api.core.turn import StartKind, TurnCompleted
from claude_code_api.runtime.stored import StoredAnswer
from claude_code_api.store.rows import ADDED, COMPLETED, from_json, usage_of
from claude_code_api.store.schema import conversation, idempotency, turn

_ANSWER = (
    select(turn, conversation.c.tenant, conversation.c.conversation_id)
    .join(conversation, conversation.c.key == turn.c.conversation_key)
    .where(turn.c.status == COMPLETED, turn.c.start != ADDED)
)


def answer(connection: Connection, turn_id: str) -> StoredAnswer | None:
    """A completed turn."""
    return _answer(connection, _ANSWER.where(turn.c.id == turn_id))


def keyed(connection: Connection, tenant: str, key: str, since: float) -> StoredAnswer | None:
    """The completed turn of a request with an Idempotency-Key."""
    return _answer(
        connection,
        _ANSWER.join(idempotency, idempotency.c.turn_id == turn.c.id).where(
            idempotency.c.tenant == tenant, idempotency.c.key == key, idempotency.c.created_at >= since
        ),
    )


def _answer(connection: Connection, statement: Select[tuple[object, ...]]) -> StoredAnswer | None:
    row = connection.execute(statement).one_or_none()
    if row is None:
        return None
    return StoredAnswer(
        turn_id=row.id,
        tenant=row.tenant,
        conversation_id=row.conversation_id,
        fingerprint=row.fingerprint,
        start=StartKind(row.start),
        created_at=row.started_at,
        completed=TurnCompleted(
            stop_reason=row.stop_reason,
            model=row.model,
            usage=usage_of(row),
            leaf=None,
            messages=from_json(row.output or ()),
            stop_sequence=row.stop_sequence,
        ),
    )


def delivered(connection: Connection, turn_ids: Sequence[str]) -> None:
    """Record that these answers reached their clients."""
    connection.execute(update(turn).where(turn.c.id.in_(turn_ids)).values(delivered=True))


def forget_keys(connection: Connection, moment: float) -> None:
    """Forget idempotency keys that were recorded before then."""
    connection.execute(delete(idempotency).where(idempotency.c.created_at < moment))
