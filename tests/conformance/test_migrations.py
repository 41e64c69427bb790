"""Databases of earlier versions come to this one with what they hold, or stay as they are."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from alembic import command, op
from sqlalchemy import Connection, Table, inspect, text
from sqlalchemy.schema import SchemaItem

from claude_code_api.core.turn import Usage
from claude_code_api.runtime.ports import Binding
from claude_code_api.store import migrate
from claude_code_api.store.database import sqlite_engine
from claude_code_api.store.schema import metadata
from tests.conformance.test_store import ANSWER, began, loaded, opened, said, take_turn

NUMBERS = {"input_tokens": 3, "output_tokens": 2, "cache_read_tokens": 1, "cache_write_tokens": 0, "thinking_tokens": 0}


def make_older(path: Path, revision: str, conversations: list[dict[str, Any]], turns: list[dict[str, Any]]) -> None:
    """A database as the version with this schema made it, with these rows."""
    assert migrate.newest() != revision
    engine = sqlite_engine(path)
    with engine.begin() as connection:
        config = migrate._config()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        for row in conversations:
            _insert(connection, "conversation", row)
        for row in turns:
            _insert(connection, "turn", row)
    engine.dispose()


def _insert(connection: Connection, table: str, row: dict[str, Any]) -> None:
    names = ", ".join(row)
    places = ", ".join(f":{name}" for name in row)
    connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({places})"), row)


def conversation(key: str, **more: Any) -> dict[str, Any]:
    return {
        "key": key,
        "tenant": "default",
        "conversation_id": f"id-{key}",
        "place": f"place-{key}",
        "cli_session_id": "cli-session",
        "leaf": "leaf",
        "system": "Be kind.",
        "model": "claude-sonnet",
        "turns": 1,
        **NUMBERS,
        "cost_usd": 0.5,
        "created_at": 1000.0,
        "last_used_at": 3000.0,
    } | more


def turn(key: str, words: str, **more: Any) -> dict[str, Any]:
    return {
        "id": f"turn-{key}",
        "number": 1,
        "conversation_key": key,
        "request_id": "req_1",
        "status": "completed",
        "start": "cold",
        "input": json.dumps({"role": "user", "content": [{"type": "text", "text": words}]}),
        "output": json.dumps([{"role": one.role, "content": list(one.content)} for one in ANSWER]),
        "stop_reason": "end_turn",
        "model": "claude-sonnet",
        **NUMBERS,
        "cost_usd": 0.5,
        "started_at": 2000.0,
        "finished_at": 2001.0,
    } | more


async def test_the_migrations_lead_to_the_schema(tmp_path: Path) -> None:
    engine = sqlite_engine(tmp_path / "store.db")
    migrate.upgrade(engine)
    found = inspect(engine)
    for table in metadata.tables.values():
        columns = {
            column["name"]: (str(column["type"]), column["nullable"]) for column in found.get_columns(table.name)
        }
        assert columns == {
            column.name: (str(column.type.compile(engine.dialect)), bool(column.nullable)) for column in table.columns
        }
        assert {index["name"] for index in found.get_indexes(table.name)} == {index.name for index in table.indexes}
        keys = found.get_pk_constraint(table.name)["constrained_columns"]
        assert keys == [column.name for column in table.primary_key.columns]
        links = {
            (*one["constrained_columns"], one["referred_table"], *one["referred_columns"], one["options"]["ondelete"])
            for one in found.get_foreign_keys(table.name)
        }
        assert links == {
            (key.parent.name, key.column.table.name, key.column.name, key.ondelete) for key in table.foreign_keys
        }
    engine.dispose()


async def test_a_migration_that_is_cut_leaves_nothing_half_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_table, calls = op.create_table, 0

    def fail_at_the_second(name: str, *columns: SchemaItem, **options: Any) -> Table:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise RuntimeError("cut")
        return create_table(name, *columns, **options)

    monkeypatch.setattr(op, "create_table", fail_at_the_second)
    with pytest.raises(RuntimeError):
        opened(tmp_path / "store.db")
    monkeypatch.undo()
    store = opened(tmp_path / "store.db")
    await take_turn(store, began("a", "one"))
    await store.close()


async def test_conversations_of_an_earlier_version_are_kept_if_they_had_an_answer(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    make_older(path, "0003", [conversation("a"), conversation("b", turns=0)], [turn("a", "one")])
    store = opened(path)
    assert [one.key for one in await store.page("default", before=None, limit=9)] == ["a"]
    database = sqlite3.connect(path)
    assert database.execute("SELECT key, kept FROM conversation ORDER BY key").fetchall() == [("a", 1), ("b", 0)]
    database.close()
    await store.close()


async def test_what_was_said_before_there_were_profiles_was_a_chat(tmp_path: Path) -> None:
    make_older(tmp_path / "store.db", "0004", [conversation("a")], [turn("a", "one")])
    store = opened(tmp_path / "store.db")
    assert (await loaded(store, "a")).profile == "chat"
    await store.close()


async def test_agents_from_before_there_were_toolboxes_have_all_of_their_own(tmp_path: Path) -> None:
    make_older(tmp_path / "store.db", "0006", [conversation("a", profile="agent")], [turn("a", "one")])
    store = opened(tmp_path / "store.db")
    assert (await loaded(store, "a")).toolbox is None
    await store.close()


async def test_conversations_from_before_there_were_responses_go_on_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    rows = [conversation("a", profile="agent", epoch=4), conversation("b")]
    make_older(path, "0005", rows, [turn("a", "one", delivered=False), turn("b", "two")])
    store = opened(path)
    found = await loaded(store, "a")
    assert (found.history, found.head) == ((said("one"), *ANSWER), "turn-a")
    assert (found.developer, found.metadata) == ((), {})
    assert (found.binding, found.profile, found.epoch) == (Binding("cli-session", "leaf"), "agent", 4)
    assert (found.turns, found.usage, found.cost_usd) == (1, Usage(3, 2, 1, 0, 0), 0.5)
    assert found.unread is not None
    assert await store.response("default", "turn-a") is None
    page = await store.turns("b", after=None, limit=9)
    assert page is not None
    assert [(one.turn_id, one.developer) for one in page.turns] == [("turn-b", ())]
    assert await store.set_metadata("b", {"topic": "new"})
    await take_turn(store, began("a", "three", epoch=5, is_first=False))
    assert (await loaded(store, "a")).history[2:] == (said("three"), *ANSWER)
    await store.close()
