"""What happens on conversations, as it happens, for those who watch.

Owns a bounded memory of it, for each conversation that somebody watches or watched a moment ago. Telling costs a look
into a dictionary where nobody does, and never waits: a watcher that falls behind has a gap.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, assert_never

from claude_code_api.core.identity import Address
from claude_code_api.core.turn import (
    AgentCall,
    AgentResult,
    AnswerRestarted,
    AnswerStarted,
    ApprovalSettled,
    ApprovalWanted,
    ServerFailed,
    TextDelta,
    ThinkingDelta,
    ThinkingSigned,
    ThinkingStarted,
    ToolCallDelta,
    ToolCallStarted,
    TurnCompleted,
    TurnEvent,
    TurnFailed,
    TurnStarted,
)
from claude_code_api.runtime.approvals import Approval

_MOST_EVENTS, _MOST_CHARACTERS = 4000, 2**20
_PIECE = 2**14
_LINGER_S = 60.0
"""How long a conversation that nobody watches any more is remembered, for those who come back."""


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that happened. Ids increase, also across a restart of the server; `data` holds plain values."""

    id: int
    kind: str
    data: Mapping[str, Any]


class Feed:
    """One conversation's. Keeps the last things that happened, with ids that have no holes."""

    def __init__(self) -> None:
        self.state: str | None = None
        self.turn: str | None = None
        self.over = False
        self.watchers = 0
        self.end: asyncio.TimerHandle | None = None
        self.changed = asyncio.Event()
        self.last = time.time_ns() // 1000
        self._kept: deque[Happening] = deque()
        self._sizes: deque[int] = deque()
        self._size = 0

    def put(self, kind: str, data: Mapping[str, Any], size: int = 0) -> None:
        """Remember something, and forget the oldest when it is too much."""
        self.last += 1
        self._kept.append(Happening(self.last, kind, data))
        self._sizes.append(size)
        self._size += size
        while len(self._kept) > _MOST_EVENTS or (self._size > _MOST_CHARACTERS and len(self._kept) > 1):
            self._kept.popleft()
            self._size -= self._sizes.popleft()
        self.changed.set()

    def since(self, last: int) -> list[Happening] | None:
        """What came after the happening `last`; None when that is not known any more."""
        missing = self.last - last
        if not 0 <= missing <= len(self._kept):
            return None
        return [self._kept[-number] for number in range(missing, 0, -1)]

    def present(self, kind: str, last: int) -> Happening:
        """How things stand, for a watcher that is at the happening `last`."""
        return Happening(last, kind, {"state": self.state, "turn_id": self.turn, "at": time.time()})


class Watch:
    """One watcher's way through a feed. It ends when the conversation is deleted, the server drains, or it is closed.

    The first thing it sees is how things stand; behind a gap it sees that again.
    """

    def __init__(self, feed: Feed, last: int | None, left: Callable[[], None]) -> None:
        self._feed = feed
        self._is_new = last is None
        self._last = feed.last if last is None else last
        self._left = left
        self._closed = False

    def begin(self, state: str, turn: str | None) -> None:
        """Say how things stand, for when nothing has happened that says it better."""
        if self._feed.state is None:
            self._feed.state, self._feed.turn = state, turn

    async def more(self) -> list[Happening]:
        """What happened since the last time, as soon as there is something; nothing at the end."""
        feed = self._feed
        if self._is_new:
            self._is_new = False
            return [feed.present("session.state", self._last)]
        while not self._closed:
            found = feed.since(self._last)
            self._last = feed.last
            if found is None:
                return [feed.present("gap", feed.last)]
            if found or feed.over:
                return found
            feed.changed.clear()
            await feed.changed.wait()
        return []

    def close(self) -> None:
        """Stop watching."""
        if not self._closed:
            self._closed = True
            self._feed.changed.set()
            self._left()


