"""What is written about a turn when nobody waits for it any more: that it failed, that its answer arrived.

Owns these writes until they are done. A store that is full or locked is asked again until it takes them; what could not
be written until the server ends is set right at the next start.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Generic, NamedTuple, TypeVar

import structlog

from claude_code_api.errors import StoreUnavailable
from claude_code_api.runtime.storage import Store
from claude_code_api.runtime.stored import StoredConversation
from claude_code_api.runtime.tasks import Tasks

log = structlog.get_logger(__name__)

_GATHER_S = 0.25
_PAUSE_S = 1.0

T = TypeVar("T")


class Failure(NamedTuple):
    """Why a turn ended without an answer."""

    code: str
    message: str


class Aftermath:
    """Lives on one event loop. No method waits but `settled`."""

    def __init__(self, store: Store, tasks: Tasks) -> None:
        async def end(notes: Mapping[str, Failure]) -> None:
            for turn_id, failure in notes.items():
                await store.end(turn_id, error_code=failure.code, message=failure.message)

        async def deliver(notes: Mapping[str, None]) -> None:
            await store.delivered(list(notes))

        self._closing = asyncio.Event()
        self._ended = _Backlog("ended", end, tasks, self._closing, gather_s=0.0)
        self._delivered = _Backlog("delivered", deliver, tasks, self._closing, gather_s=_GATHER_S)

    def ended(self, turn_id: str, *, error_code: str, message: str) -> None:
        """A turn ended without an answer."""
        self._ended.add(turn_id, Failure(error_code, message))

    def delivered(self, turn_id: str) -> None:
        """An answer reached its client. Written a little later, many at a time."""
        self._delivered.add(turn_id, None)

    def is_delivered(self, turn_id: str) -> bool:
        """Whether an answer is known to have arrived although the store does not say so yet."""
        return turn_id in self._delivered.waiting

    def brought_up(self, stored: StoredConversation) -> StoredConversation:
        """What is stored, with what is known and not written yet: that its last answer has arrived."""
        if stored.unread is not None and self.is_delivered(stored.unread.turn_id):
            return replace(stored, unread=None)
        return stored

    async def settled(self, turn_id: str) -> None:
        """Wait until it is written that the turn ended without an answer, if it did; or until that is given up."""
        await self._ended.settled(turn_id)

    def close(self) -> None:
        """Try once more what is left, and no longer."""
        self._closing.set()


class _Backlog(Generic[T]):
    """Writes of one kind that wait, by their turns.

    One task writes them all: a full disk is asked once a second, not once a turn.
    """

    def __init__(
        self,
        kind: str,
        write: Callable[[Mapping[str, T]], Awaitable[None]],
        tasks: Tasks,
        closing: asyncio.Event,
        *,
        gather_s: float,
    ) -> None:
        self.waiting: dict[str, T] = {}
        self._kind = kind
        self._write = write
        self._tasks = tasks
        self._closing = closing
        self._gather_s = gather_s
        self._writing: asyncio.Task[None] | None = None

    def add(self, turn_id: str, note: T) -> None:
        """Write a note as soon as possible."""
        self.waiting[turn_id] = note
        if self._writing is None or self._writing.done():
            self._writing = self._tasks.spawn(self._write_all(), self._kind, detached=True)

    async def settled(self, turn_id: str) -> None:
        """Wait until nothing is to be written of this turn any more."""
        if turn_id in self.waiting and self._writing is not None:
            await asyncio.wait({self._writing})

    async def _write_all(self) -> None:
        while self.waiting:
            if self._gather_s:
                await self._pause(self._gather_s)
            notes = dict(self.waiting)
            try:
                await self._write(notes)
            except StoreUnavailable as error:
                log.warning("write_postponed", what=self._kind, turns=len(notes), reason=error.message)
                if self._closing.is_set():
                    return
                await self._pause(_PAUSE_S)
                continue
            for turn_id in notes:
                del self.waiting[turn_id]

    async def _pause(self, seconds: float) -> None:
        """Wait; not at all when the server ends."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closing.wait()
