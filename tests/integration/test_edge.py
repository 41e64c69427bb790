"""What the server refuses before a process is touched, and how it says so."""

from __future__ import annotations

import json
import socket
import time
from typing import Any

import psutil
import pytest

from tests.gateway import Gateway, eventually, text_of

HELLO = [{"role": "user", "content": "hello"}]


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", ""])
def test_a_foreign_host_is_refused(gateway: Gateway, host: str) -> None:
    answer = gateway.http.get("/v1/sessions", headers={"Host": host})
    assert answer.status_code in (400, 403)
    assert gateway.http.get("/v1/sessions", headers={"Host": "localhost:1234"}).status_code == 200


@pytest.mark.parametrize(
    ("origin", "status"), [("https://evil.example", 403), ("null", 403), ("http://localhost:3000", 200)]
)
def test_a_foreign_origin_is_refused(gateway: Gateway, origin: str, status: int) -> None:
    assert gateway.http.get("/v1/sessions", headers={"Origin": origin}).status_code == status


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_a_body_that_is_not_json_is_refused(gateway: Gateway, kind: str) -> None:
    answer = gateway.http.post("/v1/chat/completions", content=b'{"messages": []}', headers={"Content-Type": kind})
    assert answer.status_code == 415
    assert answer.json()["error"]["code"] == "unsupported_media_type"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"messages": "\xff"}', "UTF-8"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (b'{"a": ', "not valid JSON"),
    ],
)
def test_a_body_that_cannot_be_read_is_told_why(gateway: Gateway, body: bytes, told: str) -> None:
    answer = gateway.http.post("/v1/chat/completions", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert told in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("content", "param"),
    [
        ([{"type": "text", "text": 7}], "messages[0].content[0].text"),
        ([{"text": "a"}], "messages[0].content[0].type"),
        (7, "messages[0].content"),
    ],
)
def test_of_what_a_content_may_be_the_error_is_about_what_was_meant(gateway: Gateway, content: Any, param: str) -> None:
    answer = gateway.http.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": content}]})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_health_is_asked_by_head_as_well_and_models_have_a_birthday(gateway: Gateway) -> None:
    assert gateway.http.head("/health").status_code == 200
    created = gateway.http.get("/v1/models").json()["data"][0]["created"]
    assert abs(created - time.time()) < 24 * 3600


def test_options_that_are_null_and_headers_that_are_empty_say_nothing(gateway: Gateway) -> None:
    body = {"messages": HELLO, "stream": True, "stream_options": {"include_usage": None}}
    answer = gateway.http.post("/v1/chat/completions", json=body, headers={"X-Conversation-ID": ""})
    assert answer.status_code == 200


def test_a_served_page_can_read_what_the_edge_refuses(start_gateway: Any) -> None:
    gateway = start_gateway({"server__allowed_origins": ["https://chat.example"]})
    headers = {"Origin": "https://chat.example", "Content-Type": "text/plain"}
    answer = gateway.http.post("/v1/chat/completions", content=b"{}", headers=headers)
    assert answer.status_code == 415
    assert answer.headers["access-control-allow-origin"] == "https://chat.example"
    answer = gateway.http.get("/v1/nothing", headers=headers)
    assert answer.headers.get_list("access-control-allow-origin") == ["https://chat.example"]
    assert "x-should-retry" in answer.headers["access-control-expose-headers"]
    refused = gateway.http.get("/health", headers={"Origin": "https://evil.example"})
    assert refused.json()["error"]["code"] == "origin_not_allowed"
    assert "access-control-allow-origin" not in refused.headers


