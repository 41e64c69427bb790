"""Odd input and odd processes: nothing leaks, nothing hangs, nothing runs twice."""

from __future__ import annotations

import socket
import stat
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import Model
from tests.gateway import Gateway, chunks_of, eventually, text_of

Start = Callable[..., Gateway]
HISTORY = [
    {"role": "user", "content": "a very private thought"},
    {"role": "assistant", "content": "noted"},
    {"role": "user", "content": "go on"},
]


@pytest.mark.parametrize("style", ["human", "json"])
def test_a_start_that_fails_tells_no_secret_and_no_prompt(start_gateway: Start, style: str) -> None:
    gateway = start_gateway({"claude__command": "/bin/false", "log__format": style})
    for messages in (HISTORY, HISTORY[2:]):
        answer = gateway.http.post("/v1/chat/completions", json={"messages": messages})
        assert answer.status_code == 503
    assert "test-key" not in gateway.log()
    assert "private thought" not in gateway.log()
    assert "Traceback" not in gateway.log()


@pytest.mark.parametrize("name", ["日本", "a\r\nX-Evil: 1", "x" * 5000])
@pytest.mark.parametrize("stream", [False, True])
def test_an_odd_field_name_cannot_reach_the_headers(gateway: Gateway, name: str, stream: bool) -> None:
    body = {"messages": [{"role": "user", "content": "hello"}], name: 1, "stream": stream}
    answer = gateway.http.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200
    assert "X-Evil" not in answer.headers
    assert answer.headers["X-Ignored-Params"] == "(unprintable)"


def test_many_unknown_fields_make_no_endless_header(gateway: Gateway) -> None:
    body = {"messages": [{"role": "user", "content": "hello"}], **{f"field{number}": 1 for number in range(3000)}}
    answer = gateway.http.post("/v1/chat/completions", json=body)
    assert len(answer.headers["X-Ignored-Params"]) < 1000


