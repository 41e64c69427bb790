"""Responses that are kept: those that run on without their client, and all that can be asked for by their id."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

from starlette.responses import JSONResponse, Response

from claude_code_api.api.context import Context
from claude_code_api.api.openai_items.ids import turn_of
from claude_code_api.api.openai_responses import resource
from claude_code_api.api.openai_responses.begin import Begun, named, telling
from claude_code_api.api.openai_responses.frames import frames
from claude_code_api.api.openai_responses.progress import Event
from claude_code_api.api.openai_responses.stream import Stream, is_last
from claude_code_api.api.sse import EventStream
from claude_code_api.core.turn import TurnCompleted, TurnFailed
from claude_code_api.errors import GatewayError, InvalidRequest, ResponseNotFound, TurnCancelled
from claude_code_api.runtime.background import Reader
from claude_code_api.runtime.stored import ResponseStatus, StoredResponse

_OPEN = (ResponseStatus.QUEUED, ResponseStatus.RUNNING)


async def find(context: Context, tenant: str, given: str) -> StoredResponse:
    """The tenant's response of this id. Raises ResponseNotFound or StoreUnavailable."""
    turn_id = turn_of(given)
    found = None if turn_id is None else await context.manager.store.response(tenant, turn_id)
    if found is None:
        raise ResponseNotFound(f"Response with id {given[:100]!r} not found.", param="response_id")
    return found


async def accepted(context: Context, tenant: str, begun: Begun, *, stream: bool) -> Response:
    """The answer to a request for a response in the background: it is kept already, and runs on from here by itself.

    Raises what refused it at once.
    """
    ticket = begun.ticket
    refusal = ticket.failure
    context.manager.backgrounds.run(ticket, begun.told(ticket.events()))
    if refusal is not None:
        await context.manager.store.forget_response(tenant, ticket.turn_id)
        raise named(refusal)
    if stream:
        return resumed(context, await find(context, tenant, begun.head.id), -1, begun.headers)
    if ticket.replayed:
        return JSONResponse(
            resource.stored(await find(context, tenant, begun.head.id), begun.head.telling), headers=begun.headers
        )
    return JSONResponse(begun.head.pending("queued"), headers=begun.headers)


async def cancelled(context: Context, tenant: str, given: str) -> StoredResponse:
    """End a response in the background; as it is then. Raises InvalidRequest for another one."""
    found = await find(context, tenant, given)
    if not found.background:
        raise InvalidRequest(
            "Only a response in the background can be cancelled: any other ends when its client leaves.",
            param="response_id",
        )
    if found.status not in _OPEN:
        return found
    await context.manager.backgrounds.cut(found.turn_id)
    return await find(context, tenant, given)


async def forget(context: Context, tenant: str, given: str) -> None:
    """Forget a response; one that runs in the background is ended first."""
    found = await find(context, tenant, given)
    if found.background and found.status in _OPEN:
        await context.manager.backgrounds.cut(found.turn_id)
    await context.manager.store.forget_response(tenant, found.turn_id)


def resumed(
    context: Context, response: StoredResponse, after: int, headers: dict[str, str] | None = None
) -> EventStream:
    """The events of a response in the background behind the number `after`, to the last one."""
    reader = context.manager.backgrounds.read(response.turn_id, after)
    return EventStream(
        frames(_to_the_end(context, response, reader, after)),
        heartbeat_s=context.heartbeat_s,
        patience_s=context.patience_s,
        on_gone=reader.close,
        on_sent=lambda: None,
        headers=headers or {"X-Conversation-ID": response.conversation_id},
    )


async def _to_the_end(context: Context, response: StoredResponse, reader: Reader, after: int) -> AsyncIterator[Event]:
    """What was recorded, and what a server that was killed could not record any more: that follows from the rest."""
    last: Event | None = None
    async for event in reader:
        last = dict(event)
        yield last
    if last is not None and is_last(last):
        return
    store = context.manager.store
    ended = await store.response(response.tenant, response.turn_id)
    if ended is None or ended.status in _OPEN:
        return  # it was deleted, or this reader has left
    told = await store.events(response.turn_id, after=-1)
    stream = Stream.restored(told, resource.head_of(ended, telling(context, ended.settings)), clock=time.time)
    for event in stream.of(_outcome(ended)):
        if event["sequence_number"] > after:
            yield event


def _outcome(response: StoredResponse) -> TurnCompleted | TurnFailed:
    turn = response.turn
    if turn is not None:
        return TurnCompleted(turn.stop_reason, turn.model, turn.usage, None, turn.output)
    message = response.error_message or "The turn ended without an answer."
    if response.status is ResponseStatus.CANCELLED:
        return TurnFailed(TurnCancelled(message))
    error = GatewayError(message)
    error.code = response.error_code or error.code
    return TurnFailed(error)
