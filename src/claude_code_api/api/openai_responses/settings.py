"""The echo: what a Response object repeats of its request. Pure; it is stored with the response, as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from claude_code_api.api.openai_items.namespaces import namespaced
from claude_code_api.api.openai_items.shapes import Hide
from claude_code_api.api.openai_items.told import Telling
from claude_code_api.api.openai_responses.wire import FunctionTool, ResponsesRequest, Tool

_ENCRYPTED = "reasoning.encrypted_content"
INCLUDED = (_ENCRYPTED, "message.input_image.image_url")
"""What `include` can ask for; images are told in any case."""
UNSEEN = ("include",)
"""What is kept of a request, and not shown."""


def settings_of(request: ResponsesRequest, model: str, conversation_id: str | None) -> dict[str, Any]:
    """What is kept of a request, whose values were checked. `conversation_id` is the conversation that it names."""
    asked = request.reasoning
    return {
        "model": model,
        "instructions": request.instructions,
        "previous_response_id": request.previous_response_id,
        "conversation": None if conversation_id is None else {"id": conversation_id},
        "tools": [_tool(tool) for tool in request.tools or ()],
        "tool_choice": _choice(request.tool_choice),
        "parallel_tool_calls": request.parallel_tool_calls is not False,
        "max_tool_calls": request.max_tool_calls,
        "text": {"format": _format(request), "verbosity": (request.text and request.text.verbosity) or "medium"},
        "reasoning": {
            "effort": asked and asked.effort,
            "summary": asked and (asked.summary or asked.generate_summary),
        },
        "temperature": _or(request.temperature, 1.0),
        "top_p": _or(request.top_p, 1.0),
        "presence_penalty": _or(request.presence_penalty, 0.0),
        "frequency_penalty": _or(request.frequency_penalty, 0.0),
        "top_logprobs": 0,
        "max_output_tokens": request.max_output_tokens,
        "truncation": truncation(request),
        "metadata": request.metadata or {},
        "user": request.user,
        "safety_identifier": request.safety_identifier,
        "prompt_cache_key": request.prompt_cache_key,
        "service_tier": "default",
        "store": request.is_stored,
        "background": request.background is True,
        "include": [name for name in INCLUDED if name in (request.include or ())],
    }


def telling_of(settings: Mapping[str, Any], *, thinking: bool, activity: bool, hide: Hide) -> Telling:
    """What is told of an answer: what the request asked for, as far as the operator lets it."""
    return Telling(
        thinking=thinking and settings["reasoning"]["summary"] is not None,
        encrypted=thinking and _ENCRYPTED in settings["include"],
        activity=activity,
        hide=hide,
        namespaced=namespaced(settings["tools"]),
    )


def truncation(request: ResponsesRequest) -> Literal["auto", "disabled"]:
    """What happens when a conversation outgrows the model's context: a summary takes its place, or it is an error."""
    return request.truncation or "auto"


def _tool(tool: Tool) -> dict[str, Any]:
    """What was checked of it, and no more: what else a client says of one may be anything."""
    if tool.type == "function":
        return _function(tool)
    if tool.type != "namespace":
        return {"type": tool.type}
    return {
        "type": "namespace",
        "name": tool.name,
        "description": tool.description,
        "tools": [_function(one) for one in tool.tools or ()],
    }


def _function(tool: FunctionTool) -> dict[str, Any]:
    return {
        "type": "function",
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
        "strict": tool.strict,
    }


def _choice(choice: str | dict[str, Any] | None) -> str | dict[str, Any]:
    if choice is None or isinstance(choice, str):
        return choice or "auto"
    if choice["type"] == "function":
        return {"type": "function", "name": choice["name"]}
    named = [{"type": "function", "name": tool["name"]} for tool in choice["tools"]]
    return {"type": "allowed_tools", "mode": choice["mode"], "tools": named}


def _format(request: ResponsesRequest) -> dict[str, Any]:
    asked = None if request.text is None else request.text.format
    if asked is None or asked.type != "json_schema":
        return {"type": "text" if asked is None else asked.type}
    return {
        "type": "json_schema",
        "name": asked.name,
        "description": asked.description,
        "schema": asked.schema_,
        "strict": asked.strict is True,
    }


def _or(given: float | None, default: float) -> float:
    return default if given is None else given
