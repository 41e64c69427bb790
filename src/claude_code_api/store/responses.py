"""Responses: what is kept of a request beside its turn, so that its answer can be asked for by its id, and its events.

Statements of the way of every response are built once.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    JSON,
    Connection,
    Integer,
    Select,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)

from claude_code_api.errors import TurnCancelled
from claude_code_api.runtime.stored import AcceptedResponse, BeganTurn, NewResponse, ResponseStatus, StoredResponse
from claude_code_api.store import conversations
from claude_code_api.store.rows import COMPLETED, turn_of
from claude_code_api.store.schema import conversation, response, response_event, turn

_OPEN = (ResponseStatus.QUEUED, ResponseStatus.RUNNING)

_NEW = insert(response)
_BEGIN = (
    update(response)
    .where(response.c.turn_id == bindparam("of"), response.c.status == ResponseStatus.QUEUED)
    .values(status=ResponseStatus.RUNNING)
)
_COMPLETE = update(response).where(response.c.turn_id == bindparam("of")).values(status=ResponseStatus.COMPLETED)
_APPEND = insert(response_event).from_select(
    ["turn_id", "first", "events"],
    select(response.c.turn_id, bindparam("number", type_=Integer), bindparam("batch", type_=JSON)).where(
        response.c.turn_id == bindparam("of")
    ),
)

_SERVER_ENDED = (
    "The server ended during this response. Nothing of it is part of the conversation; the request can be sent again."
)


# Written


def accept(connection: Connection, accepted: AcceptedResponse) -> None:
    """Record a response that is not sent yet, and make its conversation if it is not there."""
    kept = update(conversation).where(conversation.c.key == accepted.key).values(kept=True)
    if connection.execute(kept).rowcount == 0:
        if conversations.is_taken(connection, accepted.tenant, accepted.conversation_id):
            raise conversations.deleted()  # the id is another conversation's by now
        conversations.make(
            connection,
            key=accepted.key,
            tenant=accepted.tenant,
            conversation_id=accepted.conversation_id,
            created_at=accepted.conversation_created_at,
            kept=True,
        )
    _make(connection, accepted, accepted.response, ResponseStatus.QUEUED)


def begin(connection: Connection, began: BeganTurn) -> None:
    """Record that a response's turn is about to be sent. One in the background that was forgotten stays forgotten."""
    if began.response is None:
        return
    if began.response.background:
        connection.execute(_BEGIN, {"of": began.turn_id})
    else:
        _make(connection, began, began.response, ResponseStatus.RUNNING)


def _make(connection: Connection, of: AcceptedResponse | BeganTurn, asked: NewResponse, status: ResponseStatus) -> None:
    connection.execute(
        _NEW,
        {
            "turn_id": of.turn_id,
            "tenant": of.tenant,
            "conversation_key": of.key,
            "status": status,
            "background": asked.background,
            "settings": dict(asked.settings),
            "created_at": of.created_at,
        },
    )


def complete(connection: Connection, turn_id: str, moment: float) -> None:
    """Record that a response's turn was answered."""
    connection.execute(_COMPLETE, {"of": turn_id, "finished_at": moment})


def end(connection: Connection, turn_id: str, error_code: str, message: str) -> None:
    """Record that a response has no answer and gets none, if it was still to get one."""
    is_cut = error_code == TurnCancelled.code
    connection.execute(
        update(response)
        .where(response.c.turn_id == turn_id, response.c.status.in_(_OPEN))
        .values(
            status=ResponseStatus.CANCELLED if is_cut else ResponseStatus.FAILED,
            error_code=error_code,
            error_message=message,
            finished_at=time.time(),
        )
    )


def end_left(connection: Connection) -> None:
    """Mark the responses that a server left without an answer when it ended. Clients know their ids: they stay."""
    left = response.c.status.in_(_OPEN)
    theirs = conversation.c.key.in_(select(response.c.conversation_key).where(left))
    connection.execute(update(conversation).where(theirs, ~conversation.c.kept).values(kept=True))
    connection.execute(
        update(response)
        .where(left)
        .values(
            status=ResponseStatus.FAILED,
            error_code="server_restarted",
            error_message=_SERVER_ENDED,
            finished_at=time.time(),
        )
    )


def forget(connection: Connection, tenant: str, turn_id: str) -> bool:
    """Forget a response and its events; its turn stays."""
    mine = (response.c.turn_id == turn_id, response.c.tenant == tenant)
    return connection.execute(delete(response).where(*mine)).rowcount > 0


def forget_of(connection: Connection, turn_ids: Select[tuple[Any]]) -> None:
    """Forget the responses of turns."""
    connection.execute(delete(response).where(response.c.turn_id.in_(turn_ids)))


# Read


def load(connection: Connection, tenant: str, turn_id: str) -> StoredResponse | None:
    """A response, with its turn when that is completed."""
    row = connection.execute(
        select(response, conversation.c.conversation_id)
        .join(conversation, conversation.c.key == response.c.conversation_key)
        .where(response.c.turn_id == turn_id, response.c.tenant == tenant)
    ).one_or_none()
    if row is None:
        return None
    done = connection.execute(select(turn).where(turn.c.id == turn_id, turn.c.status == COMPLETED)).one_or_none()
    return StoredResponse(
        turn_id=row.turn_id,
        tenant=row.tenant,
        key=row.conversation_key,
        conversation_id=row.conversation_id,
        status=ResponseStatus(row.status),
        settings=row.settings,
        background=row.background,
        created_at=row.created_at,
        finished_at=row.finished_at,
        error_code=row.error_code,
        error_message=row.error_message,
        turn=None if done is None else turn_of(done),
    )


# Events: a batch a row, under the number of its first


def append_events(connection: Connection, turn_id: str, first: int, events: Sequence[Mapping[str, Any]]) -> bool:
    """Record a batch of a response's events; False when there is no such response."""
    batch = [dict(event) for event in events]
    return connection.execute(_APPEND, {"of": turn_id, "number": first, "batch": batch}).rowcount > 0


def events(connection: Connection, turn_id: str, after: int) -> list[Mapping[str, Any]]:
    """The recorded events of a response behind the number `after`."""
    mine = response_event.c.turn_id == turn_id
    wanted = after + 1
    begins = select(func.max(response_event.c.first)).where(mine, response_event.c.first <= wanted)
    rows = connection.execute(
        select(response_event.c.first, response_event.c.events)
        .where(mine, response_event.c.first >= func.coalesce(begins.scalar_subquery(), 0))
        .order_by(response_event.c.first)
    )
    return [event for row in rows for event in row.events[max(0, wanted - row.first) :]]


def forget_events(connection: Connection, turn_id: str) -> None:
    """Forget what was recorded of a response; it follows from its turn."""
    connection.execute(delete(response_event).where(response_event.c.turn_id == turn_id))
