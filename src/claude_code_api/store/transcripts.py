"""Copies of the CLI's transcripts, by which a conversation comes back whole where its files are missing.

The table holds what the agent SDK's `SessionStore` does: an entry a row, in the order they came, once a `uuid`. The
server writes them in the transaction that completes their turn; `TranscriptStore` offers them in the SDK's own terms.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, func, select
from sqlalchemy.dialects import sqlite

from claude_code_api.errors import ConversationMoved
from claude_code_api.runtime.ports import Entry
from claude_code_api.store.database import Database
from claude_code_api.store.schema import conversation, transcript_entry

_ADD = sqlite.insert(transcript_entry).on_conflict_do_nothing()


@dataclass(frozen=True, slots=True)
class Of:
    """Whose transcript: the conversation's internal id, its directory, the CLI's session."""

    key: str
    project_key: str
    session_id: str


def append(connection: Connection, of: Of, entries: Sequence[Entry]) -> None:
    """Add entries; one whose `uuid` is there already changes nothing."""
    if not entries:
        return
    now = time.time()
    connection.execute(
        _ADD,
        [
            {
                "conversation_key": of.key,
                "project_key": of.project_key,
                "session_id": of.session_id,
                "subpath": entry.subpath,
                "uuid": entry.line.get("uuid"),
                "entry": entry.line,
                "written_at": now,
            }
            for entry in entries
        ],
    )


def load(connection: Connection, key: str, session_id: str) -> list[Entry]:
    """Every entry of a session, in the order they came."""
    rows = connection.execute(
        select(transcript_entry.c.subpath, transcript_entry.c.entry)
        .where(transcript_entry.c.conversation_key == key, transcript_entry.c.session_id == session_id)
        .order_by(transcript_entry.c.id)
    )
    return [Entry(row.subpath, row.entry) for row in rows]


def forget_others(connection: Connection, key: str, session_id: str) -> None:
    """Forget every session of a conversation but this one."""
    rows = transcript_entry.c
    connection.execute(delete(transcript_entry).where(rows.conversation_key == key, rows.session_id != session_id))


def forget_from(connection: Connection, key: str, uuid: str) -> None:
    """Forget the entry `uuid` of a conversation's transcript and what came behind it; all, when it is not there."""
    rows = transcript_entry.c
    found = connection.execute(
        select(rows.id, rows.session_id).where(rows.conversation_key == key, rows.subpath == "", rows.uuid == uuid)
    ).first()
    since = () if found is None else (rows.session_id == found.session_id, rows.id >= found.id)
    connection.execute(delete(transcript_entry).where(rows.conversation_key == key, *since))


class TranscriptStore:
    """The agent SDK's `SessionStore` for one conversation, written to by one generation of its process.

    Keys are the SDK's: `{"project_key", "session_id", "subpath"?}`. All raise StoreUnavailable; `append` raises
    ConversationMoved when the conversation is gone or a newer process has it.
    """

    def __init__(self, database: Database, conversation_key: str, epoch: int) -> None:
        self._database = database
        self._conversation_key = conversation_key
        self._epoch = epoch

    async def append(self, key: Any, entries: Sequence[Any]) -> None:
        """Add entries to a transcript."""
        of = Of(self._conversation_key, key["project_key"], key["session_id"])

        def work(connection: Connection) -> None:
            owned = select(conversation.c.key).where(
                conversation.c.key == self._conversation_key, conversation.c.epoch == self._epoch
            )
            if connection.scalar(owned) is None:
                raise ConversationMoved("A newer process has this conversation.", retry_after=1)
            append(connection, of, [Entry(key.get("subpath") or "", entry) for entry in entries])

        await self._database.write(work)

    async def load(self, key: Any) -> list[Any] | None:
        """The entries of a transcript, None when there is none."""
        statement = select(transcript_entry.c.entry).where(*self._at(key)).order_by(transcript_entry.c.id)
        return await self._database.read(lambda connection: list(connection.scalars(statement))) or None

    async def list_sessions(self, project_key: str) -> list[dict[str, Any]]:
        """The sessions of a project, with the Unix milliseconds of their last entry."""
        rows = transcript_entry.c
        statement = (
            select(rows.session_id, func.max(rows.written_at))
            .where(rows.conversation_key == self._conversation_key, rows.project_key == project_key, rows.subpath == "")
            .group_by(rows.session_id)
        )
        found = await self._database.read(lambda connection: connection.execute(statement).all())
        return [{"session_id": session, "mtime": int(at * 1000)} for session, at in found]

    async def list_subkeys(self, key: Any) -> list[str]:
        """The subagents' transcripts of a session."""
        subpath = transcript_entry.c.subpath
        statement = select(subpath).where(*self._within(key), subpath != "").distinct()
        return await self._database.read(lambda connection: list(connection.scalars(statement)))

    async def delete(self, key: Any) -> None:
        """Forget a session with its subagents', or one subagent's transcript."""
        where = self._at(key) if key.get("subpath") else self._within(key)
        await self._database.write(lambda connection: connection.execute(delete(transcript_entry).where(*where)))

    def _within(self, key: Any) -> tuple[ColumnElement[bool], ...]:
        rows = transcript_entry.c
        return (
            rows.conversation_key == self._conversation_key,
            rows.project_key == key["project_key"],
            rows.session_id == key["session_id"],
        )

    def _at(self, key: Any) -> tuple[ColumnElement[bool], ...]:
        return (*self._within(key), transcript_entry.c.subpath == (key.get("subpath") or ""))
