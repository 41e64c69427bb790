"""What the runtime asks of the world, as Protocols; `app.py` puts the real things in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, TypeAlias

from claude_code_api.core.toolbox import Toolbox
from claude_code_api.core.turn import Block, Message, Options, TurnEvent

Emit: TypeAlias = Callable[[TurnEvent], None]


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a transcript as the CLI writes it; `subpath` names a subagent's own, empty for the conversation's."""

    subpath: str
    line: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Profile:
    """What only a launch can set. Turns with equal profiles can share a process.

    `name` is the kind of session, chat or agent; `schema` is the JSON schema of its answers, as JSON text. `toolbox` is
    what an agent is equipped with, None for a chat and for all of its built-in tools and nothing else.
    """

    model: str
    system: str = ""
    name: str = "chat"
    schema: str | None = None
    toolbox: Toolbox | None = None


@dataclass(frozen=True, slots=True)
class Binding:
    """Where the CLI keeps a conversation: its session there, and the last entry of the last completed turn."""

    cli_session_id: str
    leaf: str


@dataclass(frozen=True, slots=True)
class Launch:
    """What a process is started for. `place` names the conversation's directory, None before its first process.

    With a `binding`, the CLI's own transcript is resumed at its leaf; `recall` fetches the stored copy, for when the
    one on the disk is not whole. Without either, `history` is written as a new transcript first; with no history at
    all the conversation is empty. `options` are the first turn's. `kept` False: the process writes no transcript, and
    what was written for it to start from is removed.
    """

    place: str | None
    profile: Profile
    options: Options
    binding: Binding | None
    history: tuple[Message, ...]
    recall: Callable[[], Awaitable[Sequence[Entry]]]
    kept: bool = True


class Origin(StrEnum):
    """What a process goes on from: nothing, a spare, its transcript, the stored copy of it, or the bare history."""

    FRESH = "fresh"
    SPARE = "spare"
    TRANSCRIPT = "transcript"
    COPY = "copy"
    HISTORY = "history"


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
    def origin(self) -> Origin:
        """What it goes on from."""
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

    def takes(self, options: Options) -> bool:
        """Whether a turn with these options can be sent to it as it is."""
        ...

    def send(self, turn: str, content: tuple[Block, ...], options: Options, emit: Emit) -> None:
        """Send a user message, or the results of open tool calls.

        `emit` is called with each event until TurnCompleted or TurnFailed.
        """
        ...

    async def rewind(self, turns: Sequence[str], taken_back: Callable[[str], None]) -> bool:
        """Take back completed turns that were sent to this process, the newest first; `taken_back` is told of each.

        False when one could not be, or `undo` came in between.
        """
        ...

    @property
    def entries(self) -> tuple[Entry, ...]:
        """What stands in its transcript and is not stored yet."""
        ...

    def note_stored(self, entries: int) -> None:
        """The first so many of them are stored."""
        ...

    async def undo(self, turn: str) -> bool:
        """Interrupt `turn` if it runs and remove it from the context; False when that did not work. Emits nothing."""
        ...

    def decide(self, call: str, *, allowed: bool, message: str | None) -> bool:
        """Let a call that waits for approval be made, or not: then the model is told `message`.

        False when no such call waits. ApprovalSettled comes at once.
        """
        ...

    async def halt(self, turn: str) -> bool:
        """End `turn` where it stands, and keep what was said; its TurnCompleted comes before this returns.

        Calls that wait for approval are not made. False when it was not to be ended this way: it is to be undone.
        """
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

    def shrink(self) -> None:
        """Stop the spares that there is no room for: the limit itself has become smaller."""
        ...


class SparePool(Protocol):
    """The spares, as far as others need to know of them."""

    def pids(self) -> list[int]:
        """Their processes."""
        ...

    def describe(self) -> dict[str, int]:
        """Sizes and counts, in psycopg_pool's words."""
        ...
