"""What lists of sessions and events can be asked for."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, TypeAlias, get_args

from fastapi import Depends, Query

from claude_code_api.api.managed_agents.shapes import seconds_of
from claude_code_api.errors import InvalidRequest
from claude_code_api.managed.session_store import Bounds, Status

EVENT_TYPES = frozenset(
    {
        *("user.message", "user.interrupt", "user.tool_confirmation", "user.custom_tool_result", "user.tool_result"),
        *("user.define_outcome", "system.message", "agent.message", "agent.thinking", "agent.custom_tool_use"),
        *("agent.tool_use", "agent.tool_result", "agent.mcp_tool_use", "agent.mcp_tool_result"),
        *("agent.thread_message_received", "agent.thread_message_sent", "agent.thread_context_compacted"),
        *("session.error", "session.updated", "session.usage", "session.thread_created"),
        *(f"session.status_{one}" for one in ("rescheduled", "running", "idle", "terminated")),
        *(f"session.thread_status_{one}" for one in ("rescheduled", "running", "idle", "terminated")),
        *(f"span.outcome_evaluation_{one}" for one in ("start", "ongoing", "end")),
        *("span.model_request_start", "span.model_request_end"),
        *("workflow_run.created", "workflow_run.status_running", "workflow_run.status_idle"),
        *("workflow_run.status_ended", "workflow_run.phase_started", "workflow_run.phase_ended", "workflow_run.error"),
    }
)
"""The types that a list of events can be kept to."""

PageOf = Annotated[str | None, Query(alias="page", description="The `next_page` of the page before.")]
Order = Literal["asc", "desc"]
Previews: TypeAlias = tuple[str, ...]

_Many = Annotated[list[str] | None, Query()]
_Moment = datetime | None
_PREVIEWED = ("agent.message", "agent.thinking")


async def _bounds(
    gt: Annotated[_Moment, Query(alias="created_at[gt]")] = None,
    gte: Annotated[_Moment, Query(alias="created_at[gte]")] = None,
    lt: Annotated[_Moment, Query(alias="created_at[lt]")] = None,
    lte: Annotated[_Moment, Query(alias="created_at[lte]")] = None,
) -> Bounds:
    return Bounds(seconds_of(gt), seconds_of(gte), seconds_of(lt), seconds_of(lte))


async def _types(
    types: _Many = None, bracketed: Annotated[list[str] | None, Query(alias="types[]")] = None
) -> tuple[str, ...]:
    return _known("types", [*(types or ()), *(bracketed or ())], EVENT_TYPES)


async def _statuses(
    statuses: _Many = None, bracketed: Annotated[list[str] | None, Query(alias="statuses[]")] = None
) -> tuple[str, ...]:
    return _known("statuses", [*(statuses or ()), *(bracketed or ())], get_args(Status))


async def _previews(
    event_deltas: _Many = None, bracketed: Annotated[list[str] | None, Query(alias="event_deltas[]")] = None
) -> Previews:
    return _known("event_deltas", [*(event_deltas or ()), *(bracketed or ())], _PREVIEWED)


def _known(name: str, given: list[str], known: frozenset[str] | tuple[str, ...]) -> tuple[str, ...]:
    if strange := [one for one in given if one not in known]:
        raise InvalidRequest(
            f"{name}[]: {strange[0][:100]!r} is none of {', '.join(sorted(known))}.", param=f"{name}[]"
        )
    return tuple(dict.fromkeys(given))


Created = Annotated[Bounds, Depends(_bounds)]
Types = Annotated[tuple[str, ...], Depends(_types)]
Statuses = Annotated[tuple[str, ...], Depends(_statuses)]
Deltas = Annotated[Previews, Depends(_previews)]
