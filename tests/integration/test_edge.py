"""What the server refuses before a process is touched, and how it says so."""

from __future__ import annotations

from typing import Any

import pytest

from tests.gateway import Gateway, text_of

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
