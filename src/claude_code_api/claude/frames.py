"""From the CLI's frames to turn events. Pure: one `TurnReader` a turn, fed frame by frame.

A frame belongs to our turn only after the CLI has said that it started our message (`command_lifecycle`), because
background work can start turns that nobody asked for. Frames of sub-agents (`parent_tool_use_id`) are not the answer.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from claude_code_api.claude.activity import Narrator
from claude_code_api.claude.control import Frame
from claude_code_api.claude.failures import failure_of_result, failure_of_retry
from claude_code_api.claude.gathered import STRUCTURED_OUTPUT, Gathered
from claude_code_api.claude.reported import deltas_of, unreached, usage_of
from claude_code_api.claude.tools import PREFIX
from claude_code_api.core.turn import (
    AnswerRestarted,
    AnswerStarted,
    TextDelta,
    ThinkingDelta,
    ThinkingSigned,
    ThinkingStarted,
    ToolCallDelta,
    ToolCallStarted,
    TurnCompleted,
    TurnEvent,
    TurnFailed,
    Usage,
)
from claude_code_api.errors import SchemaNotTaken, UpstreamInterrupted


class TurnReader:
    """Reads the frames of one turn.

    `turn` is the uuid of our user frame; `retry_ms` is how long the CLI may wait for its own retries before the turn is
    given up. `tools` are the client's, as the CLI names them; `structured`: the answer is JSON that meets a schema.
    A turn that `answered` open calls goes on with what the CLI was doing, and `spent` so far. With a `narrator`, what
    the agent does with tools of its own is told; `servers` are its MCP servers, and why one could not be reached.

    `started` once the CLI has begun with the message, `over` once the turn has ended; `compacted` once the CLI has
    replaced its context by a summary; `dirty` when the CLI's context is no longer what the turn says it is. `halted` is
    the stop reason once the turn is interrupted: what it has said then is the answer.

    At the token limit the CLI goes on by itself with a message of its own. `continuation` then names that message, to
    be rewound; `truncated` is the completed turn, to be passed on when it is.
    """

    def __init__(
        self,
        turn: str,
        *,
        retry_ms: float,
        tools: frozenset[str] = frozenset(),
        structured: bool = False,
        answered: frozenset[str] = frozenset(),
        spent: Usage | None = None,
        narrator: Narrator | None = None,
        servers: Mapping[str, str] | None = None,
    ) -> None:
        self.turn = turn
        self.over = False
        self.halted: str | None = None
        self.compacted = False
        self.dirty = False
        self.continues = bool(answered)
        self.continuation: str | None = None
        self.truncated: TurnCompleted | None = None
        self.spent = spent or Usage()
        self._spent_before = self.spent
        self._retry_ms = retry_ms
        self._waited_ms = 0.0
        self._tools = tools
        self.started = self.continues
        self._cut_short = False
        self._stop_reason: str | None = None
        self._stop_sequence: str | None = None
        self._model = ""
        self._error_kind: str | None = None
        self._gathered = Gathered(structured=structured, answered=answered, narrator=narrator)
        self._structured = structured
        self._servers = servers or {}
        self._streamed: set[str] = set()
        self._whole = ""
        self._said_something = False
        self._void = False
        # The message that is coming in
        self._usage: Frame = {}
        self._blocks: dict[int, str] = {}
        self._made: set[str] = set()
        self._calls: set[str] = set()
        self._in_a_call = False
        self._stopped_for_tools = False
        self._waiting: set[str] = set()

    def feed(self, frame: Frame) -> Iterable[TurnEvent]:
        """Return the events that this frame means, in order."""
        if self.over:
            return ()
        kind = frame.get("type")
        if kind == "command_lifecycle":
            self.started = self.started or (frame.get("command_uuid") == self.turn and frame.get("state") == "started")
            return ()
        if not self.started or frame.get("parent_tool_use_id") is not None:
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
            return self._user(frame)
        elif kind == "system" and frame.get("subtype") == "init":
            return self._init(frame)
        elif kind == "system" and frame.get("subtype") == "api_retry":
            return self._retry(frame)
        elif kind == "system" and frame.get("subtype") == "compact_boundary":
            self.compacted = True
        elif kind == "result":
            return self._result(frame)
        return ()

    def expects(self, call: str) -> bool:
        """Whether this is a call of the answer itself, and not of a sub-agent or of work that nobody asked for."""
        return not self.over and call in self._calls

    def called(self, call: str) -> Iterable[TurnEvent]:
        """The CLI made this call of a client's tool, and waits for its result."""
        self._waiting.add(call)
        return self._parked()

    def _stream_event(self, event: Frame, *, abandoned: bool) -> Iterable[TurnEvent]:
        match event["type"]:
            case "content_block_start":
                return self._block_started(event["index"], event["content_block"])
            case "content_block_delta":
                return self._delta(event["index"], event["delta"])
            case "message_start":
                self._streamed.add(event["message"]["id"])
                return self._message_started(event["message"])
            case "message_delta":
                self._stop_reason = event["delta"].get("stop_reason")
                self._stop_sequence = event["delta"].get("stop_sequence")
                self._usage |= {name: value for name, value in (event.get("usage") or {}).items() if value is not None}
            case "message_stop":
                # A stream that broke upstream is closed as well, and marked: what it said will be said again.
                self._said_something = self._said_something and abandoned
                self.spent += usage_of(self._usage)
                self._usage = {}
                if not abandoned and self._stop_reason == "max_tokens" and self._in_a_call:
                    return self._cut_in_a_call()
                self._stopped_for_tools = not abandoned and self._stop_reason == "tool_use"
                return self._parked()
        return ()

    def _message_started(self, message: Frame) -> Iterable[TurnEvent]:
        restarted = self._said_something or self._void
        self._said_something = self._void = False
        self._stop_reason = self._stop_sequence = None
        self._model = message["model"]
        self._usage = dict(message.get("usage") or {})
        self._blocks, self._made, self._calls = {}, set(), set()
        self._in_a_call = self._stopped_for_tools = False
        self._gathered.json = ""
        started = AnswerStarted(self._model, usage_of(self._usage))
        return (AnswerRestarted(), started) if restarted else (started,)

    def _block_started(self, index: int, block: Frame) -> Iterable[TurnEvent]:
        self._in_a_call = block["type"] == "tool_use"
        if not self._in_a_call:
            if block["type"] not in ("thinking", "redacted_thinking"):
                return ()
            self._said_something = True
            return (ThinkingStarted(block.get("data")),)
        self._made.add(block["id"])
        self._calls.add(block["id"])
        if self._structured and block["name"] == STRUCTURED_OUTPUT:
            if not self._gathered.json:
                self._blocks[index] = STRUCTURED_OUTPUT
        elif block["name"] in self._tools:
            self._blocks[index] = block["id"]
            self._said_something = True
            return (ToolCallStarted(block["id"], block["name"].removeprefix(PREFIX)),)
        return ()

    def _delta(self, index: int, delta: Frame) -> Iterable[TurnEvent]:
        kind = delta["type"]
        if kind == "text_delta":
            self._said_something = True
            # What is said around a structured answer is no part of it.
            return (ThinkingDelta(delta["text"], aside=True) if self._structured else TextDelta(delta["text"]),)
        if kind == "thinking_delta":
            self._said_something = True
            return (ThinkingDelta(delta["thinking"]),)
        if kind == "signature_delta":
            return (ThinkingSigned(delta["signature"]),)
        if kind == "input_json_delta" and delta["partial_json"] and (block := self._blocks.get(index)):
            self._said_something = True
            if block != STRUCTURED_OUTPUT:
                return (ToolCallDelta(block, delta["partial_json"]),)
            self._gathered.json += delta["partial_json"]
            return (TextDelta(delta["partial_json"]),)
        return ()

    def _assistant(self, frame: Frame) -> Iterable[TurnEvent]:
        message = frame["message"]
        if frame.get("error"):
            self._error_kind = frame["error"]
            return self._broke_behind_a_call()
        doings = self._gathered.assistant(message["id"], message["content"], frame["uuid"])
        events = () if message["id"] in self._streamed else self._unstreamed(message)
        return [*events, *doings]

    def _broke_behind_a_call(self) -> Iterable[TurnEvent]:
        """The model's stream broke behind a whole call: the CLI waits for its result, and says no more."""
        if not self._calls & self._shown():
            return ()
        self.over = True
        lost = UpstreamInterrupted("The model's stream broke in the middle of the answer.", retry_after=1)
        return (TurnFailed(lost),)

    def _shown(self) -> set[str]:
        """The calls of this message that the client has been told of."""
        return {block for block in self._blocks.values() if block != STRUCTURED_OUTPUT}

    def _unstreamed(self, message: Frame) -> Iterable[TurnEvent]:
        """The CLI fell back to asking without streaming: each block comes in one piece, and all before the calls."""
        events: list[TurnEvent] = []
        if message["id"] != self._whole:
            self._whole = message["id"]
            events += self._message_started(message)
            self.spent += usage_of(self._usage)
        self._stop_reason, self._stop_sequence = message.get("stop_reason"), message.get("stop_sequence")
        for block in message["content"]:
            index = len(self._blocks)
            events += self._block_started(index, block)
            for delta in deltas_of(block):
                events += self._delta(index, delta)
        self._said_something = False
        self._stopped_for_tools = self._stop_reason == "tool_use"
        if self._stop_reason == "max_tokens" and self._in_a_call:
            events += self._cut_in_a_call()
        return events

    def _user(self, frame: Frame) -> Iterable[TurnEvent]:
        """The agent's own tools gave results; or the CLI itself answered a call that could not be made."""
        resolved, doings = self._gathered.user(frame["message"]["content"], frame["uuid"])
        self._calls -= resolved
        self._void = self._void or bool(resolved & self._shown()) or self._gathered.missed_schema
        return [*doings, *self._parked()]

    def _parked(self) -> Iterable[TurnEvent]:
        """The turn's end, when the model waits for nothing but the client's results."""
        if self.over or not self._stopped_for_tools or not self._calls or self._calls - self._waiting:
            return ()
        self.over = True
        self.dirty = self.dirty or self.halted is not None  # the CLI is about to answer the calls itself
        completed = self._completed("tool_use", open_calls=frozenset(self._calls))
        return (AnswerRestarted(), completed) if self._void else (completed,)

    def _cut_in_a_call(self) -> Iterable[TurnEvent]:
        """The token limit fell into a call's arguments: the CLI would complain to the model, and go on."""
        self.over = self.dirty = True
        self._gathered.forget_calls(self._made)
        return (self._completed("max_tokens"),)

    def _init(self, frame: Frame) -> Iterable[TurnEvent]:
        """The CLI says what it offers: a schema that it cannot compile it drops without a word."""
        if not self._structured or STRUCTURED_OUTPUT in frame.get("tools", (STRUCTURED_OUTPUT,)):
            return unreached(frame, self._servers)
        self.over = self.dirty = True
        return (TurnFailed(SchemaNotTaken("Claude Code does not take the JSON schema of the answer: simplify it.")),)

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
        if self.halted is not None and str(frame.get("terminal_reason")).startswith("aborted"):
            return (self._halted_at(self.halted),)
        if frame.get("is_error") and not self._cut_short:
            return (TurnFailed(failure_of_result(frame, self._error_kind)),)
        self.spent = usage_of(frame.get("usage") or {})
        if self._structured and not self._cut_short and frame.get("structured_output") is None:
            self.dirty = True  # it was told twice to meet the schema
            return (self._completed("refusal"),)
        if self._structured and not self._cut_short:
            return (*self._settle_json(frame["structured_output"]), self._completed("end_turn"))
        stop_reason = frame.get("stop_reason") or "end_turn"
        completed = self._completed("max_tokens" if self._cut_short else stop_reason)
        if self._cut_short:
            self.truncated = completed
            return ()
        return (completed,)

    def _halted_at(self, stop_reason: str) -> TurnCompleted:
        """What was said before the turn was halted; of an answer that has a schema, nothing."""
        self._gathered.json = ""
        completed = self._completed(stop_reason)
        answered = any(message.role == "assistant" for message in completed.messages)
        return completed if answered else replace(completed, leaf=None, messages=())

    def _completed(self, stop_reason: str, *, open_calls: frozenset[str] = frozenset()) -> TurnCompleted:
        gathered = self._gathered
        messages = gathered.messages(open_calls, refused=stop_reason == "refusal")
        leaf = None if self.dirty or self._structured else gathered.leaf
        usage = self.spent - self._spent_before
        met = self._stop_sequence if stop_reason == "stop_sequence" else None
        return TurnCompleted(stop_reason, self._model, usage, leaf, messages, self.compacted, met)

    def _settle_json(self, accepted: Any) -> Iterable[TurnEvent]:
        """The answer is what the CLI accepted: not always what came last, nor in this turn."""
        gathered = self._gathered
        with contextlib.suppress(ValueError):
            if json.loads(gathered.json) == accepted:
                return ()
        told, gathered.json = gathered.json, json.dumps(accepted, ensure_ascii=False)
        return (AnswerRestarted(),) if told else ()
