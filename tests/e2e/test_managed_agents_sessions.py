"""Sessions of Managed Agents with the official SDK: the quickstart, tools of both kinds, approvals, interrupts."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic, AsyncAnthropic, beta_async_tool
from anthropic.lib.sessions import accumulate_managed_agents_event

from tests.anthropic_strict import strict
from tests.conftest import Model, Starts
from tests.gateway import Gateway, eventually
from tests.integration.test_keys import make
from tests.managed import (
    ASKING,
    TOOLSET,
    WEATHER,
    answer,
    bash,
    is_idle,
    kinds,
    of_type,
    said,
    sdk,
    session_with,
    told,
    watch,
)


@pytest.fixture
def client(gateway: Gateway) -> Iterator[Anthropic]:
    with sdk(gateway) as client:
        yield client


# The quickstart


def test_an_agent_answers_and_remembers(client: Anthropic, gateway: Gateway) -> None:
    session = session_with(client, TOOLSET, title="First", metadata={"topic": "demo"})
    assert re.fullmatch(r"sesn_[0-9a-f]+", session.id)
    assert (session.status, session.title, session.metadata) == ("idle", "First", {"topic": "demo"})
    events = watch(client, session.id, said("Hello! Remember the number 42."))
    assert kinds(events) == [
        "user.message",
        "session.thread_status_running",
        "session.status_running",
        "span.model_request_start",
        "agent.message",
        "span.model_request_end",
        "session.usage",
        "session.thread_status_idle",
        "session.status_idle",
    ]
    assert events[-1].stop_reason.type == "end_turn"
    assert all(event.processed_at is not None for event in events)
    pid = gateway.pid(session.id)
    again = watch(client, session.id, said("What number did I ask you to remember?"))
    assert "42" in answer(again)
    assert gateway.pid(session.id) == pid
    assert [event.id for event in told(client, session.id)] == [event.id for event in [*events, *again]]
    now = strict(client.beta.sessions.retrieve(session.id))
    assert now.status == "idle"
    assert (now.usage.output_tokens or 0) > 0
    assert now.usage.list_cost is not None
    spans = of_type([*events, *again], "span.model_request_end")
    assert sum(span.model_usage.output_tokens for span in spans) == now.usage.output_tokens
    assert sum(span.model_usage.input_tokens for span in spans) == now.usage.input_tokens


def test_a_session_can_begin_with_events(client: Anthropic) -> None:
    session = session_with(client, TOOLSET, initial_events=[said("Remember the number 7."), said("What number?")])
    eventually(lambda: client.beta.sessions.retrieve(session.id).status == "idle", within=30)
    events = told(client, session.id)
    assert [event.content[0].text for event in of_type(events, "user.message")] == [
        "Remember the number 7.",
        "What number?",
    ]
    assert "7" in answer(events[-6:])
    assert kinds(events).count("session.status_idle") == 1  # what is queued goes on at once


def test_the_agent_works_with_the_tools_that_it_has_and_no_others(client: Anthropic, model: Model) -> None:
    tools = {**TOOLSET, "configs": [{"name": "web_search", "enabled": False}, {"name": "web_fetch", "enabled": False}]}
    session = session_with(client, tools, system="You are called Ada.")
    text = f"{uuid.uuid4()} {bash('echo made > one.txt; cat one.txt')}"
    events = watch(client, session.id, said(text))
    (use,) = of_type(events, "agent.tool_use")
    (result,) = of_type(events, "agent.tool_result")
    assert (use.name, use.evaluated_permission, use.evaluation.type) == ("bash", "allow", "always_allow")
    assert (result.tool_use_id, result.is_error, result.content[0].text) == (use.id, False, "made")
    assert kinds(events).index("agent.tool_use") < kinds(events).index("agent.tool_result")
    request = model.asked(text[:36])[0]
    offered = {tool["name"] for tool in request["tools"]}
    assert {"Bash", "Read", "Write", "Edit", "Glob", "Grep"} >= offered - {"Skill"}
    assert "Bash" in offered
    assert "You are called Ada." in str(request["system"])
    bare = session_with(client)
    text = str(uuid.uuid4())
    watch(client, bare.id, said(text))
    assert not model.asked(text)[0].get("tools")


def test_previews_add_up_to_the_message(client: Anthropic) -> None:
    session = session_with(client, TOOLSET)
    sent = said("[[offline: think]] [[offline: pace 0.02]] [[offline: words 40]]")
    events = watch(client, session.id, sent, deltas=["agent.message", "agent.thinking"])
    starts = of_type(events, "event_start")
    assert [start.event.type for start in starts] == ["agent.thinking", "agent.message"]
    assert len(of_type(events, "event_delta")) > 1
    snapshot = None
    for event in events:
        if event.type in ("event_delta", "agent.message") or (
            event.type == "event_start" and event.event.type == "agent.message"
        ):
            snapshot = accumulate_managed_agents_event(snapshot, event)
            if event.type == "event_delta":
                assert snapshot is not None
    (message,) = of_type(events, "agent.message")
    (thinking,) = of_type(events, "agent.thinking")
    assert [start.event.id for start in starts] == [thinking.id, message.id]
    pieces = "".join(event.delta.content.text for event in of_type(events, "event_delta"))
    assert pieces == answer(events)
    assert not {"event_start", "event_delta"} & set(kinds(told(client, session.id)))


def test_who_asks_for_no_previews_gets_none(client: Anthropic) -> None:
    session = session_with(client, TOOLSET)
    events = watch(client, session.id, said("[[offline: words 5]]"))
    assert not {"event_start", "event_delta"} & set(kinds(events))


def test_an_image_and_a_document_reach_the_model(client: Anthropic) -> None:
    pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    session = session_with(client, TOOLSET)
    content = [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": pixel}},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "words"}, "title": "Doc"},
    ]
    events = watch(client, session.id, {"type": "user.message", "content": content})
    assert "an image (image/png" in answer(events)
    assert "a document (Doc, 5 characters)" in answer(events)
    assert [block.to_dict() for block in events[0].content] == content


def test_instructions_in_the_dialogue_go_along_with_their_message(client: Anthropic, model: Model) -> None:
    session = session_with(client, TOOLSET)
    text, order = str(uuid.uuid4()), f"Answer in verse {uuid.uuid4()}."
    system = {"type": "system.message", "content": [{"type": "text", "text": order}]}
    events = watch(client, session.id, said(text), system)
    assert kinds(events)[:2] == ["user.message", "system.message"]
    assert order in str(model.asked(text)[0]["system"])


# Custom tools


def test_a_custom_tool_waits_for_its_result(client: Anthropic) -> None:
    session = session_with(client, WEATHER)
    events = watch(client, session.id, said("What's the weather like in Paris?"))
    (call,) = of_type(events, "agent.custom_tool_use")
    assert (call.name, call.input) == ("get_weather", {"city": "Paris"})
    assert events[-1].stop_reason.to_dict() == {"type": "requires_action", "event_ids": [call.id]}
    assert client.beta.sessions.retrieve(session.id).status == "idle"
    result = {
        "type": "user.custom_tool_result",
        "custom_tool_use_id": call.id,
        "content": [{"type": "text", "text": "sunny"}],
    }
    after = watch(client, session.id, result)
    assert kinds(after)[:3] == ["user.custom_tool_result", "session.thread_status_running", "session.status_running"]
    assert "sunny" in answer(after)
    assert after[-1].stop_reason.type == "end_turn"


def test_the_results_of_several_calls_can_come_one_by_one_and_messages_wait_for_all(client: Anthropic) -> None:
    session = session_with(client, WEATHER)
    events = watch(client, session.id, said("[[offline: calls 2]] Go."))
    first, second = of_type(events, "agent.custom_tool_use")
    assert events[-1].stop_reason.event_ids == [first.id, second.id]

    def result(call: Any, text: str) -> Any:
        content = [{"type": "text", "text": text}]
        return {"type": "user.custom_tool_result", "custom_tool_use_id": call.id, "content": content}

    some = watch(client, session.id, said("And one more thing."), result(second, "two"))
    assert kinds(some) == ["user.custom_tool_result", "session.thread_status_idle", "session.status_idle"]
    assert some[-1].stop_reason.event_ids == [first.id]
    (waiting,) = of_type(told(client, session.id, order="desc", limit=1), "user.message")[:1]
    assert waiting.processed_at is None
    rest = watch(client, session.id, result(first, "one"))
    assert rest[-1].stop_reason.type == "end_turn"
    said_at, results_at = kinds(rest).index("user.message"), kinds(rest).index("user.custom_tool_result")
    assert said_at > results_at
    assert "one; two" in answer(rest)
    assert "And one more thing." in answer(rest)


async def test_the_sdks_tool_runner_works_a_session_to_its_end(gateway: Gateway) -> None:
    called = []

    @beta_async_tool
    async def get_weather(city: str) -> str:
        """The weather of a city.

        Args:
            city: Which one.
        """
        called.append(city)
        return "raining"

    with sdk(gateway) as plain:
        session = session_with(plain, WEATHER)
    async with AsyncAnthropic(base_url=gateway.url, api_key="unused", max_retries=0) as client:
        runner = client.beta.sessions.events.tool_runner(session.id, tools=[get_weather], max_idle=1.0)
        async with asyncio.timeout(60):
            sending = asyncio.create_task(
                client.beta.sessions.events.send(session.id, events=[said("What's the weather like in Paris?")])
            )
            calls = [call async for call in runner]
            await sending
        assert [(call.name, call.posted, call.is_error) for call in calls] == [("get_weather", True, False)]
        assert called == ["Paris"]
        with sdk(gateway) as plain:
            assert "raining" in answer(told(plain, session.id))


# Approvals


def test_a_call_waits_for_its_confirmation(client: Anthropic) -> None:
    session = session_with(client, ASKING)
    events = watch(client, session.id, said(bash("echo allowed")))
    (use,) = of_type(events, "agent.tool_use")
    assert (use.evaluated_permission, use.evaluation.type) == ("ask", "always_ask")
    assert events[-1].stop_reason.event_ids == [use.id]
    assert "agent.tool_result" not in kinds(events)
    assert client.beta.sessions.retrieve(session.id).status == "idle"
    after = watch(client, session.id, {"type": "user.tool_confirmation", "tool_use_id": use.id, "result": "allow"})
    assert kinds(after)[:3] == ["user.tool_confirmation", "session.thread_status_running", "session.status_running"]
    (result,) = of_type(after, "agent.tool_result")
    assert (result.tool_use_id, result.content[0].text) == (use.id, "allowed")
    assert after[-1].stop_reason.type == "end_turn"


def test_a_call_that_is_denied_is_not_made_and_the_model_is_told_why(client: Anthropic) -> None:
    session = session_with(client, ASKING)
    events = watch(client, session.id, said(bash("echo never > never.txt")))
    (use,) = of_type(events, "agent.tool_use")
    no = {"type": "user.tool_confirmation", "tool_use_id": use.id, "result": "deny", "deny_message": "Too dangerous."}
    after = watch(client, session.id, no)
    (result,) = of_type(after, "agent.tool_result")
    assert result.is_error
    assert "Too dangerous." in result.content[0].text
    assert "Too dangerous." in answer(after)


def test_of_two_calls_that_wait_each_is_decided_by_itself(client: Anthropic) -> None:
    session = session_with(client, ASKING)
    text = f"{bash('echo one')} {bash('echo two')}"
    waiting: set[str] = set()

    def both(event: Any) -> bool:
        if is_idle(event):
            waiting.update(event.stop_reason.event_ids)
        return is_idle(event) and len(event.stop_reason.event_ids) == 2

    events = watch(client, session.id, said(text), until=both)
    one, two = of_type(events, "agent.tool_use")
    first = watch(client, session.id, {"type": "user.tool_confirmation", "tool_use_id": one.id, "result": "deny"})
    assert first[-1].stop_reason.to_dict() == {"type": "requires_action", "event_ids": [two.id]}
    second = watch(client, session.id, {"type": "user.tool_confirmation", "tool_use_id": two.id, "result": "allow"})
    results = {one.tool_use_id: one.is_error for one in of_type(told(client, session.id), "agent.tool_result")}
    assert results == {one.id: True, two.id: False}
    assert second[-1].stop_reason.type == "end_turn"


def test_what_nobody_decides_about_is_denied_when_its_time_is_over(start_gateway: Starts) -> None:
    gateway = start_gateway({"agent__approval_seconds": 1})
    with sdk(gateway) as client:
        session = session_with(client, ASKING)
        ended = watch(
            client,
            session.id,
            said(bash("echo never")),
            until=lambda event: is_idle(event) and event.stop_reason.type == "end_turn",
        )
        (result,) = of_type(ended, "agent.tool_result")
        assert result.is_error
        (use,) = of_type(ended, "agent.tool_use")
        with pytest.raises(anthropic.BadRequestError, match="does not wait for a confirmation"):
            client.beta.sessions.events.send(
                session.id, events=[{"type": "user.tool_confirmation", "tool_use_id": use.id, "result": "allow"}]
            )


# Interrupts


def test_an_interrupt_ends_the_turn_and_what_is_queued_behind_it_runs(client: Anthropic, model: Model) -> None:
    session = session_with(client, TOOLSET)
    first, second = f"First {uuid.uuid4()}", f"Second {uuid.uuid4()}"
    working = said(f"{first} {bash('sleep 30')}")
    watch(client, session.id, working, until=lambda event: event.type == "agent.tool_use")
    ends: list[Any] = []

    def both(event: Any) -> bool:
        ends.extend([event] if is_idle(event) else [])
        return len(ends) == 2

    events = watch(client, session.id, {"type": "user.interrupt"}, said(second), until=both)
    assert kinds(events)[0] == "user.interrupt"
    assert kinds(events).index("session.status_idle") < kinds(events).index("user.message")
    assert [end.stop_reason.type for end in ends] == ["end_turn", "end_turn"]
    (request,) = model.asked(second)
    assert first in str(request["messages"])


def test_only_so_much_waits_and_an_interrupt_is_taken_all_the_same(client: Anthropic) -> None:
    session = session_with(client, WEATHER)
    watch(client, session.id, said("What's the weather like in Paris?"))  # a call is open: all that follows waits
    send = client.beta.sessions.events.send
    for _ in range(5):
        send(session.id, events=[said("And?")] * 100)
    with pytest.raises(anthropic.RateLimitError, match="500") as error:
        send(session.id, events=[said("One more.")])
    assert error.value.response.headers["retry-after"] == "2"
    send(session.id, events=[{"type": "user.interrupt"}])
    client.beta.sessions.delete(session.id)


def test_an_interrupt_takes_back_what_waits_for_a_client(client: Anthropic) -> None:
    session = session_with(client, WEATHER)
    events = watch(client, session.id, said("What's the weather like in Paris?"))
    (call,) = of_type(events, "agent.custom_tool_use")
    after = watch(client, session.id, {"type": "user.interrupt"})
    assert after[-1].stop_reason.type == "end_turn"
    with pytest.raises(anthropic.BadRequestError, match="does not wait for a result"):
        client.beta.sessions.events.send(
            session.id, events=[{"type": "user.custom_tool_result", "custom_tool_use_id": call.id}]
        )
    assert "[[" not in answer(watch(client, session.id, said("Never mind, say something else.")))


def test_an_interrupt_while_a_call_waits_for_a_person(client: Anthropic) -> None:
    session = session_with(client, ASKING)
    watch(client, session.id, said(bash("echo never")))
    events = watch(client, session.id, {"type": "user.interrupt"})
    assert events[-1].stop_reason.type == "end_turn"
    assert watch(client, session.id, said("[[offline: words 3]]"))[-1].stop_reason.type == "end_turn"


# Later on


def test_a_session_goes_on_after_its_process_is_gone(client: Anthropic, gateway: Gateway) -> None:
    session = session_with(client, TOOLSET, WEATHER, system="Be brief.")
    watch(client, session.id, said(f"Remember the number 42. {bash('echo kept > kept.txt')}"))
    assert gateway.http.post(f"/v1/sessions/{session.id}/hibernate").json()["state"] == "hibernated"
    assert "42" in answer(watch(client, session.id, said("What number did I ask you to remember?")))
    assert "kept" in answer(watch(client, session.id, said(bash("cat kept.txt"))))
    call = of_type(watch(client, session.id, said("What's the weather like in Paris?")), "agent.custom_tool_use")[0]
    gateway.http.post(f"/v1/sessions/{session.id}/hibernate")
    result = {"type": "user.custom_tool_result", "custom_tool_use_id": call.id}
    after = watch(client, session.id, {**result, "content": [{"type": "text", "text": "windy"}]})
    assert "windy" in answer(after)


def test_an_archived_session_takes_nothing_and_can_be_read(client: Anthropic) -> None:
    session = session_with(client, TOOLSET)
    watch(client, session.id, said("Hello!"))
    archived = strict(client.beta.sessions.archive(session.id))
    assert archived.status == "terminated"
    assert archived.archived_at is not None
    assert strict(client.beta.sessions.archive(session.id)).archived_at == archived.archived_at
    with pytest.raises(anthropic.BadRequestError, match="archived"):
        client.beta.sessions.events.send(session.id, events=[said("More.")])
    with pytest.raises(anthropic.BadRequestError, match="archived"):
        client.beta.sessions.update(session.id, title="New")
    assert kinds(told(client, session.id))[-1] == "session.status_terminated"
    assert session.id not in [one.id for one in client.beta.sessions.list(limit=100)]
    assert session.id in [one.id for one in client.beta.sessions.list(limit=100, include_archived=True)]


def test_a_session_at_work_is_not_archived(client: Anthropic) -> None:
    session = session_with(client, TOOLSET)
    watch(client, session.id, said(bash("sleep 30")), until=lambda event: event.type == "agent.tool_use")
    with pytest.raises(anthropic.ConflictError, match=r"user\.interrupt"):
        client.beta.sessions.archive(session.id)
    watch(client, session.id, {"type": "user.interrupt"})
    assert client.beta.sessions.archive(session.id).status == "terminated"


def test_a_session_that_is_deleted_ends_its_streams_and_is_gone(client: Anthropic, gateway: Gateway) -> None:
    session = session_with(client, TOOLSET)
    watch(client, session.id, said("Hello!"))
    with client.beta.sessions.events.stream(session.id) as stream:
        gone = strict(client.beta.sessions.delete(session.id))
        assert (gone.id, gone.type) == (session.id, "session_deleted")
        assert kinds([strict(event) for event in stream]) == ["session.deleted"]
    for ask in (client.beta.sessions.retrieve, client.beta.sessions.delete, client.beta.sessions.events.list):
        with pytest.raises(anthropic.NotFoundError):
            ask(session.id)
    assert gateway.http.get(f"/v1/sessions/{session.id}").status_code == 404


def test_the_conversation_that_is_deleted_without_the_header_is_the_same(client: Anthropic, gateway: Gateway) -> None:
    session = session_with(client, TOOLSET)
    watch(client, session.id, said("Hello!"))
    with client.beta.sessions.events.stream(session.id) as stream:
        assert gateway.http.delete(f"/v1/sessions/{session.id}").status_code == 204
        assert kinds(list(stream)) == ["session.deleted"]
    with pytest.raises(anthropic.NotFoundError):
        client.beta.sessions.retrieve(session.id)


# Lists, threads, tenants


def test_sessions_are_listed_there_and_back(start_gateway: Starts) -> None:
    with sdk(start_gateway()) as client:
        agent = client.beta.agents.create(name="Helper", model="sonnet")
        made = [
            client.beta.sessions.create(agent=agent.id, environment_id="env_local", title=str(number)).id
            for number in range(5)
        ]
        other = session_with(client).id
        assert [strict(one).id for one in client.beta.sessions.list(limit=2)] == [other, *made[::-1]]
        assert [one.id for one in client.beta.sessions.list(limit=2, order="asc", agent_id=agent.id)] == made
        first = client.beta.sessions.list(limit=2)
        assert first.prev_page is None
        second = client.beta.sessions.list(limit=2, page=first.next_page or "")
        back = client.beta.sessions.list(limit=2, page=second.prev_page or "")
        assert [one.id for one in back.data] == [one.id for one in first.data]
        assert back.prev_page is None
        assert back.next_page is not None
        assert client.beta.sessions.list(statuses=["running"]).data == []
        newer = client.beta.sessions.retrieve(made[2]).created_at
        assert [one.id for one in client.beta.sessions.list(created_at_gt=newer, agent_id=agent.id)] == made[:2:-1]
        with pytest.raises(anthropic.BadRequestError, match="next_page"):
            client.beta.sessions.list(page="nonsense")


def test_events_are_listed_by_pages_types_order_and_time(client: Anthropic) -> None:
    session = session_with(client, TOOLSET)
    watch(client, session.id, said(bash("echo one")))
    events = told(client, session.id, limit=3)
    assert len({event.id for event in events}) == len(events) > 10
    assert told(client, session.id, order="desc", limit=4) == events[::-1]
    some = told(client, session.id, types=["agent.message", "agent.tool_use"])
    assert kinds(some) == ["agent.tool_use", "agent.message"]
    moment = events[5].processed_at
    later = told(client, session.id, created_at_gt=moment)
    assert later == [event for event in events if event.processed_at > moment]
    strange: Any = "nonsense"
    with pytest.raises(anthropic.BadRequestError, match=r"types\[\]"):
        client.beta.sessions.events.list(session.id, types=[strange])


def test_the_one_thread_is_the_session(client: Anthropic) -> None:
    session = session_with(client, TOOLSET)
    events = watch(client, session.id, said("Hello!"))
    (thread,) = [strict(one) for one in client.beta.sessions.threads.list(session.id)]
    assert (thread.session_id, thread.parent_thread_id, thread.status) == (session.id, None, "idle")
    assert {event.session_thread_id for event in events if "thread_status" in event.type} == {thread.id}
    assert strict(client.beta.sessions.threads.retrieve(thread.id, session_id=session.id)) is not None
    listed = [strict(one) for one in client.beta.sessions.threads.events.list(thread.id, session_id=session.id)]
    assert [event.id for event in listed] == [event.id for event in events]
    with client.beta.sessions.threads.events.stream(thread.id, session_id=session.id) as stream:
        client.beta.sessions.events.send(session.id, events=[said("Again!")])
        assert next(iter(stream)).type == "user.message"
    with pytest.raises(anthropic.BadRequestError, match="archived with its session"):
        client.beta.sessions.threads.archive(thread.id, session_id=session.id)
    with pytest.raises(anthropic.NotFoundError):
        client.beta.sessions.threads.retrieve("sthr_none", session_id=session.id)


def test_tenants_do_not_see_each_other(start_gateway: Starts) -> None:
    gateway = start_gateway({"agent__allow_unsandboxed": True})
    ours, theirs = make(gateway.data, "--tenant", "ours"), make(gateway.data, "--tenant", "theirs")
    with sdk(gateway, ours) as mine, sdk(gateway, theirs) as other:
        session = session_with(mine, TOOLSET)
        watch(mine, session.id, said("Hello!"))
        assert list(other.beta.sessions.list()) == []
        for ask in (
            other.beta.sessions.retrieve,
            other.beta.sessions.delete,
            other.beta.sessions.archive,
            other.beta.sessions.events.list,
            other.beta.sessions.events.stream,
            other.beta.sessions.threads.list,
            other.beta.sessions.resources.list,
        ):
            with pytest.raises(anthropic.NotFoundError):
                ask(session.id)
        with pytest.raises(anthropic.NotFoundError):
            other.beta.sessions.events.send(session.id, events=[said("Hello!")])
        with pytest.raises(anthropic.NotFoundError):
            other.beta.sessions.create(agent=session.agent.id, environment_id="env_local")
        assert len(told(mine, session.id)) > 5
