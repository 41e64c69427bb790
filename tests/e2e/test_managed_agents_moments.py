"""Sessions of Managed Agents at awkward moments: before a turn said anything, between an end and what is told of it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from anthropic import Anthropic

from tests.gateway import Gateway, text_of
from tests.managed import TOOLSET, answer, bash, kinds, of_type, said, sdk, session_with, told, watch

INTERRUPT: Any = {"type": "user.interrupt"}


@pytest.fixture
def client(gateway: Gateway) -> Iterator[Anthropic]:
    with sdk(gateway) as client:
        yield client


def outcome(description: str) -> Any:
    rubric = {"type": "text", "content": "Good."}
    return {"type": "user.define_outcome", "description": description, "rubric": rubric}


def test_an_interrupt_that_is_sent_behind_a_message_ends_its_turn(client: Anthropic) -> None:
    session = session_with(client, TOOLSET)
    events = watch(client, session.id, said("[[offline: delay 60]] Hello!"), INTERRUPT)
    assert of_type(events, "agent.message") == []
    assert events[-1].stop_reason.type == "end_turn"
    assert kinds(events).index("user.message") < kinds(events).index("user.interrupt")


def test_a_turn_that_was_halted_before_it_said_anything_is_told_once(client: Anthropic) -> None:
    session = session_with(client, TOOLSET)
    watch(client, session.id, said("Hello!"))
    watch(client, session.id, said("[[offline: delay 3]] One."), INTERRUPT)
    watch(client, session.id, said("Two."))
    texts = [event.content[0].text for event in of_type(told(client, session.id), "user.message")]
    assert texts == ["Hello!", "[[offline: delay 3]] One.", "Two."]


def test_an_outcome_has_ended_when_the_session_is_told_to_be_idle(client: Anthropic) -> None:
    session = session_with(client, TOOLSET)
    for number in range(1, 6):
        working = outcome(f"{number} {bash('sleep 60')}")
        watch(client, session.id, working, until=lambda event: event.type == "agent.tool_use")
        watch(client, session.id, INTERRUPT)
        evaluations = client.beta.sessions.retrieve(session.id).outcome_evaluations
        assert [one.result for one in evaluations] == ["interrupted"] * number


def test_an_outcome_whose_agent_lost_a_skill_fails_and_the_session_is_idle(client: Anthropic) -> None:
    manifest = b"---\nname: greet\ndescription: How to greet people.\n---\nSay ahoy.\n"
    skill = client.beta.skills.create(files=[("greet/SKILL.md", manifest, "text/markdown")])
    session = session_with(client, TOOLSET, skills=[{"type": "custom", "skill_id": skill.id}])
    with client.beta.sessions.events.stream(session.id) as stream:
        client.beta.sessions.events.send(session.id, events=[outcome(bash("sleep 1"))])
        for event in stream:
            if event.type == "agent.tool_use":
                client.beta.skills.delete(skill.id)
            elif event.type == "session.status_idle":
                assert event.stop_reason.type == "retries_exhausted"
                break
    (error,) = of_type(told(client, session.id), "session.error")
    assert skill.id in error.error.message
    now = client.beta.sessions.retrieve(session.id)
    assert (now.status, [one.result for one in now.outcome_evaluations]) == ("idle", ["failed"])


def test_who_watches_a_conversation_of_another_dialect_sees_what_is_new(client: Anthropic, gateway: Gateway) -> None:
    name = f"conv-{uuid.uuid4()}"
    text_of(gateway.ask("Old.", name))
    events = watch(client, name, said("[[offline: words 2]]"))
    assert answer(events) == "word1 word2"
    assert kinds(events).count("user.message") == 1
    assert kinds(told(client, name)).count("user.message") == 2


def test_a_turn_ends_where_it_stands_when_it_has_cost_the_budget(client: Anthropic) -> None:
    budget: Any = {"type": "limit", "max_list_cost": {"amount": "1", "currency": "USD"}}
    session = session_with(client, TOOLSET, budget=budget)
    calls = "".join(bash(f"sleep 0.5; echo {number}") for number in range(20))
    events = watch(client, session.id, said(f"{'word ' * 10_000} {calls}"))
    assert events[-1].stop_reason.type == "budget_reached"
    assert len([one for one in of_type(events, "agent.tool_result") if not one.is_error]) < 20
    assert client.beta.sessions.update(session.id, budget=None).budget is None
    assert watch(client, session.id, said("[[offline: words 1]]"))[-1].stop_reason.type == "end_turn"
