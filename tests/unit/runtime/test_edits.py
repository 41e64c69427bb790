"""What is added to a conversation's history, or changed there, between turns: with its process, and without one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import pytest

from claude_code_api.core.identity import Address
from claude_code_api.core.session import State
from claude_code_api.core.turn import Block, Message, TurnInput, Usage
from claude_code_api.errors import (
    ConversationExists,
    ConversationInUse,
    ConversationMoved,
    ConversationNotFound,
    GatewayError,
    InvalidRequest,
    ItemNotFound,
    StoreUnavailable,
)
from claude_code_api.runtime.host import RequestMark
from claude_code_api.runtime.manager import ManagerSettings, SessionManager
from claude_code_api.runtime.ports import Launch
from claude_code_api.runtime.stored import (
    Addition,
    BeganTurn,
    Change,
    CompletedTurn,
    NewConversation,
    StoredConversation,
    StoredTurn,
    StoredTurns,
)
from claude_code_api.runtime.ticket import Ticket
from claude_code_api.runtime.views import SessionView
from claude_code_api.runtime.watchdog import Limits
from tests.unit.runtime.test_actor import CALL, FakeAgent, result, text

HERE, THERE = Address("default", "here"), Address("default", "there")


def said(words: str, *blocks: Block) -> Message:
    return Message("user", (text(words), *blocks))


def addition(*messages: Message, developer: Sequence[str] = (), turn_id: str = "added") -> Addition:
    return Addition(turn_id, tuple(developer), messages, 1.0)


def same(turn: StoredTurn) -> StoredTurn:
    return turn


class MemoryStore:
    """Keeps conversations by their addresses; waits for `let`, and raises `error`, in what changes one."""

    def __init__(self) -> None:
        self.kept: dict[Address, StoredConversation] = {}
        self.bound: list[bool] = []
        self.epochs: list[int] = []
        self.amended: list[str] = []
        self.asked: list[dict[str, Any]] = []
        self.let = asyncio.Event()
        self.let.set()
        self.writing = 0
        self.error: Exception | None = None

    def at(self, key: str) -> StoredConversation:
        return next(one for one in self.kept.values() if one.key == key)

    def _keep(self, one: StoredConversation) -> StoredConversation:
        self.kept[Address(one.tenant, one.conversation_id)] = one
        return one

    async def _change(self) -> None:
        self.writing += 1
        await self.let.wait()
        self.writing -= 1
        if self.error is not None:
            raise self.error

    async def load(self, *address: str) -> StoredConversation | None:
        return self.kept.get(Address(*address))

    async def summary(self, *address: str) -> StoredConversation | None:
        found = await self.load(*address)
        return None if found is None else replace(found, history=())

    async def make(self, new: NewConversation, additions: Sequence[Addition]) -> bool:
        await self._change()
        address = Address(new.tenant, new.conversation_id)
        if address in self.kept:
            return False
        history = tuple(message for one in additions for message in one.messages)
        self._keep(conversation(address, new.key, history, metadata=new.metadata, created_at=new.created_at))
        return True

    async def begin(self, began: BeganTurn) -> None:
        address = Address(began.tenant, began.conversation_id)
        before = self.kept.get(address) or conversation(address, began.key, ())
        history = before.history if began.base is None else began.base
        self._keep(replace(before, epoch=began.epoch, place=began.place, history=(*history, began.input)))

    async def complete(self, completed: CompletedTurn) -> bool:
        before = self.at(completed.key)
        history = (*before.history, *completed.output)
        self._keep(replace(before, history=history, binding=completed.binding, turns=before.turns + 1))
        return True

    async def delivered(self, turn_ids: Sequence[str]) -> None:
        pass

    async def end(self, turn_id: str, **_: object) -> None:
        pass

    async def delete(self, key: str) -> None:
        self.kept = {address: one for address, one in self.kept.items() if one.key != key}

    async def add(
        self, key: str, additions: Sequence[Addition], *, epoch: int, keeps_binding: bool
    ) -> StoredConversation:
        await self._change()
        self.bound.append(keeps_binding)
        self.epochs.append(epoch)
        before = self.at(key)
        history = (*before.history, *(message for one in additions for message in one.messages))
        return self._keep(
            replace(before, history=history, epoch=epoch, binding=before.binding if keeps_binding else None)
        )

    async def amend(self, key: str, turn_id: str, change: Change, *, epoch: int) -> StoredConversation | None:
        await self._change()
        if turn_id == "unknown":
            return None
        self.amended.append(turn_id)
        self.epochs.append(epoch)
        held = self.at(key)
        change(StoredTurn(turn_id, 1.0, 1.0, "", "", held.history[0], (), Usage(), 0.0))
        return self._keep(replace(held, history=held.history[1:], epoch=epoch, binding=None))

    async def set_metadata(self, key: str, metadata: Mapping[str, str]) -> bool:
        await self._change()
        if not any(one.key == key for one in self.kept.values()):
            return False
        self._keep(replace(self.at(key), metadata=metadata))
        return True

    async def turns(self, key: str, **asked: Any) -> StoredTurns | None:
        self.asked.append(asked)
        return StoredTurns((), ())


def conversation(address: Address, key: str, history: tuple[Message, ...], **given: Any) -> StoredConversation:
    values: dict[str, Any] = {"place": "", "binding": None, "system": "", "model": "", "profile": "chat", "turns": 0}
    values |= {"usage": Usage(), "cost_usd": 0.0, "created_at": 1.0, "last_used_at": 1.0, "epoch": 0, "unread": None}
    return StoredConversation(
        key=key,
        tenant=address.tenant,
        conversation_id=address.conversation_id,
        history=history,
        **values | given,
    )


class FakeLauncher:
    """Starts processes when `let` is set."""

    def __init__(self) -> None:
        self.let = asyncio.Event()
        self.let.set()
        self.agents: list[FakeAgent] = []
        self.launched: list[Launch] = []
        self.forgotten: list[str] = []

    async def start(self, launch: Launch) -> FakeAgent:
        self.launched.append(launch)
        await self.let.wait()
        self.agents.append(FakeAgent())
        return self.agents[-1]

    def forget(self, place: str) -> None:
        self.forgotten.append(place)

    def set_room(self, processes: int) -> None:
        pass


class World:
    """A manager with pretended processes and a pretended store, and who talks to it."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.launcher = FakeLauncher()
        settings = ManagerSettings(4, 4, 5.0, 60.0, 4, interactive=True, grace_s=0.0, lineage=True)
        self.manager = SessionManager(
            cast(Any, self.launcher), cast(Any, self.store), settings, Limits(first_event_s=60, silence_s=60, turn_s=60)
        )
        self.revisions = self.manager.revisions

    @property
    def agent(self) -> FakeAgent:
        return self.launcher.agents[-1]

    def state(self) -> State | None:
        """None: it has no process, and is only in the store."""
        actor = self.manager.live(HERE)
        return None if actor is None else actor.state

    async def settle(self) -> None:
        for _ in range(30):
            await asyncio.sleep(0)

    async def ask(self, *content: Block | str) -> Ticket:
        blocks = tuple(text(one) if isinstance(one, str) else one for one in content)
        asked = TurnInput(Message("user", blocks), "sonnet")
        ticket = await self.manager.submit(*HERE, asked, RequestMark("request", "fingerprint"))
        await self.settle()
        return ticket

    async def talk(self, *content: Block | str, answer: Block | None = None) -> None:
        """A whole turn; `answer` is a call that it ends with."""
        ticket = await self.ask(*content)
        self.agent.answer(answer or text("Yes."), stop_reason="tool_use" if answer else "end_turn")
        await self.settle()
        ticket.delivered()

    async def sleep(self) -> None:
        """Stop the process."""
        await self.manager.hibernate(HERE)
        await self.settle()
        assert self.state() is None


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    await world.manager.tasks.cancel()


