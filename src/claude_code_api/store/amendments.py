"""Histories changed without a model: what is added to one, and what is taken out of a turn.

What is added is a row of `turn` that nobody ran and that cost nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from sqlalchemy import Connection, func, insert, select, update

from claude_code_api.core.turn import Usage
from claude_code_api.runtime.stored import Addition, Change, NewConversation, StoredConversation
from claude_code_api.store import conversations, histories, responses, transcripts
from claude_code_api.store.rows import ADDED, COMPLETED, NOTHING, to_json, toolbox_to_json, totals_of, turn_of
from claude_code_api.store.schema import conversation, turn

_UNBOUND = {"cli_session_id": None, "leaf": None}
"""The next process starts from the history."""


def make(connection: Connection, new: NewConversation, additions: Sequence[Addition]) -> bool:
    """Make a conversation without a turn; False when its id is taken."""
    if conversations.is_taken(connection, new.tenant, new.conversation_id):
        return False
    begins = new.beginning
    conversations.make(
        connection,
        key=new.key,
        tenant=new.tenant,
        conversation_id=new.conversation_id,
        created_at=new.created_at,
        kept=True,
        metadata=dict(new.metadata),
        **({} if begins is None else {**asdict(begins), "toolbox": toolbox_to_json(begins.toolbox)}),
    )
    _write(connection, new.key, additions)
    return True


def add(
    connection: Connection, key: str, additions: Sequence[Addition], epoch: int, keeps_binding: bool
) -> StoredConversation:
    """Add to a history. Nobody finds the conversation by what it held before."""
    conversations.check_owner(connection, key, epoch)
    _write(connection, key, additions)
    return _changed(connection, key, epoch, keeps_binding=keeps_binding)


def amend(connection: Connection, key: str, turn_id: str, change: Change, epoch: int) -> StoredConversation | None:
    """Change what a turn of the present history holds. What repeats its words goes with them."""
    conversations.check_owner(connection, key, epoch)
    mine = (*histories.present(connection, key).turns(), turn.c.id == turn_id)
    row = connection.execute(select(turn).where(*mine)).one_or_none()
    if row is None:
        return None
    left = change(turn_of(row))
    connection.execute(
        update(turn)
        .where(turn.c.id == turn_id)
        .values(input=to_json([left.input])[0], output=to_json(left.output), developer=list(left.developer) or None)
    )
    responses.forget_events(connection, turn_id)
    transcripts.forget_from(connection, key, turn_id)
    return _changed(connection, key, epoch, keeps_binding=False)


def _changed(connection: Connection, key: str, epoch: int, *, keeps_binding: bool) -> StoredConversation:
    conversations.use(connection, key, epoch, lineage=None, **({} if keeps_binding else _UNBOUND))
    found = histories.load(connection, conversation.c.key == key)
    assert found is not None
    return found


def _write(connection: Connection, key: str, additions: Sequence[Addition]) -> None:
    if not additions:
        return
    last = connection.scalar(select(func.max(turn.c.number)).where(turn.c.conversation_key == key)) or 0
    rows = []
    for number, one in enumerate(additions, last + 1):
        first, *others = to_json(one.messages) or [NOTHING]
        rows.append(
            {
                "id": one.turn_id,
                "number": number,
                "conversation_key": key,
                "request_id": "",
                "status": COMPLETED,
                "start": ADDED,
                "stop_reason": ADDED,
                "input": first,
                "output": others,
                "developer": list(one.developer) or None,
                "model": "",
                **totals_of(Usage(), 0.0),
                "started_at": one.created_at,
                "finished_at": one.created_at,
            }
        )
    connection.execute(insert(turn), rows)
