"""A client of Responses for tests: requests, responses by their ids, and streams, perhaps only a part of them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import httpx

from tests.unit.api.openai_responses.folding import check_response

Json = dict[str, Any]

WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "Tells the weather.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}


def send(
    http: httpx.Client, said: str | Sequence[Json], *, headers: Mapping[str, str] | None = None, **body: Any
) -> httpx.Response:
    """Ask for a response."""
    given = said if isinstance(said, str) else list(said)
    return http.post("/v1/responses", json={"model": "sonnet", "input": given, **body}, headers=dict(headers or {}))


def respond(http: httpx.Client, said: str | Sequence[Json], **more: Any) -> Json:
    """The response to a request that has to succeed."""
    return whole(send(http, said, **more))


def whole(answer: httpx.Response) -> Json:
    """A response that has to be there."""
    assert answer.status_code == 200, f"{answer.status_code} {answer.text}"
    response: Json = answer.json()
    check_response(response)
    return response


def get(http: httpx.Client, identity: str) -> Json:
    """The response as it is kept."""
    return whole(http.get(f"/v1/responses/{identity}"))


def ended(http: httpx.Client, identity: str, within: float = 30.0) -> Json:
    """Ask for a response until it is over."""
    deadline = time.monotonic() + within
    while (response := get(http, identity))["status"] in ("queued", "in_progress"):
        assert time.monotonic() < deadline, response
        time.sleep(0.05)
    return response


def same(one: Json, other: Json) -> bool:
    """Whether two ways to ask for a response agree; a stream may say a second later when it was completed."""
    return {**one, "completed_at": 0} == {**other, "completed_at": 0} and (
        one["completed_at"] == other["completed_at"] or abs(one["completed_at"] - other["completed_at"]) <= 1
    )


def cancel(http: httpx.Client, identity: str) -> Json:
    """End a response."""
    return whole(http.post(f"/v1/responses/{identity}/cancel"))


def text_of(response: Json) -> str:
    """The words of a whole response."""
    parts = [part for item in response["output"] if item["type"] == "message" for part in item["content"]]
    return "".join(part["text"] for part in parts)


def calls_of(response: Json) -> list[Json]:
    """The calls of a response."""
    return [item for item in response["output"] if item["type"] == "function_call"]


def output(call: Json, text: str) -> Json:
    """What a call came to."""
    return {"type": "function_call_output", "call_id": call["call_id"], "output": text}


def frames(lines: Iterator[str]) -> Iterator[Json]:
    """The events of a stream, to its end, which has to be there for whoever reads that far."""
    for line in lines:
        if line == "data: [DONE]":
            return
        if line.startswith("data: "):
            yield json.loads(line[6:])
    raise AssertionError("the stream has no end")


def begin(http: httpx.Client, said: str, count: int, **body: Any) -> list[Json]:
    """Ask for a stream, and leave after so many events."""
    asked = {"model": "sonnet", "input": said, "stream": True, **body}
    with http.stream("POST", "/v1/responses", json=asked) as answer:
        assert answer.status_code == 200, answer.read()
        return list(islice(frames(answer.iter_lines()), count))


def events(http: httpx.Client, identity: str, after: int | None = None, count: int | None = None) -> list[Json]:
    """The events behind the number `after`, to the end or only so many."""
    query: Json = {"stream": "true"} if after is None else {"stream": "true", "starting_after": after}
    with http.stream("GET", f"/v1/responses/{identity}", params=query) as answer:
        assert answer.status_code == 200, answer.read()
        return list(islice(frames(answer.iter_lines()), count))
