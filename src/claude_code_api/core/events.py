"""What can happen to a session, and what the session asks to be done about it.

Events come in, effects go out; `core/session.py` holds the table between them. Events of a process carry its `epoch`,
so that a message from an older process generation can be told apart and dropped.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias


class Refusal(StrEnum):
    """Why a turn is answered without having run."""

    QUEUE_FULL = "queue_full"
    NO_SLOT = "no_slot"
    DELETED = "deleted"
    DRAINING = "draining"
    CUT = "cut"
    START_FAILED = "start_failed"
    PROCESS_DIED = "process_died"


class StopReason(StrEnum):
    """Why a process is stopped between turns."""

    IDLE = "idle"
    EVICTED = "evicted"
    MEMORY = "memory"
    HIBERNATED = "hibernated"
    PROFILE_CHANGED = "profile_changed"
    ONE_SHOT = "one_shot"
    DRAINED = "drained"
    DELETED = "deleted"
    DIRTY = "dirty"
    REWOUND = "rewound"


# Events


@dataclass(frozen=True, slots=True)
class TurnRequested:
    """A client wants a turn."""

    turn: str


@dataclass(frozen=True, slots=True)
class TurnCut:
    """A turn must end now, wherever it is."""

    turn: str


@dataclass(frozen=True, slots=True)
class SlotGranted:
    """The pool gave the session a process slot."""


@dataclass(frozen=True, slots=True)
class WaitExpired:
    """The pool had no slot in time."""


@dataclass(frozen=True, slots=True)
class ProcessReady:
    """The process answered its handshake."""

    epoch: int


@dataclass(frozen=True, slots=True)
class TurnFinished:
    """The current turn completed and belongs to the conversation; `parked`: it ended with calls of client tools."""

    epoch: int
    parked: bool = False


@dataclass(frozen=True, slots=True)
class TurnBroken:
    """The current turn ended in an error; its traces are still in the process's context."""

    epoch: int


@dataclass(frozen=True, slots=True)
class TurnUndone:
    """The process's context is again what it was before the current turn, or fits what a rewind or an edit left."""

    epoch: int


@dataclass(frozen=True, slots=True)
class UndoFailed:
    """What had to go could not be removed from the live process's context, or what came could not be put there."""

    epoch: int


@dataclass(frozen=True, slots=True)
class ProcessUnfit:
    """The process cannot be brought to where the current turn begins; the turn was not sent."""

    epoch: int


@dataclass(frozen=True, slots=True)
class ProcessExited:
    """The process is reaped."""

    epoch: int


@dataclass(frozen=True, slots=True)
class StartFailed:
    """The process could not be started or did not become ready; it is reaped."""

    epoch: int


@dataclass(frozen=True, slots=True)
class RewindWanted:
    """Somebody wants the last completed turns taken back; only between turns."""

    turns: int


@dataclass(frozen=True, slots=True)
class EditWanted:
    """Somebody wants something else in the history than turns have put there; only between turns.

    `edit` is a name for it, which comes back with the effect.
    """

    edit: str


@dataclass(frozen=True, slots=True)
class StopWanted:
    """Somebody wants the process gone if it is idle: the janitor, the pool."""

    reason: StopReason


@dataclass(frozen=True, slots=True)
class Drained:
    """The server shuts down: finish what runs, start nothing."""


@dataclass(frozen=True, slots=True)
class Deleted:
    """The conversation is to be forgotten."""


Event: TypeAlias = (
    TurnRequested
    | TurnCut
    | SlotGranted
    | WaitExpired
    | ProcessReady
    | TurnFinished
    | TurnBroken
    | TurnUndone
    | UndoFailed
    | RewindWanted
    | EditWanted
    | ProcessUnfit
    | ProcessExited
    | StartFailed
    | StopWanted
    | Drained
    | Deleted
)

# Effects


@dataclass(frozen=True, slots=True)
class AcquireSlot:
    """Ask the pool for a slot; answered by SlotGranted or WaitExpired."""


@dataclass(frozen=True, slots=True)
class CancelAcquire:
    """Leave the pool's queue."""


@dataclass(frozen=True, slots=True)
class ReleaseSlot:
    """Give the slot back; its process is reaped."""


@dataclass(frozen=True, slots=True)
class StartProcess:
    """Start the process of this epoch for the current turn's profile."""

    epoch: int


@dataclass(frozen=True, slots=True)
class SendTurn:
    """Send the current turn to the process."""

    turn: str


@dataclass(frozen=True, slots=True)
class UndoTurn:
    """Interrupt the turn if it still runs and remove it from the process's context."""

    turn: str


@dataclass(frozen=True, slots=True)
class GoBack:
    """Take completed turns back, in the store and on the process; answered by TurnUndone or UndoFailed."""

    turns: int


@dataclass(frozen=True, slots=True)
class Edit:
    """Change what the history holds, in the store; answered by TurnUndone when the process fits it, or UndoFailed."""

    edit: str


@dataclass(frozen=True, slots=True)
class StopProcess:
    """Stop the process, politely: it flushes its transcript first."""

    reason: StopReason


@dataclass(frozen=True, slots=True)
class RefuseTurn:
    """Answer a turn's client without an answer of the model."""

    turn: str
    why: Refusal


@dataclass(frozen=True, slots=True)
class Forget:
    """Nothing of the conversation is left to wait for: remove it."""


Effect: TypeAlias = (
    AcquireSlot
    | CancelAcquire
    | ReleaseSlot
    | StartProcess
    | SendTurn
    | UndoTurn
    | GoBack
    | Edit
    | StopProcess
    | RefuseTurn
    | Forget
)