def test_nested_options_without_effect_are_listed(gateway: Gateway) -> None:
    body = {
        "stream": True,
        "stream_options": {"include_usage": True, "include_obfuscation": False},
        "messages": [
            {
                "role": "user",
                "name": "ada",
                "content": [{"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}}],
            }
        ],
    }
    listed = gateway.http.post("/v1/chat/completions", json=body).headers["X-Ignored-Params"].split(", ")
    assert set(listed) == {
        "stream_options.include_obfuscation",
        "messages[].name",
        "messages[].content[].cache_control",
    }


def test_half_a_character_is_refused_with_its_place(gateway: Gateway) -> None:
    body = b'{"messages": [{"role": "user", "content": "a\\ud800b"}]}'
    answer = gateway.http.post("/v1/chat/completions", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "messages[0].content")


@pytest.mark.parametrize(
    ("messages", "status", "param"),
    [
        ([{"role": "user", "content": "x"}] * 20_000, 404, "model"),
        ([{"role": "user", "content": "x"}] * 300_000, 400, "messages"),
        ([{"role": "user", "content": [{"type": "text", "text": "x" * 1000}] * 10_000}], 404, "model"),
        ([{"role": "user", "content": [{"type": "text", "text": "x"}] * 10_001}], 400, "messages[0].content"),
    ],
)
def test_a_request_of_many_pieces_does_not_stop_the_server(
    gateway: Gateway, messages: list[Any], status: int, param: str
) -> None:
    body = {"messages": messages, "n": 1, "model": "no such model"}
    began = time.monotonic()
    answer = gateway.http.post("/v1/chat/completions", json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)
    assert time.monotonic() - began < 5


def test_half_a_character_in_the_metadata_is_no_defect(gateway: Gateway) -> None:
    body = b'{"messages": [{"role": "user", "content": "hi"}], "metadata": {"session_id": "a\\ud800"}}'
    answer = gateway.http.post("/v1/chat/completions", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 200


@pytest.mark.parametrize("depth", [90, 300, 600, 900, 5_000])
@pytest.mark.parametrize("stream", [False, True])
def test_arguments_that_a_model_nests_deeply_are_no_defect(gateway: Gateway, depth: int, stream: bool) -> None:
    tools = [{"type": "function", "function": {"name": "f"}}]
    asked = f'[[offline: call f {{"a": {"[" * depth}{"]" * depth}}}]]'
    answer = gateway.ask(asked, tools=tools, stream=stream)
    assert "internal_error" not in answer.text
    if depth < 700:
        assert answer.status_code == 200
        assert "tool_calls" in answer.text
    calls = [{"id": "a", "type": "function", "function": {"name": "f", "arguments": asked[asked.index("{") : -2]}}]
    history = [
        {"role": "user", "content": "x"},
        {"role": "assistant", "tool_calls": calls},
        {"role": "tool", "tool_call_id": "a", "content": "done"},
    ]
    answer = gateway.http.post("/v1/chat/completions", json={"messages": history, "tools": tools})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "host", ["[::1", "[evil", "evil.com@127.0.0.1", "127.0.0.1#.evil.com", "127.0.0.1/evil", "evil.com\\@127.0.0.1"]
)
def test_a_malformed_host_is_refused(gateway: Gateway, host: str) -> None:
    name, _, port = gateway.url.removeprefix("http://").partition(":")
    with socket.create_connection((name, int(port)), timeout=5) as connection:
        connection.sendall(f"GET /health HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        assert connection.recv(100).split()[1] in (b"403", b"400")


def test_a_malformed_origin_is_refused(gateway: Gateway) -> None:
    assert gateway.http.get("/health", headers={"Origin": "http://[evil"}).status_code == 403


def test_an_answer_at_the_token_limit_ends_there_and_says_length(gateway: Gateway, model: Model) -> None:
    whole = gateway.ask("limit-one [[offline: cut]]", "limited")
    assert whole.json()["choices"][0]["finish_reason"] == "length"
    streamed = gateway.ask("limit-two [[offline: cut]]", "limited", stream=True)
    chunks = list(chunks_of(iter(streamed.text.splitlines())))
    assert chunks[-1]["choices"][0]["finish_reason"] == "length"
    follow = gateway.ask("limit-three", "limited")
    assert follow.headers["X-Session-Start"] == "live"
    roles = [role for role, _ in model.dialogue("limit-three")]
    assert roles == ["user", "assistant", "user", "assistant", "user"]
    assert "Output token limit" not in str(model.dialogue("limit-three"))


def test_a_known_origin_gets_cors_and_only_when_configured(start_gateway: Start, gateway: Gateway) -> None:
    preflight = {
        "Origin": "https://chat.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    configured = start_gateway({"server__allowed_origins": ["https://chat.example"]})
    allowed = configured.http.options("/v1/chat/completions", headers=preflight)
    assert (allowed.status_code, allowed.headers["Access-Control-Allow-Origin"]) == (200, "https://chat.example")
    answer = configured.http.get("/v1/models", headers={"Origin": "https://chat.example"})
    assert "X-Conversation-ID" in answer.headers["Access-Control-Expose-Headers"]
    assert gateway.http.options("/v1/chat/completions", headers=preflight).status_code == 403


def test_what_is_on_disk_is_the_owners_alone(gateway: Gateway) -> None:
    text_of(gateway.ask("hello", "private-files"))
    open_to_others = [
        path
        for path in (gateway.data_dir / "data").rglob("*")
        if not path.is_symlink() and stat.S_IMODE(path.stat().st_mode) & 0o077
    ]
    assert open_to_others == []


FAKE_CLI = """#!{python}
import json, os, sys, time
for line in sys.stdin:
    frame = json.loads(line)
    if frame["type"] == "control_request":
        answer = {{"subtype": "success", "request_id": frame["request_id"], "response": {{}}}}
        print(json.dumps({{"type": "control_response", "response": answer}}), flush=True)
    elif frame["type"] == "user":
        begun = {{"type": "command_lifecycle", "command_uuid": frame["uuid"], "state": "started"}}
        print(json.dumps(begun), flush=True)
        {misbehave}
"""
"""A CLI that misbehaves in ways that the real one cannot be asked to."""


@pytest.mark.parametrize(
    "misbehave",
    [
        "print('[]', flush=True)",
        "print('not json', flush=True)",
        """print('{"type": "stream_event", "event": {"type": "message_start"}}', flush=True)""",
        "print('x' * (65 * 2**20), flush=True)",
        "os.spawnlp(os.P_NOWAIT, 'sleep', 'sleep', '30'); os._exit(1)",
    ],
)
def test_a_cli_that_misbehaves_is_ended_and_its_client_told(
    start_gateway: Start, tmp_path: Path, misbehave: str
) -> None:
    fake = tmp_path / "claude"
    fake.write_text(FAKE_CLI.format(python=sys.executable, misbehave=misbehave))
    fake.chmod(0o755)
    gateway = start_gateway({"claude__command": str(fake)})
    began = time.monotonic()
    answer = gateway.ask("hello", "misled")
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "process_died")
    assert time.monotonic() - began < 8
    eventually(lambda: gateway.stats()["sessions"]["live"] == 0, within=8)


def test_a_queue_that_waits_for_a_slot_is_answered_together(start_gateway: Start) -> None:
    gateway = start_gateway({"claude__max_concurrent_sessions": 1, "claude__slot_wait_seconds": 1})
    with httpx.Client(base_url=gateway.url, timeout=30) as other:
        hang = {
            "stream": True,
            "messages": [{"role": "user", "content": "[[offline: words 200]] [[offline: pace 0.05]]"}],
        }
        with other.stream("POST", "/v1/chat/completions", json=hang):
            began = time.monotonic()
            with ThreadPoolExecutor(4) as pool:
                answers = list(pool.map(lambda _: gateway.ask("hello", "queue"), range(4)))
            assert [answer.status_code for answer in answers] == [429] * 4
            assert time.monotonic() - began < 3