# A conversation is made


async def test_a_conversation_that_was_made_is_there_and_takes_its_first_turn(world: World) -> None:
    view = await world.revisions.make("default", "here", {"a": "b"}, [])
    assert (view.conversation_id, view.metadata, view.turns, view.state) == ("here", {"a": "b"}, 0, "hibernated")
    stored = world.store.kept[HERE]
    assert len({stored.key, stored.conversation_id}) == 2
    await world.talk("Hello")
    (launch,) = world.launcher.launched
    assert (launch.place, launch.history, launch.binding) == (None, (), None)
    assert (await world.manager.get(HERE)).metadata == {"a": "b"}
    assert world.manager.stats.counts["created"] == 1


async def test_a_conversation_is_made_with_a_history(world: World) -> None:
    held = said("The word is kiwi."), Message("assistant", (text("Noted."),))
    await world.revisions.make("default", "here", {}, [addition(*held)])
    await world.talk("Which word?")
    assert world.launcher.launched[0].history == held


async def test_without_an_id_it_gets_one(world: World) -> None:
    ids = {(await world.revisions.make("default", None, {}, [])).conversation_id for _ in range(2)}
    assert len(ids) == 2
    assert all(one.startswith("conv_") and len(one) == 37 for one in ids)


async def test_an_id_that_is_taken_is_refused_also_by_a_first_turn_that_runs(world: World) -> None:
    await world.ask("Hello")  # nothing is stored of it yet
    world.store.kept.clear()
    with pytest.raises(ConversationExists):
        await world.revisions.make(*HERE, {}, [])
    await world.revisions.make(*THERE, {}, [])
    with pytest.raises(ConversationExists):
        await world.revisions.make(*THERE, {}, [])
    await world.revisions.make("other", "here", {}, [])


