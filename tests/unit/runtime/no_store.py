"""A store that is asked nothing: tests take what they need of it and say what that answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from claude_code_api.core.identity import Address
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


def _unasked() -> NoReturn:
    raise AssertionError("the store is not asked this here")


class NoStore:
    """Every method of a Store; each fails until a test gives it something to do."""

    async def turn(self, key: str, turn_id: str) -> StoredTurns | None:
        _unasked()

    async def load(self, tenant: str, conversation_id: str) -> StoredConversation | None:
        _unasked()

    async def summary(self, tenant: str, conversation_id: str) -> StoredConversation | None:
        _unasked()

    async def page(self, tenant: str, *, before: tuple[float, str] | None, limit: int) -> list[StoredConversation]:
        _unasked()

    async def count(self) -> int:
        _unasked()

    async def find(self, tenant: str, lineage: str, *, system: str) -> str | None:
        _unasked()

    async def begin(self, began: BeganTurn) -> None:
        _unasked()

    async def complete(self, completed: CompletedTurn) -> bool:
        _unasked()

    async def end(self, turn_id: str, *, error_code: str, message: str) -> None:
        _unasked()

    async def delivered(self, turn_ids: Sequence[str]) -> None:
        _unasked()

    async def answer(self, turn_id: str) -> StoredAnswer | None:
        _unasked()

    async def keyed_answer(self, tenant: str, idempotency_key: str, *, since: float) -> StoredAnswer | None:
        _unasked()

    async def transcript(self, key: str, cli_session_id: str) -> list[Entry]:
        _unasked()

    async def delete(self, key: str) -> None:
        _unasked()

    async def rewind(self, key: str, turns: int, *, epoch: int) -> Rewound | None:
        _unasked()

    async def fork(self, fork: Fork) -> ForkResult:
        _unasked()

    async def turns(self, key: str, *, after: str | None, limit: int, newest_first: bool = False) -> StoredTurns | None:
        _unasked()

    async def accept(self, accepted: AcceptedResponse) -> None:
        _unasked()

    async def response(self, tenant: str, turn_id: str) -> StoredResponse | None:
        _unasked()

    async def forget_response(self, tenant: str, turn_id: str) -> bool:
        _unasked()

    async def append_events(self, turn_id: str, first: int, events: Sequence[Mapping[str, Any]]) -> bool:
        _unasked()

    async def events(self, turn_id: str, *, after: int) -> list[Mapping[str, Any]]:
        _unasked()

    async def history_at(self, turn_id: str) -> StoredHistory | None:
        _unasked()

    async def find_turns(self, tenant: str, turn_ids: Sequence[str]) -> list[StoredTurn]:
        _unasked()

    async def make(self, new: NewConversation, additions: Sequence[Addition]) -> bool:
        _unasked()

    async def set_metadata(self, key: str, metadata: Mapping[str, str]) -> bool:
        _unasked()

    async def add(
        self, key: str, additions: Sequence[Addition], *, epoch: int, keeps_binding: bool
    ) -> StoredConversation:
        _unasked()

    async def amend(self, key: str, turn_id: str, change: Change, *, epoch: int) -> StoredConversation | None:
        _unasked()

    async def unused_since(self, moment: float, *, limit: int) -> list[Address]:
        _unasked()

    async def forget_keys(self, moment: float) -> None:
        _unasked()
