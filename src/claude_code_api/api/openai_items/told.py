"""From a conversation's messages to items with ids that stay. Pure.

An item is one block, but neighbouring text, images and files of a message are one item together. Each takes a number in
its part of the turn, shown or not, so that an id does not depend on who asks, nor on what was taken out before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from claude_code_api.api.openai_items.ids import ItemId, Part
from claude_code_api.api.openai_items.namespaces import Namespaced
from claude_code_api.api.openai_items.shapes import (
    Hide,
    Item,
    agent_call,
    agent_prefix,
    function_call,
    function_call_output,
    input_text,
    json_text,
    message,
    output_text,
    reasoning,
    refusal,
    shown,
)
from claude_code_api.core.turn import Block, Message, text_of_result
from claude_code_api.runtime.stored import StoredTurn

_REMOVED: Block = {"type": "removed"}
_PREFIXES = {
    **dict.fromkeys(("text", "image", "document"), "msg"),
    **dict.fromkeys(("thinking", "redacted_thinking"), "rs"),
    "tool_use": "fc",
    "tool_result": "fco",
    "removed": "",
}


@dataclass(frozen=True, slots=True)
class Telling:
    """What is told. `thinking`: the model's; `encrypted`: its blocks as well, for the client to send back.

    `activity`: what an agent did with tools of its own, in which `hide` hides the server's directories. Blocks of
    thinking can be read by whoever has them: where `thinking` may not be told, `encrypted` must not be either.
    `namespaced` are the functions that the client knows by two names.
    """

    thinking: bool
    encrypted: bool
    activity: bool
    hide: Hide
    namespaced: Namespaced = field(default_factory=dict)


def output_items(turn_id: str, messages: Sequence[Message], told: Telling, *, refused: bool = False) -> list[Item]:
    """What a turn's answer says. `refused`: the model declined to meet a schema, and its text says why."""
    return _Teller(turn_id, "o", messages, told, refused).items()


def items_of_turn(turn: StoredTurn, told: Telling) -> list[Item]:
    """A turn's developer messages, its input and its output."""
    developer = [
        message(str(ItemId("msg", turn.turn_id, "d", n)), "developer", [input_text(text)])
        for n, text in enumerate(turn.developer)
        if text
    ]
    given = _Teller(turn.turn_id, "i", (turn.input,), told).items()
    return developer + given + output_items(turn.turn_id, turn.output, told)


def items_of_base(base_turn: str, base: Sequence[Message], told: Telling) -> list[Item]:
    """The history that came with a turn."""
    return _Teller(base_turn, "b", base, told).items()


def without(turn: StoredTurn, item: ItemId) -> StoredTurn | None:
    """The turn with one block of the type `removed` instead of an item's; None when it has no such item.

    A developer message leaves an empty text. Results of a call that is taken out stay, as does what an agent's own call
    gave: whoever makes a context of the history leaves those out. A turn's base is no part of the turn.
    """
    if item.turn_id != turn.turn_id:
        return None
    if item.part == "d":
        if item.prefix != "msg" or not any(turn.developer[item.n : item.n + 1]):
            return None
        return replace(turn, developer=(*turn.developer[: item.n], "", *turn.developer[item.n + 1 :]))
    messages = {"i": (turn.input,), "o": turn.output}.get(item.part, ())
    run = next((run for n, run in enumerate(_runs(messages)) if n == item.n), None)
    if run is None or not run.prefix or run.prefix != item.prefix:
        return None
    content = messages[run.message].content
    left = replace(messages[run.message], content=(*content[: run.start], _REMOVED, *content[run.stop :]))
    if item.part == "i":
        return replace(turn, input=left)
    return replace(turn, output=(*messages[: run.message], left, *messages[run.message + 1 :]))


class _Run(NamedTuple):
    """Neighbouring blocks of one message that are one item. Without a prefix it was taken out."""

    prefix: str
    message: int
    start: int
    stop: int


def _runs(messages: Sequence[Message]) -> Iterator[_Run]:
    """The items, in the order of their numbers."""
    for number, one in enumerate(messages):
        run: _Run | None = None
        for at, block in enumerate(one.content):
            prefix = _prefix(block)
            if run is not None and prefix == run.prefix == "msg" and not _is_added(one, at):
                run = run._replace(stop=at + 1)
                continue
            if run is not None:
                yield run
            is_empty = block.get("type") == "text" and not block["text"]
            run = None if prefix is None or is_empty else _Run(prefix, number, at, at + 1)
        if run is not None:
            yield run


def _prefix(block: Block) -> str | None:
    """The kind of item that a block is; None for what a client is told nothing of, and for what an agent's calls gave.

    What has no line that tells of it is no call of an agent's: the CLI itself answered a call that could not be made.
    """
    kind = block.get("type", "")
    if block.get("internal"):
        return agent_prefix(block["name"]) if kind == "tool_use" and "activity" in block else None
    return _PREFIXES.get(kind)


def _is_added(one: Message, at: int) -> bool:
    """Whether this is where the user's next message was put to the one before, with a blank line in between."""
    if one.role != "user" or at == 0 or one.content[at - 1].get("type") not in ("text", "removed"):
        return False
    return one.content[at]["type"] == "text" and str(one.content[at]["text"]).startswith("\n\n")


@dataclass(frozen=True, slots=True)
class _Teller:
    turn_id: str
    part: Part
    messages: Sequence[Message]
    told: Telling
    refused: bool = False

    def items(self) -> list[Item]:
        """The items that are shown."""
        results = {
            block["tool_use_id"]: block
            for one in self.messages
            for block in one.content
            if block.get("internal") and block.get("type") == "tool_result"
        }
        return [
            self._item(str(ItemId(run.prefix, self.turn_id, self.part, n)), run, results)
            for n, run in enumerate(_runs(self.messages))
            if run.prefix and (self.told.activity or run.prefix not in ("mcp", "ws"))
        ]

    def _item(self, identity: str, run: _Run, results: Mapping[str, Block]) -> Item:
        one = self.messages[run.message]
        blocks = one.content[run.start : run.stop]
        first = blocks[0]
        match run.prefix:
            case "msg" if one.role == "assistant":
                said = "".join(block["text"] for block in blocks if block["type"] == "text")
                return message(identity, "assistant", [refusal(said) if self.refused else output_text(said)])
            case "msg":
                if _is_added(one, run.start):
                    blocks = ({**first, "text": first["text"][2:]}, *blocks[1:])
                return message(identity, "user", [shown(block) for block in blocks])
            case "rs":
                thought = first.get("thinking") if self.told.thinking else None
                return reasoning(identity, thought, first if self.told.encrypted else None)
            case "fc":
                namespace, name = self.told.namespaced.get(first["name"], (None, first["name"]))
                return function_call(identity, first["id"], name, json_text(first["input"]), namespace)
            case "fco":
                return function_call_output(identity, first)
        result = results.get(first["id"])
        words = None if result is None else text_of_result(result.get("content"))
        failed = result is not None and bool(result.get("is_error"))
        return agent_call(identity, first["name"], first["input"], words, failed=failed, hide=self.told.hide)
