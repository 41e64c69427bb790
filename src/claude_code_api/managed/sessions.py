"""Sessions: made, shown, changed, given something to do, followed. Each one is a conversation.

Owns the workers, and which sessions are in memory. Must not know HTTP.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias, TypeVar
from weakref import WeakValueDictionary

import structlog

from claude_code_api import errors as err
from claude_code_api.core.identity import Address
from claude_code_api.core.session import State
from claude_code_api.core.toolbox import EVERYTHING, Permissions, Toolbox
from claude_code_api.managed import events as ev
from claude_code_api.managed import outcomes
from claude_code_api.managed.environments import LOCAL
from claude_code_api.managed.equipment import Equipment
from claude_code_api.managed.follow import follow
from claude_code_api.managed.log import Log, Moved
from claude_code_api.managed.mapping import Asked, implicit_agent
from claude_code_api.managed.sending import check_idle, check_open, check_room, check_sent
from claude_code_api.managed.session_store import (
    EventQuery,
    Json,
    ListedSession,
    ManagedSession,
    NewEvent,
    SessionQuery,
    SessionStore,
    StoredEvent,
)
from claude_code_api.managed.standing import Conversation, thread_id_of
from claude_code_api.managed.watching import Watching
from claude_code_api.managed.worker import Worker
from claude_code_api.runtime.manager import SessionManager
from claude_code_api.runtime.stored import Beginning
from claude_code_api.runtime.tasks import Tasks
from claude_code_api.runtime.views import SessionView

log_ = structlog.get_logger(__name__)

T = TypeVar("T")

Change: TypeAlias = Callable[[ManagedSession], Json]
"""Makes new values of a session's fields."""

Patch: TypeAlias = Callable[[Mapping[str, str]], Mapping[str, str] | None]
"""Makes new metadata of the old; None when it stays."""

