"""The runtime's Store and KeyStore over SQLAlchemy Core."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Connection, Engine, delete, func, select, tuple_

from claude_code_api.core.identity import Address
from claude_code_api.core.keys import ApiKey
from claude_code_api.core.turn import Message
from claude_code_api.runtime.ports import BeganTurn, CompletedTurn, Entry, StoredAnswer, StoredConversation, Unread
from claude_code_api.store import keys, transcripts, turns
from claude_code_api.store.database import Database
from claude_code_api.store.rows import COMPLETED, conversation_of, from_json
from claude_code_api.store.schema import conversation, turn
from claude_code_api.store.transcripts import TranscriptStore


class SqlStore:
    """Conversations, turns, transcripts and API keys of one server.

    The database must have been migrated and settled.
    """

    def __init__(self, engine: Engine) -> None:
        self._database = Database(engine)

    async def close(self) -> None:
        """Finish what was asked for and let the file go."""
        await self._database.close()

    # Conversations

    async def load(self, tenant: str, conversation_id: str) -> StoredConversation | None:
        """A conversation with its history, None when there is none."""
        return await self._database.read(lambda connection: _load(connection, tenant, conversation_id))

    async def summary(self, tenant: str, conversation_id: str) -> StoredConversation | None:
        """The same without its history."""
        return await self._database.read(lambda connection: _summary(connection, tenant, conversation_id))

    async def page(self, tenant: str, *, before: tuple[float, str] | None, limit: int) -> list[StoredConversation]:
        """Conversations with a completed turn, the newest first, without their histories."""
        order = (conversation.c.created_at, conversation.c.conversation_id)
        statement = select(conversation).where(conversation.c.tenant == tenant, conversation.c.turns > 0)
        if before is not None:
            statement = statement.where(tuple_(*order) < tuple_(*before))
        statement = statement.order_by(*(column.desc() for column in order)).limit(limit)
        rows = await self._database.read(lambda connection: connection.execute(statement).all())
        return [conversation_of(row) for row in rows]

    async def count(self) -> int:
        """How many conversations there are with a completed turn, of all tenants."""
        kept = select(func.count()).where(conversation.c.turns > 0)
        return await self._database.read(lambda connection: connection.scalar(kept) or 0)

    async def find(self, tenant: str, lineage: str) -> str | None:
        """The id of the only conversation that holds this history; None when there are none or several."""
        same = (conversation.c.tenant == tenant, conversation.c.lineage == lineage, conversation.c.turns > 0)
        statement = select(conversation.c.conversation_id).where(*same).limit(2)
        found = await self._database.read(lambda connection: list(connection.scalars(statement)))
        return found[0] if len(found) == 1 else None

    async def known_places(self, places: Sequence[str]) -> set[str]:
        """Those of these directories that belong to conversations."""
        statement = select(conversation.c.place).where(conversation.c.place.in_(places))
        return await self._database.read(lambda connection: set(connection.scalars(statement)))

    async def delete(self, key: str) -> None:
        """Forget a conversation, with its turns, answers and transcripts."""
        statement = delete(conversation).where(conversation.c.key == key)
        await self._database.write(lambda connection: connection.execute(statement))

    async def unused_since(self, moment: float, *, limit: int) -> list[Address]:
        """The conversations of all tenants that were last used before then, the longest unused first."""
        statement = (
            select(conversation.c.tenant, conversation.c.conversation_id)
            .where(conversation.c.last_used_at < moment, conversation.c.turns > 0)
            .order_by(conversation.c.last_used_at)
            .limit(limit)
        )
        return await self._database.read(lambda connection: [Address(*row) for row in connection.execute(statement)])

    # Turns

    async def begin(self, began: BeganTurn) -> None:
        """Record a turn that is about to be sent, and its conversation if it is the first."""
        await self._database.write(lambda connection: turns.begin(connection, began))

    async def complete(self, completed: CompletedTurn) -> bool:
        """Record an answer; False when the conversation is gone or a newer process has it."""
        return await self._database.write(lambda connection: turns.complete(connection, completed))

    async def end(self, turn_id: str, *, error_code: str) -> None:
        """Record that a turn ended without an answer; a conversation that never had one goes with it."""
        await self._database.write(lambda connection: turns.end(connection, turn_id, error_code))

    async def delivered(self, turn_ids: Sequence[str]) -> None:
        """Record that these answers reached their clients."""
        await self._database.write(lambda connection: turns.delivered(connection, turn_ids))

    async def answer(self, turn_id: str) -> StoredAnswer | None:
        """A completed turn."""
        return await self._database.read(lambda connection: turns.answer(connection, turn_id))

    async def keyed_answer(self, tenant: str, idempotency_key: str, *, since: float) -> StoredAnswer | None:
        """The completed turn of a request with this Idempotency-Key, if it was recorded since then."""
        return await self._database.read(
            lambda connection: turns.keyed_answer(connection, tenant, idempotency_key, since)
        )

    async def forget_keys(self, moment: float) -> None:
        """Forget idempotency keys that were recorded before then."""
        await self._database.write(lambda connection: turns.forget_keys(connection, moment))

    # API keys

    async def keys(self) -> list[ApiKey]:
        """Every API key, revoked and expired ones included."""
        return await self._database.read(keys.every)

    # Transcripts

    async def transcript(self, key: str, cli_session_id: str) -> list[Entry]:
        """The stored copy of a transcript, in the order it was written."""
        return await self._database.read(lambda connection: transcripts.load(connection, key, cli_session_id))

    def transcripts_of(self, key: str, epoch: int) -> TranscriptStore:
        """A conversation's transcripts in the agent SDK's terms, for the process of this generation."""
        return TranscriptStore(self._database, key, epoch)


def _summary(connection: Connection, tenant: str, conversation_id: str) -> StoredConversation | None:
    mine = (conversation.c.tenant == tenant, conversation.c.conversation_id == conversation_id)
    row = connection.execute(select(conversation).where(*mine, conversation.c.turns > 0)).one_or_none()
    return None if row is None else conversation_of(row)


def _load(connection: Connection, tenant: str, conversation_id: str) -> StoredConversation | None:
    found = _summary(connection, tenant, conversation_id)
    if found is None:
        return None
    return replace(found, history=history(connection, found.key), unread=_unread(connection, found.key))


def history(connection: Connection, key: str) -> tuple[Message, ...]:
    """What a conversation holds: its completed turns since the last one that replaced everything before it."""
    done = (turn.c.conversation_key == key, turn.c.status == COMPLETED)
    forked = connection.scalar(select(func.max(turn.c.number)).where(*done, turn.c.base.is_not(None)))
    rows = connection.execute(
        select(turn.c.base, turn.c.input, turn.c.output)
        .where(*done, turn.c.number >= (forked or 0))
        .order_by(turn.c.number)
    )
    found: list[Message] = []
    for base, given, answered in rows:
        found += [*from_json(base or ()), *from_json([given]), *from_json(answered or ())]
    return tuple(found)


def _unread(connection: Connection, key: str) -> Unread | None:
    row = connection.execute(
        select(turn.c.id, turn.c.fingerprint, turn.c.delivered, turn.c.finished_at)
        .where(turn.c.conversation_key == key, turn.c.status == COMPLETED)
        .order_by(turn.c.number.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None or row.delivered else Unread(row.id, row.fingerprint, row.finished_at)
