"""From Chat Completions' messages to the conversation's: who said what, which calls were made and answered. Pure."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from claude_code_api.api.checks import checked_name, sound
from claude_code_api.api.media import Media
from claude_code_api.api.openai_chat.parts import blocks_of
from claude_code_api.api.openai_chat.wire import ChatMessage, ToolCall
from claude_code_api.core.nesting import is_deep
from claude_code_api.core.turn import Block, Message, Role
from claude_code_api.errors import InvalidRequest, UnsupportedParameter

_CALL_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_LONGEST_RESULT = 500_000
_REFUSED = {
    "function_call": "calls come as 'tool_calls'.",
    "audio": "there is no audio; send what was said as 'content'.",
}


@dataclass(frozen=True, slots=True)
class Dialogue:
    """What the messages say: neighbours of one role are one message, as they would be at the Messages API.

    `system` is None without a system or developer message; where there are no other ones, they are the user's message.
    `whole` says that the assistant's side is there as well.
    """

    system: str | None
    messages: tuple[Message, ...]
    whole: bool


def dialogue_of(messages: Sequence[ChatMessage], media: Media, *, appends: bool) -> Dialogue:
    """Read the messages. `appends`: to a conversation that may hold the calls which results among them are for.

    Raises InvalidRequest or UnsupportedParameter naming the field.
    """
    whole = any(message.role == "assistant" for message in messages)
    reader = _Reader(media, appends=appends and not whole)
    for index, message in enumerate(messages):
        reader.read(message, f"messages[{index}]")
    reader.settle()
    system = "\n\n".join(reader.system) if reader.system else None
    if system is not None and not reader.spoken:  # a template of one system message is a way to ask, too
        return Dialogue(None, (Message("user", ({"type": "text", "text": system},)),), whole)
    return Dialogue(system, tuple(Message(role, tuple(blocks)) for role, blocks in reader.spoken), whole)


@dataclass(slots=True)
class _Calls:
    """The calls of one answer by their ids, as we name them, and the results that came so far."""

    where: str
    names: dict[str, str] = field(default_factory=dict)
    results: dict[str, Block] = field(default_factory=dict)


class _Reader:
    """Takes message by message; `appends` when the calls that are answered are not part of the request."""

    def __init__(self, media: Media, *, appends: bool) -> None:
        self.system: list[str] = []
        self.spoken: list[tuple[Role, list[Block]]] = []
        self._media = media
        self._appends = appends
        self._calls: _Calls | None = None
        self._uses: Counter[str] = Counter()
        self._apart = False

    def read(self, message: ChatMessage, where: str) -> None:
        """Take the next message."""
        _check_fields(message, where)
        if message.role == "tool":
            self._result(message, where)
        elif message.role == "assistant":
            self.settle()
            self._assistant(message, where)
        else:
            content = _content(message, where, self._media)
            if message.role != "user":
                self.system += [block["text"] for block in content]
            elif content:
                self.settle()
                self._say("user", content)
            else:
                raise InvalidRequest(f"{where}.content must not be empty.", param=f"{where}.content")

    def settle(self) -> None:
        """Nothing more can answer the last calls: they must have their results, in the order of the calls."""
        calls, self._calls = self._calls, None
        if calls is None:
            return
        missing = [given for given in calls.names if given not in calls.results] if not self._appends else []
        if missing:
            raise InvalidRequest(
                "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
                "'tool_call_id'. The following tool_call_ids did not have response messages: "
                f"{', '.join(one[:100] for one in missing)}",
                param=f"{calls.where}.tool_calls",
            )
        self._say("user", [calls.results[given] for given in calls.names])

    def _assistant(self, message: ChatMessage, where: str) -> None:
        called = message.tool_calls or []
        content = _content(message, where, self._media)
        if called:
            self._calls = _Calls(where)
            for number, call in enumerate(called):
                content.append(self._call(call, self._calls, f"{where}.tool_calls[{number}]"))
        if content:
            self._say("assistant", content)
        else:
            self._apart = True  # it said nothing, and still came between two messages

    def _call(self, call: ToolCall, calls: _Calls, where: str) -> Block:
        if call.type not in (None, "function"):
            raise UnsupportedParameter(
                f"{where}.type: calls of the type {call.type!r} are not offered, only 'function'.",
                param=f"{where}.type",
            )
        if call.function is None:
            raise InvalidRequest(f"{where}.function is missing.", param=f"{where}.function")
        if call.id in calls.names:
            raise InvalidRequest(f"{where}.id: the id {call.id[:100]!r} is there twice.", param=f"{where}.id")
        sound(call.id, f"{where}.id")
        name = checked_name(call.function.name, f"{where}.function.name")
        ours = calls.names[call.id] = _call_id(call.id, self._uses[call.id])
        self._uses[call.id] += 1
        arguments = _arguments(call.function.arguments, f"{where}.function.arguments")
        return {"type": "tool_use", "id": ours, "name": name, "input": arguments}

    def _result(self, message: ChatMessage, where: str) -> None:
        given = message.tool_call_id
        if given is None:
            raise InvalidRequest(f"{where}.tool_call_id is missing.", param=f"{where}.tool_call_id")
        sound(given, f"{where}.tool_call_id")
        if self._appends and self.spoken:
            raise InvalidRequest(f"{where}: tool messages come before the user's.", param=f"{where}.role")
        if self._appends:
            self._calls = self._calls or _Calls(where)
            if given not in self._calls.names:
                self._calls.names[given] = _call_id(given, 0)
        if self._calls is None:
            raise InvalidRequest(
                "Messages with role 'tool' must be a response to a preceding message with 'tool_calls'.",
                param=f"{where}.role",
            )
        if given not in self._calls.names:
            _refuse_id(where, f"{given[:100]!r} is none of the calls that are to be answered here.")
        if given in self._calls.results:
            _refuse_id(where, f"{given[:100]!r} was answered before.")
        text = "".join(block["text"] for block in _content(message, where, self._media, blank=True))
        if len(text) > _LONGEST_RESULT:
            raise InvalidRequest(
                f"{where}.content has {len(text)} characters; a tool's result has at most {_LONGEST_RESULT}.",
                param=f"{where}.content",
            )
        self._calls.results[given] = {
            "type": "tool_result",
            "tool_use_id": self._calls.names[given],
            "content": [{"type": "text", "text": text}] if text else [],
        }

    def _say(self, role: Role, content: list[Block]) -> None:
        apart, self._apart = self._apart, False
        if apart or not self.spoken or self.spoken[-1][0] != role:
            self.spoken.append((role, content))
            return
        before = self.spoken[-1][1]
        if before[-1]["type"] == content[0]["type"] == "text":
            content = [{**content[0], "text": f"\n\n{content[0]['text']}"}, *content[1:]]
        before.extend(content)


def _check_fields(message: ChatMessage, where: str) -> None:
    if message.role == "function":
        raise UnsupportedParameter(
            f"{where}.role: functions are now tools; send their results with the role 'tool'.", param=f"{where}.role"
        )
    for name, advice in _REFUSED.items():
        if (message.model_extra or {}).get(name):
            raise UnsupportedParameter(f"{where}.{name} is not offered: {advice}", param=f"{where}.{name}")
    if message.tool_calls and message.role != "assistant":
        raise InvalidRequest(f"{where}.tool_calls: only the assistant calls tools.", param=f"{where}.tool_calls")
    if message.tool_call_id is not None and message.role != "tool":
        raise InvalidRequest(
            f"{where}.tool_call_id: only messages with the role 'tool' answer a call.", param=f"{where}.tool_call_id"
        )


def _content(message: ChatMessage, where: str, media: Media, *, blank: bool = False) -> list[Block]:
    """A message's content as blocks; text without a word is none, unless `blank`."""
    content = message.content
    if content is None and message.role == "assistant" and (message.tool_calls or message.refusal):
        content = message.refusal or ""
    if content is None:
        raise InvalidRequest(f"{where}.content is missing.", param=f"{where}.content")
    blocks = blocks_of(content, message.role, f"{where}.content", media)
    return [block for block in blocks if blank or block["type"] != "text" or block["text"].strip()]


