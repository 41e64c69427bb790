"""Answers that can be had again: for an Idempotency-Key, and those that never reached their client.

Owns which turns run under a key. A key's first request runs; others with the same key join it while it runs, and get
its stored answer for a day. A turn that fails gives its key free.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from claude_code_api.core.identity import Address
from claude_code_api.core.replay import retold
from claude_code_api.core.turn import TurnStarted
from claude_code_api.errors import IdempotencyKeyReused
from claude_code_api.runtime.host import RequestMark
from claude_code_api.runtime.storage import Store
from claude_code_api.runtime.stored import StoredAnswer
from claude_code_api.runtime.stream import TurnStream
from claude_code_api.runtime.tasks import Tasks
from claude_code_api.runtime.ticket import Running, Ticket

KEPT_S = 24 * 3600.0
"""How long an answer can be asked for again by its key."""


@dataclass
class _Once:
    fingerprint: str
    running: asyncio.Task[Running]
    waiting: int = 0


class Answers:
    """Lives on one event loop. `delivered` is told the conversation and the turn of a replay that arrived."""

    def __init__(self, store: Store, tasks: Tasks, delivered: Callable[[Address, str], None]) -> None:
        self._store = store
        self._tell_delivered = delivered
        self._tasks = tasks
        self._once: dict[tuple[str, str], _Once] = {}

    async def once(self, tenant: str, mark: RequestMark, run: Callable[[], Awaitable[Running]]) -> Ticket:
        """Run a request, join the tenant's one with its key, or give the answer that this one had.

        Raises IdempotencyKeyReused when the key came with another request, and what `run` raises.
        """
        key = mark.idempotency_key
        assert key is not None
        once = self._once.get((tenant, key))
        if once is None:
            running = self._tasks.spawn(self._find_or_run(tenant, key, mark, run), f"once-{key}")
            once = self._once[tenant, key] = _Once(mark.fingerprint, running)
        _check(once.fingerprint, mark.fingerprint)
        once.waiting += 1
        try:
            shared = await asyncio.shield(once.running)
        except asyncio.CancelledError:
            once.waiting -= 1
            if not once.waiting:
                once.running.add_done_callback(_cut_unread)
            raise
        return Ticket(shared)

    async def _find_or_run(
        self, tenant: str, key: str, mark: RequestMark, run: Callable[[], Awaitable[Running]]
    ) -> Running:
        with contextlib.ExitStack() as over:
            over.callback(self._once.pop, (tenant, key))
            stored = await self._store.keyed_answer(tenant, key, since=time.time() - KEPT_S)
            if stored is not None:
                _check(stored.fingerprint, mark.fingerprint)
            running = await run() if stored is None else self.replay(stored)
            running.stream.on_end(over.pop_all().close)
        return running

    def replay(self, stored: StoredAnswer) -> Running:
        """An answer that was given before, as if it were given now."""
        stream = TurnStream()
        for event in (TurnStarted(stored.start), *retold(stored.completed), stored.completed):
            stream.put(event)
        return Running(
            conversation_id=stored.conversation_id,
            turn_id=stored.turn_id,
            fingerprint=stored.fingerprint,
            created_at=stored.created_at,
            stream=stream,
            replayed=True,
            cut=lambda error: None,
            halt=lambda: False,
            delivered=lambda: self._tell_delivered(Address(stored.tenant, stored.conversation_id), stored.turn_id),
        )


def _check(fingerprint: str, other: str) -> None:
    if fingerprint != other:
        raise IdempotencyKeyReused(
            "This Idempotency-Key came before, with another request. Use a new key for a new request.",
            param="Idempotency-Key",
        )


def _cut_unread(task: asyncio.Task[Running]) -> None:
    """Every client left before the turn was even placed."""
    if not task.cancelled() and task.exception() is None and not task.result().readers:
        task.result().cut(None)
