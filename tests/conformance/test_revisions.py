"""What any Store must do when turns are taken back, copied, or read one by one."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from claude_code_api.core.conversation import lineage
from claude_code_api.core.turn import Message, Usage
from claude_code_api.errors import ConversationDeleted, ConversationMoved
from claude_code_api.runtime.ports import Entry
from claude_code_api.runtime.stored import BeganTurn, Fork, ForkResult, Rewound
from claude_code_api.store.sql import SqlStore
from claude_code_api.store.start import settle
from tests.conformance.test_store import ANSWER, began, completed, loaded, opened, said, store, take_turn

__all__ = ["store"]


async def talk(store: SqlStore, key: str, *texts: str) -> list[BeganTurn]:
    turns = [began(key, text) for text in texts]
    for turn in turns:
        await take_turn(store, turn)
    return turns


async def rewound(store: SqlStore, key: str, turns: int, epoch: int = 1) -> Rewound:
    found = await store.rewind(key, turns, epoch=epoch)
    assert found is not None
    return found


def forked(source: str, key: str, turns: int | None = None) -> Fork:
    return Fork(source, turns, key, f"id-{key}", f"place-{key}", 5000.0)


def rows(path: Path, statement: str) -> list[Any]:
    database = sqlite3.connect(path)
    found = database.execute(statement).fetchall()
    database.close()
    return found


# Going back


async def test_what_was_taken_back_is_no_part_of_the_history(store: SqlStore) -> None:
    turns = await talk(store, "a", "one", "two", "three")
    found = await rewound(store, "a", 2)
    assert found.first_turn == turns[1].turn_id
    assert found.left == await loaded(store, "a")
    assert found.left.history == (said("one"), *ANSWER)
    assert (found.left.turns, found.left.binding) == (1, None)
    await take_turn(store, began("a", "four", is_first=False))
    again = await loaded(store, "a")
    assert again.history == (said("one"), *ANSWER, said("four"), *ANSWER)
    assert (again.turns, again.binding is not None) == (2, True)


async def test_what_was_taken_back_was_paid_for_all_the_same(store: SqlStore) -> None:
    await talk(store, "a", "one", "two")
    left = (await rewound(store, "a", 2)).left
    assert (left.usage, left.cost_usd) == (Usage(20, 10, 6, 4, 2), 0.5)


async def test_of_fewer_turns_none_is_taken_back(store: SqlStore) -> None:
    await talk(store, "a", "one", "two")
    before = await loaded(store, "a")
    assert await store.rewind("a", 3, epoch=1) is None
    assert await store.rewind("a", 2**70, epoch=1) is None
    assert await loaded(store, "a") == before


async def test_turns_without_an_answer_do_not_count(store: SqlStore) -> None:
    await talk(store, "a", "one", "two")
    failed = began("a", "three", base=(said("other"),))
    await store.begin(failed)
    await store.end(failed.turn_id, error_code="process_died", message="It failed.")
    assert (await rewound(store, "a", 1)).left.history == (said("one"), *ANSWER)


async def test_an_empty_conversation_keeps_its_id_for_good(tmp_path: Path) -> None:
    first = opened(tmp_path / "store.db")
    await talk(first, "a", "one")
    assert (await rewound(first, "a", 1)).left.history == ()
    late = began("a", "cut", is_first=False)
    await first.begin(late)
    await first.end(late.turn_id, error_code="process_died", message="It failed.")
    await first.begin(began("a", "running", is_first=False))
    await first.close()
    assert settle(tmp_path / "store.db") == 1
    second = opened(tmp_path / "store.db")
    left = await loaded(second, "a")
    assert (left.turns, left.history, left.system, left.created_at) == (0, (), "Be kind.", 1000.0)
    assert [one.key for one in await second.page("default", before=None, limit=9)] == ["a"]
    assert (await second.count(), await second.known_places(["place-a"])) == (1, {"place-a"})
    assert await second.rewind("a", 1, epoch=1) is None
    await take_turn(second, began("a", "on", is_first=False))
    assert (await loaded(second, "a")).history == (said("on"), *ANSWER)
    await second.close()


async def test_a_turn_that_replaced_the_history_leaves_the_one_it_came_with(store: SqlStore) -> None:
    await talk(store, "a", "one", "two")
    base = (said("rewritten"), *ANSWER)
    await take_turn(store, began("a", "three", base=base))
    assert (await rewound(store, "a", 1)).left.history == base
    assert await store.rewind("a", 1, epoch=1) is None, "what was replaced does not come back"
    assert (await loaded(store, "a")).unread is None
    await take_turn(store, began("a", "four"))
    assert (await loaded(store, "a")).history == (*base, said("four"), *ANSWER)
    await take_turn(store, began("a", "five", base=()))
    assert (await rewound(store, "a", 1)).left.history == ()


async def test_its_answers_cannot_be_had_again(store: SqlStore, tmp_path: Path) -> None:
    kept, taken = began("a", "one", idempotency_key="kept"), began("a", "two", idempotency_key="taken")
    for turn in (kept, taken):
        await take_turn(store, turn)
    left = (await rewound(store, "a", 1)).left
    assert await store.answer(taken.turn_id) is None
    assert await store.keyed_answer("default", "taken", since=0) is None
    assert await store.keyed_answer("default", "kept", since=0) is not None
    assert rows(tmp_path / "store.db", "SELECT key FROM idempotency") == [("kept",)]
    assert left.unread is not None
    assert left.unread.turn_id == kept.turn_id, "it is the last answer again, and it never arrived"
    await take_turn(store, began("a", "two", idempotency_key="taken"))


async def test_its_words_are_not_kept(tmp_path: Path) -> None:
    store, secret = opened(tmp_path / "store.db"), "a most peculiar secret"
    for number, text in enumerate(("one", secret)):
        turn = replace(began("a", text), fingerprint="")
        await store.begin(turn)
        entries = (Entry("", {"type": "user", "uuid": turn.turn_id, "text": text}), Entry("", {"uuid": f"{number}"}))
        assert await store.complete(completed(turn, entries=entries))
    await rewound(store, "a", 1)
    assert [entry.line.get("text") for entry in await store.transcript("a", "cli-session")] == ["one", None]
    assert rows(tmp_path / "store.db", "SELECT status FROM turn ORDER BY number") == [("completed",), ("rewound",)]
    await store.close()
    assert secret.encode() not in b"".join(path.read_bytes() for path in tmp_path.iterdir())


async def test_a_transcript_that_cannot_be_cut_goes(store: SqlStore) -> None:
    turn = began("a", "results of calls")
    await store.begin(turn)
    await store.complete(completed(turn, entries=(Entry("", {"type": "user", "uuid": "of the CLI's own"}),)))
    await rewound(store, "a", 1)
    assert await store.transcript("a", "cli-session") == []


async def test_who_may_be_found_by_a_history_is_found_by_the_shorter_one(store: SqlStore) -> None:
    for key, named in (("a", False), ("b", True)):
        for text in (f"{key} one", f"{key} two"):
            turn = began(key, text)
            await store.begin(turn)
            await store.complete(completed(turn, lineage=None if named else "some"))
        await rewound(store, key, 1)
    shorter = [lineage((said(f"{key} one"), *ANSWER)) for key in ("a", "b")]
    assert await store.find("default", shorter[0], system="Be kind.") == "id-a"
    assert await store.find("default", shorter[1], system="Be kind.") is None
    await rewound(store, "a", 1)
    assert await store.find("default", lineage(()), system="Be kind.") is None


async def test_only_the_newest_process_takes_back(store: SqlStore) -> None:
    await talk(store, "a", "one")
    await store.begin(began("a", "two", epoch=3, is_first=False))
    with pytest.raises(ConversationMoved):
        await store.rewind("a", 1, epoch=2)
    assert (await rewound(store, "a", 1, epoch=4)).left.epoch == 4
    with pytest.raises(ConversationMoved):
        await store.begin(began("a", "late", epoch=3, is_first=False))
    await store.delete("a")
    with pytest.raises(ConversationDeleted):
        await store.rewind("a", 1, epoch=4)


# Branching off


async def test_a_fork_holds_the_same_and_has_cost_nothing(store: SqlStore) -> None:
    turns = await talk(store, "a", "one", "two")
    before = await loaded(store, "a")
    assert await store.fork(forked("a", "b")) is ForkResult.DONE
    copy = await loaded(store, "b")
    assert (copy.history, copy.system, copy.model) == (before.history, "Be kind.", "claude-sonnet")
    assert (copy.turns, copy.usage, copy.cost_usd) == (2, Usage(), 0.0)
    assert (copy.created_at, copy.last_used_at, copy.place) == (5000.0, 5000.0, "place-b")
    assert (copy.binding, copy.unread, copy.epoch) == (None, None, 0)
    assert await loaded(store, "a") == before
    page = await store.turns("b", after=None, limit=9)
    assert page is not None
    assert {turn.turn_id for turn in page.turns}.isdisjoint(turn.turn_id for turn in turns)
    assert {(turn.usage, turn.cost_usd) for turn in page.turns} == {(Usage(), 0.0)}


async def test_a_fork_and_its_original_go_their_own_ways(store: SqlStore) -> None:
    await talk(store, "a", "one")
    await store.fork(forked("a", "b"))
    await talk(store, "a", "mine")
    await take_turn(store, began("b", "yours", is_first=False))
    assert (await loaded(store, "a")).history == (said("one"), *ANSWER, said("mine"), *ANSWER)
    assert (await loaded(store, "b")).history == (said("one"), *ANSWER, said("yours"), *ANSWER)
    await store.delete("a")
    assert (await loaded(store, "b")).turns == 2


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
async def test_a_fork_of_the_first_turns(store: SqlStore, turns: int) -> None:
    await talk(store, "a", "one", "two", "three")
    assert await store.fork(forked("a", "b", turns)) is ForkResult.DONE
    copy = await loaded(store, "b")
    assert (copy.turns, len(copy.history)) == (turns, 2 * turns)
    assert copy.history == (await loaded(store, "a")).history[: 2 * turns]


async def test_a_fork_that_cannot_be_leaves_nothing(store: SqlStore) -> None:
    await talk(store, "a", "one")
    await talk(store, "b", "one")
    assert await store.fork(forked("a", "c", 2)) is ForkResult.TOO_FEW_TURNS
    assert await store.fork(forked("a", "b")) is ForkResult.ID_TAKEN
    assert await store.fork(forked("gone", "c")) is ForkResult.NO_SOURCE
    await store.begin(began("d", "unanswered"))
    assert await store.fork(forked("d", "c")) is ForkResult.NO_SOURCE
    assert await store.load("default", "id-c") is None
    assert await store.count() == 2


async def test_what_never_had_an_answer_does_not_hold_the_id_of_a_fork(store: SqlStore) -> None:
    await talk(store, "a", "one")
    await store.begin(replace(began("c", "never ended"), conversation_id="id-b"))
    assert await store.fork(forked("a", "b")) is ForkResult.DONE


@pytest.mark.parametrize("turns", [0, 1, None])
@pytest.mark.parametrize("base", [(), (said("imported"), *ANSWER)])
async def test_a_fork_begins_where_the_history_does(
    store: SqlStore, base: tuple[Message, ...], turns: int | None
) -> None:
    await talk(store, "a", "replaced")
    for number, text in enumerate(("one", "two")):
        await take_turn(store, began("a", text, base=None if number else base))
    assert await store.fork(forked("a", "b", turns)) is ForkResult.DONE
    count = 2 if turns is None else turns
    assert (await loaded(store, "b")).history == (await loaded(store, "a")).history[: len(base) + 2 * count]
    await rewound(store, "a", 2)
    assert await store.fork(forked("a", "c")) is ForkResult.DONE
    assert (await loaded(store, "c")).history == base


async def test_a_fork_is_not_found_by_its_history_and_its_original_still_is(store: SqlStore) -> None:
    turn = began("a", "one")
    await store.begin(turn)
    await store.complete(completed(turn, lineage="same"))
    await store.fork(forked("a", "b"))
    assert await store.find("default", "same", system="Be kind.") == "id-a"


async def test_a_fork_that_no_turn_went_on_from_is_kept_over_a_start_and_grows_old(tmp_path: Path) -> None:
    first = opened(tmp_path / "store.db")
    await talk(first, "a", "one")
    await first.fork(forked("a", "b", 0))
    await first.close()
    settle(tmp_path / "store.db")
    second = opened(tmp_path / "store.db")
    assert (await loaded(second, "b")).turns == 0
    assert await second.known_places(["place-b"]) == {"place-b"}
    assert ("default", "id-b") in await second.unused_since(6000, limit=9)
    await second.close()


# Reading


async def test_turns_are_read_page_by_page(store: SqlStore) -> None:
    turns = await talk(store, "a", "one", "two", "three")
    first = await store.turns("a", after=None, limit=2)
    assert first is not None
    assert [turn.turn_id for turn in first.turns] == [turn.turn_id for turn in turns[:2]]
    one = first.turns[0]
    assert (one.input, one.output, one.model, one.stop_reason) == (said("one"), ANSWER, "claude-sonnet", "end_turn")
    assert (one.created_at, one.usage, one.cost_usd) == (2000.5, Usage(10, 5, 3, 2, 1), 0.25)
    assert one.finished_at > one.created_at
    second = await store.turns("a", after=one.turn_id, limit=2)
    assert second is not None
    assert [turn.input for turn in second.turns] == [said("two"), said("three")]
    last = await store.turns("a", after=turns[2].turn_id, limit=2)
    assert last is not None
    assert last.turns == ()


async def test_only_turns_of_the_present_history_are_read(store: SqlStore) -> None:
    (replaced,) = await talk(store, "a", "replaced")
    base = (said("rewritten"), *ANSWER)
    kept, taken = began("a", "kept", base=base), began("a", "taken")
    for turn in (kept, taken):
        await take_turn(store, turn)
    await rewound(store, "a", 1)
    await store.begin(began("a", "running"))
    page = await store.turns("a", after=None, limit=9)
    assert page is not None
    assert (page.base, [turn.input for turn in page.turns]) == (base, [said("kept")])
    further = await store.turns("a", after=kept.turn_id, limit=9)
    assert further is not None
    assert (further.base, further.turns) == ((), ())
    for no_turn in (replaced.turn_id, taken.turn_id, "no-such-turn"):
        assert await store.turns("a", after=no_turn, limit=9) is None
