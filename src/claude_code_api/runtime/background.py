"""Responses that run on without a client: their events on the way to the disk, and to whoever reads them.

Owns the recordings. Nothing is passed on before it is on the disk: what a reader saw is there after a crash as well.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, TypeAlias

import structlog

from claude_code_api.errors import StoreUnavailable
from claude_code_api.runtime.aftermath import Aftermath
from claude_code_api.runtime.storage import Store
from claude_code_api.runtime.tasks import Tasks
from claude_code_api.runtime.ticket import Ticket

log = structlog.get_logger(__name__)

_GATHER_S = 0.1
_PAUSE_S = 1.0

Event: TypeAlias = Mapping[str, Any]
"""A JSON object with its place in the response: "sequence_number" 0, 1, 2, ... without holes."""


class Backgrounds:
    """The recordings of one server, by their turns. Lives on one event loop."""

    def __init__(self, store: Store, tasks: Tasks, aftermath: Aftermath) -> None:
        self._store = store
        self._tasks = tasks
        self._aftermath = aftermath
        self._running: dict[str, _Recording] = {}
        self._closing = asyncio.Event()

    def run(self, ticket: Ticket, events: AsyncIterator[Event]) -> bool:
        """Record the events of a turn to their end; the ticket is kept until then.

        To be called as soon as there is a ticket. False for a turn that is recorded already, or was: not again.
        """
        if ticket.replayed or ticket.turn_id in self._running:
            ticket.abandon()
            return False
        recording = _Recording(ticket, events, self._store, self._tasks, self._closing)
        self._running[ticket.turn_id] = recording
        recording.task = self._tasks.spawn(self._record(recording), f"record-{ticket.turn_id}")
        return True

    async def _record(self, recording: _Recording) -> None:
        ticket = recording.ticket
        try:
            if await recording.write():
                await self._aftermath.settled(ticket.turn_id)
                ticket.delivered()
        finally:
            del self._running[ticket.turn_id]
            ticket.abandon()
            recording.end()

    async def cut(self, turn_id: str) -> bool:
        """End a turn that is recorded here, unless its answer is complete; returns when its end is stored.

        False when it is not recorded here.
        """
        recording = self._running.get(turn_id)
        if recording is None:
            return False
        recording.ticket.cut()
        if recording.task is not None:
            await asyncio.wait({recording.task})
        return True

    def read(self, turn_id: str, after: int) -> Reader:
        """The events of a turn behind the number `after`: those that are stored, and then those that come."""
        return Reader(turn_id, after, self._running.get(turn_id), self._store)

    def close(self) -> None:
        """What the store refuses from now on is tried once more, and no longer."""
        self._closing.set()


class Reader:
    """One reader's way through the events; it ends with the recording, or when it is closed.

    The recording never waits for it. A read that is cancelled loses nothing. Raises StoreUnavailable when what is over
    cannot be read.
    """

    def __init__(self, turn_id: str, after: int, recording: _Recording | None, store: Store) -> None:
        self._turn_id = turn_id
        self._after = after
        self._recording = recording
        self._store = store
        self._gathered: deque[Event] = deque()
        self._closed = False

    def __aiter__(self) -> Reader:
        return self

    async def __anext__(self) -> Event:
        if not self._gathered:
            self._gathered.extend(await self._more())
        if self._closed or not self._gathered:
            raise StopAsyncIteration
        event = self._gathered.popleft()
        self._after = event["sequence_number"]
        return event

    def close(self) -> None:
        """Stop reading, also where somebody waits for more."""
        self._closed = True
        if self._recording is not None:
            self._recording.changed.set()

    async def _more(self) -> Sequence[Event]:
        recording = self._recording
        if recording is None:
            return await self._store.events(self._turn_id, after=self._after)
        while not self._closed:
            if recording.last > self._after:
                found = recording.since(self._after)
                return await self._stored(recording) if found is None else found
            if recording.over:
                break
            recording.changed.clear()
            await recording.changed.wait()
        return ()

    async def _stored(self, recording: _Recording) -> Sequence[Event]:
        while True:
            try:
                return await self._store.events(self._turn_id, after=self._after)
            except StoreUnavailable:
                if recording.over or self._closed:
                    raise
            await asyncio.sleep(_PAUSE_S)


class _Recording:
    """One turn's. Two sides: one takes what comes without ever waiting for the disk, the other writes it."""

    def __init__(
        self, ticket: Ticket, events: AsyncIterator[Event], store: Store, tasks: Tasks, closing: asyncio.Event
    ) -> None:
        self.ticket = ticket
        self.task: asyncio.Task[None] | None = None
        self.changed = asyncio.Event()
        self.over = False
        self._events = events
        self._store = store
        self._tasks = tasks
        self._closing = closing
        self._latest: Sequence[Event] = ()
        self._waiting: list[Event] = []
        self._came = asyncio.Event()
        self._all_came = asyncio.Event()

    @property
    def last(self) -> int:
        """The number of the last event that is stored."""
        return self._latest[-1]["sequence_number"] if self._latest else -1

    def since(self, after: int) -> Sequence[Event] | None:
        """What is stored behind `after`; None when that is not in memory any more."""
        first = self._latest[0]["sequence_number"] if self._latest else 0
        return self._latest[max(0, after + 1 - first) :] if first <= after + 1 else None

    async def write(self) -> bool:
        """Write everything, and wait for the turn's end; False when it cannot be written any more."""
        taking = self._tasks.spawn(self._take(), f"events-{self.ticket.turn_id}")
        taking.add_done_callback(self._taken)
        try:
            while self._waiting or not self._all_came.is_set():
                await self._came.wait()
                self._came.clear()
                batch, self._waiting = self._waiting, []
                if not batch:
                    continue
                if not await self._append(batch):
                    return False
                await _within(_GATHER_S, self._all_came)
        finally:
            taking.cancel()
        if (error := taking.exception()) is not None:
            log.error("recording_broke_off", turn_id=self.ticket.turn_id, after=self.last, reason=str(error))
            async for _ in self.ticket.events():  # the answer itself is kept all the same
                pass
        return True

    def end(self) -> None:
        """Nothing comes any more."""
        self.over = True
        self.changed.set()

    async def _take(self) -> None:
        async for event in self._events:
            self._waiting.append(event)
            self._came.set()

    def _taken(self, _: asyncio.Task[None]) -> None:
        self._all_came.set()
        self._came.set()

    async def _append(self, batch: Sequence[Event]) -> bool:
        """False when there is no such response any more, or the store refuses to the end."""
        while True:
            is_last_try = self._closing.is_set()
            try:
                kept = await self._store.append_events(self.ticket.turn_id, batch[0]["sequence_number"], batch)
            except StoreUnavailable as error:
                log.warning("write_postponed", what="events", turn_id=self.ticket.turn_id, reason=error.message)
                if is_last_try:
                    return False
                await _within(_PAUSE_S, self._closing)
                continue
            if kept:
                self._latest = batch
                self.changed.set()
            return kept


async def _within(seconds: float, event: asyncio.Event) -> None:
    """Wait for an event, and no longer than this."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
