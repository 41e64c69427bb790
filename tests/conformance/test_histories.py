"""What any Store must do to go on from any turn, with the instructions of its dialogue, and to read turns."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from claude_code_api.core.turn import Message, Usage
from claude_code_api.runtime.stored import BeganTurn, Fork, ForkResult
from claude_code_api.store.sql import SqlStore
from claude_code_api.store.start import settle
from tests.conformance.test_responses import answer, asked
from tests.conformance.test_store import ANSWER, began, completed, loaded, opened, said, store

__all__ = ["store"]


async def texts_at(store: SqlStore, turn: BeganTurn) -> list[str] | None:
    """What the user had said when this turn was completed."""
    found = await store.history_at(turn.turn_id)
    return None if found is None else [one.text() for one in found.messages if one.role == "user"]


# Going on from one


async def test_what_was_held_at_a_turn(store: SqlStore) -> None:
    turns = [
        await answer(store, replace(began("a", text), developer=(f"said at {text}",)))
        for text in ("one", "two", "three")
    ]
    found = await store.history_at(turns[1].turn_id)
    assert found is not None
    assert found.messages == (said("one"), *ANSWER, said("two"), *ANSWER)
    assert found.developer == ("said at one", "said at two")
    assert await texts_at(store, turns[2]) == ["one", "two", "three"]


async def test_what_a_later_turn_replaced_can_be_gone_on_from(store: SqlStore) -> None:
    base = (said("rewritten"), *ANSWER)
    first = await answer(store, asked("a", "one"))
    second = await answer(store, replace(asked("a", "two", base=base), developer=("Hm.",)), is_fork=True)
    third = await answer(store, asked("a", "three"))
    fourth = await answer(store, asked("a", "four", base=()), is_fork=True)
    assert await texts_at(store, first) == ["one"]
    assert await texts_at(store, second) == ["rewritten", "two"]
    assert await texts_at(store, third) == ["rewritten", "two", "three"]
    assert await texts_at(store, fourth) == ["four"]
    assert (await loaded(store, "a")).history == (said("four"), *ANSWER)
    assert await store.fork(until(third, "b")) is ForkResult.DONE
    copy = await loaded(store, "b")
    assert copy.history == (*base, said("two"), *ANSWER, said("three"), *ANSWER)
    assert (copy.developer, copy.turns, copy.usage) == (("Hm.",), 2, Usage())
    assert await store.fork(until(first, "c")) is ForkResult.DONE
    assert (await loaded(store, "c")).history == (said("one"), *ANSWER)


async def test_what_was_taken_back_later_was_held_all_the_same(store: SqlStore) -> None:
    first = await answer(store, asked("a", "one"))
    await answer(store, asked("a", "two", base=(said("rewritten"),)), is_fork=True)
    await store.rewind("a", 1, epoch=1)
    assert await texts_at(store, first) == ["one"]
    assert [one.text() for one in (await loaded(store, "a")).history] == ["rewritten"]


async def test_nobody_goes_on_from_what_is_gone(store: SqlStore) -> None:
    base = (said("rewritten"), *ANSWER)
    await answer(store, began("a", "zero", base=(said("forgotten"),)))
    unnamed = await answer(store, began("a", "one"))
    await answer(store, began("a", "two", base=base), is_fork=True)
    taken = await answer(store, asked("a", "three"))
    failed = asked("a", "four")
    await store.begin(failed)
    assert await texts_at(store, failed) is None, "it runs"
    await store.end(failed.turn_id, error_code="process_died", message="It died.")
    await store.rewind("a", 1, epoch=1)
    for turn in (unnamed, taken, failed, began("a", "never sent")):
        assert await texts_at(store, turn) is None
        assert await store.fork(until(turn, "b")) is ForkResult.TOO_FEW_TURNS
    assert await store.load("default", "id-b") is None
    other = await answer(store, asked("c", "one"))
    assert await store.fork(replace(until(other, "b"), source="a")) is ForkResult.TOO_FEW_TURNS
    assert await store.fork(replace(until(other, "b"), source="gone")) is ForkResult.NO_SOURCE


async def test_replaced_histories_are_kept_for_responses_only(store: SqlStore, tmp_path: Path) -> None:
    turns = [
        await answer(store, asked("a", f"{number}", base=(said(f"base {number}"),)), is_fork=True)
        for number in range(3)
    ]
    assert await texts_at(store, turns[0]) == ["base 0", "0"]
    assert bases(tmp_path) == 3
    for turn in turns[:2]:
        await store.forget_response("default", turn.turn_id)
    assert await texts_at(store, turns[0]) is None
    await answer(store, began("a", "3", base=(said("base 3"),)), is_fork=True)
    assert await texts_at(store, turns[2]) == ["base 2", "2"]
    await store.forget_response("default", turns[2].turn_id)
    await answer(store, began("a", "4", base=(said("base 4"),)), is_fork=True)
    assert bases(tmp_path) == 1


def bases(directory: Path) -> int:
    database = sqlite3.connect(directory / "store.db")
    (count,) = database.execute("SELECT count(*) FROM turn WHERE base IS NOT NULL").fetchone()
    database.close()
    return int(count)


def until(turn: BeganTurn, key: str) -> Fork:
    return Fork(turn.key, None, key, f"id-{key}", f"place-{key}", 5000.0, until=turn.turn_id)


async def test_a_fork_at_a_turn_holds_what_there_was_and_has_no_responses(store: SqlStore) -> None:
    turns = [
        await answer(store, replace(asked("a", text), developer=(f"said at {text}",)))
        for text in ("one", "two", "three")
    ]
    before = await loaded(store, "a")
    assert await store.fork(until(turns[1], "b")) is ForkResult.DONE
    copy = await loaded(store, "b")
    assert copy.history == (said("one"), *ANSWER, said("two"), *ANSWER)
    assert (copy.developer, copy.turns) == (("said at one", "said at two"), 2)
    assert (copy.profile, copy.system, copy.binding) == ("agent", "Be kind.", None)
    assert await loaded(store, "a") == before
    assert copy.head is not None
    assert copy.head != turns[1].turn_id
    assert await store.response("default", copy.head) is None
    await store.delete("a")
    assert (await loaded(store, "b")).turns == 2


async def test_a_fork_of_a_fork_at_a_turn(store: SqlStore) -> None:
    base = (said("imported"), *ANSWER)
    first = await answer(store, replace(asked("a", "one", base=base), developer=("Hm.",)))
    await answer(store, asked("a", "two"))
    assert await store.fork(until(first, "b")) is ForkResult.DONE
    further = await answer(store, asked("b", "three", is_first=False))
    await answer(store, asked("b", "four", is_first=False))
    assert await store.fork(until(further, "c")) is ForkResult.DONE
    copy = await loaded(store, "c")
    assert copy.history == (*base, said("one"), *ANSWER, said("three"), *ANSWER)
    assert copy.developer == ("Hm.",)


# Instructions inside a dialogue


async def test_instructions_come_back_in_order_and_with_a_replaced_history_anew(store: SqlStore) -> None:
    await answer(store, replace(began("a", "one"), developer=("first", "second")))
    await answer(store, began("a", "two"))
    last = await answer(store, replace(began("a", "three"), developer=("third",)))
    found = await loaded(store, "a")
    assert (found.developer, found.head) == (("first", "second", "third"), last.turn_id)
    page = await store.turns("a", after=None, limit=9)
    assert page is not None
    assert [turn.developer for turn in page.turns] == [("first", "second"), (), ("third",)]
    await answer(store, replace(began("a", "four", base=(said("rewritten"),)), developer=("anew",)))
    await answer(store, replace(began("a", "five"), developer=("more",)))
    assert (await loaded(store, "a")).developer == ("anew", "more")
    failed = replace(began("a", "six"), developer=("never",))
    await store.begin(failed)
    assert (await loaded(store, "a")).developer == ("anew", "more")


async def test_instructions_of_turns_that_are_gone_are_gone(tmp_path: Path) -> None:
    store = opened(tmp_path / "store.db")
    await answer(store, replace(began("a", "one"), developer=("kept",)))
    for word in ("failed", "taken back", "interrupted"):
        turn = replace(began("a", word), developer=(f"a most peculiar secret: {word}",))
        await store.begin(turn)
        if word == "failed":
            await store.end(turn.turn_id, error_code="process_died", message="It died.")
        elif word == "taken back":
            assert await store.complete(completed(turn))
            await store.rewind("a", 1, epoch=1)
    await store.close()
    settle(tmp_path / "store.db")
    store = opened(tmp_path / "store.db")
    assert (await loaded(store, "a")).developer == ("kept",)
    await store.close()
    assert b"peculiar secret" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())


@pytest.mark.parametrize("base", [(), (said("imported"), *ANSWER)])
async def test_instructions_that_came_with_a_replaced_history_stay_with_it(
    store: SqlStore, base: tuple[Message, ...]
) -> None:
    await answer(store, replace(began("a", "one", base=base), developer=("from the start",)))
    await answer(store, replace(began("a", "two"), developer=("later",)))
    await store.fork(Fork("a", 0, "b", "id-b", "place-b", 5000.0))
    await store.rewind("a", 2, epoch=1)
    await store.fork(Fork("a", None, "c", "id-c", "place-c", 5000.0))
    await answer(store, began("a", "three"))
    await store.fork(Fork("a", None, "d", "id-d", "place-d", 5000.0))
    for key, more in (("a", [said("three"), *ANSWER]), ("b", []), ("c", []), ("d", [said("three"), *ANSWER])):
        found = await loaded(store, key)
        assert (found.history, found.developer) == ((*base, *more), ("from the start",))


# Turns by their ids, and from the end


async def test_turns_are_read_from_the_end(store: SqlStore) -> None:
    base = (said("imported"), *ANSWER)
    turns = [
        await answer(store, began("a", text, base=None if number else base))
        for number, text in enumerate(("one", "two", "three"))
    ]
    one, two, three = (turn.turn_id for turn in turns)
    seen = []
    after = None
    for _ in range(3):
        page = await store.turns("a", after=after, limit=1, newest_first=True)
        assert page is not None
        after = page.turns[0].turn_id
        seen.append((after, page.base, page.base_turn))
    assert seen == [(three, (), None), (two, (), None), (one, base, one)]
    last = await store.turns("a", after=one, limit=9, newest_first=True)
    assert last is not None
    assert (last.base, last.base_turn, last.turns) == ((), None, ())
    whole = await store.turns("a", after=None, limit=9, newest_first=True)
    assert whole is not None
    assert ([turn.turn_id for turn in whole.turns], whole.base, whole.base_turn) == ([three, two, one], base, one)
    first = await store.turns("a", after=None, limit=1)
    assert first is not None
    assert ([turn.turn_id for turn in first.turns], first.base, first.base_turn) == ([one], base, one)
    assert await store.turns("a", after="no-such-turn", limit=9, newest_first=True) is None


@pytest.mark.parametrize("newest_first", [True, False])
async def test_a_history_without_turns_still_shows_what_it_begins_with(store: SqlStore, newest_first: bool) -> None:
    base = (said("imported"), *ANSWER)
    turn = await answer(store, began("a", "one", base=base))
    await store.rewind("a", 1, epoch=1)
    page = await store.turns("a", after=None, limit=9, newest_first=newest_first)
    assert page is not None
    assert (page.base, page.base_turn, page.turns) == (base, turn.turn_id, ())


async def test_turns_are_found_by_their_ids(store: SqlStore) -> None:
    replaced = await answer(store, began("a", "replaced"))
    present = await answer(store, replace(began("a", "present", base=()), developer=("Hm.",)))
    taken = await answer(store, began("a", "taken"))
    await store.rewind("a", 1, epoch=1)
    running, theirs = began("a", "running"), began("b", "theirs", tenant="other")
    await store.begin(running)
    await answer(store, theirs)
    ids = [turn.turn_id for turn in (theirs, present, taken, running, replaced, present)]
    found = await store.find_turns("default", [*ids, "no-such-turn"])
    assert [turn.turn_id for turn in found] == [present.turn_id, replaced.turn_id]
    assert (found[0].input, found[0].output, found[0].developer) == (said("present"), ANSWER, ("Hm.",))
    assert await store.find_turns("default", []) == []


async def test_any_number_of_turns_is_found(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("claude_code_api.store.reading._AT_ONCE", 2)
    ids = [(await answer(store, began("a", f"{number}"))).turn_id for number in range(5)]
    found = await store.find_turns("default", [*ids, "no-such-turn"])
    assert [turn.turn_id for turn in found] == ids
