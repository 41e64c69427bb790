"""Which conversation a turn goes to, and what is written before it is asked for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from claude_code_api.core import events as ev
from claude_code_api.core.conversation import lineage
from claude_code_api.core.events import StopReason
from claude_code_api.core.identity import Address, check_id
from claude_code_api.core.session import State
from claude_code_api.core.turn import Message, TurnCompleted, TurnFailed, TurnInput
from claude_code_api.errors import (
    ConversationInUse,
    GatewayError,
    InvalidRequest,
    PreviousResponseNotFound,
    StoreUnavailable,
)
from claude_code_api.runtime.actor import Actor
from claude_code_api.runtime.host import RequestMark
from claude_code_api.runtime.manager import ManagerSettings, SessionManager
from claude_code_api.runtime.ports import Launch
from claude_code_api.runtime.stored import (
    AcceptedResponse,
    BeganTurn,
    CompletedTurn,
    Fork,
    ForkResult,
    NewResponse,
    StoredAnswer,
    StoredConversation,
)
from claude_code_api.runtime.ticket import Ticket
from claude_code_api.runtime.watchdog import Limits
from tests.unit.runtime.no_store import NoStore
from tests.unit.runtime.test_actor import FakeAgent, text, user
from tests.unit.runtime.test_actor_dialogues import STORED

YES = Message("assistant", (text("Yes."),))
TENANT = "default"


class FakeStore(NoStore):
    """Holds the conversations that a test puts there, and notes what is written."""

    def __init__(self) -> None:
        self.held: dict[str, StoredConversation] = {}
        self.writes: list[Any] = []
        self.forks: list[Fork] = []
        self.becomes = ForkResult.DONE
        self.found: str | None = None
        self.taking = asyncio.Event()
        self.taking.set()
        self.full = False
        self.is_locked = False

    async def load(self, tenant: str, conversation_id: str) -> StoredConversation | None:
        return self.held.get(conversation_id)

    async def summary(self, tenant: str, conversation_id: str) -> StoredConversation | None:
        return self.held.get(conversation_id)

    async def page(self, tenant: str, *, before: tuple[float, str] | None, limit: int) -> list[StoredConversation]:
        return list(self.held.values())

    async def count(self) -> int:
        if self.is_locked:
            raise StoreUnavailable("The store is locked at the moment.")
        return len(self.held)

    async def find(self, tenant: str, lineage: str, *, system: str) -> str | None:
        return self.found

    async def answer(self, turn_id: str) -> StoredAnswer | None:
        return None

    async def keyed_answer(self, tenant: str, idempotency_key: str, *, since: float) -> StoredAnswer | None:
        return None

    async def fork(self, fork: Fork) -> ForkResult:
        self.forks.append(fork)
        if self.becomes is ForkResult.DONE:
            copied = replace(STORED, key=fork.key, conversation_id=fork.conversation_id, place=fork.place)
            self.held[fork.conversation_id] = replace(copied, epoch=0, binding=None, head="copied")
        return self.becomes

    async def begin(self, began: BeganTurn) -> None:
        self.writes.append(began)

    async def complete(self, completed: CompletedTurn) -> bool:
        self.writes.append(completed)
        return True

    async def end(self, turn_id: str, *, error_code: str, message: str) -> None:
        self.writes.append((error_code, message))

    async def delivered(self, turn_ids: Sequence[str]) -> None:
        self.writes.append("delivered")

    async def accept(self, accepted: AcceptedResponse) -> None:
        await self.taking.wait()
        if self.full:
            raise StoreUnavailable("The store is full.")
        self.writes.append(accepted)

    async def delete(self, key: str) -> None:
        self.writes.append(("deleted", key))


class FakeLauncher:
    """Starts processes when `let` is set, each in a place of its own."""

    def __init__(self) -> None:
        self.let = asyncio.Event()
        self.let.set()
        self.agents: list[FakeAgent] = []
        self.launched: list[Launch] = []
        self.forgotten: list[str] = []

    async def start(self, launch: Launch) -> FakeAgent:
        await self.let.wait()
        agent = FakeAgent()
        agent.place = launch.place or f"place{len(self.agents)}"
        self.agents.append(agent)
        self.launched.append(launch)
        return agent

    def forget(self, place: str) -> None:
        self.forgotten.append(place)

    def set_room(self, processes: int) -> None:
        pass

    def shrink(self) -> None:
        pass


class World:
    """A manager, and who talks to it."""

    def __init__(self, *, slots: int = 4, waiting: int = 4) -> None:
        self.store = FakeStore()
        self.launcher = FakeLauncher()
        settings = ManagerSettings(
            max_sessions=slots,
            max_waiting=waiting,
            slot_wait_s=60,
            idle_s=60,
            max_queued_turns=8,
            interactive=True,
            grace_s=5,
            lineage=True,
        )
        self.manager = SessionManager(self.launcher, self.store, settings, Limits(60, 60, 60))
        self.manager.start()

    async def settle(self) -> None:
        for _ in range(30):
            await asyncio.sleep(0)

    async def submit(
        self, said: str, conversation_id: str | None = None, *, response: NewResponse | None = None, **more: Any
    ) -> Ticket:
        mark = RequestMark("request", said)
        asked = TurnInput(user(said), "sonnet", **{"named": False, **more})
        ticket = await self.manager.submit(TENANT, conversation_id, asked, mark, response)
        await self.settle()
        return ticket

    async def talk(self, said: str, conversation_id: str | None = None, **more: Any) -> Ticket:
        """A whole turn."""
        ticket = await self.submit(said, conversation_id, **more)
        await self.answer(ticket)
        return ticket

    async def answer(self, ticket: Ticket) -> None:
        """Let the process that has the turn answer it."""
        (agent,) = (agent for agent in self.launcher.agents if ticket.turn_id in agent.context)
        agent.answer(text("Yes."))
        await self.settle()

    def actor(self, conversation_id: str) -> Actor:
        (found,) = (one for one in self.manager.registry if one.record.conversation_id == conversation_id)
        return found

    async def stop(self, conversation_id: str) -> None:
        """The conversation's process ends."""
        self.actor(conversation_id).post(ev.StopWanted(StopReason.IDLE))
        await self.settle()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    async with asyncio.timeout(5):
        world.manager.settings = replace(world.manager.settings, grace_s=0)
        await world.manager.shutdown()


