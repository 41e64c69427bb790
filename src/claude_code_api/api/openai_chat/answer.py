"""From the dialect-neutral turn to Chat Completions' objects: the whole answer, or chunk by chunk. Pure.

Both ways say the same: what the agent did for itself (`internal` blocks) is not shown, and the texts of several
messages are parted by a blank line. Only a stream tells that a call waits for approval: it does so while it is true.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from claude_code_api.core.turn import (
    AgentCall,
    AgentResult,
    AnswerRestarted,
    AnswerStarted,
    ApprovalWanted,
    Block,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStarted,
    TurnCompleted,
    TurnEvent,
    Usage,
)
from claude_code_api.errors import UpstreamInterrupted

_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "interrupted": "stop",
    "budget_reached": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "content_filter",
}
_BETWEEN = "\n\n"

Object = dict[str, Any]
Kind = Literal["text", "thinking"]


@dataclass(frozen=True, slots=True)
class Head:
    """What every object of one answer repeats. `structured`: the request asked for a schema.

    `conversation_id` is None when there is nothing to go on with.
    """

    id: str
    created: int
    model: str
    conversation_id: str | None
    structured: bool = False

    def completion(self, done: TurnCompleted, *, reasoning: bool, activity: bool) -> Object:
        """The whole answer of a request without a stream."""
        text, calls, refused = _joined(done, "text"), calls_of(done), self.refused(done)
        message: Object = {
            "role": "assistant",
            "content": None if refused or (calls and not text) else text,
            "refusal": text if refused else None,
            "annotations": [],
        }
        if calls:
            message["tool_calls"] = [_call(call["id"], call["name"], _arguments(call)) for call in calls]
        if told := _reasoning(done, thinking=reasoning, activity=activity):
            message["reasoning_content"] = told
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self.finish(done)}
        return self._object("chat.completion", done.model or self.model, [choice], usage(done.usage))

    def chunk(self, delta: Object, *, finish: str | None = None) -> Object:
        """One piece of a stream."""
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return self._object("chat.completion.chunk", self.model, [choice], None)

    def usage_chunk(self, done: TurnCompleted) -> Object:
        """The chunk after the last one, when the client asked for `include_usage`."""
        return self._object("chat.completion.chunk", self.model, [], usage(done.usage))

    def refused(self, done: TurnCompleted) -> bool:
        """Whether the model declined to meet the schema: its text says why, and is no answer."""
        return self.structured and done.stop_reason == "refusal"

    def finish(self, done: TurnCompleted) -> str:
        """Why the answer ended, in OpenAI's words."""
        if self.refused(done) or (done.stop_reason == "tool_use" and not calls_of(done)):
            return "stop"
        return _FINISH.get(done.stop_reason, "stop")

    def _object(self, kind: str, model: str, choices: list[Object], used: Object | None) -> Object:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": model,
            "choices": choices,
            "usage": used,
            "service_tier": None,
            "conversation_id": self.conversation_id,
        }


