"""`POST /v1/chat/completions`."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

from fastapi import APIRouter, Request
from starlette.responses import Response

from claude_code_api.api.client import ClientWatch, Delivered
from claude_code_api.api.context import Context, Ctx, Who
from claude_code_api.api.errors import envelope
from claude_code_api.api.fetched import fetched
from claude_code_api.api.mark import mark_of
from claude_code_api.api.media import Media
from claude_code_api.api.openai_chat.answer import Chunks, Head
from claude_code_api.api.openai_chat.parts import urls_to_fetch
from claude_code_api.api.openai_chat.translate import ParsedRequest, parse
from claude_code_api.api.openai_chat.wire import ChatRequest
from claude_code_api.api.peekable import Peekable
from claude_code_api.api.sse import EventStream, data
from claude_code_api.core.identity import Identity, identify
from claude_code_api.core.turn import TurnCompleted, TurnEvent, TurnFailed, TurnStarted
from claude_code_api.errors import GatewayError, SchemaNotTaken, UpstreamInterrupted
from claude_code_api.runtime.ticket import Ticket

router = APIRouter(tags=["OpenAI"])


@router.post("/v1/chat/completions", summary="Create a chat completion")
async def create(request: Request, body: ChatRequest, context: Ctx, caller: Who) -> Response:
    """Answer on the conversation's live Claude Code process.

    The same `conversation_id` continues a conversation; without one, a new conversation's id comes back in the body and
    in `X-Conversation-ID`. With an `Idempotency-Key`, a retry gets the answer that the first request had.
    """
    context.profiles.check(context.models.open(body.model).profile, caller)
    products = context.conversation_headers
    identity = identify(body.conversation_id, request.headers, products, body.session_id())
    parsed = await _parsed(request, body, context, identity, caller.tenant)
    named = None if parsed.turn.apart else identity.conversation_id
    ticket = await context.manager.submit(caller.tenant, named, parsed.turn, await mark_of(request, named))
    request.state.conversation_id = ticket.conversation_id
    head = Head(
        f"chatcmpl-{ticket.turn_id.replace('-', '')}",
        int(ticket.created_at),
        parsed.turn.model,
        ticket.conversation_id if parsed.turn.kept else None,
        structured=parsed.turn.schema is not None,
    )
    headers = {"X-Conversation-ID": ticket.conversation_id} if parsed.turn.kept else {}
    if ticket.replayed:
        headers["Idempotent-Replayed"] = "true"
    if parsed.ignored:
        headers["X-Ignored-Params"] = ", ".join(parsed.ignored)
    with contextlib.ExitStack() as undo:
        undo.callback(ticket.abandon)
        if body.stream:
            include_usage = body.stream_options is not None and body.stream_options.include_usage is True
            response = await _streamed(request, context, ticket, head, headers, include_usage=include_usage)
        else:
            response = await _whole(request, context, ticket, head, headers)
        undo.pop_all()
        return response


async def _parsed(
    request: Request, body: ChatRequest, context: Context, identity: Identity, tenant: str
) -> ParsedRequest:
    """Translate the body, and then once more with the images that it names by URL: what is wrong is told before."""

    def parsed(media: Media) -> ParsedRequest:
        return parse(
            body,
            models=context.models,
            identity=identity,
            strict=context.strict_params,
            side_requests=context.side_requests,
            media=media,
        )

    if body.tools or body.response_format is not None:  # large schemas take a while
        first = await asyncio.get_running_loop().run_in_executor(context.checks, parsed, context.images.awaited)
    else:
        first = parsed(context.images.awaited)
    wanted = urls_to_fetch(body)
    return parsed(await fetched(request, context, tenant, wanted)) if wanted else first


async def _whole(request: Request, context: Context, ticket: Ticket, head: Head, headers: dict[str, str]) -> Response:
    async with ClientWatch(request.receive, ticket.abandon):
        async for event in ticket.events():
            if isinstance(event, TurnStarted):
                headers["X-Session-Start"] = event.start.value
            elif isinstance(event, TurnFailed):
                raise _named(event.error)
            elif isinstance(event, TurnCompleted):
                completion = head.completion(
                    event, reasoning=context.reasoning_content, activity=context.agent_activity
                )
                body = json.dumps(completion, separators=(",", ":"))
                return Delivered(body, on_sent=ticket.delivered, headers=headers)
    raise GatewayError("The turn ended without a result.")


async def _streamed(
    request: Request, context: Context, ticket: Ticket, head: Head, headers: dict[str, str], *, include_usage: bool
) -> Response:
    """Hold the status line back until the first event, so that a failure before it is an ordinary HTTP error."""
    first: TurnEvent | None = None
    events = Peekable(ticket)
    async with ClientWatch(request.receive, ticket.abandon):
        first = await events.peek(context.heartbeat_s)
    if isinstance(first, TurnFailed):
        raise _named(first.error)
    if events.start is not None:
        headers["X-Session-Start"] = events.start.value
    chunks = Chunks(
        head, reasoning=context.reasoning_content, activity=context.agent_activity, include_usage=include_usage
    )
    return EventStream(
        _frames(events, ticket, chunks),
        heartbeat_s=context.heartbeat_s,
        patience_s=context.patience_s,
        on_gone=ticket.abandon,
        on_sent=ticket.delivered,
        headers=headers,
    )


def _named(error: GatewayError) -> GatewayError:
    """The error of a turn with the field of this dialect that it is about."""
    if isinstance(error, SchemaNotTaken):
        error.param = "response_format.json_schema.schema"
    return error


async def _frames(events: Peekable, ticket: Ticket, chunks: Chunks) -> AsyncIterator[bytes]:
    async for event in events.events():
        if isinstance(event, TurnFailed):
            yield data(envelope(_named(event.error)))
            return
        try:
            frames = b"".join(map(data, chunks.of(event)))
        except UpstreamInterrupted as error:
            ticket.abandon()
            yield data(envelope(error))
            return
        if frames:
            yield frames
        if isinstance(event, TurnCompleted):
            yield b"data: [DONE]\n\n"