def test_a_body_that_is_too_large_is_refused(gateway: Gateway) -> None:
    def body() -> Any:
        for _ in range(40):
            yield b" " * 2**20

    headers = {"Content-Type": "application/json"}
    told = gateway.http.post("/v1/chat/completions", content=b" " * (33 * 2**20), headers=headers)
    untold = gateway.http.post("/v1/chat/completions", content=body(), headers=headers)
    assert (told.status_code, untold.status_code) == (413, 413)
    assert "max_body_bytes" in untold.json()["error"]["message"]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"messages": []}, "messages"),
        ({}, "messages"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": ""}]}, "messages[0].content"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "messages"),
        ({"messages": HELLO, "model": "gpt 17"}, "model"),
        ({"messages": HELLO, "model": "--help"}, "model"),
        ({"messages": HELLO, "conversation_id": "a b"}, "conversation_id"),
        ({"messages": HELLO, "conversation_id": 7}, "conversation_id"),
        ({"messages": HELLO, "stream": "maybe"}, "stream"),
        ({"messages": HELLO, "tools": [{"type": "function"}]}, "tools[0].function"),
        ({"messages": HELLO, "tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
        ({"messages": HELLO, "response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"messages": HELLO, "n": 2}, "n"),
        ({"messages": HELLO, "stop": [" "]}, "stop"),
        ({"messages": HELLO, "max_tokens": "5"}, "max_tokens"),
        ({"messages": HELLO, "logprobs": True}, "logprobs"),
        ({"messages": [{"role": "tool", "tool_call_id": "x", "content": "x"}]}, "messages[0].role"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]}]},
            "messages[0].content[0].image_url.url",
        ),
    ],
)
def test_bad_input_names_the_field(gateway: Gateway, body: dict[str, Any], param: str) -> None:
    answer = gateway.http.post("/v1/chat/completions", json=body)
    error = answer.json()["error"]
    assert answer.status_code == (404 if param == "model" else 400)
    assert error["param"] == param, error
    assert set(error) == {"message", "type", "param", "code"}
    assert answer.headers["x-should-retry"] == "false"


def test_what_has_no_effect_is_listed(gateway: Gateway) -> None:
    answer = gateway.ask("hello", "ignored", temperature=0.2, seed=1, made_up=True, n=1, tools=[], stop=None)
    text_of(answer)
    assert answer.headers["X-Ignored-Params"] == "temperature, seed, made_up"


def test_strict_params_refuses_what_has_no_effect(start_gateway: Any) -> None:
    gateway: Gateway = start_gateway({"api__strict_params": True})
    answer = gateway.ask("hello", temperature=0.2)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "temperature")


def test_two_different_ids_are_refused(gateway: Gateway) -> None:
    answer = gateway.http.post(
        "/v1/chat/completions",
        json={"messages": HELLO, "conversation_id": "one"},
        headers={"X-Conversation-ID": "two"},
    )
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "conversation_id")


def test_every_answer_has_a_request_id_and_keeps_the_callers(gateway: Gateway) -> None:
    assert gateway.http.get("/health").headers["X-Request-ID"].startswith("req_")
    assert gateway.http.get("/nowhere", headers={"X-Request-ID": "mine-1"}).headers["X-Request-ID"] == "mine-1"
    assert gateway.http.get("/nowhere").json()["error"]["message"].startswith("There is no GET /nowhere")


def test_malformed_json_is_explained(gateway: Gateway) -> None:
    answer = gateway.http.post("/v1/chat/completions", content=b"{", headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert "not valid JSON" in answer.json()["error"]["message"]


def test_the_api_describes_itself(gateway: Gateway) -> None:
    paths = gateway.http.get("/openapi.json").json()["paths"]
    assert {"/v1/chat/completions", "/v1/models", "/v1/sessions", "/stats", "/health"} <= set(paths)
    assert gateway.http.get("/docs").status_code == 200


def test_clients_that_stand_still_do_not_stay(start_gateway: Any) -> None:
    gateway = start_gateway({"server__slow_client_seconds": 1})
    name, _, port = gateway.url.removeprefix("http://").partition(":")
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {name}\r\nContent-Type: application/json\r\n"

    def connections() -> int:
        server = psutil.Process(gateway.process.pid)
        return sum(one.laddr.port == int(port) for one in server.net_connections() if one.status != "LISTEN")

    with socket.socket() as silent, socket.socket() as deaf:
        silent.connect((name, int(port)))
        silent.sendall(f"{head}Content-Length: 100\r\n\r\n".encode() + b"{")
        silent.settimeout(10)
        assert b" 408 " in silent.recv(1000)
        gateway.http.close()
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        deaf.connect((name, int(port)))
        body = json.dumps({"stream": True, "messages": [{"role": "user", "content": "[[offline: words 900000]]"}]})
        deaf.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        silent.close()
        eventually(lambda: connections() == 1, 20)
        eventually(lambda: connections() == 0, 60)  # given up by the server, or by the kernel when little was written
    assert "without completing response" not in gateway.log()
