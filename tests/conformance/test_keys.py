"""What any store of API keys must do."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from claude_code_api.core.keys import ApiKey
from claude_code_api.errors import ConfigError
from claude_code_api.store import keys
from claude_code_api.store.database import sqlite_engine
from claude_code_api.store.migrate import upgrade
from claude_code_api.store.sql import SqlStore

PLAIN = ApiKey("a" * 12, "d" * 64, "default", "alice", None, False, 1000.5, None, None)
FULL = ApiKey("b" * 12, "e" * 64, "acme", "bob ☃", ("chat", "agent"), True, 2000.5, 3000.5, None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    engine = sqlite_engine(tmp_path / "store.db")
    upgrade(engine)
    engine.dispose()
    return tmp_path / "store.db"


@pytest_asyncio.fixture
async def store(path: Path) -> AsyncIterator[SqlStore]:
    store = SqlStore(sqlite_engine(path))
    yield store
    await store.close()


async def test_a_running_server_sees_what_commands_do(store: SqlStore, path: Path) -> None:
    assert await store.keys() == []
    keys.add(path, FULL)
    keys.add(path, PLAIN)
    assert await store.keys() == [PLAIN, FULL], "the oldest first"
    keys.revoke(path, PLAIN.id, 5000.0)
    assert await store.keys() == [replace(PLAIN, revoked_at=5000.0), FULL]
    keys.revoke(path, PLAIN.id, 6000.0)
    assert (await store.keys())[0].revoked_at == 5000.0, "it was revoked before"
    assert keys.forget(path, PLAIN.id), "one is left"
    assert await store.keys() == [FULL]
    assert not keys.forget(path, FULL.id), "none is left"
    assert await store.keys() == keys.stored(path) == []


async def test_commands_wait_for_the_servers_lock_and_say_when_it_takes_too_long(
    store: SqlStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("claude_code_api.store.database.LOCK_WAIT_S", 0.1)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(ConfigError, match="locked"):
        keys.add(path, PLAIN)
    assert await store.keys() == keys.stored(path) == [], "reading goes on"
    other.execute("ROLLBACK")
    other.close()
    keys.add(path, PLAIN)
    assert keys.stored(path) == [PLAIN]


def test_a_database_that_is_not_there_or_of_an_earlier_version_has_no_keys(path: Path, tmp_path: Path) -> None:
    assert keys.stored(tmp_path / "nowhere.db") == []
    assert not (tmp_path / "nowhere.db").exists()
    database = sqlite3.connect(path)
    database.execute("DROP TABLE api_key")
    database.close()
    assert keys.stored(path) == []


def test_a_deleted_key_is_not_in_the_file_any_more(path: Path) -> None:
    keys.add(path, FULL)
    keys.add(path, PLAIN)
    assert FULL.digest.encode() in b"".join(one.read_bytes() for one in path.parent.iterdir())
    keys.forget(path, FULL.id)
    assert FULL.digest.encode() not in b"".join(one.read_bytes() for one in path.parent.iterdir())
