"""The runtime's Store and KeyStore over SQLAlchemy Core."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Engine

from claude_code_api.core.identity import Address
from claude_code_api.core.keys import ApiKey
from claude_code_api.runtime.ports import Entry
from claude_code_api.runtime.stored import (
    AcceptedResponse,
    Addition,
    BeganTurn,
    Change,
    CompletedTurn,
    Fork,
    ForkResult,
    NewConversation,
    Rewound,
    StoredAnswer,
    StoredConversation,
    StoredHistory,
    StoredResponse,
    StoredTurn,
    StoredTurns,
)
from claude_code_api.store import (
    amendments,
    answers,
    conversations,
    histories,
    keys,
    reading,
    responses,
    revisions,
    transcripts,
    turns,
)
from claude_code_api.store.database import Database
from claude_code_api.store.managed import ManagedStore
from claude_code_api.store.managed_session_store import SqlSessionStore
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
        mine = conversations.at(tenant, conversation_id)
        return await self._database.read(lambda connection: histories.load(connection, *mine))

    async def summary(self, tenant: str, conversation_id: str) -> StoredConversation | None:
        """The same without its history."""
        mine = conversations.at(tenant, conversation_id)
        return await self._database.read(lambda connection: histories.summary(connection, *mine))

    async def page(self, tenant: str, *, before: tuple[float, str] | None, limit: int) -> list[StoredConversation]:
        """Conversations that are kept, the newest first, without their histories."""
        return await self._database.read(lambda connection: conversations.page(connection, tenant, before, limit))

    async def count(self) -> int:
        """How many conversations are kept, of all tenants."""
        return await self._database.read(conversations.count)

    async def find(self, tenant: str, lineage: str, *, system: str) -> str | None:
        """The id of the only conversation that holds this history, better one with this system prompt; else None."""
        return await self._database.read(lambda connection: conversations.find(connection, tenant, lineage, system))

    async def known_places(self, places: Sequence[str]) -> set[str]:
        """Those of these directories that belong to conversations."""
        return await self._database.read(lambda connection: conversations.known_places(connection, places))

    async def delete(self, key: str) -> None:
        """Forget a conversation, with its turns, answers and transcripts."""
        await self._database.write(lambda connection: conversations.forget(connection, key))

    async def unused_since(self, moment: float, *, limit: int) -> list[Address]:
        """The conversations of all tenants that were last used before then, the longest unused first."""
        return await self._database.read(lambda connection: conversations.unused_since(connection, moment, limit))

    async def set_metadata(self, key: str, metadata: Mapping[str, str]) -> bool:
        """Replace a conversation's metadata; False when it is gone."""
        return await self._database.write(lambda connection: conversations.set_metadata(connection, key, metadata))

    # Turns

    async def begin(self, began: BeganTurn) -> None:
        """Record a turn that is about to be sent, and its conversation if it is the first."""
        await self._database.write(lambda connection: turns.begin(connection, began))

    async def complete(self, completed: CompletedTurn) -> bool:
        """Record an answer; False when the conversation is gone or a newer process has it."""
        return await self._database.write(lambda connection: turns.complete(connection, completed))

    async def end(self, turn_id: str, *, error_code: str, message: str) -> None:
        """Record that a turn ended without an answer; a conversation that never had one goes with it."""
        await self._database.write(lambda connection: turns.end(connection, turn_id, error_code, message))

    async def delivered(self, turn_ids: Sequence[str]) -> None:
        """Record that these answers reached their clients."""
        await self._database.write(lambda connection: answers.delivered(connection, turn_ids))

    async def answer(self, turn_id: str) -> StoredAnswer | None:
        """A completed turn."""
        return await self._database.read(lambda connection: answers.answer(connection, turn_id))

    async def keyed_answer(self, tenant: str, idempotency_key: str, *, since: float) -> StoredAnswer | None:
        """The completed turn of a request with this Idempotency-Key, if it was recorded since then."""
        return await self._database.read(lambda connection: answers.keyed(connection, tenant, idempotency_key, since))

    async def forget_keys(self, moment: float) -> None:
        """Forget idempotency keys that were recorded before then."""
        await self._database.write(lambda connection: answers.forget_keys(connection, moment))

    async def turn(self, key: str, turn_id: str) -> StoredTurns | None:
        """One completed turn of a conversation, or what was added without one, with the base that came with it."""
        return await self._database.read(lambda connection: reading.one(connection, key, turn_id))

    async def turns(self, key: str, *, after: str | None, limit: int, newest_first: bool = False) -> StoredTurns | None:
        """A page of the turns that a conversation's history is made of; None when `after` is none of them."""
        return await self._database.read(lambda connection: reading.turns(connection, key, after, limit, newest_first))

    async def find_turns(self, tenant: str, turn_ids: Sequence[str]) -> list[StoredTurn]:
        """Completed turns of a tenant, in the order of these ids."""
        return await self._database.read(lambda connection: reading.find_turns(connection, tenant, turn_ids))

    # Responses

    async def accept(self, accepted: AcceptedResponse) -> None:
        """Record a response in the background that waits to be sent."""
        await self._database.write(lambda connection: responses.accept(connection, accepted))

    async def response(self, tenant: str, turn_id: str) -> StoredResponse | None:
        """The response of a turn, None when there is none."""
        return await self._database.read(lambda connection: responses.load(connection, tenant, turn_id))

    async def forget_response(self, tenant: str, turn_id: str) -> bool:
        """Forget a response and its events, not its turn; False when there is none."""
        return await self._database.write(lambda connection: responses.forget(connection, tenant, turn_id))

    async def append_events(self, turn_id: str, first: int, events: Sequence[Mapping[str, Any]]) -> bool:
        """Record events of a response; False when there is no such response."""
        return await self._database.write(
            lambda connection: responses.append_events(connection, turn_id, first, events)
        )

    async def events(self, turn_id: str, *, after: int) -> list[Mapping[str, Any]]:
        """The recorded events behind the number `after`."""
        return await self._database.read(lambda connection: responses.events(connection, turn_id, after))

    # Going back and branching off

    async def rewind(self, key: str, turns: int, *, epoch: int) -> Rewound | None:
        """Take back the last so many turns; None, and nothing taken back, when there are fewer."""
        return await self._database.write(lambda connection: revisions.rewind(connection, key, turns, epoch))

    async def fork(self, fork: Fork) -> ForkResult:
        """Copy a conversation's history under an id of its own."""
        return await self._database.write(lambda connection: revisions.fork(connection, fork))

    async def history_at(self, turn_id: str) -> StoredHistory | None:
        """What a conversation held when this turn was completed; None when that is gone."""
        return await self._database.read(lambda connection: histories.history_at(connection, turn_id))

    # Without a turn

    async def make(self, new: NewConversation, additions: Sequence[Addition]) -> bool:
        """Make a conversation before its first turn; False when its id is taken."""
        return await self._database.write(lambda connection: amendments.make(connection, new, additions))

    async def add(
        self, key: str, additions: Sequence[Addition], *, epoch: int, keeps_binding: bool
    ) -> StoredConversation:
        """Add to a conversation's history."""
        return await self._database.write(
            lambda connection: amendments.add(connection, key, additions, epoch, keeps_binding)
        )

    async def amend(self, key: str, turn_id: str, change: Change, *, epoch: int) -> StoredConversation | None:
        """Change what a turn of the present history holds; None when it has no such turn."""
        return await self._database.write(lambda connection: amendments.amend(connection, key, turn_id, change, epoch))

    # API keys

    async def keys(self) -> list[ApiKey]:
        """Every API key, revoked and expired ones included."""
        return await self._database.read(keys.every)

    # Managed Agents

    def managed(self) -> ManagedStore:
        """What Managed Agents keep in the same database; it goes with this store."""
        return ManagedStore(self._database)

    def sessions(self) -> SqlSessionStore:
        """What conversations are as sessions, in the same database; it goes with this store."""
        return SqlSessionStore(self._database)

    # Transcripts

    async def transcript(self, key: str, cli_session_id: str) -> list[Entry]:
        """The stored copy of a transcript, in the order it was written."""
        return await self._database.read(lambda connection: transcripts.load(connection, key, cli_session_id))

    def transcripts_of(self, key: str, epoch: int) -> TranscriptStore:
        """A conversation's transcripts in the agent SDK's terms, for the process of this generation."""
        return TranscriptStore(self._database, key, epoch)
