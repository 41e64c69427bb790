"""`/v1/sessions/{session_id}/threads`: the primary thread, which is the only one a session has here."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from claude_code_api.api.context import Context, Ctx
from claude_code_api.api.managed_agents.access import User
from claude_code_api.api.managed_agents.queries import Deltas, PageOf, Statuses
from claude_code_api.api.managed_agents.routes_events import Limit, page_of_events, stream_of
from claude_code_api.api.managed_agents.routing import ManagedRoute
from claude_code_api.api.managed_agents.shapes import Json
from claude_code_api.api.managed_agents.shapes_sessions import thread_shown
from claude_code_api.api.sessions import address_of
from claude_code_api.api.sse import EscapedJSON
from claude_code_api.core.identity import Address
from claude_code_api.errors import InvalidRequest, ResourceNotFound
from claude_code_api.managed.session_store import EventQuery

router = APIRouter(
    prefix="/v1/sessions/{session_id}/threads",
    tags=["Managed Agents"],
    route_class=ManagedRoute,
    default_response_class=EscapedJSON,
)


@router.get("", summary="List threads")
async def list_threads(
    session_id: str,
    context: Ctx,
    caller: User,
    statuses: Statuses,
    limit: Annotated[int, Query(ge=1, le=1000, description="Most on a page.")] = 1000,
    page: PageOf = None,
) -> Json:
    """The primary thread. Claude Code's sub-agents work inside it, and are no threads of the session."""
    if page is not None:
        raise InvalidRequest("page: there is one page.", param="page")
    thread = thread_shown(await context.managed.sessions.get(address_of(caller, session_id)))
    found = [thread] if not statuses or thread["status"] in statuses else []
    return {"data": found[:limit], "next_page": None}


@router.get("/{thread_id}", summary="Retrieve a thread")
async def retrieve(session_id: str, thread_id: str, context: Ctx, caller: User) -> Json:
    """The primary thread."""
    return await _thread(context, address_of(caller, session_id), thread_id)


@router.post("/{thread_id}/archive", summary="Archive a thread")
async def archive(session_id: str, thread_id: str, context: Ctx, caller: User) -> Json:
    """Refused: the primary thread goes with its session."""
    await _thread(context, address_of(caller, session_id), thread_id)
    raise InvalidRequest("The primary thread is archived with its session: archive that.", param="thread_id")


@router.get("/{thread_id}/events", summary="List a thread's events")
async def list_events(
    session_id: str, thread_id: str, context: Ctx, caller: User, limit: Limit = 100, page: PageOf = None
) -> Json:
    """The events of the session."""
    address = address_of(caller, session_id)
    await _thread(context, address, thread_id)
    return await page_of_events(context, address, EventQuery(limit), page)


@router.get(
    "/{thread_id}/stream",
    summary="Stream a thread's events",
    responses={200: {"content": {"text/event-stream": {}}, "description": "Server-sent events."}},
    response_class=Response,
)
async def stream(session_id: str, thread_id: str, context: Ctx, caller: User, previews: Deltas) -> Response:
    """What the session tells from now on."""
    address = address_of(caller, session_id)
    await _thread(context, address, thread_id)
    return await stream_of(context, address, previews)


async def _thread(context: Context, address: Address, thread_id: str) -> Json:
    thread = thread_shown(await context.managed.sessions.get(address))
    if thread["id"] != thread_id:
        raise ResourceNotFound(f"The session has no thread {thread_id[:100]!r}.", param="thread_id")
    return thread