async def test_a_turn_that_comes_while_its_conversation_is_made_goes_to_it(world: World) -> None:
    world.store.let.clear()
    making = asyncio.create_task(world.revisions.make(*HERE, {}, [addition(said("kiwi"))]))
    await world.settle()
    asking = asyncio.create_task(world.talk("Hello"))
    await world.settle()
    assert world.launcher.launched == []
    world.store.let.set()
    await making
    await asking
    assert world.manager.live(HERE) is not None
    assert len(world.store.kept[HERE].history) == 3


async def test_deleting_one_that_never_had_a_process_removes_no_directory(world: World) -> None:
    await world.revisions.make(*HERE, {}, [])
    await world.manager.delete(HERE)
    assert (world.store.kept, world.launcher.forgotten) == ({}, [])


# Between turns, with a process


async def test_what_the_user_said_leaves_the_process_where_it_is(world: World) -> None:
    await world.talk("Hello")
    view = await world.revisions.add(HERE, [addition(said("The word is kiwi.")), addition(said("And plum."))])
    await world.settle()
    assert (view.state, world.state(), world.agent.stops) == ("idle", State.IDLE, [])
    assert world.store.bound == [True]
    actor = world.manager.live(HERE)
    assert actor is not None
    assert [message.text() for message in actor.record.history] == ["Hello", "Yes.", "The word is kiwi.", "And plum."]
    assert actor.record.binding is not None


@pytest.mark.parametrize(
    "added",
    [
        addition(Message("assistant", (text("Hm."),))),
        addition(said("Here it is.", result("a"))),
        addition(developer=["Be brief."]),
        addition(said("Hello"), developer=["Be brief."]),
    ],
)
@pytest.mark.parametrize("first", [(), (addition(said("Hi")),)])
async def test_anything_else_ends_the_process_and_the_next_starts_from_the_history(
    world: World, added: Addition, first: tuple[Addition, ...]
) -> None:
    await world.talk("Hello")
    await world.revisions.add(HERE, [*first, added])
    await world.settle()
    assert (world.state(), world.agent.stops, world.store.bound) == (None, [False], [False])
    await world.talk("And?")
    assert len(world.launcher.agents) == 2
    launch = world.launcher.launched[1]
    assert (launch.place, launch.binding) == ("place", None)


