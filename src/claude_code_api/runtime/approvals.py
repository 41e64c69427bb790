"""The agent's calls that wait for a person, as those see them who decide, and what became of the last ones.

Follows the events of a conversation's turns; the process holds the questions themselves.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from claude_code_api.core.turn import ApprovalSettled, ApprovalWanted, TurnEvent
from claude_code_api.errors import ApprovalDecided, ApprovalNotFound

_REMEMBERED = 100


class ApprovalStatus(StrEnum):
    """What became of a call: EXPIRED nobody decided in time, CANCELLED the call was given up, or its turn ended."""

    WAITING = "waiting"
    ALLOWED = "allowed"
    DENIED = "denied"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Approval:
    """A call that waits, or waited. `id` is the call's; times are Unix seconds."""

    id: str
    turn_id: str
    name: str
    input: Mapping[str, Any]
    since: float
    deadline: float
    status: ApprovalStatus = ApprovalStatus.WAITING


class Approvals:
    """One conversation's: all that wait, and the last that were settled. No method waits."""

    def __init__(self) -> None:
        self._waiting: dict[str, Approval] = {}
        self._settled: OrderedDict[str, Approval] = OrderedDict()

    @property
    def waiting(self) -> list[Approval]:
        """Those that wait, the oldest first."""
        return list(self._waiting.values())

    def find(self, approval_id: str) -> Approval:
        """One that waits, or was settled lately. Raises ApprovalNotFound."""
        found = self._waiting.get(approval_id) or self._settled.get(approval_id)
        if found is None:
            raise not_found(approval_id)
        return found

    def undecided(self, approval_id: str) -> Approval:
        """One that waits. Raises ApprovalDecided when it does so no more, or ApprovalNotFound."""
        found = self.find(approval_id)
        if found.status is not ApprovalStatus.WAITING:
            raise decided(found)
        return found

    def note(self, turn_id: str, event: TurnEvent) -> None:
        """An event of a turn; most mean nothing here."""
        if isinstance(event, ApprovalWanted):
            approval = Approval(event.id, turn_id, event.name, event.input, time.time(), event.deadline)
            self._settled.pop(event.id, None)
            self._waiting[event.id] = approval
        elif isinstance(event, ApprovalSettled):
            self._settle(event.id, ApprovalStatus(event.status))

    def end(self, turn_id: str) -> list[Approval]:
        """The turn is over: what still waited in it is not to be decided any more; returns that."""
        left = [approval.id for approval in self.waiting if approval.turn_id == turn_id]
        return [self._settle(approval_id, ApprovalStatus.CANCELLED) for approval_id in left]

    def _settle(self, approval_id: str, status: ApprovalStatus) -> Approval:
        settled = replace(self._waiting.pop(approval_id), status=status)
        self._settled[approval_id] = settled
        while len(self._settled) > _REMEMBERED:
            self._settled.popitem(last=False)
        return settled


def not_found(approval_id: str) -> ApprovalNotFound:
    """What is asked for is not there."""
    return ApprovalNotFound(
        f"No call {approval_id!r} waits for approval on this conversation; those that do are listed at its /approvals.",
        param="approval_id",
    )


def decided(approval: Approval) -> ApprovalDecided:
    """A decision comes too late."""
    return ApprovalDecided(
        f"The call {approval.id!r} no longer waits for approval: it is {approval.status.value}.", param="approval_id"
    )
