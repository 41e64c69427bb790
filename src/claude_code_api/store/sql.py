"""The runtime's Store and KeyStore over SQLAlchemy Core."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Engine, delete, func, select, tuple_

from claude_code_api.core.identity import Address
from claude_code_api.core.keys import ApiKey
from claude_code_api.runtime.ports import Entry
from claude_code_api.runtime.stored import (
    BeganTurn,
    CompletedTurn,
    Fork,
    ForkResult,
    Rewound,
    StoredAnswer,
    StoredConversation,
    StoredTurns,
)
from claude_code_api.store import histories, keys, revisions, transcripts, turns
from claude_code_api.store.database import Database
from claude_code_api.store.rows import conversation_of
from claude_code_api.store.schema import conversation
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
        return await self._database.read(lambda connection: histories.load(connection, *_at(tenant, conversation_id)))

    async def summary(self, tenant: str, conversation_id: str) -> StoredConversation | None:
        """The same without its history."""
        return await self._database.read(
            lambda connection: histories.summary(connection, *_at(tenant, conversation_id))
        )

    async def page(self, tenant: str, *, before: tuple[float, str] | None, limit: int) -> list[StoredConversation]:
        """Conversations with a completed turn, the newest first, without their histories."""
        order = (conversation.c.created_at, conversation.c.conversation_id)
        statement = select(conversation).where(conversation.c.tenant == tenant, conversation.c.kept)
        if before is not None:
            statement = statement.where(tuple_(*order) < tuple_(*before))
        statement = statement.order_by(*(column.desc() for column in order)).limit(limit)
        rows = await self._database.read(lambda connection: connection.execute(statement).all())
        return [conversation_of(row) for row in rows]

    async def count(self) -> int:
        """How many conversations there are with a completed turn, of all tenants."""
        kept = select(func.count()).where(conversation.c.kept)
        return await self._database.read(lambda connection: connection.scalar(kept) or 0)

    async def find(self, tenant: str, lineage: str, *, system: str) -> str | None:
        """The id of the only conversation that holds this history, better one with this system prompt; else None."""
        same = (conversation.c.tenant == tenant, conversation.c.lineage == lineage, conversation.c.kept)
        is_same_system = (conversation.c.system == system).label("is_same_system")
        statement = select(conversation.c.conversation_id, is_same_system).where(*same)
        statement = statement.order_by(is_same_system.desc()).limit(2)
        found = await self._database.read(lambda connection: connection.execute(statement).all())
        if len(found) == 2 and found[0].is_same_system == found[1].is_same_system:
            return None
        return found[0].conversation_id if found else None

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
            .where(conversation.c.last_used_at < moment, conversation.c.kept)
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

    # Going back and branching off

    async def rewind(self, key: str, turns: int, *, epoch: int) -> Rewound | None:
        """Take back the last so many turns; None, and nothing taken back, when there are fewer."""
        return await self._database.write(lambda connection: revisions.rewind(connection, key, turns, epoch))

    async def fork(self, fork: Fork) -> ForkResult:
        """Copy a conversation's history under an id of its own."""
        return await self._database.write(lambda connection: revisions.fork(connection, fork))

    async def turns(self, key: str, *, after: str | None, limit: int) -> StoredTurns | None:
        """A page of the turns that a conversation's history is made of; None when `after` is none of them."""
        return await self._database.read(lambda connection: revisions.turns(connection, key, after, limit))

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


def _at(tenant: str, conversation_id: str) -> tuple[ColumnElement[bool], ...]:
    return conversation.c.tenant == tenant, conversation.c.conversation_id == conversation_id
