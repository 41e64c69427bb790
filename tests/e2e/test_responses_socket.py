"""WebSockets on `/v1/responses`: with the official OpenAI client, and by hand."""

from __future__ import annotations

import contextlib
import json
import signal
from collections.abc import Callable, Iterator
from socket import create_connection
from typing import Any

import pytest
from openai import OpenAI
from openai.types.responses import Response
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Close
from websockets.sync.client import ClientConnection, connect

from tests.chat import Tap
from tests.conftest import Model
from tests.gateway import Gateway, eventually
from tests.integration.test_keys import make as make_key
from tests.official import checked, plain, said, seen
from tests.unit.api.openai_responses.folding import told

Json = dict[str, Any]
ENDS = ("response.completed", "response.incomplete", "response.failed", "error")
SLOW = "[[offline: words 400]] [[offline: pace 0.1]]"


@contextlib.contextmanager
def dial(gateway: Gateway, **more: Any) -> Iterator[ClientConnection]:
    """A connection, without a proxy that the machine may have."""
    opened: ClientConnection = connect(f"{gateway.url.replace('http', 'ws')}/v1/responses", proxy=None, **more)
    try:
        yield opened
    finally:
        opened.close()


def refused_at_the_door(gateway: Gateway, **more: Any) -> tuple[int, str]:
    """The status and the code of the answer to a client that is not let in."""
    with pytest.raises(InvalidStatus) as closed, dial(gateway, **more):
        pass
    response = closed.value.response
    return response.status_code, json.loads(response.body or b"")["error"]["code"]


@pytest.fixture
def socket(gateway: Gateway) -> Iterator[ClientConnection]:
    with dial(gateway) as socket:
        yield socket


@pytest.fixture
def tap(model: Model) -> Tap:
    return Tap(model)


def send(socket: ClientConnection, text: Any, **more: Any) -> None:
    socket.send(json.dumps({"type": "response.create", "model": "sonnet", "input": text, **more}))


def read(socket: ClientConnection) -> Json:
    frame = json.loads(socket.recv(timeout=60))
    assert isinstance(frame, dict)
    return frame


def answer(socket: ClientConnection) -> Json:
    """The next response, told by events that are all checked."""
    events = [read(socket)]
    while events[-1]["type"] not in ENDS[:3]:
        assert events[-1].get("status") is None, events[-1]
        events.append(read(socket))
    response = told(events)
    checked(Response.model_validate(response))
    return response


def ask(socket: ClientConnection, text: Any, **more: Any) -> Json:
    send(socket, text, **more)
    return answer(socket)


def refused(socket: ClientConnection) -> tuple[int, str, str | None]:
    """The error that comes next: its status, its code and its field."""
    frame = read(socket)
    assert frame["type"] == "error"
    assert frame.keys() == {"type", "status", "error"}
    assert frame["error"].keys() == {"message", "type", "param", "code"}
    assert frame["error"]["message"]
    return frame["status"], frame["error"]["code"], frame["error"]["param"]


def words(response: Json) -> str:
    return "".join(text for role, text in said(response["output"]) if role == "assistant")


