"""Sessions of Managed Agents with the official SDK: updates, budgets, files, skills, outcomes, other dialects."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic

from tests.anthropic_strict import strict
from tests.conftest import Model
from tests.gateway import Gateway, eventually, text_of
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
from tests.mcp_server import Calculator


@pytest.fixture
def client(gateway: Gateway) -> Iterator[Anthropic]:
    with sdk(gateway) as client:
        yield client


def limit(cents: int) -> Any:
    return {"type": "limit", "max_list_cost": {"amount": str(cents), "currency": "USD"}}


def refused(call: Any, *given: Any, match: str, **how: Any) -> None:
    with pytest.raises(anthropic.BadRequestError, match=match):
        call(*given, **how)


# Updates


def test_a_session_is_updated_and_says_so(client: Anthropic, model: Model) -> None:
    session = session_with(client, TOOLSET, title="One", metadata={"a": "1", "b": "2"})
    metadata: Any = {"a": None, "c": "3"}
    with client.beta.sessions.events.stream(session.id) as stream:
        after = strict(client.beta.sessions.update(session.id, title="Two", metadata=metadata))
        event: Any = strict(next(iter(stream)))
    assert (after.title, after.metadata) == ("Two", {"b": "2", "c": "3"})
    assert event.to_dict(mode="json")["metadata"] == {"b": "2", "c": "3"}
    assert (event.type, event.title) == ("session.updated", "Two")
    assert event.model_fields_set == {"id", "type", "processed_at", "title", "metadata"}
    tools: Any = [{**TOOLSET, "default_config": {"enabled": False}}, WEATHER]
    changed = strict(client.beta.sessions.update(session.id, agent={"tools": tools}))
    assert [tool.type for tool in changed.agent.tools] == ["agent_toolset_20260401", "custom"]
    text = str(uuid.uuid4())
    watch(client, session.id, said(text))
    assert [tool["name"] for tool in model.asked(text)[0]["tools"]] == ["mcp__client__get_weather"]
    assert len(of_type(told(client, session.id), "session.updated")) == 2


def test_updates_that_come_at_once_are_all_there(client: Anthropic) -> None:
    session = session_with(client)

    def update(number: int) -> None:
        client.beta.sessions.update(session.id, metadata={f"key-{number}": str(number)})

    with ThreadPoolExecutor(8) as beside:
        list(beside.map(update, range(8)))
    assert client.beta.sessions.retrieve(session.id).metadata == {f"key-{number}": str(number) for number in range(8)}


def test_what_cannot_be_updated_is_refused_by_name(client: Anthropic) -> None:
    session = session_with(client, TOOLSET)
    update = client.beta.sessions.update
    refused(update, session.id, vault_ids=["vlt_1"], match="vault_ids")
    refused(update, session.id, budget=limit(100), match="budget_create_only")
    refused(update, session.id, metadata={"k" * 65: "v"}, match="metadata")
    wrong: Any = {"tools": [{"type": "mcp_toolset", "mcp_server_name": "none"}]}
    refused(update, session.id, agent=wrong, match=r"tools\.0\.mcp_server_name")
    watch(client, session.id, said(bash("sleep 30")), until=lambda event: event.type == "agent.tool_use")
    refused(update, session.id, agent={"tools": []}, match="at work")
    assert client.beta.sessions.update(session.id, title="New").title == "New"
    watch(client, session.id, {"type": "user.interrupt"})


def test_what_a_session_cannot_be_made_with_is_refused_by_name(client: Anthropic) -> None:
    agent = client.beta.agents.create(name="Helper", model="sonnet").id
    create = client.beta.sessions.create
    how: Any = {"agent": agent, "environment_id": "env_local"}
    refused(create, **how, vault_ids=["vlt_1"], match="vault_ids")
    repository = {"type": "github_repository", "url": "https://example.com/a/b"}
    refused(create, **how, resources=[repository], match=r"resources\.0\.type: 'github_repository' is not supported")
    store = {"type": "memory_store", "memory_store_id": "memstore_1"}
    refused(create, **how, resources=[store], match=r"resources\.0\.type: 'memory_store' is not supported")
    refused(create, **how, initial_events=[{"type": "user.interrupt"}], match=r"initial_events\.0\.type")
    refused(create, agent=agent, environment_id="env_local", budget=limit(0) | {"type": "none"}, match="budget.type")
    with pytest.raises(anthropic.NotFoundError, match="environment"):
        create(agent=agent, environment_id="env_none")
    with pytest.raises(anthropic.NotFoundError, match="agent"):
        create(agent="agent_none", environment_id="env_local")
    assert create(agent={"type": "agent", "id": agent, "version": 1}, environment_id="env_local").agent.version == 1
    replaced: Any = {"type": "agent_with_overrides", "id": agent, "system": "Other.", "model": "haiku"}
    made = strict(create(agent=replaced, environment_id="env_local"))
    assert (made.agent.system, made.agent.model.id) == ("Other.", "haiku")


def test_events_are_taken_all_or_none(client: Anthropic) -> None:
    session = session_with(client, TOOLSET)
    send = client.beta.sessions.events.send
    stray = {"type": "user.tool_confirmation", "tool_use_id": "sevt_none", "result": "allow"}
    refused(send, session.id, events=[said("Hello!"), stray], match=r"events\.1\.tool_use_id")
    result = {"type": "user.custom_tool_result", "custom_tool_use_id": "sevt_none"}
    refused(send, session.id, events=[said("Hello!"), result], match=r"events\.1\.custom_tool_use_id")
    first = {"type": "system.message", "content": [{"type": "text", "text": "x"}]}
    refused(send, session.id, events=[first, said("Hello!")], match=r"events\.0: a system\.message")
    refused(send, session.id, events=[{"type": "user.tool_result", "tool_use_id": "x"}], match="not supported")
    refused(send, session.id, events=[{"type": "user.message", "content": []}], match=r"events\.0\.content")
    elsewhere = {"type": "user.interrupt", "session_thread_id": "sthr_none"}
    refused(send, session.id, events=[elsewhere], match=r"events\.0\.session_thread_id")
    reason = {**stray, "deny_message": "no"}
    refused(send, session.id, events=[reason], match=r"events\.0\.deny_message")
    refused(send, session.id, events=[], match="events")
    assert told(client, session.id) == []
    assert client.beta.sessions.retrieve(session.id).status == "idle"


# Budgets


def test_a_budget_stops_a_session_until_it_is_raised(client: Anthropic) -> None:
    session = session_with(client, TOOLSET, budget=limit(1))
    assert session.budget is not None
    assert session.budget.to_dict() == limit(1)
    for number in range(20):
        if watch(client, session.id, said(f"[[offline: words 50]] {number}"))[-1].stop_reason.type == "budget_reached":
            break
    held = watch(client, session.id, said("[[offline: words 1]]"))
    assert held[-1].stop_reason.type == "budget_reached"
    assert of_type(held, "user.message") == []
    cost = client.beta.sessions.retrieve(session.id).usage.list_cost
    assert cost is not None
    assert int(cost.amount) >= 1
    refused(client.beta.sessions.update, session.id, budget=limit(1000) | limit(0), match="budget_not_raised")
    with client.beta.sessions.events.stream(session.id) as stream:
        assert strict(client.beta.sessions.update(session.id, budget=limit(10_000))).budget is not None
        events: list[Any] = []
        for event in stream:
            events.append(event)
            if is_idle(event):
                break
    assert kinds(events)[:2] == ["session.updated", "user.message"]
    assert answer(events).split("\n")[-1] == "word1"  # what was held runs, in order
    assert events[-1].stop_reason.type == "end_turn"
    assert strict(client.beta.sessions.update(session.id, budget=None)).budget is None
    refused(client.beta.sessions.update, session.id, budget=limit(10_000), match="budget_create_only")


# Files and skills


def test_files_are_there_for_the_agent(client: Anthropic) -> None:
    one = client.beta.files.upload(file=("data.csv", b"a,b\n1,2\n", "text/csv"))
    two = client.beta.files.upload(file=("more.txt", b"more", "text/plain"))
    resources: Any = [
        {"type": "file", "file_id": one.id},
        {"type": "file", "file_id": two.id, "mount_path": "/workspace/in/more.txt"},
    ]
    session = session_with(client, TOOLSET, resources=resources)
    paths = [resource.mount_path for resource in session.resources if resource.type == "file"]
    assert paths == ["uploads/data.csv", "in/more.txt"]
    assert "a,b\n1,2" in answer(watch(client, session.id, said(bash("cat uploads/data.csv in/more.txt"))))
    listed = [strict(resource) for resource in client.beta.sessions.resources.list(session.id)]
    assert [resource.file_id for resource in listed if resource.type == "file"] == [one.id, two.id]
    assert [len(page.data) for page in client.beta.sessions.resources.list(session.id, limit=1).iter_pages()] == [1, 1]
    added = strict(
        client.beta.sessions.resources.add(session.id, type="file", file_id=two.id, mount_path="again/more.txt")
    )
    got: Any = strict(client.beta.sessions.resources.retrieve(added.id, session_id=session.id))
    assert got == added
    assert "more" in answer(watch(client, session.id, said(bash("cat again/more.txt"))))
    gone = strict(client.beta.sessions.resources.delete(added.id, session_id=session.id))
    assert (gone.id, gone.type) == (added.id, "session_resource_deleted")
    with pytest.raises(anthropic.NotFoundError):
        client.beta.sessions.resources.retrieve(added.id, session_id=session.id)
    assert "more" in answer(watch(client, session.id, said(bash("cat again/more.txt"))))  # what lies there stays


def test_the_agent_is_told_of_its_files(client: Anthropic, model: Model) -> None:
    file = client.beta.files.upload(file=("data.csv", b"a,b\n1,2\n", "text/csv"))
    session = session_with(client, TOOLSET, resources=[{"type": "file", "file_id": file.id}])
    text = str(uuid.uuid4())
    watch(client, session.id, said(text))
    assert "uploads/data.csv" in str(model.asked(text)[0]["system"])


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../../x", "/mnt/session/../../x", "dir/", "", "é" * 128])
def test_files_are_mounted_in_the_workspace_and_nowhere_else(client: Anthropic, path: str) -> None:
    file = client.beta.files.upload(file=("data.csv", b"a,b\n", "text/csv"))
    session = session_with(client)
    add = client.beta.sessions.resources.add
    refused(add, session.id, type="file", file_id=file.id, mount_path=path, match="mount_path")
    with pytest.raises(anthropic.NotFoundError):
        add(session.id, type="file", file_id="file_none")


def test_what_is_wrong_is_named_by_its_field(client: Anthropic) -> None:
    session = session_with(client)
    resources: Any = [{"type": "file", "file_id": "file_none"}]
    with pytest.raises(anthropic.NotFoundError, match=r"resources\.0\.file_id"):
        session_with(client, resources=resources)
    image = {"type": "image", "source": {"type": "file", "file_id": "file_none"}}
    event: Any = {"type": "user.message", "content": [image]}
    with pytest.raises(anthropic.NotFoundError, match=r"events\.0\.content\.0\.source\.file_id"):
        client.beta.sessions.events.send(session.id, events=[event])
    file = client.beta.files.upload(file=("data.csv", b"a,b\n", "text/csv"))
    add = client.beta.sessions.resources.add
    refused(add, session.id, type="file", file_id=file.id, mount_path="../x", match='"mount_path must')
    refused(client.beta.sessions.list, agent_id="agent_1", agent_version=2**63, match="agent_version")


def test_a_file_with_a_long_name_is_there_for_the_agent(client: Anthropic) -> None:
    file = client.beta.files.upload(file=("ß" * 200, b"long", "text/plain"))
    session = session_with(client, TOOLSET, resources=[{"type": "file", "file_id": file.id}])
    assert "long" in answer(watch(client, session.id, said(bash("cat uploads/*"))))


def test_a_session_whose_file_was_deleted_goes_on_without_it(client: Anthropic) -> None:
    file = client.beta.files.upload(file=("data.csv", b"a,b\n", "text/csv"))
    session = session_with(client, TOOLSET, resources=[{"type": "file", "file_id": file.id}])
    client.beta.files.delete(file.id)
    assert "word1" in answer(watch(client, session.id, said("[[offline: words 1]]")))


def test_a_skill_is_there_for_the_agent_and_one_that_is_gone_is_told(client: Anthropic, model: Model) -> None:
    manifest = b"---\nname: greet\ndescription: How to greet people.\n---\nSay ahoy.\n"
    skill = client.beta.skills.create(files=[("greet/SKILL.md", manifest, "text/markdown")])
    session = session_with(client, TOOLSET, skills=[{"type": "custom", "skill_id": skill.id}])
    text = str(uuid.uuid4())
    watch(client, session.id, said(text))
    assert "greet" in str(model.asked(text)[0])
    client.beta.skills.delete(skill.id)
    events = watch(client, session.id, said("More."))
    (error,) = of_type(events, "session.error")
    assert skill.id in error.error.message
    assert events[-1].stop_reason.type == "retries_exhausted"


# MCP servers


def test_the_tools_of_an_mcp_server_wait_for_a_person_unless_told_otherwise(client: Anthropic) -> None:
    with Calculator() as calculator:
        servers: Any = [{"type": "url", "name": "calc", "url": calculator.url}]
        toolset: Any = {"type": "mcp_toolset", "mcp_server_name": "calc"}
        session = session_with(client, toolset, mcp_servers=servers)
        events = watch(client, session.id, said('[[offline: call mcp__calc__add {"a": 20, "b": 22}]]'))
        (use,) = of_type(events, "agent.mcp_tool_use")
        assert (use.mcp_server_name, use.name, use.input) == ("calc", "add", {"a": 20, "b": 22})
        assert (use.evaluated_permission, events[-1].stop_reason.event_ids) == ("ask", [use.id])
        yes = {"type": "user.tool_confirmation", "tool_use_id": use.id, "result": "allow"}
        after = watch(client, session.id, yes)
        (result,) = of_type(after, "agent.mcp_tool_result")
        assert (result.mcp_tool_use_id, result.is_error) == (use.id, False)
        assert "42" in answer(after)


def test_a_server_that_cannot_be_reached_is_told_and_the_agent_goes_on(client: Anthropic) -> None:
    servers: Any = [{"type": "url", "name": "gone", "url": "http://127.0.0.1:9/mcp"}]
    session = session_with(client, {"type": "mcp_toolset", "mcp_server_name": "gone"}, mcp_servers=servers)
    events = watch(client, session.id, said("[[offline: words 1]]"))
    (error,) = of_type(events, "session.error")
    assert (error.error.type, error.error.mcp_server_name) == ("mcp_connection_failed_error", "gone")
    assert answer(events) == "word1"
    assert events[-1].stop_reason.type == "end_turn"


# Outcomes


def outcome(rubric: Any, **more: Any) -> Any:
    return {"type": "user.define_outcome", "description": "Write a haiku.", "rubric": rubric, **more}


def test_work_that_meets_its_rubric_is_done(client: Anthropic, model: Model) -> None:
    session = session_with(client, TOOLSET)
    name = str(uuid.uuid4())
    rubric = {"type": "text", "content": f"Three lines. {name}"}
    events = watch(client, session.id, outcome(rubric))
    order = [kind for kind in kinds(events) if kind in ("user.define_outcome", "agent.message") or "outcome" in kind]
    assert order == [
        "user.define_outcome",
        "agent.message",
        "span.outcome_evaluation_start",
        "span.outcome_evaluation_end",
    ]
    defined, ended = events[0], of_type(events, "span.outcome_evaluation_end")[0]
    assert (defined.max_iterations, defined.rubric.content) == (3, rubric["content"])
    assert (ended.result, ended.iteration, ended.outcome_id) == ("satisfied", 0, defined.outcome_id)
    assert ended.usage.output_tokens > 0
    assert events[-1].stop_reason.type == "end_turn"
    (evaluation,) = strict(client.beta.sessions.retrieve(session.id)).outcome_evaluations
    assert (evaluation.result, evaluation.outcome_id) == ("satisfied", defined.outcome_id)
    assert evaluation.completed_at is not None
    agents, graders = model.asked(name)
    assert answer(events)[:20] in str(graders["messages"])  # it sees what the agent said
    assert {tool["name"] for tool in graders["tools"]} == {"StructuredOutput"}
    assert "Bash" in {tool["name"] for tool in agents["tools"]}


def test_work_is_revised_until_there_are_no_more_revisions(client: Anthropic) -> None:
    session = session_with(client, TOOLSET)
    rubric = client.beta.files.upload(file=("rubric.md", b"It always needs_revision.", "text/markdown"))
    sent = outcome({"type": "file", "file_id": rubric.id}, max_iterations=2)
    events = watch(client, session.id, sent)
    ends = of_type(events, "span.outcome_evaluation_end")
    assert [end.result for end in ends] == ["needs_revision", "max_iterations_reached"]
    assert [end.iteration for end in ends] == [0, 1]
    assert len(of_type(events, "agent.message")) == 3  # the work, its revision, and a last word
    assert kinds(events).count("session.status_idle") == 1
    (evaluation,) = client.beta.sessions.retrieve(session.id).outcome_evaluations
    assert (evaluation.result, evaluation.iteration) == ("max_iterations_reached", 1)
    assert events[0].rubric.content == "It always needs_revision."


def test_an_outcome_ends_with_an_interrupt(client: Anthropic) -> None:
    session = session_with(client, TOOLSET)
    sent = outcome({"type": "text", "content": "Good."})
    sent["description"] = bash("sleep 30")
    watch(client, session.id, sent, until=lambda event: event.type == "agent.tool_use")
    (evaluation,) = strict(client.beta.sessions.retrieve(session.id)).outcome_evaluations
    assert (evaluation.result, evaluation.completed_at) == ("running", None)
    events = watch(client, session.id, {"type": "user.interrupt"})
    assert of_type(events, "span.outcome_evaluation_start") == []
    (evaluation,) = client.beta.sessions.retrieve(session.id).outcome_evaluations
    assert evaluation.result == "interrupted"


# One conversation, every dialect


def test_a_session_goes_on_in_chat_completions_and_back_on_one_process(client: Anthropic, gateway: Gateway) -> None:
    session = session_with(client, TOOLSET)
    watch(client, session.id, said("Remember the number 42."))
    pid = gateway.pid(session.id)
    chat = gateway.ask("What number did I ask you to remember?", session.id, model="agent/sonnet")
    assert "42" in text_of(chat)
    assert gateway.pid(session.id) == pid
    work = gateway.ask(f"Remember the city Paris. {bash('echo here')}", session.id, model="agent/sonnet")
    assert "here" in text_of(work)
    events = watch(client, session.id, said("What city did I ask you to remember?"))
    assert "Paris" in answer(events)
    assert gateway.pid(session.id) == pid
    log = told(client, session.id)
    said_so = [event.content[0].text for event in of_type(log, "user.message")]
    assert said_so[:2] == ["Remember the number 42.", "What number did I ask you to remember?"]
    assert said_so[3] == "What city did I ask you to remember?"
    (use,) = of_type(log, "agent.tool_use")
    (result,) = of_type(log, "agent.tool_result")
    assert (use.name, result.tool_use_id, result.content[0].text) == ("bash", use.id, "here")
    assert [event.id for event in told(client, session.id)] == [event.id for event in log]


def test_a_new_session_is_its_agent_in_every_dialect(client: Anthropic, gateway: Gateway, model: Model) -> None:
    tools = {**TOOLSET, "default_config": {"enabled": False}, "configs": [{"name": "read", "enabled": True}]}
    session = session_with(client, tools, system="You are called Ada.")
    assert gateway.session(session.id)["profile"] == "agent"
    text = str(uuid.uuid4())
    text_of(gateway.ask(text, session.id, model="agent/sonnet"))
    request = model.asked(text)[0]
    assert "You are called Ada." in str(request["system"])
    assert [tool["name"] for tool in request["tools"]] == ["Read"]
    pid = gateway.pid(session.id)
    watch(client, session.id, said("And here."))
    assert gateway.pid(session.id) == pid


def test_who_watches_sees_what_comes_in_another_dialect(client: Anthropic, gateway: Gateway) -> None:
    session = session_with(client, TOOLSET)
    watch(client, session.id, said("Hello!"))
    with client.beta.sessions.events.stream(session.id) as stream:
        text_of(gateway.ask("From elsewhere.", session.id, model="agent/sonnet"))
        came = iter(stream)
        events = [strict(next(came)), strict(next(came))]
    assert kinds(events) == ["user.message", "agent.message"]


def test_a_conversation_of_another_dialect_is_a_session(client: Anthropic, gateway: Gateway) -> None:
    name = f"conv-{uuid.uuid4()}"
    text_of(
        gateway.ask(
            "Remember the number 42.",
            name,
            messages=[
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Remember the number 42."},
            ],
        )
    )
    pid = gateway.pid(name)
    session = strict(client.beta.sessions.retrieve(name))
    assert (session.agent.id, session.agent.version, session.environment_id) == ("agent_chat", 1, "env_local")
    assert (session.status, session.agent.system, session.agent.tools) == ("idle", "Be brief.", [])
    assert name in [strict(one).id for one in client.beta.sessions.list(limit=100)]
    assert kinds(told(client, name)) == ["user.message", "agent.message"]
    events = watch(client, name, said("What number did I ask you to remember?"))
    assert "42" in answer(events)
    assert gateway.session(name)["profile"] == "chat"
    assert gateway.pid(name) == pid
    assert "42" in text_of(gateway.ask("What number did I ask you to remember?", name))
    refused(client.beta.sessions.update, name, agent={"tools": []}, match="made in another dialect")
    file = client.beta.files.upload(file=("data.csv", b"a,b\n", "text/csv"))
    refused(client.beta.sessions.resources.add, name, type="file", file_id=file.id, match="a chat without tools")
    assert client.beta.sessions.update(name, metadata={"topic": "x"}).metadata == {"topic": "x"}
    assert gateway.http.get(f"/v1/conversations/{name}").json()["metadata"] == {"topic": "x"}


def test_a_fork_of_a_session_keeps_its_policies_when_it_gets_a_file(client: Anthropic, gateway: Gateway) -> None:
    session = session_with(client, ASKING)
    watch(client, session.id, said("Hello!"))
    forked = gateway.http.post(f"/v1/sessions/{session.id}/fork", json={})
    assert forked.status_code in (200, 201), forked.text
    fork = forked.json()["id"]
    file = client.beta.files.upload(file=("data.csv", b"a,b\n1,2\n", "text/csv"))
    added = client.beta.sessions.resources.add(fork, type="file", file_id=file.id)
    asks_elsewhere(gateway, fork)
    use = {"type": "user.tool_confirmation", "result": "allow"}
    (asked,) = of_type(watch(client, fork, said(bash("cat uploads/data.csv"))), "agent.tool_use")
    assert asked.evaluated_permission == "ask"
    assert "a,b\n1,2" in answer(watch(client, fork, {**use, "tool_use_id": asked.id}))
    client.beta.sessions.resources.delete(added.id, session_id=fork)
    asks_elsewhere(gateway, fork)


def test_a_call_that_another_dialect_left_open_is_answered_here(client: Anthropic, gateway: Gateway) -> None:
    name = f"conv-{uuid.uuid4()}"
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": WEATHER["input_schema"]}}
    asked = gateway.ask("What's the weather like in Paris?", name, tools=[tool])
    assert asked.json()["choices"][0]["finish_reason"] == "tool_calls"
    log = told(client, name)
    (call,) = of_type(log, "agent.custom_tool_use")
    assert log[-1].stop_reason.event_ids == [call.id]
    content = [{"type": "text", "text": "sunny"}]
    result = {"type": "user.custom_tool_result", "custom_tool_use_id": call.id, "content": content}
    assert "sunny" in answer(watch(client, name, result))


def test_an_approval_of_a_session_can_be_decided_in_our_own_room(client: Anthropic, gateway: Gateway) -> None:
    session = session_with(client, ASKING)
    (use,) = of_type(watch(client, session.id, said(bash("echo allowed"))), "agent.tool_use")
    (approval,) = gateway.http.get(f"/v1/sessions/{session.id}/approvals").json()["data"]
    with client.beta.sessions.events.stream(session.id) as stream:
        decided = gateway.http.post(f"/v1/sessions/{session.id}/approvals/{approval['id']}", json={"decision": "allow"})
        assert decided.status_code == 200, decided.text
        events = []
        for event in stream:
            events.append(strict(event))
            if is_idle(event):
                break
    assert "allowed" in answer(events)
    assert of_type(events, "agent.tool_result")[0].tool_use_id == use.id


def asks_elsewhere(gateway: Gateway, session_id: str) -> None:
    """A call in another dialect waits for a person, who denies it."""
    waiting = f"/v1/sessions/{session_id}/approvals"
    with ThreadPoolExecutor(1) as beside:
        chat = beside.submit(gateway.ask, bash("echo made"), session_id, model="agent/sonnet")
        eventually(lambda: chat.done() or gateway.http.get(waiting).json()["data"], within=20)
        (approval,) = gateway.http.get(waiting).json()["data"]
        assert gateway.http.post(f"{waiting}/{approval['id']}", json={"decision": "deny"}).status_code == 200
        assert "A person denied this call" in text_of(chat.result())


@pytest.mark.parametrize("process", ["live", "resumed"])
def test_what_a_session_asks_for_waits_in_every_dialect(client: Anthropic, gateway: Gateway, process: str) -> None:
    session = session_with(client, ASKING)
    watch(client, session.id, said("Hello!"))
    if process == "resumed":
        assert gateway.http.post(f"/v1/sessions/{session.id}/hibernate").status_code == 200
    asks_elsewhere(gateway, session.id)


@pytest.mark.parametrize("process", ["live", "resumed"])
def test_what_a_session_is_changed_to_holds_at_once_in_every_dialect(
    client: Anthropic, gateway: Gateway, model: Model, process: str
) -> None:
    session = session_with(client, TOOLSET)
    watch(client, session.id, said("Hello!"))
    if process == "resumed":
        assert gateway.http.post(f"/v1/sessions/{session.id}/hibernate").status_code == 200
    file = client.beta.files.upload(file=("data.csv", b"a,b\n1,2\n", "text/csv"))
    client.beta.sessions.resources.add(session.id, type="file", file_id=file.id)
    read = gateway.ask(bash("cat uploads/data.csv"), session.id, model="agent/sonnet")
    assert "a,b\n1,2" in text_of(read)
    tools: Any = [ASKING]
    client.beta.sessions.update(session.id, agent={"tools": tools})
    asks_elsewhere(gateway, session.id)
    tools = [{**TOOLSET, "default_config": {"enabled": False}, "configs": [{"name": "read", "enabled": True}]}]
    client.beta.sessions.update(session.id, agent={"tools": tools})
    text = str(uuid.uuid4())
    text_of(gateway.ask(text, session.id, model="agent/sonnet"))
    assert [tool["name"] for tool in model.asked(text)[0]["tools"]] == ["Read"]


def test_a_file_that_is_added_during_a_turn_is_there_in_every_dialect(client: Anthropic, gateway: Gateway) -> None:
    session = session_with(client, TOOLSET)
    file = client.beta.files.upload(file=("data.csv", b"a,b\n1,2\n", "text/csv"))
    with client.beta.sessions.events.stream(session.id) as stream:
        client.beta.sessions.events.send(session.id, events=[said(bash("sleep 1"))])
        for event in stream:
            if event.type == "agent.tool_use":
                client.beta.sessions.resources.add(session.id, type="file", file_id=file.id)
            if is_idle(event):
                break
    assert "a,b\n1,2" in text_of(gateway.ask(bash("cat uploads/data.csv"), session.id, model="agent/sonnet"))


def test_our_own_room_stays_as_it_is_without_the_header(client: Anthropic, gateway: Gateway) -> None:
    session = session_with(client, TOOLSET)
    watch(client, session.id, said("Hello!"))
    ours = gateway.session(session.id)
    assert (ours["object"], ours["profile"], ours["turns"]) == ("session", "agent", 1)
    assert session.id in [one["id"] for one in gateway.http.get("/v1/sessions").json()["data"]]
    with gateway.http.stream("GET", f"/v1/sessions/{session.id}/events") as answer_:
        assert answer_.headers["content-type"].startswith("text/event-stream")
        assert next(answer_.iter_lines()).startswith("id: ")
    assert gateway.http.post("/v1/sessions", json={}).status_code == 405
    beta = {"anthropic-beta": "other-2020-01-01, managed-agents-2026-04-01"}
    assert gateway.http.get(f"/v1/sessions/{session.id}", headers=beta).json()["type"] == "session"
