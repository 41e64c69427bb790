"""API keys: read by the server; made, revoked and deleted by commands, beside a server that runs.

The commands wait for the server's writes like the server does for theirs, and take no lock but the database's.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from claude_code_api.core.keys import ApiKey
from claude_code_api.store.database import sqlite_engine
from claude_code_api.store.maintenance import explained, is_there, reading
from claude_code_api.store.schema import api_key

_ALL = select(api_key).order_by(api_key.c.created_at, api_key.c.id)


def every(connection: Connection) -> list[ApiKey]:
    """Every key, the oldest first."""
    return [_key_of(row) for row in connection.execute(_ALL)]


def stored(path: Path) -> list[ApiKey]:
    """Every key in a database file; none where there is no file, or one from before there were keys.

    Opens it read-only. Raises ConfigError when it cannot be read.
    """
    if not path.exists():
        return []
    with explained(path), reading(path) as connection:
        return every(connection) if is_there(connection, api_key) else []


def add(path: Path, key: ApiKey) -> None:
    """Store a key in a database of this version. Raises ConfigError."""
    row = asdict(key) | {"profiles": None if key.profiles is None else list(key.profiles)}
    with _writing(path) as connection:
        connection.execute(insert(api_key), row)


def revoke(path: Path, key_id: str, moment: float) -> None:
    """Let a key open nothing any more, if it still does. Raises ConfigError."""
    known = (api_key.c.id == key_id, api_key.c.revoked_at.is_(None))
    with _writing(path) as connection:
        connection.execute(update(api_key).where(*known).values(revoked_at=moment))


def forget(path: Path, key_id: str) -> bool:
    """Delete a key for good; return whether any is left. Raises ConfigError."""
    with _writing(path) as connection:
        connection.execute(delete(api_key).where(api_key.c.id == key_id))
        return connection.scalar(select(api_key.c.id).limit(1)) is not None


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[Connection]:
    engine = sqlite_engine(path)
    try:
        with explained(path), engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def _key_of(row: Row[Any]) -> ApiKey:
    return ApiKey(
        id=row.id,
        digest=row.digest,
        tenant=row.tenant,
        name=row.name,
        profiles=None if row.profiles is None else tuple(row.profiles),
        is_admin=row.is_admin,
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
    )
