"""Servers that are killed while sessions have something to do: nothing that was acknowledged is lost or done twice."""

from __future__ import annotations

import signal
import time
import uuid
from typing import Any

import pytest
from anthropic import Anthropic

from tests.conftest import Model, Starts
from tests.gateway import Gateway, eventually
from tests.managed import ASKING, TOOLSET, WEATHER, answer, bash, kinds, of_type, said, sdk, session_with, told, watch

QUICK = {"claude__upstream_retry_seconds": 0.2}


def killed(gateway: Gateway) -> Anthropic:
    """A client of the server that follows one which was killed."""
    gateway.restart(signal.SIGKILL)
    return sdk(gateway)


def settled(client: Anthropic, session_id: str) -> list[Any]:
    """The log, when nothing is to be done any more."""
    eventually(lambda: client.beta.sessions.retrieve(session_id).status == "idle", within=60)
    events = told(client, session_id)
    ids = [event.id for event in events]
    assert len(set(ids)) == len(ids)
    started = {event.id for event in of_type(events, "span.model_request_start")}
    assert started == {event.model_request_start_id for event in of_type(events, "span.model_request_end")}
    return events


def test_a_turn_that_is_killed_half_way_is_run_again(start_gateway: Starts, model: Model) -> None:
    gateway = start_gateway()
    client = sdk(gateway)
    session = session_with(client, TOOLSET)
    name = f"{uuid.uuid4()}"
    sent = said(f"{name} {bash('sleep 2; echo slept')}")
    watch(client, session.id, sent, until=lambda event: event.type == "agent.tool_use")
    events = settled(killed(gateway), session.id)
    assert kinds(events).count("user.message") == 1
    assert "session.status_rescheduled" in kinds(events)
    assert events[-1].stop_reason.type == "end_turn"
    assert "slept" in answer(events)
    assert len(model.asked(name)) == 2  # before the kill and after it; the results of its call have no such words


def test_what_was_queued_is_done_in_order(start_gateway: Starts) -> None:
    gateway = start_gateway()
    client = sdk(gateway)
    session = session_with(client, TOOLSET)
    first = said(f"Remember the number 42. {bash('sleep 1')}")
    events = [first, said("[[offline: words 2]]"), said("What number did I ask you to remember?")]
    client.beta.sessions.events.send(session.id, events=events)
    log = settled(killed(gateway), session.id)
    said_then = [event.content[0].text for event in of_type(log, "user.message")]
    assert said_then == [event["content"][0]["text"] for event in events]
    answers = [event.content[0].text for event in of_type(log, "agent.message")]
    assert "word1 word2" in answers
    assert "42" in answers[-1]
    assert all(event.processed_at is not None for event in log)


def test_a_message_that_was_acknowledged_just_before_the_kill_is_answered(start_gateway: Starts) -> None:
    gateway = start_gateway()
    client = sdk(gateway)
    sessions = [session_with(client, TOOLSET).id for _ in range(3)]
    for session_id in sessions:
        client.beta.sessions.events.send(session_id, events=[said("[[offline: words 2]]")])
    client = killed(gateway)
    for session_id in sessions:
        assert answer(settled(client, session_id)) == "word1 word2"


@pytest.mark.parametrize("seconds", [0.0, 0.005, 0.01, 0.02, 0.04])
def test_an_answer_that_was_stored_is_not_asked_for_again(start_gateway: Starts, model: Model, seconds: float) -> None:
    gateway = start_gateway()
    client = sdk(gateway)
    session = session_with(client, TOOLSET)
    watch(client, session.id, said("Hello!"))
    name = f"{uuid.uuid4()}"
    sent = said(f"{name} [[offline: words 2]]")
    deltas = ["agent.message"]
    watch(client, session.id, sent, until=lambda event: event.type == "event_delta", deltas=deltas)
    time.sleep(seconds)
    log = settled(killed(gateway), session.id)
    assert [event.content[0].text for event in of_type(log, "agent.message")][1:] == ["word1 word2"]
    turns = sdk(gateway).get(f"/v1/conversations/{session.id}/items", cast_to=object)
    assert str(turns).count(name) == 1
    assert len(model.asked(name)) <= 2


def test_an_approval_that_waited_is_asked_for_again(start_gateway: Starts) -> None:
    gateway = start_gateway()
    client = sdk(gateway)
    session = session_with(client, ASKING)
    (use,) = of_type(watch(client, session.id, said(bash("echo allowed"))), "agent.tool_use")
    client = killed(gateway)
    eventually(lambda: len(of_type(told(client, session.id), "agent.tool_use")) == 2, within=60)
    log = told(client, session.id)
    again = of_type(log, "agent.tool_use")[1]
    (lost,) = of_type(log, "agent.tool_result")
    assert (lost.tool_use_id, lost.is_error) == (use.id, True)
    eventually(lambda: client.beta.sessions.retrieve(session.id).status == "idle", within=60)
    assert told(client, session.id)[-1].stop_reason.event_ids == [again.id]
    yes = {"type": "user.tool_confirmation", "tool_use_id": again.id, "result": "allow"}
    after = watch(client, session.id, yes)
    assert "allowed" in answer(after)
    assert len(of_type(settled(client, session.id), "user.message")) == 1


