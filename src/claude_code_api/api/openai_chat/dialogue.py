"""From Chat Completions' messages to the conversation's: who said what, which calls were made and answered. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from claude_code_api.api.checks import checked_name, sound
from claude_code_api.api.media import Media
from claude_code_api.api.openai_chat.parts import blocks_of
from claude_code_api.api.openai_chat.wire import ChatMessage, ToolCall
from claude_code_api.api.said import Said, arguments_of
from claude_code_api.core.turn import Block, Message
from claude_code_api.errors import InvalidRequest, UnsupportedParameter

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
    reader.said.settle()
    system = "\n\n".join(reader.system) if reader.system else None
    if system is not None and not reader.said.spoken:  # a template of one system message is a way to ask, too
        return Dialogue(None, (Message("user", ({"type": "text", "text": system},)),), whole)
    return Dialogue(system, reader.said.messages(), whole)


class _Reader:
    """Takes message by message; `appends` when the calls that are answered are not part of the request."""

    def __init__(self, media: Media, *, appends: bool) -> None:
        self.system: list[str] = []
        self.said = Said(_Complaints(), appends=appends)
        self._media = media

    def read(self, message: ChatMessage, where: str) -> None:
        """Take the next message."""
        _check_fields(message, where)
        if message.role == "tool":
            self._result(message, where)
        elif message.role == "assistant":
            self.said.settle()
            self._assistant(message, where)
        else:
            content = _content(message, where, self._media)
            if message.role != "user":
                self.system += [block["text"] for block in content]
            elif content:
                self.said.settle()
                self.said.say("user", content)
            else:
                raise InvalidRequest(f"{where}.content must not be empty.", param=f"{where}.content")

    def _assistant(self, message: ChatMessage, where: str) -> None:
        called = message.tool_calls or []
        content = _content(message, where, self._media)
        if content:
            self.said.say("assistant", content)
        elif not called:
            self.said.part()  # it said nothing, and still came between two messages
        for number, call in enumerate(called):
            self._call(call, f"{where}.tool_calls[{number}]")

    def _call(self, call: ToolCall, where: str) -> None:
        if call.type not in (None, "function"):
            raise UnsupportedParameter(
                f"{where}.type: calls of the type {call.type!r} are not offered, only 'function'.",
                param=f"{where}.type",
            )
        if call.function is None:
            raise InvalidRequest(f"{where}.function is missing.", param=f"{where}.function")
        sound(call.id, f"{where}.id")
        name = checked_name(call.function.name, f"{where}.function.name")
        self.said.call(call.id, name, arguments_of(call.function.arguments, f"{where}.function.arguments"), where)

    def _result(self, message: ChatMessage, where: str) -> None:
        given = message.tool_call_id
        if given is None:
            raise InvalidRequest(f"{where}.tool_call_id is missing.", param=f"{where}.tool_call_id")
        self.said.expect(sound(given, f"{where}.tool_call_id"), where)
        text = "".join(block["text"] for block in _content(message, where, self._media, blank=True))
        self.said.result(given, [{"type": "text", "text": text}] if text else [], f"{where}.content")


class _Complaints:
    """What is wrong with calls and results, in OpenAI's words where it has some."""

    def made_twice(self, given: str, where: str) -> InvalidRequest:
        return InvalidRequest(f"{where}.id: the id {given[:100]!r} is there twice.", param=f"{where}.id")

    def unanswered(self, given: list[str], where: str) -> InvalidRequest:
        return InvalidRequest(
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
            "'tool_call_id'. The following tool_call_ids did not have response messages: "
            f"{', '.join(one[:100] for one in given)}",
            param=where.rpartition("[")[0],
        )

    def late(self, given: str, where: str) -> InvalidRequest:
        return InvalidRequest(f"{where}: tool messages come before the user's.", param=f"{where}.role")

    def uncalled(self, given: str, where: str) -> InvalidRequest:
        return InvalidRequest(
            "Messages with role 'tool' must be a response to a preceding message with 'tool_calls'.",
            param=f"{where}.role",
        )

    def unknown(self, given: str, where: str) -> InvalidRequest:
        return _wrong_id(where, f"{given[:100]!r} is none of the calls that are to be answered here.")

    def answered_twice(self, given: str, where: str) -> InvalidRequest:
        return _wrong_id(where, f"{given[:100]!r} was answered before.")


def _wrong_id(where: str, why: str) -> InvalidRequest:
    return InvalidRequest(f"{where}.tool_call_id: {why}", param=f"{where}.tool_call_id")


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
