"""What a request offers the model beside words: functions, the choice among them, and the answer's format. Pure.

The functions of a namespace go to the model under the names of both, `namespace__function`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from claude_code_api.api.checks import checked_name, sound
from claude_code_api.api.functions import (
    FLAT,
    Format,
    Function,
    check_count,
    check_type,
    checked_tools,
    chosen,
    format_schema,
)
from claude_code_api.api.openai_items.namespaces import joined
from claude_code_api.api.openai_responses.wire import FunctionTool, ResponsesRequest
from claude_code_api.api.openai_responses.wire import Tool as GivenTool
from claude_code_api.api.schemas import Schema, SchemaBudget
from claude_code_api.core.turn import Tool, ToolChoice
from claude_code_api.errors import InvalidRequest

_SEARCH = re.compile(r"web_search(_preview)?(_\d{4}_\d\d_\d\d)?")
"""A tool that clients offer unasked. An agent has one of its own; for others it is as if it were not there."""


def unused_tools(request: ResponsesRequest) -> list[str]:
    """The tools that are offered to no use in a chat, as they are listed."""
    return [f"tools.{tool.type}" for tool in request.tools or () if _SEARCH.fullmatch(tool.type)]


def tools_of(request: ResponsesRequest, budget: SchemaBudget) -> tuple[tuple[Tool, ...], ToolChoice]:
    """The client's functions that this turn may call, and which of them it must.

    Raises InvalidRequest or UnsupportedParameter naming the field.
    """
    functions = [
        function
        for index, tool in enumerate(request.tools or [])
        if not _SEARCH.fullmatch(tool.type)
        for function in _functions(tool, f"tools[{index}]")
    ]
    check_count(len(functions))
    # Here it may be said of no tools at all, unlike in chat.
    parallel = request.parallel_tool_calls if functions else None
    return chosen(checked_tools(functions, budget), request.tool_choice, parallel, FLAT)


def schema_of(request: ResponsesRequest, budget: SchemaBudget) -> Schema | None:
    """The JSON schema that the answer must meet. Raises InvalidRequest or UnsupportedParameter naming the field."""
    asked = None if request.text is None else request.text.format
    if asked is None:
        return None
    where = "text.format"
    sound(asked.description or "", f"{where}.description")
    return format_schema(
        Format(where, where, asked.type, asked.name, asked.description, asked.schema_, asked.strict is True), budget
    )


def _functions(tool: GivenTool, where: str) -> Iterator[Function]:
    if tool.type != "namespace":
        yield _function(tool, where)
        return
    namespace = checked_name(_name(tool, where), f"{where}.name")
    sound(tool.description or "", f"{where}.description")
    for index, inner in enumerate(tool.tools or []):
        function = _function(inner, f"{where}.tools[{index}]")
        yield replace(function, name=joined(namespace, function.name))


def _function(tool: FunctionTool, where: str) -> Function:
    check_type(tool.type, where)
    return Function(where, _name(tool, where), tool.description, tool.parameters, tool.strict is True)


def _name(tool: FunctionTool, where: str) -> str:
    if tool.name is None:
        raise InvalidRequest(f"{where}.name is missing.", param=f"{where}.name")
    return tool.name
