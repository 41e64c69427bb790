"""Whether a session takes what a client sends. Pure; what the events say by themselves was looked at before."""

from __future__ import annotations

from collections.abc import Sequence

from claude_code_api.errors import ConversationBusy, ConversationInUse, InvalidRequest, ResourceArchived
from claude_code_api.managed import events as ev
from claude_code_api.managed.queue import next_step
from claude_code_api.managed.session_store import ManagedSession, NewEvent, StoredEvent

_MOST_OUTCOMES = 100
_MOST_WAITING = 500


def check_open(session: ManagedSession) -> None:
    """Raise ResourceArchived when a session is archived."""
    if session.archived_at is not None:
        raise ResourceArchived(f"The session {session.session_id!r} is archived, and stays as it is.")


def check_idle(session: ManagedSession, waiting: Sequence[StoredEvent]) -> None:
    """Raise ConversationInUse when a session has something to do; `waiting` is what waits for it.

    What can only wait, for a client or for money, is nothing to do.
    """
    rests = session.status == "idle" and session.run is None
    if not rests or (session.stop_reason != ev.BUDGET_REACHED and next_step(waiting, session) is not None):
        raise ConversationInUse(
            "The session is at work. Send it a user.interrupt first, or wait until it is idle.", retry_after=2
        )


def check_room(waiting: int, events: Sequence[NewEvent]) -> None:
    """Raise ConversationBusy when so many events wait that these are too many; what the agent waits for is taken."""
    if any(event.type in ev.INPUT for event in events) and waiting + len(events) > _MOST_WAITING:
        raise ConversationBusy(
            f"{waiting} events wait for this session's agent, and at most {_MOST_WAITING} can; send the next when it "
            "has some of them.",
            retry_after=2,
        )


def check_sent(session: ManagedSession, events: Sequence[NewEvent]) -> None:
    """Raise InvalidRequest naming the field when the session does not take one of them, as it stands."""
    check_open(session)
    open_calls: dict[str, str] = {one.event_id: one.kind for one in session.waiting if one.answer is None}
    for number, event in enumerate(events):
        if event.type == ev.CUSTOM_RESULT:
            _check_answer(event.body["custom_tool_use_id"], "result", open_calls, f"events.{number}.custom_tool_use_id")
        elif event.type == ev.CONFIRMATION:
            _check_answer(event.body["tool_use_id"], "confirmation", open_calls, f"events.{number}.tool_use_id")
    begun = len(session.outcomes) + sum(event.type == ev.OUTCOME for event in events)
    if begun > _MOST_OUTCOMES:
        raise InvalidRequest(f"events: a session takes at most {_MOST_OUTCOMES} outcomes.", param="events")


def _check_answer(event_id: str, kind: str, open_calls: dict[str, str], where: str) -> None:
    if open_calls.pop(event_id, None) == kind:
        return
    wanted = [one for one, waits in open_calls.items() if waits == kind]
    what = "a result" if kind == "result" else "a confirmation"
    waiting = f"Waiting are: {', '.join(wanted)}." if wanted else f"Nothing waits for {what}."
    raise InvalidRequest(f"{where}: the call {event_id[:100]!r} does not wait for {what}. {waiting}", param=where)
