"""What any Store must do."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio
from alembic import op
from sqlalchemy import inspect

from claude_code_api.core.turn import Message, Usage
from claude_code_api.errors import StoreUnavailable
from claude_code_api.runtime.ports import BeganTurn, Binding, CompletedTurn, StoredConversation
from claude_code_api.store.schema import metadata
from claude_code_api.store.sql import SqlStore, sqlite_engine

ANSWER = (Message("assistant", ({"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "fine ☃"})),)


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqlStore]:
    store = SqlStore(sqlite_engine(tmp_path / "store.db"))
    await store.open()
    yield store
    await store.close()


def said(text: str) -> Message:
    return Message("user", ({"type": "text", "text": text},))


def began(key: str, text: str, *, base: tuple[Message, ...] | None = None, tenant: str = "default") -> BeganTurn:
    return BeganTurn(
        tenant=tenant,
        key=key,
        conversation_id=f"id-{key}",
        place=f"place-{key}",
        created_at=1000.0,
        turn_id=str(uuid.uuid4()),
        request_id="req_1",
        start="cold",
        model="sonnet",
        input=said(text),
        base=base,
    )


def completed(turn: BeganTurn, leaf: str = "leaf") -> CompletedTurn:
    return CompletedTurn(
        key=turn.key,
        turn_id=turn.turn_id,
        output=ANSWER,
        stop_reason="end_turn",
        model="claude-sonnet",
        system="Be kind.",
        usage=Usage(10, 5, 3, 2, 1),
        cost_usd=0.25,
        binding=Binding("cli-session", leaf),
    )


async def take_turn(store: SqlStore, turn: BeganTurn, leaf: str = "leaf") -> None:
    await store.begin(turn)
    assert await store.complete(completed(turn, leaf))


async def loaded(store: SqlStore, key: str, tenant: str = "default") -> StoredConversation:
    conversation = await store.load(tenant, f"id-{key}")
    assert conversation is not None
    return conversation


async def test_what_was_completed_comes_back_whole(store: SqlStore) -> None:
    await take_turn(store, began("a", "one"), "leaf-1")
    await take_turn(store, began("a", "two"), "leaf-2")
    conversation = await loaded(store, "a")
    assert conversation.history == (said("one"), *ANSWER, said("two"), *ANSWER)
    assert conversation.binding == Binding("cli-session", "leaf-2")
    assert (conversation.place, conversation.system, conversation.model) == ("place-a", "Be kind.", "claude-sonnet")
    assert (conversation.turns, conversation.usage, conversation.cost_usd) == (2, Usage(20, 10, 6, 4, 2), 0.5)
    assert conversation.created_at == 1000.0


async def test_a_fork_replaces_what_came_before(store: SqlStore) -> None:
    await take_turn(store, began("a", "one"))
    await take_turn(store, began("a", "three", base=(said("two"), *ANSWER)))
    await take_turn(store, began("a", "four"))
    history = (await loaded(store, "a")).history
    assert history == (said("two"), *ANSWER, said("three"), *ANSWER, said("four"), *ANSWER)


async def test_a_turn_without_an_answer_is_no_part_of_the_history(store: SqlStore) -> None:
    await take_turn(store, began("a", "one"))
    failed, forked = began("a", "two"), began("a", "three", base=(said("other"),))
    for turn in (failed, forked):
        await store.begin(turn)
        await store.end(turn.turn_id, error_code="process_died")
    assert (await loaded(store, "a")).history == (said("one"), *ANSWER)


async def test_a_conversation_that_never_had_an_answer_is_forgotten(store: SqlStore) -> None:
    failed, running = began("a", "one"), began("a", "again")
    await store.begin(failed)
    await store.begin(running)
    await store.end(failed.turn_id, error_code="upstream_error")
    assert await store.load("default", "id-a") is None
    assert await store.complete(completed(running)), "the end of the first turn must not take a running one with it"
    assert (await loaded(store, "a")).history == (said("again"), *ANSWER)
    lonely = began("b", "one")
    await store.begin(lonely)
    await store.end(lonely.turn_id, error_code="upstream_error")
    assert await store.places() == {"place-a"}


async def test_tenants_do_not_see_each_other(store: SqlStore) -> None:
    await take_turn(store, began("a", "one"))
    await take_turn(store, replace(began("b", "two", tenant="other"), conversation_id="id-a"))
    assert (await loaded(store, "a")).history[0] == said("one")
    assert (await loaded(store, "a", "other")).history[0] == said("two")
    assert [one.key for one in await store.summaries("other")] == ["b"]


async def test_deletion_takes_everything_and_late_answers_find_nothing(store: SqlStore) -> None:
    await take_turn(store, began("a", "one"))
    late = began("a", "two")
    await store.begin(late)
    await store.delete("a")
    assert not await store.complete(completed(late))
    assert await store.load("default", "id-a") is None
    assert (await store.count("default"), await store.places()) == (0, set())


async def test_turns_that_a_dead_server_left_are_marked(tmp_path: Path) -> None:
    first = SqlStore(sqlite_engine(tmp_path / "store.db"))
    await first.open()
    await take_turn(first, began("a", "one"))
    await first.begin(began("a", "cut"))
    await first.begin(began("b", "cut"))
    await first.close()
    second = SqlStore(sqlite_engine(tmp_path / "store.db"))
    assert await second.open() == 2
    assert (await loaded(second, "a")).history == (said("one"), *ANSWER)
    assert await second.places() == {"place-a"}
    await second.close()


async def test_a_locked_database_is_a_clear_error_and_heals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("claude_code_api.store.sql._LOCK_WAIT_S", 0.1)
    store = SqlStore(sqlite_engine(tmp_path / "store.db"))
    await store.open()
    other = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    turn = began("a", "one")
    with pytest.raises(StoreUnavailable, match="locked"):
        await store.begin(turn)
    other.execute("ROLLBACK")
    other.close()
    await take_turn(store, turn)
    await store.close()


async def test_the_migrations_lead_to_the_schema(tmp_path: Path) -> None:
    engine = sqlite_engine(tmp_path / "store.db")
    store = SqlStore(engine)
    await store.open()
    found = inspect(engine)
    for table in metadata.tables.values():
        columns = {
            column["name"]: (str(column["type"]), column["nullable"]) for column in found.get_columns(table.name)
        }
        assert columns == {
            column.name: (str(column.type.compile(engine.dialect)), bool(column.nullable)) for column in table.columns
        }
        assert {index["name"] for index in found.get_indexes(table.name)} == {index.name for index in table.indexes}
    await store.close()


async def test_a_migration_that_is_cut_leaves_nothing_half_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_table, calls = op.create_table, 0

    def fail_at_the_second(*arguments: object, **options: object) -> object:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise RuntimeError("cut")
        return create_table(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(op, "create_table", fail_at_the_second)
    broken = SqlStore(sqlite_engine(tmp_path / "store.db"))
    with pytest.raises(RuntimeError):
        await broken.open()
    monkeypatch.undo()
    store = SqlStore(sqlite_engine(tmp_path / "store.db"))
    await store.open()
    await take_turn(store, began("a", "one"))
    await store.close()


async def test_an_end_that_could_not_be_written_does_not_hold_the_id(store: SqlStore) -> None:
    await store.begin(began("a", "never ended"))
    again = replace(began("b", "again"), conversation_id="id-a")
    await take_turn(store, again)
    assert (await loaded(store, "a")).history == (said("again"), *ANSWER)
