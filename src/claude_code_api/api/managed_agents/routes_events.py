"""`/v1/sessions/{session_id}/events`: what is sent to a session, what it has told, and what it tells."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from claude_code_api.api.context import Context, Ctx
from claude_code_api.api.hidden import Hidden
from claude_code_api.api.managed_agents.access import User
from claude_code_api.api.managed_agents.content import Reader
from claude_code_api.api.managed_agents.queries import Created, Deltas, Order, PageOf, Previews, Types
from claude_code_api.api.managed_agents.read_events import events_of
from claude_code_api.api.managed_agents.routing import ManagedRoute
from claude_code_api.api.managed_agents.shapes import Json
from claude_code_api.api.managed_agents.shapes_sessions import Hide, event_shown
from claude_code_api.api.managed_agents.wire_sessions import SendEvents
from claude_code_api.api.sessions import address_of
from claude_code_api.api.sse import EscapedJSON, EventStream
from claude_code_api.core.identity import Address
from claude_code_api.managed.paging import cursor, place, shown
from claude_code_api.managed.session_store import EventQuery, StoredEvent
from claude_code_api.managed.standing import thread_id_of
from claude_code_api.managed.watching import Watching

router = APIRouter(
    prefix="/v1/sessions/{session_id}/events",
    tags=["Managed Agents"],
    route_class=ManagedRoute,
    default_response_class=EscapedJSON,
)

Limit = Annotated[int, Query(ge=1, le=1000, description="Most on a page.")]
_PING = b'event: ping\ndata: {"type":"ping"}\n\n'


@router.post("", summary="Send events")
async def send(session_id: str, request: Request, body: SendEvents, context: Ctx, caller: User) -> Json:
    """Give the session something to do. All of it is kept before this answers; if one is refused, none is."""
    address = address_of(caller, session_id)
    log = await context.managed.sessions.log(address)
    reader = Reader(request, context, caller.tenant)
    sent = await context.managed.sessions.send(address, await events_of(body.events, reader, thread_id_of(log.key)))
    return {"data": [event_shown(event, hide(context)) for event in sent]}


@router.get("", summary="List events")
async def list_events(
    session_id: str,
    context: Ctx,
    caller: User,
    processed: Created,
    types: Types,
    limit: Limit = 100,
    order: Order = "asc",
    page: PageOf = None,
) -> Json:
    """What the session has told so far, and what waits for it, behind that."""
    query = EventQuery(limit, newest_first=order == "desc", types=types, processed=processed)
    return await page_of_events(context, address_of(caller, session_id), query, page)


@router.get(
    "/stream",
    summary="Stream events",
    responses={200: {"content": {"text/event-stream": {}}, "description": "Server-sent events."}},
    response_class=Response,
)
async def stream(session_id: str, context: Ctx, caller: User, previews: Deltas) -> Response:
    """What the session tells from now on. It ends when the session is deleted, or the server shuts down."""
    return await stream_of(context, address_of(caller, session_id), previews)


async def page_of_events(context: Context, address: Address, query: EventQuery, page: str | None) -> Json:
    """A page of a session's events; `page` is where it begins."""
    asked = EventQuery(
        limit=query.limit + 1,
        newest_first=query.newest_first,
        after=place(page, int)[0] if page else None,
        types=query.types,
        processed=query.processed,
    )
    found = await context.managed.sessions.events(address, asked)
    hidden = hide(context)
    return shown(found, query.limit, lambda event: event_shown(event, hidden), lambda event: cursor(event.seq))


async def stream_of(context: Context, address: Address, previews: Previews) -> EventStream:
    """The stream of a session's events."""
    watching = await context.managed.sessions.watch(address, previews)
    return EventStream(
        _frames(watching, hide(context)),
        heartbeat_s=context.heartbeat_s,
        patience_s=context.patience_s,
        on_gone=watching.close,
        on_sent=lambda: None,
        headers={"X-Conversation-ID": address.conversation_id},
        heartbeat=_PING,
    )


def hide(context: Context) -> Hide:
    """What hides the server's own directories in what is told."""
    return Hidden(context.sessions_root).of


async def _frames(watching: Watching, hidden: Hide) -> AsyncIterator[bytes]:
    while gained := await watching.more():
        yield b"".join(
            _frame(event_shown(one, hidden) if isinstance(one, StoredEvent) else dict(one)) for one in gained
        )


def _frame(told: Json) -> bytes:
    data = json.dumps(told, separators=(",", ":"))
    return f"event: {told['type']}\ndata: {data}\n\n".encode()
