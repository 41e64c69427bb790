"""`POST /v1/chat/completions`."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import replace

from fastapi import APIRouter, Request
from starlette.responses import Response

from claude_code_api.api.client import ClientWatch, Delivered
from claude_code_api.api.context import Context, Ctx
from claude_code_api.api.errors import envelope
from claude_code_api.api.mark import mark_of
from claude_code_api.api.openai_chat.parts import urls_to_fetch
from claude_code_api.api.openai_chat.translate import Head, parse
from claude_code_api.api.openai_chat.wire import ChatRequest
from claude_code_api.api.sse import EventStream, data
from claude_code_api.core.identity import explicit_id
from claude_code_api.core.turn import (
    AnswerRestarted,
    AnswerStarted,
    StartKind,
    TextDelta,
    ThinkingDelta,
    TurnCompleted,
    TurnEvent,
    TurnFailed,
    TurnStarted,
)
from claude_code_api.errors import GatewayError, UpstreamInterrupted
from claude_code_api.runtime.ticket import Ticket

router = APIRouter(tags=["OpenAI"])


@router.post("/v1/chat/completions", summary="Create a chat completion")
async def create(request: Request, body: ChatRequest, context: Ctx) -> Response:
    """Answer on the conversation's live Claude Code process.

    The same `conversation_id` continues a conversation; without one, a new conversation's id comes back in the body and
    in `X-Conversation-ID`. With an `Idempotency-Key`, a retry gets the answer that the first request had.
    """
    named = explicit_id(body.conversation_id, request.headers.get("x-conversation-id"))
    media = await context.images.fetch(urls_to_fetch(body))
    parsed = parse(body, models=context.models, named=named is not None, strict=context.strict_params, media=media)
    ticket = await context.manager.submit(named, parsed.turn, await mark_of(request, named))
    request.state.conversation_id = ticket.conversation_id
    identity = f"chatcmpl-{ticket.turn_id.replace('-', '')}"
    head = Head(identity, int(ticket.created_at), parsed.turn.model, ticket.conversation_id)
    headers = {"X-Conversation-ID": ticket.conversation_id}
    if ticket.replayed:
        headers["Idempotent-Replayed"] = "true"
    if parsed.ignored:
        headers["X-Ignored-Params"] = ", ".join(parsed.ignored)
    with contextlib.ExitStack() as undo:
        undo.callback(ticket.abandon)
        if body.stream:
            include_usage = body.stream_options is not None and body.stream_options.include_usage
            response = await _streamed(request, context, ticket, head, headers, include_usage=include_usage)
        else:
            response = await _whole(request, context, ticket, head, headers)
        undo.pop_all()
        return response


async def _whole(request: Request, context: Context, ticket: Ticket, head: Head, headers: dict[str, str]) -> Response:
    async with ClientWatch(request.receive, ticket.abandon):
        async for event in ticket.events():
            if isinstance(event, TurnStarted):
                headers["X-Session-Start"] = event.start.value
            elif isinstance(event, TurnFailed):
                raise event.error
            elif isinstance(event, TurnCompleted):
                completion = head.completion(event, reasoning=context.reasoning_content)
                body = json.dumps(completion, separators=(",", ":"))
                return Delivered(body, on_sent=ticket.delivered, headers=headers)
    raise GatewayError("The turn ended without a result.")


async def _streamed(
    request: Request, context: Context, ticket: Ticket, head: Head, headers: dict[str, str], *, include_usage: bool
) -> Response:
    """Hold the status line back until the first event, so that a failure before it is an ordinary HTTP error."""
    first: TurnEvent | None = None
    events = _Peekable(ticket)
    async with ClientWatch(request.receive, ticket.abandon):
        first = await events.peek(context.heartbeat_s)
    if isinstance(first, TurnFailed):
        raise first.error
    if events.start is not None:
        headers["X-Session-Start"] = events.start.value
    frames = _frames(events, ticket, head, reasoning=context.reasoning_content, include_usage=include_usage)
    return EventStream(
        frames,
        heartbeat_s=context.heartbeat_s,
        on_gone=ticket.abandon,
        on_sent=ticket.delivered,
        headers=headers,
    )


class _Peekable:
    """A turn's events, the first of which can be looked at before the answer begins."""

    def __init__(self, ticket: Ticket) -> None:
        self._stream = ticket.events()
        self._first: TurnEvent | None = None
        self.start: StartKind | None = None
        self.model: str | None = None

    async def peek(self, seconds: float) -> TurnEvent | None:
        """The first event of the answer, None when it takes longer than `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                async for event in self._stream:
                    if isinstance(event, TurnStarted):
                        self.start = event.start
                    elif isinstance(event, AnswerStarted):
                        self.model = event.model
                    else:
                        self._first = event
                        return event
        except TimeoutError:
            return None
        return None

    async def events(self) -> AsyncIterator[TurnEvent]:
        """Every event of the answer, the one that was looked at included."""
        if self._first is not None:
            yield self._first
        async for event in self._stream:
            yield event


async def _frames(
    events: _Peekable, ticket: Ticket, head: Head, *, reasoning: bool, include_usage: bool
) -> AsyncIterator[bytes]:
    opened, opening = False, b""
    async for event in events.events():
        if isinstance(event, AnswerStarted):
            events.model = event.model
        elif not opened and not isinstance(event, TurnStarted | TurnFailed):
            opened = True
            head = replace(head, model=events.model or head.model)
            opening = data(head.opening())
        if isinstance(event, TextDelta) or (isinstance(event, ThinkingDelta) and reasoning):
            yield opening + data(head.delta(event))
            opening = b""
        elif isinstance(event, AnswerRestarted) and not opening:
            ticket.abandon()
            lost = UpstreamInterrupted(
                "The model's stream broke in the middle of the answer. Send the request again.", retry_after=1
            )
            yield data(envelope(lost))
            return
        elif isinstance(event, TurnFailed):
            yield data(envelope(event.error))
            return
        elif isinstance(event, TurnCompleted):
            yield opening + data(head.closing(event))
            if include_usage:
                yield data(head.usage_chunk(event))
            yield b"data: [DONE]\n\n"
