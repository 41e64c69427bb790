"""An actor with calls open or on its way back: what its process is sent, and what it still stands on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, cast

import pytest

from claude_code_api.core import events as ev
from claude_code_api.core.events import StopReason
from claude_code_api.core.identity import Address
from claude_code_api.core.session import State
from claude_code_api.core.turn import (
    ApprovalSettled,
    Block,
    Message,
    Options,
    TurnCompleted,
    TurnEvent,
    TurnFailed,
    TurnInput,
    Usage,
)
from claude_code_api.errors import InvalidRequest, StoreUnavailable
from claude_code_api.runtime.actor import Actor
from claude_code_api.runtime.feed import Feeds
from claude_code_api.runtime.host import Host, RequestMark, Turn
from claude_code_api.runtime.ports import Emit, Entry, Launch, Origin
from claude_code_api.runtime.stats import Stats
from claude_code_api.runtime.stored import BeganTurn, CompletedTurn, NewResponse, StoredConversation
from claude_code_api.runtime.tasks import Tasks
from claude_code_api.runtime.watchdog import Limits


def text(said: str) -> Block:
    return {"type": "text", "text": said}


def user(*blocks: Block | str) -> Message:
    return Message("user", tuple(text(block) if isinstance(block, str) else block for block in blocks))


def result(identity: str) -> Block:
    return {"type": "tool_result", "tool_use_id": identity, "content": [text("42")]}


CALL: Block = {"type": "tool_use", "id": "a", "name": "look", "input": {}}


class FakeAgent:
    """A process that answers when it is told to."""

    pid, place, alive, origin = 4711, "place", True, Origin.FRESH
    cli_session_id, cost_usd, last_frame_at = "session", 0.0, 0.0
    entries: tuple[Entry, ...] = ()

    def __init__(self) -> None:
        self.sent: list[tuple[Block, ...]] = []
        self.context: list[str] = []
        self.stops: list[bool] = []
        self.decided: list[tuple[str, bool, str | None]] = []
        self.halted: list[str] = []
        self.halts = True
        self._emit: Emit | None = None
        self._gone = asyncio.Event()

    def takes(self, options: Options) -> bool:
        return True

    def send(self, turn: str, content: tuple[Block, ...], options: Options, emit: Emit) -> None:
        self.sent.append(content)
        self.context.append(turn)
        self._emit = emit

    def answer(self, *blocks: Block, stop_reason: str = "end_turn") -> None:
        assert self._emit is not None
        self._emit(TurnCompleted(stop_reason, "sonnet", Usage(), "leaf", (Message("assistant", blocks),)))

    def answer_nothing(self) -> None:
        assert self._emit is not None
        self._emit(TurnCompleted("end_turn", "sonnet", Usage(), "leaf"))

    async def rewind(self, turns: Sequence[str], taken_back: Callable[[str], None]) -> bool:
        for turn in turns:
            assert self.context.pop() == turn
            taken_back(turn)
        return True

    def note_stored(self, entries: int) -> None:
        pass

    async def undo(self, turn: str) -> bool:
        return turn not in self.context

    def decide(self, call: str, *, allowed: bool, message: str | None) -> bool:
        self.decided.append((call, allowed, message))
        self.emit(ApprovalSettled(call, "allowed" if allowed else "denied"))
        return True

    async def halt(self, turn: str) -> bool:
        self.halted.append(turn)
        if self.halts:
            self.answer(text("So far."), stop_reason="interrupted")
        return self.halts

    def emit(self, event: TurnEvent) -> None:
        assert self._emit is not None
        self._emit(event)

    async def stop(self, *, flush: bool) -> None:
        self.stops.append(flush)
        self._gone.set()

    async def exited(self) -> str:
        await self._gone.wait()
        return ""


class FakeHost:
    """Has a slot for everybody, starts processes at once, and notes what is stored; `full` refuses to begin a turn."""

    def __init__(self) -> None:
        self.agents: list[FakeAgent] = []
        self.launched: list[Launch] = []
        self.full = False
        self.ends: list[str] = []
        self.began: list[BeganTurn] = []
        self.completed: list[CompletedTurn] = []
        self.room = True
        self.limits = Limits(60, 60, 60)
        self.stats = Stats()
        self.tasks = Tasks()
        self.feeds = Feeds()
        self.launcher = self.store = self.aftermath = self

    async def start(self, launch: Launch) -> FakeAgent:
        self.launched.append(launch)
        self.agents.append(FakeAgent())
        return self.agents[-1]

    async def begin(self, began: BeganTurn) -> None:
        if self.full:
            raise StoreUnavailable("The store is full.")
        self.began.append(began)

    async def complete(self, completed: CompletedTurn) -> bool:
        self.completed.append(completed)
        return True

    def ended(self, turn_id: str, *, error_code: str, message: str) -> None:
        self.ends.append(error_code)

    def acquire(self, actor: Actor) -> None:
        actor.post(ev.SlotGranted() if self.room else ev.WaitExpired())

    def cancel_acquire(self, actor: Actor) -> None:
        pass

    def release(self, actor: Actor) -> None:
        pass

    def changed(self, actor: Actor) -> None:
        pass


class World:
    """One actor, and who talks to it."""

    def __init__(self, stored: StoredConversation | None = None, *, in_memory: bool = False) -> None:
        self.host = FakeHost()
        self.actor = Actor(
            Address("default", "conversation"),
            cast(Host, self.host),
            stored,
            interactive=True,
            max_waiting=8,
            in_memory=in_memory,
        )

    @property
    def agent(self) -> FakeAgent:
        return self.host.agents[-1]

    async def settle(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)

    async def ask(
        self,
        *blocks: Block | str,
        history: Sequence[Message] | None = None,
        response: NewResponse | None = None,
        **more: Any,
    ) -> Turn:
        sent = None if history is None else tuple(history)
        asked = TurnInput(user(*blocks), "sonnet", history=sent, **more)
        turn = Turn(asked, RequestMark("request", "fingerprint"), asyncio.get_running_loop().time(), response)
        self.actor.request(turn)
        await self.settle()
        return turn

    async def talk(
        self, *blocks: Block | str, answer: Sequence[Block] = (), stop_reason: str = "end_turn", **more: Any
    ) -> Turn:
        """A whole turn."""
        turn = await self.ask(*blocks, **more)
        self.agent.answer(*(answer or [text("Yes.")]), stop_reason=stop_reason)
        await self.settle()
        return turn

    async def call(self) -> Turn:
        """A turn that ends with a call."""
        return await self.talk("Look.", answer=[CALL], stop_reason="tool_use")


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    world.actor.post(ev.Deleted())
    await world.settle()
    async with asyncio.timeout(5):
        await world.host.tasks.drain()


async def failure(turn: Turn) -> Any:
    last = (await turn.stream.after(0))[-1]
    assert isinstance(last, TurnFailed)
    return last.error


async def test_results_go_to_the_process_that_waits(world: World) -> None:
    await world.call()
    states = [world.actor.state]
    await world.talk(result("a"))
    assert len(world.host.agents) == 1
    assert world.agent.sent[1] == (result("a"),)
    assert [*states, world.actor.state] == [State.PARKED, State.IDLE]


async def test_anything_else_goes_to_a_new_process_with_the_calls_as_not_run(world: World) -> None:
    await world.call()
    first = world.agent
    await world.talk("Never mind.")
    assert world.agent is not first
    assert first.stops == [False]
    (not_run, said) = world.agent.sent[0]
    assert (not_run["tool_use_id"], not_run["is_error"], said) == ("a", True, text("Never mind."))
    assert world.host.launched[1].history[-1].content == (CALL,)


async def test_after_a_defect_the_next_turn_gets_another_process(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.talk("One")
    with monkeypatch.context() as broken:
        broken.setattr(world.agent, "takes", None)
        turn = await world.ask("Two")
    assert (await failure(turn)).code == "internal_error"
    await world.settle()
    await world.talk("Two again")
    assert (len(world.host.agents), len(world.actor.record.history)) == (2, 4)


async def test_an_idle_process_may_write_what_it_has_and_a_parked_one_would_wait_for_ever(world: World) -> None:
    await world.talk("Hello")
    world.actor.post(ev.StopWanted(StopReason.IDLE))
    await world.settle()
    assert world.agent.stops == [True]
    await world.call()
    world.actor.post(ev.StopWanted(StopReason.IDLE))
    await world.settle()
    assert world.agent.stops == [False]
    assert world.actor.state is State.HIBERNATED


async def test_after_a_parked_process_the_results_resume_the_conversation(world: World) -> None:
    await world.call()
    world.actor.post(ev.StopWanted(StopReason.EVICTED))
    await world.settle()
    await world.talk(result("a"))
    assert len(world.host.agents) == 2
    assert world.agent.sent == [(result("a"),)]
    binding = world.host.launched[1].binding
    assert binding is not None
    assert binding.leaf == "leaf"


@pytest.mark.parametrize("whole", [True, False])
async def test_results_of_unknown_calls_are_refused_and_the_calls_stay_open(world: World, whole: bool) -> None:
    await world.call()
    turn = await world.ask(result("x"), history=world.actor.record.history if whole else None)
    assert isinstance(await failure(turn), InvalidRequest)
    assert world.actor.state is State.PARKED
    assert len(world.agent.sent) == 1
    await world.talk(result("a"))
    assert len(world.host.agents) == 1
    assert world.agent.sent[1] == (result("a"),)


async def test_a_turn_with_calls_is_taken_back_as_one(world: World) -> None:
    await world.talk("Hello")
    before = list(world.actor.record.history)
    await world.call()
    await world.talk(result("a"))
    world.agent.context.pop()  # the results were no message of their own to the CLI
    turn = await world.ask("Look elsewhere.", history=before)
    assert len(world.host.agents) == 1
    assert len(world.agent.context) == 2
    assert world.agent.context[-1] == turn.id


async def test_a_process_that_could_not_go_back_does_not_pass_for_one_that_did(world: World) -> None:
    await world.talk("Hello")
    before = list(world.actor.record.history)
    await world.talk("My secret is 42.")
    world.host.full = True
    turn = await world.ask("Hello again", history=before)
    assert isinstance(await failure(turn), StoreUnavailable)
    world.host.full = False
    turn = await world.ask("What do you know?", history=before)
    knows = world.agent.context[:-1]
    assert len(knows) == 1, "the turn that the client took out of its history is still in the context"
