"""`/v1/responses/input_tokens`: what the model would read of a request, counted and not asked."""

from __future__ import annotations

import json
from typing import Any

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field

from claude_code_api.api.checks import sound
from claude_code_api.api.context import Context
from claude_code_api.api.fetched import fetched
from claude_code_api.api.openai_items.parts import urls_to_fetch
from claude_code_api.api.openai_items.wire import Input
from claude_code_api.api.openai_responses.aside import ask
from claude_code_api.api.openai_responses.place import history_of
from claude_code_api.core.keys import Caller
from claude_code_api.core.turn import Options
from claude_code_api.errors import InvalidRequest

_NOTHING = "."
"""A turn has a message; this one is never sent."""


class TokensRequest(BaseModel):
    """A request as it would be sent for a response."""

    model_config = ConfigDict(extra="allow")

    model: str | None = None
    input: Input | None = None
    previous_response_id: str | None = None
    instructions: str | None = None
    tools: list[dict[str, Any]] | None = Field(None, max_length=128)


async def counted(request: Request, body: TokensRequest, context: Context, caller: Caller) -> dict[str, Any]:
    """Have Claude Code count. Tools are counted as the JSON they are."""
    sound(body.instructions or "", "instructions")
    media = await fetched(request, context, caller.tenant, urls_to_fetch(body.input))
    history = await history_of(context, caller.tenant, body.previous_response_id, body.input, media)
    if not history.messages:
        raise InvalidRequest("There is nothing to count: send 'input' or 'previous_response_id'.", param="input")
    tools = json.dumps(body.tools) if body.tools else ""
    system = "\n\n".join(filter(None, (body.instructions, tools)))
    _, done = await ask(
        request, context, caller, history, _NOTHING, model=body.model, system=system, options=Options(counts=True)
    )
    return {"object": "response.input_tokens", "input_tokens": done.usage.input_tokens}
