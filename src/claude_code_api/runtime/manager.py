"""All conversations: finds or makes the one that a request belongs to, shares out process slots, ends them all.

A conversation is registered before anything is started for it, so that any number of first requests at once share one
process.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from dataclasses import dataclass

import structlog

from claude_code_api.core import events as ev
from claude_code_api.core.events import StopReason
from claude_code_api.core.pool import Decision, SlotPool
from claude_code_api.core.session import WITH_PROCESS, State
from claude_code_api.core.turn import TurnInput
from claude_code_api.errors import ConversationNotFound, ShuttingDown
from claude_code_api.runtime.actor import Actor
from claude_code_api.runtime.host import Turn
from claude_code_api.runtime.ports import AgentLauncher, Store, StoredConversation
from claude_code_api.runtime.record import Record
from claude_code_api.runtime.stats import Stats
from claude_code_api.runtime.tasks import Tasks
from claude_code_api.runtime.views import SessionView, view_of_actor, view_of_stored
from claude_code_api.runtime.watchdog import Limits

log = structlog.get_logger("claude_code_api.session")


@dataclass(frozen=True, slots=True)
class ManagerSettings:
    """The numbers that the manager goes by; times in seconds."""

    max_sessions: int
    max_waiting: int
    slot_wait_s: float
    idle_s: float
    max_queued_turns: int
    interactive: bool
    grace_s: float


@dataclass(frozen=True, slots=True)
class Ticket:
    """A turn that was taken: which conversation it went to, and how to read or end it."""

    conversation_id: str
    turn: Turn
    actor: Actor

    def abandon(self) -> None:
        """The client left: end the turn, keep the session."""
        self.actor.cut(self.turn.id)


class SessionManager:
    """The registry of conversations and the keeper of the process limit. Lives on one event loop."""

    tenant = "default"

    def __init__(self, launcher: AgentLauncher, store: Store, settings: ManagerSettings, limits: Limits) -> None:
        self.launcher = launcher
        self.store = store
        self.settings = settings
        self.limits = limits
        self.stats = Stats()
        self.tasks = Tasks()
        self._pool = SlotPool(settings.max_sessions, settings.max_waiting)
        self._actors: dict[str, Actor] = {}
        self._by_key: dict[str, Actor] = {}
        self._deleting: dict[str, asyncio.Event] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._janitor: asyncio.Task[None] | None = None
        self._draining = False
        self._quiet = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Begin to look after idle sessions, on the running event loop."""
        self._loop = asyncio.get_running_loop()
        self.launcher.set_room(self._pool.size)
        self._janitor = self.tasks.spawn(self._sweep(), "janitor")

    # For requests

    async def submit(self, conversation_id: str | None, turn_input: TurnInput, *, request_id: str) -> Ticket:
        """Take a turn for a conversation, a new one when the id is None or unknown.

        Raises ShuttingDown or StoreUnavailable.
        """
        requested_at = asyncio.get_running_loop().time()
        actor = await self._find_or_make(conversation_id)
        turn = Turn(turn_input, request_id, requested_at)
        actor.request(turn)
        return Ticket(actor.record.conversation_id, turn, actor)

    async def _find_or_make(self, conversation_id: str | None) -> Actor:
        stored = None
        if conversation_id is None:
            conversation_id = f"conv_{uuid.uuid4().hex}"
        elif conversation_id not in self._actors:
            stored = await self._load(conversation_id)
        if self._draining:
            raise ShuttingDown("The server is shutting down; send the request again.", retry_after=5)
        actor = self._actors.get(conversation_id)  # another request may have been faster meanwhile
        if actor is None:
            actor = Actor(
                conversation_id,
                self,
                stored,
                interactive=self.settings.interactive,
                max_waiting=self.settings.max_queued_turns,
            )
            self._actors[conversation_id] = self._by_key[actor.key] = actor
            self.stats.counts["created"] += stored is None
        return actor

    async def _load(self, conversation_id: str) -> StoredConversation | None:
        """What is stored, once no deletion is under way: one that begins meanwhile makes what was read stale."""
        while True:
            stored = await self.store.load(self.tenant, conversation_id)
            if (deletion := self._deleting.get(conversation_id)) is None:
                return stored
            await deletion.wait()

    async def get(self, conversation_id: str) -> SessionView:
        """Describe a conversation. Raises ConversationNotFound or StoreUnavailable."""
        actor = self._actors.get(conversation_id)
        if actor is not None:
            return view_of_actor(actor)
        stored = await self.store.load(self.tenant, conversation_id)
        if stored is None:
            raise _not_found(conversation_id)
        return view_of_stored(stored)

    async def conversations(self) -> list[SessionView]:
        """Describe every conversation, the oldest first. Raises StoreUnavailable."""
        stored = await self.store.summaries(self.tenant)
        views = {one.conversation_id: view_of_stored(one) for one in stored}
        views |= {actor.record.conversation_id: view_of_actor(actor) for actor in self._actors.values()}
        return sorted(views.values(), key=lambda view: view.created_at)

    async def delete(self, conversation_id: str) -> None:
        """Forget a conversation; returns when its process is gone, and its rows and files.

        The id is free then. Raises ConversationNotFound or StoreUnavailable.
        """
        while (other := self._deleting.get(conversation_id)) is not None:
            await other.wait()
        self._deleting[conversation_id] = done = asyncio.Event()
        try:
            stored = await self.store.load(self.tenant, conversation_id)
            actor = self._actors.pop(conversation_id, None)
            record = actor.record if actor is not None else Record.of(stored) if stored is not None else None
            if record is None:
                raise _not_found(conversation_id)
            log.info("session_deleted", conversation_id=conversation_id, pid=actor.pid if actor else None)
            self.stats.counts["deleted"] += 1
            if actor is not None:
                actor.post(ev.Deleted())
                await actor.closed.wait()
            await self.store.delete(record.key)
            if record.place is not None:
                await asyncio.to_thread(self.launcher.forget, record.place)
        finally:
            del self._deleting[conversation_id]
            done.set()

    # For /stats

    async def census(self) -> dict[str, int]:
        """How many conversations are in each state; those without a process are counted in the store."""
        stored = await self.store.count(self.tenant)
        counts = dict.fromkeys((state.value for state in State), 0)
        for actor in self._by_key.values():
            counts[actor.state.value] += 1
        counts[State.HIBERNATED] = max(0, stored - sum(actor.kept for actor in self._by_key.values()))
        return counts

    @property
    def processes(self) -> int:
        """Process slots in use, stopping processes included."""
        return self._pool.held

    @property
    def waiting_for_slot(self) -> int:
        """Conversations that wait for a process slot."""
        return self._pool.waiting

    # For actors

    def acquire(self, actor: Actor) -> None:
        """Queue the actor for a slot."""
        decision = self._pool.request(actor.key)
        if decision is None:
            actor.post(ev.WaitExpired())
            return
        loop = asyncio.get_running_loop()
        self._timers[actor.key] = loop.call_later(self.settings.slot_wait_s, self._expire, actor)
        self._carry_out(decision)

    def _expire(self, actor: Actor) -> None:
        self._timers.pop(actor.key, None)
        self._pool.cancel(actor.key)
        actor.post(ev.WaitExpired())

    def cancel_acquire(self, actor: Actor) -> None:
        """Take the actor out of the queue."""
        self._stop_timer(actor.key)
        self._carry_out(self._pool.cancel(actor.key))

    def release(self, actor: Actor) -> None:
        """The actor's process is gone."""
        self._carry_out(self._pool.release(actor.key))
        self._note_quiet()

    def changed(self, actor: Actor) -> None:
        """Keep the pool's view of an actor true, and drop an actor that has nothing to keep."""
        if actor.state is State.IDLE:
            self._carry_out(self._pool.mark_idle(actor.key))
        elif actor.state in {State.STOPPING, State.CLOSING}:
            self._carry_out(self._pool.mark_leaving(actor.key))
        elif actor.state in WITH_PROCESS:
            self._carry_out(self._pool.mark_busy(actor.key))
        elif actor.state is State.CLOSED or actor.resting:
            self._drop(actor)

    def _drop(self, actor: Actor) -> None:
        """Nothing is under way: what is kept is in the store; what never had an answer leaves nothing behind."""
        if self._by_key.get(actor.key) is not actor:
            return
        del self._by_key[actor.key]
        if self._actors.get(actor.record.conversation_id) is actor:
            del self._actors[actor.record.conversation_id]
        place = actor.record.place
        if not actor.kept and place is not None and actor.state is not State.CLOSED:
            self.tasks.spawn(asyncio.to_thread(self.launcher.forget, place), f"forget-{place}")

    def _carry_out(self, decision: Decision) -> None:
        self.launcher.set_room(0 if self._draining else self._pool.size - self._pool.held)
        for key in decision.grant:
            self._stop_timer(key)
            actor = self._by_key.get(key)
            if actor is None:
                self._carry_out(self._pool.release(key))
            else:
                actor.post(ev.SlotGranted())
        for key in decision.evict:
            if (actor := self._by_key.get(key)) is not None:
                actor.post(ev.StopWanted(StopReason.EVICTED))

    def _stop_timer(self, key: str) -> None:
        if (timer := self._timers.pop(key, None)) is not None:
            timer.cancel()

    # Idleness and the end

    async def _sweep(self) -> None:
        interval = max(0.2, min(10.0, self.settings.idle_s / 10))
        while True:
            await asyncio.sleep(interval)
            oldest = asyncio.get_running_loop().time() - self.settings.idle_s
            for actor in self._live():
                if actor.state is State.IDLE and actor.idle_since <= oldest:
                    actor.post(ev.StopWanted(StopReason.IDLE))

    def _live(self) -> list[Actor]:
        return list(self._by_key.values())

    def begin_drain(self) -> None:
        """Take nothing new, answer what waits, stop what idles, let what runs finish within the grace time.

        Safe to call twice.
        """
        if not self._draining:
            self._draining = True
            log.info("draining", processes=self.processes)
            self.launcher.set_room(0)
            for actor in self._live():
                actor.post(ev.Drained())
            self._note_quiet()
            self.tasks.spawn(self._cut_after_grace(), "grace")

    def _note_quiet(self) -> None:
        if self._draining and not self.processes:
            self._quiet.set()

    def begin_drain_soon(self) -> None:
        """The same, from a signal handler."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self.begin_drain)

    async def _cut_after_grace(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.settings.grace_s):
                await self._quiet.wait()
        for actor in self._live():
            actor.cut_current(ShuttingDown("The server shut down during the turn.", retry_after=5))

    async def shutdown(self) -> None:
        """Drain; returns when no process is left."""
        self.begin_drain()
        await self._quiet.wait()
        if self._janitor is not None:
            self._janitor.cancel()
        await self.tasks.drain()


def _not_found(conversation_id: str) -> ConversationNotFound:
    return ConversationNotFound(f"There is no conversation {conversation_id!r}.", param="conversation_id")
