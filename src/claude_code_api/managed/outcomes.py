"""Outcomes: how they stand, what an agent is told of one, and what its grader sees. Pure, but for the clock."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from claude_code_api.managed import events as ev
from claude_code_api.managed.session_store import Json, ManagedSession, StoredEvent

DEFAULT_ITERATIONS, MOST_ITERATIONS = 3, 20

Change: TypeAlias = Callable[[ManagedSession], tuple[Json, ...]]
"""How a session's outcomes stand after something, made of how the session stands just before."""

_OPEN = ("pending", "running", "evaluating")
_SHOWN = ("type", "outcome_id", "description", "iteration", "result", "explanation", "completed_at")
_LONGEST, _LONGEST_PART = 120_000, 4_000


def new_outcome_id() -> str:
    """The id of an outcome."""
    return f"outc_{uuid.uuid4().hex}"


def begun(body: Json, event_id: str) -> Json:
    """A new outcome, before the agent works on it; `body` is that of the event that defined it."""
    return {
        "type": "outcome_evaluation",
        "outcome_id": body["outcome_id"],
        "event_id": event_id,
        "description": body["description"],
        "iteration": 0,
        "result": "pending",
        "explanation": None,
        "completed_at": None,
    }


def shown(outcome: Json) -> Json:
    """It, as a session shows it."""
    return {name: outcome[name] for name in _SHOWN}


def change(*outcome_ids: str, **values: Any) -> Change:
    """What changes some of a session's outcomes, whenever it is written. A result that ends one says when."""
    if values["result"] not in _OPEN:
        values["completed_at"] = time.time()

    def changed(session: ManagedSession) -> tuple[Json, ...]:
        return tuple({**one, **values} if one["outcome_id"] in outcome_ids else one for one in session.outcomes)

    return changed


def changes(*each: Change) -> Change:
    """Several changes in one, the first one first."""

    def changed(session: ManagedSession) -> tuple[Json, ...]:
        for one in each:
            session = replace(session, outcomes=one(session))
        return session.outcomes

    return changed


def active(outcomes: Sequence[Json]) -> Json | None:
    """The outcome that the agent works towards now."""
    return next((one for one in outcomes if one["result"] in ("running", "evaluating")), None)


def task(body: Json) -> str:
    """What the agent is told of an outcome."""
    return (
        f"{body['description']}\n\nYour work will be graded by this rubric:\n\n{body['rubric']['content']}\n\n"
        "Work until every criterion is met, and say at the end what you made and where it is."
    )


def revision(explanation: str) -> str:
    """What the agent is told when its work has to be revised."""
    return f"Your work was graded, and needs a revision:\n\n{explanation}\n\nRevise it so that every criterion is met."


def farewell(explanation: str) -> str:
    """What the agent is told when it may not revise its work any more."""
    return (
        f"Your work was graded once more, and still does not meet every criterion:\n\n{explanation}\n\nThere are no "
        "more revisions. Say in a few words what is done and what is not."
    )


def record(events: Sequence[StoredEvent]) -> str:
    """What an agent said and did, for its grader: the end of it, when it is too long."""
    told = "\n\n".join(filter(None, map(_line, events)))
    return told if len(told) <= _LONGEST else f"[the beginning is left out]\n\n{told[-_LONGEST:]}"


def _line(event: StoredEvent) -> str:
    body = event.body
    if event.type in (ev.TOOL_USE, ev.MCP_TOOL_USE, ev.CUSTOM_TOOL_USE):
        return f"[the agent calls {body['name']}] {_cut(json.dumps(body['input'], ensure_ascii=False))}"
    if event.type in (ev.TOOL_RESULT, ev.MCP_TOOL_RESULT, ev.CUSTOM_RESULT):
        return f"[the call {'failed' if body.get('is_error') else 'gave'}] {_cut(ev.texts(body.get('content') or ()))}"
    return f"[the agent says] {ev.texts(body['content'])}" if event.type == ev.MESSAGE else ""


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_PART else f"{text[:_LONGEST_PART]} [...]"
