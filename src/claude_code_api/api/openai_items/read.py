"""From items to what was said: developer messages, and messages with calls and what came of them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from claude_code_api.api.checks import checked_name, sound
from claude_code_api.api.media import Media
from claude_code_api.api.openai_items.ids import parse
from claude_code_api.api.openai_items.namespaces import joined
from claude_code_api.api.openai_items.packed import summary_of, thought_of
from claude_code_api.api.openai_items.parts import blocks_of
from claude_code_api.api.openai_items.wire import (
    ActivityItem,
    CallItem,
    CompactionItem,
    Input,
    InputItem,
    MessageItem,
    OutputItem,
    ReasoningItem,
    ReferenceItem,
)
from claude_code_api.api.said import THOUGHT, Said, arguments_of
from claude_code_api.core.turn import Block, Message
from claude_code_api.errors import InvalidRequest, UnsupportedParameter

Items = Mapping[str, Mapping[str, Any]]
"""Items by their ids."""

_SHOWN = ("text", "image", "document")
_KEPT: TypeAdapter[Any] = TypeAdapter(InputItem)


@dataclass(frozen=True, slots=True)
class Read:
    """What items say. `developer` are the system's and developer's messages; neighbours of one role are one message.

    `whole` says that something of the assistant's side is there as well.
    """

    developer: tuple[str, ...]
    messages: tuple[Message, ...]
    whole: bool


def references(given: Input | None) -> list[str]:
    """The ids of the items that are referred to, each once."""
    items = given if isinstance(given, list) else []
    return list(dict.fromkeys(item.id for item in items if isinstance(item, ReferenceItem)))


def read(
    given: Input | None,
    media: Media,
    *,
    appends: bool,
    adds: bool = False,
    kept: Items | None = None,
    field: str = "input",
) -> Read:
    """Read the items of a request, which are in `field`. `kept` has those that are referred to.

    `appends`: to a conversation that may hold the calls which the first outputs among them are for. `adds`: they are
    not answered, but kept in a conversation: each message stays one of its own, any may be the last one, and calls at
    the end may still wait for their outputs.

    Raises InvalidRequest or UnsupportedParameter naming the field.
    """
    if not given and not adds:
        raise InvalidRequest(f"{field} {'is missing' if given is None else 'must not be empty'}.", param=field)
    reader = _Reader(media, kept or {}, appends=appends, adds=adds)
    if isinstance(given, str):
        reader.message(MessageItem(role="user", content=given), field)
    else:
        for index, item in enumerate(given or []):
            reader.read(item, f"{field}[{index}]")
    return reader.end(field)


class _Reader:
    def __init__(self, media: Media, kept: Items, *, appends: bool, adds: bool) -> None:
        self._media = media
        self._kept = kept
        self._adds = adds
        self._said = Said(_Complaints(), appends=appends)
        self._developer: list[str] = []
        self._whole = False

    def read(self, item: InputItem, where: str) -> None:
        """Take the next item."""
        if isinstance(item, ReferenceItem):
            item = self._found(item, where)
        match item:
            case MessageItem():
                self.message(item, f"{where}.content")
            case CallItem():
                self._call(item, where)
            case OutputItem():
                self._said.expect(sound(item.call_id, f"{where}.call_id"), f"{where}.call_id")
                content = blocks_of(item.output, "function", f"{where}.output", self._media)
                self._said.result(item.call_id, [one for one in content if one.get("text") != ""], f"{where}.output")
            case ReasoningItem():
                thought = thought_of(item.encrypted_content or "")
                self._assistant([] if thought is None else [thought])
            case CompactionItem():
                self._summary(item, where)
            case ActivityItem() if (known := parse(item.id or "")) is not None and known.prefix in ("mcp", "ws"):
                self._assistant([])
            case ActivityItem():
                raise UnsupportedParameter(
                    f"{where}.type: a {item.type!r} is taken back only as this server told it.", param=f"{where}.type"
                )
            case _:
                raise UnsupportedParameter(
                    f"{where}.type: items of the type {str(item.type)[:100]!r} are not offered.", param=f"{where}.type"
                )

    def message(self, item: MessageItem, where: str) -> None:
        """Take a message; its content is at `where`."""
        blocks = blocks_of(item.content, item.role, where, self._media)
        content = [block for block in blocks if block["type"] != "text" or block["text"].strip()]
        if item.role == "assistant":
            self._assistant(content)
        elif item.role != "user":
            self._developer += [block["text"] for block in content]
        elif content:
            self._user(content)
        else:
            raise InvalidRequest(f"{where} must not be empty.", param=where)

    def end(self, field: str) -> Read:
        """What was said, once nothing follows."""
        self._said.settle(open_calls=self._adds)
        messages = tuple(
            one for one in self._said.messages() if any(block["type"] not in THOUGHT for block in one.content)
        )
        developer = tuple(self._developer)
        if self._adds:
            return Read(developer, messages, self._whole)
        if not messages and developer:  # instructions alone are a way to ask, too
            text = "\n\n".join(developer)
            return Read((), (Message("user", ({"type": "text", "text": text},)),), self._whole)
        if not messages or messages[-1].role != "user":
            raise InvalidRequest(
                "The last item must be the user's, or a function's output: Claude does not go on with a message of the "
                "assistant's. Say in a user's message how the answer should begin.",
                param=field,
            )
        return Read(developer, messages, self._whole)

    def _found(self, item: ReferenceItem, where: str) -> Any:
        held = self._kept.get(item.id)
        if held is None:
            raise InvalidRequest(
                f"Item with id {item.id[:100]!r} not found. Items of responses with 'store' false are not kept: send "
                "the item itself.",
                param=f"{where}.id",
            )
        return _KEPT.validate_python(held)

    def _user(self, content: list[Block]) -> None:
        self._said.settle()
        self._part("user")
        self._said.say("user", content)

    def _assistant(self, content: list[Block]) -> None:
        """Something of the assistant's; without content it still came between two messages of the user's."""
        self._whole = True
        if self._said.has_results:
            self._said.settle()
        if content:
            self._part("assistant")
            self._said.say("assistant", content)
        elif self._said.spoken and self._said.spoken[-1][0] == "user":
            self._said.part()

    def _part(self, role: str) -> None:
        """Of what is added, each message stays one of its own."""
        if not self._adds or not self._said.spoken:
            return
        before, blocks = self._said.spoken[-1]
        if before == role and blocks[-1]["type"] in _SHOWN:
            self._said.part()

    def _call(self, item: CallItem, where: str) -> None:
        self._whole = True
        if self._said.has_results:
            self._said.settle()
        sound(item.call_id, f"{where}.call_id")
        name = item.name if item.namespace is None else joined(item.namespace, item.name)
        checked_name(name, f"{where}.name")
        arguments = arguments_of(item.arguments, f"{where}.arguments")
        self._said.call(item.call_id, name, arguments, f"{where}.call_id")

    def _summary(self, item: CompactionItem, where: str) -> None:
        summary = summary_of(item.encrypted_content)
        if summary is None:
            raise InvalidRequest(
                f"{where}.encrypted_content was not made by this server: it cannot be read here.",
                param=f"{where}.encrypted_content",
            )
        self._whole = True
        text = f"This is a summary of the conversation so far:\n\n<summary>\n{summary}\n</summary>"
        self._user([{"type": "text", "text": text}])


class _Complaints:
    """What is wrong with calls and outputs, in OpenAI's words where it has some; `where` is their `call_id`."""

    def made_twice(self, given: str, where: str) -> InvalidRequest:
        return InvalidRequest(f"{where}: the id {given[:100]!r} is there twice.", param=where)

    def unanswered(self, given: list[str], where: str) -> InvalidRequest:
        named = ", ".join(one[:100] for one in given)
        return InvalidRequest(f"No tool output found for function call {named}.", param=where)

    def late(self, given: str, where: str) -> InvalidRequest:
        return InvalidRequest(
            f"{where}: outputs for calls that the conversation holds come before anything else.", param=where
        )

    def uncalled(self, given: str, where: str) -> InvalidRequest:
        return InvalidRequest(f"No tool call found for function call output with call_id {given[:100]}.", param=where)

    def unknown(self, given: str, where: str) -> InvalidRequest:
        return self.uncalled(given, where)

    def answered_twice(self, given: str, where: str) -> InvalidRequest:
        return InvalidRequest(f"{where}: {given[:100]!r} was answered before.", param=where)