async def test_what_the_user_said_leaves_calls_open_and_their_results_close_them(world: World) -> None:
    await world.talk("Look.", answer=CALL)
    await world.revisions.add(HERE, [addition(said("By the way"))])
    assert world.state() is State.PARKED
    await world.revisions.add(HERE, [addition(Message("user", (result("a"),)))])
    await world.settle()
    assert (world.state(), world.store.bound) == (None, [True, False])


async def test_an_amended_history_ends_the_process(world: World) -> None:
    await world.talk("Hello")
    seen: list[StoredTurn] = []

    def change(turn: StoredTurn) -> StoredTurn:
        seen.append(turn)
        return turn

    await world.revisions.amend(HERE, "t1", change)
    await world.settle()
    assert (world.state(), world.agent.stops, world.store.amended) == (None, [False], ["t1"])
    assert [turn.turn_id for turn in seen] == ["t1"]
    await world.talk("And?")
    assert (world.launcher.launched[1].binding, len(world.launcher.launched[1].history)) == (None, 1)


async def test_turns_that_come_meanwhile_wait_and_run_behind_it(world: World) -> None:
    await world.talk("Hello")
    world.store.let.clear()
    adding = asyncio.create_task(world.revisions.add(HERE, [addition(Message("assistant", (text("Hm."),)))]))
    await world.settle()
    asked = await world.ask("And?")
    assert (world.state(), len(world.agent.sent), asked.replayed) == (State.REWINDING, 1, False)
    world.store.let.set()
    await adding
    await world.settle()
    assert (world.state(), len(world.launcher.agents)) == (State.BUSY, 2)
    assert [message.text() for message in world.launcher.launched[1].history] == ["Hello", "Yes.", "Hm."]


async def test_while_a_turn_runs_or_waits_it_is_refused(world: World) -> None:
    await world.talk("Hello")
    await world.ask("And?")
    for change in (
        world.revisions.add(HERE, [addition(said("Hi"))]),
        world.revisions.amend(HERE, "t1", same),
        world.revisions.rewind(HERE, 1),
    ):
        with pytest.raises(ConversationInUse) as refused:
            await change
        assert refused.value.retry_after == 2
    assert (world.store.bound, world.store.amended) == ([], [])


async def test_a_process_that_stops_is_waited_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.talk("Hello")
    stopping = asyncio.Event()

    async def stop(*, flush: bool) -> None:
        await stopping.wait()
        world.launcher.agents[0]._gone.set()

    monkeypatch.setattr(world.agent, "stop", stop)
    asleep = asyncio.create_task(world.manager.hibernate(HERE))
    await world.settle()
    adding = asyncio.create_task(world.revisions.add(HERE, [addition(said("Hi"))]))
    await world.settle()
    assert (world.state(), adding.done()) == (State.STOPPING, False)
    stopping.set()
    await asleep
    assert (await adding).state == "hibernated"
    assert world.store.bound == [True]


@pytest.mark.parametrize("calls", [None, CALL])
@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize(
    "error", [StoreUnavailable("The store is full."), ConversationMoved("Elsewhere."), InvalidRequest("No such part.")]
)
async def test_what_is_refused_changes_nothing(
    world: World, live: bool, calls: Block | None, error: GatewayError
) -> None:
    await world.talk("Hello", answer=calls)
    if not live:
        await world.sleep()
    world.store.error = error
    state, before = world.state(), world.store.kept[HERE]
    with pytest.raises(type(error)):
        await world.revisions.add(HERE, [addition(Message("assistant", ()))])
    with pytest.raises(type(error)):
        await world.revisions.amend(HERE, "t1", same)
    world.store.error = None
    with pytest.raises(ItemNotFound):
        await world.revisions.amend(HERE, "unknown", same)
    assert (world.state(), world.store.kept[HERE], world.agent.stops) == (
        state,
        before,
        [] if live else world.agent.stops,
    )
    await world.talk(result("a") if calls else "And?")
    assert len(world.launcher.agents) == (1 if live else 2)


async def test_what_never_had_an_answer_is_not_there(world: World) -> None:
    world.launcher.let.clear()
    ticket = await world.ask("Hello")
    ticket.abandon()
    world.launcher.let.set()
    await world.settle()
    assert world.state() is State.IDLE
    with pytest.raises(ConversationNotFound):
        await world.revisions.add(HERE, [addition(said("Hi"))])


