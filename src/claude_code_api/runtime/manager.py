"""All conversations: takes their turns, shows and deletes them, shares out process slots, ends them all.

A conversation is registered before anything is started for it, so that any number of first requests at once share one
process.
"""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

import structlog

from claude_code_api.core import events as ev
from claude_code_api.core.events import StopReason
from claude_code_api.core.identity import Address
from claude_code_api.core.session import BETWEEN_TURNS, WITH_PROCESS, State
from claude_code_api.core.turn import TurnInput
from claude_code_api.errors import (
    ConversationInUse,
    ConversationNotFound,
    ShuttingDown,
    StoreUnavailable,
)
from claude_code_api.runtime.actor import Actor
from claude_code_api.runtime.aftermath import Aftermath
from claude_code_api.runtime.approvals import Approval
from claude_code_api.runtime.approvals import not_found as no_approval
from claude_code_api.runtime.background import Backgrounds
from claude_code_api.runtime.feed import Feeds, Watch
from claude_code_api.runtime.host import RequestMark
from claude_code_api.runtime.placing import Placing
from claude_code_api.runtime.ports import AgentLauncher
from claude_code_api.runtime.record import Record
from claude_code_api.runtime.refusals import not_found
from claude_code_api.runtime.registry import Registry
from claude_code_api.runtime.revisions import Revisions
from claude_code_api.runtime.slots import Slots
from claude_code_api.runtime.stats import Stats
from claude_code_api.runtime.storage import Store
from claude_code_api.runtime.stored import NewResponse
from claude_code_api.runtime.tasks import Tasks
from claude_code_api.runtime.ticket import Ticket
from claude_code_api.runtime.views import SessionView, view_of_actor, view_of_stored
from claude_code_api.runtime.watchdog import Limits

log = structlog.get_logger("claude_code_api.session")


@dataclass(frozen=True, slots=True)
class ManagerSettings:
    """What the manager goes by; times in seconds. `lineage`: find a conversation by the history that it holds."""

    max_sessions: int
    max_waiting: int
    slot_wait_s: float
    idle_s: float
    max_queued_turns: int
    interactive: bool
    grace_s: float
    lineage: bool


