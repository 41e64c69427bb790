"""Sessions, their events and their one thread, as the API shows them. Pure, but for the clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from claude_code_api.api.managed_agents.shapes import Json, timestamp
from claude_code_api.managed import events as ev
from claude_code_api.managed import outcomes
from claude_code_api.managed.session_store import ListedSession, ManagedSession, StoredEvent
from claude_code_api.managed.standing import Conversation, spent, thread_id_of

Hide = Callable[[Any], Any]
"""What hides the server's own directories in what is told."""

_MAY_WAIT = (ev.USER_MESSAGE, ev.INTERRUPT, ev.CONFIRMATION, ev.CUSTOM_RESULT, ev.SYSTEM_MESSAGE)
"""The events that are shown before the agent has them."""
_OF_TOOLS = (ev.TOOL_USE, ev.TOOL_RESULT, ev.MCP_TOOL_USE, ev.MCP_TOOL_RESULT)


def session_shown(one: ListedSession) -> Json:
    """A session."""
    session = _own(one)
    active = active_seconds(session)
    return {
        "id": one.conversation_id,
        "type": "session",
        "agent": session.agent,
        "environment_id": session.environment_id,
        "title": session.title,
        "metadata": dict(one.metadata),
        "status": session.status,
        "budget": ev.budget_of(session.budget),
        "outcome_evaluations": [_outcome_shown(outcome) for outcome in session.outcomes],
        "resources": [resource_shown(resource) for resource in session.resources],
        "stats": {"active_seconds": active, "duration_seconds": _duration(session)},
        "usage": spent(Conversation(one.usage, one.cost_usd), active),
        "vault_ids": [],
        "created_at": timestamp(one.created_at),
        "updated_at": timestamp(session.updated_at),
        "archived_at": None if session.archived_at is None else timestamp(session.archived_at),
    }


def thread_shown(one: ListedSession) -> Json:
    """The primary thread of a session, which is the only one."""
    session = _own(one)
    active = active_seconds(session)
    has_run = session.running_since is not None or active > 0
    stats = {"active_seconds": active, "duration_seconds": _duration(session), "startup_seconds": 0.0}
    return {
        "id": thread_id_of(session.key),
        "type": "session_thread",
        "session_id": one.conversation_id,
        "agent": {name: value for name, value in session.agent.items() if name != "multiagent"},
        "parent_thread_id": None,
        "status": session.status,
        "stats": stats if has_run else None,
        "usage": spent(Conversation(one.usage, one.cost_usd), active),
        "workflow_run_id": None,
        "created_at": timestamp(one.created_at),
        "updated_at": timestamp(session.updated_at),
        "archived_at": None if session.archived_at is None else timestamp(session.archived_at),
    }


def event_shown(event: StoredEvent, hide: Hide) -> Json:
    """An event. What its tools are told and tell does not name the server's own directories."""
    at = event.processed_at
    if at is None and event.type not in _MAY_WAIT:
        at = event.created_at
    body = hide(event.body) if event.type in _OF_TOOLS else event.body
    return {"id": event.id, "type": event.type, **body, "processed_at": None if at is None else timestamp(at)}


def resource_shown(resource: Json) -> Json:
    """A file that is mounted."""
    times = {name: timestamp(resource[name]) for name in ("created_at", "updated_at")}
    return {**resource, **times}


def active_seconds(session: ManagedSession) -> float:
    """For how long a session has run so far."""
    since = session.running_since
    return round(session.active_seconds + (0.0 if since is None else max(0.0, time.time() - since)), 3)


def _own(one: ListedSession) -> ManagedSession:
    assert one.session is not None  # the service fills it in
    return one.session


def _duration(session: ManagedSession) -> float:
    return round(max(0.0, (session.archived_at or time.time()) - session.created_at), 3)


def _outcome_shown(outcome: Json) -> Json:
    shown = outcomes.shown(outcome)
    ended = shown["completed_at"]
    return {**shown, "completed_at": None if ended is None else timestamp(ended)}
