"""An actor whose conversation holds more than turns: instructions, and messages that nobody has answered."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from claude_code_api.core import events as ev
from claude_code_api.core.events import StopReason
from claude_code_api.core.session import State
from claude_code_api.core.turn import Message, StartKind, TurnStarted, Usage
from claude_code_api.errors import InvalidRequest
from claude_code_api.runtime.host import Turn
from claude_code_api.runtime.ports import Binding
from claude_code_api.runtime.stored import NewResponse, StoredConversation
from tests.unit.runtime.test_actor import CALL, World, failure, result, text, user

YES = Message("assistant", (text("Yes."),))
STORED = StoredConversation(
    key="key",
    tenant="default",
    conversation_id="conversation",
    place="place",
    binding=Binding("before", "leaf"),
    system="Be kind.",
    model="sonnet",
    profile="chat",
    turns=1,
    usage=Usage(),
    cost_usd=0.0,
    created_at=1.0,
    last_used_at=1.0,
    epoch=1,
    history=(user("One"), YES),
    unread=None,
    developer=("Use metres.",),
    head="turn-1",
)


@pytest.fixture
async def worlds() -> AsyncIterator[list[World]]:
    made: list[World] = []
    yield made
    for world in made:
        world.actor.post(ev.Deleted())
        await world.settle()
        await world.host.tasks.drain()


@pytest.fixture
async def world(worlds: list[World]) -> World:
    worlds.append(World())
    return worlds[0]


@pytest.fixture
async def stored(worlds: list[World]) -> World:
    worlds.append(World(STORED))
    return worlds[0]


async def start_of(turn: Turn) -> StartKind:
    first = (await turn.stream.after(0))[0]
    assert isinstance(first, TurnStarted)
    return first.start


# Instructions


async def test_instructions_are_stored_with_their_turn_and_stay(stored: World) -> None:
    await stored.talk("Two", developer=("Say please.",))
    assert stored.host.launched[0].profile.system == "Be kind.\n\nUse metres.\n\nSay please."
    assert stored.host.began[0].developer == ("Say please.",)
    assert stored.host.completed[0].system == "Be kind."
    await stored.talk("Three")
    assert (len(stored.host.agents), stored.host.began[1].developer) == (1, ())
    assert stored.actor.record.developer == ("Use metres.", "Say please.")


async def test_new_instructions_resume_the_conversation_on_another_process(stored: World) -> None:
    await stored.talk("Two")
    await stored.talk("Three", developer=("Say please.",))
    assert [launch.profile.system for launch in stored.host.launched] == [
        "Be kind.\n\nUse metres.",
        "Be kind.\n\nUse metres.\n\nSay please.",
    ]
    assert stored.host.launched[1].binding == Binding("session", "leaf")


async def test_instructions_of_a_turn_without_an_answer_are_not_kept(stored: World) -> None:
    turn = await stored.ask("Two", developer=("Say please.",))
    stored.agent.context.remove(turn.id)
    stored.actor.cut(turn.id)
    await stored.settle()
    await stored.talk("Two again")
    assert stored.host.launched[1].profile.system == "Be kind.\n\nUse metres."
    assert stored.actor.record.developer == ("Use metres.",)


async def test_a_history_that_replaces_the_conversations_brings_all_instructions(stored: World) -> None:
    edited = [user("Eins"), YES]
    await stored.talk("Two", history=edited, developer=("Say please.",))
    (began,) = stored.host.began
    assert (began.base, began.developer) == (tuple(edited), ("Say please.",))
    assert stored.host.completed[0].is_fork
    assert stored.actor.record.developer == ("Say please.",)


async def test_a_process_that_goes_back_keeps_what_no_client_sees(world: World) -> None:
    thought = {"type": "thinking", "thinking": "Hm.", "signature": "s"}
    await world.talk("One", answer=[thought, text("Yes.")])
    await world.talk("Two")
    await world.talk("Two again", history=[user("One"), YES])
    assert len(world.host.agents) == 1
    assert world.host.began[2].base == (user("One"), Message("assistant", (thought, text("Yes."))))


# What nobody has answered


async def test_a_live_process_takes_what_was_added_with_the_next_message(world: World) -> None:
    await world.talk("One")
    record = world.actor.record
    record.history = [*record.history, user("Wait.")]
    turn = await world.talk("Two")
    assert len(world.host.agents) == 1
    assert await start_of(turn) is StartKind.LIVE
    assert world.agent.sent[1] == user("Wait.", "Two").content
    began = world.host.began[1]
    assert (began.input, began.base) == (user("Two"), None)
    assert record.history == [user("One"), YES, user("Wait."), user("Two"), YES]


async def test_a_turn_that_is_undone_leaves_it_unsaid(world: World) -> None:
    await world.talk("One")
    record = world.actor.record
    record.history = [*record.history, user("Wait.")]
    turn = await world.ask("Two")
    world.agent.context.remove(turn.id)
    world.actor.cut(turn.id)
    await world.settle()
    assert record.history == [user("One"), YES, user("Wait.")]
    await world.talk("Three")
    assert len(world.host.agents) == 1
    assert world.agent.sent[2] == user("Wait.", "Three").content


async def test_an_edited_turn_takes_it_along_again(world: World) -> None:
    await world.talk("One")
    record = world.actor.record
    record.history = [*record.history, user("Wait.")]
    before = list(record.history)
    await world.talk("Two")
    turn = await world.talk("Two again", history=before)
    assert (await start_of(turn), len(world.host.agents)) == (StartKind.FORKED, 1)
    assert world.agent.sent[2] == user("Wait.", "Two again").content
    assert world.host.began[2].base == tuple(before)
    assert record.history == [*before, user("Two again"), YES]


async def test_what_waits_for_results_does_not_take_anything_else(world: World) -> None:
    await world.call()
    record = world.actor.record
    record.history = [*record.history, user("Hurry.")]
    await world.talk(result("a"))
    assert len(world.host.agents) == 2
    assert world.host.launched[1].history == (user("Look."), Message("assistant", (CALL,)))
    assert world.agent.sent == [(result("a"), text("Hurry."))]
    assert world.host.began[1].input == user(result("a"))


async def test_after_a_process_the_conversation_is_resumed_where_it_was_answered(stored: World) -> None:
    record = stored.actor.record
    record.history.append(user("Wait."))
    turn = await stored.talk("Two")
    (launch,) = stored.host.launched
    assert (launch.binding, launch.history) == (STORED.binding, STORED.history)
    assert await start_of(turn) is StartKind.RESUMED
    assert stored.agent.sent == [user("Wait.", "Two").content]


async def test_an_answer_without_a_message_is_none(world: World) -> None:
    """Its turn is sent again with the next one: no transcript that holds it already may be resumed."""
    turn = await world.ask("One")
    world.agent.answer_nothing()
    await world.settle()
    assert turn.stream.ended
    assert world.host.completed[0].binding is None
    world.actor.post(ev.StopWanted(StopReason.IDLE))
    await world.settle()
    await world.talk("Two")
    assert (world.host.launched[1].binding, world.host.launched[1].history) == (None, ())
    assert world.agent.sent == [user("One", "Two").content]


# Messages before the new one


async def test_messages_can_come_before_the_new_one(stored: World) -> None:
    said = (user("Two"), Message("assistant", (text("2"),)))
    await stored.talk("Three", before=said)
    (began,) = stored.host.began
    assert (began.input, began.base, began.developer) == (user("Three"), (*STORED.history, *said), ("Use metres.",))
    assert stored.host.launched[0].history == (*STORED.history, *said)
    assert stored.host.launched[0].binding is None
    assert stored.actor.record.history == [*STORED.history, *said, user("Three"), YES]


async def test_results_are_looked_for_in_what_comes_before(stored: World) -> None:
    before = (user("Look."), Message("assistant", (CALL,)))
    refused = await stored.ask(result("b"), before=before)
    assert isinstance(await failure(refused), InvalidRequest)
    assert stored.host.launched == []
    await stored.talk(result("a"), before=before)
    assert stored.agent.sent == [(result("a"),)]


# Before the first turn


async def test_the_first_turn_of_a_conversation_that_was_made_starts_a_process_like_any_first(
    worlds: list[World],
) -> None:
    made = replace(STORED, place="", binding=None, turns=0, epoch=0, history=(), developer=(), head=None)
    world = World(made)
    worlds.append(world)
    assert (world.actor.kept, world.actor.record.is_copy) == (True, False)
    turn = await world.talk("One")
    assert await start_of(turn) is StartKind.COLD
    assert world.host.launched[0].place is None
    assert not world.host.began[0].is_first
    assert world.actor.leftover is None


async def test_its_directory_goes_when_nothing_was_ever_sent_to_it(worlds: list[World]) -> None:
    world = World(replace(STORED, place="", binding=None, turns=0, epoch=0, history=(), head=None))
    worlds.append(world)
    world.host.full = True
    await world.ask("One")
    world.actor.post(ev.StopWanted(StopReason.IDLE))
    await world.settle()
    assert (world.actor.state, world.actor.kept, world.actor.leftover) == (State.HIBERNATED, True, "place")


# Where it stands


async def test_it_stands_at_its_last_turn_while_nothing_else_is_asked(stored: World) -> None:
    actor = stored.actor
    assert actor.stands_at("turn-1")
    turn = await stored.ask("Two")
    assert not actor.stands_at("turn-1")
    stored.agent.answer(text("Yes."))
    await stored.settle()
    assert (actor.stands_at("turn-1"), actor.stands_at(turn.id)) == (False, True)
    actor.post(ev.StopWanted(StopReason.IDLE))
    assert actor.state is State.STOPPING
    assert actor.stands_at(turn.id)


async def test_what_is_expected_comes_first(stored: World) -> None:
    turn = await stored.ask("Two")
    stored.agent.answer(text("Yes."))
    await stored.settle()
    stored.actor.expect(replace(turn, id="expected"))
    assert not stored.actor.stands_at(turn.id)


# Only in memory


async def test_a_conversation_in_memory_writes_nothing_and_ends_with_its_process(worlds: list[World]) -> None:
    world = World(in_memory=True)
    worlds.append(world)
    await world.talk("One", named=False)
    await world.talk("Two", named=False)
    assert (world.host.began, world.host.completed) == ([], [])
    assert len(world.host.agents) == 1
    assert world.actor.record.history == [user("One"), YES, user("Two"), YES]
    assert world.actor.record.lineage is not None
    turn = await world.ask("Three")
    world.agent.context.remove(turn.id)
    world.actor.cut(turn.id)
    await world.settle()
    assert world.host.ends == []
    world.actor.post(ev.StopWanted(StopReason.IDLE))
    await world.settle()
    assert (world.actor.state, world.actor.kept, world.actor.leftover) == (State.NEW, False, "place")


async def test_while_a_turn_wants_it_a_conversation_in_memory_outlives_its_process(worlds: list[World]) -> None:
    world = World(in_memory=True)
    worlds.append(world)
    await world.talk("One")
    await world.talk("Two", system="Be brief.")
    assert [launch.binding for launch in world.host.launched] == [None, Binding("session", "leaf")]
    assert world.host.launched[1].history == (user("One"), YES)
    assert await world.host.launched[1].recall() == []


# Responses


def asked(*, background: bool) -> NewResponse:
    return NewResponse({"store": True}, background)


@pytest.mark.parametrize("background", [True, False])
async def test_a_response_is_stored_with_its_turn(world: World, background: bool) -> None:
    response = asked(background=background)
    await world.talk("One", response=response)
    assert (world.host.began[0].response, world.host.completed[0].has_response) == (response, True)
    await world.talk("Two")
    assert (world.host.began[1].response, world.host.completed[1].has_response) == (None, False)


@pytest.mark.parametrize(("response", "ends"), [(asked(background=True), 1), (asked(background=False), 0), (None, 0)])
async def test_a_response_that_was_accepted_is_ended_when_its_turn_is_never_sent(
    world: World, response: NewResponse | None, ends: int
) -> None:
    world.host.room = False
    turn = await world.ask("One", response=response)
    assert turn.stream.ended
    assert world.host.ends == ["capacity_exceeded"] * ends
    refused: Any = await failure(await world.ask(result("x"), response=response))
    assert isinstance(refused, InvalidRequest)
    assert len(world.host.ends) == 2 * ends


async def test_a_conversation_with_an_accepted_response_is_kept(world: World) -> None:
    world.actor.accepted()
    world.host.full = True
    await world.ask("One", response=asked(background=True))
    world.actor.post(ev.StopWanted(StopReason.IDLE))
    await world.settle()
    assert (world.actor.state, world.actor.kept) == (State.HIBERNATED, True)
    assert world.host.ends == ["store_unavailable"]
    world.host.full = False
    await world.talk("One again")
    assert not world.host.began[0].is_first