def drained(socket: ClientConnection) -> Close:
    """How the server closes the connection, whatever it says before."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            read(socket)
    assert socket.protocol.close_rcvd is not None
    return socket.protocol.close_rcvd


# Turns


@pytest.mark.parametrize("store", [True, False])
def test_turns_go_on_from_each_other_on_one_process(
    gateway: Gateway, socket: ClientConnection, tap: Tap, store: bool
) -> None:
    first = ask(socket, "Remember the number 42.", store=store)
    processes = {child.pid for child in gateway.children()}
    second = ask(socket, "Remember the colour blue.", store=store, previous_response_id=first["id"])
    tap.take()
    third = ask(socket, "Which number?", store=store, previous_response_id=second["id"])
    asked = [text for role, text in seen(tap.only()) if role == "user"]
    assert asked == ["Remember the number 42.", "Remember the colour blue.", "Which number?"]
    assert "42" in words(third)
    assert {child.pid for child in gateway.children()} <= processes
    found = [gateway.http.get(f"/v1/responses/{one['id']}").status_code for one in (first, second, third)]
    assert found == [200 if store else 404] * 3
    assert (third["conversation_id"] is not None) == store


def test_the_official_client(gateway: Gateway) -> None:
    tools: Any = [{"type": "function", "name": "get_weather", "parameters": {"type": "object", "properties": {}}}]
    with OpenAI(base_url=f"{gateway.url}/v1", api_key="unused") as client, client.responses.connect() as connection:

        def response_to(**body: Any) -> Response:
            connection.response.create(model="sonnet", store=False, tools=tools, **body)
            events: list[Any] = []
            for event in connection:
                events.append(event)
                if event.type in ENDS:
                    break
            assert events[-1].type == "response.completed"
            told([plain(event) for event in events])
            return checked(events[-1].response)

        first = response_to(input="[[offline: call get_weather {}]]")
        (call,) = first.output
        assert call.type == "function_call"
        output: Any = [{"type": "function_call_output", "call_id": call.call_id, "output": "22 degrees"}]
        second = response_to(input=output, previous_response_id=first.id)
        assert second.output_text == "The tool answered: 22 degrees"
        connection.response.create(model="sonnet", input="Hm?", previous_response_id="resp_nowhere")
        error = connection.recv()
        assert error.type == "error"
        assert (plain(error)["status"], plain(error)["error"]["param"]) == (400, "previous_response_id")


def test_a_stored_response_is_gone_on_from_without_storing(gateway: Gateway, socket: ClientConnection) -> None:
    stored = ask(socket, "Remember the number 42.")
    copy = ask(socket, "Remember the colour blue.", store=False, previous_response_id=stored["id"])
    third = ask(socket, "Which number?", store=False, previous_response_id=copy["id"])
    assert "42" in words(third)
    assert "blue" not in words(ask(socket, "What do you know?", previous_response_id=stored["id"]))


def test_only_the_last_response_that_is_not_stored_is_remembered(gateway: Gateway, socket: ClientConnection) -> None:
    first = ask(socket, "Remember the number 42.", store=False)
    second = ask(socket, "Which number?", store=False, previous_response_id=first["id"])
    missing = (400, "previous_response_not_found", "previous_response_id")
    send(socket, "And?", store=True, previous_response_id=second["id"])
    assert refused(socket) == missing
    third = ask(socket, "Hello.", store=False)
    with dial(gateway) as other:
        send(other, "And?", store=False, previous_response_id=third["id"])
        assert refused(other) == missing
    send(socket, "And?", store=False, previous_response_id=first["id"])
    assert refused(socket) == missing
    send(socket, "And?", store=False, previous_response_id=third["id"])
    assert refused(socket) == missing  # after a refusal the whole history comes again


def test_messages_are_answered_in_the_order_they_come(socket: ClientConnection) -> None:
    for number in (3, 1, 2):
        send(socket, f"[[offline: words {number}]]")
    socket.send("{}")
    send(socket, "[[offline: words 4]]")
    assert [len(words(answer(socket)).split()) for _ in range(3)] == [3, 1, 2]
    assert refused(socket)[0] == 400
    assert len(words(answer(socket)).split()) == 4


def test_too_many_messages_at_once_are_refused(socket: ClientConnection) -> None:
    send(socket, SLOW)
    assert read(socket)["type"] == "response.created"
    for _ in range(17):
        socket.send("{}")
    frame = read(socket)
    while frame["type"] != "error":
        frame = read(socket)
    assert (frame["status"], frame["error"]["code"]) == (429, "capacity_exceeded")


# Errors


@pytest.mark.parametrize(
    ("message", "code", "param"),
    [
        ("{", "invalid_request", None),
        ("[1]", "invalid_request", "type"),
        ('"hello"', "invalid_request", "type"),
        ("[" * 100_000, "invalid_request", None),
        (b'{"type": "response.create"}', "invalid_request", None),
        ({"type": "response.steer", "input": "Hi."}, "invalid_request", "type"),
        ({"type": "response.create"}, "invalid_request", "input"),
        ({"type": "response.create", "input": 5}, "invalid_request", "input"),
        ({"type": "response.create", "input": "Hi.", "background": True}, "invalid_request", "background"),
        ({"type": "response.create", "input": "Hi.", "generate": False}, "invalid_request", "generate"),
        ({"type": "response.create", "input": "Hi.", "stream_id": "1"}, "invalid_request", "stream_id"),
        ({"type": "response.create", "input": "Hi.", "top_logprobs": 3}, "unsupported_parameter", "top_logprobs"),
        (
            {"type": "response.create", "input": "Hi.", "previous_response_id": "resp_nowhere"},
            "previous_response_not_found",
            "previous_response_id",
        ),
    ],
)
def test_an_error_is_a_frame_and_the_connection_lives_on(
    socket: ClientConnection, message: Any, code: str, param: str | None
) -> None:
    socket.send(json.dumps(message) if isinstance(message, dict) else message)
    assert refused(socket) == (400, code, param)
    socket.send(json.dumps({"type": "response.create", "model": "gpt 17", "input": "Hi.", "stream": True}))
    assert refused(socket) == (404, "model_not_found", "model")


def test_a_turn_that_fails_is_told_in_events(socket: ClientConnection) -> None:
    first = ask(socket, "Remember the number 42.", store=False)
    failed = ask(socket, "[[offline: error 429]]", store=False, previous_response_id=first["id"])
    assert (failed["status"], failed["error"]["code"]) == ("failed", "rate_limit_exceeded")
    send(socket, "Which number?", store=False, previous_response_id=first["id"])
    assert refused(socket)[1] == "previous_response_not_found"
    assert words(ask(socket, "[[offline: words 2]]")) == "word1 word2"


def test_a_conversation_is_gone_on_with(gateway: Gateway, socket: ClientConnection) -> None:
    name = gateway.http.post("/v1/conversations", json={}).json()["id"]
    ask(socket, "Remember the number 42.", conversation=name)
    assert "42" in words(ask(socket, "Which number?", conversation=name))
    send(socket, "Hm?", conversation="conv_nowhere")
    assert refused(socket) == (404, "conversation_not_found", "conversation")


# The connection


@pytest.mark.parametrize("store", [True, False])
def test_a_client_that_leaves_ends_its_turn(gateway: Gateway, model: Model, store: bool) -> None:
    before = gateway.log().count("why=cut")
    with dial(gateway) as socket:
        first = ask(socket, "Remember the number 42.", store=store)
        silent = f"[[offline: delay 60]] Say nothing, store {store}."
        send(socket, silent, store=store, previous_response_id=first["id"])
        send(socket, "Remember what nobody asked.", store=store)
        created = read(socket)["response"]
        eventually(lambda: bool(model.asked(silent)))
        assert gateway.log().count("why=cut") == before
    eventually(lambda: gateway.log().count("why=cut") == before + 1)
    assert not model.asked("what nobody asked")
    if store:
        path = f"/v1/responses/{created['id']}"
        eventually(lambda: bool(gateway.http.get(path).json()["status"] == "cancelled"))
        assert gateway.http.get(path).json()["output"] == []
        name = first["conversation_id"]
        assert "42" in gateway.ask("Which number?", name).text
        assert gateway.session(name)["turns"] == 2


@pytest.mark.parametrize("origin", ["https://evil.example", "null"])
def test_a_foreign_page_is_refused_before(gateway: Gateway, origin: str) -> None:
    assert refused_at_the_door(gateway, additional_headers={"Origin": origin}) == (403, "origin_not_allowed")


def test_a_foreign_host_is_refused_before(gateway: Gateway) -> None:
    port = int(gateway.url.rpartition(":")[2])
    raw = create_connection(("127.0.0.1", port))
    with pytest.raises(InvalidStatus) as closed:
        connect(f"ws://evil.example:{port}/v1/responses", sock=raw, proxy=None)
    assert closed.value.response.status_code == 403
    assert json.loads(closed.value.response.body or b"")["error"]["code"] == "host_not_allowed"


def test_nobody_comes_in_without_a_key(start_gateway: Callable[..., Gateway]) -> None:
    gateway = start_gateway()
    mine, other = ({"Authorization": f"Bearer {make_key(gateway.data, '--tenant', one)}"} for one in ("mine", "other"))
    eventually(lambda: gateway.http.get("/v1/models").status_code == 401, within=10)
    for wrong in ({}, {"Authorization": "Bearer ccapi_none_none"}):
        assert refused_at_the_door(gateway, additional_headers=wrong) == (401, "invalid_api_key")
    with dial(gateway, additional_headers=mine) as socket:
        first = ask(socket, "Remember the number 42.")
        assert "42" in words(ask(socket, "Which number?", previous_response_id=first["id"]))
    with dial(gateway, additional_headers=other) as socket:
        send(socket, "Which number?", previous_response_id=first["id"])
        assert refused(socket)[1] == "previous_response_not_found"


def test_a_connection_that_is_too_old_is_closed_once_its_turn_is_over(model: Model) -> None:
    code = (
        "from claude_code_api.api.openai_responses import socket; socket._LONGEST_S = 3.0; "
        "from claude_code_api.cli import main; main()"
    )
    gateway = Gateway(model.server.url, program=("-c", code))
    try:
        with dial(gateway) as socket:
            assert words(ask(socket, "[[offline: words 1]] [[offline: delay 3]]")) == "word1"
            assert refused(socket) == (400, "websocket_connection_limit_reached", None)
            assert drained(socket).code == 1000
    finally:
        gateway.stop()


def test_a_message_that_is_too_large_closes_the_connection_and_a_drain_does(
    start_gateway: Callable[..., Gateway],
) -> None:
    gateway = start_gateway({"server__max_body_bytes": 100_000, "server__shutdown_grace_seconds": 1})
    with dial(gateway) as socket:
        send(socket, "x" * 200_000)
        assert drained(socket).code == 1009
    with dial(gateway) as idle, dial(gateway) as busy:
        assert words(ask(idle, "[[offline: words 1]]")) == "word1"
        send(busy, SLOW)
        while read(busy)["type"] != "response.output_text.delta":
            pass
        gateway.process.send_signal(signal.SIGTERM)
        for socket in (idle, busy):
            assert drained(socket).code in (1001, 1012)
    assert gateway.process.wait(timeout=30) == 0
