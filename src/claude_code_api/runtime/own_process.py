"""The process of one conversation: starts it, stops it, and says by an event when it is ready or gone.

Owns the process and what is known of it: what it stands on, what it has cost so far. It never decides when: the actor's
state machine does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from claude_code_api.core import events as ev
from claude_code_api.core.conversation import as_answered
from claude_code_api.core.events import StopReason
from claude_code_api.core.turn import StartKind, TurnInput
from claude_code_api.errors import GatewayError
from claude_code_api.runtime.host import Host
from claude_code_api.runtime.needs import needs
from claude_code_api.runtime.ports import Agent, Entry, Launch, Origin
from claude_code_api.runtime.record import Record
from claude_code_api.runtime.refusals import own_error
from claude_code_api.runtime.standing import Standing
from claude_code_api.runtime.unstored import TurnStore

_log = structlog.get_logger("claude_code_api.session")


class OwnProcess:
    """At most one process. `post` takes its events; `committing` is the write that its end has to wait for.

    All methods are synchronous and must be called on the event loop. `store` has the copies of transcripts.
    """

    def __init__(self, record: Record, host: Host, store: TurnStore, post: Callable[[ev.Event], None]) -> None:
        self.agent: Agent | None = None
        self.standing: Standing | None = None
        self.start_error: GatewayError | None = None
        self.committing: asyncio.Task[None] | None = None
        self.released = asyncio.Event()
        self._record = record
        self._host = host
        self._store = store
        self._post = post
        self._starting: asyncio.Task[Agent] | None = None
        self._epoch = 0
        self._unwanted = False
        self._kind: StartKind | None = None
        self._cost_seen = 0.0

    @property
    def pid(self) -> int | None:
        """The live process's id."""
        return self.agent.pid if self.agent is not None else None

    def fits(self, asked: TurnInput, *, parked: bool) -> bool:
        """Whether the live process can go on with a turn, perhaps after going back; `parked`: its calls are open."""
        standing = self.standing
        if standing is None or self.agent is None or not self.agent.alive:
            return False
        needed = needs(self._record, asked)
        fits = standing.fits(needed.profile, needed.context, needed.sent(asked.new.content), parked=parked)
        return fits and self.agent.takes(asked.options)

    def start(self, epoch: int, asked: TurnInput, *, resumable: bool) -> None:
        """Start one for a turn; answered with ProcessReady or StartFailed."""
        needed = needs(self._record, asked)
        self.standing = Standing(needed.profile, needed.context)
        if not resumable or self._record.place is None:
            self._kind = StartKind.COLD
        else:
            self._kind = StartKind.RESUMED if needed.is_bound and not self._record.is_copy else StartKind.FORKED
        launch = Launch(
            self._record.place,
            needed.profile,
            asked.options,
            self._record.binding if needed.is_bound and asked.kept else None,  # what is not kept has no transcript
            tuple(needed.context),
            self._recall,
            asked.kept,
        )
        self._epoch, self._unwanted = epoch, False
        self._starting = self._host.tasks.spawn(self._host.launcher.start(launch), f"start-{self._record.key}")
        self._starting.add_done_callback(self._started)

    async def go_back(self, turn: str) -> bool:
        """Take the live context back to where this turn was sent, if that is what the record holds now.

        False when there is no way, or it failed: the process is of no use any more.
        """
        agent, standing = self.agent, self.standing
        if agent is None or standing is None or not agent.alive:
            return False
        back = standing.way_back_before(turn, len(as_answered(self._record.history)))
        return back is not None and await agent.rewind(back, standing.taken_back)

    def stop_for(self, reason: StopReason, *, parked: bool) -> None:
        """Stop it, or its start, and say why. A parked one would wait for its calls: it is not asked to write."""
        name = _COUNTED.get(reason)
        if name is not None:
            self._host.stats.counts[name] += 1
        self.tell(f"session_{name or 'stopping'}", reason=reason.value)
        useless = reason in {StopReason.DELETED, StopReason.DIRTY, StopReason.REWOUND}
        self.stop(flush=not useless and not parked)

    def stop(self, *, flush: bool) -> None:
        """Stop it, or its start; answered with ProcessExited or StartFailed."""
        if self.agent is not None:
            self._stop(self.agent, flush=flush)
        elif self._starting is not None and not self._unwanted:
            self._unwanted = True
            self._starting.cancel()

    def stop_as(self, epoch: int) -> bool:
        """Stop it, and answer under another generation; False when there is nothing to stop."""
        self._epoch, self._unwanted = epoch, True
        if self._starting is not None:
            self._starting.cancel()
        elif self.agent is not None:
            self._stop(self.agent, flush=False)
            self._host.tasks.spawn(self._await_exit(self.agent, epoch), f"exit-{self._record.key}")
        else:
            return False
        return True

    def drop(self) -> None:
        """It is gone, and its slot can be given to another."""
        if self.agent is not None:
            self.account(self.agent)
        self.agent = self.standing = None
        self.released.set()

    def take_kind(self, usual: StartKind) -> StartKind:
        """How the turn that comes now gets its process; `usual` when it has run a turn already."""
        kind, self._kind = self._kind or usual, None
        return kind

    def account(self, agent: Agent) -> None:
        """Add what the process has spent since the last time."""
        self._record.cost_usd += agent.cost_usd - self._cost_seen
        self._cost_seen = agent.cost_usd

    def tell(self, event: str, **details: object) -> None:
        """Log something about the conversation and its process."""
        _log.info(event, **(self._record.address._asdict() | {"pid": self.pid} | details))

    async def _recall(self) -> list[Entry]:
        binding = self._record.binding
        return [] if binding is None else await self._store.transcript(self._record.key, binding.cli_session_id)

    def _started(self, task: asyncio.Task[Agent]) -> None:
        self._starting, epoch = None, self._epoch
        error = None if task.cancelled() else task.exception()
        if task.cancelled() or error is not None:
            self.start_error = None if error is None else own_error(error)
            self._post(ev.StartFailed(epoch))
            return
        self.agent = task.result()
        self._cost_seen = 0.0
        self.released.clear()
        self._record.place = self.agent.place
        self._count_start(self.agent.origin)
        self._host.tasks.spawn(self._await_exit(self.agent, epoch), f"exit-{self._record.key}", detached=True)
        if self._unwanted:  # it was too late to cancel the start
            self._stop(self.agent, flush=False)
        self._post(ev.ProcessReady(epoch))

    def _count_start(self, origin: Origin) -> None:
        kind = self._kind or StartKind.COLD
        if origin is Origin.SPARE and kind is StartKind.COLD:
            kind = self._kind = StartKind.WARM
        resumed = kind is StartKind.RESUMED
        self._host.stats.counts["resumed" if resumed else "started"] += 1
        if resumed and origin is not Origin.TRANSCRIPT:
            self._host.stats.counts["rebuilt"] += 1
        self.tell("session_resumed" if resumed else "session_created", start=kind.value, origin=origin.value)

    def _stop(self, agent: Agent, *, flush: bool) -> None:
        self._host.tasks.spawn(agent.stop(flush=flush), f"stop-{self._record.key}")

    async def _await_exit(self, agent: Agent, epoch: int) -> None:
        stderr = await agent.exited()
        if self.committing is not None:
            await asyncio.wait({self.committing})  # a complete answer is kept, whatever becomes of its process
        self.tell("process_exited", pid=agent.pid, stderr=stderr[-300:] or None)
        self._post(ev.ProcessExited(epoch))


_COUNTED = {
    StopReason.IDLE: "culled",
    StopReason.EVICTED: "evicted",
    StopReason.MEMORY: "too_large",
    StopReason.HIBERNATED: "hibernated",
}
