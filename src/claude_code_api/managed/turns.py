"""One turn of a session: it is asked for, told as it goes on, tried again when that may help, and halted.

Owns nothing that lasts: what is written here makes a restart go on where this one ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias

import structlog

from claude_code_api import errors as err
from claude_code_api.core.identity import Address
from claude_code_api.core.toolbox import Decision, Permissions, stricter
from claude_code_api.core.turn import TurnCompleted, TurnFailed, TurnInput
from claude_code_api.managed import events as ev
from claude_code_api.managed.log import Log
from claude_code_api.managed.sending import check_open
from claude_code_api.managed.session_store import Json, ManagedSession, NewEvent, Run, StoredEvent, Waiting
from claude_code_api.managed.telling import Teller, Told, open_calls, told_of
from claude_code_api.runtime.host import RequestMark
from claude_code_api.runtime.stored import NewResponse
from claude_code_api.runtime.ticket import Ticket

log_ = structlog.get_logger(__name__)

MOST_TRIES = 3
_LONGEST_PAUSE_S, _MOST_DOUBLINGS = 60.0, 10
_STORE_PAUSE_S = 1.0

_MAY_PASS = (
    err.ProcessDied,
    err.UpstreamOverloaded,
    err.UpstreamRateLimited,
    err.StartFailed,
    err.StoreUnavailable,
)
FULL = (err.CapacityExceeded, err.ConversationBusy)
"""Nothing is wrong with the turn: it waits for as long as it takes."""
_OVER = (err.ShuttingDown, err.ConversationDeleted, err.ConversationNotFound)
"""Nothing more can be done for the session, here or at all."""


Ask: TypeAlias = Callable[[], Awaitable[TurnInput]]
"""Makes what a turn is asked with, as things stand."""


class Turns(Protocol):
    """What is asked of the runtime: `SessionManager` is it."""

    async def submit(
        self,
        tenant: str,
        conversation_id: str | None,
        turn_input: TurnInput,
        mark: RequestMark,
        response: NewResponse | None = None,
    ) -> Ticket:
        """Take a turn."""
        ...

    async def decide(self, address: Address, approval_id: str, *, allowed: bool, message: str | None = None) -> Any:
        """Let a call that waits be made, or not."""
        ...


@dataclass(frozen=True, slots=True)
class Ended:
    """How a turn ended: with an answer, with an error that stays, or because somebody interrupted it.

    `turn_id` is known when it has an answer.
    """

    completed: TurnCompleted | None = None
    error: err.GatewayError | None = None
    turn_id: str | None = None

    @property
    def stop_reason(self) -> Json:
        """Why the session is idle then, if it is."""
        if self.error is not None:
            return ev.REFUSAL if isinstance(self.error, err.ContentRefused) else ev.RETRIES_EXHAUSTED
        reason = "" if self.completed is None else self.completed.stop_reason
        return {"refusal": ev.REFUSAL, "budget_reached": ev.BUDGET_REACHED}.get(reason, ev.END_TURN)

    @property
    def was_halted(self) -> bool:
        """Whether somebody interrupted it."""
        return self.error is None and (self.completed is None or self.completed.stop_reason == "interrupted")


class SessionTurn:
    """The turn that runs in a session, if one does. `write` writes to the log whatever the disk says meanwhile.

    `ask` are the calls that wait for a person on this server, whatever the agent's own permissions say.
    """

    def __init__(
        self, log: Log, turns: Turns, thread_id: str, closing: asyncio.Event, *, ask: Permissions, first_pause_s: float
    ) -> None:
        self._log = log
        self._turns = turns
        self._thread_id = thread_id
        self._closing = closing
        self._ask = ask
        self._first_pause_s = first_pause_s
        self._key: str | None = None
        self._ticket: Ticket | None = None
        self._halted = asyncio.Event()
        self._wake = asyncio.Event()

    @property
    def key(self) -> str | None:
        """What is under way, or about to be tried again, if anything is."""
        return self._key

    def halt(self, key: str) -> None:
        """End what is under way where it stands, if it still is this; what was said stays."""
        if key != self._key:
            return
        self._halted.set()
        self._wake.set()
        if self._ticket is not None:
            self._ticket.halt()

    def wake(self) -> None:
        """The server ends, or what is waited for was halted: wait no more."""
        self._wake.set()

    async def write(self, *events: NewEvent, **how: Any) -> list[StoredEvent]:
        """Write one step; what the disk refuses is tried until it takes it, or the server ends.

        Raises ResourceArchived when the session is: nothing is done for it any more.
        """
        while True:
            try:
                return await self._log.write(events, check=check_open, **how)
            except err.StoreUnavailable as error:
                if self._closing.is_set():
                    raise
                log_.warning("write_postponed", what="session events", reason=error.message)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_STORE_PAUSE_S):
                    await self._closing.wait()

    async def run(
        self,
        run: Run,
        ask: Ask,
        *,
        started: Callable[[], None],
        finish: Callable[[Told, Ended], Awaitable[None]],
    ) -> Ended:
        """Bring a turn to its end, whatever has to be tried.

        `ask` makes each try; `started` is told whenever it can be halted; `finish` writes its last events. Raises
        ShuttingDown, ConversationDeleted or ConversationNotFound.
        """
        (self._halted.set if run.is_halted else self._halted.clear)()
        if not self._closing.is_set():
            self._wake.clear()
        self._key = run.key
        try:
            return await self._tried(run, ask, started, finish)
        finally:
            self._key = None
            if not self._closing.is_set():
                self._wake.clear()

    async def _tried(
        self,
        run: Run,
        ask: Ask,
        started: Callable[[], None],
        finish: Callable[[Told, Ended], Awaitable[None]],
    ) -> Ended:
        tries = 0
        while True:
            tries += 1
            told, ended = await self._once(run, ask, started)
            error = ended.error
            if isinstance(error, _OVER):
                raise error
            if self._halted.is_set() and error is not None:
                ended = Ended()
            elif isinstance(error, err.TurnCancelled):
                ended = Ended()  # somebody interrupted it in another dialect
            elif isinstance(error, FULL):
                run = replace(run, turn_id=None)
                await self._try_again(run, told, error, tries)
                continue
            elif error is not None and may_be_tried_again(error, run.attempt):
                run = replace(run, attempt=run.attempt + 1, turn_id=None)
                await self._try_again(run, told, error, run.attempt - 1)
                continue
            await finish(told, ended)
            return ended

    async def _try_again(self, run: Run, told: Told, error: err.GatewayError, tries: int) -> None:
        agent = self._log.session.agent
        waiting = ev.status_events("rescheduling", agent, self._thread_id)
        told.events.append(ev.error_event(error, retrying=True))
        await self.write(*told.events, *waiting, status="rescheduling", run=_as(run), waiting=())
        await self.pause(error, tries)
        await self.write(*ev.status_events("running", agent, self._thread_id), status="running")

    async def pause(self, error: err.GatewayError, tries: int) -> None:
        """Wait before the next try, or until something is halted. Raises ShuttingDown."""
        pause = self._first_pause_s * 2 ** min(tries - 1, _MOST_DOUBLINGS)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(_LONGEST_PAUSE_S, max(pause, error.retry_after or 0.0))):
                await self._wake.wait()
        if self._closing.is_set():
            raise err.ShuttingDown("The server is shutting down.")

    async def _once(self, run: Run, ask: Ask, started: Callable[[], None]) -> tuple[Told, Ended]:
        try:
            asked = await ask()
        except (err.ResourceNotFound, err.InvalidRequest) as error:  # what the agent goes by is gone
            return Told(), Ended(error=error)
        session = self._log.session
        if run.turn_id is not None and (done := await self._log.store.completed_turn(session.key, run.turn_id)):
            completed = TurnCompleted(done.stop_reason, done.model, done.usage, None, done.output)
            return await self._rest_of(completed, run.turn_id, asked), Ended(completed, turn_id=run.turn_id)
        mark = RequestMark(run.key, hashlib.sha256(run.key.encode()).hexdigest(), run.key)
        try:
            ticket = await self._turns.submit(session.tenant, session.session_id, asked, mark)
        except err.GatewayError as error:
            return Told(), Ended(error=error)
        self._ticket = ticket
        if self._halted.is_set():
            ticket.halt()  # what the user said is part of the conversation all the same
        try:
            started()
            return await self._read(ticket, run, asked)
        finally:
            self._ticket = None
            ticket.abandon()

    async def _read(self, ticket: Ticket, run: Run, asked: TurnInput) -> tuple[Told, Ended]:
        teller = Teller(ticket.turn_id, self._decides(asked))
        placed: Mapping[str, Any] = {"run": _as(replace(run, turn_id=ticket.turn_id))}
        async for event in ticket.events():
            if isinstance(event, TurnFailed):
                return teller.feed(event), Ended(error=event.error)
            if isinstance(event, TurnCompleted):
                ticket.delivered()
                ended = Ended(event, turn_id=ticket.turn_id)
                if ticket.replayed:
                    return await self._rest_of(event, ticket.turn_id, asked), ended
                return teller.feed(event), ended
            if ticket.replayed:
                continue
            told = teller.feed(event)
            if told.events or told.wants or told.settled:
                await self._tell(told, placed)
                placed = {}
            for preview in told.previews:
                self._log.preview(preview)
        raise AssertionError("a turn's events end with its end")

    async def _tell(self, told: Told, placed: Mapping[str, Any]) -> None:
        """Write what was told, and how the session stands when calls begin or cease to wait for a person."""
        session = self._log.session
        if not told.wants and not told.settled:
            await self.write(*told.events, **placed)
            return
        waiting = (*(one for one in session.waiting if one.call_id not in told.settled), *told.wants)
        waits = {"waiting": waiting, **placed}
        agent, thread = session.agent, self._thread_id
        if waiting:
            reason = ev.stop_for(one.event_id for one in waiting)
            idle = ev.status_events("idle", agent, thread, reason)
            await self.write(*told.events, *idle, status="idle", stop_reason=reason, **waits)
        elif session.waiting:
            running = ev.status_events("running", agent, thread)
            await self.write(*told.events, *running, status="running", stop_reason=None, **waits)
        else:
            await self.write(*told.events, **waits)

    async def _rest_of(self, done: TurnCompleted, turn_id: str, asked: TurnInput) -> Told:
        """What a stored answer tells that the log does not have yet."""
        log = self._log
        have = await log.store.events_of_turn(log.key, turn_id)
        return rest_of(done, turn_id, have, self._decides(asked))

    def _decides(self, asked: TurnInput) -> Callable[[str], Decision]:
        """What becomes of a call of a tool."""
        return lambda tool: stricter(self._ask.of(tool), asked.options.permissions.of(tool))


def rest_of(done: TurnCompleted, turn_id: str, have: list[StoredEvent], decide: Callable[[str], Decision]) -> Told:
    """What a stored answer tells beside the events that the log has of it."""
    known = {event.call_id: event.id for event in have if event.call_id is not None}
    ids = {event.id for event in have}
    left: dict[str, int] = {}
    for event in have:
        left[event.type] = left.get(event.type, 0) + 1
    rest = Told()
    for one in told_of(done.messages, turn_id, known, decide):
        if one.id in ids or (one.call_id is None and left.get(one.type, 0) > 0):
            left[one.type] -= 1
        else:
            rest.events.append(one)
    rest.events = [*open_requests(have, done, turn_id), *rest.events]
    calls = [block["id"] for block in open_calls(done.stop_reason, done.messages)]
    named = {**known, **{one.call_id: one.id for one in rest.events if one.call_id is not None}}
    rest.wants = [Waiting(named[call], call, "result") for call in calls if call in named]
    return rest


def open_requests(have: list[StoredEvent], done: TurnCompleted | None, turn_id: str) -> list[NewEvent]:
    """The ends of requests whose beginnings are all that the log has; without an answer they failed."""
    ended = {event.body["model_request_start_id"] for event in have if event.type == ev.REQUEST_END}
    started = [event.id for event in have if event.type == ev.REQUEST_START and event.id not in ended]
    usage = ev.NO_USAGE if done is None else done.usage
    return [ev.request_end(one, usage, is_error=done is None, turn_id=turn_id) for one in started]


def _as(run: Run) -> Callable[[ManagedSession], Run]:
    """What is under way, changed; that somebody interrupted it meanwhile stays."""
    return lambda session: replace(run, is_halted=session.run is not None and session.run.is_halted)


def may_be_tried_again(error: err.GatewayError, attempt: int) -> bool:
    """Whether what failed with this error may do better the next time; those do not count that found no room."""
    may_pass = isinstance(error, _MAY_PASS) or error.retry_after is not None
    return isinstance(error, FULL) or (attempt < MOST_TRIES and may_pass)
