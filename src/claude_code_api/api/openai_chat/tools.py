"""What Chat Completions offers the model beside words: tools, the choice among them, and the answer's schema. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from claude_code_api.api.functions import (
    NESTED,
    Format,
    Function,
    check_count,
    check_type,
    checked_tools,
    chosen,
    format_schema,
)
from claude_code_api.api.openai_chat.wire import ChatRequest, ToolDefinition
from claude_code_api.api.schemas import Schema, SchemaBudget
from claude_code_api.core.turn import Tool, ToolChoice
from claude_code_api.errors import InvalidRequest


def tools_of(request: ChatRequest, budget: SchemaBudget) -> tuple[tuple[Tool, ...], ToolChoice]:
    """The client's tools that this turn may call, and which of them it must.

    Raises InvalidRequest or UnsupportedParameter naming the field.
    """
    defined = request.tools or []
    check_count(len(defined))
    tools = checked_tools(_functions(defined), budget)
    return chosen(tools, request.tool_choice, request.parallel_tool_calls, NESTED)


def schema_of(request: ChatRequest, budget: SchemaBudget) -> Schema | None:
    """The JSON schema that the answer must meet, as it can be asked for.

    Raises InvalidRequest or UnsupportedParameter naming the field.
    """
    asked = request.response_format
    if asked is None:
        return None
    where = "response_format.json_schema"
    given = asked.json_schema
    if given is None and asked.type == "json_schema":
        raise InvalidRequest(f"{where} is missing.", param=where)
    if given is None:
        return format_schema(Format("response_format", where, asked.type), budget)
    strict = given.strict is True
    return format_schema(
        Format("response_format", where, asked.type, given.name, given.description, given.schema_, strict), budget
    )


def _functions(defined: list[ToolDefinition]) -> Iterator[Function]:
    for index, definition in enumerate(defined):
        check_type(definition.type, f"tools[{index}]")
        where = f"tools[{index}].function"
        function = definition.function
        if function is None:
            raise InvalidRequest(f"{where} is missing.", param=where)
        yield Function(where, function.name, function.description, function.parameters, function.strict is True)
