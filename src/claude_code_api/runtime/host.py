"""What an actor works on, and what it needs of the manager."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from claude_code_api.core.turn import StartKind, TurnInput
from claude_code_api.runtime.aftermath import Aftermath
from claude_code_api.runtime.feed import Feeds
from claude_code_api.runtime.ports import AgentLauncher
from claude_code_api.runtime.stats import Stats
from claude_code_api.runtime.storage import Store
from claude_code_api.runtime.stored import NewResponse
from claude_code_api.runtime.stream import TurnStream
from claude_code_api.runtime.tasks import Tasks
from claude_code_api.runtime.watchdog import Limits, Pause

if TYPE_CHECKING:
    from claude_code_api.runtime.actor import Actor
    from claude_code_api.runtime.needs import Needs


class Host(Protocol):
    """What an actor needs of the manager."""

    aftermath: Aftermath
    feeds: Feeds
    launcher: AgentLauncher
    limits: Limits
    stats: Stats
    store: Store
    tasks: Tasks

    def acquire(self, actor: Actor) -> None:
        """Get the actor a slot; answered with SlotGranted or WaitExpired."""
        ...

    def cancel_acquire(self, actor: Actor) -> None:
        """The actor no longer waits."""
        ...

    def release(self, actor: Actor) -> None:
        """The actor's process is reaped."""
        ...

    def changed(self, actor: Actor) -> None:
        """The actor's state changed."""
        ...


@dataclass(frozen=True, slots=True)
class RequestMark:
    """What identifies a request: its id for the logs, a hash of all it says, and the key its client gave it, if any."""

    request_id: str
    fingerprint: str
    idempotency_key: str | None = None


@dataclass
class Turn:
    """One turn on its way through an actor. Times are the event loop's, `created_at` is in Unix seconds.

    `response` is there when the answer can be asked for by its id. What the turn `needs` is settled when it is sent.
    `is_given`: its process has it. `halted`: somebody wants it to end where it stands. `pause` is the time for which it
    waits for people.
    """

    input: TurnInput
    mark: RequestMark
    requested_at: float
    response: NewResponse | None = None
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    created_at: float = field(default_factory=time.time)
    stream: TurnStream = field(default_factory=TurnStream)
    start: StartKind = StartKind.LIVE
    needs: Needs | None = None
    sent_at: float | None = None
    answering: bool = False
    is_given: bool = False
    halted: bool = False
    pause: Pause = field(default_factory=Pause)
    first_token_at: float | None = None

    @property
    def is_recorded(self) -> bool:
        """Whether the store may know of it."""
        return self.sent_at is not None or (self.response is not None and self.response.background)