async def failure(ticket: Ticket) -> GatewayError:
    *_, last = [event async for event in ticket.events()]
    assert isinstance(last, TurnFailed)
    return last.error


# Behind a turn


async def test_a_turn_goes_on_where_the_one_before_it_ended(world: World) -> None:
    first = await world.talk("One")
    second = await world.talk("Two", first.conversation_id, after=first.turn_id)
    assert second.conversation_id == first.conversation_id
    assert (len(world.launcher.agents), world.store.forks) == (1, [])


async def test_a_stored_conversation_is_gone_on_from_at_its_last_turn(world: World) -> None:
    world.store.held["a"] = replace(STORED, conversation_id="a")
    ticket = await world.talk("Two", "a", after="turn-1")
    assert (ticket.conversation_id, world.store.forks) == ("a", [])


async def test_a_conversation_that_has_gone_on_is_forked(world: World) -> None:
    world.store.held["a"] = replace(STORED, conversation_id="a", head="turn-2")
    ticket = await world.talk("Three", "a", after="turn-1")
    (fork,) = world.store.forks
    assert (fork.source, fork.turns, fork.until) == (STORED.key, None, "turn-1")
    assert ticket.conversation_id == fork.conversation_id != "a"
    assert world.launcher.launched[0].history == STORED.history
    assert world.actor(ticket.conversation_id).record.address == Address(TENANT, check_id(ticket.conversation_id))


async def test_two_turns_at_once_behind_one_are_two_branches(world: World) -> None:
    world.store.held["a"] = replace(STORED, conversation_id="a")
    tickets = [await world.submit(said, "a", after="turn-1") for said in ("Two", "Zwei")]
    assert [ticket.conversation_id == "a" for ticket in tickets] == [True, False]
    assert len(world.store.forks) == 1
    for ticket in tickets:
        await world.answer(ticket)


