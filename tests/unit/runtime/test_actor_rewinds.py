"""An actor that takes turns back: the store first, then its process; and whatever comes in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, cast

import pytest

from claude_code_api.core import events as ev
from claude_code_api.core.session import State
from claude_code_api.core.turn import Usage
from claude_code_api.errors import ConversationDeleted, InvalidRequest, StoreUnavailable, TurnCancelled
from claude_code_api.runtime.ports import Binding
from claude_code_api.runtime.stored import BeganTurn, Rewound, StoredConversation
from tests.unit.runtime.test_actor import CALL, World, failure, result, text, user


class RewindingWorld(World):
    """Its store holds two messages a turn; it takes turns back when `let` is set, unless there is an `error`.

    Before the turns that are taken back, messages were `added` without a turn.
    """

    def __init__(self) -> None:
        super().__init__()
        self.let = asyncio.Event()
        self.let.set()
        self.error: Exception | None = None
        self.turns: list[str] = []
        self.added = 0
        host = cast(Any, self.host)
        host.rewind = self._rewind
        host.brought_up = lambda stored: stored

    async def _rewind(self, key: str, turns: int, *, epoch: int) -> Rewound | None:
        assert len(self.agent.context) == len(self.turns), "the process has not gone back yet"
        await self.let.wait()
        if self.error is not None:
            raise self.error
        if turns > len(self.turns):
            return None
        first = self.turns[-turns]
        del self.turns[-turns:]
        record = self.actor.record
        left = StoredConversation(
            key=key,
            tenant=record.tenant,
            conversation_id=record.conversation_id,
            place="place",
            binding=None,
            system="",
            model="sonnet",
            profile="chat",
            turns=len(self.turns),
            usage=Usage(),
            cost_usd=0.0,
            created_at=record.created_at,
            last_used_at=2.0,
            epoch=epoch,
            history=tuple(replace(message) for message in record.history[: 2 * len(self.turns) + self.added]),
            unread=None,
        )
        return Rewound(left, first)

    async def turn(self, *said: Any, **answer: Any) -> None:
        """A whole turn that the store holds."""
        self.turns.append((await self.talk(*said, **answer)).id)

    async def rewind(self, turns: int) -> None:
        """The same as a request does it."""
        await self.actor.rewind(turns)
        await self.settle()


@pytest.fixture
async def world() -> AsyncIterator[RewindingWorld]:
    world = RewindingWorld()
    yield world
    world.let.set()
    world.actor.post(ev.Deleted())
    await world.settle()
    async with asyncio.timeout(5):
        await world.host.tasks.drain()


async def test_the_process_goes_back_in_place(world: RewindingWorld) -> None:
    for said in ("one", "two", "three"):
        await world.turn(said)
    await world.rewind(2)
    record = world.actor.record
    assert (world.actor.state, world.agent.stops, len(world.agent.context)) == (State.IDLE, [], 1)
    assert (record.turns, len(record.history), record.binding, record.unread) == (1, 2, None, None)
    begun: list[BeganTurn] = []

    async def begin(began: BeganTurn) -> None:
        begun.append(began)

    cast(Any, world.host).begin = begin
    await world.turn("on")
    assert [turn.base for turn in begun] == [None], "it goes on from the history, and replaces none"
    assert len(world.host.agents) == 1
    assert (record.turns, len(record.history), record.binding) == (2, 4, Binding("session", "leaf"))


async def test_the_process_goes_back_to_what_was_answered(world: RewindingWorld) -> None:
    await world.turn("one")
    record, world.added = world.actor.record, 1
    record.history = [*record.history, user("Wait.")]
    await world.turn("two")
    await world.rewind(1)
    assert (world.actor.state, len(world.agent.context)) == (State.IDLE, 1)
    assert [message.text() for message in record.history] == ["one", "Yes.", "Wait."]
    await world.turn("on")
    assert len(world.host.agents) == 1
    assert world.agent.sent[-1] == user("Wait.", "on").content


async def test_a_process_that_refuses_to_go_back_is_stopped(
    world: RewindingWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: Any) -> bool:
        return False

    await world.turn("one")
    monkeypatch.setattr(world.agent, "rewind", refuse)
    await world.rewind(1)
    assert (world.actor.state, world.agent.stops) == (State.HIBERNATED, [False])
    await world.turn("on")
    assert (len(world.host.agents), world.host.launched[1].binding, world.host.launched[1].history) == (2, None, ())


async def test_a_process_with_open_calls_is_stopped(world: RewindingWorld) -> None:
    await world.turn("one")
    await world.turn("Look.", answer=[CALL], stop_reason="tool_use")
    assert world.actor.state is State.PARKED
    await world.rewind(1)
    assert (world.actor.state, world.agent.stops, len(world.agent.context)) == (State.HIBERNATED, [False], 2)


@pytest.mark.parametrize("parked", [False, True])
@pytest.mark.parametrize("error", [StoreUnavailable("The store is full."), None])
async def test_what_the_store_refuses_changes_nothing(
    world: RewindingWorld, error: Exception | None, parked: bool
) -> None:
    await world.turn("one")
    if parked:
        await world.turn("Look.", answer=[CALL], stop_reason="tool_use")
    before, world.error = list(world.actor.record.history), error
    with pytest.raises(InvalidRequest if error is None else StoreUnavailable):
        await world.rewind(9)
    assert (world.actor.record.history, world.agent.stops) == (before, [])
    assert world.actor.state is (State.PARKED if parked else State.IDLE)
    await world.turn(result("a") if parked else text("on"))
    assert len(world.host.agents) == 1


async def test_a_turn_that_comes_meanwhile_runs_after_it_on_the_same_process(world: RewindingWorld) -> None:
    await world.turn("one")
    await world.turn("two")
    world.let.clear()
    going = world.actor.rewind(1)
    turn = await world.ask("three")
    assert (world.actor.state, len(world.agent.sent)) == (State.REWINDING, 2)
    world.let.set()
    await going
    await world.settle()
    assert (world.actor.state, len(world.agent.sent), len(world.host.agents)) == (State.BUSY, 3, 1)
    world.agent.answer(text("Yes."))
    await world.settle()
    assert turn.stream.ended
    assert [message.text() for message in world.actor.record.history] == ["one", "Yes.", "three", "Yes."]


async def test_a_turn_that_waits_for_it_can_be_cut(world: RewindingWorld) -> None:
    await world.turn("one")
    world.let.clear()
    going = world.actor.rewind(1)
    turn = await world.ask("two")
    assert world.actor.interrupt()
    assert isinstance(await failure(turn), TurnCancelled)
    world.let.set()
    await going
    assert world.actor.state is State.IDLE


async def test_a_process_that_dies_meanwhile_is_told_of_after_it(world: RewindingWorld) -> None:
    await world.turn("one")
    world.let.clear()
    going = world.actor.rewind(1)
    world.agent.alive = False
    world.agent._gone.set()
    turn = await world.ask("two")
    assert world.actor.state is State.REWINDING
    world.let.set()
    await going
    await world.settle()
    assert len(world.host.agents) == 2
    world.agent.answer(text("Yes."))
    await world.settle()
    assert turn.stream.ended
    assert [message.text() for message in world.actor.record.history] == ["two", "Yes."]


async def test_a_deletion_meanwhile_is_carried_out(world: RewindingWorld) -> None:
    await world.turn("one")
    world.let.clear()
    going = world.actor.rewind(1)
    turn = await world.ask("two")
    world.actor.post(ev.Deleted())
    assert isinstance(await failure(turn), ConversationDeleted)
    world.let.set()
    await going
    await world.settle()
    assert world.actor.closed.is_set()
