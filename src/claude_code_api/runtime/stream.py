"""The events of one turn, on their way to its readers."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from claude_code_api.core.turn import TextDelta, ThinkingDelta, ToolCallDelta, TurnCompleted, TurnEvent, TurnFailed
from claude_code_api.errors import GatewayError


class TurnStream:
    """Keeps a turn's events; never makes the writer wait. Any number of readers, each from the first event on."""

    def __init__(self) -> None:
        self._events: list[TurnEvent] = []
        self._changed = asyncio.Event()
        self._ended = False
        self._on_end: list[Callable[[], None]] = []

    def put(self, event: TurnEvent) -> None:
        """Add an event; what comes after the end is dropped."""
        if self._ended:
            return
        self._events.append(event)
        self._changed.set()
        if isinstance(event, TurnCompleted | TurnFailed):
            self._ended = True
            for call in self._on_end:
                call()

    @property
    def failure(self) -> GatewayError | None:
        """Why the turn failed, once it has."""
        last = self._events[-1] if self._events else None
        return last.error if isinstance(last, TurnFailed) else None

    @property
    def ended(self) -> bool:
        """Whether the last event is there."""
        return self._ended

    def on_end(self, call: Callable[[], None]) -> None:
        """Call `call` when the turn ends; at once when it has."""
        if self._ended:
            call()
        else:
            self._on_end.append(call)

    def read(self) -> Reading:
        """Every event up to the end."""
        return Reading(self)

    async def after(self, at: int) -> list[TurnEvent]:
        """The events from number `at` on, as soon as there are any; none when the turn ended before it."""
        while at == len(self._events) and not self._ended:
            self._changed.clear()
            await self._changed.wait()
        return self._events[at:]


class Reading:
    """One reader's way through a turn's events. Deltas that gathered while it was elsewhere come as one.

    A read that is cancelled loses nothing.
    """

    def __init__(self, stream: TurnStream) -> None:
        self._stream = stream
        self._at = 0
        self._gathered: deque[TurnEvent] = deque()

    def __aiter__(self) -> Reading:
        return self

    async def __anext__(self) -> TurnEvent:
        if not self._gathered:
            events = await self._stream.after(self._at)
            self._at += len(events)
            self._gathered.extend(_joined(events))
        if not self._gathered:
            raise StopAsyncIteration
        return self._gathered.popleft()


def _joined(events: list[TurnEvent]) -> list[TurnEvent]:
    """Neighbouring deltas of one kind, and of one call, as one."""
    joined: list[TurnEvent] = []
    pieces: list[str] = []
    for number, event in enumerate(events):
        if not isinstance(event, TextDelta | ThinkingDelta | ToolCallDelta):
            joined.append(event)
            continue
        pieces.append(event.json if isinstance(event, ToolCallDelta) else event.text)
        if number + 1 < len(events) and _goes_on(event, events[number + 1]):
            continue
        whole = "".join(pieces)
        pieces.clear()
        joined.append(replace(event, json=whole) if isinstance(event, ToolCallDelta) else replace(event, text=whole))
    return joined


def _goes_on(event: TurnEvent, after: TurnEvent) -> bool:
    if isinstance(event, ToolCallDelta) and isinstance(after, ToolCallDelta):
        return after.id == event.id
    if isinstance(event, ThinkingDelta) and isinstance(after, ThinkingDelta):
        return after.aside == event.aside
    return type(after) is type(event)
