"""From a turn's events to the events of a Message's stream; a whole Message is a stream that was put together. Pure.

An agent's several messages are one Message, whose texts are parted by blank lines. What an agent does with tools of its
own is told as thinking, to clients that asked for thinking: as a `tool_use` they would run it. It is signed as ours, so
that it is left out when it comes back.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from claude_code_api.api.anthropic_messages.answer import (
    Head,
    Object,
    calls_of,
    ending_of,
    ending_refused,
    texts_of,
    usage_so_far,
)
from claude_code_api.api.anthropic_messages.parts import OWN_SIGNATURE
from claude_code_api.core.replay import call_of, retold
from claude_code_api.core.turn import (
    AgentCall,
    AgentResult,
    AnswerRestarted,
    AnswerStarted,
    ApprovalWanted,
    Block,
    TextDelta,
    ThinkingDelta,
    ThinkingSigned,
    ThinkingStarted,
    ToolCallDelta,
    ToolCallStarted,
    TurnCompleted,
    TurnEvent,
    Usage,
)
from claude_code_api.errors import ContentRefused, UpstreamInterrupted

_BETWEEN = "\n\n"
_TEXT, _THINKING = "text", "thinking"


class Stream:
    """Makes one stream's events of a turn's events."""

    def __init__(self, head: Head) -> None:
        self._head = head
        self._begun = False
        self._next = 0
        self._open: str | None = None
        self._has_text = False
        self._parted = False
        self._is_dirty = False
        self._calls: set[str] = set()

    def of(self, event: TurnEvent) -> Iterator[Object]:
        """The events that an event means; none for a failure. Raises UpstreamInterrupted when what was said is void."""
        match event:
            case AnswerStarted():
                yield from self._close()
                yield from self._begin(event.model, event.usage)
                self._parted, self._is_dirty = self._has_text, False
            case AnswerRestarted() if self._is_dirty:
                raise UpstreamInterrupted(
                    "The model's stream broke in the middle of the answer. Send the request again.", retry_after=1
                )
            case TextDelta():
                yield from self._say(event.text)
            case ThinkingStarted() | ThinkingDelta() | ThinkingSigned() if self._head.thinking:
                yield from self._think(event)
            case AgentCall() | ApprovalWanted() | AgentResult() if self._head.activity and event.line is not None:
                yield from self._do(event.line)
            case ToolCallStarted():
                yield from self._call(event)
            case ToolCallDelta() if event.json and self._open == event.id:
                yield self._delta({"type": "input_json_delta", "partial_json": event.json})
            case TurnCompleted():
                yield from self._end(event)

    def refused(self, error: ContentRefused) -> Iterator[Object]:
        """The end of an answer that the model declined to go on with."""
        yield from self._begin(self._head.model, Usage())
        yield from self._stop(ending_refused(error), Usage())

    def _begin(self, model: str, used: Usage) -> Iterator[Object]:
        if not self._begun:
            self._begun = True
            yield {"type": "message_start", "message": self._head.message(model, [], used)}
            yield {"type": "ping"}

    def _say(self, text: str) -> Iterator[Object]:
        if not text:
            return
        if self._open != _TEXT:
            yield from self._start(_TEXT, {"type": "text", "text": "", "citations": None})
        if self._parted:
            self._parted = False
            text = _BETWEEN + text
        self._has_text = True
        yield self._delta({"type": "text_delta", "text": text})

    def _think(self, event: ThinkingStarted | ThinkingDelta | ThinkingSigned) -> Iterator[Object]:
        if isinstance(event, ThinkingStarted) and event.data is not None:
            yield from self._start("redacted", {"type": "redacted_thinking", "data": event.data})
            yield from self._close()
        elif isinstance(event, ThinkingStarted):
            yield from self._start(_THINKING, {"type": "thinking", "thinking": "", "signature": ""})
        elif self._open != _THINKING:
            return  # what is said around a structured answer is no block of it
        elif isinstance(event, ThinkingDelta):
            if event.text and not event.aside and not self._head.omitted:
                yield self._delta({"type": "thinking_delta", "thinking": event.text})
        else:
            yield self._delta({"type": "signature_delta", "signature": event.signature})
            yield from self._close()

    def _do(self, line: str) -> Iterator[Object]:
        """A block of its own. It is done: the model does not take it back when it says something again."""
        was_dirty = self._is_dirty
        yield from self._start(_THINKING, {"type": "thinking", "thinking": "", "signature": ""})
        yield self._delta({"type": "thinking_delta", "thinking": line})
        yield self._delta({"type": "signature_delta", "signature": OWN_SIGNATURE})
        yield from self._close()
        self._is_dirty = was_dirty

    def _call(self, event: ToolCallStarted) -> Iterator[Object]:
        if event.id in self._calls:
            return
        self._calls.add(event.id)
        caller = {"type": "direct"}
        call = {"type": "tool_use", "id": event.id, "caller": caller, "name": event.name, "input": {}}
        yield from self._start(event.id, call)

    def _end(self, done: TurnCompleted) -> Iterator[Object]:
        """What was not streamed, and why the answer ended."""
        yield from self._begin(done.model, done.usage)
        if not self._has_text:
            for text in texts_of(done):
                yield from self._say(text)
        for block in calls_of(done):
            if block["id"] not in self._calls:
                for event in call_of(block):
                    yield from self.of(event)
        yield from self._stop(ending_of(done), done.usage)

    def _stop(self, ending: Object, used: Usage) -> Iterator[Object]:
        yield from self._close()
        delta = {**ending, "container": None}
        yield {"type": "message_delta", "delta": delta, "usage": usage_so_far(used)}
        yield {"type": "message_stop"}

    def _start(self, kind: str, block: Block) -> Iterator[Object]:
        yield from self._close()
        yield from self._begin(self._head.model, Usage())
        self._open, self._is_dirty = kind, True
        yield {"type": "content_block_start", "index": self._next, "content_block": block}

    def _delta(self, delta: Object) -> Object:
        return {"type": "content_block_delta", "index": self._next, "delta": delta}

    def _close(self) -> Iterator[Object]:
        if self._open is not None:
            yield {"type": "content_block_stop", "index": self._next}
            self._open = None
            self._next += 1


def whole(head: Head, done: TurnCompleted) -> Object:
    """The Message of a completed turn: what its stream would come to."""
    stream = Stream(head)
    events = [wire for event in (*retold(done), done) for wire in stream.of(event)]
    return head.message(done.model, list(_content(events)), done.usage, ending_of(done))


def whole_refused(head: Head, error: ContentRefused) -> Object:
    """The Message of a turn that the model declined to go on with."""
    return head.message(head.model, [], Usage(), ending_refused(error))


def _content(events: Iterable[Object]) -> Iterator[Block]:
    """The content that a stream's events come to."""
    block: Block = {}
    arguments: list[str] = []
    for event in events:
        kind = event["type"]
        if kind == "content_block_start":
            block, arguments = dict(event["content_block"]), []
        elif kind == "content_block_stop":
            if block["type"] == "tool_use":
                block["input"] = json.loads("".join(arguments) or "{}")
            yield block
        elif kind == "content_block_delta":
            _add(block, arguments, event["delta"])


def _add(block: Block, arguments: list[str], delta: dict[str, Any]) -> None:
    match delta["type"]:
        case "input_json_delta":
            arguments.append(delta["partial_json"])
        case "signature_delta":
            block["signature"] = delta["signature"]
        case kind:
            field = kind.removesuffix("_delta")
            block[field] += delta[field]
