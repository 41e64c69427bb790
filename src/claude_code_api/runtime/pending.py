"""The turns that a conversation owes an answer: what their readers are told, and that those are noted that get none."""

from __future__ import annotations

from collections.abc import Iterator

from claude_code_api.core.turn import TurnEvent, TurnFailed
from claude_code_api.errors import GatewayError
from claude_code_api.runtime.approvals import Approvals
from claude_code_api.runtime.feed import Feeds
from claude_code_api.runtime.host import Turn
from claude_code_api.runtime.record import Record
from claude_code_api.runtime.unstored import Notes


class Pending:
    """By id. No method waits. `approvals` are the calls that wait for a person in them."""

    def __init__(self, record: Record, feeds: Feeds, notes: Notes) -> None:
        self.approvals = Approvals()
        self._record = record
        self._feeds = feeds
        self._notes = notes
        self._turns: dict[str, Turn] = {}
        self._cut: dict[str, GatewayError] = {}

    def __len__(self) -> int:
        return len(self._turns)

    def __contains__(self, turn_id: str) -> bool:
        return turn_id in self._turns

    def __getitem__(self, turn_id: str) -> Turn:
        return self._turns[turn_id]

    def __iter__(self) -> Iterator[Turn]:
        return iter(list(self._turns.values()))

    def add(self, turn: Turn) -> None:
        """Owe a turn its answer."""
        self._turns[turn.id] = turn

    def note_cut(self, turn_id: str, error: GatewayError) -> None:
        """Remember what a turn's reader is told when it is refused because it was cut."""
        self._cut[turn_id] = error

    def cut_error(self, turn_id: str) -> GatewayError | None:
        """What was remembered."""
        return self._cut.get(turn_id)

    def put(self, turn: Turn, event: TurnEvent, *, cost_usd: float = 0.0) -> None:
        """Tell the turn's readers, and those who watch the conversation."""
        self.approvals.note(turn.id, event)
        turn.stream.put(event)
        self._feeds.turn(self._record.address, turn.id, turn.mark.request_id, event, cost_usd)

    def end(self, turn: Turn, event: TurnEvent, *, cost_usd: float = 0.0) -> None:
        """The same with the last event."""
        self._turns.pop(turn.id, None)
        self._cut.pop(turn.id, None)
        for approval in self.approvals.end(turn.id):
            self._feeds.approval_ended(self._record.address, approval)
        self.put(turn, event, cost_usd=cost_usd)

    def fail(self, turn: Turn, error: GatewayError) -> None:
        """The turn ends without an answer."""
        if turn.is_recorded:
            self._notes.ended(turn.id, error_code=error.code, message=error.message)
        self.end(turn, TurnFailed(error))
