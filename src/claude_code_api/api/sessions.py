"""`/v1/sessions`: the conversations and their live processes."""

from __future__ import annotations

import asyncio
from typing import Any

import psutil
from fastapi import APIRouter
from starlette.responses import Response

from claude_code_api.api.context import Ctx
from claude_code_api.core.identity import check_id
from claude_code_api.core.session import State
from claude_code_api.runtime.actor import Actor

router = APIRouter(tags=["Sessions"])


@router.get("/v1/sessions", summary="List the sessions")
async def list_sessions(context: Ctx) -> dict[str, Any]:
    """Every conversation, the oldest first."""
    return {"object": "list", "data": [_view(actor) for actor in context.manager.conversations()]}


@router.get("/v1/sessions/{conversation_id}", summary="Retrieve a session")
async def get_session(conversation_id: str, context: Ctx) -> dict[str, Any]:
    """One conversation; 404 when it is unknown."""
    return _view(context.manager.get(check_id(conversation_id)))


@router.delete("/v1/sessions/{conversation_id}", summary="Delete a session", status_code=204)
async def delete_session(conversation_id: str, context: Ctx) -> Response:
    """Stop the process and forget the conversation; its id then starts afresh."""
    await context.manager.delete(check_id(conversation_id))
    return Response(status_code=204)


def _view(actor: Actor) -> dict[str, Any]:
    """A session as the API shows it. Times are Unix seconds; `usage` and `cost_usd` are the whole conversation's."""
    idle = asyncio.get_running_loop().time() - actor.idle_since if actor.state is State.IDLE else None
    return {
        "id": actor.conversation_id,
        "object": "session",
        "state": actor.state.value,
        "pid": actor.pid,
        "model": actor.model or None,
        "profile": "chat",
        "turns": actor.turns,
        "queued_turns": actor.waiting,
        "usage": {
            "input_tokens": actor.usage.input_tokens,
            "output_tokens": actor.usage.output_tokens,
            "cache_read_input_tokens": actor.usage.cache_read_tokens,
            "cache_creation_input_tokens": actor.usage.cache_write_tokens,
        },
        "cost_usd": round(actor.cost_usd, 6),
        "created_at": int(actor.created_at),
        "last_used_at": int(actor.last_used_at),
        "idle_seconds": None if idle is None else round(idle, 1),
        "rss_bytes": _rss(actor.pid),
    }


def _rss(pid: int | None) -> int | None:
    if pid is None:
        return None
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return None
