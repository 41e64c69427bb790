"""The sessions' store over SQLAlchemy Core."""

from __future__ import annotations

from collections.abc import Sequence

from claude_code_api.core.identity import Address
from claude_code_api.managed.session_store import (
    EventQuery,
    ListedSession,
    ManagedSession,
    SessionQuery,
    StoredEvent,
    Writing,
)
from claude_code_api.runtime.stored import StoredTurn
from claude_code_api.store import managed_events, managed_sessions
from claude_code_api.store.database import Database


class SqlSessionStore:
    """Sessions and their events, in the database of the conversations that they are."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def adopt(self, session: ManagedSession) -> ManagedSession:
        """Make a session of a conversation; the one that is there already if there is one."""
        return await self._database.write(lambda connection: managed_sessions.adopt(connection, session))

    async def listed(self, tenant: str, session_id: str) -> ListedSession | None:
        """A conversation that is kept, as a session."""
        return await self._database.read(lambda connection: managed_sessions.listed(connection, tenant, session_id))

    async def sessions(self, tenant: str, query: SessionQuery) -> list[ListedSession]:
        """A page of conversations that are kept, as sessions."""
        return await self._database.read(lambda connection: managed_sessions.page(connection, tenant, query))

    async def working(self) -> list[Address]:
        """The sessions of all tenants that something is to be done for."""
        return await self._database.read(managed_sessions.working)

    async def write(self, key: str, writing: Writing) -> list[StoredEvent]:
        """Write one step of a session."""
        return await self._database.write(lambda connection: managed_events.write(connection, key, writing))

    async def rest(self, key: str) -> bool:
        """Nothing is to be done any more, unless an event waits; whether that is so."""
        first = managed_events.FIRST_QUEUED
        return await self._database.write(lambda connection: managed_sessions.rest(connection, key, first))

    async def queued(self, key: str) -> list[StoredEvent]:
        """The events that wait for the agent."""
        return await self._database.read(lambda connection: managed_events.queued(connection, key))

    async def waits(self, key: str) -> int:
        """How many events wait for the agent."""
        return await self._database.read(lambda connection: managed_events.waits(connection, key))

    async def events(self, key: str, query: EventQuery) -> list[StoredEvent]:
        """A page of a log."""
        return await self._database.read(lambda connection: managed_events.page(connection, key, query))

    async def events_by_id(self, key: str, ids: Sequence[str]) -> list[StoredEvent]:
        """These events, in the order of the ids; those that there are."""
        return await self._database.read(lambda connection: managed_events.by_id(connection, key, ids))

    async def ids_of_calls(self, key: str, calls: Sequence[str]) -> dict[str, str]:
        """Which events told of these calls."""
        return await self._database.read(lambda connection: managed_events.ids_of_calls(connection, key, calls))

    async def turns_behind(self, key: str, number: int, *, limit: int) -> list[tuple[int, StoredTurn, bool]]:
        """The completed turns of a conversation behind this one, and whether the log has events of each."""
        return await self._database.read(lambda connection: managed_events.turns_behind(connection, key, number, limit))

    async def events_of_turn(self, key: str, turn_id: str) -> list[StoredEvent]:
        """What the log has of a turn."""
        return await self._database.read(lambda connection: managed_events.of_turn(connection, key, turn_id))

    async def completed_turn(self, key: str, turn_id: str) -> StoredTurn | None:
        """A turn of the conversation that has an answer."""
        return await self._database.read(lambda connection: managed_events.completed_turn(connection, key, turn_id))
