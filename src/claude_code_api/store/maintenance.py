"""What a person does with a database: look whether it is sound, copy it, shrink it, write it out.

Reading opens the file read-only, so it never makes or changes one and a server may go on beside it. Must not print.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alembic.util import CommandError
from sqlalchemy import Connection, Row, Table, create_engine, event, func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from claude_code_api.errors import ConfigError
from claude_code_api.store import migrate
from claude_code_api.store.database import LOCK_WAIT_S, reason_of
from claude_code_api.store.schema import (
    api_key,
    conversation,
    idempotency,
    managed_agent,
    managed_environment,
    managed_file,
    managed_skill,
    response,
    transcript_entry,
    turn,
)

_COUNTED = {
    "conversations": conversation,
    "turns": turn,
    "responses": response,
    "transcript entries": transcript_entry,
    "answers with a key": idempotency,
    "agents": managed_agent,
    "environments": managed_environment,
    "files": managed_file,
    "skills": managed_skill,
    "API keys": api_key,
}
_REFUSED = ("locked", "unable to open", "readonly", "full", "I/O error")
"""What SQLite says when it is not the file's content that is at fault."""
_MOST_PROBLEMS = 10
_LOOK = "SELECT count(*) FROM sqlite_schema"
"""Fails where the schema is damaged; VACUUM would then say that it cannot open its target."""


@dataclass(slots=True)
class Report:
    """What was found in a database. `strays` are directories of no conversation, `missing` the other way round."""

    size: int
    newest: str | None
    revision: str | None = None
    counts: dict[str, int] = field(default_factory=dict)
    strays: int = 0
    missing: int = 0
    problems: list[str] = field(default_factory=list)


def size_of(path: Path) -> int:
    """Bytes of a database, with those that wait beside it to be taken in."""
    wal = path.with_name(f"{path.name}-wal")
    return path.stat().st_size + (wal.stat().st_size if wal.exists() else 0)


def revision(path: Path) -> str | None:
    """The schema of a database, None for none. Raises ConfigError when it cannot be read."""
    with explained(path), reading(path) as connection:
        return migrate.revision(connection)


def check(path: Path, sessions: Path) -> Report:
    """Read a database from end to end; `sessions` holds the directories of its conversations.

    Damage is reported. Raises ConfigError when the file cannot be looked into.
    """
    report = Report(size_of(path), migrate.newest())
    try:
        with reading(path) as connection:
            report.problems += _damage(connection)
            report.revision = migrate.revision(connection)
            report.problems += _of_schema(path, report.revision)
            if report.revision is not None:
                _count(connection, report, sessions)
    except SQLAlchemyError as error:
        if any(word in reason_of(error) for word in _REFUSED):
            raise ConfigError(_explain(path, reason_of(error))) from error
        if reason_of(error) not in report.problems:
            report.problems.append(reason_of(error))
    return report


def vacuum(path: Path) -> None:
    """Give room that deleted rows left back to the disk. No server may use the file. Raises ConfigError."""
    with explained(path), contextlib.closing(_connect(path, "rw")) as connection:
        connection.execute(_LOOK)
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def backup(path: Path, copy: Path) -> None:
    """Copy a database, as it is at this moment, into an empty file. Raises ConfigError."""
    with explained(path, room=copy.parent), contextlib.closing(_connect(path, "ro")) as connection:
        connection.execute(_LOOK)
        connection.execute("VACUUM INTO ?", (str(copy),))


def export(path: Path, conversation_id: str | None = None) -> Iterator[dict[str, Any]]:
    """Every conversation, or those with this id, each followed by its turns: all as of one moment, row by row.

    Raises ConfigError.
    """
    chosen = select(conversation).where(conversation.c.kept)
    if conversation_id is not None:
        chosen = chosen.where(conversation.c.conversation_id == conversation_id)
    with explained(path), reading(path) as connection:
        _must_be_newest(path, connection)
        rows = connection.execution_options(yield_per=100)
        for row in rows.execute(chosen.order_by(conversation.c.created_at, conversation.c.key)):
            yield _conversation_line(row)
            of_it = select(turn).where(turn.c.conversation_key == row.key).order_by(turn.c.number)
            for one in rows.execute(of_it):
                yield _turn_line(row.conversation_id, one)


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    """Open a file that must be there. Transactions are begun by hand."""
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(uri, uri=True, timeout=LOCK_WAIT_S, isolation_level=None)


