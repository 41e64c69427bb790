"""`/v1/sessions/{conversation_id}/events`: what happens on a conversation, as server-sent events with names and ids."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Header
from starlette.responses import Response

from claude_code_api.api.context import Ctx, Who
from claude_code_api.api.sessions import address_of, usage_of
from claude_code_api.api.sse import EventStream
from claude_code_api.core.turn import Usage
from claude_code_api.runtime.feed import Happening, Watch

router = APIRouter(tags=["Sessions"])

_DIGITS = 18


@router.get(
    "/v1/sessions/{conversation_id}/events",
    summary="Watch a session",
    responses={200: {"content": {"text/event-stream": {}}, "description": "Server-sent events."}},
    response_class=Response,
)
async def watch_session(
    conversation_id: str,
    context: Ctx,
    caller: Who,
    last_event_id: Annotated[str | None, Header(description="The id of the last event that arrived.")] = None,
) -> Response:
    """What happens on the session from now on, or from behind `Last-Event-ID`: states, turns, their words as they come.

    What is not remembered any more is one event `gap`. The stream ends when the session is deleted or the server
    shuts down.
    """
    watch = await context.manager.watch(address_of(caller, conversation_id), _number(last_event_id))
    return EventStream(
        _frames(watch),
        heartbeat_s=context.heartbeat_s,
        patience_s=context.patience_s,
        on_gone=watch.close,
        on_sent=lambda: None,
        headers={"X-Conversation-ID": conversation_id},
    )


def _number(last_event_id: str | None) -> int | None:
    """None for none; what is no id of ours is one that is not remembered."""
    if not last_event_id:
        return None
    is_ours = last_event_id.isascii() and last_event_id.isdigit() and len(last_event_id) <= _DIGITS
    return int(last_event_id) if is_ours else 0


async def _frames(watch: Watch) -> AsyncIterator[bytes]:
    while happened := await watch.more():
        yield b"".join(map(_frame, happened))


def _frame(happening: Happening) -> bytes:
    told = json.dumps({name: _plain(value) for name, value in happening.data.items()}, separators=(",", ":"))
    return f"id: {happening.id}\nevent: {happening.kind}\ndata: {told}\n\n".encode()


def _plain(value: Any) -> Any:
    if isinstance(value, Usage):
        return usage_of(value)
    return round(value, 6) if isinstance(value, float) else value
