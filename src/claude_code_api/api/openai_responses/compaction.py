"""`/v1/responses/compact`: a conversation as the user's messages and a summary of all the rest."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from pydantic import BaseModel, ConfigDict

from claude_code_api.api.client import ClientWatch
from claude_code_api.api.context import Context
from claude_code_api.api.fetched import fetched
from claude_code_api.api.mark import mark_of
from claude_code_api.api.openai_items.context import hide
from claude_code_api.api.openai_items.ids import response_id
from claude_code_api.api.openai_items.packed import compaction_item
from claude_code_api.api.openai_items.parts import urls_to_fetch
from claude_code_api.api.openai_items.told import Telling, items_of_base
from claude_code_api.api.openai_items.wire import Input
from claude_code_api.api.openai_responses.place import history_of
from claude_code_api.api.openai_responses.resource import usage
from claude_code_api.core.keys import Caller
from claude_code_api.core.profiles import CHAT
from claude_code_api.core.turn import Message, TurnCompleted, TurnFailed, TurnInput
from claude_code_api.errors import GatewayError, InvalidRequest
from claude_code_api.runtime.stored import StoredHistory

_ASK = (
    "Write a summary of our conversation so far, from which it can go on without the messages themselves. Say what I "
    "want and why, what was found out and decided, every name, number, file, piece of code and open question that "
    "matters for what comes next, and what is to be done now. Write only the summary, in the language that we speak."
)


class CompactRequest(BaseModel):
    """A conversation to compact: as items, or behind a response."""

    model_config = ConfigDict(extra="allow")

    model: str | None = None
    input: Input | None = None
    previous_response_id: str | None = None
    instructions: str | None = None


async def compacted(request: Request, body: CompactRequest, context: Context, caller: Caller) -> dict[str, Any]:
    """Have Claude write the summary, in a conversation of its own that is not kept."""
    opened = context.models.open(body.model)
    context.profiles.check(CHAT, caller)
    media = await fetched(request, context, caller.tenant, urls_to_fetch(body.input))
    history = await history_of(context, caller.tenant, body.previous_response_id, body.input, media)
    if not history.messages:
        raise InvalidRequest("There is nothing to compact: send 'input' or 'previous_response_id'.", param="input")
    turn = TurnInput(
        new=Message("user", ({"type": "text", "text": _ASK},)),
        model=opened.model,
        system=body.instructions or "",
        history=history.messages,
        developer=history.developer,
        named=False,
        apart=True,
        kept=False,
    )
    ticket = await context.manager.submit(caller.tenant, None, turn, await mark_of(request, None))
    try:
        async with ClientWatch(request.receive, ticket.abandon):
            async for event in ticket.events():
                if isinstance(event, TurnFailed):
                    raise event.error
                if isinstance(event, TurnCompleted):
                    ticket.delivered()
                    return _object(context, ticket.turn_id, ticket.created_at, history, event)
    finally:
        ticket.abandon()
    raise GatewayError("The turn ended without a result.")


def _object(
    context: Context, turn_id: str, created_at: float, history: StoredHistory, done: TurnCompleted
) -> dict[str, Any]:
    told = Telling(thinking=False, encrypted=False, activity=False, hide=hide(context))
    said = [message for message in history.messages if message.role == "user"]
    users = [item for item in items_of_base(turn_id, said, told) if item["type"] == "message"]
    summary = "\n\n".join(text for message in done.messages if (text := message.text()))
    return {
        "id": response_id(turn_id),
        "object": "response.compaction",
        "created_at": int(created_at),
        "output": [*users, compaction_item(f"cmp_{turn_id.replace('-', '')}", summary)],
        "usage": usage(done.usage),
    }
