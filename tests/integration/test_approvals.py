"""Calls of an agent that wait for a person: the real CLI, over HTTP."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import Model
from tests.gateway import Gateway, chunks_of, eventually, runs
from tests.integration.test_agent import bash, call, message_of, work
from tests.integration.test_keys import client, make

Start = Callable[..., Gateway]
Json = dict[str, Any]


@pytest.fixture(scope="module")
def asking(model: Model) -> Iterator[Gateway]:
    """A server on which `Bash` waits for a person."""
    server = Gateway(model.server.url, {"agent__ask": ["Bash"], "claude__silence_seconds": 2})
    yield server
    server.stop()


@pytest.fixture
def beside() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as threads:
        yield threads


def waiting(gateway: Gateway, name: str) -> list[Json]:
    answer = gateway.http.get(f"/v1/sessions/{name}/approvals")
    if answer.status_code == 404:
        return []
    listed: list[Json] = answer.json()["data"]
    return listed


def wait_for(gateway: Gateway, name: str, count: int = 1) -> list[Json]:
    eventually(lambda: len(waiting(gateway, name)) == count, within=20)
    return waiting(gateway, name)


def decide(gateway: Gateway, name: str, approval: str, decision: str, **more: Any) -> httpx.Response:
    return gateway.http.post(f"/v1/sessions/{name}/approvals/{approval}", json={"decision": decision, **more})


def results(model: Model, needle: str) -> list[Json]:
    """The results of calls in the last request whose dialogue contains `needle`."""
    asked = [body for body in model.requests if needle in json.dumps(body["messages"])]
    blocks = [block for message in asked[-1]["messages"] for block in message["content"] if isinstance(block, dict)]
    return [block for block in blocks if block["type"] == "tool_result"]


def workspace(gateway: Gateway, needle: str) -> Path:
    """The directory in which a file of that name lies."""
    (found,) = gateway.data.glob(f"*/sessions/*/work/{needle}")
    return found.parent


def there(gateway: Gateway, name: str) -> bool:
    return any(gateway.data.glob(f"*/sessions/*/work/{name}"))


def ask(beside: ThreadPoolExecutor, gateway: Gateway, text: str, name: str) -> Future[httpx.Response]:
    return beside.submit(work, gateway, text, name)


# Decisions


def test_a_call_is_made_when_somebody_allows_it(asking: Gateway, beside: ThreadPoolExecutor) -> None:
    turn = ask(beside, asking, f"Begin {bash('touch allowed-1; echo made-it')}", "allow")
    (approval,) = wait_for(asking, "allow")
    assert (approval["object"], approval["status"], approval["name"]) == ("approval", "waiting", "Bash")
    assert approval["input"] == {"command": "touch allowed-1; echo made-it"}
    assert approval["conversation_id"] == "allow"
    assert 3590 <= approval["expires_at"] - approval["created_at"] <= 3601
    assert asking.session("allow")["pending_approvals"] == 1
    assert not there(asking, "allowed-1")
    decided = decide(asking, "allow", approval["id"], "allow")
    assert (decided.status_code, decided.json()["status"]) == (200, "allowed")
    assert "made-it" in message_of(turn.result())["content"]
    assert there(asking, "allowed-1")
    assert asking.session("allow")["pending_approvals"] == 0
    again = decide(asking, "allow", approval["id"], "deny")
    assert (again.status_code, again.json()["error"]["code"]) == (409, "approval_decided")
    assert again.headers["x-should-retry"] == "false"
    assert asking.http.get(f"/v1/sessions/allow/approvals/{approval['id']}").json() == decided.json()


def test_a_denied_call_is_not_made_and_the_model_is_told_why(
    asking: Gateway, beside: ThreadPoolExecutor, model: Model
) -> None:
    turn = ask(beside, asking, f"Denying {bash('touch denied-1')}", "deny")
    (approval,) = wait_for(asking, "deny")
    assert decide(asking, "deny", approval["id"], "deny", message="Not on a Friday.").json()["status"] == "denied"
    message = message_of(turn.result())
    (result,) = results(model, "Denying")
    assert result["is_error"]
    assert "A person denied this call. They say: Not on a Friday." in result["content"]
    assert "Bash failed: " in message["reasoning_content"]
    assert not there(asking, "denied-1")


def test_other_tools_do_not_wait(asking: Gateway) -> None:
    message = message_of(work(asking, f"Write {call('Write', file_path='unasked.txt', content='1')}", "unasked"))
    assert "Write: unasked.txt" in message["reasoning_content"]
    assert there(asking, "unasked.txt")


def test_calls_of_one_answer_wait_side_by_side(asking: Gateway, beside: ThreadPoolExecutor, model: Model) -> None:
    """The CLI asks for calls that only read at once, and for others one after another."""
    turn = ask(beside, asking, f"Pair {bash('echo pair-1')}{bash('echo pair-2')}", "pair")
    first, second = wait_for(asking, "pair", 2)
    decide(asking, "pair", second["id"], "deny")
    assert [one["id"] for one in wait_for(asking, "pair")] == [first["id"]]
    decide(asking, "pair", first["id"], "allow")
    turn.result()
    denied, made = sorted(results(model, "Pair"), key=lambda result: not result["is_error"])
    assert (made["content"], made["is_error"]) == ("pair-1", False)
    assert "A person denied this call." in denied["content"]


def test_what_a_sub_agent_calls_waits_too(asking: Gateway, beside: ThreadPoolExecutor) -> None:
    inner = bash("touch from-below").replace("[[", "[\\u005b").replace('"', '\\"')
    prompt = f'{{"description": "look", "subagent_type": "general-purpose", "prompt": "Look. {inner}"}}'
    turn = ask(beside, asking, f"[[offline: call Agent {prompt}]]", "below")
    (approval,) = wait_for(asking, "below")
    assert approval["input"]["command"] == "touch from-below"
    decide(asking, "below", approval["id"], "allow")
    message_of(turn.result())
    assert there(asking, "from-below")


def test_waiting_is_no_silence(asking: Gateway, beside: ThreadPoolExecutor) -> None:
    """A turn ends after 2 s of silence here."""
    turn = ask(beside, asking, f"Slow {bash('echo after-a-while')}", "silence")
    (approval,) = wait_for(asking, "silence")
    threading.Event().wait(4)
    decide(asking, "silence", approval["id"], "allow")
    assert "after-a-while" in message_of(turn.result())["content"]


def test_nobody_decides_in_time(start_gateway: Start, model: Model) -> None:
    gateway = start_gateway({"agent__ask": ["Bash"], "agent__approval_seconds": 1})
    message = message_of(work(gateway, f"Late {bash('touch late')}", "late"))
    (result,) = results(model, "Late ")
    assert result["is_error"]
    assert "nobody decided within 1 s" in result["content"]
    assert "Bash failed: " in message["reasoning_content"]
    assert not there(gateway, "late")
    assert waiting(gateway, "late") == []


def test_what_is_wrong_with_a_decision_is_named(asking: Gateway, beside: ThreadPoolExecutor) -> None:
    turn = ask(beside, asking, f"Wrong {bash('echo x')}", "wrong")
    (approval,) = wait_for(asking, "wrong")
    path = f"/v1/sessions/wrong/approvals/{approval['id']}"
    for body, param in (
        ({"decision": "maybe"}, "decision"),
        ({}, "decision"),
        ({"decision": "deny", "message": 1}, "message"),
    ):
        answer = asking.http.post(path, json=body)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert decide(asking, "wrong", "toolu_other", "allow").json()["error"]["code"] == "approval_not_found"
    assert decide(asking, "nowhere", approval["id"], "allow").json()["error"]["code"] == "conversation_not_found"
    assert asking.http.get("/v1/sessions/nowhere/approvals").status_code == 404
    decide(asking, "wrong", approval["id"], "allow")
    turn.result()


# What ends while a call waits


def test_an_interrupted_turn_leaves_nothing_that_waits(asking: Gateway, beside: ThreadPoolExecutor) -> None:
    turn = ask(beside, asking, f"Stop {bash('touch interrupted-1')}", "interrupt")
    (approval,) = wait_for(asking, "interrupt")
    pid = asking.pid("interrupt")
    assert asking.http.post("/v1/sessions/interrupt/interrupt").json()["interrupted"] is True
    assert turn.result().json()["error"]["code"] == "turn_cancelled"
    assert waiting(asking, "interrupt") == []
    late = decide(asking, "interrupt", approval["id"], "allow")
    assert (late.status_code, late.json()["error"]["code"]) == (409, "approval_decided")
    assert "cancelled" in late.json()["error"]["message"]
    answer = work(asking, "And now?", "interrupt")
    assert "You said: And now?" in message_of(answer)["content"]
    assert asking.pid("interrupt") == pid
    assert not there(asking, "interrupted-1")


def test_a_process_that_is_killed_takes_its_questions_with_it(asking: Gateway, beside: ThreadPoolExecutor) -> None:
    turn = ask(beside, asking, f"Kill {bash('touch killed-1')}", "killed")
    wait_for(asking, "killed")
    os.kill(asking.pid("killed"), signal.SIGKILL)
    assert turn.result().json()["error"]["code"] == "process_died"
    eventually(lambda: asking.session("killed")["state"] == "failed" if waiting(asking, "killed") else True)
    again = ask(beside, asking, f"Again {bash('echo once-more')}", "killed")
    (approval,) = wait_for(asking, "killed")
    decide(asking, "killed", approval["id"], "allow")
    assert "once-more" in message_of(again.result())["content"]
    assert not there(asking, "killed-1")


def test_a_conversation_can_be_deleted_meanwhile(asking: Gateway, beside: ThreadPoolExecutor) -> None:
    turn = ask(beside, asking, f"Gone {bash('touch gone-1')}", "gone")
    wait_for(asking, "gone")
    pid = asking.pid("gone")
    assert asking.http.delete("/v1/sessions/gone").status_code == 204
    assert turn.result().json()["error"]["code"] == "conversation_deleted"
    assert not runs(pid)


def test_the_server_can_be_stopped_meanwhile(start_gateway: Start, beside: ThreadPoolExecutor) -> None:
    gateway = start_gateway({"agent__ask": ["Bash"], "server__shutdown_grace_seconds": 0.5})
    turn = ask(beside, gateway, f"Term {bash('touch term-1')}", "term")
    wait_for(gateway, "term")
    pid = gateway.pid("term")
    gateway.process.send_signal(signal.SIGTERM)
    assert turn.result().json()["error"]["code"] == "server_shutting_down"
    assert gateway.process.wait(timeout=30) == 0
    assert not runs(pid)
    assert "Traceback" not in gateway.log()


# Those who watch


@contextmanager
def watched(gateway: Gateway, name: str, kinds: tuple[str, ...]) -> Iterator[list[tuple[str, Json]]]:
    """What a watcher hears of these kinds."""
    heard: list[tuple[str, Json]] = []

    def listen() -> None:
        try:
            with httpx.stream("GET", f"{gateway.url}/v1/sessions/{name}/events", timeout=30) as stream:
                kind = ""
                for line in stream.iter_lines():
                    if line.startswith("event: "):
                        kind = line[7:]
                    elif line.startswith("data: ") and kind in kinds:
                        heard.append((kind, json.loads(line[6:])))
        except httpx.TransportError:
            return

    threading.Thread(target=listen, daemon=True).start()
    yield heard


def test_watchers_hear_of_it(asking: Gateway, beside: ThreadPoolExecutor) -> None:
    work(asking, "Hello", "watch")
    with watched(asking, "watch", ("session.state", "approval.wanted", "approval.settled")) as heard:
        eventually(lambda: bool(heard))
        turn = ask(beside, asking, f"Look {bash('ls')}", "watch")
        (approval,) = wait_for(asking, "watch")
        decide(asking, "watch", approval["id"], "allow")
        turn.result()
        told = [(kind, data) for kind, data in heard if kind.startswith("approval")]
        assert [kind for kind, _ in told] == ["approval.wanted", "approval.settled"]
        assert told[0][1]["id"] == approval["id"]
        assert told[0][1]["text"] == "Waiting for approval: Bash: ls"
        assert told[1][1]["status"] == "allowed"


def test_a_stream_says_that_it_waits_and_goes_on(start_gateway: Start) -> None:
    gateway = start_gateway({"agent__ask": ["Bash"], "server__heartbeat_seconds": 0.3})
    body = {
        "model": "agent",
        "stream": True,
        "conversation_id": "stream",
        "messages": [{"role": "user", "content": bash("echo streamed")}],
    }
    with gateway.http.stream("POST", "/v1/chat/completions", json=body) as answer:
        lines: list[str] = []
        for line in answer.iter_lines():
            lines.append(line)
            if line.startswith(":"):  # nothing else comes while it waits
                for approval in waiting(gateway, "stream"):
                    decide(gateway, "stream", approval["id"], "allow")
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks_of(iter(lines))]
    reasoning = "".join(delta.get("reasoning_content") or "" for delta in deltas)
    assert reasoning == "Bash: echo streamed\n\nWaiting for approval: Bash: echo streamed"
    assert "streamed" in "".join(delta.get("content") or "" for delta in deltas)
    assert lines[-2] == "data: [DONE]"


def test_a_response_in_the_background_waits_without_its_client(asking: Gateway) -> None:
    asked = {"model": "agent", "input": f"Alone {bash('touch alone-1')}", "background": True, "store": True}
    response = asking.http.post("/v1/responses", json=asked)
    path, name = f"/v1/responses/{response.json()['id']}", response.headers["X-Conversation-ID"]
    (approval,) = wait_for(asking, name)
    decide(asking, name, approval["id"], "allow")
    eventually(lambda: asking.http.get(path).json()["status"] == "completed", within=20)
    assert there(asking, "alone-1")


def test_another_tenant_sees_and_decides_nothing(start_gateway: Start, beside: ThreadPoolExecutor) -> None:
    gateway = start_gateway({"agent__ask": ["Bash"], "agent__allow_unsandboxed": True})
    one, other = make(gateway.data), make(gateway.data, "--tenant", "other")
    mine, theirs = client(gateway, one), client(gateway, other)
    body = {"model": "agent", "conversation_id": "c", "messages": [{"role": "user", "content": bash("echo mine")}]}
    turn = beside.submit(mine.post, "/v1/chat/completions", json=body)
    eventually(lambda: bool(mine.get("/v1/sessions/c/approvals").json().get("data")), within=20)
    (approval,) = mine.get("/v1/sessions/c/approvals").json()["data"]
    path = f"/v1/sessions/c/approvals/{approval['id']}"
    assert theirs.get("/v1/sessions/c/approvals").status_code == 404
    assert theirs.post(path, json={"decision": "allow"}).status_code == 404
    assert mine.post(path, json={"decision": "allow"}).status_code == 200
    assert "mine" in turn.result().json()["choices"][0]["message"]["content"]