async def test_who_watches_is_told(world: World) -> None:
    await world.talk("Hello")
    watch = await world.manager.watch(HERE, None)
    await watch.more()
    await world.revisions.add(HERE, [addition(said("Hi"))])
    kinds = [one.kind for one in await watch.more()]
    assert kinds.count("session.changed") == 1
    await world.sleep()
    await watch.more()
    await world.revisions.amend(HERE, "t1", same)
    assert [one.kind for one in await watch.more()] == ["session.changed"]
    watch.close()


# Without a process


async def test_without_a_process_only_the_store_changes(world: World) -> None:
    await world.talk("Hello")
    await world.sleep()
    view = await world.revisions.add(HERE, [addition(said("The word is kiwi."))])
    assert (view.state, world.state()) == ("hibernated", None)
    await world.revisions.amend(HERE, "t1", same)
    assert (world.store.bound, world.store.amended, len(world.launcher.agents)) == ([True], ["t1"], 1)
    assert world.store.epochs == [world.store.kept[HERE].epoch] * 2


async def test_what_is_not_there_cannot_be_changed(world: World) -> None:
    for change in (
        world.revisions.add(HERE, [addition(said("Hi"))]),
        world.revisions.amend(HERE, "t1", same),
        world.revisions.set_metadata(HERE, {}),
        world.revisions.turns(HERE, after=None, limit=1),
    ):
        with pytest.raises(ConversationNotFound):
            await change


async def test_a_turn_that_comes_meanwhile_sees_what_was_added(world: World) -> None:
    await world.talk("Hello")
    await world.sleep()
    world.store.let.clear()
    adding = asyncio.create_task(world.revisions.add(HERE, [addition(Message("assistant", (text("Hm."),)))]))
    await world.settle()
    asking = asyncio.create_task(world.ask("And?"))
    await world.settle()
    assert len(world.launcher.launched) == 1
    world.store.let.set()
    await adding
    await asking
    assert [message.text() for message in world.launcher.launched[1].history] == ["Hello", "Yes.", "Hm."]


async def test_a_client_that_leaves_does_not_stop_it_halfway(world: World) -> None:
    await world.talk("Hello")
    world.store.let.clear()
    adding = asyncio.create_task(world.revisions.add(HERE, [addition(said("Hi"))]))
    await world.settle()
    adding.cancel()
    await world.settle()
    world.store.let.set()
    await world.settle()
    assert (world.state(), world.store.bound) == (State.IDLE, [True])


# Metadata and turns


@pytest.mark.parametrize("live", [True, False])
async def test_metadata_is_replaced_also_during_a_turn(world: World, live: bool) -> None:
    await world.talk("Hello")
    if live:
        await world.ask("And?")
    else:
        await world.sleep()
    view = await world.revisions.set_metadata(HERE, {"a": "b"})
    assert (view.metadata, world.store.kept[HERE].metadata) == ({"a": "b"}, {"a": "b"})
    assert (await world.manager.get(HERE)).metadata == {"a": "b"}


async def test_a_turn_that_comes_while_metadata_is_written_has_it(world: World) -> None:
    await world.talk("Hello")
    await world.sleep()
    world.store.let.clear()
    setting = asyncio.create_task(world.revisions.set_metadata(HERE, {"a": "b"}))
    await world.settle()
    asking = asyncio.create_task(world.ask("And?"))
    await world.settle()
    world.store.let.set()
    await setting
    await asking
    view: SessionView = await world.manager.get(HERE)
    assert (view.state, view.metadata) == ("busy", {"a": "b"})


async def test_the_newest_turns_can_be_read_first(world: World) -> None:
    await world.talk("Hello")
    await world.revisions.turns(HERE, after="t1", limit=3, newest_first=True)
    await world.revisions.turns(HERE, after=None, limit=3)
    assert world.store.asked == [
        {"after": "t1", "limit": 3, "newest_first": True},
        {"after": None, "limit": 3, "newest_first": False},
    ]
