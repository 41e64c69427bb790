"""`POST /v1/messages` and `POST /v1/messages/count_tokens`."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from claude_code_api.api.anthropic_messages import tokens
from claude_code_api.api.anthropic_messages.answer import Head
from claude_code_api.api.anthropic_messages.files import read_with_media
from claude_code_api.api.anthropic_messages.lines import place_of
from claude_code_api.api.anthropic_messages.stream import Stream, whole, whole_refused
from claude_code_api.api.anthropic_messages.translate import ParsedRequest, parse
from claude_code_api.api.anthropic_messages.wire import CountRequest, MessagesRequest
from claude_code_api.api.client import ClientWatch, Delivered
from claude_code_api.api.context import Context, Ctx, Who
from claude_code_api.api.errors import anthropic_envelope, request_id_of
from claude_code_api.api.mark import mark_of
from claude_code_api.api.media import Media
from claude_code_api.api.peekable import Peekable
from claude_code_api.api.sse import EventStream, named_event
from claude_code_api.core.turn import TurnCompleted, TurnEvent, TurnFailed, TurnStarted
from claude_code_api.errors import ContentRefused, GatewayError, UpstreamInterrupted
from claude_code_api.runtime.ticket import Ticket

router = APIRouter(tags=["Anthropic"])

_PING = named_event("ping", {"type": "ping"})
_IGNORED = "X-Ignored-Params"


@router.post("/v1/messages", summary="Create a message")
async def create(request: Request, body: MessagesRequest, context: Ctx, caller: Who) -> Response:
    """Answer on the conversation's live Claude Code process.

    A client that sends its whole history each time stays on its process; `conversation_id` in the body, or
    `X-Conversation-ID`, names the conversation. With an `Idempotency-Key`, a retry gets the answer that the first
    request had.
    """
    context.profiles.check(context.models.open(body.model).profile, caller)
    parsed = await _parsed(request, body, context, caller.tenant)
    named = parsed.conversation_id
    ticket = await context.manager.submit(caller.tenant, named, parsed.turn, await mark_of(request, named))
    request.state.conversation_id = ticket.conversation_id
    head = Head(
        f"msg_{ticket.turn_id.replace('-', '')}",
        parsed.turn.model,
        thinking=parsed.thinking,
        omitted=parsed.omitted,
        activity=parsed.thinking and not parsed.omitted and context.agent_activity,
    )
    headers = {"X-Conversation-ID": ticket.conversation_id} if parsed.turn.kept else {}
    if ticket.replayed:
        headers["Idempotent-Replayed"] = "true"
    if parsed.ignored:
        headers[_IGNORED] = ", ".join(parsed.ignored)
    with contextlib.ExitStack() as undo:
        undo.callback(ticket.abandon)
        if body.stream:
            response = await _streamed(request, context, ticket, head, headers)
        else:
            response = await _whole(request, ticket, head, headers)
        undo.pop_all()
        return response


@router.post("/v1/messages/count_tokens", summary="Count the tokens of a message")
async def count_tokens(request: Request, body: CountRequest, context: Ctx, caller: Who) -> Response:
    """How many tokens the model would read of this request. Nothing of it is kept."""
    counted, names = await tokens.counted(request, body, context, caller)
    return JSONResponse(dict(counted), headers={_IGNORED: ", ".join(names)} if names else {})


async def _parsed(request: Request, body: MessagesRequest, context: Context, tenant: str) -> ParsedRequest:
    """Translate the body, with the images and files that it names."""
    place = place_of(body.conversation_id, request.headers, context.conversation_headers)

    def parsed(media: Media) -> ParsedRequest:
        return parse(
            body,
            models=context.models,
            place=place,
            strict=context.strict_params,
            side_requests=context.side_requests,
            media=media,
        )

    return await read_with_media(request, body, context, tenant, parsed)


async def _whole(request: Request, ticket: Ticket, head: Head, headers: dict[str, str]) -> Response:
    message = None
    async with ClientWatch(request.receive, ticket.abandon):
        async for event in ticket.events():
            if isinstance(event, TurnStarted):
                headers["X-Session-Start"] = event.start.value
            elif isinstance(event, TurnFailed):
                if not isinstance(event.error, ContentRefused):
                    raise event.error
                message = whole_refused(head, event.error)
            elif isinstance(event, TurnCompleted):
                message = whole(head, event)
    if message is None:
        raise GatewayError("The turn ended without a result.")
    return Delivered(json.dumps(message, separators=(",", ":")), on_sent=ticket.delivered, headers=headers)


async def _streamed(
    request: Request, context: Context, ticket: Ticket, head: Head, headers: dict[str, str]
) -> Response:
    """Hold the status line back until the first event, so that a failure before it is an ordinary HTTP error."""
    first: TurnEvent | None = None
    events = Peekable(ticket)
    async with ClientWatch(request.receive, ticket.abandon):
        first = await events.peek(context.heartbeat_s)
    if isinstance(first, TurnFailed) and not isinstance(first.error, ContentRefused):
        raise first.error
    if events.start is not None:
        headers["X-Session-Start"] = events.start.value
    return EventStream(
        _frames(events, ticket, Stream(head), request_id_of(request.scope)),
        heartbeat_s=context.heartbeat_s,
        patience_s=context.patience_s,
        on_gone=ticket.abandon,
        on_sent=ticket.delivered,
        headers=headers,
        heartbeat=_PING,
    )


async def _frames(events: Peekable, ticket: Ticket, stream: Stream, request_id: str | None) -> AsyncIterator[bytes]:
    async for event in events.events():
        error: GatewayError | None = None
        told = stream.of(event)
        if isinstance(event, TurnFailed) and isinstance(event.error, ContentRefused):
            told = stream.refused(event.error)
        elif isinstance(event, TurnFailed):
            error = event.error
        try:
            frames = b"".join(named_event(one["type"], one) for one in told)
        except UpstreamInterrupted as broken:
            ticket.abandon()
            frames, error = b"", broken
        if error is not None:
            yield named_event("error", anthropic_envelope(error, request_id))
            return
        if frames:
            yield frames
