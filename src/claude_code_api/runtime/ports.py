"""What the runtime asks of the world, as Protocols; `app.py` puts the real things in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from claude_code_api.core.turn import Block, Message, TurnEvent, Usage

Emit: TypeAlias = Callable[[TurnEvent], None]


@dataclass(frozen=True, slots=True)
class Profile:
    """What only a launch can set. Turns with equal profiles can share a process."""

    model: str
    system: str = ""


@dataclass(frozen=True, slots=True)
class Binding:
    """Where the CLI keeps a conversation: its session there, and the last entry of the last completed turn."""

    cli_session_id: str
    leaf: str


@dataclass(frozen=True, slots=True)
class Launch:
    """What a process is started for. `place` names the conversation's directory, None before its first process.

    With a `binding`, the CLI's own transcript is resumed at its leaf; without one, or when that transcript is not
    whole, `history` is written as a new transcript first. Neither: an empty conversation.
    """

    place: str | None
    profile: Profile
    binding: Binding | None
    history: tuple[Message, ...]


class Agent(Protocol):
    """One live Claude Code process, owned by one actor."""

    @property
    def pid(self) -> int:
        """The process id, which is its process group's id as well."""
        ...

    @property
    def place(self) -> str:
        """The name of its directory, never used again for another conversation."""
        ...

    @property
    def alive(self) -> bool:
        """Whether it can take another turn."""
        ...

    @property
    def warm(self) -> bool:
        """Whether it had been started ahead."""
        ...

    @property
    def cli_session_id(self) -> str:
        """What the CLI calls this conversation."""
        ...

    @property
    def cost_usd(self) -> float:
        """What this process has spent so far, turns that were cut included."""
        ...

    @property
    def last_frame_at(self) -> float:
        """When it last said anything, on the event loop's clock."""
        ...

    def send(self, turn: str, content: tuple[Block, ...], emit: Emit) -> None:
        """Send a user message; `emit` is called with each event until TurnCompleted or TurnFailed."""
        ...

    async def undo(self, turn: str) -> bool:
        """Interrupt `turn` if it runs and remove it from the context; False when that did not work. Emits nothing."""
        ...

    async def stop(self, *, flush: bool) -> None:
        """Stop the process and its group; returns when it is reaped. `flush` waits for its transcript first."""
        ...

    async def exited(self) -> str:
        """Wait until the process is reaped; return what it left on stderr, for the log."""
        ...


class AgentLauncher(Protocol):
    """Starts processes."""

    async def start(self, launch: Launch) -> Agent:
        """Start one and wait until it is ready. Raises errors.StartFailed; a failed or cancelled start is reaped."""
        ...

    def forget(self, place: str) -> None:
        """Remove a conversation's directory."""
        ...

    def set_room(self, processes: int) -> None:
        """How many processes the limit leaves to spares; told whenever it changes."""
        ...


class SparePool(Protocol):
    """The spares, as far as `/stats` shows them."""

    def describe(self) -> dict[str, int]:
        """Sizes and counts, in psycopg_pool's words."""
        ...


@dataclass(frozen=True, slots=True)
class StoredConversation:
    """What a conversation needs to go on. `key` is its internal id, never used again; `history` is empty in lists."""

    key: str
    conversation_id: str
    place: str
    binding: Binding | None
    system: str
    model: str
    turns: int
    usage: Usage
    cost_usd: float
    created_at: float
    last_used_at: float
    history: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class BeganTurn:
    """A turn that is about to be sent. `base` is the history that it replaces everything before it with, or None."""

    tenant: str
    key: str
    conversation_id: str
    place: str
    created_at: float
    turn_id: str
    request_id: str
    start: str
    model: str
    input: Message
    base: tuple[Message, ...] | None


@dataclass(frozen=True, slots=True)
class CompletedTurn:
    """A turn that was answered, and where its conversation can be resumed from now on."""

    key: str
    turn_id: str
    output: tuple[Message, ...]
    stop_reason: str
    model: str
    system: str
    usage: Usage
    cost_usd: float
    binding: Binding | None


class Store(Protocol):
    """What survives a restart. Every method is one transaction. All raise errors.StoreUnavailable."""

    async def load(self, tenant: str, conversation_id: str) -> StoredConversation | None:
        """A conversation that has a completed turn, with its history."""
        ...

    async def summaries(self, tenant: str) -> list[StoredConversation]:
        """Every conversation with a completed turn, the oldest first, without their histories."""
        ...

    async def count(self, tenant: str) -> int:
        """How many conversations there are with a completed turn."""
        ...

    async def begin(self, began: BeganTurn) -> None:
        """Record a turn before it is sent, and its conversation if it is the first."""
        ...

    async def complete(self, completed: CompletedTurn) -> bool:
        """Record an answer before the client is told that it is complete; False when the conversation is gone."""
        ...

    async def end(self, turn_id: str, *, error_code: str) -> None:
        """Record that a turn ended without an answer; a conversation that never had one is forgotten."""
        ...

    async def delete(self, key: str) -> None:
        """Forget a conversation and its turns."""
        ...
