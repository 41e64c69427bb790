"""Turns as they come, and the streams that tell them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from claude_code_api.api.openai_items.told import Telling
from claude_code_api.api.openai_responses.resource import Head
from claude_code_api.api.openai_responses.settings import settings_of, telling_of
from claude_code_api.api.openai_responses.stream import Stream
from claude_code_api.api.openai_responses.wire import ResponsesRequest
from claude_code_api.core.turn import Block, Message, TurnCompleted, TurnEvent, Usage

TURN = "6f1d2c3b-4a59-4687-9a0b-1c2d3e4f5a6b"
HEX = TURN.replace("-", "")
MODEL = "claude-sonnet-5-5"
USED = Usage(124, 46, cache_read_tokens=1000, cache_write_tokens=7, thinking_tokens=5)
NOW = 1_700_000_009.7

SUMMARY: dict[str, Any] = {"reasoning": {"summary": "auto"}}
ENCRYPTED: dict[str, Any] = {"include": ["reasoning.encrypted_content"]}
SCHEMA: dict[str, Any] = {
    "text": {"format": {"type": "json_schema", "name": "f", "schema": {"type": "object", "properties": {}}}}
}


def request(**fields: Any) -> ResponsesRequest:
    return ResponsesRequest.model_validate({"input": "Hi", **fields})


def head(*, thinking: bool = True, activity: bool = True, **fields: Any) -> Head:
    settings = json.loads(json.dumps(settings_of(request(**fields), "sonnet", None)))
    telling: Telling = telling_of(settings, thinking=thinking, activity=activity, hide=lambda value: value)
    return Head(TURN, 1_700_000_000.4, settings, "conv_1", telling)


def stream(*, background: bool = False, of: Head | None = None, **fields: Any) -> Stream:
    return Stream(of or head(**fields), clock=lambda: NOW, background=background)


def events_of(made: Stream, *events: TurnEvent) -> list[dict[str, Any]]:
    """What a stream says, as it is written down: JSON."""
    said = [*made.begin(), *(one for event in events for one in made.of(event))]
    return [json.loads(json.dumps(one)) for one in said]


def text(words: str) -> Block:
    return {"type": "text", "text": words}


def thought(words: str) -> Block:
    return {"type": "thinking", "thinking": words, "signature": "c2ln"}


def call(identity: str, **given: Any) -> Block:
    return {"type": "tool_use", "id": identity, "name": "f", "input": given}


def own_call(identity: str, name: str = "Bash", **given: Any) -> Block:
    block: Block = {"type": "tool_use", "id": identity, "name": name, "input": given}
    return {**block, "internal": True, "activity": name}


def own_result(identity: str, content: str, *, failed: bool = False) -> Message:
    block: Block = {"type": "tool_result", "tool_use_id": identity, "content": content, "internal": True}
    return Message("user", ({**block, "is_error": True} if failed else block,))


def answer(*blocks: Block) -> Message:
    return Message("assistant", blocks)


def done(*messages: Message, stop_reason: str = "end_turn", model: str = MODEL) -> TurnCompleted:
    return TurnCompleted(stop_reason, model, USED, "leaf", messages)


def kinds(events: Sequence[dict[str, Any]]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in events]
