"""From the messages to the conversation's: who said what, which calls were made and answered. Pure.

What a product says beside its user, in messages of the role `system` and in `<system-reminder>`s, is told where it
stands: in the user's message, or, beside results of calls, at the end of the last of them, so that these can still be
given to a process that waits for them. Messages of the role `system` before the first answer are instructions.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from claude_code_api.api.anthropic_messages.parts import blocks_of, required, result_of
from claude_code_api.api.anthropic_messages.wire import ContentBlock, InputMessage
from claude_code_api.api.checks import sound
from claude_code_api.api.media import Media
from claude_code_api.api.said import Said, arguments_of
from claude_code_api.core.toolbox import CLIENT_SERVER
from claude_code_api.core.turn import Block, Message
from claude_code_api.errors import InvalidRequest, UnsupportedParameter

_REMINDERS = re.compile(r"(?:\s*<system-reminder>(?:(?!</system-reminder>).)*+</system-reminder>)++\s*", re.S)
_TOOL_CHANGES = ("tool_addition", "tool_removal")
_LONGEST_TOOL_NAME = 128 - len(f"mcp__{CLIENT_SERVER}__")
"""The CLI puts its own in front."""
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Dialogue:
    """What the messages say: neighbours of one role are one message. `developer` are the instructions among them.

    `whole` says that the assistant's side is there as well.
    """

    developer: tuple[str, ...]
    messages: tuple[Message, ...]
    whole: bool


def dialogue_of(messages: Sequence[InputMessage], media: Media, *, appends: bool) -> Dialogue:
    """Read the messages. `appends`: to a conversation that may hold the calls which results among them are for.

    Raises InvalidRequest or UnsupportedParameter naming the field.
    """
    whole = any(message.role == "assistant" for message in messages)
    reader = _Reader(media, appends=appends and not whole)
    for index, message in enumerate(messages):
        reader.read(message, f"messages.{index}")
    reader.settle()
    return Dialogue(tuple(reader.developer), reader.said.messages(), whole)


class _Reader:
    """Takes message by message; `appends` when the calls that are answered are not part of the request."""

    def __init__(self, media: Media, *, appends: bool) -> None:
        self.developer: list[str] = []
        self.said = Said(_Complaints(), appends=appends)
        self._media = media
        self._answered = False
        self._notes: list[Block] = []

    def read(self, message: InputMessage, where: str) -> None:
        """Take the next message."""
        content = message.content
        if isinstance(content, str):
            content = [ContentBlock(type="text", text=content)]
        if message.role == "system":
            self._system(message, content or [], where)
        elif content is None:
            raise InvalidRequest(f"{where}.content: Field required.", param=f"{where}.content")
        elif message.role == "assistant":
            self.settle()
            self._answered = True
            self._assistant(content, where)
        else:
            self._user(content, where)

    def settle(self) -> None:
        """Nothing more can answer the last calls."""
        notes, self._notes = self._notes, []
        if notes and self.said.has_results and self.said.beside(notes):
            notes = []
        self.said.settle()
        if notes:
            self.said.say("user", notes)

    def _system(self, message: InputMessage, content: list[ContentBlock], where: str) -> None:
        texts = []
        for number, block in enumerate(content):
            at = f"{where}.content.{number}"
            if block.type == "text":
                texts.append(required(block.text, f"{at}.text"))
            elif block.type not in _TOOL_CHANGES:
                raise UnsupportedParameter(
                    f"{at}: blocks of the type {block.type[:100]!r} are not offered in a system message.", param=at
                )
        text = "\n\n".join(text for text in texts if text.strip())
        if not text:
            return
        passing = (message.model_extra or {}).get("clear_at") == "next_user_message"
        if not (self._answered or passing or self.said.has_calls):
            self.developer.append(text)
            return
        note = {"type": "text", "text": f"<system-reminder>\n{text}\n</system-reminder>"}
        if self.said.has_calls:
            self._notes.append(note)
        else:
            self.said.say("user", [note])

    def _user(self, content: list[ContentBlock], where: str) -> None:
        spoken: list[Block] = []
        loaded = False
        for number, block in enumerate(content):
            at = f"{where}.content.{number}"
            if block.type == "tool_result":
                loaded = self._result(block, at) or loaded
            else:
                spoken += blocks_of(block, "user", at, self._media)
        if self.said.has_results:
            said, spoken = spoken, []
            for one in said:
                is_note = one["type"] == "text" and (loaded or _is_note(one["text"]))
                (self._notes if is_note else spoken).append(one)
        elif not spoken:
            raise InvalidRequest(f"{where}.content must not be empty.", param=f"{where}.content")
        if spoken:
            self.settle()
            self.said.say("user", spoken)

    def _result(self, block: ContentBlock, at: str) -> bool:
        """Take the result of a call; returns whether it loads tools."""
        given = required(block.tool_use_id, f"{at}.tool_use_id")
        self.said.expect(given, at)
        self.said.result(given, result_of(block, at, self._media), at, is_error=block.is_error is True)
        parts = block.content if isinstance(block.content, list) else []
        return any(part.type == "tool_reference" for part in parts)

    def _assistant(self, content: list[ContentBlock], where: str) -> None:
        spoken: list[Block] = []
        is_silent = True
        for number, block in enumerate(content):
            at = f"{where}.content.{number}"
            if block.type != "tool_use":
                spoken += blocks_of(block, "assistant", at, self._media)
                continue
            is_silent = False
            if spoken:
                self.said.say("assistant", spoken)
                spoken = []
            self._call(block, at)
        if spoken:
            self.said.say("assistant", spoken)
        elif is_silent:
            self.said.part()  # it said nothing, and still came between two messages

    def _call(self, block: ContentBlock, at: str) -> None:
        given, name = required(block.id, f"{at}.id"), tool_name(block.name, f"{at}.name")
        if block.input is None:
            raise InvalidRequest(f"{at}.input: Field required.", param=f"{at}.input")
        self.said.call(given, name, arguments_of(block.input, f"{at}.input"), at)


def tool_name(name: str | None, where: str) -> str:
    """A tool's name as the Messages API takes it. Raises InvalidRequest."""
    told = required(name, where)
    if not _TOOL_NAME.fullmatch(told) or len(told) > _LONGEST_TOOL_NAME:
        raise InvalidRequest(
            f"{where}: a tool's name has 1 to {_LONGEST_TOOL_NAME} of the characters a-z A-Z 0-9 _ and -.", param=where
        )
    return told