@contextlib.contextmanager
def reading(path: Path) -> Iterator[Connection]:
    """A connection that sees one moment of the database and can change nothing."""
    engine = create_engine("sqlite://", creator=lambda: _connect(path, "ro"), poolclass=NullPool)

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    with engine.begin() as connection:
        yield connection


@contextlib.contextmanager
def explained(path: Path, room: Path | None = None) -> Iterator[None]:
    """Turn what the database refuses into a ConfigError; `room` is where else it needs some."""
    try:
        yield
    except SQLAlchemyError as error:
        raise ConfigError(_explain(path, reason_of(error), room)) from error
    except (sqlite3.Error, CommandError, ValueError) as error:  # ValueError: a JSON column that holds none
        raise ConfigError(_explain(path, str(error), room)) from error


def _explain(path: Path, reason: str, room: Path | None = None) -> str:
    if "locked" in reason:
        return f"{path} is locked by another program. Try again when that is done."
    if "unable to open" in reason or "readonly" in reason:
        return f"{path} cannot be opened ({reason}). Run this as the user that the server runs as."
    if "full" in reason:
        where = f"in {room}" if room else "on the disk; it needs as much again, in SQLITE_TMPDIR or /var/tmp"
        return f"There is not enough room {where}. The database is as it was."
    if "I/O error" in reason:
        return f"The disk refused ({reason}). Is {room or path.parent} full, or failing?"
    return (
        f"{path} cannot be used: {reason}. `claude-code-api db check` says more; a file made by "
        "`claude-code-api db backup` can be put in its place."
    )


def _damage(connection: Connection) -> list[str]:
    found = connection.exec_driver_sql(f"PRAGMA integrity_check({_MOST_PROBLEMS})").scalars()
    problems = [line for text in found for line in str(text).splitlines() if line != "ok"][:_MOST_PROBLEMS]
    dangling: dict[tuple[str, str], int] = {}
    for table, _, parent, _ in connection.exec_driver_sql("PRAGMA foreign_key_check"):
        dangling[table, parent] = dangling.get((table, parent), 0) + 1
    problems += [f"{count} rows of {table} belong to no {parent}" for (table, parent), count in dangling.items()]
    return problems


def _of_schema(path: Path, schema: str | None) -> list[str]:
    if schema is None:
        return ["there are no tables of Claude Code API in it"]
    return [] if migrate.is_known(schema) else [migrate.newer(path)]


def _count(connection: Connection, report: Report, sessions: Path) -> None:
    for name, table in _COUNTED.items():
        if is_there(connection, table):
            report.counts[name] = connection.scalar(select(func.count()).select_from(table)) or 0
    rows = connection.execute(select(conversation.c.place, conversation.c.turns)).all()
    directories = {one.name for one in sessions.iterdir()} if sessions.is_dir() else set()
    report.missing = len({row.place for row in rows if row.turns} - directories)
    report.strays = len(directories - {row.place for row in rows})


def is_there(connection: Connection, table: Table) -> bool:
    """Whether the database has this table: one of an earlier version may not."""
    return connection.dialect.has_table(connection, table.name)


def _must_be_newest(path: Path, connection: Connection) -> None:
    schema = migrate.revision(connection)
    if schema == migrate.newest():
        return
    if schema is not None and not migrate.is_known(schema):
        raise ConfigError(migrate.newer(path))
    raise ConfigError(f"{path} is not of this version yet. `claude-code-api db upgrade` brings it there.")


def _conversation_line(row: Row[Any]) -> dict[str, Any]:
    return {
        "type": "conversation",
        "tenant": row.tenant,
        "id": row.conversation_id,
        "created_at": _moment(row.created_at),
        "last_used_at": _moment(row.last_used_at),
        "system": row.system,
        "model": row.model,
        "profile": row.profile,
        "metadata": row.metadata,
        "turns": row.turns,
        **_totals(row),
    }


def _turn_line(conversation_id: str, row: Row[Any]) -> dict[str, Any]:
    return {
        "type": "turn",
        "conversation_id": conversation_id,
        "number": row.number,
        "status": row.status,
        "start": row.start,
        "model": row.model,
        "created_at": _moment(row.started_at),
        "finished_at": _moment(row.finished_at),
        "input": row.input,
        "output": row.output or [],
        "base": row.base,
        "developer": row.developer or [],
        "stop_reason": row.stop_reason,
        "error_code": row.error_code,
        **_totals(row),
    }


def _totals(row: Row[Any]) -> dict[str, Any]:
    parts = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "thinking_tokens")
    return {"usage": {name: getattr(row, name) for name in parts}, "cost_usd": row.cost_usd}


def _moment(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()
