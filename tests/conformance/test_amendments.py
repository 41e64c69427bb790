"""What any Store must do when something is taken out of a turn."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from claude_code_api.core.turn import Block, Message, Usage
from claude_code_api.errors import InvalidRequest
from claude_code_api.runtime.ports import Entry
from claude_code_api.runtime.stored import Fork, StoredTurn
from claude_code_api.store.sql import SqlStore
from tests.conformance.test_additions import add, addition, listed, new, without
from tests.conformance.test_responses import answer, asked, numbered
from tests.conformance.test_store import ANSWER, began, completed, loaded, opened, said, store, take_turn

__all__ = ["store"]


async def test_what_is_taken_out_is_in_no_history_and_its_place_is_kept(store: SqlStore) -> None:
    first, second = began("a", "one"), began("a", "two")
    for turn in (first, second):
        await take_turn(store, turn)
    found = await store.amend("a", first.turn_id, without("one", "fine ☃"), epoch=1)
    thought = Message("assistant", (ANSWER[0].content[0],))
    assert found == await loaded(store, "a")
    assert found is not None
    assert found.history == (thought, said("two"), *ANSWER), "nor is an empty message"
    assert (found.binding, found.turns, found.head) == (None, 2, second.turn_id)
    left, _ = await listed(store, "a")
    removed: Block = {"type": "removed"}
    assert left.input == Message("user", (removed,))
    assert left.output == (Message("assistant", (ANSWER[0].content[0], removed)),)
    assert (left.usage, left.model, left.created_at) == (Usage(10, 5, 3, 2, 1), "claude-sonnet", 2000.5)
    assert await store.find_turns("default", [first.turn_id]) == [left]
    held = await store.history_at(first.turn_id)
    assert held is not None
    assert held.messages == (thought,)


async def test_a_response_shows_what_is_left(store: SqlStore) -> None:
    turn = await answer(store, asked("a", "one"))
    await store.append_events(turn.turn_id, 0, numbered(0, 1))
    await store.amend("a", turn.turn_id, without("one"), epoch=1)
    found = await store.response("default", turn.turn_id)
    assert found is not None
    assert found.turn is not None
    assert found.turn.input == Message("user", ({"type": "removed"},))
    assert await store.events(turn.turn_id, after=-1) == [], "they repeat the words; what is left follows from the turn"


async def test_copies_are_without_what_was_taken_out_before(store: SqlStore) -> None:
    turn = began("a", "one")
    await take_turn(store, turn)
    await store.fork(Fork("a", None, "before", "id-before", "place-b", 5000.0))
    await store.amend("a", turn.turn_id, without("one"), epoch=1)
    await store.fork(Fork("a", None, "after", "id-after", "place-c", 5000.0))
    assert (await loaded(store, "before")).history == (said("one"), *ANSWER)
    assert (await loaded(store, "after")).history == ANSWER


async def test_instructions_and_what_was_added_are_taken_out_too(store: SqlStore) -> None:
    one = addition("one", *ANSWER, developer=("Be brief.", "Be kind."))
    await store.make(new("a"), [one])
    found = await store.amend("a", one.turn_id, without("one", "Be brief."), epoch=0)
    assert found is not None
    assert (found.history, found.developer, found.epoch) == (ANSWER, ("Be kind.",), 0)


async def test_what_a_history_begins_with_stays_when_its_first_turn_changes(store: SqlStore) -> None:
    base = (said("one"), *ANSWER)
    turn = began("a", "one", base=base)
    await take_turn(store, turn)
    found = await store.amend("a", turn.turn_id, without("one"), epoch=1)
    assert found is not None
    assert found.history == (*base, *ANSWER)


async def test_only_words_of_the_present_history_are_changed(store: SqlStore) -> None:
    replaced = began("a", "replaced")
    await take_turn(store, replaced)
    taken = began("a", "taken", base=(said("base"),))
    await take_turn(store, taken)
    await store.rewind("a", 1, epoch=1)
    await take_turn(store, began("a", "present"))
    running, other = began("a", "running"), began("b", "other")
    await store.begin(running)
    await take_turn(store, other)
    before = await loaded(store, "a")

    def never(turn: StoredTurn) -> StoredTurn:
        raise AssertionError("there is no such turn")

    for turn in (replaced, taken, running, other, began("a", "never sent")):
        assert await store.amend("a", turn.turn_id, never, epoch=7) is None
    assert await loaded(store, "a") == before


async def test_a_change_that_is_refused_changes_nothing(store: SqlStore) -> None:
    turn = began("a", "one")
    await take_turn(store, turn)
    before = await loaded(store, "a")

    def refuse(turn: StoredTurn) -> StoredTurn:
        raise InvalidRequest("There is no such item.")

    with pytest.raises(InvalidRequest, match="no such item"):
        await store.amend("a", turn.turn_id, refuse, epoch=7)
    assert await loaded(store, "a") == before


async def test_a_change_changes_words_only(store: SqlStore) -> None:
    turn = began("a", "one")
    await take_turn(store, turn)
    (before,) = await listed(store, "a")
    await store.amend(
        "a", turn.turn_id, lambda one: replace(one, input=said("else"), turn_id="x", model="x", cost_usd=9.0), epoch=1
    )
    assert await listed(store, "a") == (replace(before, input=said("else")),)


async def test_what_was_taken_out_is_not_in_the_file_any_more(tmp_path: Path) -> None:
    store, secret = opened(tmp_path / "store.db"), "a most peculiar secret " * 1000
    long = "something else " * 1000
    turn = replace(asked("a", secret), fingerprint="", developer=(secret,))
    await store.begin(turn)
    lines = [{"type": "user", "uuid": "before"}, {"type": "user", "uuid": turn.turn_id, "text": secret}]
    answered = Message("assistant", ({"type": "text", "text": secret}, {"type": "text", "text": long}))
    done = completed(turn, entries=tuple(Entry("", line) for line in lines))
    assert await store.complete(replace(done, output=(answered,), has_response=True))
    await store.append_events(turn.turn_id, 0, [{"delta": secret}])
    added = addition(secret, developer=(secret,))
    await add(store, "a", added)
    for turn_id in (turn.turn_id, added.turn_id):
        assert await store.amend("a", turn_id, without(secret), epoch=1) is not None
    found = await loaded(store, "a")
    assert found.history == (Message("assistant", ({"type": "text", "text": long},)),)
    assert found.developer == ()
    await store.close()
    database = sqlite3.connect(tmp_path / "store.db")
    assert database.execute("SELECT count(*) FROM response").fetchone() == (1,)
    database.close()
    assert b"peculiar secret" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())