def _is_note(text: str) -> bool:
    return _REMINDERS.fullmatch(sound(text, "messages")) is not None


class _Complaints:
    """What is wrong with calls and results, in Anthropic's words where it has some."""

    def made_twice(self, given: str, where: str) -> InvalidRequest:
        return InvalidRequest(f"{where}.id: `tool_use` ids must be unique: {given[:100]}.", param=f"{where}.id")

    def unanswered(self, given: list[str], where: str) -> InvalidRequest:
        message = where.partition(".content.")[0]
        return InvalidRequest(
            f"{message}: `tool_use` ids were found without `tool_result` blocks immediately after: "
            f"{', '.join(one[:100] for one in given)}. Each `tool_use` block must have a corresponding `tool_result` "
            "block in the next message.",
            param=message,
        )

    def late(self, given: str, where: str) -> InvalidRequest:
        return InvalidRequest(f"{where}: `tool_result` blocks come before the user's words.", param=where)

    def uncalled(self, given: str, where: str) -> InvalidRequest:
        return self.unknown(given, where)

    def unknown(self, given: str, where: str) -> InvalidRequest:
        return InvalidRequest(
            f"{where}: unexpected `tool_use_id` found in `tool_result` blocks: {given[:100]}. Each `tool_result` block "
            "must have a corresponding `tool_use` block in the previous message.",
            param=where,
        )

    def answered_twice(self, given: str, where: str) -> InvalidRequest:
        return InvalidRequest(
            f"{where}: each tool_use must have a single result. Found multiple `tool_result` blocks with id: "
            f"{given[:100]}.",
            param=where,
        )