async def test_nothing_comes_between_the_look_and_the_turn(world: World) -> None:
    world.store.held["a"] = replace(STORED, conversation_id="a")
    asked = [asyncio.ensure_future(world.submit(said, "a", after="turn-1")) for said in ("Two", "Zwei", "Deux")]
    tickets = await asyncio.gather(*asked)
    assert sum(ticket.conversation_id == "a" for ticket in tickets) == 1


@pytest.mark.parametrize("becomes", [ForkResult.NO_SOURCE, ForkResult.TOO_FEW_TURNS])
async def test_a_turn_that_is_gone_cannot_be_gone_on_from(world: World, becomes: ForkResult) -> None:
    world.store.held["a"] = replace(STORED, conversation_id="a")
    world.store.becomes = becomes
    for conversation_id in ("a", "b"):
        with pytest.raises(PreviousResponseNotFound) as caught:
            await world.submit("Two", conversation_id, after="turn-0")
        assert caught.value.param == "previous_response_id"
    assert list(world.manager.registry) == []


async def test_a_retry_behind_a_turn_joins_the_one_that_nobody_reads(world: World) -> None:
    world.store.held["a"] = replace(STORED, conversation_id="a")
    first = await world.submit("Two", "a", after="turn-1")
    running = world.actor("a").placed
    assert running is not None
    running.readers = 0
    again = await world.submit("Two", "a", after="turn-1")
    assert again.turn_id == first.turn_id
    await world.answer(first)


async def test_sessions_are_counted_while_the_store_is_unavailable(world: World) -> None:
    await world.talk("One")
    assert (await world.manager.census())[State.HIBERNATED] == 0
    world.store.is_locked = True
    census = await world.manager.census()
    assert (census[State.IDLE], State.HIBERNATED in census) == (1, False)


# Only in memory


async def test_what_is_not_kept_is_written_nowhere_and_shown_nowhere(world: World) -> None:
    ticket = await world.talk("One", kept=False)
    ticket.delivered()
    failed = await world.submit("Two", ticket.conversation_id, kept=False, after=ticket.turn_id)
    world.launcher.agents[0].context.remove(failed.turn_id)
    failed.abandon()
    await asyncio.sleep(0.3)
    assert world.store.writes == []
    with pytest.raises(InvalidRequest):
        check_id(ticket.conversation_id)
    assert await world.manager.page(TENANT, after=None, limit=9) == []
    assert sum((await world.manager.census()).values()) == 0
    assert world.manager.live(Address(TENANT, ticket.conversation_id)) is None
    assert world.manager.slots.held == 1


async def test_it_is_found_by_the_history_that_it_holds(world: World) -> None:
    first = await world.talk("One", kept=False)
    history = (user("One"), YES)
    second = await world.talk("Two", kept=False, history=history)
    assert second.conversation_id == first.conversation_id
    assert len(world.launcher.agents) == 1
    other = await world.talk("Two", kept=False, history=history)
    assert other.conversation_id != first.conversation_id


@pytest.mark.parametrize("named", [True, False])
async def test_only_who_does_not_keep_it_either_finds_it(world: World, named: bool) -> None:
    first = await world.talk("One", kept=False, named=named)
    history = (user("One"), YES)
    stored = await world.talk("Two", history=history)
    assert stored.conversation_id != first.conversation_id
    asked = TurnInput(user("Two"), "sonnet", history=history, kept=False)
    theirs = await world.manager.submit("other", None, asked, RequestMark("request", "other"))
    assert theirs.conversation_id != first.conversation_id
    mine = await world.submit("Two", history=history, kept=False)
    assert (mine.conversation_id == first.conversation_id) is not named


