"""The Open Responses specification (2026-04-24): what its public compliance suite asks, over a real socket.

Every object and every event is validated against the specification's own schema (`openresponses-types`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import httpx
import openresponses_types.types as spec
import pytest
from pydantic import BaseModel

from tests.gateway import Gateway
from tests.images import data_url, png

Json = dict[str, Any]


def kind_of(model: type[BaseModel]) -> str:
    """The `type` that an event of this model has."""
    kinds: Any = model.model_fields["type"].annotation
    return str(next(iter(kinds)))


EVENTS = {kind_of(model): model for name, model in vars(spec).items() if name.endswith("StreamingEvent")}

WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "Tells the weather at a place.",
    "parameters": {
        "type": "object",
        "properties": {"location": {"type": "string", "description": "A city."}},
        "required": ["location"],
    },
}


def said(role: str, content: Any) -> Json:
    return {"type": "message", "role": role, "content": content}


def asked(*items: Json, **more: Any) -> Json:
    return {"model": "sonnet", "input": list(items), **more}


PICTURE = data_url(png())
CASES = {
    "a text": asked(said("user", "Say hello in three words.")),
    "a system prompt": asked(said("system", "You are a pirate, and talk like one."), said("user", "Say hello.")),
    "an image": asked(
        said("user", [{"type": "input_text", "text": "What is it?"}, {"type": "input_image", "image_url": PICTURE}])
    ),
    "several turns": asked(
        said("user", "My name is Alice."), said("assistant", "Hello Alice!"), said("user", "What is my name?")
    ),
    "a tool": asked(said("user", "What is the weather in San Francisco?"), tools=[WEATHER]),
}


def check(response: Json) -> spec.ResponseResource:
    return spec.ResponseResource.model_validate(response)


def events_of(lines: Iterator[str]) -> list[Json]:
    """The events of a stream: `event` says what `type` says, and the last is `[DONE]`."""
    events: list[Json] = []
    name = ""
    for line in lines:
        assert not line.startswith("id:")
        if line.startswith("event: "):
            name = line[7:]
        elif line == "data: [DONE]":
            return events
        elif line.startswith("data: "):
            event = json.loads(line[6:])
            assert event["type"] == name
            events.append(event)
    raise AssertionError("no [DONE]")


def check_events(events: Sequence[Json]) -> Json:
    """Every event is one of the specification's, numbered without a hole; returns the response of the last."""
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    for event in events:
        EVENTS[event["type"]].model_validate(event)
    assert [event["type"] for event in events[:2]] == ["response.created", "response.in_progress"]
    assert isinstance(events[-1]["response"], dict)
    return dict(events[-1]["response"])


def test_the_schema_knows_the_events() -> None:
    assert {"response.created", "response.output_text.delta", "error"} <= EVENTS.keys()


@pytest.mark.parametrize("case", CASES)
def test_a_response(gateway: Gateway, case: str) -> None:
    answer = gateway.http.post("/v1/responses", json=CASES[case])
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    response = check(answer.json())
    assert response.status == "completed"
    kinds = [item.type for item in response.output]
    assert ("function_call" if case == "a tool" else "message") in kinds


@pytest.mark.parametrize("case", CASES)
def test_a_stream(gateway: Gateway, case: str) -> None:
    with gateway.http.stream("POST", "/v1/responses", json={**CASES[case], "stream": True}) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        events = events_of(answer.iter_lines())
    response = check(check_events(events))
    assert response.status == "completed"
    kinds = [event["type"] for event in events]
    if case == "a tool":
        added = [event["item"]["type"] for event in events if event["type"] == "response.output_item.added"]
        done = [event["item"]["type"] for event in events if event["type"] == "response.output_item.done"]
        assert "function_call" in added
        assert "function_call" in done
        assert "response.function_call_arguments.delta" in kinds
        assert "response.function_call_arguments.done" in kinds
    else:
        assert "response.output_text.delta" in kinds


def test_the_name_is_known_from_the_history(gateway: Gateway) -> None:
    response = gateway.http.post("/v1/responses", json=CASES["several turns"]).json()
    assert "Alice" in json.dumps(response["output"])


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": 5}, "input"),
        ({"input": []}, "input"),
        ({"input": "Hi", "previous_response_id": "resp_none"}, "previous_response_id"),
        ({"input": "Hi", "tools": [{"type": "file_search"}]}, "tools[0].type"),
        ({"input": [{"type": "message", "role": "user", "content": [{"type": "input_text"}]}]}, "input[0]"),
        ({"input": "Hi", "top_logprobs": 3}, "top_logprobs"),
    ],
)
def test_an_error_names_the_field(gateway: Gateway, body: Json, param: str) -> None:
    answer = gateway.http.post("/v1/responses", json=body)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["param"].startswith(param)
    assert error["message"]
    assert error["type"] == "invalid_request_error"


def test_a_failure_in_a_stream_is_an_error_and_a_failed_response(gateway: Gateway) -> None:
    body = {"model": "sonnet", "input": "Go [[offline: words 40]] [[offline: overloaded]]", "stream": True}
    with gateway.http.stream("POST", "/v1/responses", json=body) as answer:
        events = events_of(answer.iter_lines())
    assert [event["type"] for event in events[-2:]] == ["error", "response.failed"]
    failed = check(check_events(events))
    assert failed.status == "failed"
    assert failed.error is not None
    assert failed.error.message


def test_compaction(gateway: Gateway) -> None:
    body = asked(said("user", "Remember the number 42."), said("assistant", "Noted: 42."))
    answer = gateway.http.post("/v1/responses/compact", json=body)
    assert answer.status_code == 200, answer.text
    compacted = spec.CompactResource.model_validate(answer.json())
    assert [item.type for item in compacted.output] == ["message", "compaction"]
    went_on = gateway.http.post(
        "/v1/responses", json=asked(*answer.json()["output"], said("user", "Which number did I ask you to remember?"))
    )
    assert went_on.status_code == 200, went_on.text
    assert "42" in json.dumps(went_on.json()["output"])


def test_tokens_are_counted(gateway: Gateway) -> None:
    few, many = (
        gateway.http.post("/v1/responses/input_tokens", json={"model": "sonnet", "input": "word " * count})
        for count in (10, 1000)
    )
    assert few.json()["object"] == "response.input_tokens"
    assert many.json()["input_tokens"] > few.json()["input_tokens"] + 500


def test_errors_have_the_shape_of_the_specification(gateway: Gateway) -> None:
    missing: httpx.Response = gateway.http.get("/v1/responses/resp_00000000000000000000000000000000")
    assert missing.status_code == 404
    assert set(missing.json()["error"]) >= {"message", "type", "param", "code"}
