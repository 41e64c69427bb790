"""What goes wrong, and what a client then sees: the conversation always goes on from its last completed turn."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.conftest import Model
from tests.gateway import Gateway, chunks_of, eventually, text_of

Start = Callable[..., Gateway]


def test_a_child_killed_between_turns_costs_nothing_but_time(gateway: Gateway) -> None:
    for number in range(3):
        text_of(gateway.ask(f"Remember the word k{number}.", "killed-idle"))
        pid = gateway.pid("killed-idle")
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: gateway.session("killed-idle")["pid"] is None)
    answer = gateway.ask("List everything you remember?", "killed-idle")
    assert all(f"k{number}" in text_of(answer) for number in range(3))
    assert answer.headers["X-Session-Start"] == "resumed"
    assert gateway.pid("killed-idle") != pid


def test_a_child_killed_in_mid_turn_is_a_retryable_error_that_leaves_nothing_behind(
    gateway: Gateway, model: Model
) -> None:
    text_of(gateway.ask("Remember the word before.", "killed-busy"))
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(gateway.ask, "lost-turn [[offline: words 500]] [[offline: pace 0.05]]", "killed-busy")
        eventually(lambda: len(model.asked("lost-turn")) == 1)
        os.kill(gateway.pid("killed-busy"), signal.SIGKILL)
        answer = running.result()
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "process_died")
    assert "Retry-After" in answer.headers
    assert "x-should-retry" not in answer.headers
    assert "before" in text_of(gateway.ask("after-kill: What word should you remember?", "killed-busy"))
    assert "lost-turn" not in str(model.dialogue("after-kill"))


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_interrupts_the_turn_and_keeps_the_session(
    gateway: Gateway, model: Model, stream: bool
) -> None:
    name = f"left-{stream}"
    text_of(gateway.ask("Remember the word before.", name))
    pid = gateway.pid(name)
    body = {
        "conversation_id": name,
        "stream": stream,
        "messages": [{"role": "user", "content": f"{name}-cut [[offline: words 500]] [[offline: pace 0.05]]"}],
    }
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            f"{gateway.url}/v1/chat/completions", json=body, timeout=httpx.Timeout(5, read=0.6)
        ) if not stream else (_read_a_little(gateway, body))
    eventually(lambda: gateway.session(name)["state"] == "idle", within=1.0)
    assert gateway.pid(name) == pid
    answer = gateway.ask(f"{name}-after: What word should you remember?", name)
    assert ("before" in text_of(answer), answer.headers["X-Session-Start"]) == (True, "live")
    assert f"{name}-cut" not in str(model.dialogue(f"{name}-after"))


def _read_a_little(gateway: Gateway, body: dict[str, object]) -> None:
    with httpx.stream("POST", f"{gateway.url}/v1/chat/completions", json=body, timeout=30) as answer:
        chunks = chunks_of(answer.iter_lines())
        for _ in range(3):
            next(chunks)
    raise httpx.ReadTimeout("left")


def test_a_client_that_leaves_a_silent_stream_is_noticed(gateway: Gateway) -> None:
    body = {
        "conversation_id": "left-silent",
        "stream": True,
        "messages": [{"role": "user", "content": "[[offline: hang]]"}],
    }
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{gateway.url}/v1/chat/completions", json=body, timeout=httpx.Timeout(5, read=1.5))
    eventually(
        lambda: all(
            s["id"] != "left-silent" or s["state"] == "idle" for s in gateway.http.get("/v1/sessions").json()["data"]
        ),
        within=1.0,
    )


@pytest.mark.parametrize(
    ("directive", "status", "code", "retry"),
    [
        ("error 401", 401, "upstream_authentication_failed", False),
        ("error 403", 403, "upstream_permission_denied", False),
        ("error 429", 429, "rate_limit_exceeded", True),
        ("error 529", 529, "upstream_overloaded", True),
        ("error 500", 502, "upstream_error", True),
        ("error 400", 400, "upstream_invalid_request", False),
        ("error 404", 404, "model_not_found", False),
        ("overflow", 400, "context_length_exceeded", False),
        ("refuse", 400, "content_filter", False),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_upstream_failures_have_a_status_and_code_of_their_own(
    gateway: Gateway, model: Model, directive: str, status: int, code: str, retry: bool, stream: bool
) -> None:
    name = f"upstream-{code}-{status}-{stream}"
    text_of(gateway.ask("Remember the word steady.", name))
    pid = gateway.pid(name)
    answer = gateway.ask(f"{name}-bad [[offline: {directive}]]", name, stream=stream)
    if code == "content_filter" and stream:
        assert '"code":"content_filter"' in answer.text
    else:
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text
        assert answer.headers["X-Conversation-ID"] == name
        assert ("Retry-After" in answer.headers) is retry
        assert answer.headers.get("x-should-retry") == (None if retry else "false")
    follow = gateway.ask(f"{name}-after: What word should you remember?", name)
    assert "steady" in text_of(follow)
    # The CLI compacts its context before it gives up on an overflow: that process cannot go on.
    assert (gateway.pid(name) == pid) is (code != "context_length_exceeded")
    assert "-bad" not in str(model.dialogue(f"{name}-after"))


def test_a_stream_that_breaks_upstream_never_repeats_text(gateway: Gateway) -> None:
    body = {"stream": True, "messages": [{"role": "user", "content": "[[offline: overloaded]] [[offline: words 40]]"}]}
    answer = gateway.http.post("/v1/chat/completions", json=body)
    chunks = list(chunks_of(iter(answer.text.splitlines())))
    words = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks if "choices" in chunk).split()
    assert len(words) == len(set(words))
    assert "error" in chunks[-1]
    assert "[DONE]" not in answer.text


def test_a_model_that_never_begins_is_given_up_with_a_hint(start_gateway: Start) -> None:
    gateway = start_gateway({"claude__first_event_seconds": 1})
    began = time.monotonic()
    answer = gateway.ask("[[offline: hang]]", "silent")
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "turn_timeout")
    assert "credentials" in answer.json()["error"]["message"]
    assert time.monotonic() - began < 6


def test_a_turn_longer_than_the_limit_is_ended_and_the_session_lives_on(start_gateway: Start) -> None:
    gateway = start_gateway({"claude__timeout_seconds": 2})
    text_of(gateway.ask("Remember the word calm.", "endless"))
    pid = gateway.pid("endless")
    answer = gateway.ask("[[offline: words 5000]] [[offline: pace 0.05]]", "endless")
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "turn_timeout")
    assert "calm" in text_of(gateway.ask("What word should you remember?", "endless"))
    assert gateway.pid("endless") == pid


def test_a_cli_that_cannot_start_is_reported_as_such(start_gateway: Start) -> None:
    gateway = start_gateway({"claude__command": "/bin/false"})
    answer = gateway.ask("hello", "stillborn")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "process_start_failed")
    assert gateway.http.get("/v1/sessions").json()["data"] == []


def test_a_heartbeat_keeps_a_silent_stream_open(start_gateway: Start) -> None:
    gateway = start_gateway({"server__heartbeat_seconds": 0.3})
    body = {"stream": True, "messages": [{"role": "user", "content": "[[offline: delay 2]] hello"}]}
    answer = gateway.http.post("/v1/chat/completions", json=body)
    assert answer.text.count(": keep-alive") >= 2
    assert answer.text.rstrip().endswith("data: [DONE]")


def test_deltas_arrive_as_the_model_produces_them(gateway: Gateway) -> None:
    body = {"stream": True, "messages": [{"role": "user", "content": "[[offline: words 10]] [[offline: pace 0.1]]"}]}
    times: list[float] = []
    with gateway.http.stream("POST", "/v1/chat/completions", json=body) as answer:
        for chunk in chunks_of(answer.iter_lines()):
            if chunk["choices"] and chunk["choices"][0]["delta"].get("content"):
                times.append(time.monotonic())
    assert len(times) >= 8
    assert times[-1] - times[0] > 0.5


def test_thinking_comes_as_reasoning_content(gateway: Gateway) -> None:
    answer = gateway.ask("Please think about it.", "thinker")
    message = answer.json()["choices"][0]["message"]
    assert "Please think" in message["reasoning_content"]
    assert "They said" not in message["content"]


def test_a_server_that_drains_lets_the_turn_finish_and_leaves_nothing(start_gateway: Start) -> None:
    gateway = start_gateway()
    text_of(gateway.ask("hello", "idle-one"))
    answers: list[httpx.Response] = []
    thread = threading.Thread(
        target=lambda: answers.append(gateway.ask("[[offline: words 30]] [[offline: pace 0.05]]", "running"))
    )
    thread.start()
    eventually(lambda: any(s["state"] == "busy" for s in gateway.http.get("/v1/sessions").json()["data"]))
    children = gateway.children()
    gateway.process.send_signal(signal.SIGTERM)
    thread.join()
    assert text_of(answers[0]).endswith("word30")
    gateway.process.wait(timeout=10)
    assert gateway.process.returncode == 0
    assert not any(child.is_running() for child in children)


def test_a_turn_that_outlasts_the_grace_time_is_told(start_gateway: Start) -> None:
    gateway = start_gateway({"server__shutdown_grace_seconds": 1})
    answers: list[httpx.Response] = []
    thread = threading.Thread(target=lambda: answers.append(gateway.ask("[[offline: hang]]", "stuck")))
    thread.start()
    eventually(lambda: any(s["state"] == "busy" for s in gateway.http.get("/v1/sessions").json()["data"]))
    gateway.process.send_signal(signal.SIGTERM)
    thread.join()
    assert (answers[0].status_code, answers[0].json()["error"]["code"]) == (503, "server_shutting_down")
    gateway.process.wait(timeout=10)
