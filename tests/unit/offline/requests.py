"""Requests to the offline model, and what its answers hold."""

from __future__ import annotations

from typing import Any

from claude_code_api.offline.dialogue import Body
from claude_code_api.offline.mind import Reply, answer

WEATHER: Body = {
    "name": "mcp__client__get_weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
CLOCK: Body = {"name": "get_time", "input_schema": {"type": "object", "properties": {}}}


def said(*texts: str, **more: Any) -> Body:
    """A request after a dialogue that the user began."""
    roles = ["user", "assistant"] * len(texts)
    return {"model": "m", "messages": [{"role": r, "content": t} for r, t in zip(roles, texts, strict=False)], **more}


def answered(body: Body, *results: Any, **more: Any) -> Body:
    """The request that follows when the calls of the model's answer to `body` have come back with `results`."""
    called = [block for block in answer(body).blocks if block["type"] == "tool_use"]
    blocks = [
        {"type": "tool_result", "tool_use_id": call["id"], "content": result, **more}
        for call, result in zip(called, results, strict=True)
    ]
    turn = [{"role": "assistant", "content": called}, {"role": "user", "content": blocks}]
    return {**body, "messages": [*body["messages"], *turn]}


def heard(body: Body) -> str:
    """The text of the answer."""
    return "".join(block["text"] for block in answer(body).blocks if block["type"] == "text")


def calls(reply: Reply) -> list[tuple[str, Any]]:
    """The calls of an answer: name and arguments."""
    return [(block["name"], block["input"]) for block in reply.blocks if block["type"] == "tool_use"]