class Feeds:
    """The feeds of all conversations. Lives on one event loop; no method waits."""

    def __init__(self) -> None:
        self._feeds: dict[Address, Feed] = {}

    # For watchers

    def watch(self, address: Address, last: int | None) -> Watch:
        """Watch a conversation from now on, or from behind the happening `last`. Call `begin` next, or `close`."""
        feed = self._feeds.setdefault(address, Feed())
        feed.watchers += 1
        if feed.end is not None:
            feed.end.cancel()
        return Watch(feed, last, partial(self._left, address, feed))

    def _left(self, address: Address, feed: Feed) -> None:
        feed.watchers -= 1
        if not feed.watchers and self._feeds.get(address) is feed:
            feed.end = asyncio.get_running_loop().call_later(_LINGER_S, self._end, address)

    def _end(self, address: Address) -> None:
        feed = self._feeds.pop(address, None)
        if feed is not None:
            feed.over = True
            feed.changed.set()

    def close(self) -> None:
        """Every feed ends."""
        for address in list(self._feeds):
            self._end(address)

    # For those to whom it happens

    def state(self, address: Address, state: str, turn_id: str | None = None) -> None:
        """The session is in another state; `turn_id` is the turn that runs, or is the next to run."""
        if (feed := self._feeds.get(address)) is not None:
            feed.state, feed.turn = state, turn_id
            feed.put("session.state", {"state": state, "turn_id": turn_id, "at": time.time()})

    def deleted(self, address: Address) -> None:
        """The conversation is gone, and what comes under its id is another one."""
        self.state(address, "deleted")
        self._end(address)

    def rewound(self, address: Address, turns: int) -> None:
        """The last turns were taken back."""
        if (feed := self._feeds.get(address)) is not None:
            feed.put("session.rewound", {"turns": turns, "at": time.time()})

    def edited(self, address: Address) -> None:
        """What the history holds was changed, and not by a turn."""
        if (feed := self._feeds.get(address)) is not None:
            feed.put("session.changed", {"at": time.time()})

    def approval_ended(self, address: Address, approval: Approval) -> None:
        """A call waits for approval no more, because its turn is over."""
        if (feed := self._feeds.get(address)) is not None:
            told = {"turn_id": approval.turn_id, "id": approval.id, "status": approval.status.value}
            feed.put("approval.settled", {**told, "at": time.time()})

    def turn(self, address: Address, turn_id: str, request_id: str, event: TurnEvent, cost_usd: float) -> None:
        """Something of a turn; `cost_usd` is what it cost, when it is completed."""
        if (feed := self._feeds.get(address)) is None:
            return
        of: dict[str, Any] = {"turn_id": turn_id}
        now = {**of, "at": time.time()}
        match event:
            case TurnStarted():
                feed.turn = turn_id
                feed.put("turn.started", {**now, "start": event.start.value, "request_id": request_id})
            case TextDelta():
                _put_pieces(feed, "turn.text", of, "text", event.text)
            case ThinkingDelta():
                _put_pieces(feed, "turn.thinking", of, "text", event.text)
            case AgentCall() | AgentResult():
                if event.line is not None:
                    feed.put("turn.activity", {**of, "text": event.line}, len(event.line))
            case ToolCallStarted():
                feed.put("turn.tool_call", {**of, "id": event.id, "name": event.name})
            case ToolCallDelta():
                _put_pieces(feed, "turn.tool_arguments", {**of, "id": event.id}, "json", event.json)
            case AnswerRestarted():
                feed.put("turn.restarted", of)
            case ApprovalWanted():
                asked = {**now, "id": event.id, "name": event.name, "text": event.line, "deadline": event.deadline}
                feed.put("approval.wanted", asked, len(event.line))
            case ApprovalSettled():
                feed.put("approval.settled", {**now, "id": event.id, "status": event.status})
            case ServerFailed():
                feed.put("turn.server_failed", {**of, "name": event.name, "message": event.message})
            case TurnCompleted():
                feed.turn = None
                told = {"stop_reason": event.stop_reason, "model": event.model, "usage": event.usage}
                feed.put("turn.completed", {**now, **told, "cost_usd": cost_usd})
            case TurnFailed():
                feed.turn = None if feed.turn == turn_id else feed.turn
                feed.put("turn.failed", {**now, "code": event.error.code, "message": event.error.message})
            case AnswerStarted() | ThinkingStarted() | ThinkingSigned():
                pass  # says no more than what follows
            case _:
                assert_never(event)


def _put_pieces(feed: Feed, kind: str, of: Mapping[str, Any], name: str, text: str) -> None:
    """In pieces of a bounded size: so is what is kept, then."""
    for start in range(0, len(text), _PIECE):
        piece = text[start : start + _PIECE]
        feed.put(kind, {**of, name: piece}, len(piece))
