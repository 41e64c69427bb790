"""The calls that wait for a person, as they are listed and decided; and a turn that is halted."""

from __future__ import annotations

import pytest

from claude_code_api.core import events as ev
from claude_code_api.core.session import State
from claude_code_api.core.turn import ApprovalSettled, ApprovalWanted, TurnCompleted
from claude_code_api.errors import ApprovalDecided, ApprovalNotFound
from claude_code_api.runtime.approvals import Approvals, ApprovalStatus
from tests.unit.runtime.test_actor import World, failure, world

__all__ = ["world"]


def wanted(identity: str = "a") -> ApprovalWanted:
    return ApprovalWanted(identity, "Bash", {"command": "ls"}, 2e9, "Waiting for approval: Bash: ls")


def statuses(approvals: Approvals, *identities: str) -> list[str]:
    return [approvals.find(identity).status.value for identity in identities]


def test_what_becomes_of_a_call_is_remembered() -> None:
    approvals = Approvals()
    for identity in "abcd":
        approvals.note("turn", wanted(identity))
    assert [one.id for one in approvals.waiting] == list("abcd")
    approvals.note("turn", ApprovalSettled("a", "allowed"))
    approvals.note("turn", ApprovalSettled("b", "denied"))
    approvals.note("turn", ApprovalSettled("c", "expired"))
    assert approvals.end("another") == []
    assert [one.id for one in approvals.end("turn")] == ["d"]
    assert approvals.waiting == []
    assert statuses(approvals, *"abcd") == ["allowed", "denied", "expired", "cancelled"]
    with pytest.raises(ApprovalDecided, match="cancelled"):
        approvals.undecided("d")
    with pytest.raises(ApprovalNotFound):
        approvals.find("e")


def test_only_the_last_ones_are_remembered() -> None:
    approvals = Approvals()
    for number in range(150):
        approvals.note("turn", wanted(str(number)))
        approvals.note("turn", ApprovalSettled(str(number), "allowed"))
    with pytest.raises(ApprovalNotFound):
        approvals.find("49")
    assert approvals.find("50").status is ApprovalStatus.ALLOWED


def test_an_id_may_come_again() -> None:
    approvals = Approvals()
    approvals.note("one", wanted())
    approvals.end("one")
    approvals.note("two", wanted())
    assert approvals.undecided("a").turn_id == "two"


async def test_a_decision_goes_to_the_process(world: World) -> None:
    turn = await world.ask("Look.")
    world.agent.emit(wanted())
    assert [one.turn_id for one in world.actor.approvals.waiting] == [turn.id]
    settled = world.actor.decide("a", allowed=False, message="No.")
    assert settled.status is ApprovalStatus.DENIED
    assert world.agent.decided == [("a", False, "No.")]
    with pytest.raises(ApprovalDecided):
        world.actor.decide("a", allowed=True, message=None)
    assert len(world.agent.decided) == 1


@pytest.mark.parametrize("end", ["cut", "died", "deleted", "drained"])
async def test_what_waits_ends_with_its_turn(world: World, end: str) -> None:
    turn = await world.ask("Look.")
    world.agent.emit(wanted())
    if end == "cut":
        world.actor.interrupt()
    elif end == "died":
        await world.agent.stop(flush=False)
    elif end == "deleted":
        world.actor.post(ev.Deleted())
    else:
        world.actor.post(ev.Drained())
        world.actor.interrupt()
    await world.settle()
    assert await failure(turn) is not None
    assert world.actor.approvals.waiting == []
    assert world.actor.approvals.find("a").status is ApprovalStatus.CANCELLED


async def test_the_clock_stands_while_a_call_waits(world: World) -> None:
    turn = await world.ask("Look.")
    world.agent.emit(wanted("a"))
    world.agent.emit(wanted("b"))
    world.actor.decide("a", allowed=True, message=None)
    assert turn.pause.lasts
    world.actor.decide("b", allowed=True, message=None)
    assert not turn.pause.lasts
    assert turn.pause.total_s >= 0


# Halting


async def test_a_halted_turn_completes_and_the_conversation_goes_on(world: World) -> None:
    turn = await world.ask("Look.")
    assert world.actor.halt(turn.id)
    await world.settle()
    last = (await turn.stream.after(0))[-1]
    assert isinstance(last, TurnCompleted)
    assert last.stop_reason == "interrupted"
    assert world.actor.state is State.IDLE
    assert [message.text() for message in world.actor.record.history] == ["Look.", "So far."]
    assert not world.actor.halt(turn.id)
    assert not world.actor.halt_current()
    assert len(world.host.agents) == 1
    await world.talk("And now?")
    assert len(world.host.agents) == 1


async def test_what_does_not_end_is_cut(world: World) -> None:
    turn = await world.ask("Look.")
    world.agent.halts = False
    assert world.actor.halt_current()
    await world.settle()
    assert (await failure(turn)).code == "turn_cancelled"


async def test_a_turn_is_halted_once_and_as_soon_as_its_process_has_it(world: World) -> None:
    first = await world.ask("One.")
    second = await world.ask("Two.")
    assert world.actor.halt(second.id)
    assert world.actor.halt(second.id)
    await world.settle()
    assert world.agent.halted == []
    world.agent.answer({"type": "text", "text": "1"})
    await world.settle()
    assert world.agent.halted == [second.id]
    assert isinstance((await first.stream.after(0))[-1], TurnCompleted)
    assert isinstance((await second.stream.after(0))[-1], TurnCompleted)
