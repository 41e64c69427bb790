"""`/v1/responses/compact`: a conversation as the user's messages and a summary of all the rest."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from pydantic import BaseModel, ConfigDict

from claude_code_api.api.checks import sound
from claude_code_api.api.context import Context
from claude_code_api.api.fetched import fetched
from claude_code_api.api.openai_items.context import hide
from claude_code_api.api.openai_items.ids import response_id
from claude_code_api.api.openai_items.packed import compaction_item
from claude_code_api.api.openai_items.parts import urls_to_fetch
from claude_code_api.api.openai_items.told import Telling, items_of_base
from claude_code_api.api.openai_items.wire import Input
from claude_code_api.api.openai_responses.aside import ask
from claude_code_api.api.openai_responses.place import history_of
from claude_code_api.api.openai_responses.resource import usage
from claude_code_api.core.keys import Caller
from claude_code_api.core.turn import TurnCompleted
from claude_code_api.errors import InvalidRequest
from claude_code_api.runtime.stored import StoredHistory
from claude_code_api.runtime.ticket import Ticket

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
    """Have Claude write the summary."""
    sound(body.instructions or "", "instructions")
    media = await fetched(request, context, caller.tenant, urls_to_fetch(body.input))
    history = await history_of(context, caller.tenant, body.previous_response_id, body.input, media)
    if not history.messages:
        raise InvalidRequest("There is nothing to compact: send 'input' or 'previous_response_id'.", param="input")
    ticket, done = await ask(request, context, caller, history, _ASK, model=body.model, system=body.instructions or "")
    return _object(context, ticket, history, done)


def _object(context: Context, ticket: Ticket, history: StoredHistory, done: TurnCompleted) -> dict[str, Any]:
    told = Telling(thinking=False, encrypted=False, activity=False, hide=hide(context))
    said = [message for message in history.messages if message.role == "user"]
    users = [item for item in items_of_base(ticket.turn_id, said, told) if item["type"] == "message"]
    summary = "\n\n".join(text for message in done.messages if (text := message.text()))
    return {
        "id": response_id(ticket.turn_id),
        "object": "response.compaction",
        "created_at": int(ticket.created_at),
        "output": [*users, compaction_item(f"cmp_{ticket.turn_id.replace('-', '')}", summary)],
        "usage": usage(done.usage),
    }
