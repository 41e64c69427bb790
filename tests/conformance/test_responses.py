"""What any Store must do for answers that are asked for by their id."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from claude_code_api.errors import ConversationDeleted
from claude_code_api.runtime.stored import (
    AcceptedResponse,
    BeganTurn,
    NewResponse,
    ResponseStatus,
    StoredResponse,
)
from claude_code_api.store.sql import SqlStore
from claude_code_api.store.start import settle
from tests.conformance.test_store import ANSWER, began, completed, loaded, opened, said, store, take_turn

__all__ = ["store"]

SETTINGS = {"instructions": "Be kind.", "metadata": {"topic": "☃"}, "temperature": 1.0}


def asked(key: str, text: str, *, background: bool = False, **more: Any) -> BeganTurn:
    return replace(began(key, text, **more), response=NewResponse(SETTINGS, background))


def accepted(turn: BeganTurn) -> AcceptedResponse:
    assert turn.response is not None
    return AcceptedResponse(
        tenant=turn.tenant,
        key=turn.key,
        conversation_id=turn.conversation_id,
        conversation_created_at=turn.conversation_created_at,
        turn_id=turn.turn_id,
        created_at=turn.created_at,
        response=turn.response,
    )


async def answer(store: SqlStore, turn: BeganTurn, *, is_fork: bool = False) -> BeganTurn:
    await store.begin(turn)
    done = completed(turn, is_fork=is_fork)
    assert await store.complete(replace(done, has_response=turn.response is not None))
    return turn


async def response(store: SqlStore, turn: BeganTurn) -> StoredResponse:
    found = await store.response(turn.tenant, turn.turn_id)
    assert found is not None
    return found


def numbered(*numbers: int) -> list[Mapping[str, Any]]:
    return [{"type": "delta", "sequence_number": number} for number in numbers]


# What becomes of one


async def test_a_response_is_found_by_its_id_from_its_beginning_on(store: SqlStore) -> None:
    turn = asked("a", "one")
    assert await store.response("default", turn.turn_id) is None
    await store.begin(turn)
    running = await response(store, turn)
    assert (running.status, running.finished_at, running.turn) == (ResponseStatus.RUNNING, None, None)
    assert await store.complete(replace(completed(turn), has_response=True))
    done = await response(store, turn)
    assert (done.turn_id, done.tenant, done.key, done.conversation_id) == (turn.turn_id, "default", "a", "id-a")
    assert (done.status, done.settings, done.background) == (ResponseStatus.COMPLETED, SETTINGS, False)
    assert (done.created_at, done.error_code, done.error_message) == (2000.5, None, None)
    assert done.finished_at is not None
    assert done.turn is not None
    assert (done.turn.turn_id, done.turn.input, done.turn.output) == (turn.turn_id, said("one"), ANSWER)
    assert done.turn.finished_at == done.finished_at
    assert await store.response("other", turn.turn_id) is None


async def test_an_answer_that_is_not_to_be_found_by_its_id_is_not(store: SqlStore) -> None:
    turn = await answer(store, began("a", "one"))
    assert await store.response("default", turn.turn_id) is None


@pytest.mark.parametrize(("code", "status"), [("turn_timeout", "failed"), ("turn_cancelled", "cancelled")])
async def test_a_response_without_an_answer_says_why(store: SqlStore, code: str, status: str) -> None:
    await take_turn(store, began("a", "one"))
    turn = asked("a", "two")
    await store.begin(turn)
    await store.end(turn.turn_id, error_code=code, message="It took too long.")
    found = await response(store, turn)
    assert (found.status, found.error_code, found.error_message) == (status, code, "It took too long.")
    assert (found.turn, found.finished_at is None) == (None, False)
    assert (await loaded(store, "a")).history == (said("one"), *ANSWER)


async def test_a_complete_answer_does_not_fail_later(store: SqlStore) -> None:
    turn = await answer(store, asked("a", "one"))
    await store.end(turn.turn_id, error_code="turn_cancelled", message="Too late.")
    found = await response(store, turn)
    assert (found.status, found.error_code, found.turn is None) == (ResponseStatus.COMPLETED, None, False)


async def test_a_first_turn_without_an_answer_leaves_nothing_to_ask_for(store: SqlStore) -> None:
    turn = asked("a", "one")
    await store.begin(turn)
    await store.end(turn.turn_id, error_code="process_died", message="It died.")
    assert await store.response("default", turn.turn_id) is None
    assert await store.load("default", "id-a") is None


# In the background


async def test_one_in_the_background_waits_runs_and_is_answered(store: SqlStore) -> None:
    turn = asked("a", "one", background=True)
    await store.accept(accepted(turn))
    queued = await response(store, turn)
    assert (queued.status, queued.background, queued.settings) == (ResponseStatus.QUEUED, True, SETTINGS)
    assert (queued.created_at, queued.conversation_id, queued.turn) == (2000.5, "id-a", None)
    made = await loaded(store, "a")
    assert (made.key, made.turns, made.history, made.head, made.created_at) == ("a", 0, (), None, 1000.0)
    assert (made.place, made.binding, made.system, made.model) == ("", None, "", "")
    await store.begin(turn)
    assert (await response(store, turn)).status is ResponseStatus.RUNNING
    assert (await loaded(store, "a")).place == "place-a"
    assert await store.complete(replace(completed(turn), has_response=True))
    assert (await response(store, turn)).status is ResponseStatus.COMPLETED
    assert (await loaded(store, "a")).history == (said("one"), *ANSWER)


async def test_a_conversation_that_is_there_is_not_touched_by_what_waits(store: SqlStore) -> None:
    await take_turn(store, began("a", "one"))
    before = await loaded(store, "a")
    await store.accept(accepted(asked("a", "two", background=True)))
    assert await loaded(store, "a") == before


@pytest.mark.parametrize(("code", "status"), [("slot_wait", "failed"), ("turn_cancelled", "cancelled")])
@pytest.mark.parametrize("began_before", [True, False])
async def test_one_that_was_accepted_can_be_asked_about_whatever_became_of_it(
    store: SqlStore, code: str, status: str, began_before: bool
) -> None:
    turn = asked("a", "one", background=True)
    await store.accept(accepted(turn))
    if began_before:
        await store.begin(turn)
    await store.end(turn.turn_id, error_code=code, message="No room.")
    found = await response(store, turn)
    assert (found.status, found.error_code, found.error_message) == (status, code, "No room.")
    assert (await loaded(store, "a")).turns == 0, "its id is known"


async def test_what_waits_behind_a_first_turn_keeps_its_conversation(store: SqlStore) -> None:
    first, second = began("a", "one"), asked("a", "two", background=True)
    await store.begin(first)
    await store.accept(accepted(second))
    await store.end(first.turn_id, error_code="process_died", message="It died.")
    assert (await response(store, second)).status is ResponseStatus.QUEUED
    await answer(store, second)
    assert (await loaded(store, "a")).history == (said("two"), *ANSWER)


async def test_nothing_is_accepted_where_another_conversation_has_the_id_by_now(store: SqlStore) -> None:
    await take_turn(store, began("a", "one"))
    await store.delete("a")
    await take_turn(store, replace(began("b", "again"), conversation_id="id-a"))
    late = asked("a", "two", background=True)
    with pytest.raises(ConversationDeleted):
        await store.accept(accepted(late))
    assert await store.response("default", late.turn_id) is None
    assert (await loaded(store, "a")).key == "b"


async def test_what_never_had_an_answer_does_not_hold_the_id_of_what_is_accepted(store: SqlStore) -> None:
    await store.begin(replace(began("b", "never ended"), conversation_id="id-a"))
    await store.accept(accepted(asked("a", "one", background=True)))
    assert (await loaded(store, "a")).key == "a"


# Events


async def test_events_are_read_from_behind_any_number(store: SqlStore) -> None:
    turn, other = asked("a", "one"), asked("b", "one")
    for one in (turn, other):
        await store.begin(one)
    assert await store.events(turn.turn_id, after=-1) == []
    for first, events in ((0, numbered(0)), (1, numbered(1, 2, 3)), (4, numbered(4, 5))):
        assert await store.append_events(turn.turn_id, first, events)
    assert await store.append_events(other.turn_id, 0, numbered(0))
    for after in range(-1, 7):
        assert await store.events(turn.turn_id, after=after) == numbered(*range(after + 1, 6))


async def test_events_come_back_as_they_were(store: SqlStore) -> None:
    turn = asked("a", "one")
    await store.begin(turn)
    event = {"type": "response.output_text.delta", "delta": "☃\ud83d", "n": [1, 2.5, None, {"deep": True}]}
    assert await store.append_events(turn.turn_id, 0, [event])
    assert await store.events(turn.turn_id, after=-1) == [event]


async def test_events_are_kept_when_there_is_no_answer(store: SqlStore) -> None:
    turn = asked("a", "one", background=True)
    await store.accept(accepted(turn))
    await store.begin(turn)
    await store.append_events(turn.turn_id, 0, numbered(0, 1))
    await store.end(turn.turn_id, error_code="turn_cancelled", message="Cut.")
    assert await store.append_events(turn.turn_id, 2, numbered(2)), "what became of it is told, too"
    assert await store.events(turn.turn_id, after=0) == numbered(1, 2)


async def test_what_nobody_can_ask_for_has_no_events(store: SqlStore) -> None:
    turn = await answer(store, began("a", "one"))
    assert not await store.append_events(turn.turn_id, 0, numbered(0))
    assert not await store.append_events("no-such-turn", 0, numbered(0))
    assert await store.events(turn.turn_id, after=-1) == []


# Forgetting


async def test_a_response_is_forgotten_and_its_turn_stays(store: SqlStore) -> None:
    turn = await answer(store, asked("a", "one"))
    await store.append_events(turn.turn_id, 0, numbered(0))
    assert not await store.forget_response("other", turn.turn_id)
    assert (await response(store, turn)).status is ResponseStatus.COMPLETED
    assert await store.forget_response("default", turn.turn_id)
    assert await store.response("default", turn.turn_id) is None
    assert await store.events(turn.turn_id, after=-1) == []
    assert not await store.append_events(turn.turn_id, 1, numbered(1))
    assert not await store.forget_response("default", turn.turn_id)
    assert (await loaded(store, "a")).history == (said("one"), *ANSWER)


async def test_one_that_is_forgotten_while_it_waits_or_runs_does_not_come_back(store: SqlStore) -> None:
    waits, runs = asked("a", "one", background=True), asked("b", "one")
    await store.accept(accepted(waits))
    await store.begin(runs)
    for turn in (waits, runs):
        assert await store.forget_response("default", turn.turn_id)
    await store.begin(waits)
    for turn in (waits, runs):
        assert await store.complete(replace(completed(turn), has_response=True))
        assert await store.response("default", turn.turn_id) is None
    assert (await loaded(store, "a")).turns == 1


async def test_turns_that_are_taken_back_take_their_responses_along(store: SqlStore) -> None:
    turns = [await answer(store, asked("a", text)) for text in ("one", "two", "three")]
    await store.append_events(turns[2].turn_id, 0, numbered(0))
    await store.rewind("a", 2, epoch=1)
    found = [await store.response("default", turn.turn_id) for turn in turns]
    assert [one is not None for one in found] == [True, False, False]
    assert await store.events(turns[2].turn_id, after=-1) == []


async def test_a_deleted_conversation_takes_them_along_and_their_words(tmp_path: Path) -> None:
    store, secret = opened(tmp_path / "store.db"), "a most peculiar secret"
    turn = asked("a", "one")
    turn = replace(turn, response=NewResponse({"instructions": secret}, background=False), developer=(secret,))
    await answer(store, turn)
    await store.append_events(turn.turn_id, 0, [{"delta": secret}])
    await take_turn(store, began("b", "something else"))
    assert secret.encode() in b"".join(path.read_bytes() for path in tmp_path.iterdir())
    await store.delete("a")
    assert await store.response("default", turn.turn_id) is None
    assert await store.events(turn.turn_id, after=-1) == []
    await store.close()
    assert secret.encode() not in b"".join(path.read_bytes() for path in tmp_path.iterdir())


# When the server dies


async def test_what_a_dead_server_left_has_failed_and_says_so(tmp_path: Path) -> None:
    first = opened(tmp_path / "store.db")
    done = await answer(first, asked("a", "one"))
    cut = asked("a", "two", background=True)
    await first.accept(accepted(cut))
    await first.begin(cut)
    await first.append_events(cut.turn_id, 0, numbered(0))
    waiting, watched = asked("b", "one", background=True), asked("c", "one")
    await first.accept(accepted(waiting))
    await first.begin(watched)
    ended = asked("a", "three", background=True)
    await first.accept(accepted(ended))
    await first.end(ended.turn_id, error_code="turn_cancelled", message="Cut.")
    await first.close()
    second = opened(tmp_path / "store.db")
    assert settle(tmp_path / "store.db") == 2
    for turn in (cut, waiting, watched):
        found = await response(second, turn)
        assert (found.status, found.error_code) == (ResponseStatus.FAILED, "server_restarted")
        assert found.error_message is not None
        assert "The server ended" in found.error_message
        assert "sent again" in found.error_message
        assert found.finished_at is not None
    assert (await response(second, done)).status is ResponseStatus.COMPLETED
    assert (await response(second, ended)).status is ResponseStatus.CANCELLED
    assert await second.events(cut.turn_id, after=-1) == numbered(0)
    assert (await loaded(second, "a")).history == (said("one"), *ANSWER)
    for key in ("b", "c"):
        assert (await loaded(second, key)).history == (), "who was told an id can ask for it"
    assert settle(tmp_path / "store.db") == 0
    assert (await response(second, watched)).status is ResponseStatus.FAILED
    await second.close()
