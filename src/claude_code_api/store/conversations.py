"""The rows of conversations: made, looked up, changed, forgotten. What they hold is in `histories.py`.

Statements of the way of every turn are built once.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, delete, func, insert, select, tuple_, update

from claude_code_api.core.identity import Address
from claude_code_api.core.toolbox import Toolbox
from claude_code_api.core.turn import Usage
from claude_code_api.errors import ConversationDeleted, ConversationMoved
from claude_code_api.runtime.stored import StoredConversation
from claude_code_api.store.rows import conversation_of, toolbox_to_json, totals_of
from claude_code_api.store.schema import conversation

_NEW = insert(conversation)
_EMPTY = {"place": "", "system": "", "model": "", "turns": 0, "epoch": 0, **totals_of(Usage(), 0.0)}
_FREE_ID = delete(conversation).where(
    conversation.c.tenant == bindparam("of"), conversation.c.conversation_id == bindparam("id"), ~conversation.c.kept
)


def at(tenant: str, conversation_id: str) -> tuple[ColumnElement[bool], ...]:
    """What picks a conversation by its address."""
    return conversation.c.tenant == tenant, conversation.c.conversation_id == conversation_id


# Made, changed, forgotten


def make(
    connection: Connection, *, key: str, tenant: str, conversation_id: str, created_at: float, **more: Any
) -> None:
    """Make a conversation that is empty but for what `more` says; its id must be free."""
    own = {"key": key, "tenant": tenant, "conversation_id": conversation_id}
    connection.execute(_NEW, {**_EMPTY, **own, "created_at": created_at, "last_used_at": created_at, **more})


def free_id(connection: Connection, tenant: str, conversation_id: str) -> None:
    """Forget what has this id and never had an answer: it holds none, also if its end could not be written."""
    connection.execute(_FREE_ID, {"of": tenant, "id": conversation_id})


def is_taken(connection: Connection, tenant: str, conversation_id: str) -> bool:
    """Whether a conversation that is kept has this id. Forgets what is not."""
    free_id(connection, tenant, conversation_id)
    return connection.scalar(select(conversation.c.key).where(*at(tenant, conversation_id))) is not None


def moved() -> ConversationMoved:
    """What an older process gets."""
    return ConversationMoved("A newer process has this conversation; send the request again.", retry_after=1)


def deleted() -> ConversationDeleted:
    """What comes too late gets."""
    return ConversationDeleted("The conversation was deleted.")


def check_owner(connection: Connection, key: str, epoch: int) -> None:
    """Raise ConversationDeleted, or ConversationMoved when a newer process than `epoch` has it."""
    newest = connection.scalar(select(conversation.c.epoch).where(conversation.c.key == key))
    if newest is None:
        raise deleted()
    if newest > epoch:
        raise moved()


def use(connection: Connection, key: str, epoch: int, **values: Any) -> None:
    """Change a conversation on behalf of a generation of its process. It is kept from now on."""
    values |= {"epoch": epoch, "last_used_at": time.time(), "kept": True}
    connection.execute(update(conversation).where(conversation.c.key == key).values(values))


def set_metadata(connection: Connection, key: str, metadata: Mapping[str, str]) -> bool:
    """Replace what a client says of a conversation."""
    mine = conversation.c.key == key
    return connection.execute(update(conversation).where(mine).values(metadata=dict(metadata))).rowcount > 0


def equip(connection: Connection, key: str, toolbox: Toolbox) -> None:
    """Replace what a conversation's agent is equipped with."""
    mine = conversation.c.key == key
    connection.execute(update(conversation).where(mine).values(toolbox=toolbox_to_json(toolbox)))


def forget(connection: Connection, key: str) -> None:
    """Forget a conversation, with everything that belongs to it."""
    connection.execute(delete(conversation).where(conversation.c.key == key))


# Looked up


def page(connection: Connection, tenant: str, before: tuple[float, str] | None, limit: int) -> list[StoredConversation]:
    """Conversations that are kept, the newest first."""
    order = (conversation.c.created_at, conversation.c.conversation_id)
    statement = select(conversation).where(conversation.c.tenant == tenant, conversation.c.kept)
    if before is not None:
        statement = statement.where(tuple_(*order) < tuple_(*before))
    statement = statement.order_by(*(column.desc() for column in order)).limit(limit)
    return [conversation_of(row) for row in connection.execute(statement)]


def count(connection: Connection) -> int:
    """How many conversations are kept, of all tenants."""
    return connection.scalar(select(func.count()).where(conversation.c.kept)) or 0


def find(connection: Connection, tenant: str, lineage: str, system: str) -> str | None:
    """The id of the only conversation that holds this history, better one with this system prompt; else None."""
    same = (conversation.c.tenant == tenant, conversation.c.lineage == lineage, conversation.c.kept)
    is_same_system = (conversation.c.system == system).label("is_same_system")
    statement = select(conversation.c.conversation_id, is_same_system).where(*same)
    found = connection.execute(statement.order_by(is_same_system.desc()).limit(2)).all()
    if len(found) == 2 and found[0].is_same_system == found[1].is_same_system:
        return None
    return found[0].conversation_id if found else None


def known_places(connection: Connection, places: Sequence[str]) -> set[str]:
    """Those of these directories that belong to conversations."""
    return set(connection.scalars(select(conversation.c.place).where(conversation.c.place.in_(places))))


def unused_since(connection: Connection, moment: float, limit: int) -> list[Address]:
    """The conversations of all tenants that were last used before then, the longest unused first."""
    statement = (
        select(conversation.c.tenant, conversation.c.conversation_id)
        .where(conversation.c.last_used_at < moment, conversation.c.kept)
        .order_by(conversation.c.last_used_at)
        .limit(limit)
    )
    return [Address(*row) for row in connection.execute(statement)]
