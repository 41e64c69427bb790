"""What a request offers the model beside words: functions, the choice among them, and the answer's format. Pure."""

from __future__ import annotations

from claude_code_api.api.checks import sound
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
from claude_code_api.api.openai_responses.wire import ResponsesRequest
from claude_code_api.api.schemas import Schema, SchemaBudget
from claude_code_api.core.turn import Tool, ToolChoice
from claude_code_api.errors import InvalidRequest


def tools_of(request: ResponsesRequest, budget: SchemaBudget) -> tuple[tuple[Tool, ...], ToolChoice]:
    """The client's functions that this turn may call, and which of them it must.

    Raises InvalidRequest or UnsupportedParameter naming the field.
    """
    given = request.tools or []
    check_count(len(given))
    functions: list[Function] = []
    for index, tool in enumerate(given):
        where = f"tools[{index}]"
        check_type(tool.type, where)
        if tool.name is None:
            raise InvalidRequest(f"{where}.name is missing.", param=f"{where}.name")
        functions.append(Function(where, tool.name, tool.description, tool.parameters, tool.strict is True))
    # Here it may be said of no tools at all, unlike in chat.
    parallel = request.parallel_tool_calls if given else None
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
