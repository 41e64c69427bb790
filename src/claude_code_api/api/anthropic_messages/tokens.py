"""`/v1/messages/count_tokens`: what the model would read of a request, counted and not asked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fastapi import Request

from claude_code_api.api.anthropic_messages.dialogue import Dialogue, dialogue_of
from claude_code_api.api.anthropic_messages.files import read_with_media
from claude_code_api.api.anthropic_messages.tools import tools_of
from claude_code_api.api.anthropic_messages.translate import system_of
from claude_code_api.api.anthropic_messages.unused import unused, unused_to_count
from claude_code_api.api.anthropic_messages.wire import CountRequest
from claude_code_api.api.aside import ask
from claude_code_api.api.context import Context
from claude_code_api.api.media import Media
from claude_code_api.api.parameters import ignored
from claude_code_api.api.schemas import SchemaBudget
from claude_code_api.core.keys import Caller
from claude_code_api.core.turn import Options, Tool
from claude_code_api.errors import InvalidRequest
from claude_code_api.runtime.stored import StoredHistory

_NOTHING = "."
"""A turn has a message; this one is never sent."""


async def counted(
    request: Request, body: CountRequest, context: Context, caller: Caller
) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """Have Claude Code count; with the fields that have no effect. Tools are counted as the JSON they are."""

    def read(media: Media) -> tuple[tuple[str, ...], tuple[Tool, ...], Dialogue]:
        names = ignored(unused(body), strict=context.strict_params)
        names += ignored(unused_to_count(body), strict=False)
        return names, tools_of(body, SchemaBudget())[0], dialogue_of(body.messages, media, appends=False)

    names, tools, dialogue = await read_with_media(request, body, context, caller.tenant, read)
    if not dialogue.messages:
        raise InvalidRequest("messages: at least one message of the user is required.", param="messages")
    system = "\n\n".join(filter(None, (system_of(body), _described(tools))))
    history = StoredHistory(dialogue.messages, dialogue.developer)
    _, done = await ask(
        request, context, caller, history, _NOTHING, model=body.model, system=system, options=Options(counts=True)
    )
    return {"input_tokens": done.usage.input_tokens}, names


def _described(tools: tuple[Tool, ...]) -> str:
    if not tools:
        return ""
    return json.dumps(
        [{"name": tool.name, "description": tool.description, "input_schema": tool.schema} for tool in tools],
        ensure_ascii=False,
    )
