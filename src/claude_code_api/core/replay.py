"""A completed turn as the events that would have told of it: for clients that get it later, or all at once."""

from __future__ import annotations

import json
from collections.abc import Iterator

from claude_code_api.core.turn import (
    AgentCall,
    AgentResult,
    AnswerStarted,
    Block,
    Message,
    TextDelta,
    ThinkingDelta,
    ThinkingSigned,
    ThinkingStarted,
    ToolCallDelta,
    ToolCallStarted,
    TurnCompleted,
    TurnEvent,
    text_of_result,
)


def retold(done: TurnCompleted) -> Iterator[TurnEvent]:
    """All but how the turn began and ended. Why a model declined comes with the end: it is no text of an answer."""
    is_answered = any(message.role == "assistant" for message in done.messages)
    for message in done.messages if is_answered else (Message("assistant", ()),):
        if message.role == "assistant":
            yield AnswerStarted(done.model, done.usage)
        for block in message.content:
            yield from _told(block, done.stop_reason)


def call_of(block: Block) -> Iterator[TurnEvent]:
    """A call of the client's tools."""
    yield ToolCallStarted(block["id"], block["name"])
    yield ToolCallDelta(block["id"], json.dumps(block["input"], separators=(",", ":"), ensure_ascii=False))


def _told(block: Block, stop_reason: str) -> Iterator[TurnEvent]:
    kind = block.get("type")
    if line := block.get("activity"):
        yield _did(block, line)
    elif block.get("internal"):
        return
    elif kind == "text" and stop_reason != "refusal":
        yield TextDelta(block["text"])
    elif kind == "thinking":
        yield ThinkingStarted()
        yield ThinkingDelta(block["thinking"])
        yield ThinkingSigned(block.get("signature") or "")
    elif kind == "redacted_thinking":
        yield ThinkingStarted(block["data"])
    elif kind == "tool_use" and stop_reason == "tool_use":
        yield from call_of(block)


def _did(block: Block, line: str) -> TurnEvent:
    if block["type"] == "tool_use":
        return AgentCall(block["id"], block["name"], block["input"], line)
    content, is_error = text_of_result(block.get("content")), bool(block.get("is_error"))
    return AgentResult(block["tool_use_id"], content, is_error, line)
