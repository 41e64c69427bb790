"""The events of a session, made one by one. Pure.

An event is kept without its id, its type and the moment when it was processed; `api/managed_agents` puts them in.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from typing import Any

from claude_code_api import errors as err
from claude_code_api.core.turn import Usage
from claude_code_api.managed.session_store import Json, NewEvent, StoredEvent

END_TURN: Json = {"type": "end_turn"}
RETRIES_EXHAUSTED: Json = {"type": "retries_exhausted"}
BUDGET_REACHED: Json = {"type": "budget_reached"}
REFUSAL: Json = {"type": "refusal"}

USER_MESSAGE, INTERRUPT, CONFIRMATION = "user.message", "user.interrupt", "user.tool_confirmation"
CUSTOM_RESULT, OUTCOME, SYSTEM_MESSAGE = "user.custom_tool_result", "user.define_outcome", "system.message"
INPUT = (USER_MESSAGE, SYSTEM_MESSAGE, OUTCOME)
"""What begins or accompanies a turn."""
TOOL_USE, TOOL_RESULT, CUSTOM_TOOL_USE = "agent.tool_use", "agent.tool_result", "agent.custom_tool_use"
MCP_TOOL_USE, MCP_TOOL_RESULT = "agent.mcp_tool_use", "agent.mcp_tool_result"
MESSAGE, THINKING = "agent.message", "agent.thinking"
REQUEST_START, REQUEST_END = "span.model_request_start", "span.model_request_end"

NO_USAGE = Usage()

_RETRYING, _EXHAUSTED = {"type": "retrying"}, {"type": "exhausted"}
_STATUSES = {
    "running": "status_running",
    "idle": "status_idle",
    "rescheduling": "status_rescheduled",
    "terminated": "status_terminated",
}
_ERRORS: tuple[tuple[type[err.GatewayError], str], ...] = (
    (err.UpstreamOverloaded, "model_overloaded_error"),
    (err.UpstreamRateLimited, "model_rate_limited_error"),
    (err.UpstreamError, "model_request_failed_error"),
    (err.InvalidRequest, "model_request_failed_error"),
)


def new_id() -> str:
    """The id of an event."""
    return f"sevt_{uuid.uuid4().hex}"


def event(kind: str, body: Json | None = None, **more: Any) -> NewEvent:
    """An event of this type."""
    return NewEvent(new_id(), kind, body or {}, **more)


def stop_for(waiting: Iterable[str]) -> Json:
    """Why a session is idle that waits for what these events ask for."""
    return {"type": "requires_action", "event_ids": list(waiting)}


def status_events(status: str, agent: Json, thread_id: str, stop_reason: Json | None = None) -> list[NewEvent]:
    """How the session stands from now on, of its primary thread first: what comes behind an idle is heard as work.

    `stop_reason` goes with `idle`.
    """
    of_thread: Json = {"agent_name": agent["name"], "session_thread_id": thread_id}
    body: Json = {}
    if status == "idle":
        body = {"stop_reason": stop_reason or END_TURN, "stop_details": None}
        if body["stop_reason"] == REFUSAL:
            body["stop_details"] = {"type": "refusal", "category": None, "explanation": None}
    name = _STATUSES[status]
    return [event(f"session.thread_{name}", {**of_thread, **body}), event(f"session.{name}", body)]


def error_event(error: err.GatewayError, *, retrying: bool) -> NewEvent:
    """What went wrong, and whether the server tries again by itself."""
    kind = next((name for of, name in _ERRORS if isinstance(error, of)), "unknown_error")
    told = {"type": kind, "message": error.message, "retry_status": _RETRYING if retrying else _EXHAUSTED}
    return event("session.error", {"error": told})


def server_failed(name: str, message: str, turn_id: str | None) -> NewEvent:
    """An MCP server cannot be used: the session goes on without it, and tries again with the next turn."""
    told = {"type": "mcp_connection_failed_error", "mcp_server_name": name, "message": message}
    return event("session.error", {"error": {**told, "retry_status": _RETRYING}}, turn_id=turn_id)


def lost_approval(use: StoredEvent, turn_id: str | None) -> NewEvent:
    """A call that waited for a person when the server ended: nobody can decide about it any more."""
    is_mcp = use.type == MCP_TOOL_USE
    said = "The server ended while this call waited for approval, so it was not run. The agent begins this turn again."
    body = {
        "mcp_tool_use_id" if is_mcp else "tool_use_id": use.id,
        "content": [{"type": "text", "text": said}],
        "is_error": True,
    }
    return event(MCP_TOOL_RESULT if is_mcp else TOOL_RESULT, body, turn_id=turn_id)


def request_end(start_id: str, usage: Usage, *, is_error: bool, turn_id: str | None) -> NewEvent:
    """A request to the model is over."""
    body = {"model_request_start_id": start_id, "model_usage": model_usage(usage), "is_error": is_error}
    return event(REQUEST_END, body, turn_id=turn_id)


def model_usage(usage: Usage) -> Json:
    """The tokens of a request, as spans tell them."""
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "cache_creation_input_tokens": usage.cache_write_tokens,
    }


def session_usage(usage: Usage, cost_usd: float, active_seconds: float) -> Json:
    """What a session has used so far, as the session itself and its snapshots tell it."""
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "cache_creation": {"ephemeral_5m_input_tokens": usage.cache_write_tokens, "ephemeral_1h_input_tokens": 0},
        "list_cost": {"amount": str(cents(cost_usd)), "currency": "USD"},
        "active_seconds": round(active_seconds, 3),
    }


def cents(cost_usd: float) -> int:
    """Dollars as whole cents, rounded."""
    return int(cost_usd * 100 + 0.5)


def budget_of(limit: int | None) -> Json | None:
    """A budget, as it is shown."""
    if limit is None:
        return None
    return {"type": "limit", "max_list_cost": {"amount": str(limit), "currency": "USD"}}


def texts(content: str | Sequence[Json]) -> str:
    """The words in content blocks."""
    if isinstance(content, str):
        return content
    return "\n".join(block["text"] for block in content if block.get("type") == "text")
