"""What came to a session's conversation in other dialects: its log is brought up to date from the stored turns."""

from __future__ import annotations

from functools import partial
from typing import Any

from claude_code_api.core.toolbox import EVERYTHING
from claude_code_api.core.turn import Message
from claude_code_api.managed import events as ev
from claude_code_api.managed.log import Log, Moved
from claude_code_api.managed.session_store import ManagedSession, NewEvent, Waiting
from claude_code_api.managed.telling import open_calls, told_of
from claude_code_api.runtime.stored import StoredTurn

_AT_ONCE = 50


async def follow(log: Log, thread_id: str) -> None:
    """Bring the log up to date, each turn once. While a turn of the session's own runs, it stays as it is.

    Raises ConversationDeleted or StoreUnavailable.
    """
    while log.session.run is None:
        before, runs = log.session, log.runs
        found = await log.store.turns_behind(log.key, before.followed, limit=_AT_ONCE + 1)
        page, more_follow = found[:_AT_ONCE], len(found) > _AT_ONCE
        if not page:
            return

        events: list[NewEvent] = []
        for _, turn, is_told in page:
            if not is_told:
                events += await _told(log, turn, events)
        number, last, is_told = page[-1]
        state: dict[str, Any] = {"followed": number}
        if not is_told and before.archived_at is None and not more_follow:
            more, waits = _waiting(before, last, events, thread_id)
            events += more
            state |= waits
        try:
            await log.write(events, check=partial(_check, log, before, runs), **state)
        except Moved:
            return


def _check(log: Log, before: ManagedSession, runs: int, session: ManagedSession) -> None:
    if session.run is not None or session.followed != before.followed or log.runs != runs:
        raise Moved


async def _told(log: Log, turn: StoredTurn, earlier: list[NewEvent]) -> list[NewEvent]:
    messages: tuple[Message, ...] = (turn.input, *turn.output)
    results = [block["tool_use_id"] for one in messages for block in one.content if block["type"] == "tool_result"]
    known = await log.store.ids_of_calls(log.key, results) if results else {}
    known |= {event.call_id: event.id for event in earlier if event.call_id is not None}
    return told_of(messages, turn.turn_id, known, EVERYTHING.of)


def _waiting(
    session: ManagedSession, last: StoredTurn, events: list[NewEvent], thread_id: str
) -> tuple[list[NewEvent], dict[str, Any]]:
    """What waits for a client behind a turn: the calls that it ended with, if it did."""
    named = {event.call_id: event.id for event in events if event.call_id is not None}
    calls = [block["id"] for block in open_calls(last.stop_reason, last.output)]
    waiting = tuple(Waiting(named[call], call, "result") for call in calls if call in named)
    if not waiting and not session.waiting:
        return [], {}
    reason = ev.stop_for(one.event_id for one in waiting) if waiting else ev.END_TURN
    idle = ev.status_events("idle", session.agent, thread_id, reason)
    return idle, {"waiting": waiting, "stop_reason": reason}
