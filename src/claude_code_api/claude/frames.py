"""From the CLI's frames to turn events. Pure: one `TurnReader` a turn, fed frame by frame.

A frame belongs to our turn only after the CLI has said that it started our message (`command_lifecycle`), because
background work can start turns that nobody asked for. Frames of sub-agents (`parent_tool_use_id`) are not the answer.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from claude_code_api.claude.failures import failure_of_result, failure_of_retry
from claude_code_api.core.turn import (
    AnswerRestarted,
    AnswerStarted,
    Block,
    Message,
    TextDelta,
    ThinkingDelta,
    TurnCompleted,
    TurnEvent,
    TurnFailed,
    Usage,
)

Frame = dict[str, Any]


class TurnReader:
    """Reads the frames of one turn.

    `turn` is the uuid of our user frame; `retry_ms` is how long the CLI may wait for its own retries before the turn is
    given up. `over` once the turn has ended; `compacted` once the CLI has replaced its context by a summary.

    At the token limit the CLI goes on by itself with a message of its own. `continuation` then names that message, to
    be rewound; `truncated` is the completed turn, to be passed on when it is.
    """

    def __init__(self, turn: str, *, retry_ms: float) -> None:
        self.turn = turn
        self._retry_ms = retry_ms
        self._waited_ms = 0.0
        self._started = False
        self.over = False
        self.compacted = False
        self.continuation: str | None = None
        self.truncated: TurnCompleted | None = None
        self._cut_short = False
        self._stop_reason: str | None = None
        self._model = ""
        self._error_kind: str | None = None
        self._leaf: str | None = None
        self._messages: list[tuple[str, str, list[Block]]] = []
        self._streamed: set[str] = set()
        self._open_text = False

    def feed(self, frame: Frame) -> Iterable[TurnEvent]:
        """Return the events that this frame means, in order."""
        if self.over:
            return ()
        kind = frame.get("type")
        if kind == "command_lifecycle":
            self._started = self._started or (
                frame.get("command_uuid") == self.turn and frame.get("state") == "started"
            )
            return ()
        if not self._started or frame.get("parent_tool_use_id") is not None:
            return ()
        if self._cut_short and kind != "result":
            return ()
        if kind == "stream_event":
            return self._stream_event(frame["event"], abandoned="abandoned_blocks" in frame)
        if kind == "assistant":
            return self._assistant(frame)
        if kind == "user" and frame.get("isSynthetic") and self._stop_reason == "max_tokens":
            self._cut_short, self.continuation = True, frame["uuid"]
        elif kind == "user":
            self._gather("user", frame["uuid"], frame["message"]["content"], frame["uuid"])
        elif kind == "system" and frame.get("subtype") == "api_retry":
            return self._retry(frame)
        elif kind == "system" and frame.get("subtype") == "compact_boundary":
            self.compacted = True
        elif kind == "result":
            return self._result(frame)
        return ()

    def _stream_event(self, event: Frame, *, abandoned: bool) -> Iterable[TurnEvent]:
        kind = event["type"]
        if kind == "content_block_delta":
            delta = event["delta"]
            if delta["type"] == "text_delta":
                self._open_text = True
                return (TextDelta(delta["text"]),)
            if delta["type"] == "thinking_delta":
                self._open_text = True
                return (ThinkingDelta(delta["thinking"]),)
        elif kind == "message_start":
            restarted, self._open_text = self._open_text, False
            self._stop_reason = None
            self._model = event["message"]["model"]
            self._streamed.add(event["message"]["id"])
            started = AnswerStarted(self._model)
            return (AnswerRestarted(), started) if restarted else (started,)
        elif kind == "message_delta":
            self._stop_reason = event["delta"].get("stop_reason")
        elif kind == "message_stop":
            # A stream that broke upstream is closed as well, and marked: what it said will be said again.
            self._open_text = self._open_text and abandoned
        return ()

    def _assistant(self, frame: Frame) -> Iterable[TurnEvent]:
        message = frame["message"]
        if frame.get("error"):
            self._error_kind = frame["error"]
            return ()
        self._gather("assistant", message["id"], message["content"], frame["uuid"])
        if message["id"] in self._streamed:
            return ()
        self._model = message["model"]
        self._stop_reason = message.get("stop_reason")
        # The CLI fell back to asking without streaming: the text comes in one piece.
        restarted, self._open_text = self._open_text, False
        text = tuple(TextDelta(block["text"]) for block in message["content"] if block["type"] == "text")
        return (AnswerRestarted(), *text) if restarted else text

    def _gather(self, role: str, identity: str, content: str | list[Block], uuid: str) -> None:
        blocks: list[Block] = [{"type": "text", "text": content}] if isinstance(content, str) else content
        if self._messages and self._messages[-1][:2] == (role, identity):
            self._messages[-1][2].extend(blocks)
        else:
            self._messages.append((role, identity, list(blocks)))
        self._leaf = uuid

    def _retry(self, frame: Frame) -> Iterable[TurnEvent]:
        delay_ms = float(frame.get("retry_delay_ms") or 0)
        self._waited_ms += delay_ms
        failure = failure_of_retry(frame.get("error_status"), frame.get("error"), delay_ms)
        if self._waited_ms <= self._retry_ms and failure.retry_after is not None:
            return ()
        self.over = True
        return (TurnFailed(failure),)

    def _result(self, frame: Frame) -> Iterable[TurnEvent]:
        self.over = True
        if frame.get("is_error") and not self._cut_short:
            return (TurnFailed(failure_of_result(frame, self._error_kind)),)
        completed = TurnCompleted(
            stop_reason="max_tokens" if self._cut_short else frame.get("stop_reason") or "end_turn",
            model=self._model,
            usage=_usage(frame.get("usage") or {}),
            leaf=self._leaf,
            messages=tuple(
                Message("user" if role == "user" else "assistant", tuple(blocks)) for role, _, blocks in self._messages
            ),
        )
        if self._cut_short:
            self.truncated = completed
            return ()
        return (completed,)


def _usage(usage: Frame) -> Usage:
    details = usage.get("output_tokens_details") or {}
    return Usage(
        input_tokens=int(usage.get("input_tokens") or 0),
        output_tokens=int(usage.get("output_tokens") or 0),
        cache_read_tokens=int(usage.get("cache_read_input_tokens") or 0),
        cache_write_tokens=int(usage.get("cache_creation_input_tokens") or 0),
        thinking_tokens=int(details.get("thinking_tokens") or 0),
    )
