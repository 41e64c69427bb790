"""What is written for a turn: when it begins, when it is answered, when it ends without an answer.

Statements of the way of every turn are built once: building one costs more than running it.
"""

from __future__ import annotations

import time

from sqlalchemy import Connection, bindparam, delete, exists, func, insert, select, update

from claude_code_api.core.turn import Usage
from claude_code_api.runtime.stored import BeganTurn, CompletedTurn
from claude_code_api.store import conversations, histories, responses, transcripts
from claude_code_api.store.rows import (
    COMPLETED,
    FAILED,
    INTERRUPTED,
    NOTHING,
    RUNNING,
    TOTALS,
    to_json,
    totals_of,
)
from claude_code_api.store.schema import conversation, idempotency, response, turn

_CLAIM = (
    update(conversation)
    .where(conversation.c.key == bindparam("known"), conversation.c.epoch <= bindparam("mine"))
    .values(epoch=bindparam("mine"), place=bindparam("at"))
)
_KNOWN = select(conversation.c.key).where(conversation.c.key == bindparam("known"))
_LAST_NUMBER = select(func.max(turn.c.number)).where(turn.c.conversation_key == bindparam("of"))
_NEW_TURN, _NEW_KEY = insert(turn), insert(idempotency)
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
    claim = {"known": began.key, "mine": began.epoch, "at": began.place}
    if connection.execute(_CLAIM, claim).rowcount == 0:
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
            "developer": list(began.developer) or None,
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
    responses.begin(connection, began)


def _make(connection: Connection, began: BeganTurn) -> None:
    if connection.scalar(_KNOWN, {"known": began.key}) is not None:
        raise conversations.moved()
    if not began.is_first:
        raise conversations.deleted()
    conversations.free_id(connection, began.tenant, began.conversation_id)
    conversations.make(
        connection,
        key=began.key,
        tenant=began.tenant,
        conversation_id=began.conversation_id,
        created_at=began.conversation_created_at,
        place=began.place,
        epoch=began.epoch,
        kept=False,
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
            "stop_sequence": completed.stop_sequence,
            "model": completed.model,
            **totals,
            "finished_at": now,
        },
    )
    if completed.has_response:
        responses.complete(connection, completed.turn_id, now)
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
    """Histories that a later one replaced: nobody reads them again, unless a response can be gone on from."""
    last = histories.present(connection, completed.key).first
    older = (turn.c.conversation_key == completed.key, turn.c.status.in_(histories.WITH_BASE), turn.c.number < last)
    needed = exists().where(response.c.conversation_key == completed.key)
    connection.execute(update(turn).where(*older, turn.c.base.is_not(None), ~needed).values(base=None))


_WORDS = {"input": NOTHING, "base": None, "developer": None}
"""What goes of a turn that has no answer."""


def end(connection: Connection, turn_id: str, error_code: str, message: str) -> None:
    """Record that a turn ended without an answer; its words go, and a conversation that never had an answer."""
    key = connection.scalar(select(turn.c.conversation_key).where(turn.c.id == turn_id))
    ended = connection.execute(
        update(turn)
        .where(turn.c.id == turn_id, turn.c.status == RUNNING)
        .values(status=FAILED, error_code=error_code, finished_at=time.time(), **_WORDS)
    ).rowcount
    if ended:
        connection.execute(delete(idempotency).where(idempotency.c.turn_id == turn_id))
    responses.end(connection, turn_id, error_code, message)
    runs = exists().where(turn.c.conversation_key == key, turn.c.status == RUNNING)
    connection.execute(delete(conversation).where(conversation.c.key == key, ~conversation.c.kept, ~runs))


def interrupt_running(connection: Connection) -> int:
    """Mark the turns that a server left running when it ended, and its responses; return how many turns those were."""
    left = select(turn.c.id).where(turn.c.status == RUNNING)
    connection.execute(delete(idempotency).where(idempotency.c.turn_id.in_(left)))
    statement = update(turn).where(turn.c.status == RUNNING)
    count = connection.execute(statement.values(status=INTERRUPTED, finished_at=time.time(), **_WORDS)).rowcount
    responses.end_left(connection)
    connection.execute(delete(conversation).where(~conversation.c.kept))
    return count