def _call_id(given: str, uses: int) -> str:
    """The id as the Messages API takes it, the same each time; one that came before in the history gets another."""
    if not uses and _CALL_ID.fullmatch(given):
        return given
    said = f"{given}\n{uses}" if uses else given
    return f"call_{hashlib.sha256(said.encode(errors='surrogatepass')).hexdigest()[:24]}"


def _arguments(given: str | dict[str, Any] | None, where: str) -> dict[str, Any]:
    """A call's arguments; what a model wrote that is no JSON object, or a deep one, as text: it is only sent back."""
    if isinstance(given, dict):
        given = _written(given, where)
    text = sound(given or "", where)
    if not text.strip():
        return {}
    try:
        arguments = json.loads(text, parse_constant=_not_json, parse_float=_finite)
        if "\\u" in text:
            json.dumps(arguments, ensure_ascii=False).encode()  # half a character can come escaped as well
    except (ValueError, RecursionError):
        arguments = None
    return arguments if isinstance(arguments, dict) and not is_deep(arguments) else {"arguments": text}


def _written(arguments: dict[str, Any], where: str) -> str:
    try:
        return json.dumps(arguments, ensure_ascii=False)
    except RecursionError as error:
        raise InvalidRequest(f"{where} is nested too deeply; send it as text.", param=where) from error


def _not_json(word: str) -> NoReturn:
    raise ValueError(word)


def _finite(digits: str) -> float:
    number = float(digits)
    return number if math.isfinite(number) else _not_json(digits)


def _refuse_id(where: str, why: str) -> NoReturn:
    raise InvalidRequest(f"{where}.tool_call_id: {why}", param=f"{where}.tool_call_id")
