"""From a turn's events to the semantic events of a response. Pure.

The items come from `openai_items.told`, while the turn runs as when it is stored: they have the ids and the words by
which they can be asked for later. The end says what the answer is, and catches up on what was not streamed.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from claude_code_api.api.errors import envelope
from claude_code_api.api.openai_items.ids import parse
from claude_code_api.api.openai_items.shapes import Item
from claude_code_api.api.openai_items.told import output_items
from claude_code_api.api.openai_responses.compact_json import Compact
from claude_code_api.api.openai_responses.draft import Draft, Kind
from claude_code_api.api.openai_responses.progress import ADDED, DONE, Event, Progress
from claude_code_api.api.openai_responses.resource import Head
from claude_code_api.core.turn import (
    AgentCall,
    AgentResult,
    AnswerRestarted,
    AnswerStarted,
    TextDelta,
    ThinkingDelta,
    ThinkingStarted,
    ToolCallDelta,
    ToolCallStarted,
    TurnCompleted,
    TurnEvent,
    TurnFailed,
)
from claude_code_api.errors import GatewayError, TurnCancelled, UpstreamInterrupted

_CREATED, _QUEUED, _RUNNING = "response.created", "response.queued", "response.in_progress"
LOST = UpstreamInterrupted(
    "The model's stream broke in the middle of the answer. Send the request again.", retry_after=1
)
"""What ends a turn when something was told that the model then took back."""
_OWN = ("mcp_call", "web_search_call")
_ENDS = ("response.completed", "response.incomplete", "response.failed")


def is_last(event: Mapping[str, Any]) -> bool:
    """Whether nothing follows behind this event."""
    return event["type"] in _ENDS


class Stream:
    """Makes one response's events, with numbers from 0 on without a hole.

    `background`: it is accepted before it runs, and says so. `clock` tells Unix time. Of a turn that was over before
    (a replay, or one that is read from the store) only the last event is to be told: all the rest follows from it.
    """

    def __init__(self, head: Head, *, clock: Callable[[], float], background: bool = False) -> None:
        self._head = head
        self._clock = clock
        self._background = background
        self._draft = Draft()
        self._next = 0
        self._told: set[str] = set()
        self._items: dict[str, Progress] = {}
        self._growing: Progress | None = None
        self._calls: dict[str, tuple[Progress, Compact]] = {}
        self._own_calls: dict[str, Progress] = {}
        self._is_dirty = False
        self._waits = False

    @classmethod
    def restored(
        cls, events: Sequence[Mapping[str, Any]], head: Head, *, clock: Callable[[], float], background: bool = True
    ) -> Stream:
        """A stream of which these events were sent before, from the first one on; now it takes how the turn ended."""
        stream = cls(head, clock=clock, background=background)
        for event in events:
            stream._note(event)
        return stream

    @property
    def over(self) -> bool:
        """Whether the last event is out. Nobody reads on then: a turn that still runs is to be abandoned."""
        return not self._told.isdisjoint(_ENDS)

    def begin(self) -> Iterator[Event]:
        """What is said before anything has happened."""
        status = "queued" if self._background else "in_progress"
        yield from self._lifecycle(_CREATED, status)
        yield from self._lifecycle(_QUEUED if self._background else _RUNNING, status)

    def of(self, event: TurnEvent) -> Iterator[Event]:
        """The events that an event of the turn means; none behind the last one."""
        if self.over:
            return
        yield from self.begin()
        if isinstance(event, TurnFailed):
            yield from self._fail(event.error)
            return
        yield from self._lifecycle(_RUNNING, "in_progress")
        if isinstance(event, AnswerStarted):
            yield from self._settle()
            self._draft.begin()
            self._is_dirty = False
        elif isinstance(event, ThinkingStarted):
            self._draft.think()
            yield from self._opened("thinking")
        elif isinstance(event, TextDelta):
            yield from self._say("text", event.text)
        elif isinstance(event, ThinkingDelta) and not event.aside:
            yield from self._say("thinking", event.text)
        elif isinstance(event, ToolCallStarted):
            yield from self._call(event)
        elif isinstance(event, ToolCallDelta):
            yield from self._argue(event)
        elif isinstance(event, AgentCall):
            yield from self._own_call(event)
        elif isinstance(event, AgentResult):
            yield from self._own_result(event)
        elif isinstance(event, AnswerRestarted):
            yield from self._restart()
        elif isinstance(event, TurnCompleted):
            yield from self._end(event)

    # While it runs

    def _say(self, kind: Kind, text: str) -> Iterator[Event]:
        if not text:
            return
        if self._draft.say(kind, text):
            yield from self._opened(kind)
        elif self._growing is not None and self._growing.speaks:
            yield self._emit(self._growing.more(text))
        elif self._growing is not None and self._head.telling.thinking:
            yield from self._send(self._growing.opening(self._drafted(self._growing)))
        self._is_dirty = self._is_dirty or (self._growing is not None and self._growing.speaks)

    def _opened(self, kind: Kind) -> Iterator[Event]:
        """A block begins. An attempt at a schema may come to nothing, and so does what was thought before it: that is
        told when something came of it."""
        yield from self._settle()
        if kind == "text" or not self._head.structured:
            yield from self._show()

    def _call(self, event: ToolCallStarted) -> Iterator[Event]:
        if event.id in self._calls:
            return
        self._draft.call(event.id, event.name)
        yield from self._settle()
        progress = yield from self._show()
        if progress is not None:
            self._calls[event.id] = progress, Compact()
            self._is_dirty = True

    def _argue(self, event: ToolCallDelta) -> Iterator[Event]:
        if event.id in self._calls:
            progress, compact = self._calls[event.id]
            if piece := compact.feed(event.json):
                yield self._emit(progress.more(piece))

    def _own_call(self, event: AgentCall) -> Iterator[Event]:
        self._draft.own_call(event)
        yield from self._settle()
        progress = yield from self._show()
        if progress is not None and progress.type in _OWN:
            self._own_calls[event.id] = progress

    def _own_result(self, event: AgentResult) -> Iterator[Event]:
        self._draft.own_result(event)
        if (progress := self._own_calls.pop(event.id, None)) is not None:
            yield from self._finish(progress)

    def _restart(self) -> Iterator[Event]:
        self._growing = None
        self._draft.take_back()
        if self._is_dirty:
            yield from self._fail(LOST)

    def _show(self) -> Generator[Event, None, Progress | None]:
        """Tell of the items that are new; the last one stays open, and is returned."""
        newest = None
        for item in self._draft_items():
            if item["id"] not in self._items:
                yield from self._settle()
                newest = self._new(item)
                yield from self._send(newest.opening(item))
                self._growing = newest if newest.grows else None
        self._draft.forget()
        return newest

    def _settle(self) -> Iterator[Event]:
        """What grew is whole."""
        growing, self._growing = self._growing, None
        if growing is not None:
            yield from self._finish(growing)

    def _finish(self, progress: Progress) -> Iterator[Event]:
        """The item is whole. Reasoning that goes to the client as a block is done at the end, which alone has that; so
        is what comes behind it, for there are clients that keep items in the order in which they are done."""
        self._waits = self._waits or (self._head.telling.encrypted and progress.type == "reasoning")
        item = self._drafted(progress)
        yield from self._send(progress.closing(item) if self._waits else progress.remaining(item))

    def _draft_items(self) -> list[Item]:
        items = output_items(self._head.turn_id, self._draft.messages(), self._head.telling)
        return [{**item, "id": self._numbered(item["id"])} for item in items] if self._draft.passed else items

    def _numbered(self, identity: str) -> str:
        """An item's id, counted from the turn's beginning."""
        found = parse(identity)
        assert found is not None
        return str(replace(found, n=found.n + self._draft.passed))

    def _drafted(self, progress: Progress) -> Item:
        return next(item for item in self._draft_items() if item["id"] == progress.id)

    # The end

    def _end(self, done: TurnCompleted) -> Iterator[Event]:
        """What was not streamed, in order. A call that the token limit cut off is no part of the answer."""
        output = self._head.output(done.messages, done.stop_reason)
        for item in output:
            yield from self._send((self._items.get(item["id"]) or self._new(item)).remaining(item))
        for progress in self._items.values():
            if not progress.is_done:
                yield from self._send(progress.remaining(progress.cut_off()))
        response = self._head.ended(done, output, self._clock())
        yield self._emit({"type": f"response.{response['status']}", "response": response})

    def _fail(self, error: GatewayError) -> Iterator[Event]:
        if "error" not in self._told:
            told = envelope(error)["error"]
            flat = {name: told[name] for name in ("code", "message", "param")}
            yield self._emit({"type": "error", **flat, "error": told})
        head = self._head
        was_wanted = isinstance(error, TurnCancelled)
        response = head.cancelled() if was_wanted else head.failed(error.code, error.message)
        yield self._emit({"type": "response.failed", "response": response})

    # What was told

    def _lifecycle(self, kind: str, status: str) -> Iterator[Event]:
        if kind not in self._told:
            yield self._emit({"type": kind, "response": self._head.pending(status)})

    def _new(self, item: Item) -> Progress:
        progress = self._items[item["id"]] = Progress(item, len(self._items))
        return progress

    def _send(self, events: Iterator[Event]) -> Iterator[Event]:
        for event in events:
            yield self._emit(event)

    def _emit(self, event: Event) -> Event:
        numbered = {"type": event["type"], "sequence_number": self._next, **event}
        self._note(numbered)
        return numbered

    def _note(self, event: Mapping[str, Any]) -> None:
        """This was told."""
        kind = event["type"]
        self._next = event["sequence_number"] + 1
        if kind == ADDED and event["item"]["id"] not in self._items:
            self._new(event["item"])
        if kind in (ADDED, DONE):
            self._items[event["item"]["id"]].note(event)
        elif "item_id" in event:
            self._items[event["item_id"]].note(event)
        else:
            self._told.add(kind)
