"""What any Store must do with conversations that are made, and with what is added to a history, without a turn."""

from __future__ import annotations

import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from claude_code_api.core.conversation import lineage
from claude_code_api.core.turn import Message, Usage
from claude_code_api.errors import ConversationDeleted, ConversationMoved
from claude_code_api.runtime.ports import Binding
from claude_code_api.runtime.stored import (
    Addition,
    Change,
    Fork,
    ForkResult,
    NewConversation,
    StoredConversation,
    StoredTurn,
)
from claude_code_api.store.sql import SqlStore
from claude_code_api.store.start import settle
from tests.conformance.test_store import ANSWER, began, completed, loaded, opened, said, store, take_turn

__all__ = ["store"]


def new(key: str, **metadata: str) -> NewConversation:
    return NewConversation("default", key, f"id-{key}", 1000.0, metadata)


def addition(*messages: Message | str, developer: tuple[str, ...] = ()) -> Addition:
    told = tuple(said(one) if isinstance(one, str) else one for one in messages)
    return Addition(str(uuid.uuid4()), developer, told, 4000.0)


async def add(
    store: SqlStore, key: str, *additions: Addition, epoch: int = 1, keeps_binding: bool = True
) -> StoredConversation:
    return await store.add(key, additions, epoch=epoch, keeps_binding=keeps_binding)


async def listed(store: SqlStore, key: str) -> tuple[StoredTurn, ...]:
    page = await store.turns(key, after=None, limit=99)
    assert page is not None
    return page.turns


def texts(conversation: StoredConversation) -> list[str]:
    """What the user has said."""
    return [message.text() for message in conversation.history if message.role == "user"]


def without(*texts: str) -> Change:
    """Takes these texts out of a turn."""

    def left(message: Message) -> Message:
        content = tuple({"type": "removed"} if block.get("text") in texts else block for block in message.content)
        return replace(message, content=content)

    def change(turn: StoredTurn) -> StoredTurn:
        return replace(
            turn,
            input=left(turn.input),
            output=tuple(left(message) for message in turn.output),
            developer=tuple(one for one in turn.developer if one not in texts),
        )

    return change


# Made before its first turn


async def test_a_conversation_is_made_without_a_turn(store: SqlStore) -> None:
    assert await store.make(new("a", topic="☃"), [])
    found = await loaded(store, "a")
    assert (found.key, found.tenant, found.created_at, found.metadata) == ("a", "default", 1000.0, {"topic": "☃"})
    assert (found.turns, found.history, found.head, found.developer) == (0, (), None, ())
    assert (found.place, found.binding, found.system, found.model, found.profile) == ("", None, "", "", "chat")
    assert (found.usage, found.cost_usd, found.epoch, found.unread) == (Usage(), 0.0, 0, None)
    assert [one.metadata for one in await store.page("default", before=None, limit=9)] == [{"topic": "☃"}]
    assert await store.count() == 1


async def test_it_gets_its_place_with_its_first_turn(store: SqlStore) -> None:
    await store.make(new("a"), [])
    await take_turn(store, began("a", "one", is_first=False))
    found = await loaded(store, "a")
    assert (found.place, found.turns, found.epoch) == ("place-a", 1, 1)
    assert await store.known_places(["place-a"]) == {"place-a"}


async def test_an_id_that_is_taken_is_not_made_again(store: SqlStore) -> None:
    await take_turn(store, began("a", "one"))
    before = await loaded(store, "a")
    assert not await store.make(replace(new("b", topic="new"), conversation_id="id-a"), [addition("hi")])
    assert await loaded(store, "a") == before
    assert await store.make(replace(new("c"), tenant="other", conversation_id="id-a"), [])
    await store.begin(replace(began("d", "never ended"), conversation_id="id-e"))
    assert await store.make(new("e"), []), "what never had an answer holds no id"


async def test_it_is_made_with_what_it_holds(store: SqlStore) -> None:
    first = addition("one", *ANSWER, developer=("Be brief.",))
    second = addition("two")
    assert await store.make(new("a"), [first, second])
    found = await loaded(store, "a")
    assert (found.history, found.developer) == ((said("one"), *ANSWER, said("two")), ("Be brief.",))
    assert (found.turns, found.head, found.unread) == (0, second.turn_id, None)


