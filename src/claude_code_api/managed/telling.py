"""From a turn's own events to those of a session, and from a stored turn to the same. Pure: one `Teller` a turn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from claude_code_api.core.toolbox import Decision
from claude_code_api.core.turn import (
    AgentCall,
    AgentResult,
    AnswerRestarted,
    AnswerStarted,
    ApprovalSettled,
    ApprovalWanted,
    Block,
    Message,
    ServerFailed,
    TextDelta,
    ThinkingDelta,
    ThinkingStarted,
    ToolCallStarted,
    TurnCompleted,
    TurnEvent,
    TurnFailed,
    Usage,
    text_of_result,
)
from claude_code_api.managed import events as ev
from claude_code_api.managed.mapping import called, evaluation_of
from claude_code_api.managed.session_store import Json, NewEvent, Waiting

Preview = Mapping[str, Any]
"""An `event_start` or an `event_delta`: seen by those who watch, and kept nowhere."""


@dataclass
class Told:
    """What one event of a turn means: for the log, and for those who watch for more than that.

    `wants` and `settled` are calls that begin and cease to wait for a person.
    """

    events: list[NewEvent] = field(default_factory=list)
    previews: list[Preview] = field(default_factory=list)
    wants: list[Waiting] = field(default_factory=list)
    settled: list[str] = field(default_factory=list)


class Teller:
    """Tells of one turn. `decide` says what becomes of a call of this tool.

    What a request to the model has read is known when it begins. What all of them wrote is known at the end, and told
    of the last one; so the requests of a turn add up to the turn.
    """

    def __init__(self, turn_id: str, decide: Callable[[str], Decision]) -> None:
        self.turn_id = turn_id
        self._decide = decide
        self._calls: dict[str, tuple[str, bool]] = {}
        self._reading = ev.NO_USAGE
        self._read = ev.NO_USAGE
        self._request: str | None = None
        self._message: str | None = None
        self._text = ""
        self._thinking: str | None = None
        self._asked: dict[str, AgentCall] = {}
        self._told = Told()

    def feed(self, event: TurnEvent) -> Told:
        """What an event means, in order."""
        self._told = Told()
        match event:
            case AnswerStarted():
                self._end_request()
                self._request = self._add(ev.REQUEST_START).id
                self._reading = replace(event.usage, output_tokens=0, thinking_tokens=0)
            case TextDelta():
                self._say(event.text)
            case ThinkingStarted() | ThinkingDelta():
                self._think()
            case ToolCallStarted():
                self._flush()
            case AgentCall():
                self._call(event)
            case AgentResult():
                self._result(event.id, event.content, is_error=event.is_error)
            case ApprovalWanted():
                self._want(event)
            case ApprovalSettled():
                self._told.settled.append(event.id)
            case ServerFailed():
                self._told.events.append(ev.server_failed(event.name, event.message, self.turn_id))
            case AnswerRestarted():
                self._drop()
                self._end_request(is_error=True)
            case TurnFailed():
                self._drop()
                self._end_request(is_error=True)
            case TurnCompleted():
                self._complete(event)
            case _:
                pass
        return self._told

    # What is said

    def _say(self, text: str) -> None:
        self._end_thinking()
        if self._message is None:
            self._message = ev.new_id()
            self._start(ev.MESSAGE, self._message)
        self._text += text
        self._told.previews.append(delta(self._message, text))

    def _think(self) -> None:
        if self._thinking is None:
            self._flush()
            self._thinking = ev.new_id()
            self._start(ev.THINKING, self._thinking)

    def _start(self, kind: str, event_id: str) -> None:
        self._told.previews.append(start(kind, event_id))

    def _end_thinking(self) -> None:
        if self._thinking is not None:
            self._told.events.append(NewEvent(self._thinking, ev.THINKING, turn_id=self.turn_id))
            self._thinking = None

    def _flush(self) -> None:
        """What was said so far is a whole message."""
        self._end_thinking()
        if self._message is not None:
            body = {"content": [{"type": "text", "text": self._text}]}
            self._told.events.append(NewEvent(self._message, ev.MESSAGE, body, turn_id=self.turn_id))
            self._message, self._text = None, ""

    def _drop(self) -> None:
        """What was said since the last whole message is void."""
        self._message, self._text, self._thinking = None, "", None

    def _end_request(self, whole: Usage | None = None, *, is_error: bool = False) -> None:
        """The request is over; `whole` is what the turn has used, when that is known."""
        self._flush()
        if self._request is not None:
            usage = self._reading if whole is None else whole - self._read
            self._read += usage
            self._told.events.append(ev.request_end(self._request, usage, is_error=is_error, turn_id=self.turn_id))
            self._request = None

    # What is done

    def _call(self, call: AgentCall) -> None:
        self._flush()
        decision = self._decide(call.name)
        if decision == "ask":
            self._asked[call.id] = call  # it is told when it waits
        else:
            self._tool_use(call.id, call.name, call.input, decision)

    def _want(self, wanted: ApprovalWanted) -> None:
        self._end_request()  # a tool is used when the message that calls it is whole
        self._asked.pop(wanted.id, None)
        if wanted.id not in self._calls:
            self._tool_use(wanted.id, wanted.name, wanted.input, "ask")
        self._told.wants.append(Waiting(self._calls[wanted.id][0], wanted.id, "confirmation"))

    def _tool_use(self, call_id: str, name: str, arguments: Json, decision: Decision) -> None:
        event = tool_use(call_id, name, arguments, decision, self.turn_id)
        self._calls[call_id] = event.id, event.type == ev.MCP_TOOL_USE
        self._told.events.append(event)

    def _result(self, call_id: str, content: str, *, is_error: bool) -> None:
        self._end_request()
        if (call := self._asked.pop(call_id, None)) is not None:
            self._tool_use(call.id, call.name, call.input, "ask")  # it failed before anybody was asked
        if call_id in self._calls:
            event_id, is_mcp = self._calls[call_id]
            self._told.events.append(tool_result(event_id, content, is_mcp=is_mcp, is_error=is_error, of=self.turn_id))

    def _complete(self, done: TurnCompleted) -> None:
        self._end_request(done.usage, is_error=done.stop_reason == "interrupted")
        for block in open_calls(done.stop_reason, done.messages):
            event = custom_tool_use(block, self.turn_id)
            self._told.events.append(event)
            self._told.wants.append(Waiting(event.id, block["id"], "result"))
        if done.compacted:
            self._add("agent.thread_context_compacted")

    def _add(self, kind: str) -> NewEvent:
        event = ev.event(kind, turn_id=self.turn_id)
        self._told.events.append(event)
        return event


def start(kind: str, event_id: str) -> Preview:
    """An event of this id is on its way."""
    return {"type": "event_start", "event": {"type": kind, "id": event_id}}


def delta(event_id: str, text: str) -> Preview:
    """More of its text."""
    content = {"type": "text", "text": text}
    return {
        "type": "event_delta",
        "event_id": event_id,
        "delta": {"type": "content_delta", "index": 0, "content": content},
    }


def tool_use(call_id: str, name: str, arguments: Json, decision: Decision, turn_id: str | None) -> NewEvent:
    """The agent calls a tool of its own."""
    shown, server = called(name)
    body: Json = {"name": shown, "input": arguments, "evaluated_permission": decision}
    if (evaluation := evaluation_of(decision)) is not None:
        body["evaluation"] = evaluation
    if server is None:
        return ev.event(ev.TOOL_USE, body, turn_id=turn_id, call_id=call_id)
    return ev.event(ev.MCP_TOOL_USE, {**body, "mcp_server_name": server}, turn_id=turn_id, call_id=call_id)


def tool_result(event_id: str, content: str, *, is_mcp: bool, is_error: bool, of: str | None) -> NewEvent:
    """A call of the agent's own has ended."""
    named = "mcp_tool_use_id" if is_mcp else "tool_use_id"
    body = {named: event_id, "content": [{"type": "text", "text": content}] if content else [], "is_error": is_error}
    return ev.event(ev.MCP_TOOL_RESULT if is_mcp else ev.TOOL_RESULT, body, turn_id=of)


