"""`/v1/messages/count_tokens`: what the model would read of a request, counted and not asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from fastapi import Request

from claude_code_api.api.anthropic_messages.dialogue import dialogue_of
from claude_code_api.api.anthropic_messages.files import with_files
from claude_code_api.api.anthropic_messages.parts import files_to_read, urls_to_fetch
from claude_code_api.api.anthropic_messages.tools import tools_of
from claude_code_api.api.anthropic_messages.translate import system_of
from claude_code_api.api.anthropic_messages.wire import CountRequest
from claude_code_api.api.aside import ask
from claude_code_api.api.context import Context
from claude_code_api.api.fetched import fetched
from claude_code_api.api.schemas import SchemaBudget
from claude_code_api.core.keys import Caller
from claude_code_api.core.turn import Options, Tool
from claude_code_api.errors import InvalidRequest
from claude_code_api.runtime.stored import StoredHistory

_NOTHING = "."
"""A turn has a message; this one is never sent."""


async def counted(request: Request, body: CountRequest, context: Context, caller: Caller) -> Mapping[str, Any]:
    """Have Claude Code count. Tools are counted as the JSON they are."""
    tools, _ = await asyncio.get_running_loop().run_in_executor(context.checks, tools_of, body, SchemaBudget())
    dialogue_of(
        body.messages, context.images.awaited, appends=False
    )  # what is wrong is told before anything is fetched
    media = await fetched(request, context, caller.tenant, urls_to_fetch(body))
    media = await with_files(media, context, caller.tenant, files_to_read(body))
    dialogue = dialogue_of(body.messages, media, appends=False)
    if not dialogue.messages:
        raise InvalidRequest("messages: at least one message of the user is required.", param="messages")
    system = "\n\n".join(filter(None, (system_of(body), _described(tools))))
    history = StoredHistory(dialogue.messages, dialogue.developer)
    _, done = await ask(
        request, context, caller, history, _NOTHING, model=body.model, system=system, options=Options(counts=True)
    )
    return {"input_tokens": done.usage.input_tokens}


def _described(tools: tuple[Tool, ...]) -> str:
    if not tools:
        return ""
    return json.dumps(
        [{"name": tool.name, "description": tool.description, "input_schema": tool.schema} for tool in tools],
        ensure_ascii=False,
    )
