"""Process slots: who waits for one, who has to make room, how many there are at present.

Carries out what `core/pool.py` decides, by events to the actors concerned.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import structlog

from claude_code_api.core import events as ev
from claude_code_api.core.events import StopReason
from claude_code_api.core.pool import Decision, SlotPool
from claude_code_api.core.session import BETWEEN_TURNS, WITH_PROCESS, State
from claude_code_api.runtime.actor import Actor
from claude_code_api.runtime.ports import AgentLauncher

log = structlog.get_logger(__name__)


_PARKED_S = 10.0
"""How long a session whose client runs tools is not stopped to make room: it usually comes back at once."""


class Slots:
    """At most `most` processes. `actors` is the manager's registry, by internal id; `wait_s` bounds a wait."""

    def __init__(
        self, launcher: AgentLauncher, actors: Mapping[str, Actor], *, most: int, max_waiting: int, wait_s: float
    ) -> None:
        self._launcher = launcher
        self._actors = actors
        self._most = most
        self._wait_s = wait_s
        self._pool = SlotPool(most, max_waiting)
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._parked: dict[str, asyncio.TimerHandle] = {}
        self._too_large: set[int] = set()
        self._closed = False

    @property
    def held(self) -> int:
        """Slots in use, those of stopping processes included."""
        return self._pool.held

    @property
    def waiting(self) -> int:
        """Conversations that wait for one."""
        return self._pool.waiting

    @property
    def size(self) -> int:
        """Most processes at present: the setting, or what the memory allows."""
        return self._pool.size

    def open(self) -> None:
        """Tell the launcher how many spares there is room for."""
        self._carry_out(Decision())

    def close(self) -> None:
        """Leave no room for spares any more."""
        self._closed = True
        self._carry_out(Decision())

    def acquire(self, actor: Actor) -> None:
        """Queue the actor for a slot; answered with SlotGranted or WaitExpired."""
        decision = self._pool.request(actor.key)
        if decision is None:
            actor.post(ev.WaitExpired())
            return
        loop = asyncio.get_running_loop()
        self._timers[actor.key] = loop.call_later(self._wait_s, self._expire, actor)
        self._carry_out(decision)

    def cancel(self, actor: Actor) -> None:
        """Take the actor out of the queue."""
        self._stop_timer(actor.key)
        self._carry_out(self._pool.cancel(actor.key))

    def release(self, actor: Actor) -> None:
        """The actor's process is gone."""
        self._stop_sparing(actor.key)
        self._carry_out(self._pool.release(actor.key))

    def changed(self, actor: Actor) -> None:
        """Keep the pool's view of an actor with a process true."""
        if actor.state is not State.PARKED:
            self._stop_sparing(actor.key)
        elif actor.key not in self._parked:
            self._parked[actor.key] = asyncio.get_running_loop().call_later(_PARKED_S, self._no_longer_spared, actor)
        if actor.state is State.IDLE:
            self._carry_out(self._pool.mark_idle(actor.key))
            self._stop_too_large(actor)
        elif actor.state in {State.STOPPING, State.CLOSING}:
            self._carry_out(self._pool.mark_leaving(actor.key))
        elif actor.state in WITH_PROCESS:
            self._carry_out(self._pool.mark_busy(actor.key))

    def bound(self, processes: int, too_large: set[int]) -> None:
        """Allow at most so many processes, and stop those that are too large as soon as they are idle."""
        self._too_large = too_large
        before, size = self._pool.size, min(processes, self._most)
        if size != before:
            if (size < self._most) != (before < self._most):
                log.warning("process_limit_changed", limit=size, reason="memory")
            self._carry_out(self._pool.resize(size))
            self._launcher.shrink()
        for actor in list(self._actors.values()):
            self._stop_too_large(actor)

    def _stop_too_large(self, actor: Actor) -> None:
        if actor.pid in self._too_large and actor.state in BETWEEN_TURNS:
            actor.post(ev.StopWanted(StopReason.MEMORY))

    def _no_longer_spared(self, actor: Actor) -> None:
        del self._parked[actor.key]
        if actor.state is State.PARKED:
            self._carry_out(self._pool.mark_idle(actor.key))

    def _stop_sparing(self, key: str) -> None:
        if (timer := self._parked.pop(key, None)) is not None:
            timer.cancel()

    def _expire(self, actor: Actor) -> None:
        self._timers.pop(actor.key, None)
        self._pool.cancel(actor.key)
        actor.post(ev.WaitExpired())

    def _carry_out(self, decision: Decision) -> None:
        self._launcher.set_room(0 if self._closed else self._pool.size - self._pool.held)
        for key in decision.grant:
            self._stop_timer(key)
            actor = self._actors.get(key)
            if actor is None:
                self._carry_out(self._pool.release(key))
            else:
                actor.post(ev.SlotGranted())
        for key in decision.evict:
            if (actor := self._actors.get(key)) is not None:
                actor.post(ev.StopWanted(StopReason.EVICTED))

    def _stop_timer(self, key: str) -> None:
        if (timer := self._timers.pop(key, None)) is not None:
            timer.cancel()
