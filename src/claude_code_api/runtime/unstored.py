"""The books of a conversation: what its actor writes down, and for one that is only in memory, nothing."""

from __future__ import annotations

from typing import Protocol

from claude_code_api.runtime.ports import Entry
from claude_code_api.runtime.stored import BeganTurn, CompletedTurn


class TurnStore(Protocol):
    """What a turn asks of a store; `storage.Store` says what each method does."""

    async def begin(self, began: BeganTurn) -> None:
        """Record a turn before it is sent."""
        ...

    async def complete(self, completed: CompletedTurn) -> bool:
        """Record an answer before the client is told that it is complete; False when it cannot be kept."""
        ...

    async def transcript(self, key: str, cli_session_id: str) -> list[Entry]:
        """The stored copy of a transcript."""
        ...


class Notes(Protocol):
    """What is written when nobody waits for it; `aftermath.Aftermath` for what is stored."""

    def ended(self, turn_id: str, *, error_code: str, message: str) -> None:
        """A turn ended without an answer."""
        ...

    def delivered(self, turn_id: str) -> None:
        """An answer reached its client."""
        ...


class Unstored:
    """The books of a conversation that nobody keeps: a TurnStore and Notes that write nothing."""

    async def begin(self, began: BeganTurn) -> None:
        """Nothing: the turn is in memory."""

    async def complete(self, completed: CompletedTurn) -> bool:
        """Nothing, and the answer counts."""
        return True

    async def transcript(self, key: str, cli_session_id: str) -> list[Entry]:
        """There is no copy."""
        return []

    def ended(self, turn_id: str, *, error_code: str, message: str) -> None:
        """Nothing."""

    def delivered(self, turn_id: str) -> None:
        """Nothing."""
