"""What a conversation is, with or without a process; the store keeps the same."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from claude_code_api.core.conversation import lineage
from claude_code_api.core.identity import Address
from claude_code_api.core.profiles import CHAT, DEFAULT
from claude_code_api.core.toolbox import Toolbox
from claude_code_api.core.turn import Message, TurnCompleted, Usage
from claude_code_api.runtime.host import Turn
from claude_code_api.runtime.ports import Agent, Binding
from claude_code_api.runtime.stored import (
    AcceptedResponse,
    BeganTurn,
    CompletedTurn,
    NewResponse,
    StoredConversation,
    Unread,
)

if TYPE_CHECKING:
    from claude_code_api.runtime.needs import Needs


@dataclass
class Record:
    """A conversation's durable side. `key` is its internal id, never used again; `cost_usd` counts cut turns too.

    `system` is the prompt without `developer`, the instructions of its dialogue. `head` is the turn that it goes on
    from. `is_stored`: the store keeps it; `is_placed`: the store knows its place. `is_copy`: its history was copied,
    and no turn has gone on from it yet. `is_found`: by the history that it holds. `lineage` is known from its first
    turn in this server on, until it goes back. `toolbox` is its agent's, None when it has none of its own.
    """

    tenant: str
    conversation_id: str
    key: str = field(default_factory=lambda: uuid.uuid4().hex)
    place: str | None = None
    binding: Binding | None = None
    history: list[Message] = field(default_factory=list)
    system: str = ""
    developer: tuple[str, ...] = ()
    head: str | None = None
    model: str = ""
    profile: str = DEFAULT
    turns: int = 0
    usage: Usage = field(default_factory=Usage)
    cost_usd: float = 0.0
    cost_stored: float = 0.0
    created_at: float = field(default_factory=time.time)
    last_used_at: float = field(default_factory=time.time)
    unread: Unread | None = None
    is_stored: bool = False
    is_placed: bool = False
    is_copy: bool = False
    lineage: str | None = None
    is_found: bool = False
    metadata: Mapping[str, str] = field(default_factory=dict)
    toolbox: Toolbox | None = None

    @classmethod
    def of(cls, stored: StoredConversation) -> Record:
        """The record of a conversation that comes back."""
        return cls(
            tenant=stored.tenant,
            conversation_id=stored.conversation_id,
            key=stored.key,
            place=stored.place or None,
            binding=stored.binding,
            history=list(stored.history),
            system=stored.system,
            developer=stored.developer,
            head=stored.head,
            is_found=stored.is_found,
            model=stored.model,
            profile=stored.profile,
            turns=stored.turns,
            usage=stored.usage,
            cost_usd=stored.cost_usd,
            cost_stored=stored.cost_usd,
            created_at=stored.created_at,
            last_used_at=stored.last_used_at,
            metadata=stored.metadata,
            toolbox=stored.toolbox,
            unread=stored.unread,
            is_stored=True,
            is_placed=bool(stored.place),
            is_copy=stored.epoch == 0 and stored.binding is None and bool(stored.place),
        )

    @property
    def address(self) -> Address:
        """Where the conversation is found."""
        return Address(self.tenant, self.conversation_id)

    def note_delivered(self, turn_id: str) -> None:
        """An answer reached its client."""
        if self.unread is not None and self.unread.turn_id == turn_id:
            self.unread = None

    def accepted(self, turn: Turn, response: NewResponse) -> AcceptedResponse:
        """What to store before a response in the background is acknowledged."""
        return AcceptedResponse(
            tenant=self.tenant,
            key=self.key,
            conversation_id=self.conversation_id,
            conversation_created_at=self.created_at,
            turn_id=turn.id,
            created_at=turn.created_at,
            response=response,
        )

    def began(self, turn: Turn, needed: Needs, agent: Agent, *, epoch: int) -> BeganTurn:
        """What to store before the turn is sent."""
        return BeganTurn(
            tenant=self.tenant,
            key=self.key,
            conversation_id=self.conversation_id,
            place=agent.place,
            conversation_created_at=self.created_at,
            epoch=epoch,
            is_first=not self.is_stored,
            turn_id=turn.id,
            request_id=turn.mark.request_id,
            fingerprint=turn.mark.fingerprint,
            idempotency_key=turn.mark.idempotency_key,
            start=turn.start.value,
            model=turn.input.model,
            input=turn.input.new,
            base=tuple(needed.history) if needed.replaces else None,
            created_at=turn.created_at,
            developer=needed.developer if needed.replaces else needed.added,
            response=turn.response,
        )

    def completed(
        self, turn: Turn, needed: Needs, event: TurnCompleted, agent: Agent, *, epoch: int, history: list[Message]
    ) -> CompletedTurn:
        """What to store before the client is told that its answer is complete. `history` is what there is after it."""
        profile = needed.profile
        # An answer without a message leaves its turn unanswered: it is sent again with the next one.
        is_bound = event.leaf is not None and bool(event.messages)
        return CompletedTurn(
            key=self.key,
            place=agent.place,
            epoch=epoch,
            turn_id=turn.id,
            output=event.messages,
            stop_reason=event.stop_reason,
            stop_sequence=event.stop_sequence,
            model=event.model or profile.model,
            profile=profile.name,
            system=needed.system,
            usage=event.usage,
            cost_usd=self.cost_usd - self.cost_stored,
            binding=Binding(agent.cli_session_id, event.leaf) if event.leaf and is_bound else None,
            is_new_session=self._leaves_a_session(agent, is_bound=is_bound),
            is_fork=needed.replaces,
            lineage=lineage(history) if self._may_be_found(turn) and profile.name == CHAT else None,
            entries=agent.entries,
            has_response=turn.response is not None,
        )

    def _may_be_found(self, turn: Turn) -> bool:
        """Whether requests that name nothing may find it by its history. Behind a turn, that is as it was before."""
        return not turn.input.named if turn.input.after is None else self.is_found

    def _leaves_a_session(self, agent: Agent, *, is_bound: bool) -> bool:
        """Whether copies of other sessions than this process's can go; without a binding nobody knows of which."""
        if self.binding is None:
            return self.is_stored and is_bound
        return self.binding.cli_session_id != agent.cli_session_id

    def apply(self, done: CompletedTurn, turn: Turn, needed: Needs, history: list[Message]) -> None:
        """The turn is stored: the conversation goes on from here."""
        self.history, self.system, self.developer = history, done.system, needed.developer
        self.binding, self.head = done.binding, turn.id
        self.model, self.profile = done.model, done.profile
        self.lineage, self.is_found = done.lineage, done.lineage is not None
        self.turns += 1
        self.usage += done.usage
        self.cost_stored += done.cost_usd
        self.last_used_at = time.time()
        self.unread = Unread(turn.id, turn.mark.fingerprint, self.last_used_at)
        self.is_stored, self.is_copy = True, False

    def renewed(self, left: StoredConversation) -> None:
        """Turns were taken back in the store, or what it holds was changed there: this is what is left."""
        self.history, self.binding, self.unread = list(left.history), left.binding, left.unread
        self.developer, self.head = left.developer, left.head
        self.turns, self.last_used_at, self.lineage = left.turns, left.last_used_at, None
        self.is_found = left.is_found
