"""What a conversation holds, or held at some time, as its rows tell it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from sqlalchemy import ColumnElement, Connection, exists, func, select

from claude_code_api.core.turn import Message
from claude_code_api.runtime.stored import StoredConversation, StoredHistory, Unread
from claude_code_api.store.rows import COMPLETED, REWOUND, conversation_of, from_json
from claude_code_api.store.schema import conversation, response, turn

WITH_BASE = (COMPLETED, REWOUND)
"""A turn that replaced the history before it did so for good: taken back, it leaves the history that it came with."""

REMOVED = "removed"
"""The type of a block that holds the place of what was taken out."""


@dataclass(frozen=True, slots=True)
class Span:
    """Which turns of a conversation a history is made of, by their numbers.

    `first` is the turn that replaced everything before it, or 0; `last` None means to the end.
    """

    key: str
    first: int
    last: int | None = None

    def within(self) -> tuple[ColumnElement[bool], ...]:
        """What picks its rows, whatever became of them."""
        until = () if self.last is None else (turn.c.number <= self.last,)
        return (turn.c.conversation_key == self.key, turn.c.number >= self.first, *until)

    def turns(self) -> tuple[ColumnElement[bool], ...]:
        """What picks its turns, and what was added between them."""
        return (*self.within(), turn.c.status == COMPLETED)


@dataclass(frozen=True, slots=True)
class Held:
    """A history: its messages, the instructions that came with them, its last turn, and that turn if it is unread."""

    messages: tuple[Message, ...]
    developer: tuple[str, ...]
    head: str | None
    unread: Unread | None


def present(connection: Connection, key: str) -> Span:
    """The history that a conversation holds now."""
    return Span(key, _beginning(connection, key))


def span_at(connection: Connection, turn_id: str) -> Span | None:
    """The history that a conversation held when this turn was completed; None when that is gone.

    What a replaced history began with is kept for responses only: of a turn without one nobody knows whether it is
    there.
    """
    mine = (turn.c.id == turn_id, turn.c.status == COMPLETED)
    row = connection.execute(select(turn.c.conversation_key, turn.c.number).where(*mine)).one_or_none()
    if row is None:
        return None
    is_replaced = row.number < _beginning(connection, row.conversation_key)
    if is_replaced and not connection.scalar(select(exists().where(response.c.turn_id == turn_id))):
        return None
    return Span(row.conversation_key, _beginning(connection, row.conversation_key, row.number), row.number)


def _beginning(connection: Connection, key: str, last: int | None = None) -> int:
    """The number of the last turn, up to `last`, that replaced everything before it, or 0."""
    replacing = (turn.c.status.in_(WITH_BASE), turn.c.base.is_not(None))
    return connection.scalar(select(func.max(turn.c.number)).where(*Span(key, 0, last).within(), *replacing)) or 0


def base(connection: Connection, span: Span) -> tuple[str | None, tuple[Message, ...]]:
    """What a history begins with before its first turn, and the turn that it came with; None and nothing without."""
    begins = (turn.c.number == span.first, turn.c.status.in_(WITH_BASE))
    row = connection.execute(select(turn.c.id, turn.c.base).where(*span.within(), *begins)).one_or_none()
    return (None, ()) if row is None or not row.base else (row.id, from_json(row.base))


def held(connection: Connection, span: Span) -> Held:
    """A history: what it begins with, then its turns, without what was taken out of them."""
    rows = connection.execute(select(turn).where(*span.within(), turn.c.status.in_(WITH_BASE)).order_by(turn.c.number))
    messages: list[Message] = []
    developer: list[str] = []
    last = None
    for row in rows:
        messages += from_json(row.base or ())  # the first one's: there is no later one that has any
        developer += row.developer or ()
        if row.status == COMPLETED:
            messages += from_json([row.input, *(row.output or ())])
            last = row
    unread = None if last is None or last.delivered else Unread(last.id, last.fingerprint, last.finished_at)
    return Held(tuple(left_of(messages)), tuple(developer), None if last is None else last.id, unread)


def left_of(messages: Iterable[Message]) -> Iterator[Message]:
    """Messages without what was taken out of them."""
    for message in messages:
        left = tuple(block for block in message.content if block.get("type") != REMOVED)
        if left:
            yield Message(message.role, left)


def history_at(connection: Connection, turn_id: str) -> StoredHistory | None:
    """What a conversation held when this turn was completed."""
    span = span_at(connection, turn_id)
    if span is None:
        return None
    found = held(connection, span)
    return StoredHistory(found.messages, found.developer)


def summary(connection: Connection, *mine: ColumnElement[bool]) -> StoredConversation | None:
    """A conversation that is kept, without its history."""
    row = connection.execute(select(conversation).where(*mine, conversation.c.kept)).one_or_none()
    return None if row is None else conversation_of(row)


def load(connection: Connection, *mine: ColumnElement[bool]) -> StoredConversation | None:
    """A conversation that is kept."""
    found = summary(connection, *mine)
    if found is None:
        return None
    has = held(connection, present(connection, found.key))
    return replace(found, history=has.messages, developer=has.developer, head=has.head, unread=has.unread)
