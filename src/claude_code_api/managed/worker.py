"""What goes on in a session while there is something to do: what clients sent, one thing after another.

A task of its own, that no request owns. Each step is written before the next one begins, so that a server which was
killed goes on where it was.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import structlog

from claude_code_api import errors as err
from claude_code_api.core.toolbox import Permissions
from claude_code_api.core.turn import Block, Message, Options, TurnInput
from claude_code_api.managed import events as ev
from claude_code_api.managed import outcomes, queue
from claude_code_api.managed.follow import follow
from claude_code_api.managed.grading import Grading
from claude_code_api.managed.log import Log
from claude_code_api.managed.mapping import Asked
from claude_code_api.managed.session_store import Json, ManagedSession, NewEvent, Run, StoredEvent
from claude_code_api.managed.standing import Conversation, spent, thread_id_of
from claude_code_api.managed.telling import Told
from claude_code_api.managed.turns import Ended, SessionTurn, Turns, open_requests
from claude_code_api.runtime.refusals import defect

log_ = structlog.get_logger(__name__)

_STORE_PAUSE_S = 1.0
_LEAST_USD = 0.0001
_INTERRUPTED = "The agent was interrupted."


class Worker:
    """One session's. `equip` says what its turns are asked with, `look` how its conversation stands."""

    def __init__(
        self,
        log: Log,
        turns: Turns,
        *,
        equip: Callable[[], Awaitable[Asked]],
        look: Callable[[], Awaitable[Conversation]],
        spawn: Callable[[Any, str], asyncio.Task[Any]],
        closing: asyncio.Event,
        ask: Permissions,
        first_pause_s: float,
    ) -> None:
        self.over = False
        self._log = log
        self._turns = turns
        self._equip = equip
        self._look = look
        self._spawn = spawn
        self._closing = closing
        self._thread_id = thread_id_of(log.key)
        self._turn = SessionTurn(log, turns, self._thread_id, closing, ask=ask, first_pause_s=first_pause_s)
        self._came = asyncio.Event()
        self._attending = asyncio.Lock()
        turn = self._turn
        self._grading = Grading(log, turns, turn.write, started=self._attend_soon, pause=turn.pause)
        self._is_told_to_run = False

    def wake(self) -> None:
        """Something came, or the server ends."""
        self._came.set()
        if self._closing.is_set():
            self._turn.wake()
        elif self._turn.key is not None or self._grading.runs:
            self._attend_soon()

    async def run(self) -> None:
        """Do what there is to do. Raises nothing that a log could not tell."""
        try:
            while not self.over:
                try:
                    await self._work()
                except err.StoreUnavailable as error:
                    log_.warning("session_waits", session=self._log.session.session_id, reason=error.message)
                    if self._closing.is_set():
                        return
                    await asyncio.sleep(_STORE_PAUSE_S)
        except err.ShuttingDown:
            pass  # the next start goes on
        except (err.ConversationDeleted, err.ConversationNotFound):
            self._log.gone = True
        except err.ResourceArchived:
            pass  # meanwhile: what still waits is not done any more
        except Exception:
            log_.exception("session_failed", session=self._log.session.session_id)
            await self._collapse()
        finally:
            self.over = True

    async def _collapse(self) -> None:
        """Tell whoever waits that nothing comes any more."""
        try:
            await self._finish(Told(), Ended(error=defect()))
        except err.GatewayError as error:
            log_.warning("session_waits", session=self._log.session.session_id, reason=error.message)

    async def _work(self) -> None:
        if self._log.session.run is not None:
            await self._take_up()
        while not self._closing.is_set():
            self._came.clear()
            await follow(self._log, self._thread_id)
            waiting = await self._log.store.queued(self._log.key)
            if await self._go_on(waiting):
                continue
            if self._came.is_set():
                continue
            if self._log.session.status in ("running", "rescheduling"):
                await self._rest(ev.END_TURN)
            if (waiting or await self._log.store.rest(self._log.key)) and not self._came.is_set():
                self.over = True
                return
        raise err.ShuttingDown("The server is shutting down.")

    async def _go_on(self, waiting: Sequence[StoredEvent]) -> bool:
        """Do one thing; False when there is nothing to do, or it has to wait."""
        outcome = outcomes.active(self._log.session.outcomes)
        if outcome is not None and not self._log.session.waiting:
            if not await self._has_reached_its_budget():
                await self._go_on_with(outcome)
                return True
            interrupts = [event.id for event in waiting if event.type == ev.INTERRUPT]
            if interrupts:
                await self._interrupt_idle(interrupts)
            return bool(interrupts)
        step = queue.next_step(waiting, self._log.session)
        return step is not None and await self._take(step)

    # What clients sent

    async def _take(self, step: queue.Step) -> bool:
        """Do one thing that waits; False when it has to wait for longer."""
        first = step.events[0]
        ids = [event.id for event in step.events]
        if first.type == ev.INTERRUPT:
            await self._interrupt_idle(ids)
        elif first.type == ev.CONFIRMATION or (first.type == ev.CUSTOM_RESULT and not step.is_wanted):
            await self._turn.write(processed=ids)  # what it is about no longer waits
        elif first.type == ev.CUSTOM_RESULT and step.still_waiting:
            waiting = step.still_waiting
            reason = ev.stop_for(one.event_id for one in waiting if one.answer is None)
            idle = ev.status_events("idle", self._log.session.agent, self._thread_id, reason)
            await self._turn.write(*idle, processed=ids, waiting=waiting, stop_reason=reason)
        elif await self._has_reached_its_budget():
            return False
        else:
            outcome = None
            state: dict[str, Any] = {"waiting": ()}
            if first.type == ev.OUTCOME:
                outcome = str(first.body["outcome_id"])
                state["outcomes"] = outcomes.change(outcome, result="running")
            await self._begin(Run(ids[0], tuple(step.given), outcome=outcome), processed=ids, **state)
        return True

    async def _interrupt_idle(self, ids: Sequence[str]) -> None:
        """Nothing runs: what waits for the client waits no more."""
        ends = self._outcome_ends("interrupted", _INTERRUPTED)
        await self._rest(ev.END_TURN, processed=ids, waiting=(), outcomes=ends)

    async def _has_reached_its_budget(self) -> bool:
        session = self._log.session
        if session.budget is None or (await self._look()).cost_usd * 100 < session.budget:
            return False
        if session.stop_reason != ev.BUDGET_REACHED or session.status != "idle":
            await self._rest(ev.BUDGET_REACHED)
        return True

    # Turns

    async def _begin(self, run: Run, *before: NewEvent, processed: Sequence[str] = (), **state: Any) -> None:
        """Begin a turn that nobody began before, behind these events, and bring it to its end."""
        running, stands = self._running()
        self._log.runs += 1
        await self._turn.write(*before, *running, processed=processed, run=run, **stands, **state)
        await self._run(run)

    def _running(self) -> tuple[list[NewEvent], Json]:
        """What tells that the session is at work, unless that was told, and how it stands then."""
        session = self._log.session
        events = [] if self._is_told_to_run else ev.status_events("running", session.agent, self._thread_id)
        self._is_told_to_run = True
        since = time.time() if session.running_since is None else session.running_since
        stands = {"status": "running", "stop_reason": None, "running_since": since, "updated_at": time.time()}
        return events, {**stands, "works": True}

    async def _take_up(self) -> None:
        """Go on with what another server began."""
        session = self._log.session
        run = session.run
        assert run is not None
        lost = [one for one in session.waiting if one.kind == "confirmation"]
        events = [ev.lost_approval(one, run.turn_id) for one in await self._uses([one.event_id for one in lost])]
        if run.turn_id is not None and await self._log.store.completed_turn(session.key, run.turn_id) is None:
            have = await self._log.store.events_of_turn(session.key, run.turn_id)
            events += open_requests(have, None, run.turn_id)
        kept = tuple(one for one in session.waiting if one.kind == "result")
        agent, thread = session.agent, self._thread_id
        events += ev.status_events("rescheduling", agent, thread)
        await self._turn.write(*events, status="rescheduling", waiting=kept)
        await self._turn.write(*ev.status_events("running", agent, thread), status="running", stop_reason=None)
        self._is_told_to_run = True
        await self._run(run)

    async def _uses(self, ids: Sequence[str]) -> list[StoredEvent]:
        return await self._log.store.events_by_id(self._log.key, ids)

    async def _run(self, run: Run) -> None:
        await self._turn.run(run, partial(self._asked, run), started=self._attend_soon, finish=self._finish)

    async def _asked(self, run: Run) -> TurnInput:
        equipped = await self._equip()
        given = await self._log.store.events_by_id(self._log.key, run.events)
        content, developer = queue.input_of(given, await self._calls(given))
        if run.outcome is not None:
            outcome = next(one for one in self._log.session.outcomes if one["outcome_id"] == run.outcome)
            content = [*content, *_said(self._of_outcome(outcome, given))]
        return TurnInput(
            new=Message("user", tuple(content)),
            model=equipped.model,
            system=equipped.system,
            profile=equipped.profile,
            options=await self._bounded(equipped.options),
            developer=tuple(developer),
            toolbox=equipped.toolbox,
        )

    async def _bounded(self, options: Options) -> Options:
        """The options of a turn that may cost what is left of the budget."""
        budget = self._log.session.budget
        if budget is None:
            return options
        left = budget / 100 - (await self._look()).cost_usd
        return replace(options, max_cost_usd=max(_LEAST_USD, left))

    def _of_outcome(self, outcome: Json, given: Sequence[StoredEvent]) -> str:
        defined = next((one for one in given if one.type == ev.OUTCOME), None)
        if defined is not None:
            return outcomes.task(defined.body)
        if outcome["result"] == "running":
            return outcomes.revision(outcome["explanation"] or "")
        return outcomes.farewell(outcome["explanation"] or "")

    async def _calls(self, given: Sequence[StoredEvent]) -> dict[str, str]:
        """Claude Code's ids of the calls that results are of, by the events that told of them."""
        ids = [event.body["custom_tool_use_id"] for event in given if event.type == ev.CUSTOM_RESULT]
        return {one.id: one.call_id or "" for one in await self._uses(ids)}

    async def _finish(self, told: Told, ended: Ended) -> None:
        """Write how a turn ended, whether the session is idle then, and that it works towards nothing any more."""
        session, of = self._log.session, ended.turn_id
        if ended.error is not None and not isinstance(ended.error, err.ContentRefused):
            told.events.append(ev.error_event(ended.error, retrying=False))
        waiting = tuple(told.wants)
        if waiting:
            await self._rest(ev.stop_for(one.event_id for one in waiting), told.events, of=of, waiting=waiting)
        elif ended.error is not None:
            flushed = [event for event in await self._log.store.queued(session.key) if event.type in ev.INPUT]
            lost = [event.body["outcome_id"] for event in flushed if event.type == ev.OUTCOME]
            ends = self._outcome_ends("failed", ended.error.message)
            after = outcomes.changes(ends, outcomes.change(*lost, result="interrupted"))
            ids = [event.id for event in flushed]
            await self._rest(ended.stop_reason, told.events, processed=ids, waiting=(), outcomes=after)
        elif ended.was_halted:
            ends = self._outcome_ends("interrupted", _INTERRUPTED)
            await self._rest(ended.stop_reason, told.events, of=of, waiting=(), outcomes=ends)
        elif ended.stop_reason != ev.END_TURN or not await self._goes_on():
            await self._rest(ended.stop_reason, told.events, of=of, waiting=())
        else:
            await self._turn.write(*told.events, run=None, waiting=())

    async def _goes_on(self) -> bool:
        """Whether more is done at once, so that the session is not idle in between."""
        if outcomes.active(self._log.session.outcomes) is not None:
            return True
        session = replace(self._log.session, waiting=())
        step = queue.next_step(await self._log.store.queued(self._log.key), session)
        return step is not None and step.events[0].type in (ev.USER_MESSAGE, ev.OUTCOME)

    async def _rest(self, reason: Json, events: Sequence[NewEvent] = (), *, of: str | None = None, **how: Any) -> None:
        """The session is idle from now on.

        `of` is the turn that ended: something of it is in the log then, also when it was halted before it said a word.
        """
        session, self._is_told_to_run = self._log.session, False
        now = time.time()
        active = session.active_seconds
        if session.running_since is not None:
            active += max(0.0, now - session.running_since)
        stands = await self._look()
        usage = {"usage": spent(stands, active), "budget": ev.budget_of(session.budget)}
        snapshot = ev.event("session.usage", usage, turn_id=of)
        idle = ev.status_events("idle", session.agent, self._thread_id, reason)
        state = {"status": "idle", "stop_reason": reason, "run": None, "running_since": None, "updated_at": now}
        await self._turn.write(*events, snapshot, *idle, active_seconds=active, **state, **how)

    # What cannot wait

    def _attend_soon(self) -> None:
        self._spawn(self._attend(), f"attend-{self._log.key}")

    async def _attend(self) -> None:
        """While a turn runs: halt it, and pass decisions on."""
        async with self._attending:
            for event in await self._queued():
                key = self._turn.key
                if event.type == ev.INTERRUPT and key is not None:
                    self._turn.halt(key)  # at once: what runs when it is written may be what was sent behind it
                    await self._turn.write(processed=[event.id], run=partial(_halted, key))
                elif event.type == ev.INTERRUPT and self._grading.runs:
                    self._grading.halt()
                    self._turn.wake()
                    await self._turn.write(processed=[event.id])
                elif event.type == ev.CONFIRMATION and key is not None:
                    await self._turn.write(processed=[event.id])
                    await self._decide(event)

    async def _queued(self) -> list[StoredEvent]:
        """What waits, as soon as the disk tells, as long as something runs."""
        while True:
            try:
                return await self._log.store.queued(self._log.key)
            except err.StoreUnavailable:
                if self._closing.is_set() or (self._turn.key is None and not self._grading.runs):
                    return []
            await asyncio.sleep(_STORE_PAUSE_S)

    async def _decide(self, event: StoredEvent) -> None:
        body = event.body
        wanted = next((one for one in self._log.session.waiting if one.event_id == body["tool_use_id"]), None)
        if wanted is None:
            return
        allowed = body["result"] == "allow"
        try:
            await self._turns.decide(
                self._log.address, wanted.call_id, allowed=allowed, message=body.get("deny_message")
            )
        except err.GatewayError as error:  # its time was over, or its turn
            log_.info("confirmation_came_late", session=self._log.session.session_id, reason=error.message)

    # Outcomes

    async def _go_on_with(self, outcome: Json) -> None:
        """Grade what the agent has done for an outcome, and have it revised."""
        try:
            model = (await self._equip()).model
        except (err.ResourceNotFound, err.InvalidRequest) as error:  # what the agent goes by is gone
            await self._finish(Told(), Ended(error=error))
            return
        if not self._is_told_to_run:  # its budget was raised, or another server began
            running, stands = self._running()
            await self._turn.write(*running, **stands)
        graded = await self._grading.grade(outcome, model)
        if graded.run is None:
            await self._turn.write(graded.event, outcomes=graded.outcomes)
        else:
            await self._begin(graded.run, graded.event, outcomes=graded.outcomes)

    def _outcome_ends(self, result: str, why: str) -> outcomes.Change:
        """The agent works towards nothing any more."""
        outcome = outcomes.active(self._log.session.outcomes)
        ended = () if outcome is None else (outcome["outcome_id"],)
        return outcomes.change(*ended, result=result, explanation=why)


def _halted(key: str, session: ManagedSession) -> Run | None:
    """What is under way; if it still is this, somebody interrupted it, and a server that goes on with it knows that."""
    run = session.run
    return run if run is None or run.key != key else replace(run, is_halted=True)


def _said(text: str) -> list[Block]:
    return [{"type": "text", "text": text}]
