"""`/v1/responses` over HTTP."""

from __future__ import annotations

import contextlib
import json
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import JSONResponse, Response

from claude_code_api.api.client import ClientWatch, Delivered
from claude_code_api.api.context import Context, Ctx, Who
from claude_code_api.api.fetched import fetched
from claude_code_api.api.mark import mark_of
from claude_code_api.api.openai_responses import background, input_items, resource
from claude_code_api.api.openai_responses.aside import unused
from claude_code_api.api.openai_responses.begin import Begun, begin, named, telling
from claude_code_api.api.openai_responses.compaction import CompactRequest, compacted
from claude_code_api.api.openai_responses.frames import frames
from claude_code_api.api.openai_responses.tokens import TokensRequest, counted
from claude_code_api.api.openai_responses.wire import ResponsesRequest
from claude_code_api.api.peekable import Peekable
from claude_code_api.api.sse import EventStream
from claude_code_api.core.turn import TurnCompleted, TurnFailed, TurnStarted
from claude_code_api.errors import GatewayError, InvalidRequest

router = APIRouter(prefix="/v1/responses", tags=["OpenAI"])

_LAST = 2**53
"""No event has a larger number: a store could not take it."""


@router.post("", summary="Create a response")
async def create(request: Request, body: ResponsesRequest, context: Ctx, caller: Who) -> Response:
    """Answer on a live Claude Code process: behind `previous_response_id`, or in a `conversation`, on the one it has.

    With `stream`, semantic events; with `background`, at once, and the answer is asked for by the response's id.
    """
    begun = await begin(
        context,
        caller,
        request.headers,
        body,
        mark=partial(mark_of, request),
        fetch=partial(fetched, request, context, caller.tenant),
    )
    request.state.conversation_id = begun.head.conversation_id
    if begun.background:
        return await background.accepted(context, caller.tenant, begun, stream=body.stream is True)
    with contextlib.ExitStack() as undo:
        undo.callback(begun.ticket.abandon)
        response = await (_streamed if body.stream else _whole)(request, context, begun)
        undo.pop_all()
        return response


@router.post("/compact", summary="Compact a conversation")
async def compact(
    request: Request, body: CompactRequest, context: Ctx, caller: Who, response: Response
) -> dict[str, Any]:
    """The user's messages, and one item with a summary of all the rest that Claude wrote, to go on from."""
    response.headers.update(unused(context, body))
    return await compacted(request, body, context, caller)


@router.post("/input_tokens", summary="Count the tokens of a request")
async def input_tokens(
    request: Request, body: TokensRequest, context: Ctx, caller: Who, response: Response
) -> dict[str, Any]:
    """How many tokens the model would read, as Claude Code counts them; nothing is answered, and nothing kept."""
    response.headers.update(unused(context, body))
    return await counted(request, body, context, caller)


@router.get("/{response_id}", summary="Retrieve a response")
async def retrieve(
    response_id: str,
    context: Ctx,
    caller: Who,
    stream: Annotated[bool, Query(description="Of a response in the background: its events.")] = False,
    starting_after: Annotated[
        int, Query(ge=-1, le=_LAST, description="The event that the stream goes on behind.")
    ] = -1,
) -> Response:
    """A response as it is kept; with `stream` its events behind a number, and those that come, each once."""
    stored = await background.find(context, caller.tenant, response_id)
    if not stream:
        return JSONResponse(resource.stored(stored, telling(context, stored.settings)))
    if not stored.background:
        raise InvalidRequest("Only the events of a response in the background are kept.", param="stream")
    return background.resumed(context, stored, starting_after)


@router.delete("/{response_id}", summary="Delete a response")
async def delete(response_id: str, context: Ctx, caller: Who) -> dict[str, Any]:
    """Forget a response and end it if it runs; what was said stays part of its conversation."""
    await background.forget(context, caller.tenant, response_id)
    return {"id": response_id, "object": "response", "deleted": True}


@router.post("/{response_id}/cancel", summary="Cancel a response")
async def cancel(response_id: str, context: Ctx, caller: Who) -> dict[str, Any]:
    """End a response in the background; one that is over stays as it is."""
    stored = await background.cancelled(context, caller.tenant, response_id)
    return resource.stored(stored, telling(context, stored.settings))


@router.get("/{response_id}/input_items", summary="List the input items")
async def list_input_items(
    response_id: str,
    context: Ctx,
    caller: Who,
    after: Annotated[str | None, Query(description="The item that the page follows.")] = None,
    limit: Annotated[int, Query(ge=1, le=100, description="Most items on a page.")] = 20,
    order: Annotated[Literal["asc", "desc"], Query(description="The first one first, or the last.")] = "desc",
) -> dict[str, Any]:
    """What the request brought: what is new in it, and the history that it began with."""
    stored = await background.find(context, caller.tenant, response_id)
    return await input_items.page(context, stored, after=after, limit=limit, newest_first=order == "desc")


async def _whole(request: Request, context: Context, begun: Begun) -> Response:
    async with ClientWatch(request.receive, begun.ticket.abandon):
        async for event in begun.ticket.events():
            if isinstance(event, TurnStarted):
                begun.headers["X-Session-Start"] = event.start.value
            elif isinstance(event, TurnFailed):
                raise named(event.error)
            elif isinstance(event, TurnCompleted):
                body = json.dumps(begun.answered(event), separators=(",", ":"))
                return Delivered(body, on_sent=begun.ticket.delivered, headers=begun.headers)
    raise GatewayError("The turn ended without a result.")


async def _streamed(request: Request, context: Context, begun: Begun) -> Response:
    """Hold the status line back until the first event, so that a failure before it is an ordinary HTTP error."""
    events = Peekable(begun.ticket)
    async with ClientWatch(request.receive, begun.ticket.abandon):
        first = await events.peek(context.heartbeat_s)
    if isinstance(first, TurnFailed):
        raise named(first.error)
    if events.start is not None:
        begun.headers["X-Session-Start"] = events.start.value
    return EventStream(
        frames(begun.told(events.events())),
        heartbeat_s=context.heartbeat_s,
        patience_s=context.patience_s,
        on_gone=begun.ticket.abandon,
        on_sent=begun.ticket.delivered,
        headers=begun.headers,
    )
