"""What is written for a turn: when it begins, when it is answered, when it ends without an answer; and reading answers.

Statements of the way of every turn are built once: building one costs more than running it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from sqlalchemy import Connection, Select, bindparam, delete, exists, func, insert, select, update

from claude_code_api.core.turn import StartKind, TurnCompleted, Usage
from claude_code_api.errors import ConversationDeleted, ConversationMoved
from claude_code_api.runtime.stored import BeganTurn, CompletedTurn, StoredAnswer
from claude_code_api.store import histories, transcripts
from claude_code_api.store.rows import (
    COMPLETED,
    FAILED,
    INTERRUPTED,
    NOTHING,
    RUNNING,
    TOTALS,
    from_json,
    to_json,
    totals_of,
)
from claude_code_api.store.schema import conversation, idempotency, turn

_CLAIM = (
    update(conversation)
    .where(conversation.c.key == bindparam("known"), conversation.c.epoch <= bindparam("mine"))
    .values(epoch=bindparam("mine"))
)
_KNOWN = select(conversation.c.key).where(conversation.c.key == bindparam("known"))
_LAST_NUMBER = select(func.max(turn.c.number)).where(turn.c.conversation_key == bindparam("of"))
_NEW_CONVERSATION, _NEW_TURN, _NEW_KEY = insert(conversation), insert(turn), insert(idempotency)
_COMPLETE_TURN = update(turn).where(turn.c.id == bindparam("turn_id"))
_COMPLETE_CONVERSATION = (
    update(conversation)
    .where(conversation.c.key == bindparam("conversation_key"), conversation.c.epoch == bindparam("mine"))
    .values(
        {
            "turns": conversation.c.turns + 1,
            "kept": True,
            **{name: conversation.c[name] + bindparam(f"more_{name}") for name in TOTALS},
        }
    )
)


def begin(connection: Connection, began: BeganTurn) -> None:
    """Record a turn that is about to be sent, and its conversation if it is the first."""
    if connection.execute(_CLAIM, {"known": began.key, "mine": began.epoch}).rowcount == 0:
        _make(connection, began)
    connection.execute(
        _NEW_TURN,
        {
            "id": began.turn_id,
            "number": (connection.scalar(_LAST_NUMBER, {"of": began.key}) or 0) + 1,
            "conversation_key": began.key,
            "request_id": began.request_id,
            "status": RUNNING,
            "start": began.start,
            "base": None if began.base is None else to_json(began.base),
            "input": to_json([began.input])[0],
            "model": began.model,
            **totals_of(Usage(), 0.0),
            "started_at": began.created_at,
            "fingerprint": began.fingerprint,
            "delivered": False,
        },
    )
    if began.idempotency_key is not None:
        mine = (idempotency.c.tenant == began.tenant, idempotency.c.key == began.idempotency_key)
        connection.execute(delete(idempotency).where(*mine))
        connection.execute(
            _NEW_KEY,
            {
                "tenant": began.tenant,
                "key": began.idempotency_key,
                "turn_id": began.turn_id,
                "created_at": began.created_at,
            },
        )


def _make(connection: Connection, began: BeganTurn) -> None:
    if connection.scalar(_KNOWN, {"known": began.key}) is not None:
        raise ConversationMoved("A newer process has this conversation; send the request again.", retry_after=1)
    if not began.is_first:
        raise ConversationDeleted("The conversation was deleted.")
    # What never had an answer holds no id, also if its end could not be written.
    connection.execute(
        delete(conversation).where(
            conversation.c.tenant == began.tenant,
            conversation.c.conversation_id == began.conversation_id,
            ~conversation.c.kept,
        )
    )
    connection.execute(
        _NEW_CONVERSATION,
        {
            "key": began.key,
            "tenant": began.tenant,
            "conversation_id": began.conversation_id,
            "place": began.place,
            "system": "",
            "model": "",
            "turns": 0,
            **totals_of(Usage(), 0.0),
            "created_at": began.conversation_created_at,
            "last_used_at": began.conversation_created_at,
            "epoch": began.epoch,
            "kept": False,
        },
    )


def complete(connection: Connection, completed: CompletedTurn) -> bool:
    """Record an answer and what its transcript gained; False when the conversation is gone, or somebody else's."""
    now = time.time()
    totals = totals_of(completed.usage, completed.cost_usd)
    found = connection.execute(
        _COMPLETE_CONVERSATION,
        {
            "conversation_key": completed.key,
            "mine": completed.epoch,
            "cli_session_id": completed.binding.cli_session_id if completed.binding else None,
            "leaf": completed.binding.leaf if completed.binding else None,
            "system": completed.system,
            "model": completed.model,
            "profile": completed.profile,
            "last_used_at": now,
            "lineage": completed.lineage,
            **{f"more_{name}": value for name, value in totals.items()},
        },
    ).rowcount
    if found == 0:
        return False
    connection.execute(
        _COMPLETE_TURN,
        {
            "turn_id": completed.turn_id,
            "status": COMPLETED,
            "output": to_json(completed.output),
            "stop_reason": completed.stop_reason,
            "model": completed.model,
            **totals,
            "finished_at": now,
        },
    )
    if completed.is_new_session:
        session = completed.binding.cli_session_id if completed.binding else ""
        transcripts.forget_others(connection, completed.key, session)
    if completed.is_new_session or completed.is_fork:
        _forget_what_was_replaced(connection, completed)
    if completed.binding is not None:
        of = transcripts.Of(completed.key, completed.place, completed.binding.cli_session_id)
        transcripts.append(connection, of, completed.entries)
    return True