class Chunks:
    """Makes one stream's chunks of a turn's events.

    `reasoning`: the model's thinking is passed on; `activity`: so is what an agent does with its own tools.
    """

    def __init__(self, head: Head, *, reasoning: bool, activity: bool, include_usage: bool) -> None:
        self._head = head
        self._reasoning = reasoning
        self._activity = activity
        self._include_usage = include_usage
        self._opened = False
        self._is_dirty = False
        self._said: set[Kind] = set()
        self._parted: set[Kind] = set()
        self._calls: dict[str, int] = {}
        self._argued: set[str] = set()

    def of(self, event: TurnEvent) -> Iterator[Object]:
        """The chunks that an event means; none for a failure. Raises UpstreamInterrupted when what was said is void."""
        if isinstance(event, AnswerStarted):
            self._is_dirty = False
            self._parted = set(self._said)
            if not self._opened:
                self._head = replace(self._head, model=event.model or self._head.model)
        elif isinstance(event, AnswerRestarted) and self._is_dirty:
            raise UpstreamInterrupted(
                "The model's stream broke in the middle of the answer. Send the request again.", retry_after=1
            )
        elif isinstance(event, TextDelta):
            yield from self._words("text", "content", event.text)
        elif isinstance(event, ThinkingDelta) and self._reasoning:
            yield from self._words("thinking", "reasoning_content", event.text)
        elif isinstance(event, AgentCall | ApprovalWanted | AgentResult) and self._activity and event.line is not None:
            yield from self._does(event.line)
        elif isinstance(event, ToolCallStarted):
            yield from self._call_begins(event.id, event.name)
        elif isinstance(event, ToolCallDelta):
            yield from self._call_goes_on(event.id, event.json)
        elif isinstance(event, TurnCompleted):
            yield from self._end(event)

    def _words(self, kind: Kind, field: str, text: str) -> Iterator[Object]:
        if not text:
            return
        if kind in self._parted:
            self._parted.remove(kind)
            text = _BETWEEN + text
        self._said.add(kind)
        yield from self._chunk({field: text})

    def _does(self, line: str) -> Iterator[Object]:
        """A line of its own. It is done: the model does not take it back when it says something again."""
        was_dirty = self._is_dirty
        self._parted |= self._said & {"thinking"}
        yield from self._words("thinking", "reasoning_content", line)
        self._parted.add("thinking")
        self._is_dirty = was_dirty

    def _call_begins(self, identity: str, name: str) -> Iterator[Object]:
        if identity not in self._calls:
            self._calls[identity] = len(self._calls)
            call = _call(identity, name, "")
            yield from self._chunk({"tool_calls": [{"index": self._calls[identity], **call}]})

    def _call_goes_on(self, identity: str, piece: str) -> Iterator[Object]:
        if identity in self._calls and piece:
            self._argued.add(identity)
            call = {"index": self._calls[identity], "function": {"arguments": piece}}
            yield from self._chunk({"tool_calls": [call]})

    def _end(self, done: TurnCompleted) -> Iterator[Object]:
        """What was not streamed, and why the answer ended."""
        text = _joined(done, "text")
        if self._head.refused(done):
            yield from self._chunk({"refusal": text})
        elif "text" not in self._said:
            yield from self._words("text", "content", text)
        for call in calls_of(done):
            yield from self._call_begins(call["id"], call["name"])
            if call["id"] not in self._argued:
                yield from self._call_goes_on(call["id"], _arguments(call))
        yield from self._chunk({}, finish=self._head.finish(done))
        if self._include_usage:
            yield self._head.usage_chunk(done)

    def _chunk(self, delta: Object, *, finish: str | None = None) -> Iterator[Object]:
        """A chunk, the opening one before the first."""
        if not self._opened:
            self._opened = True
            yield self._head.chunk({"role": "assistant", "content": "", "refusal": None})
        self._is_dirty = True
        yield self._head.chunk(delta, finish=finish)


def usage(used: Usage) -> Object:
    """OpenAI's usage object; the prompt counts what the cache read and wrote as well."""
    return {
        "prompt_tokens": used.prompt_tokens,
        "completion_tokens": used.output_tokens,
        "total_tokens": used.prompt_tokens + used.output_tokens,
        "prompt_tokens_details": {"cached_tokens": used.cache_read_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": used.thinking_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def calls_of(done: TurnCompleted) -> list[Block]:
    """The calls that wait for the client's results, when the turn ended with some."""
    if done.stop_reason != "tool_use":
        return []
    return [block for blocks in _shown(done) for block in blocks if block.get("type") == "tool_use"]


def _shown(done: TurnCompleted) -> Iterator[list[Block]]:
    for message in done.messages:
        if message.role == "assistant":
            yield [block for block in message.content if not block.get("internal")]


def _joined(done: TurnCompleted, kind: Kind) -> str:
    texts = ("".join(block[kind] for block in blocks if block.get("type") == kind) for blocks in _shown(done))
    return _BETWEEN.join(text for text in texts if text)


def _reasoning(done: TurnCompleted, *, thinking: bool, activity: bool) -> str:
    """What the model thought, and what it did with tools of its own, in order."""
    told: list[str] = []
    for message in done.messages:
        is_open = False
        for block in message.content:
            if thinking and block.get("type") == "thinking" and block["thinking"]:
                told[len(told) - is_open :] = [(told[-1] if is_open else "") + block["thinking"]]
                is_open = True
            elif activity and "activity" in block:
                told.append(block["activity"])
                is_open = False
    return _BETWEEN.join(told)


def _call(identity: str, name: str, arguments: str) -> Object:
    return {"id": identity, "type": "function", "function": {"name": name, "arguments": arguments}}


def _arguments(call: Block) -> str:
    return json.dumps(call["input"], separators=(",", ":"), ensure_ascii=False)
