"""What any Store must do."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from claude_code_api.core.toolbox import McpServer, Permissions, PlacedFile, Skill, Toolbox
from claude_code_api.core.turn import Message, Usage
from claude_code_api.errors import ConversationDeleted, ConversationMoved, StoreUnavailable
from claude_code_api.runtime.ports import Binding, Entry
from claude_code_api.runtime.stored import (
    BeganTurn,
    Beginning,
    CompletedTurn,
    Fork,
    ForkResult,
    NewConversation,
    StoredConversation,
    Unread,
)
from claude_code_api.store.database import sqlite_engine
from claude_code_api.store.migrate import upgrade
from claude_code_api.store.rows import toolbox_of
from claude_code_api.store.sql import SqlStore
from claude_code_api.store.start import settle

ANSWER = (Message("assistant", ({"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "fine ☃"})),)


def opened(path: Path) -> SqlStore:
    engine = sqlite_engine(path)
    upgrade(engine)
    return SqlStore(engine)


@pytest_asyncio.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqlStore]:
    store = opened(tmp_path / "store.db")
    yield store
    await store.close()


def said(text: str) -> Message:
    return Message("user", ({"type": "text", "text": text},))


def began(
    key: str,
    text: str,
    *,
    base: tuple[Message, ...] | None = None,
    tenant: str = "default",
    epoch: int = 1,
    idempotency_key: str | None = None,
    is_first: bool = True,
) -> BeganTurn:
    return BeganTurn(
        tenant=tenant,
        key=key,
        conversation_id=f"id-{key}",
        place=f"place-{key}",
        conversation_created_at=1000.0,
        epoch=epoch,
        is_first=is_first,
        turn_id=str(uuid.uuid4()),
        request_id="req_1",
        fingerprint=f"print of {text}",
        idempotency_key=idempotency_key,
        start="cold",
        model="sonnet",
        input=said(text),
        base=base,
        created_at=2000.5,
    )


def completed(
    turn: BeganTurn,
    leaf: str = "leaf",
    *,
    lineage: str | None = None,
    entries: tuple[Entry, ...] = (),
    is_new_session: bool = False,
    is_fork: bool = False,
) -> CompletedTurn:
    return CompletedTurn(
        key=turn.key,
        place=turn.place,
        epoch=turn.epoch,
        turn_id=turn.turn_id,
        output=ANSWER,
        stop_reason="end_turn",
        model="claude-sonnet",
        profile="agent",
        system="Be kind.",
        usage=Usage(10, 5, 3, 2, 1),
        cost_usd=0.25,
        binding=Binding("cli-session", leaf),
        is_new_session=is_new_session,
        is_fork=is_fork,
        lineage=lineage,
        entries=entries,
    )


async def take_turn(store: SqlStore, turn: BeganTurn, leaf: str = "leaf") -> None:
    await store.begin(turn)
    assert await store.complete(completed(turn, leaf))


async def loaded(store: SqlStore, key: str, tenant: str = "default") -> StoredConversation:
    conversation = await store.load(tenant, f"id-{key}")
    assert conversation is not None
    return conversation


async def test_an_agent_comes_back_with_its_toolbox(store: SqlStore) -> None:
    box = Toolbox(
        tools=("Read",),
        servers=(McpServer("calc", "https://calc.example/mcp"),),
        skills=(Skill("tides", "/kept/tides"),),
        files=(PlacedFile("data/a.csv", "/kept/a"),),
        permissions=Permissions((("mcp__calc", "ask"), ("Read", "deny")), default="ask"),
    )
    begins = Beginning("agent", "sonnet", "", box)
    assert await store.make(NewConversation("default", "a", "id-a", 1.0, {}, begins), ())
    assert (await loaded(store, "a")).toolbox == box
    assert await store.fork(Fork("a", None, "b", "id-b", "place-b", 5000.0)) is ForkResult.DONE
    assert (await loaded(store, "b")).toolbox == box
    await take_turn(store, began("a", "two"))
    assert (await loaded(store, "a")).toolbox == box, "a turn leaves it as it is"


async def test_a_tool_that_is_no_more_is_left_out(store: SqlStore) -> None:
    permissions = {"rules": [], "default": "allow"}
    stored = {"tools": ["Read", "Gone"], "servers": [], "skills": [], "files": [], "permissions": permissions}
    assert toolbox_of(stored) == Toolbox(tools=("Read",))


async def test_what_was_completed_comes_back_whole(store: SqlStore) -> None:
    await take_turn(store, began("a", "one"), "leaf-1")
    await take_turn(store, began("a", "two"), "leaf-2")
    conversation = await loaded(store, "a")
    assert conversation.history == (said("one"), *ANSWER, said("two"), *ANSWER)
    assert conversation.binding == Binding("cli-session", "leaf-2")
    assert (conversation.place, conversation.system, conversation.model) == ("place-a", "Be kind.", "claude-sonnet")
    assert conversation.profile == "agent"
    (listed,) = await store.page("default", before=None, limit=10)
    assert listed.profile == "agent"
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
        await store.end(turn.turn_id, error_code="process_died", message="It failed.")
    assert (await loaded(store, "a")).history == (said("one"), *ANSWER)


async def test_a_conversation_that_never_had_an_answer_is_forgotten(store: SqlStore) -> None:
    failed, running = began("a", "one"), began("a", "again")
    await store.begin(failed)
    await store.begin(running)
    await store.end(failed.turn_id, error_code="upstream_error", message="It failed.")
    assert await store.load("default", "id-a") is None
    assert await store.complete(completed(running)), "the end of the first turn must not take a running one with it"
    assert (await loaded(store, "a")).history == (said("again"), *ANSWER)
    lonely = began("b", "one")
    await store.begin(lonely)
    await store.end(lonely.turn_id, error_code="upstream_error", message="It failed.")
    assert await store.known_places(["place-a", "place-b"]) == {"place-a"}


async def test_tenants_do_not_see_each_other(store: SqlStore) -> None:
    await take_turn(store, began("a", "one"))
    await take_turn(store, replace(began("b", "two", tenant="other"), conversation_id="id-a"))
    assert (await loaded(store, "a")).history[0] == said("one")
    assert (await loaded(store, "a", "other")).history[0] == said("two")
    assert [one.key for one in await store.page("other", before=None, limit=10)] == ["b"]
    assert (await loaded(store, "a", "other")).tenant == "other"
    assert await store.count() == 2, "the whole server's"


async def test_tenants_have_idempotency_keys_of_their_own(store: SqlStore) -> None:
    mine = began("a", "one", idempotency_key="once")
    theirs = replace(began("b", "two", tenant="other", idempotency_key="once"), conversation_id="id-a")
    for turn in (mine, theirs):
        await store.begin(turn)
        assert await store.complete(completed(turn))
    for turn in (mine, theirs):
        answer = await store.keyed_answer(turn.tenant, "once", since=0)
        assert answer is not None
        assert (answer.turn_id, answer.tenant) == (turn.turn_id, turn.tenant)


async def test_deletion_takes_everything_and_late_answers_find_nothing(store: SqlStore) -> None:
    await take_turn(store, began("a", "one"))
    late = began("a", "two")
    await store.begin(late)
    await store.delete("a")
    assert not await store.complete(completed(late))
    assert await store.load("default", "id-a") is None
    assert (await store.count(), await store.known_places(["place-a"])) == (0, set())


async def test_turns_that_a_dead_server_left_are_marked(tmp_path: Path) -> None:
    first = opened(tmp_path / "store.db")
    await take_turn(first, began("a", "one"))
    await first.begin(began("a", "cut"))
    await first.begin(began("b", "cut"))
    await first.close()
    second = opened(tmp_path / "store.db")
    assert settle(tmp_path / "store.db") == 2
    assert (await loaded(second, "a")).history == (said("one"), *ANSWER)
    assert await second.known_places(["place-a", "place-b"]) == {"place-a"}
    await second.close()


async def test_a_locked_database_is_a_clear_error_and_heals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("claude_code_api.store.database.LOCK_WAIT_S", 0.1)
    store = opened(tmp_path / "store.db")
    other = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    turn = began("a", "one")
    with pytest.raises(StoreUnavailable, match="locked"):
        await store.begin(turn)
    other.execute("ROLLBACK")
    other.close()
    await take_turn(store, turn)
    await store.close()


async def test_an_end_that_could_not_be_written_does_not_hold_the_id(store: SqlStore) -> None:
    await store.begin(began("a", "never ended"))
    again = replace(began("b", "again"), conversation_id="id-a")
    await take_turn(store, again)
    assert (await loaded(store, "a")).history == (said("again"), *ANSWER)


async def test_the_words_of_a_failed_turn_are_not_kept(store: SqlStore, tmp_path: Path) -> None:
    await take_turn(store, began("a", "one"))
    failed = began("a", "my secret", base=(said("another secret"),))
    await store.begin(failed)
    await store.end(failed.turn_id, error_code="process_died", message="It failed.")
    database = sqlite3.connect(tmp_path / "store.db")
    rows = database.execute("SELECT status, base, input FROM turn ORDER BY number").fetchall()
    database.close()
    assert [row[0] for row in rows] == ["completed", "failed"]
    assert "secret" not in str(rows)


async def test_pages_show_every_conversation_once_the_newest_first(store: SqlStore) -> None:
    for number, moment in enumerate((10.0, 30.0, 20.0, 20.0)):
        await take_turn(store, replace(began(f"k{number}", "hi"), conversation_created_at=moment))
    await store.begin(began("unanswered", "hi"))
    first = await store.page("default", before=None, limit=2)
    last = first[-1]
    second = await store.page("default", before=(last.created_at, last.conversation_id), limit=9)
    assert [one.key for one in (*first, *second)] == ["k1", "k3", "k2", "k0"]


async def test_an_answer_can_be_had_again_by_its_key(store: SqlStore) -> None:
    turn = began("a", "one", idempotency_key="once")
    await store.begin(turn)
    assert await store.keyed_answer("default", "once", since=0) is None, "it runs"
    assert await store.complete(replace(completed(turn), stop_sequence="END"))
    answer = await store.keyed_answer("default", "once", since=0)
    assert answer is not None
    assert answer.completed.stop_sequence == "END"
    assert (answer.turn_id, answer.conversation_id, answer.fingerprint) == (turn.turn_id, "id-a", "print of one")
    assert (answer.start, answer.created_at) == ("cold", 2000.5)
    assert (answer.completed.messages, answer.completed.usage) == (ANSWER, Usage(10, 5, 3, 2, 1))
    assert (answer.completed.stop_reason, answer.completed.model) == ("end_turn", "claude-sonnet")
    assert await store.keyed_answer("other", "once", since=0) is None
    assert await store.keyed_answer("default", "once", since=3000) is None, "it is too old"
    await store.forget_keys(3000)
    assert await store.keyed_answer("default", "once", since=0) is None
    assert await store.answer(turn.turn_id) == answer


async def test_a_turn_without_an_answer_and_a_deletion_give_their_key_free(store: SqlStore) -> None:
    failed = began("a", "one", idempotency_key="once")
    await store.begin(failed)
    again = replace(began("b", "one", idempotency_key="once"), conversation_id="id-b")
    await store.begin(again)
    await store.end(failed.turn_id, error_code="process_died", message="It failed.")
    assert await store.complete(completed(again))
    assert await store.keyed_answer("default", "once", since=0) is not None
    await store.delete("b")
    assert await store.keyed_answer("default", "once", since=0) is None
    assert await store.answer(again.turn_id) is None


async def test_a_key_of_a_turn_that_a_dead_server_left_is_free(tmp_path: Path) -> None:
    first = opened(tmp_path / "store.db")
    await take_turn(first, began("a", "one"))
    await first.begin(began("a", "two", idempotency_key="once"))
    await first.close()
    second = opened(tmp_path / "store.db")
    assert settle(tmp_path / "store.db") == 1
    await second.begin(began("a", "two", idempotency_key="once"))
    await second.close()


async def test_an_answer_is_unread_until_it_is_delivered(store: SqlStore) -> None:
    turn = began("a", "one")
    await take_turn(store, turn)
    unread = (await loaded(store, "a")).unread
    assert unread == Unread(turn.turn_id, "print of one", unread.finished_at if unread else 0)
    await store.delivered([turn.turn_id, "no-such-turn"])
    assert (await loaded(store, "a")).unread is None
    failed = began("a", "two")
    await store.begin(failed)
    await store.end(failed.turn_id, error_code="process_died", message="It failed.")
    assert (await loaded(store, "a")).unread is None


async def test_a_history_finds_its_only_conversation(store: SqlStore) -> None:
    for key, lineage in (("a", "same"), ("b", "same"), ("c", "own"), ("d", None)):
        turn = began(key, "hi")
        await store.begin(turn)
        await store.complete(completed(turn, lineage=lineage))
    assert await store.find("default", "own", system="") == "id-c"
    assert await store.find("default", "same", system="") is None
    assert await store.find("other", "own", system="") is None
    moved = began("c", "on")
    await store.begin(moved)
    await store.complete(completed(moved, lineage="further"))
    assert await store.find("default", "own", system="") is None
    assert await store.find("default", "further", system="") == "id-c"


async def test_of_equal_histories_the_one_with_the_same_system_prompt_is_found(store: SqlStore) -> None:
    for key, system in (("a", "one"), ("b", "two"), ("c", "two")):
        turn = began(key, "hi")
        await store.begin(turn)
        await store.complete(replace(completed(turn, lineage="same"), system=system))
    assert await store.find("default", "same", system="one") == "id-a"
    assert await store.find("default", "same", system="two") is None
    assert await store.find("default", "same", system="three") is None


async def test_an_older_process_can_no_longer_write(store: SqlStore) -> None:
    old = began("a", "one", epoch=1)
    await take_turn(store, old)
    late = began("a", "late", epoch=1, is_first=False)
    await store.begin(late)
    newer = began("a", "two", epoch=2, is_first=False)
    await store.begin(newer)
    assert not await store.complete(completed(late, entries=(Entry("", {"type": "user", "uuid": "late"}),)))
    with pytest.raises(ConversationMoved):
        await store.begin(began("a", "later still", epoch=1, is_first=False))
    assert await store.complete(completed(newer))
    conversation = await loaded(store, "a")
    assert (conversation.epoch, conversation.history) == (2, (said("one"), *ANSWER, said("two"), *ANSWER))
    assert await store.transcript("a", "cli-session") == []


async def test_a_late_turn_of_a_deleted_conversation_does_not_bring_it_back(store: SqlStore) -> None:
    await take_turn(store, began("a", "one"))
    await store.delete("a")
    with pytest.raises(ConversationDeleted):
        await store.begin(began("a", "two", is_first=False))
    assert await store.load("default", "id-a") is None


async def test_a_transcript_is_kept_in_order_and_each_entry_once(store: SqlStore) -> None:
    lines = [{"type": "user", "uuid": "1", "text": "☃"}, {"type": "mode"}, {"type": "assistant", "uuid": "2"}]
    entries = tuple(Entry("", line) for line in lines)
    first, second = began("a", "one"), began("a", "two")
    await store.begin(first)
    await store.complete(completed(first, entries=entries))
    await store.begin(second)
    more = Entry("subagents/agent-1", {"type": "user", "uuid": "1"})
    await store.complete(completed(second, entries=(entries[0], more)))
    assert await store.transcript("a", "cli-session") == [*entries, more]
    assert await store.transcript("a", "another-session") == []
    await store.delete("a")
    assert await store.transcript("a", "cli-session") == []


async def test_conversations_that_were_not_used_for_long_are_found(store: SqlStore, tmp_path: Path) -> None:
    for key, tenant in (("a", "default"), ("b", "other"), ("c", "default")):
        await take_turn(store, began(key, "hi", tenant=tenant))
    database = sqlite3.connect(tmp_path / "store.db")
    database.execute("UPDATE conversation SET last_used_at = CASE key WHEN 'a' THEN 20 WHEN 'b' THEN 10 ELSE 99 END")
    database.commit()
    database.close()
    assert await store.unused_since(50, limit=10) == [("other", "id-b"), ("default", "id-a")]
    assert await store.unused_since(50, limit=1) == [("other", "id-b")]


async def test_reading_goes_on_while_somebody_holds_the_lock(store: SqlStore, tmp_path: Path) -> None:
    await take_turn(store, began("a", "one"))
    other = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert await store.count() == 1
    assert (await loaded(store, "a")).turns == 1
    other.execute("ROLLBACK")
    other.close()


async def test_a_session_that_is_left_behind_takes_its_copy_along_and_what_it_replaced(
    store: SqlStore, tmp_path: Path
) -> None:
    base = (said("rewritten"), *ANSWER)
    for number in range(3):
        turn = began("a", f"fork {number}", base=base)
        await store.begin(turn)
        done = replace(
            completed(turn, is_new_session=number > 0, entries=(Entry("", {"type": "user", "uuid": f"{number}"}),)),
            binding=Binding(f"session-{number}", f"{number}"),
        )
        assert await store.complete(done)
    assert await store.transcript("a", "session-0") == await store.transcript("a", "session-1") == []
    assert len(await store.transcript("a", "session-2")) == 1
    assert (await loaded(store, "a")).history == (*base, said("fork 2"), *ANSWER)
    database = sqlite3.connect(tmp_path / "store.db")
    assert database.execute("SELECT count(*) FROM turn WHERE base IS NOT NULL").fetchone() == (1,)
    database.close()


async def test_what_was_deleted_is_not_in_the_file_any_more(store: SqlStore, tmp_path: Path) -> None:
    secret = "a most peculiar secret"
    turn = began("a", secret)
    await store.begin(turn)
    await store.complete(completed(turn, entries=(Entry("", {"type": "user", "uuid": "1", "text": secret}),)))
    await take_turn(store, began("b", "something else"))
    assert secret.encode() in b"".join(path.read_bytes() for path in tmp_path.iterdir())
    await store.delete("a")
    await store.close()
    assert secret.encode() not in b"".join(path.read_bytes() for path in tmp_path.iterdir())
