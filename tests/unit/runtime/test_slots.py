"""Who has to make room: idle processes at once, parked ones after a while."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from claude_code_api.core import events as ev
from claude_code_api.core.events import StopReason
from claude_code_api.core.session import State
from claude_code_api.runtime import slots as module
from claude_code_api.runtime.actor import Actor
from claude_code_api.runtime.ports import AgentLauncher
from claude_code_api.runtime.slots import Slots

SPARED_S = 0.2
EVICTED = ev.StopWanted(StopReason.EVICTED)


@pytest.fixture(autouse=True)
def _spared_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PARKED_S", SPARED_S)


class FakeActor:
    """An actor that does nothing with what it is told."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.pid = 4711
        self.state = State.QUEUED
        self.told: list[ev.Event] = []

    def post(self, event: ev.Event) -> None:
        self.told.append(event)


class World:
    """One slot, which `first` has, and `second` that wants it."""

    def __init__(self) -> None:
        self.first, self.second = FakeActor("first"), FakeActor("second")
        actors = cast(dict[str, Actor], {actor.key: actor for actor in (self.first, self.second)})
        self.slots = Slots(cast(AgentLauncher, self), actors, most=1, max_waiting=1, wait_s=60)
        self.slots.acquire(cast(Actor, self.first))
        assert self.first.told == [ev.SlotGranted()]
        self.first.told.clear()

    def become(self, state: State) -> None:
        self.first.state = state
        self.slots.changed(cast(Actor, self.first))

    def want(self) -> None:
        self.slots.acquire(cast(Actor, self.second))

    def set_room(self, processes: int) -> None:
        assert processes == 0


async def test_an_idle_process_makes_room_at_once() -> None:
    world = World()
    world.become(State.IDLE)
    world.want()
    assert world.first.told == [EVICTED]


async def test_a_parked_process_makes_room_after_a_while() -> None:
    world = World()
    world.become(State.PARKED)
    world.want()
    await asyncio.sleep(SPARED_S / 2)
    assert world.first.told == []
    await asyncio.sleep(SPARED_S)
    assert world.first.told == [EVICTED]


async def test_a_process_that_was_parked_for_long_makes_room_at_once() -> None:
    world = World()
    world.become(State.PARKED)
    await asyncio.sleep(SPARED_S * 1.5)
    world.want()
    assert world.first.told == [EVICTED]


@pytest.mark.parametrize("then", [State.BUSY, State.STOPPING, State.CLOSED])
async def test_what_a_parked_process_becomes_meanwhile_counts(then: State) -> None:
    world = World()
    world.become(State.PARKED)
    world.become(then)
    world.want()
    await asyncio.sleep(SPARED_S * 1.5)
    assert world.first.told == []


async def test_each_time_it_parks_it_is_spared_anew() -> None:
    world = World()
    world.become(State.PARKED)
    await asyncio.sleep(SPARED_S * 0.75)
    world.become(State.BUSY)
    world.become(State.PARKED)
    world.want()
    await asyncio.sleep(SPARED_S * 0.5)
    assert world.first.told == []


async def test_a_parked_process_that_is_too_large_is_stopped() -> None:
    world = World()
    world.become(State.PARKED)
    world.slots.bound(1, {world.first.pid})
    assert world.first.told == [ev.StopWanted(StopReason.MEMORY)]
