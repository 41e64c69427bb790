"""What the runtime asks of a store, as Protocols; `app.py` puts the real thing in. Its values are in `stored.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from claude_code_api.core.identity import Address
from claude_code_api.core.keys import ApiKey
from claude_code_api.runtime.ports import Entry
from claude_code_api.runtime.stored import (
    AcceptedResponse,
    Addition,
    BeganTurn,
    Change,
    CompletedTurn,
    Fork,
    ForkResult,
    NewConversation,
    Rewound,
    StoredAnswer,
    StoredConversation,
    StoredHistory,
    StoredResponse,
    StoredTurn,
    StoredTurns,
)


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

    async def end(self, turn_id: str, *, error_code: str, message: str) -> None:
        """Record that a turn ended without an answer, also one that never began; so did its response.

        A conversation that never had an answer is forgotten, unless it was made before its first turn.
        """
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

    async def turns(self, key: str, *, after: str | None, limit: int, newest_first: bool = False) -> StoredTurns | None:
        """The completed turns of a conversation's present history, the first one first, or the last.

        `after` is the turn that the page follows; None when that is none of them.
        """
        ...

    async def turn(self, key: str, turn_id: str) -> StoredTurns | None:
        """One completed turn of a conversation, or what was added without one, with the base that came with it."""
        ...

    async def accept(self, accepted: AcceptedResponse) -> None:
        """Record a response in the background before it is acknowledged, and make its conversation if it is not there.

        Raises ConversationDeleted when it is there no more.
        """
        ...

    async def response(self, tenant: str, turn_id: str) -> StoredResponse | None:
        """The response of a turn; None when there is none, or its turn was taken back."""
        ...

    async def forget_response(self, tenant: str, turn_id: str) -> bool:
        """Forget a response and its events; its turn stays part of the conversation. False when there is none."""
        ...

    async def append_events(self, turn_id: str, first: int, events: Sequence[Mapping[str, Any]]) -> bool:
        """Record events of a response, numbered from `first` on without a hole. False when there is no such one."""
        ...

    async def events(self, turn_id: str, *, after: int) -> list[Mapping[str, Any]]:
        """The events that were recorded behind the number `after`."""
        ...

    async def history_at(self, turn_id: str) -> StoredHistory | None:
        """What the conversation held when this turn was completed, the turn included; None when that is gone."""
        ...

    async def find_turns(self, tenant: str, turn_ids: Sequence[str]) -> list[StoredTurn]:
        """Those of these turns that are a tenant's and completed, and what was added without a turn."""
        ...

    async def make(self, new: NewConversation, additions: Sequence[Addition]) -> bool:
        """Make a conversation that is kept, without a turn. False, and nothing written, when its id is taken."""
        ...

    async def set_metadata(self, key: str, metadata: Mapping[str, str]) -> bool:
        """Replace a conversation's metadata. False when it is gone."""
        ...

    async def add(
        self, key: str, additions: Sequence[Addition], *, epoch: int, keeps_binding: bool
    ) -> StoredConversation:
        """Add to a conversation's history; without its binding the next process starts from the history.

        Raises ConversationDeleted, or ConversationMoved when a newer process than `epoch` has it.
        """
        ...

    async def amend(self, key: str, turn_id: str, change: Change, *, epoch: int) -> StoredConversation | None:
        """Change what a turn of the present history holds; the next process starts from the history.

        None, and nothing written, when it has no such turn. Raises what `change` raises, and what `add` raises.
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