async def test_it_is_kept_whatever_becomes_of_its_first_turn(tmp_path: Path) -> None:
    first = opened(tmp_path / "store.db")
    await first.make(new("a"), [addition("one")])
    await first.make(new("b"), [])
    failed, left = began("a", "cut", is_first=False), began("b", "cut", is_first=False)
    for turn in (failed, left):
        await first.begin(turn)
    await first.end(failed.turn_id, error_code="process_died", message="It died.")
    await first.close()
    assert settle(tmp_path / "store.db") == 1
    second = opened(tmp_path / "store.db")
    assert texts(await loaded(second, "a")) == ["one"]
    assert texts(await loaded(second, "b")) == []
    await second.close()


async def test_metadata_is_replaced_as_a_whole(store: SqlStore) -> None:
    await store.make(new("a", one="1", two="2"), [])
    assert await store.set_metadata("a", {"three": "3"})
    assert (await loaded(store, "a")).metadata == {"three": "3"}
    summary = await store.summary("default", "id-a")
    assert summary is not None
    assert summary.metadata == {"three": "3"}
    await take_turn(store, began("a", "one", is_first=False))
    assert (await loaded(store, "a")).metadata == {"three": "3"}
    assert not await store.set_metadata("gone", {})


# Added to


async def test_what_is_added_is_part_of_the_history(store: SqlStore) -> None:
    await take_turn(store, began("a", "one"))
    imported = addition("two", *ANSWER, developer=("Be brief.",))
    found = await add(store, "a", imported, addition(*ANSWER), addition("three"))
    assert found == await loaded(store, "a")
    assert found.history == (said("one"), *ANSWER, said("two"), *ANSWER, *ANSWER, said("three"))
    assert found.developer == ("Be brief.",)
    await take_turn(store, began("a", "four", is_first=False))
    assert texts(await loaded(store, "a")) == ["one", "two", "three", "four"]


async def test_what_is_added_is_read_as_what_it_is(store: SqlStore) -> None:
    first = began("a", "one")
    await take_turn(store, first)
    whole, instructions = addition("two", *ANSWER), addition(developer=("Be brief.",))
    found = await add(store, "a", whole, instructions)
    assert found.history == (said("one"), *ANSWER, said("two"), *ANSWER), "no empty message stands for instructions"
    turns = await listed(store, "a")
    assert [turn.turn_id for turn in turns] == [first.turn_id, whole.turn_id, instructions.turn_id]
    _, added, told = turns
    assert (added.input, added.output, added.developer) == (said("two"), ANSWER, ())
    assert (added.model, added.stop_reason, added.usage, added.cost_usd) == ("", "added", Usage(), 0.0)
    assert (added.created_at, added.finished_at) == (4000.0, 4000.0)
    assert (told.input, told.output, told.developer) == (Message("user", ()), (), ("Be brief.",))
    assert await store.find_turns("default", [whole.turn_id]) == [added]
    assert await store.answer(whole.turn_id) is None, "nobody asked for it"
    held = await store.history_at(whole.turn_id)
    assert held is not None
    assert (held.messages, held.developer) == (found.history, ())


async def test_what_is_added_is_no_turn_and_costs_nothing(store: SqlStore) -> None:
    await take_turn(store, began("a", "one"))
    before = await loaded(store, "a")
    assert before.unread is not None
    last = addition("two")
    found = await add(store, "a", last)
    assert (found.turns, found.usage, found.cost_usd) == (before.turns, before.usage, before.cost_usd)
    assert (found.head, found.unread) == (last.turn_id, None), "the answer before it is not the last one any more"
    assert found.last_used_at > before.last_used_at


@pytest.mark.parametrize(("keeps_binding", "binding"), [(True, Binding("cli-session", "leaf")), (False, None)])
async def test_a_binding_is_kept_on_demand(store: SqlStore, keeps_binding: bool, binding: Binding | None) -> None:
    await take_turn(store, began("a", "one"))
    found = await add(store, "a", addition("two"), keeps_binding=keeps_binding)
    assert found.binding == (await loaded(store, "a")).binding == binding


async def test_nobody_finds_it_by_what_it_held_before(store: SqlStore) -> None:
    for key in ("a", "b"):
        turn = began(key, key)
        await store.begin(turn)
        await store.complete(completed(turn, lineage=lineage((said(key), *ANSWER))))
    await add(store, "a", addition("two"))
    await store.amend("b", (await listed(store, "b"))[0].turn_id, without("b"), epoch=1)
    for key in ("a", "b"):
        assert await store.find("default", lineage((said(key), *ANSWER)), system="Be kind.") is None