async def test_one_that_is_at_work_is_not_found(world: World) -> None:
    first = await world.talk("One", kept=False)
    history = (user("One"), YES)
    running = await world.submit("Two", kept=False, history=history)
    assert running.conversation_id == first.conversation_id
    beside = await world.submit("Zwei", kept=False, history=history)
    assert beside.conversation_id != first.conversation_id
    for ticket in (running, beside):
        await world.answer(ticket)


async def test_of_several_the_one_with_the_same_system_prompt_is_found(world: World) -> None:
    await world.talk("One", kept=False, system="Be rude.")
    kind = await world.talk("One", kept=False, system="Be kind.")
    found = await world.talk("Two", kept=False, system="Be kind.", history=(user("One"), YES))
    assert found.conversation_id == kind.conversation_id


async def test_it_ends_with_its_process(world: World) -> None:
    ticket = await world.talk("One", kept=False)
    await world.stop(ticket.conversation_id)
    assert list(world.manager.registry) == []
    await asyncio.sleep(0.05)
    assert world.launcher.forgotten == ["place0"]
    with pytest.raises(PreviousResponseNotFound):
        await world.submit("Two", ticket.conversation_id, kept=False, after=ticket.turn_id)
    again = await world.talk("Two", kept=False, history=(user("One"), YES))
    assert again.conversation_id != ticket.conversation_id


async def test_it_is_gone_on_from_at_its_last_turn_only(world: World) -> None:
    first = await world.talk("One", kept=False)
    second = await world.talk("Two", first.conversation_id, kept=False, after=first.turn_id)
    assert second.conversation_id == first.conversation_id
    with pytest.raises(PreviousResponseNotFound):
        await world.submit("Zwei", first.conversation_id, kept=False, after=first.turn_id)
    assert world.store.forks == []


async def test_a_conversation_for_one_turn_ends_with_it(world: World) -> None:
    answered = await world.talk("### Task:", kept=False, apart=True)
    left = await world.submit("### Task: two", kept=False, apart=True)
    assert world.actor(left.conversation_id).state is State.BUSY
    left.abandon()
    await world.settle()
    assert isinstance([event async for event in answered.events()][-1], TurnCompleted)
    assert list(world.manager.registry) == []
    assert world.manager.slots.held == 0
    await asyncio.sleep(0.05)
    assert sorted(world.launcher.forgotten) == ["place0", "place1"]
    assert world.store.writes == []


async def test_what_is_asked_apart_of_a_history_leaves_the_conversation_that_holds_it(world: World) -> None:
    first = await world.talk("One", kept=False)
    history = (user("One"), YES)
    await world.talk("How many tokens?", kept=False, apart=True, history=history)
    await asyncio.sleep(0.05)
    second = await world.talk("Two", kept=False, history=history)
    assert second.conversation_id == first.conversation_id


# In the background

BACKGROUND = NewResponse({"store": True}, background=True)


async def test_a_response_in_the_background_is_written_before_its_turn_is_asked_for(world: World) -> None:
    world.store.taking.clear()
    asking = asyncio.ensure_future(world.submit("One", response=BACKGROUND))
    await world.settle()
    assert (asking.done(), world.launcher.agents) == (False, [])
    world.store.taking.set()
    ticket = await asking
    await world.settle()
    accepted, began = world.store.writes
    assert (accepted.turn_id, accepted.conversation_id) == (ticket.turn_id, ticket.conversation_id)
    assert (accepted.key, accepted.response) == (began.key, BACKGROUND)
    assert not began.is_first
    assert ticket.failure is None
    await world.answer(ticket)


async def test_while_it_is_written_its_place_is_taken(world: World) -> None:
    world.store.held["a"] = replace(STORED, conversation_id="a")
    world.store.taking.clear()
    asking = asyncio.ensure_future(world.submit("Two", "a", after="turn-1", response=BACKGROUND))
    await world.settle()
    other = await world.submit("Zwei", "a", after="turn-1")
    assert other.conversation_id != "a"
    world.store.taking.set()
    assert (await asking).conversation_id == "a"


