"""A session with a real store and a pretended runtime, whose turns do what a test says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from claude_code_api.core.identity import Address
from claude_code_api.core.toolbox import EVERYTHING
from claude_code_api.core.turn import (
    AnswerStarted,
    ApprovalSettled,
    Message,
    Options,
    StartKind,
    TextDelta,
    TurnCompleted,
    TurnEvent,
    TurnFailed,
    TurnInput,
    TurnStarted,
    Usage,
)
from claude_code_api.errors import GatewayError, TurnCancelled
from claude_code_api.managed import events as ev
from claude_code_api.managed.log import Log
from claude_code_api.managed.mapping import Asked
from claude_code_api.managed.session_store import EventQuery, ManagedSession, NewEvent, StoredEvent
from claude_code_api.managed.standing import Conversation
from claude_code_api.managed.worker import Worker
from claude_code_api.runtime.host import RequestMark
from claude_code_api.runtime.stored import NewConversation
from claude_code_api.runtime.stream import TurnStream
from claude_code_api.runtime.tasks import Tasks
from claude_code_api.runtime.ticket import Running, Ticket
from tests.conformance.test_store import opened

AGENT: dict[str, Any] = {"id": "agent_1", "version": 1, "name": "Helper"}


def answers(text: str, *, reason: str = "end_turn", blocks: Sequence[dict[str, Any]] = ()) -> list[TurnEvent]:
    """The events of a turn that says this."""
    content = ({"type": "text", "text": text}, *blocks)
    done = TurnCompleted(reason, "sonnet", Usage(3, 2), None, (Message("assistant", content),))
    return [TurnStarted(StartKind.LIVE), AnswerStarted("sonnet", Usage(3)), TextDelta(text), done]


def calls(name: str, call_id: str) -> list[TurnEvent]:
    """The events of a turn that ends with a call of a client's tool."""
    block = {"type": "tool_use", "id": call_id, "name": name, "input": {}}
    return answers("I ask.", reason="tool_use", blocks=[block])


def fails(error: GatewayError) -> list[TurnEvent]:
    """The events of a turn that fails."""
    return [TurnStarted(StartKind.LIVE), AnswerStarted("sonnet"), TurnFailed(error)]


@dataclass
class Runtime:
    """Takes turns. `script` has the events of those to come; a turn without its end waits to be halted or cut.

    `asked` are the turns that were submitted, with their keys; `kept` the answers that are replayed by their keys.
    """

    script: list[list[TurnEvent] | GatewayError] = field(default_factory=list)
    asked: list[tuple[str, TurnInput]] = field(default_factory=list)
    kept: dict[str, list[TurnEvent]] = field(default_factory=dict)
    decided: list[tuple[str, bool, str | None]] = field(default_factory=list)
    streams: list[TurnStream] = field(default_factory=list)
    placed: asyncio.Event = field(default_factory=asyncio.Event)

    async def submit(
        self, tenant: str, conversation_id: str | None, turn_input: TurnInput, mark: RequestMark, response: Any = None
    ) -> Ticket:
        """Do what the script says."""
        await asyncio.sleep(0)
        key = mark.idempotency_key or ""
        self.asked.append((key, turn_input))
        events = self.kept.get(key)
        if events is None:
            step = self.script.pop(0)
            if isinstance(step, GatewayError):
                raise step
        else:
            step = events
        stream = TurnStream()
        for event in step:
            stream.put(event)
        self.streams.append(stream)
        self.placed.set()
        running = Running(
            conversation_id=conversation_id or "apart",
            turn_id=f"turn-{len(self.asked)}",
            fingerprint=mark.fingerprint,
            created_at=0.0,
            stream=stream,
            replayed=events is not None,
            cut=lambda error: stream.put(TurnFailed(error or TurnCancelled("cut"))),
            halt=lambda: _halt(stream),
            delivered=lambda: None,
        )
        return Ticket(running)

    async def decide(self, address: Address, approval_id: str, *, allowed: bool, message: str | None = None) -> None:
        """Remember what was decided, and settle it."""
        self.decided.append((approval_id, allowed, message))
        self.streams[-1].put(ApprovalSettled(approval_id, "allowed" if allowed else "denied"))


def _halt(stream: TurnStream) -> bool:
    stream.put(TurnCompleted("interrupted", "sonnet", Usage(1, 1), None, ()))
    return True


class World:
    """One session. `cost_usd` is what its conversation has cost; `model` is its agent's."""

    def __init__(self, log: Log, runtime: Runtime) -> None:
        self.log = log
        self.runtime = runtime
        self.cost_usd = 0.0
        self.model = "sonnet"
        self.closing = asyncio.Event()
        self.tasks = Tasks()
        self.worker = self._worker()
        self.running: asyncio.Task[None] | None = None

    @classmethod
    async def made(cls, path: Path, **fields: Any) -> World:
        """A session in a new database."""
        store = opened(path / "store.db")
        await store.make(NewConversation("default", "key", "sesn_1", 1.0, {}), ())
        session = ManagedSession("key", "default", "sesn_1", AGENT, "env_local", 1.0, 1.0, **fields)
        sessions = store.sessions()
        return cls(Log(await sessions.adopt(session), sessions), Runtime())

    def _worker(self) -> Worker:
        async def equip() -> Asked:
            return Asked(self.model, "agent", None, Options(), None)

        async def look() -> Conversation:
            return Conversation(Usage(), self.cost_usd)

        return Worker(
            self.log,
            self.runtime,
            equip=equip,
            look=look,
            spawn=self.tasks.spawn,
            closing=self.closing,
            ask=EVERYTHING,
            first_pause_s=0.0,
        )

    async def send(self, *events: NewEvent, **state: Any) -> None:
        """What a client sends; somebody works on it then."""
        await self.log.write(queued=events, works=True, **state)
        self.resumed()

    def resumed(self) -> None:
        """There may be something to do: somebody works on it."""
        if self.running is None or self.worker.over:
            self.worker = self._worker()
            self.running = self.tasks.spawn(self.worker.run(), "worker")
        self.worker.wake()

    async def restarted(self) -> None:
        """The server was killed and another one goes on."""
        if self.running is not None:
            self.running.cancel()
            await asyncio.wait({self.running})
        found = await self.log.store.listed("default", "sesn_1")
        assert found is not None
        assert found.session is not None
        self.log = Log(found.session, self.log.store)
        self.worker = self._worker()
        self.running = self.tasks.spawn(self.worker.run(), "worker")

    async def rests(self) -> list[StoredEvent]:
        """The log, when nobody works any more."""
        assert self.running is not None
        async with asyncio.timeout(10):
            await asyncio.wait({self.running})
        return await self.told()

    async def told(self) -> list[StoredEvent]:
        """The log."""
        return await self.log.store.events("key", EventQuery(1000))

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something."""
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.005)


def message(text: str) -> NewEvent:
    """What a user says."""
    return ev.event(ev.USER_MESSAGE, {"content": [{"type": "text", "text": text}]})


def kinds(events: Sequence[StoredEvent]) -> list[str]:
    """The types of events, but for those that only say how the thread stands."""
    left_out = ("session.thread_", "session.usage", "span.model_")
    return [event.type for event in events if not event.type.startswith(left_out)]


def reasons(events: Sequence[StoredEvent]) -> list[str]:
    """Why the session was idle, each time."""
    return [event.body["stop_reason"]["type"] for event in events if event.type == "session.status_idle"]
