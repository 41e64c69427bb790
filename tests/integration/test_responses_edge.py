"""What Responses refuse or bound at their edge: numbers, odd tools, fields without an effect, retries, WebSockets."""

from __future__ import annotations

import json
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.sync.connection import Connection

from tests.gateway import Gateway, eventually
from tests.integration.test_keys import Start, keys, make, public

URL = "/v1/responses"


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def finished(gateway: Gateway, body: dict[str, Any], key: str) -> Any:
    started = gateway.http.post(URL, json=body, headers={"Idempotency-Key": key})
    assert started.status_code == 200, started.text
    identity = started.json()["id"]
    eventually(lambda: gateway.http.get(f"{URL}/{identity}").json()["status"] == "completed")
    return started


def test_a_number_that_no_event_has_is_refused(gateway: Gateway) -> None:
    started = finished(gateway, {"input": "hello", "background": True}, "bounded")
    answer = gateway.http.get(f"{URL}/{started.json()['id']}", params={"stream": "true", "starting_after": 10**20})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "starting_after"


def test_a_retry_of_what_ran_in_the_background_says_so(gateway: Gateway) -> None:
    body = {"input": "hello", "background": True}
    started = finished(gateway, body, "again")
    retried = gateway.http.post(URL, json=body, headers={"Idempotency-Key": "again"})
    assert retried.json()["id"] == started.json()["id"]
    assert retried.headers["Idempotent-Replayed"] == "true"
    assert retried.headers["X-Conversation-ID"] == started.headers["X-Conversation-ID"]


def test_of_a_tool_that_is_passed_over_only_its_type_is_told_back(gateway: Gateway) -> None:
    answer = gateway.http.post(URL, json={"input": "hello", "tools": [{"type": "web_search", "odd": nested(400)}]})
    assert answer.status_code == 200, answer.text
    assert answer.json()["tools"] == [{"type": "web_search"}]


@pytest.mark.parametrize("field", ["name", "description"])
def test_a_namespace_is_text(gateway: Gateway, field: str) -> None:
    tool = {"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "f"}], field: "\ud800"}
    answer = gateway.http.post(
        URL, content=json.dumps({"input": "hello", "tools": [tool]}), headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == f"tools[0].{field}"


@pytest.mark.parametrize("path", ["input_tokens", "compact"])
def test_nothing_is_ignored_silently_beside_a_conversation(gateway: Gateway, path: str) -> None:
    refused = gateway.http.post(f"{URL}/{path}", json={"input": "hello", "conversation": "conv_1"})
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "conversation"
    answered = gateway.http.post(f"{URL}/{path}", json={"input": "hello", "truncation": "auto"})
    assert answered.status_code == 200, answered.text
    assert answered.headers["X-Ignored-Params"] == "truncation"


def test_many_wrong_parts_are_one_error_that_names_the_first(gateway: Gateway) -> None:
    content: list[dict[str, str]] = [{}] * 2000
    for path, field in ((URL, "input"), ("/v1/chat/completions", "messages"), ("/v1/conversations", "items")):
        answer = gateway.http.post(path, json={field: [{"role": "user", "content": content}] * 2})
        assert answer.status_code == 400
        assert answer.json()["error"]["param"] == f"{field}[0].content[0].type"


def told(socket: Connection, **body: Any) -> Any:
    """The last thing that a message is answered with."""
    socket.send(json.dumps({"type": "response.create", **body}))
    while True:
        event = json.loads(socket.recv(timeout=60))
        if event["type"] in ("response.completed", "response.failed") or "status" in event:
            return event


def test_a_key_that_is_revoked_ends_a_connection(start_gateway: Start) -> None:
    gateway = start_gateway()
    key = make(gateway.data)
    eventually(lambda: gateway.http.get("/v1/models").status_code == 401)
    with connect(
        f"{gateway.url.replace('http', 'ws')}{URL}", additional_headers={"Authorization": f"Bearer {key}"}
    ) as socket:
        assert told(socket, input="hello")["type"] == "response.completed"
        keys(gateway.data, "revoke", public(key))
        events = [told(socket, input="hello")]
        while events[-1]["type"] != "error" and len(events) < 100:
            events.append(told(socket, input="hello"))
        assert (events[-1]["status"], events[-1]["error"]["code"]) == (401, "invalid_api_key")
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=5)
