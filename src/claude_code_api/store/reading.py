"""Turns read one by one."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, func, select

from claude_code_api.runtime.stored import StoredTurn, StoredTurns
from claude_code_api.store import histories
from claude_code_api.store.rows import COMPLETED, from_json, turn_of
from claude_code_api.store.schema import conversation, turn

_AT_ONCE = 500
"""Most ids in one statement: databases bound how many values that may have."""


def turns(connection: Connection, key: str, after: str | None, limit: int, newest_first: bool) -> StoredTurns | None:
    """A page of the present history's turns, and what it begins with on that of the first one."""
    span = histories.present(connection, key)
    order = turn.c.number.desc() if newest_first else turn.c.number.asc()
    page = select(turn).where(*span.turns()).order_by(order).limit(limit)
    if after is not None:
        follows = connection.scalar(select(turn.c.number).where(*span.turns(), turn.c.id == after))
        if follows is None:
            return None
        page = page.where(turn.c.number < follows if newest_first else turn.c.number > follows)
    rows = connection.execute(page).all()
    first = connection.scalar(select(func.min(turn.c.number)).where(*span.turns()))
    has_base = first is None or any(row.number == first for row in rows)
    base_turn, base = histories.base(connection, span) if has_base else (None, ())
    return StoredTurns(base, tuple(turn_of(row) for row in rows), base_turn)


def one(connection: Connection, key: str, turn_id: str) -> StoredTurns | None:
    """A page of one turn, with the base that came with it."""
    mine = (turn.c.id == turn_id, turn.c.conversation_key == key, turn.c.status == COMPLETED)
    row = connection.execute(select(turn).where(*mine)).one_or_none()
    if row is None:
        return None
    return StoredTurns(from_json(row.base or ()), (turn_of(row),), None if row.base is None else turn_id)


def find_turns(connection: Connection, tenant: str, turn_ids: Sequence[str]) -> list[StoredTurn]:
    """Completed turns of a tenant by their ids, in the order of these; each once."""
    asked = list(dict.fromkeys(turn_ids))
    found: dict[str, StoredTurn] = {}
    for start in range(0, len(asked), _AT_ONCE):
        rows = connection.execute(
            select(turn)
            .join(conversation, conversation.c.key == turn.c.conversation_key)
            .where(
                turn.c.id.in_(asked[start : start + _AT_ONCE]),
                turn.c.status == COMPLETED,
                conversation.c.tenant == tenant,
            )
        )
        found |= {row.id: turn_of(row) for row in rows}
    return [found[turn_id] for turn_id in asked if turn_id in found]
