"""`/v1/sessions`: the conversations and their live processes."""

from __future__ import annotations

from typing import Annotated, Any

import psutil
from fastapi import APIRouter, Query
from starlette.responses import Response

from claude_code_api.api.context import Ctx, Who
from claude_code_api.core.identity import Address, check_id
from claude_code_api.core.keys import Caller
from claude_code_api.runtime.views import SessionView

router = APIRouter(tags=["Sessions"])


@router.get("/v1/sessions", summary="List the sessions")
async def list_sessions(
    context: Ctx,
    caller: Who,
    after: Annotated[str | None, Query(description="The id that the page follows.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="Most sessions on a page.")] = 100,
) -> dict[str, Any]:
    """Your conversations, the newest first, a page at a time: `after` the `last_id` of one page comes the next."""
    follows = None if after is None else check_id(after)
    views = await context.manager.page(caller.tenant, after=follows, limit=limit + 1)
    page = [_session(view) for view in views[:limit]]
    return {
        "object": "list",
        "data": page,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
        "has_more": len(views) > limit,
    }


@router.get("/v1/sessions/{conversation_id}", summary="Retrieve a session")
async def get_session(conversation_id: str, context: Ctx, caller: Who) -> dict[str, Any]:
    """One conversation; 404 when it is unknown."""
    return _session(await context.manager.get(_address(caller, conversation_id)))


@router.delete("/v1/sessions/{conversation_id}", summary="Delete a session", status_code=204)
async def delete_session(conversation_id: str, context: Ctx, caller: Who) -> Response:
    """Stop the process and forget the conversation; its id then starts afresh."""
    await context.manager.delete(_address(caller, conversation_id))
    return Response(status_code=204)


@router.post("/v1/sessions/{conversation_id}/hibernate", summary="Hibernate a session")
async def hibernate_session(conversation_id: str, context: Ctx, caller: Who) -> dict[str, Any]:
    """Stop the process and keep the conversation: its next turn resumes it. 409 while a turn runs."""
    return _session(await context.manager.hibernate(_address(caller, conversation_id)))


def _address(caller: Caller, conversation_id: str) -> Address:
    return Address(caller.tenant, check_id(conversation_id))


def _session(view: SessionView) -> dict[str, Any]:
    """A session as the API shows it."""
    return {
        "id": view.conversation_id,
        "object": "session",
        "state": view.state,
        "pid": view.pid,
        "model": view.model or None,
        "profile": view.profile,
        "turns": view.turns,
        "queued_turns": view.queued_turns,
        "usage": {
            "input_tokens": view.usage.input_tokens,
            "output_tokens": view.usage.output_tokens,
            "cache_read_input_tokens": view.usage.cache_read_tokens,
            "cache_creation_input_tokens": view.usage.cache_write_tokens,
        },
        "cost_usd": round(view.cost_usd, 6),
        "created_at": int(view.created_at),
        "last_used_at": int(view.last_used_at),
        "idle_seconds": None if view.idle_seconds is None else round(view.idle_seconds, 1),
        "rss_bytes": _rss(view.pid),
    }


def _rss(pid: int | None) -> int | None:
    if pid is None:
        return None
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return None
