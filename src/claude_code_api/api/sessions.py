"""`/v1/sessions`: the conversations and their live processes."""

from __future__ import annotations

from typing import Annotated, Any

import psutil
from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from claude_code_api.api.context import Ctx, Who
from claude_code_api.core.identity import Address, check_id
from claude_code_api.core.keys import Caller
from claude_code_api.core.turn import Usage
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
    return _session(await context.manager.get(address_of(caller, conversation_id)))


@router.delete("/v1/sessions/{conversation_id}", summary="Delete a session", status_code=204)
async def delete_session(conversation_id: str, context: Ctx, caller: Who) -> Response:
    """Stop the process and forget the conversation; its id then starts afresh."""
    await context.manager.delete(address_of(caller, conversation_id))
    return Response(status_code=204)


@router.post("/v1/sessions/{conversation_id}/hibernate", summary="Hibernate a session")
async def hibernate_session(conversation_id: str, context: Ctx, caller: Who) -> dict[str, Any]:
    """Stop the process and keep the conversation: its next turn resumes it. 409 while a turn runs."""
    return _session(await context.manager.hibernate(address_of(caller, conversation_id)))


class ForkRequest(BaseModel):
    """The new conversation's id, a new one when there is none, and of how many turns it is made, of all by default."""

    model_config = ConfigDict(extra="forbid", strict=True)

    conversation_id: str | None = None
    turns: Annotated[int, Field(ge=0)] | None = None


class RewindRequest(BaseModel):
    """How many turns are taken back."""

    model_config = ConfigDict(extra="forbid", strict=True)

    turns: Annotated[int, Field(ge=1)] = 1


@router.post("/v1/sessions/{conversation_id}/interrupt", summary="Interrupt a session")
async def interrupt_session(conversation_id: str, context: Ctx, caller: Who) -> dict[str, Any]:
    """End the turn that runs: its client gets `turn_cancelled`, the conversation is as it was before it.

    The process stays. `interrupted` says whether a turn ran; those that wait run next.
    """
    view, interrupted = await context.manager.revisions.interrupt(address_of(caller, conversation_id))
    return {**_session(view), "interrupted": interrupted}


@router.post("/v1/sessions/{conversation_id}/fork", summary="Fork a session", status_code=201)
async def fork_session(
    conversation_id: str, context: Ctx, caller: Who, body: ForkRequest | None = None
) -> dict[str, Any]:
    """Make another conversation of the first `turns` completed turns of this one; this one stays as it is.

    409 when the new `conversation_id` is taken.
    """
    asked = body or ForkRequest()
    made = None if asked.conversation_id is None else check_id(asked.conversation_id)
    view = await context.manager.revisions.fork(address_of(caller, conversation_id), made, asked.turns)
    return _session(view)


@router.post("/v1/sessions/{conversation_id}/rewind", summary="Rewind a session")
async def rewind_session(
    conversation_id: str, context: Ctx, caller: Who, body: RewindRequest | None = None
) -> dict[str, Any]:
    """Take back the last `turns` completed turns. 409 while a turn runs, 400 when there are fewer."""
    asked = body or RewindRequest()
    return _session(await context.manager.revisions.rewind(address_of(caller, conversation_id), asked.turns))


def address_of(caller: Caller, conversation_id: str) -> Address:
    """Where a caller's conversation is found. Raises InvalidRequest for a malformed id."""
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
        "pending_approvals": view.pending_approvals,
        "usage": usage_of(view.usage),
        "cost_usd": round(view.cost_usd, 6),
        "created_at": int(view.created_at),
        "last_used_at": int(view.last_used_at),
        "idle_seconds": None if view.idle_seconds is None else round(view.idle_seconds, 1),
        "rss_bytes": _rss(view.pid),
    }


def usage_of(usage: Usage) -> dict[str, int]:
    """Tokens as the API shows them."""
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "cache_creation_input_tokens": usage.cache_write_tokens,
    }


def _rss(pid: int | None) -> int | None:
    if pid is None:
        return None
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return None
