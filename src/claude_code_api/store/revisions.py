"""A conversation's turns taken back, or copied into a conversation of their own.

Turns are counted without what was added between them: that goes with the turn before it.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import JSON, Connection, Insert, bindparam, case, delete, insert, literal, null, select, update

from claude_code_api.core.conversation import lineage
from claude_code_api.runtime.stored import Fork, ForkResult, Rewound
from claude_code_api.store import conversations, histories, responses, transcripts
from claude_code_api.store.histories import Span
from claude_code_api.store.rows import ADDED, NOTHING, REWOUND, TOTALS
from claude_code_api.store.schema import conversation, idempotency, turn


def rewind(connection: Connection, key: str, turns: int, epoch: int) -> Rewound | None:
    """Take back the last turns: their words, responses and the keys of their answers go, what they cost stays.

    What a turn replaced the history before it with stays, its instructions too.
    """
    conversations.check_owner(connection, key, epoch)
    span = histories.present(connection, key)
    numbered = select(turn.c.id, turn.c.number).where(*span.turns(), turn.c.start != ADDED).order_by(turn.c.number)
    held = connection.execute(numbered).all()
    if turns > len(held):
        return None
    first = held[-turns]
    taken = (*span.turns(), turn.c.number >= first.number)
    ids = select(turn.c.id).where(*taken)
    connection.execute(delete(idempotency).where(idempotency.c.turn_id.in_(ids)))
    responses.forget_of(connection, ids)
    of_base = case((turn.c.base.is_not(None), turn.c.developer), else_=null())
    words = {"input": NOTHING, "output": None, "developer": of_base}
    connection.execute(update(turn).where(*taken).values(status=REWOUND, **words))
    transcripts.forget_from(connection, key, first.id)
    mine = conversation.c.key == key
    before = connection.scalar(select(conversation.c.lineage).where(mine))
    left = histories.held(connection, span).messages
    conversations.use(
        connection,
        key,
        epoch,
        turns=conversation.c.turns - turns,
        cli_session_id=None,
        leaf=None,
        lineage=lineage(left) if before is not None and left else None,
    )
    found = histories.load(connection, mine)
    return None if found is None else Rewound(found, first.id)


def fork(connection: Connection, fork: Fork) -> ForkResult:
    """Copy the beginning of a history. The copies cost nothing, have no keys, and count as delivered."""
    source = connection.execute(select(conversation).where(conversation.c.key == fork.source)).one_or_none()
    if source is None or not source.kept:
        return ForkResult.NO_SOURCE
    if conversations.is_taken(connection, source.tenant, fork.conversation_id):
        return ForkResult.ID_TAKEN
    span = _span(connection, fork)
    wanted = None if span is None else _first_turns(connection, span, fork.turns)
    if span is None or wanted is None:
        return ForkResult.TOO_FEW_TURNS
    rows = connection.execute(select(turn.c.id, turn.c.number, turn.c.start).where(*wanted.turns())).all()
    conversations.make(
        connection,
        key=fork.key,
        tenant=source.tenant,
        conversation_id=fork.conversation_id,
        place=fork.place,
        created_at=fork.created_at,
        system=source.system,
        model=source.model,
        profile=source.profile,
        toolbox=source.toolbox,
        turns=sum(row.start != ADDED for row in rows),
        kept=True,
    )
    _copy_turns(connection, fork.key, [row.id for row in rows])
    if span.first and all(row.number != span.first for row in rows):
        _copy_beginning(connection, fork.key, span)
    return ForkResult.DONE


def _span(connection: Connection, fork: Fork) -> Span | None:
    """The history that is copied from; None when it is gone."""
    if fork.until is None:
        return histories.present(connection, fork.source)
    span = histories.span_at(connection, fork.until)
    return span if span is not None and span.key == fork.source else None


def _first_turns(connection: Connection, span: Span, turns: int | None) -> Span | None:
    """What of a history comes before the turn behind the first so many; None when there are fewer."""
    if turns is None:
        return span
    numbers = select(turn.c.number).where(*span.turns(), turn.c.start != ADDED).order_by(turn.c.number)
    held = connection.scalars(numbers).all()
    if turns > len(held):
        return None
    return span if turns == len(held) else Span(span.key, span.first, held[turns] - 1)


def _copy_turns(connection: Connection, key: str, ids: Sequence[str]) -> None:
    if ids:
        connection.execute(_copying(key), [{"copy": str(uuid.uuid4()), "original": original} for original in ids])


def _copy_beginning(connection: Connection, key: str, span: Span) -> None:
    """Let the copied history begin with what the other one does: as if the turn that it came with was taken back."""
    original = connection.scalar(
        select(turn.c.id).where(turn.c.conversation_key == span.key, turn.c.number == span.first)
    )
    statement = _copying(key, status=literal(REWOUND), input=literal(NOTHING, JSON), output=null())
    connection.execute(statement, {"copy": str(uuid.uuid4()), "original": original})


def _copying(key: str, **instead: Any) -> Insert:
    """Copies one row within the database: the words do not pass through here."""
    own: dict[str, Any] = {"id": bindparam("copy"), "conversation_key": literal(key), "request_id": literal("")}
    own |= {"fingerprint": literal(""), "delivered": literal(True), **dict.fromkeys(TOTALS, literal(0)), **instead}
    same = [column for column in turn.c if column.name not in own]
    values = select(*same, *own.values()).where(turn.c.id == bindparam("original"))
    return insert(turn).from_select([*(column.name for column in same), *own], values)