_IDLE = frozenset({State.NEW, State.HIBERNATED, State.FAILED, State.IDLE, State.PARKED, State.STOPPING})
_FIRST_PAUSE_S = 1.0
_LAST_WORDS_S = 10.0


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session to be made. `agent` is resolved; `budget` is in US cents; `events` are what it begins with."""

    agent: Json
    environment_id: str
    title: str | None
    metadata: Mapping[str, str]
    budget: int | None
    resources: tuple[Json, ...]
    events: tuple[NewEvent, ...]


class Sessions:
    """Lives on one event loop. What is begun is brought to its end, also when its request is cancelled."""

    def __init__(
        self,
        manager: SessionManager,
        store: SessionStore,
        equipment: Equipment,
        *,
        ask: Permissions = EVERYTHING,
        first_pause_s: float = _FIRST_PAUSE_S,
    ) -> None:
        self._manager = manager
        self._store = store
        self._equipment = equipment
        self._ask = ask
        self._first_pause_s = first_pause_s
        self._logs: WeakValueDictionary[Address, Log] = WeakValueDictionary()
        self._loading: dict[Address, asyncio.Event] = {}
        self._workers: dict[str, Worker] = {}
        self._closing = asyncio.Event()
        self._tasks = Tasks()

    async def start(self) -> None:
        """Go on with what an earlier server left."""
        for address in await self._store.working():
            try:
                self._wake(await self.log(address))
            except err.ConversationNotFound:
                continue

    async def close(self) -> None:
        """Let go of everything; what is not done yet goes on at the next start."""
        self._closing.set()
        for worker in self._workers.values():
            worker.wake()
        try:
            async with asyncio.timeout(_LAST_WORDS_S):
                await self._tasks.drain()
        except TimeoutError:
            await self._tasks.cancel()

    # One session

    async def log(self, address: Address) -> Log:
        """A session, to work on it or watch it. A conversation of another dialect becomes one.

        Raises ConversationNotFound or StoreUnavailable.
        """
        while (loading := self._loading.get(address)) is not None:
            await loading.wait()
        known = self._logs.get(address)
        if known is not None and not known.gone:
            return known
        self._loading[address] = loaded = asyncio.Event()
        try:
            found = await self._found(address)
            session = found.session or await self._store.adopt(_implicit(address, found))
        finally:
            del self._loading[address]
            loaded.set()
        self._logs[address] = log = Log(session, self._store)
        return log

    async def _found(self, address: Address) -> ListedSession:
        found = await self._store.listed(*address)
        if found is None:
            raise err.ConversationNotFound(f"There is no session {address.conversation_id!r}.", param="session_id")
        return found

    async def get(self, address: Address) -> ListedSession:
        """A session as it is shown. Raises ConversationNotFound or StoreUnavailable."""
        return self._shown(address.tenant, await self._found(address))

    async def page(self, tenant: str, query: SessionQuery) -> list[ListedSession]:
        """A page of a tenant's sessions. Raises StoreUnavailable."""
        busy = [one.record.conversation_id for one in self._manager.registry.of(tenant) if one.state not in _IDLE]
        found = await self._store.sessions(tenant, replace(query, busy=busy))
        return [self._shown(tenant, one) for one in found]

    def _shown(self, tenant: str, found: ListedSession) -> ListedSession:
        """What is stored, with what is known better."""
        address = Address(tenant, found.conversation_id)
        actor = self._manager.live(address)
        session = found.session or _implicit(address, found)
        if actor is None:
            return replace(found, session=session)
        if session.status == "idle" and session.run is None and actor.state not in _IDLE:
            session = replace(session, status="running")
        record = actor.record
        return replace(found, session=session, usage=record.usage, cost_usd=record.cost_usd, metadata=record.metadata)

    async def create(self, tenant: str, session_id: str, new: NewSession) -> ListedSession:
        """Make a session. Raises ShuttingDown or StoreUnavailable."""
        return await self._to_the_end(self._create(Address(tenant, session_id), new))

    async def _create(self, address: Address, new: NewSession) -> ListedSession:
        session = ManagedSession(
            key="",
            tenant=address.tenant,
            session_id=address.conversation_id,
            agent=new.agent,
            environment_id=new.environment_id,
            created_at=0.0,
            updated_at=0.0,
            title=new.title,
            budget=new.budget,
            is_budgeted=new.budget is not None,
            resources=new.resources,
        )
        asked = await self._equipment.of(session)  # so that it is this agent in every dialect, from the first turn on
        beginning = Beginning(asked.profile, asked.model, asked.system or "", asked.toolbox)
        await self._manager.revisions.make(address.tenant, address.conversation_id, new.metadata, (), beginning)
        made = await self._found(address)
        at = made.created_at
        await self._store.adopt(replace(session, key=made.key, created_at=at, updated_at=at))
        if new.events:
            await self._send(await self.log(address), new.events)
        return await self.get(address)

    async def update(self, address: Address, change: Change, patch: Patch) -> ListedSession:
        """Change a session: `change` makes new values of its fields, `patch` makes new metadata of the old.

        Both may refuse: nothing is changed then. Raises what they raise, ConversationNotFound or StoreUnavailable.
        """
        return await self._to_the_end(self._update(address, change, patch))

    async def _update(self, address: Address, change: Change, patch: Patch) -> ListedSession:
        log = await self.log(address)
        async with log.changing:
            values, metadata = change(log.session), patch((await self.get(address)).metadata)
            if not values and metadata is None:
                return await self.get(address)
            told: Json = {name: values[name] for name in ("agent", "title") if name in values}
            if "budget" in values:
                told["budget"] = ev.budget_of(values["budget"])
            if metadata:
                told["metadata"] = dict(metadata)

            def still_taken(session: ManagedSession) -> None:
                change(session)

            await self._change(log, values, ev.event("session.updated", told), check=still_taken)
            if metadata is not None:
                await self._manager.revisions.set_metadata(address, metadata)
        self._wake(log)
        return await self.get(address)

    async def archive(self, address: Address) -> ListedSession:
        """Take nothing any more. Raises ConversationInUse while it works, ConversationNotFound or StoreUnavailable."""
        await self._to_the_end(self._archive(await self.log(address)))
        return await self.get(address)

    async def _archive(self, log: Log) -> None:
        while (before := log.session).archived_at is None:
            now = time.time()
            events = ev.status_events("terminated", before.agent, thread_id_of(log.key))
            state: Json = {"status": "terminated", "archived_at": now, "updated_at": now, "works": False}
            check = partial(_check_idle, before, await self._store.queued(log.key))
            with contextlib.suppress(Moved):
                await log.write(events, check=check, **state)

    async def delete(self, address: Address) -> None:
        """Forget a session, which is its conversation. Raises ConversationNotFound or StoreUnavailable."""
        await self._manager.delete(address)

    async def change_resources(
        self, address: Address, change: Callable[[ManagedSession], tuple[Json, ...]]
    ) -> ManagedSession:
        """Change what is mounted from the next turn on. Raises what `change` raises, and the rest."""
        log = await self.log(address)
        await self._to_the_end(self._change_resources(log, change))
        return log.session

    async def _change_resources(self, log: Log, change: Callable[[ManagedSession], tuple[Json, ...]]) -> None:
        async with log.changing:
            check_open(log.session)
            await self._change(log, {"resources": change(log.session)}, check=check_open)

    async def _change(self, log: Log, values: Json, *events: NewEvent, check: Callable[[ManagedSession], None]) -> None:
        """Write new values of a session's fields; from then on its conversation is equipped with them everywhere."""
        toolbox = None
        if values.keys() & {"agent", "resources"}:
            toolbox = (await self._equipment.of(replace(log.session, **values), await self._own(log))).toolbox
        state = {**values, "updated_at": time.time()}
        await self._write(log, state, *events, check=check, toolbox=toolbox)

    async def _write(
        self,
        log: Log,
        state: Json,
        *events: NewEvent,
        check: Callable[[ManagedSession], None] | None = None,
        toolbox: Toolbox | None,
    ) -> None:
        async with self._manager.change(log.address):
            await log.write(events, check=check, toolbox=toolbox, **state)
            if toolbox is not None and (actor := self._manager.live(log.address)) is not None:
                actor.record.toolbox = toolbox

    # Events

    async def send(self, address: Address, events: Sequence[NewEvent]) -> list[StoredEvent]:
        """Give a session something to do; returns when that is stored.

        Raises InvalidRequest naming the event when one is not taken, ConversationBusy when too many wait: none is then.
        ConversationNotFound, ShuttingDown or StoreUnavailable.
        """
        self._manager.check_open()
        return await self._to_the_end(self._send(await self.log(address), events))

    async def _send(self, log: Log, events: Sequence[NewEvent]) -> list[StoredEvent]:
        state: Json = {"works": True}
        if any(one.type in ev.INPUT for one in events):
            state["status"] = _about_to_run
        begun = [outcomes.begun(one.body, one.id) for one in events if one.type == ev.OUTCOME]
        if begun:
            state["outcomes"] = lambda session: (*session.outcomes, *begun)
        async with log.changing:
            check_room(await self._store.waits(log.key), events)
            sent = await log.write(queued=events, check=partial(check_sent, events=events), **state)
        self._wake(log)
        return sent

    async def events(self, address: Address, query: EventQuery) -> list[StoredEvent]:
        """A page of a session's events, with what came to it in other dialects.

        Raises ConversationNotFound or StoreUnavailable.
        """
        log = await self.log(address)
        await self._to_the_end(follow(log, thread_id_of(log.key)))
        return await self._store.events(log.key, query)

    async def watch(self, address: Address, previews: Sequence[str]) -> Watching:
        """Watch a session's events from now on. Close it when done.

        Raises ConversationNotFound, ShuttingDown or StoreUnavailable.
        """
        log = await self.log(address)
        await self._to_the_end(follow(log, thread_id_of(log.key)))  # what was before is no news
        watch = await self._manager.watch(address, None)
        return Watching(log, watch, log.follow(previews), self._tasks)

    # Work

    def _wake(self, log: Log) -> None:
        """Something is to be done: see to it that somebody does it."""
        worker = self._workers.get(log.key)
        if worker is not None and not worker.over:
            worker.wake()
            return
        worker = Worker(
            log,
            self._manager,
            equip=partial(self._equip, log),
            look=partial(self._look, log),
            spawn=partial(self._tasks.spawn, detached=True),
            closing=self._closing,
            ask=self._ask,
            first_pause_s=self._first_pause_s,
        )
        self._workers[log.key] = worker
        self._tasks.spawn(self._work(log, worker), f"session-{log.key}", detached=True)

    async def _work(self, log: Log, worker: Worker) -> None:
        try:
            await worker.run()
        finally:
            if self._workers.get(log.key) is worker:
                del self._workers[log.key]

    async def _equip(self, log: Log) -> Asked:
        """What the session's next turn is asked with: its conversation is equipped with it, too."""
        async with log.changing:
            asked = await self._equipment.of(log.session, await self._own(log))
            if asked.toolbox is not None and asked.toolbox != await self._held(log):
                await self._write(log, {}, toolbox=asked.toolbox)
        actor = self._manager.live(log.address)
        if log.session.is_implicit and actor is not None and actor.launched_model is not None:
            return replace(asked, model=actor.launched_model)  # nobody asked for another: its process can go on
        return asked

    async def _own(self, log: Log) -> Toolbox | None:
        """What a conversation of another dialect is equipped with, beside what its session mounts."""
        held = await self._held(log) if log.session.is_implicit else None
        if held is None:
            return None
        mounted = {one["mount_path"] for one in log.session.resources}
        return replace(held, files=tuple(one for one in held.files if one.path not in mounted))

    async def _held(self, log: Log) -> Toolbox | None:
        """What the conversation is equipped with."""
        actor = self._manager.live(log.address)
        found = await self._manager.store.summary(*log.address) if actor is None else actor.record
        return None if found is None else found.toolbox

    async def _look(self, log: Log) -> Conversation:
        view: SessionView = await self._manager.get(log.address)
        return Conversation(view.usage, view.cost_usd)

    async def _to_the_end(self, work: Coroutine[Any, Any, T]) -> T:
        task: asyncio.Task[T] = self._tasks.spawn(work, "session-request")
        return await asyncio.shield(task)


def _check_idle(before: ManagedSession, waiting: Sequence[StoredEvent], session: ManagedSession) -> None:
    check_idle(session, waiting)
    if session is not before:  # so what waits may be something else
        raise Moved


def _about_to_run(session: ManagedSession) -> str:
    """How a session stands that has got something to do: whoever asks shall not think that it is done already."""
    return "running" if session.status == "idle" and session.run is None and not session.waiting else session.status


def _implicit(address: Address, found: ListedSession) -> ManagedSession:
    """What a conversation of another dialect is as a session."""
    return ManagedSession(
        key=found.key,
        tenant=address.tenant,
        session_id=address.conversation_id,
        agent=implicit_agent(found.profile, found.model, found.system),
        environment_id=LOCAL,
        created_at=found.created_at,
        updated_at=found.last_used_at,
        is_implicit=True,
    )