async def test_only_the_newest_process_changes_a_history(store: SqlStore) -> None:
    turn = began("a", "one", epoch=3)
    await take_turn(store, turn)
    with pytest.raises(ConversationMoved):
        await add(store, "a", addition("two"), epoch=2)
    with pytest.raises(ConversationMoved):
        await store.amend("a", turn.turn_id, without("one"), epoch=2)
    assert texts(await loaded(store, "a")) == ["one"]
    assert (await add(store, "a", addition("two"), epoch=4)).epoch == 4
    with pytest.raises(ConversationMoved):
        await store.begin(began("a", "late", epoch=3, is_first=False))
    changed = await store.amend("a", turn.turn_id, without("one"), epoch=5)
    assert changed is not None
    assert changed.epoch == 5
    await store.delete("a")
    with pytest.raises(ConversationDeleted):
        await add(store, "a", addition("two"), epoch=5)
    with pytest.raises(ConversationDeleted):
        await store.amend("a", turn.turn_id, without("one"), epoch=5)


# Going back and branching off


async def test_what_was_added_behind_a_turn_goes_with_it(store: SqlStore) -> None:
    await store.make(new("a"), [addition("before")])
    for text in ("one", "two"):
        await take_turn(store, began("a", text, is_first=False))
        await add(store, "a", addition(f"after {text}", developer=(f"instructions after {text}",)))
    assert await store.rewind("a", 3, epoch=1) is None, "what was added is no turn"
    back = await store.rewind("a", 1, epoch=1)
    assert back is not None
    assert (texts(back.left), back.left.turns) == (["before", "one", "after one"], 1)
    assert back.left.developer == ("instructions after one",)
    again = await store.rewind("a", 1, epoch=1)
    assert again is not None
    assert (texts(again.left), again.left.turns, again.left.developer) == (["before"], 0, ())
    assert await store.rewind("a", 1, epoch=1) is None


@pytest.mark.parametrize(
    ("turns", "held"),
    [
        (0, ["before"]),
        (1, ["before", "one", "after one"]),
        (2, ["before", "one", "after one", "two", "after two"]),
        (None, ["before", "one", "after one", "two", "after two"]),
    ],
)
async def test_a_fork_of_the_first_turns_has_what_was_added_up_to_the_next(
    store: SqlStore, turns: int | None, held: list[str]
) -> None:
    await store.make(new("a"), [addition("before", developer=("Be brief.",))])
    for text in ("one", "two"):
        await take_turn(store, began("a", text, is_first=False))
        await add(store, "a", addition(f"after {text}"))
    assert await store.fork(Fork("a", turns, "b", "id-b", "place-b", 5000.0)) is ForkResult.DONE
    copy = await loaded(store, "b")
    assert (texts(copy), copy.turns) == (held, 2 if turns is None else turns)
    assert copy.developer == ("Be brief.",)
    assert await store.fork(Fork("a", 3, "c", "id-c", "place-c", 5000.0)) is ForkResult.TOO_FEW_TURNS


async def test_a_fork_at_a_turn_is_without_what_was_added_behind_it(store: SqlStore) -> None:
    turn = began("a", "one")
    await take_turn(store, turn)
    last = addition("two")
    await add(store, "a", last)
    for key, end, held in (("b", turn.turn_id, ["one"]), ("c", last.turn_id, ["one", "two"])):
        fork = Fork("a", None, key, f"id-{key}", f"place-{key}", 5000.0, until=end)
        assert await store.fork(fork) is ForkResult.DONE
        copy = await loaded(store, key)
        assert (texts(copy), copy.turns) == (held, 1)


async def test_a_turn_that_replaces_the_history_replaces_what_was_added(store: SqlStore) -> None:
    await store.make(new("a"), [addition("before", developer=("Be brief.",))])
    await take_turn(store, began("a", "one", base=(said("rewritten"),), is_first=False))
    found = await loaded(store, "a")
    assert (texts(found), found.developer) == (["rewritten", "one"], ())


# When the server dies


async def test_what_was_added_and_taken_out_outlives_the_server(tmp_path: Path) -> None:
    first = opened(tmp_path / "store.db")
    turn = began("a", "one")
    await take_turn(first, turn)
    await add(first, "a", addition("two", developer=("Be brief.",)))
    await first.amend("a", turn.turn_id, without("one"), epoch=2)
    before = await loaded(first, "a")
    await first.close()
    assert settle(tmp_path / "store.db") == 0
    second = opened(tmp_path / "store.db")
    assert await loaded(second, "a") == before
    await second.close()
