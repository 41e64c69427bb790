"""A turn's events, the first of which can be looked at before the answer begins."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from claude_code_api.core.turn import AnswerStarted, StartKind, TurnEvent, TurnStarted
from claude_code_api.runtime.ticket import Ticket


class Peekable:
    """One reader's way through a turn. `start` says how it got its process, once that was seen."""

    def __init__(self, ticket: Ticket) -> None:
        self._stream = ticket.events()
        self._seen: list[TurnEvent] = []
        self.start: StartKind | None = None

    async def peek(self, seconds: float) -> TurnEvent | None:
        """The first event of the answer, None when it takes longer than `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                async for event in self._stream:
                    if isinstance(event, TurnStarted):
                        self.start = event.start
                        continue
                    self._seen.append(event)
                    if not isinstance(event, AnswerStarted):
                        return event
        except TimeoutError:
            return None
        return None

    async def events(self) -> AsyncIterator[TurnEvent]:
        """Every event of the answer, those that were looked at included."""
        for event in self._seen:
            yield event
        async for event in self._stream:
            yield event
