"""The events that an answer is streamed as, and the same answer whole."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from claude_code_api.offline.dialogue import Body
from claude_code_api.offline.server import create_app
from tests.unit.offline.requests import WEATHER, said


async def post(body: Body) -> httpx.Response:
    transport = httpx.ASGITransport(app=create_app())
    async with httpx.AsyncClient(transport=transport, base_url="http://offline") as client:
        return await client.post("/v1/messages", json=body)


async def events(body: Body) -> list[dict[str, Any]]:
    answer = await post({**body, "stream": True})
    return [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")]


def deltas(stream: list[dict[str, Any]], kind: str) -> list[str]:
    """The pieces of one kind: what stands in each delta beside its type."""
    found = [event["delta"] for event in stream if event["type"] == "content_block_delta"]
    return [next(v for k, v in delta.items() if k != "type") for delta in found if delta["type"] == kind]


LONG = '{"city": "Llanfairpwllgwyngyll", "days": [1, 2, 3], "note": "☃ and more"}'


async def test_arguments_come_in_pieces_that_are_cut_anywhere() -> None:
    body = said(f"[[offline: call get_weather {LONG}]]", tools=[WEATHER])
    pieces = deltas(await events(body), "input_json_delta")
    assert "".join(pieces) == LONG
    assert pieces[0] == ""
    assert len(pieces) > 3
    assert any(piece[-1].isalnum() for piece in pieces[1:-1])


@pytest.mark.parametrize(("arguments", "count"), [("{}", 2), ('{"a": 1}', 3)])
async def test_short_arguments_come_in_few_pieces(arguments: str, count: int) -> None:
    body = said(f"[[offline: call get_weather {arguments}]]", tools=[WEATHER])
    pieces = deltas(await events(body), "input_json_delta")
    assert "".join(pieces) == arguments
    assert len([piece for piece in pieces if piece]) == count


async def test_cut_arguments_end_in_the_middle() -> None:
    body = said(f"[[offline: call get_weather {LONG}]]", tools=[WEATHER], max_tokens=10)
    stream = await events(body)
    assert "".join(deltas(stream, "input_json_delta")) == LONG[:40]
    assert stream[-2]["delta"] == {"stop_reason": "max_tokens", "stop_sequence": None}
    assert stream[-2]["usage"]["output_tokens"] == 10
    whole = (await post(body)).json()
    assert whole["content"][0]["input"] == {"city": "Llanfairpwllgwyngyll"}
    assert whole["usage"]["output_tokens"] == 10


async def test_thinking_comes_in_pieces() -> None:
    stream = await events(said("Hello there [[offline: think]]"))
    assert len(deltas(stream, "thinking_delta")) > 2
    assert deltas(stream, "signature_delta") == ["offline"]
    assert "output_tokens_details" not in stream[0]["message"]["usage"]
    assert stream[-2]["usage"]["output_tokens_details"]["thinking_tokens"] > 0


async def test_the_stop_sequence_is_told() -> None:
    body = said("[[offline: words 9]]", stop_sequences=[" word3"])
    stream = await events(body)
    assert "".join(deltas(stream, "text_delta")) == "word1 word2"
    assert stream[-2]["delta"] == {"stop_reason": "stop_sequence", "stop_sequence": " word3"}
    whole = (await post(body)).json()
    assert (whole["stop_reason"], whole["stop_sequence"]) == ("stop_sequence", " word3")


async def test_what_the_api_would_not_take_is_an_error() -> None:
    answer = await post(said("Hello", tool_choice={"type": "any"}))
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"
