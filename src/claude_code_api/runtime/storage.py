"""What the runtime asks of a store: a Protocol, and what goes in and out; `app.py` puts the real thing in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from claude_code_api.core.identity import Address
from claude_code_api.core.keys import ApiKey
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

    `key` is its internal id, never used again; `epoch` the generation of its last process. `history` and `unread` are
    left out of lists.
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


@dataclass(frozen=True, slots=True)
class BeganTurn:
    """A turn that is about to be sent. `base` is the history that it replaces everything before it with, or None.

    `epoch` is the generation of the process it goes to; `is_first` allows the conversation to be made. `fingerprint`
    identifies the request; with an `idempotency_key` its answer can be asked for again.
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


@dataclass(frozen=True, slots=True)
class CompletedTurn:
    """A turn that was answered, and where its conversation can be resumed from now on.

    `is_new_session` says that it left an earlier session of the CLI behind, whose copy is no longer needed; `is_fork`
    that it replaced the history before it.
    `lineage` identifies the history that the conversation holds now, None when nobody may find it that way; `entries`
    is what its transcript gained.
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


@dataclass(frozen=True, slots=True)
class Fork:
    """A conversation to be made of the first `turns` turns of another; None: of all.

    `source` and `key` are internal ids, `place` is a directory's name that nobody has.
    """

    source: str
    turns: int | None
    key: str
    conversation_id: str
    place: str
    created_at: float


class ForkResult(StrEnum):
    """What became of a fork; nothing is written unless it is done."""

    DONE = "done"
    NO_SOURCE = "no_source"
    ID_TAKEN = "id_taken"
    TOO_FEW_TURNS = "too_few_turns"


@dataclass(frozen=True, slots=True)
class StoredTurn:
    """A completed turn. Times are in Unix seconds."""

    turn_id: str
    created_at: float
    finished_at: float
    model: str
    stop_reason: str
    input: Message
    output: tuple[Message, ...]
    usage: Usage
    cost_usd: float


@dataclass(frozen=True, slots=True)
class StoredTurns:
    """A page of them. `base` is what the history begins with, before its first turn; only on the first page."""

    base: tuple[Message, ...]
    turns: tuple[StoredTurn, ...]


@dataclass(frozen=True, slots=True)
class Rewound:
    """What is left of a conversation that went back; `first_turn` is the oldest one that was taken back."""

    left: StoredConversation
    first_turn: str


class Store(Protocol):
    """What survives a restart. Every method is one transaction. All raise errors.StoreUnavailable."""

    async def load(self, tenant: str, conversation_id: str) -> StoredConversation | None:
        """A conversation that is kept, with its history. Kept are those that had a completed turn, and forks."""
        ...

    async def summary(self, tenant: str, conversation_id: str) -> StoredConversation | None:
        """The same without its history."""
        ...

    async def page(self, tenant: str, *, before: tuple[float, str] | None, limit: int) -> list[StoredConversation]:
        """Conversations that are kept, the newest first, without their histories.

        `before` is the (created_at, id) that the page follows, None for the first page.
        """
        ...

    async def count(self) -> int:
        """How many conversations are kept, of all tenants."""
        ...

    async def find(self, tenant: str, lineage: str, *, system: str) -> str | None:
        """The id of the only conversation that holds this history, better one with this system prompt; else None."""
        ...

    async def begin(self, began: BeganTurn) -> None:
        """Record a turn before it is sent, and its conversation if it is the first.

        Raises ConversationDeleted, or ConversationMoved when a newer process has it.
        """
        ...

    async def complete(self, completed: CompletedTurn) -> bool:
        """Record an answer before the client is told that it is complete.

        False, and nothing written, when the conversation is gone or a newer process has it.
        """
        ...

    async def end(self, turn_id: str, *, error_code: str) -> None:
        """Record that a turn ended without an answer; a conversation that never had one is forgotten."""
        ...

    async def delivered(self, turn_ids: Sequence[str]) -> None:
        """Record that these answers reached their clients."""
        ...

    async def answer(self, turn_id: str) -> StoredAnswer | None:
        """A completed turn."""
        ...

    async def keyed_answer(self, tenant: str, idempotency_key: str, *, since: float) -> StoredAnswer | None:
        """The completed turn of a request with this Idempotency-Key, if it was recorded since then."""
        ...

    async def transcript(self, key: str, cli_session_id: str) -> list[Entry]:
        """The stored copy of a transcript, in the order it was written."""
        ...

    async def delete(self, key: str) -> None:
        """Forget a conversation, with its turns, answers and transcripts."""
        ...

    async def rewind(self, key: str, turns: int, *, epoch: int) -> Rewound | None:
        """Take back the last so many completed turns of the present history.

        None, and nothing written, when there are fewer. Their words, their transcript and the idempotency keys go, what
        they cost stays. Without a binding the next process starts from the history. Raises ConversationDeleted, or
        ConversationMoved when a newer process than `epoch` has it.
        """
        ...

    async def fork(self, fork: Fork) -> ForkResult:
        """Make a conversation of another's history. It costs nothing so far, and nobody finds it by its lineage."""
        ...

    async def turns(self, key: str, *, after: str | None, limit: int) -> StoredTurns | None:
        """The completed turns of a conversation's present history, the first one first.

        `after` is the turn that the page follows; None when that is none of them.
        """
        ...

    async def unused_since(self, moment: float, *, limit: int) -> list[Address]:
        """The conversations of all tenants that were last used before then, the longest unused first."""
        ...

    async def forget_keys(self, moment: float) -> None:
        """Forget idempotency keys that were recorded before then."""
        ...


class KeyStore(Protocol):
    """Where API keys are kept."""

    async def keys(self) -> Sequence[ApiKey]:
        """Every key, revoked and expired ones included. Raises errors.StoreUnavailable."""
        ...