class SessionManager:
    """The registry of conversations and the keeper of the process limit. Lives on one event loop.

    A request names a tenant, and finds only what is this tenant's.
    """

    def __init__(self, launcher: AgentLauncher, store: Store, settings: ManagerSettings, limits: Limits) -> None:
        self.launcher = launcher
        self.store = store
        self.settings = settings
        self.limits = limits
        self.stats = Stats()
        self.tasks = Tasks()
        self.feeds = Feeds()
        self.aftermath = Aftermath(store, self.tasks)
        self.registry = Registry(self, interactive=settings.interactive, max_waiting=settings.max_queued_turns)
        self.slots = Slots(
            launcher,
            self.registry.by_key,
            most=settings.max_sessions,
            max_waiting=settings.max_waiting,
            wait_s=settings.slot_wait_s,
        )
        self.revisions = Revisions(self)
        self.backgrounds = Backgrounds(store, self.tasks, self.aftermath)
        self._placing = Placing(self, self.registry, self.revisions, by_lineage=settings.lineage)
        self._draining = False
        self._quiet = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Begin, on the running event loop."""
        self._loop = asyncio.get_running_loop()
        self.slots.open()

    # For requests

    async def submit(
        self,
        tenant: str,
        conversation_id: str | None,
        turn_input: TurnInput,
        mark: RequestMark,
        response: NewResponse | None = None,
    ) -> Ticket:
        """Take a turn for a tenant's conversation, a new one when the id is None or unknown.

        A request that came before gets the answer that it had: by its Idempotency-Key, or because that answer is the
        conversation's last and never reached anybody. With a `response` the answer can be asked for by its id; in the
        background it is recorded before this returns, and its stream has ended already when it was refused at once.
        Raises PreviousResponseNotFound, ShuttingDown, StoreUnavailable or IdempotencyKeyReused.
        """
        return await self._placing.submit(tenant, conversation_id, turn_input, mark, response)

    async def get(self, address: Address) -> SessionView:
        """Describe a conversation. Raises ConversationNotFound or StoreUnavailable."""
        actor = self.registry.get(address)
        if actor is not None:
            return view_of_actor(actor)
        stored = await self.store.summary(*address)
        if stored is None:
            raise not_found(address)
        return view_of_stored(stored)

    async def page(self, tenant: str, *, after: str | None, limit: int) -> list[SessionView]:
        """Describe a tenant's conversations, the newest first; `after` is the id that the page follows.

        Raises ConversationNotFound or StoreUnavailable.
        """
        place = None
        if after is not None:
            view = await self.get(Address(tenant, after))
            place = (view.created_at, after)
        stored = await self.store.page(tenant, before=place, limit=limit)
        views = {one.conversation_id: view_of_stored(one) for one in stored}
        last = (stored[-1].created_at, stored[-1].conversation_id) if len(stored) == limit else (0.0, "")
        for actor in self.registry.of(tenant):
            at = (actor.record.created_at, actor.record.conversation_id)
            if last <= at and (place is None or at < place):
                views[actor.record.conversation_id] = view_of_actor(actor)
        return sorted(views.values(), key=lambda view: (view.created_at, view.conversation_id), reverse=True)[:limit]

    async def hibernate(self, address: Address) -> SessionView:
        """Stop a conversation's process and keep the conversation; returns when the process is gone.

        Raises ConversationNotFound, ConversationInUse during a turn, or StoreUnavailable.
        """
        actor = self.registry.get(address)
        if actor is not None:
            if actor.state not in BETWEEN_TURNS | {State.STOPPING}:
                raise ConversationInUse("A turn runs on this conversation; hibernate it between turns.", retry_after=2)
            actor.post(ev.StopWanted(StopReason.HIBERNATED))
            await actor.released.wait()
        return await self.get(address)

    async def watch(self, address: Address, last: int | None) -> Watch:
        """Watch what happens on a conversation, from now on or from behind the happening `last`. Close it when done.

        Raises ConversationNotFound, ShuttingDown or StoreUnavailable.
        """
        self.check_open()
        with contextlib.ExitStack() as undo:
            watch = self.feeds.watch(address, last)  # before it is looked for: a deletion meanwhile is told then
            undo.callback(watch.close)
            view = await self.get(address)
            actor = self.registry.get(address)
            watch.begin(view.state, None if actor is None else actor.current)
            undo.pop_all()
        return watch

    # For those who watch over an agent

    async def approvals(self, address: Address) -> list[Approval]:
        """The calls of its agent that wait for a person, the oldest first.

        Raises ConversationNotFound or StoreUnavailable.
        """
        actor = await self._live_one(address)
        return [] if actor is None else actor.approvals.waiting

    async def approval(self, address: Address, approval_id: str) -> Approval:
        """One that waits, or was settled lately. Raises ApprovalNotFound, ConversationNotFound or StoreUnavailable."""
        actor = await self._live_one(address)
        if actor is None:
            raise no_approval(approval_id)
        return actor.approvals.find(approval_id)

    async def decide(
        self, address: Address, approval_id: str, *, allowed: bool, message: str | None = None
    ) -> Approval:
        """Let a call that waits be made, or not: then the model is told `message`, or that a person denied it.

        Returns it as it is settled. Raises ApprovalNotFound, ApprovalDecided when somebody was faster or its time is
        over, ConversationNotFound or StoreUnavailable.
        """
        actor = await self._live_one(address)
        if actor is None:
            raise no_approval(approval_id)
        return actor.decide(approval_id, allowed=allowed, message=message)

    async def halt(self, address: Address) -> bool:
        """End the turn that runs, and keep what was said: it completes as `interrupted`. False when none does.

        Returns at once; the end comes through the turn's stream. Turns that wait run next. Raises ConversationNotFound
        or StoreUnavailable.
        """
        actor = await self._live_one(address)
        return actor is not None and actor.halt_current()

    async def _live_one(self, address: Address) -> Actor | None:
        """The conversation when it is in memory, None when it is only stored. Raises ConversationNotFound."""
        actor = self.registry.get(address)
        if actor is None:
            await self.get(address)
        return actor

    async def delete(self, address: Address, *, unless_used_since: float | None = None) -> None:
        """Forget a conversation; returns when its process is gone, and its rows and files.

        The id is free then. With `unless_used_since`, one that was used later or is at work is left alone.
        Raises ConversationNotFound or StoreUnavailable.
        """
        async with self.change(address):
            stored = await self.store.summary(*address)
            actor = self.registry.get(address)
            if unless_used_since is not None and (
                (actor is not None and not actor.at_rest)
                or (stored is not None and stored.last_used_at >= unless_used_since)
            ):
                return
            self.registry.release(address)
            record = actor.record if actor is not None else Record.of(stored) if stored is not None else None
            if record is None:
                raise not_found(address)
            log.info("session_deleted", **address._asdict(), pid=actor.pid if actor else None)
            self.stats.counts["deleted"] += 1
            if actor is not None:
                actor.post(ev.Deleted())
                await actor.closed.wait()
            await self.store.delete(record.key)
            if record.place is not None:
                await asyncio.to_thread(self.launcher.forget, record.place)
            self.feeds.deleted(address)

    async def delete_unused(self, moment: float) -> None:
        """Delete the conversations of all tenants that were last used before then, but for those that are at work."""
        seen: set[Address] = set()
        while found := set(await self.store.unused_since(moment, limit=100)) - seen:
            seen |= found
            for address in found:
                with contextlib.suppress(ConversationNotFound):
                    await self.delete(address, unless_used_since=moment)

    # For revisions

    def check_open(self) -> None:
        """Raise ShuttingDown when the server drains."""
        self.registry.check_open()

    def change(self, address: Address) -> AbstractAsyncContextManager[None]:
        """Change what is stored of a conversation, one at a time. Whoever is about to load it waits."""
        return self.registry.change(address)

    def live(self, address: Address) -> Actor | None:
        """The conversation, when it is in memory."""
        return self.registry.get(address)

    # For /stats

    async def census(self) -> dict[str, int]:
        """How many conversations of all tenants are in each state; those without a process are counted in the store.

        What is stored nowhere is not counted. Without HIBERNATED while the store is unavailable.
        """
        stored = None
        with contextlib.suppress(StoreUnavailable):
            stored = await self.store.count()
        counts = dict.fromkeys((state.value for state in State), 0)
        actors = [actor for actor in self.registry if not actor.in_memory]
        for actor in actors:
            counts[actor.state.value] += 1
        if stored is None:
            del counts[State.HIBERNATED]
        else:
            counts[State.HIBERNATED] = max(0, stored - sum(actor.kept for actor in actors))
        return counts

    # For actors

    def acquire(self, actor: Actor) -> None:
        """Queue the actor for a slot."""
        self.slots.acquire(actor)

    def cancel_acquire(self, actor: Actor) -> None:
        """Take the actor out of the queue."""
        self.slots.cancel(actor)

    def release(self, actor: Actor) -> None:
        """The actor's process is gone."""
        self.slots.release(actor)
        self._note_quiet()

    def changed(self, actor: Actor) -> None:
        """Keep the slots' view of an actor true, and drop an actor that has nothing to keep."""
        if actor.state in WITH_PROCESS:
            self.slots.changed(actor)
        elif actor.state is State.CLOSED or actor.resting:
            self._drop(actor)

    def _drop(self, actor: Actor) -> None:
        """Nothing is under way: what is kept is in the store; what never had an answer leaves nothing behind."""
        if self.registry.drop(actor) and (place := actor.leftover) is not None:
            self.tasks.spawn(asyncio.to_thread(self.launcher.forget, place), f"forget-{place}")

    # Idleness and the end

    def stop_idle(self, seconds: float) -> None:
        """Stop the processes that had nothing to do for so long."""
        oldest = asyncio.get_running_loop().time() - seconds
        for actor in self.registry:
            if actor.state in BETWEEN_TURNS and actor.idle_since <= oldest:
                actor.post(ev.StopWanted(StopReason.IDLE))

    def pids(self) -> list[int]:
        """The live processes of conversations."""
        return [actor.pid for actor in self.registry if actor.pid is not None]

    def begin_drain(self) -> None:
        """Take nothing new, answer what waits, stop what idles, let what runs finish within the grace time.

        Safe to call twice.
        """
        if not self._draining:
            self._draining = True
            log.info("draining", processes=self.slots.held)
            self.registry.close()
            self.slots.close()
            self.feeds.close()
            for actor in self.registry:
                actor.post(ev.Drained())
            self._note_quiet()
            self.tasks.spawn(self._cut_after_grace(), "grace")

    def _note_quiet(self) -> None:
        if self._draining and not self.slots.held:
            self._quiet.set()

    def begin_drain_soon(self) -> None:
        """The same, from a signal handler."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self.begin_drain)

    async def _cut_after_grace(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.settings.grace_s):
                await self._quiet.wait()
        for actor in self.registry:
            actor.cut_current(ShuttingDown("The server shut down during the turn.", retry_after=5))
        self.backgrounds.close()

    async def shutdown(self) -> None:
        """Drain; returns when no process is left."""
        self.begin_drain()
        await self._quiet.wait()
        self.aftermath.close()
        await self.tasks.drain()
