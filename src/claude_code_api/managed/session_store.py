"""What is kept of sessions and their events, and what is asked of a store for it. `app.py` puts the real one in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

from claude_code_api.core.identity import Address
from claude_code_api.core.toolbox import Toolbox
from claude_code_api.core.turn import Block, Usage
from claude_code_api.runtime.stored import StoredTurn

Json: TypeAlias = dict[str, Any]

Status: TypeAlias = Literal["rescheduling", "running", "idle", "terminated"]


@dataclass(frozen=True, slots=True)
class Waiting:
    """A call that a client has to say something about. `event_id` is what clients call it, `call_id` Claude Code.

    `kind`: the result of a custom tool, or whether a tool of the agent's may be used. `answer` is the event that
    brought the result.
    """

    event_id: str
    call_id: str
    kind: Literal["result", "confirmation"]
    answer: str | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """What the agent is at work on: the events that it was given, and for the how many-th time it tries.

    `key` identifies it to the runtime, so that what has an answer is not done twice. `turn_id` is known once it was
    placed. `outcome` is the one that it works towards. `is_halted`: somebody interrupted it.
    """

    key: str
    events: tuple[str, ...]
    attempt: int = 1
    turn_id: str | None = None
    outcome: str | None = None
    is_halted: bool = False


@dataclass(frozen=True, slots=True)
class ManagedSession:
    """A session's own row; what it shares with its conversation is there. Times are Unix seconds, money is US cents.

    `key` is the conversation's internal id. `agent` is the agent as it was when the session was made, with what was
    changed since; `is_implicit`: the conversation was made in another dialect, so nobody chose one. `is_budgeted`: it
    was made with a budget. `run` is what is under way, `status` and `stop_reason` how that stands. `followed` is the
    number of the last turn whose events the log has. `works`: there is something to be done, also after a restart.
    """

    key: str
    tenant: str
    session_id: str
    agent: Json
    environment_id: str
    created_at: float
    updated_at: float
    is_implicit: bool = False
    title: str | None = None
    budget: int | None = None
    is_budgeted: bool = False
    resources: tuple[Json, ...] = ()
    status: Status = "idle"
    stop_reason: Json | None = None
    waiting: tuple[Waiting, ...] = ()
    outcomes: tuple[Json, ...] = ()
    run: Run | None = None
    active_seconds: float = 0.0
    running_since: float | None = None
    archived_at: float | None = None
    followed: int = 0
    works: bool = False


@dataclass(frozen=True, slots=True)
class ListedSession:
    """A conversation as it stands in a list of sessions; `session` is None when nobody used it as one yet."""

    key: str
    conversation_id: str
    session: ManagedSession | None
    model: str
    profile: str
    system: str
    usage: Usage
    cost_usd: float
    created_at: float
    last_used_at: float
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event that is about to be kept. `body` is what it says beside its id, its type and when it was processed.

    `blocks` is what the model gets of it, where that is not what it says. `call_id` is Claude Code's id of the call
    that it is, or is the result of.
    """

    id: str
    type: str
    body: Json = field(default_factory=dict)
    turn_id: str | None = None
    call_id: str | None = None
    blocks: tuple[Block, ...] | None = None


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event of a session's log. `processed_at` is None as long as it waits for the agent."""

    seq: int
    id: str
    type: str
    body: Json
    created_at: float
    processed_at: float | None
    turn_id: str | None = None
    call_id: str | None = None
    blocks: tuple[Block, ...] | None = None


@dataclass(frozen=True, slots=True)
class Writing:
    """One step of a session, written as a whole: in this order.

    `processed` are waiting events that the agent has now: they become part of the log. `events` follow them, `queued`
    are new ones that wait. `state` are fields of the session's row and their new values; `toolbox` is what the
    conversation is equipped with from now on, None when that stays.
    """

    processed: Sequence[str] = ()
    events: Sequence[NewEvent] = ()
    queued: Sequence[NewEvent] = ()
    state: Mapping[str, Any] = field(default_factory=dict)
    toolbox: Toolbox | None = None


@dataclass(frozen=True, slots=True)
class Bounds:
    """Between which moments, in Unix seconds."""

    gt: float | None = None
    gte: float | None = None
    lt: float | None = None
    lte: float | None = None


@dataclass(frozen=True, slots=True)
class EventQuery:
    """A page of a log: events of these types (all by default), behind the place `after`. Never more than `limit`."""

    limit: int
    newest_first: bool = False
    after: int | None = None
    types: Sequence[str] = ()
    processed: Bounds = Bounds()


@dataclass(frozen=True, slots=True)
class SessionQuery:
    """A page of a tenant's sessions by when they were made, behind (or, `backwards`, before) a place.

    `busy` are the ids of those that are at work without it being written.
    """

    limit: int
    newest_first: bool = True
    place: tuple[float, str] | None = None
    backwards: bool = False
    agent_id: str | None = None
    agent_version: int | None = None
    created: Bounds = Bounds()
    include_archived: bool = False
    statuses: Sequence[str] = ()
    busy: Sequence[str] = ()


class SessionStore(Protocol):
    """What survives a restart of sessions. Every method is one transaction. All raise errors.StoreUnavailable."""

    async def adopt(self, session: ManagedSession) -> ManagedSession:
        """Make a session of a conversation that is there; the one that is there already if there is one.

        Raises ConversationDeleted when the conversation is gone.
        """
        ...

    async def listed(self, tenant: str, session_id: str) -> ListedSession | None:
        """A conversation that is kept, as a session."""
        ...

    async def sessions(self, tenant: str, query: SessionQuery) -> list[ListedSession]:
        """A page of conversations that are kept, as sessions."""
        ...

    async def working(self) -> list[Address]:
        """The sessions of all tenants that something is to be done for."""
        ...

    async def write(self, key: str, writing: Writing) -> list[StoredEvent]:
        """Write one step of a session; returns the events that its log gained, and those that wait from now on.

        Raises ConversationDeleted when it is gone.
        """
        ...

    async def rest(self, key: str) -> bool:
        """Nothing is to be done any more, unless an event waits; whether that is so."""
        ...

    async def queued(self, key: str) -> list[StoredEvent]:
        """The events that wait for the agent, in the order in which they came, without their `blocks`."""
        ...

    async def waits(self, key: str) -> int:
        """How many events wait for the agent."""
        ...

    async def events(self, key: str, query: EventQuery) -> list[StoredEvent]:
        """A page of a log."""
        ...

    async def events_by_id(self, key: str, ids: Sequence[str]) -> list[StoredEvent]:
        """These events, in the order of the ids; those that there are."""
        ...

    async def ids_of_calls(self, key: str, calls: Sequence[str]) -> dict[str, str]:
        """Which events told of these calls, by Claude Code's ids."""
        ...

    async def turns_behind(self, key: str, number: int, *, limit: int) -> list[tuple[int, StoredTurn, bool]]:
        """The completed turns of a conversation behind this one, by their numbers, the first one first.

        And whether the log has events of each.
        """
        ...

    async def events_of_turn(self, key: str, turn_id: str) -> list[StoredEvent]:
        """What the log has of a turn."""
        ...

    async def completed_turn(self, key: str, turn_id: str) -> StoredTurn | None:
        """A turn of the conversation that has an answer."""
        ...
