"""The events of one turn, on their way to one reader."""

from __future__ import annotations

import asyncio
from collections import deque

from claude_code_api.core.turn import TextDelta, ThinkingDelta, TurnCompleted, TurnEvent, TurnFailed


class TurnStream:
    """Never makes the writer wait: deltas that the reader has not taken yet are joined, so that what is buffered is at
    most the answer itself. Iterating ends after TurnCompleted or TurnFailed."""

    def __init__(self) -> None:
        self._events: deque[TurnEvent] = deque()
        self._ready = asyncio.Event()
        self._closed = False
        self._drained = False

    def put(self, event: TurnEvent) -> None:
        """Add an event; what comes after the end is dropped."""
        if self._closed:
            return
        last = self._events[-1] if self._events else None
        if isinstance(event, TextDelta) and isinstance(last, TextDelta):
            self._events[-1] = TextDelta(last.text + event.text)
        elif isinstance(event, ThinkingDelta) and isinstance(last, ThinkingDelta):
            self._events[-1] = ThinkingDelta(last.text + event.text)
        else:
            self._events.append(event)
        self._closed = isinstance(event, TurnCompleted | TurnFailed)
        self._ready.set()

    def __aiter__(self) -> TurnStream:
        return self

    async def __anext__(self) -> TurnEvent:
        if self._drained:
            raise StopAsyncIteration
        while not self._events:
            self._ready.clear()
            await self._ready.wait()
        event = self._events.popleft()
        self._drained = isinstance(event, TurnCompleted | TurnFailed)
        return event
