"""One output item on its way to a client: what was told of it, and the events that are missing. Pure.

Every event is noted here when it is sent, or read back after a crash; so both go on from the same place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from claude_code_api.api.openai_items.shapes import Item, output_text

Event = dict[str, Any]

ADDED, DONE = "response.output_item.added", "response.output_item.done"


@dataclass(frozen=True, slots=True)
class _Spoken:
    """How a part of a message or of a reasoning item is told: its events, and the field that has its text."""

    part: str
    text: str
    field: str
    also: Mapping[str, Any]


_SPOKEN = {
    "output_text": _Spoken("response.content_part", "response.output_text", "text", {"logprobs": []}),
    "refusal": _Spoken("response.content_part", "response.refusal", "refusal", {}),
    "summary_text": _Spoken("response.reasoning_summary_part", "response.reasoning_summary_text", "text", {}),
}
_PARTS = {"message": ("content", "content_index"), "reasoning": ("summary", "summary_index")}
_ARGUMENTS = {"function_call": "response.function_call_arguments", "mcp_call": "response.mcp_call_arguments"}
_EMPTY: Mapping[str, dict[str, Any]] = {
    "message": {"content": []},
    "reasoning": {"summary": []},
    "function_call": {"arguments": ""},
    "mcp_call": {"arguments": "", "output": None, "error": None},
}
_RUNNING = {
    "mcp_call": ("response.mcp_call.in_progress",),
    "web_search_call": ("response.web_search_call.in_progress", "response.web_search_call.searching"),
}
_CAME_OUT = {
    ("mcp_call", "completed"): "response.mcp_call.completed",
    ("mcp_call", "failed"): "response.mcp_call.failed",
    ("web_search_call", "completed"): "response.web_search_call.completed",
}


class Progress:
    """What was told of the item that stands at `index` of the output.

    The methods that give events give those that were not noted yet, and go by what was noted meanwhile: whoever takes
    one sends and notes it before taking the next.
    """

    def __init__(self, item: Item, index: int) -> None:
        self.id: str = item["id"]
        self.type: str = item["type"]
        self.index = index
        self._item = item
        self._told: set[tuple[str, int]] = set()
        self._pieces: dict[int, list[str]] = {}

    @property
    def is_done(self) -> bool:
        """Whether nothing more is to be told."""
        return (DONE, 0) in self._told

    @property
    def grows(self) -> bool:
        """Whether it is one whose text comes piece by piece."""
        return self.type in _PARTS

    @property
    def speaks(self) -> bool:
        """Whether it has a part that more text can be added to."""
        return bool(self._parts_begun())

    def note(self, event: Mapping[str, Any]) -> None:
        """This was told."""
        number = event.get("content_index", event.get("summary_index", 0))
        if event["type"].endswith(".delta"):
            self._pieces.setdefault(number, []).append(event["delta"])
        else:
            self._told.add((event["type"], number))

    def more(self, piece: str) -> Event:
        """A piece of the text of the last part, or of the arguments."""
        if self.type in _ARGUMENTS:
            return self._event(f"{_ARGUMENTS[self.type]}.delta", delta=piece)
        spoken = _SPOKEN["summary_text" if self.type == "reasoning" else "output_text"]
        return self._delta(spoken, max(self._parts_begun()), piece)

    def opening(self, item: Item) -> Iterator[Event]:
        """Begin the item, which will grow: its last part, or its arguments, stay open."""
        if (ADDED, 0) not in self._told:
            begun = {**item, **_EMPTY.get(self.type, {})}
            if "status" in item:
                begun["status"] = "in_progress"
            if "encrypted_content" in item:
                begun["encrypted_content"] = None
            yield {"type": ADDED, "output_index": self.index, "item": begun}
        if self.type in _PARTS:
            yield from self._parts(item, end=False)
        for kind in _RUNNING.get(self.type, ()):
            yield from self._once(kind)
        if self.type == "mcp_call":
            yield from self._arguments(item)

    def closing(self, item: Item) -> Iterator[Event]:
        """What is missing of the item, which is whole now, all but that it is done."""
        yield from self.opening(item)
        if self.type in _PARTS:
            yield from self._parts(item, end=True)
        elif self.type == "function_call":
            yield from self._arguments(item)
        came_out = _CAME_OUT.get((self.type, item.get("status", "")))
        if came_out is not None:
            yield from self._once(came_out)

    def remaining(self, item: Item) -> Iterator[Event]:
        """All that is missing of the item."""
        if not self.is_done:
            yield from self.closing(item)
            yield {"type": DONE, "output_index": self.index, "item": item}

    def cut_off(self) -> Item:
        """The item as far as it was told, when nothing came of it."""
        item = {**self._item, "status": "incomplete"}
        if self.type in _ARGUMENTS:
            item["arguments"] = self._said(0)
        elif self.type in _PARTS:
            texts = [self._said(number) for number in sorted(self._parts_begun())]
            is_thought = self.type == "reasoning"
            item[_PARTS[self.type][0]] = [
                {"type": "summary_text", "text": text} if is_thought else output_text(text) for text in texts
            ]
        return item

    def _parts_begun(self) -> set[int]:
        return {number for kind, number in self._told if kind.endswith("_part.added")}

    def _parts(self, item: Item, *, end: bool) -> Iterator[Event]:
        parts = item[_PARTS[self.type][0]]
        for number, part in enumerate(parts):
            spoken = _SPOKEN[part["type"]]
            yield from self._once(f"{spoken.part}.added", number, part={**part, spoken.field: ""})
            if rest := self._rest(number, part[spoken.field]):
                yield self._delta(spoken, number, rest)
            if end or number + 1 < len(parts):
                whole = {spoken.field: part[spoken.field]}
                yield from self._once(f"{spoken.text}.done", number, **whole, **spoken.also)
                yield from self._once(f"{spoken.part}.done", number, part=part)

    def _arguments(self, item: Item) -> Iterator[Event]:
        kind = _ARGUMENTS[self.type]
        if rest := self._rest(0, item["arguments"]):
            yield self._event(f"{kind}.delta", delta=rest)
        named = {"name": item["name"]} if self.type == "function_call" else {}
        yield from self._once(f"{kind}.done", **named, arguments=item["arguments"])

    def _rest(self, number: int, whole: str) -> str:
        """What was not told of a text. What was told otherwise stays: the end says how it is."""
        said = self._said(number)
        return whole[len(said) :] if whole.startswith(said) else ""

    def _said(self, number: int) -> str:
        return "".join(self._pieces.get(number, ()))

    def _delta(self, spoken: _Spoken, number: int, piece: str) -> Event:
        return self._event(f"{spoken.text}.delta", number, delta=piece, **spoken.also)

    def _once(self, kind: str, number: int = 0, **more: Any) -> Iterator[Event]:
        if (kind, number) not in self._told:
            yield self._event(kind, number, **more)

    def _event(self, kind: str, number: int = 0, **more: Any) -> Event:
        where: dict[str, Any] = {"item_id": self.id, "output_index": self.index}
        if self.type in _PARTS:
            where[_PARTS[self.type][1]] = number
        return {"type": kind, **where, **more}