def _forget_what_was_replaced(connection: Connection, completed: CompletedTurn) -> None:
    """Histories that a later one replaced: nobody reads them again."""
    last = histories.beginning(connection, completed.key)
    older = (turn.c.conversation_key == completed.key, turn.c.status.in_(histories.WITH_BASE), turn.c.number < last)
    connection.execute(update(turn).where(*older, turn.c.base.is_not(None)).values(base=None))


def end(connection: Connection, turn_id: str, error_code: str) -> None:
    """Record that a turn ended without an answer; its words go, and a conversation that never had an answer."""
    key = connection.scalar(select(turn.c.conversation_key).where(turn.c.id == turn_id))
    ended = connection.execute(
        update(turn)
        .where(turn.c.id == turn_id, turn.c.status == RUNNING)
        .values(status=FAILED, error_code=error_code, finished_at=time.time(), input=NOTHING, base=None)
    ).rowcount
    if ended:
        connection.execute(delete(idempotency).where(idempotency.c.turn_id == turn_id))
    runs = exists().where(turn.c.conversation_key == key, turn.c.status == RUNNING)
    connection.execute(delete(conversation).where(conversation.c.key == key, ~conversation.c.kept, ~runs))


def interrupt_running(connection: Connection) -> int:
    """Mark the turns that a server left running when it ended; return how many those were."""
    left = select(turn.c.id).where(turn.c.status == RUNNING)
    connection.execute(delete(idempotency).where(idempotency.c.turn_id.in_(left)))
    statement = update(turn).where(turn.c.status == RUNNING)
    count = connection.execute(
        statement.values(status=INTERRUPTED, finished_at=time.time(), input=NOTHING, base=None)
    ).rowcount
    connection.execute(delete(conversation).where(~conversation.c.kept))
    return count


def delivered(connection: Connection, turn_ids: Sequence[str]) -> None:
    """Record that these answers reached their clients."""
    connection.execute(update(turn).where(turn.c.id.in_(turn_ids)).values(delivered=True))


_ANSWER = (
    select(turn, conversation.c.tenant, conversation.c.conversation_id)
    .join(conversation, conversation.c.key == turn.c.conversation_key)
    .where(turn.c.status == COMPLETED)
)


def answer(connection: Connection, turn_id: str) -> StoredAnswer | None:
    """A completed turn."""
    return _answer(connection, _ANSWER.where(turn.c.id == turn_id))


def keyed_answer(connection: Connection, tenant: str, key: str, since: float) -> StoredAnswer | None:
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
            usage=Usage(
                row.input_tokens, row.output_tokens, row.cache_read_tokens, row.cache_write_tokens, row.thinking_tokens
            ),
            leaf=None,
            messages=from_json(row.output or ()),
        ),
    )


def forget_keys(connection: Connection, moment: float) -> None:
    """Forget idempotency keys that were recorded before then."""
    connection.execute(delete(idempotency).where(idempotency.c.created_at < moment))