def test_results_that_were_acknowledged_reach_the_agent(start_gateway: Starts) -> None:
    gateway = start_gateway()
    client = sdk(gateway)
    session = session_with(client, WEATHER)
    (call,) = of_type(watch(client, session.id, said("What's the weather like in Paris?")), "agent.custom_tool_use")
    client = killed(gateway)
    assert told(client, session.id)[-1].stop_reason.event_ids == [call.id]
    content = [{"type": "text", "text": "sunny"}]
    result: Any = {"type": "user.custom_tool_result", "custom_tool_use_id": call.id, "content": content}
    client.beta.sessions.events.send(session.id, events=[result])
    log = settled(killed(gateway), session.id)
    assert "sunny" in answer(log)
    assert kinds(log).count("user.custom_tool_result") == 1


def test_a_server_that_is_asked_to_end_lets_the_turn_finish(start_gateway: Starts) -> None:
    gateway = start_gateway()
    client = sdk(gateway)
    session = session_with(client, TOOLSET)
    sent = said(bash("sleep 1; echo slept"))
    watch(client, session.id, sent, until=lambda event: event.type == "agent.tool_use")
    gateway.restart(signal.SIGTERM)
    log = settled(sdk(gateway), session.id)
    assert "slept" in answer(log)
    assert "session.status_rescheduled" not in kinds(log)


def test_a_stream_ends_with_the_server(start_gateway: Starts) -> None:
    gateway = start_gateway()
    client = sdk(gateway)
    session = session_with(client, TOOLSET)
    with client.beta.sessions.events.stream(session.id) as stream:
        gateway.process.send_signal(signal.SIGTERM)
        assert list(stream) == []
    assert gateway.process.wait(timeout=30) == 0


# Errors that pass, and those that stay


def test_an_error_that_passes_is_tried_again(start_gateway: Starts, model: Model) -> None:
    gateway = start_gateway(QUICK)
    client = sdk(gateway)
    session = session_with(client, TOOLSET)
    watch(client, session.id, said("Hello!"))
    sent = said(f"{bash('sleep 5')} [[offline: words 1]]")
    watch(client, session.id, sent, until=lambda event: event.type == "agent.tool_use")
    gateway.children()[0].kill()
    log = settled(client, session.id)
    (error,) = of_type(log, "session.error")
    assert error.error.retry_status.type == "retrying"
    order = [kind for kind in kinds(log) if kind in ("session.error", "session.status_rescheduled")]
    assert order == ["session.error", "session.status_rescheduled"]
    assert log[-1].stop_reason.type == "end_turn"


def test_an_error_that_stays_is_given_up_and_what_was_queued_is_not_run(start_gateway: Starts) -> None:
    gateway = start_gateway(QUICK)
    client = sdk(gateway)
    session = session_with(client, TOOLSET)
    client.beta.sessions.events.send(session.id, events=[said("[[offline: error 529]]"), said("Later.")])
    log = settled(client, session.id)
    errors = [event.error for event in of_type(log, "session.error")]
    assert [error.type for error in errors] == ["model_overloaded_error"] * 3
    assert [error.retry_status.type for error in errors] == ["retrying", "retrying", "exhausted"]
    assert log[-1].stop_reason.type == "retries_exhausted"
    assert of_type(log, "agent.message") == []
    assert all(event.processed_at is not None for event in log)
    assert "word1" in answer(watch(client, session.id, said("[[offline: words 2]]")))


def test_an_interrupt_ends_the_waiting_for_another_try(start_gateway: Starts) -> None:
    gateway = start_gateway(QUICK)
    client = sdk(gateway)
    session = session_with(client, TOOLSET)
    sent = said("[[offline: error 529]]")
    watch(client, session.id, sent, until=lambda event: event.type == "session.status_rescheduled")
    assert client.beta.sessions.retrieve(session.id).status == "rescheduling"
    events = watch(client, session.id, {"type": "user.interrupt"})
    assert events[-1].stop_reason.type == "end_turn"


def test_what_cannot_be_cured_is_not_tried_again(start_gateway: Starts) -> None:
    gateway = start_gateway(QUICK)
    client = sdk(gateway)
    session = session_with(client, TOOLSET)
    events = watch(client, session.id, said("[[offline: overflow]]"))
    (error,) = of_type(events, "session.error")
    assert error.error.retry_status.type == "exhausted"
    assert events[-1].stop_reason.type == "retries_exhausted"
    refused = watch(client, session.id, said("[[offline: refuse]]"))
    assert refused[-1].stop_reason.type == "refusal"
    assert refused[-1].stop_details.type == "refusal"
    assert of_type(refused, "session.error") == []