def custom_tool_use(block: Block, turn_id: str | None) -> NewEvent:
    """The agent calls a tool of the client's."""
    body = {"name": block["name"], "input": block["input"]}
    return ev.event(ev.CUSTOM_TOOL_USE, body, turn_id=turn_id, call_id=block["id"])


def open_calls(stop_reason: str, messages: Sequence[Message]) -> list[Block]:
    """The calls of the client's tools that a turn ended with, and that wait for their results."""
    last = messages[-1] if messages else None
    if stop_reason != "tool_use" or last is None or last.role != "assistant":
        return []
    return [block for block in last.content if block["type"] == "tool_use" and not block.get("internal")]


def told_of(
    messages: Sequence[Message], turn_id: str, known: Mapping[str, str], permissions: Callable[[str], Decision]
) -> list[NewEvent]:
    """What a stored turn's messages tell, as far as a session tells it. `known` are the events of earlier calls."""
    calls: dict[str, tuple[str, bool]] = {call: (one, False) for call, one in known.items()}
    found: list[NewEvent] = []
    for message in messages:
        said: list[Block] = []
        for block in message.content:
            kind = block["type"]
            if kind in _SAID[message.role]:
                said.append(block)
                continue
            found += _message(message.role, said, turn_id)
            said = []
            if kind in ("thinking", "redacted_thinking"):
                found.append(ev.event(ev.THINKING, turn_id=turn_id))
            elif kind == "tool_use":
                event = (
                    tool_use(block["id"], block["name"], block["input"], permissions(block["name"]), turn_id)
                    if block.get("internal")
                    else custom_tool_use(block, turn_id)
                )
                event = replace(event, id=known.get(block["id"], event.id))
                calls[block["id"]] = event.id, event.type == ev.MCP_TOOL_USE
                found.append(event)
            elif kind == "tool_result" and block["tool_use_id"] in calls:
                found.append(_stored_result(block, *calls[block["tool_use_id"]], turn_id))
        found += _message(message.role, said, turn_id)
    return found


_SAID = {"user": ("text", "image", "document"), "assistant": ("text",)}


def _message(role: str, said: list[Block], turn_id: str) -> list[NewEvent]:
    if not said:
        return []
    if role == "user":
        return [ev.event(ev.USER_MESSAGE, {"content": [_plain(block) for block in said]}, turn_id=turn_id)]
    text = "".join(block["text"] for block in said)
    return [ev.event(ev.MESSAGE, {"content": [{"type": "text", "text": text}]}, turn_id=turn_id)]


def _plain(block: Block) -> Json:
    """A block without what only we say of it."""
    names = {"text": ("type", "text"), "image": ("type", "source"), "document": ("type", "source", "title", "context")}
    return {name: block[name] for name in names[block["type"]] if name in block}


def _stored_result(block: Block, event_id: str, is_mcp: bool, turn_id: str) -> NewEvent:
    is_error = bool(block.get("is_error"))
    if block.get("internal"):
        return tool_result(event_id, text_of_result(block.get("content")), is_mcp=is_mcp, is_error=is_error, of=turn_id)
    content = block.get("content") or []
    told = [{"type": "text", "text": content}] if isinstance(content, str) else [dict(one) for one in content]
    body = {"custom_tool_use_id": event_id, "content": told, "is_error": is_error}
    return ev.event(ev.CUSTOM_RESULT, body, turn_id=turn_id)
