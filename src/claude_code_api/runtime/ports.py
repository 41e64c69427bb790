"""What the runtime asks of the world, as Protocols; `app.py` puts the real things in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from claude_code_api.core.turn import Block, Message, TurnEvent

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
