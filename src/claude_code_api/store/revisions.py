"""A conversation's turns taken back, copied into a conversation of their own, or read one by one."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, insert, literal, select, update

from claude_code_api.core.conversation import lineage
from claude_code_api.core.turn import Usage
from claude_code_api.errors import ConversationDeleted, ConversationMoved
from claude_code_api.runtime.stored import Fork, ForkResult, Rewound, StoredTurn, StoredTurns
from claude_code_api.store import histories, transcripts
from claude_code_api.store.rows import COMPLETED, NOTHING, REWOUND, from_json, to_json, totals_of
from claude_code_api.store.schema import conversation, idempotency, turn


def rewind(connection: Connection, key: str, turns: int, epoch: int) -> Rewound | None:
    """Take back the last turns: their words and the keys of their answers go, what they cost stays."""
    mine = conversation.c.key == key
    row = connection.execute(select(conversation.c.epoch, conversation.c.lineage).where(mine)).one_or_none()
    if row is None:
        raise ConversationDeleted("The conversation was deleted.")
    if row.epoch > epoch:
        raise ConversationMoved("A newer process has this conversation; send the request again.", retry_after=1)
    numbered = select(turn.c.id, turn.c.number).where(*histories.present(connection, key)).order_by(turn.c.number)
    held = connection.execute(numbered).all()
    if turns > len(held):
        return None
    first = held[-turns]
    taken = (turn.c.conversation_key == key, turn.c.status == COMPLETED, turn.c.number >= first.number)
    connection.execute(delete(idempotency).where(idempotency.c.turn_id.in_(select(turn.c.id).where(*taken))))
    connection.execute(update(turn).where(*taken).values(status=REWOUND, input=NOTHING, output=None))
    transcripts.forget_from(connection, key, first.id)
    left = histories.history(connection, key)
    connection.execute(
        update(conversation)
        .where(mine)
        .values(
            turns=conversation.c.turns - turns,
            cli_session_id=None,
            leaf=None,
            lineage=lineage(left) if row.lineage is not None and left else None,
            last_used_at=time.time(),
            epoch=epoch,
        )
    )
    found = histories.load(connection, mine)
    return None if found is None else Rewound(found, first.id)


_FREE = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "thinking_tokens", "cost_usd")
_OWN = {"id", "conversation_key", "request_id", "base", "fingerprint", "delivered", *_FREE}
_COPIED = [column for column in turn.c if column.name not in _OWN]


def fork(connection: Connection, fork: Fork) -> ForkResult:
    """Copy the beginning of a history. The copies cost nothing, have no keys, and count as delivered."""
    source = connection.execute(select(conversation).where(conversation.c.key == fork.source)).one_or_none()
    if source is None or not source.kept:
        return ForkResult.NO_SOURCE
    same = (conversation.c.tenant == source.tenant, conversation.c.conversation_id == fork.conversation_id)
    connection.execute(delete(conversation).where(*same, ~conversation.c.kept))
    if connection.scalar(select(conversation.c.key).where(*same)) is not None:
        return ForkResult.ID_TAKEN
    held = connection.scalars(
        select(turn.c.id).where(*histories.present(connection, fork.source)).order_by(turn.c.number)
    ).all()
    if fork.turns is not None and fork.turns > len(held):
        return ForkResult.TOO_FEW_TURNS
    copied = held[: fork.turns]
    base = histories.base(connection, fork.source)
    _copy_conversation(connection, source, fork, turns=len(copied))
    _copy_turns(connection, fork.key, copied)
    if base:
        _put_base(connection, fork, to_json(base), model=source.model)
    return ForkResult.DONE


def _copy_conversation(connection: Connection, source: Row[Any], fork: Fork, *, turns: int) -> None:
    connection.execute(
        insert(conversation).values(
            key=fork.key,
            tenant=source.tenant,
            conversation_id=fork.conversation_id,
            place=fork.place,
            system=source.system,
            model=source.model,
            turns=turns,
            **totals_of(Usage(), 0.0),
            created_at=fork.created_at,
            last_used_at=fork.created_at,
            epoch=0,
            kept=True,
        )
    )


def _copy_turns(connection: Connection, key: str, ids: Sequence[str]) -> None:
    """Row by row within the database: the words do not pass through here."""
    if not ids:
        return
    own = {"id": bindparam("copy"), "conversation_key": literal(key), "request_id": literal("")}
    own |= {"fingerprint": literal(""), "delivered": literal(True), **{name: literal(0) for name in _FREE}}
    values = select(*_COPIED, *own.values()).where(turn.c.id == bindparam("original"))
    statement = insert(turn).from_select([*(column.name for column in _COPIED), *own], values)
    for original in ids:
        connection.execute(statement, {"copy": str(uuid.uuid4()), "original": original})


def _put_base(connection: Connection, fork: Fork, base: list[dict[str, Any]], *, model: str) -> None:
    """Let the copied history begin with these messages: with its first turn, or as if that had been taken back."""
    first = select(turn.c.id).where(turn.c.conversation_key == fork.key).order_by(turn.c.number).limit(1)
    if connection.execute(update(turn).where(turn.c.id == first.scalar_subquery()).values(base=base)).rowcount:
        return
    connection.execute(
        insert(turn).values(
            id=str(uuid.uuid4()),
            number=1,
            conversation_key=fork.key,
            request_id="",
            status=REWOUND,
            start="forked",
            base=base,
            input=NOTHING,
            model=model,
            **totals_of(Usage(), 0.0),
            started_at=fork.created_at,
            finished_at=fork.created_at,
        )
    )


def turns(connection: Connection, key: str, after: str | None, limit: int) -> StoredTurns | None:
    """A page of the present history's turns, the first one first."""
    mine = histories.present(connection, key)
    rows = select(turn).where(*mine).order_by(turn.c.number).limit(limit)
    if after is not None:
        follows = connection.scalar(select(turn.c.number).where(*mine, turn.c.id == after))
        if follows is None:
            return None
        rows = rows.where(turn.c.number > follows)
    base = histories.base(connection, key) if after is None else ()
    return StoredTurns(base, tuple(_turn(row) for row in connection.execute(rows)))


def _turn(row: Row[Any]) -> StoredTurn:
    return StoredTurn(
        turn_id=row.id,
        created_at=row.started_at,
        finished_at=row.finished_at,
        model=row.model,
        stop_reason=row.stop_reason,
        input=from_json([row.input])[0],
        output=from_json(row.output or ()),
        usage=Usage(
            row.input_tokens, row.output_tokens, row.cache_read_tokens, row.cache_write_tokens, row.thinking_tokens
        ),
        cost_usd=row.cost_usd,
    )