async def test_while_it_is_written_nothing_is_taken_back(world: World) -> None:
    first = await world.talk("One")
    world.store.taking.clear()
    asking = asyncio.ensure_future(world.submit("Two", first.conversation_id, response=BACKGROUND))
    await world.settle()
    with pytest.raises(ConversationInUse):
        await world.manager.revisions.rewind(Address(TENANT, first.conversation_id), 1)
    world.store.taking.set()
    await world.answer(await asking)


async def test_what_the_store_does_not_take_is_not_asked_for(world: World) -> None:
    world.store.full = True
    with pytest.raises(StoreUnavailable):
        await world.submit("One", response=BACKGROUND)
    await world.settle()
    assert list(world.manager.registry) == []
    assert world.launcher.agents == []


async def test_a_client_that_leaves_meanwhile_ends_it(world: World) -> None:
    world.store.taking.clear()
    asking = asyncio.ensure_future(world.submit("One", response=BACKGROUND))
    await world.settle()
    asking.cancel()
    await world.settle()
    assert list(world.manager.registry) == []
    assert [code for code, _ in world.store.writes] == ["turn_cancelled"]


async def test_a_turn_that_is_refused_at_once_has_ended_and_is_written_as_that() -> None:
    world = World(slots=1, waiting=0)
    busy = await world.submit("Slow")
    ticket = await world.submit("One", response=BACKGROUND)
    error = await failure(ticket)
    assert ticket.failure is error
    assert error.code == "capacity_exceeded"
    assert (error.code, error.message) in world.store.writes
    accepted = next(write for write in world.store.writes if isinstance(write, AcceptedResponse))
    assert ("deleted", accepted.key) in world.store.writes
    await world.answer(busy)
    await world.manager.shutdown()


async def test_a_response_goes_with_its_turn(world: World) -> None:
    response = NewResponse({"store": True}, background=False)
    ticket = await world.talk("One", response=response)
    began, completed = world.store.writes
    assert (began.response, completed.has_response, began.turn_id) == (response, True, ticket.turn_id)


# By the history


async def test_a_stored_conversation_is_found_by_its_history(world: World) -> None:
    world.store.held["a"] = replace(STORED, conversation_id="a")
    world.store.found = "a"
    ticket = await world.talk("Two", history=STORED.history, developer=STORED.developer)
    assert ticket.conversation_id == "a"
    assert world.actor("a").record.lineage == lineage([*STORED.history, user("Two"), YES])


async def test_while_it_is_written_no_other_turn_comes_before_it(world: World) -> None:
    world.store.held["a"] = replace(STORED, conversation_id="a")
    world.store.taking.clear()
    asking = asyncio.ensure_future(world.submit("Two", "a", after="turn-1", response=BACKGROUND))
    await world.settle()
    other = asyncio.ensure_future(world.submit("Zwei", "a"))
    await world.settle()
    world.store.taking.set()
    first = await asking
    second = await other
    (agent,) = world.launcher.agents
    assert agent.context == [first.turn_id]
    await world.answer(first)
    assert agent.context == [first.turn_id, second.turn_id]
    await world.answer(second)


async def test_a_turn_behind_one_whose_process_still_starts_for_nobody(world: World) -> None:
    world.store.held["a"] = replace(STORED, conversation_id="a")
    world.launcher.let.clear()
    left = await world.submit("Two", "a", after="turn-1")
    left.abandon()
    await world.settle()
    assert world.actor("a").state is State.STARTING
    again = asyncio.ensure_future(world.submit("Two", "a", after="turn-1"))
    await world.settle()
    world.launcher.let.set()
    ticket = await again
    await world.settle()
    assert (ticket.conversation_id, world.store.forks) == ("a", [])
    await world.answer(ticket)


async def test_what_is_not_kept_has_no_transcript_to_resume(world: World) -> None:
    first = await world.talk("One", kept=False)
    second = await world.talk("Two", kept=False, history=(user("One"), YES), system="Be kind.")
    assert second.conversation_id == first.conversation_id
    assert [launch.binding for launch in world.launcher.launched] == [None, None]
    assert len(world.launcher.launched[1].history) == 2
