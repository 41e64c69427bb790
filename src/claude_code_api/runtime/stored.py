"""What goes into a store and comes out of it. The store itself is a Protocol, in `storage.py`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from claude_code_api.core.toolbox import Toolbox
from claude_code_api.core.turn import Message, StartKind, TurnCompleted, Usage
from claude_code_api.runtime.ports import Binding, Entry


@dataclass(frozen=True, slots=True)
class Unread:
    """A conversation's last answer, when it is not known to have reached its client.

    `fingerprint` is its request's; `finished_at` is in Unix seconds.
    """

    turn_id: str
    fingerprint: str
    finished_at: float


@dataclass(frozen=True, slots=True)
class StoredConversation:
    """What a conversation needs to go on.

    `key` is its internal id, never used again; `epoch` the generation of its last process; `place` its directory, empty
    before it had one. `system` is the prompt without `developer`, the instructions that its history holds. `head` is
    the turn that it goes on from, None when there is none. `is_found`: by the history that it holds. `toolbox` is its
    agent's, None when it has none of its own. `history`, `unread`, `developer` and `head` are left out of lists.
    """

    key: str
    tenant: str
    conversation_id: str
    place: str
    binding: Binding | None
    system: str
    model: str
    profile: str
    turns: int
    usage: Usage
    cost_usd: float
    created_at: float
    last_used_at: float
    epoch: int
    history: tuple[Message, ...]
    unread: Unread | None
    developer: tuple[str, ...] = ()
    head: str | None = None
    is_found: bool = False
    metadata: Mapping[str, str] = field(default_factory=dict)
    toolbox: Toolbox | None = None


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """A completed turn, as its client got it or should have got it."""

    turn_id: str
    tenant: str
    conversation_id: str
    fingerprint: str
    start: StartKind
    created_at: float
    completed: TurnCompleted


class ResponseStatus(StrEnum):
    """How far a response is. QUEUED was accepted, and is not sent yet; CANCELLED was ended by somebody."""

    QUEUED = "queued"
    RUNNING = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class NewResponse:
    """What is kept of a request so that its answer can be asked for by its id.

    `settings` is what it asked for, as JSON. `background`: it runs on without its client.
    """

    settings: Mapping[str, Any]
    background: bool


@dataclass(frozen=True, slots=True)
class AcceptedResponse:
    """A response in the background that is about to be acknowledged; its conversation is made if it is not there."""

    tenant: str
    key: str
    conversation_id: str
    conversation_created_at: float
    turn_id: str
    created_at: float
    response: NewResponse


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """A response, and its turn once that is completed. The error is there when it failed or was cancelled."""

    turn_id: str
    tenant: str
    key: str
    conversation_id: str
    status: ResponseStatus
    settings: Mapping[str, Any]
    background: bool
    created_at: float
    finished_at: float | None
    error_code: str | None
    error_message: str | None
    turn: StoredTurn | None


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a conversation is before its first turn, as far as that was said: the kind of session, and what it has."""

    profile: str
    model: str
    system: str
    toolbox: Toolbox | None


@dataclass(frozen=True, slots=True)
class NewConversation:
    """A conversation that is made before its first turn. `key` is its internal id."""

    tenant: str
    key: str
    conversation_id: str
    created_at: float
    metadata: Mapping[str, str]
    beginning: Beginning | None = None


@dataclass(frozen=True, slots=True)
class Addition:
    """What is added to a history without a turn: instructions, then messages. `turn_id` is an id that nobody has."""

    turn_id: str
    developer: tuple[str, ...]
    messages: tuple[Message, ...]
    created_at: float


@dataclass(frozen=True, slots=True)
class StoredHistory:
    """What a conversation held at some time."""

    messages: tuple[Message, ...]
    developer: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BeganTurn:
    """A turn that is about to be sent. `base` is the history that it replaces everything before it with, or None.

    `epoch` is the generation of the process it goes to; `is_first` allows the conversation to be made. `fingerprint`
    identifies the request; with an `idempotency_key` its answer can be asked for again, with a `response` by its id.
    `developer` are the instructions that come with it; with a `base`, all that there are from now on.
    """

    tenant: str
    key: str
    conversation_id: str
    place: str
    conversation_created_at: float
    epoch: int
    is_first: bool
    turn_id: str
    request_id: str
    fingerprint: str
    idempotency_key: str | None
    start: str
    model: str
    input: Message
    base: tuple[Message, ...] | None
    created_at: float
    developer: tuple[str, ...] = ()
    response: NewResponse | None = None


@dataclass(frozen=True, slots=True)
class CompletedTurn:
    """A turn that was answered, and where its conversation can be resumed from now on.

    `is_new_session` says that it left an earlier session of the CLI behind, whose copy is no longer needed; `is_fork`
    that it replaced the history before it.
    `lineage` identifies the history that the conversation holds now, None when nobody may find it that way; `entries`
    is what its transcript gained. `has_response`: its answer is to be found by its id.
    """

    key: str
    place: str
    epoch: int
    turn_id: str
    output: tuple[Message, ...]
    stop_reason: str
    model: str
    profile: str
    system: str
    usage: Usage
    cost_usd: float
    binding: Binding | None
    is_new_session: bool
    is_fork: bool
    lineage: str | None
    entries: tuple[Entry, ...]
    has_response: bool = False
    stop_sequence: str | None = None


@dataclass(frozen=True, slots=True)
class Fork:
    """A conversation to be made of the first `turns` turns of another; None: of all.

    With `until`, of what the other one held when the turn of that id was completed, whatever became of it since.
    `source` and `key` are internal ids, `place` is a directory's name that nobody has.
    """

    source: str
    turns: int | None
    key: str
    conversation_id: str
    place: str
    created_at: float
    until: str | None = None


class ForkResult(StrEnum):
    """What became of a fork; nothing is written unless it is done."""

    DONE = "done"
    NO_SOURCE = "no_source"
    ID_TAKEN = "id_taken"
    TOO_FEW_TURNS = "too_few_turns"


@dataclass(frozen=True, slots=True)
class StoredTurn:
    """A completed turn, or what was added without one: then `model` is empty. Times are in Unix seconds.

    `developer` are the instructions that came with it. Blocks of the type `removed` hold the place of what was taken
    out.
    """

    turn_id: str
    created_at: float
    finished_at: float
    model: str
    stop_reason: str
    input: Message
    output: tuple[Message, ...]
    usage: Usage
    cost_usd: float
    developer: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredTurns:
    """A page of them. `base` is what the history begins with; it is on the page of the first turn only.

    `base_turn` is the turn that the base came with, None without one.
    """

    base: tuple[Message, ...]
    turns: tuple[StoredTurn, ...]
    base_turn: str | None = None


Change = Callable[[StoredTurn], StoredTurn]
"""Makes a stored turn another: only its `input`, `output` and `developer` may differ."""


@dataclass(frozen=True, slots=True)
class Rewound:
    """What is left of a conversation that went back; `first_turn` is the oldest one that was taken back."""

    left: StoredConversation
    first_turn: str
