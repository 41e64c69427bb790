"""What Chat Completions offers the model beside words: tools, the choice among them, and the answer's schema. Pure."""

from __future__ import annotations

from typing import Any

from claude_code_api.api.answer_schema import answer_schema
from claude_code_api.api.checks import checked_name, sound
from claude_code_api.api.openai_chat.wire import ChatRequest, Function, ToolDefinition
from claude_code_api.api.schemas import Schema, SchemaBudget, checked_schema
from claude_code_api.core.turn import Tool, ToolChoice
from claude_code_api.errors import InvalidRequest, UnsupportedParameter

_MOST_TOOLS = 128


def tools_of(request: ChatRequest, budget: SchemaBudget) -> tuple[tuple[Tool, ...], ToolChoice]:
    """The client's tools that this turn may call, and which of them it must.

    `allowed_tools` offers only those that it names. Their schemas are looked at last, and taken from the `budget`.
    Raises InvalidRequest or UnsupportedParameter naming the field.
    """
    defined = request.tools or []
    if len(defined) > _MOST_TOOLS:
        raise InvalidRequest(
            f"Invalid 'tools': array too long. Expected an array with maximum length {_MOST_TOOLS}, but got an array "
            f"with length {len(defined)} instead.",
            param="tools",
        )
    functions: dict[str, tuple[str, Function]] = {}
    for index, definition in enumerate(defined):
        where = f"tools[{index}]"
        function = _function(definition, where)
        if function.name in functions:
            raise InvalidRequest(
                f"{where}.function.name: there are two tools of the name {function.name!r}.",
                param=f"{where}.function.name",
            )
        functions[function.name] = where, function
    tools = {name: _tool(function, where, budget) for name, (where, function) in functions.items()}
    if request.parallel_tool_calls is False and not tools:
        raise InvalidRequest(
            "'parallel_tool_calls' is only allowed when 'tools' are specified.", param="parallel_tool_calls"
        )
    return _chosen(tools, request.tool_choice, parallel=request.parallel_tool_calls is not False)


def schema_of(request: ChatRequest, budget: SchemaBudget) -> Schema | None:
    """The JSON schema that the answer must meet, as it can be asked for.

    Raises InvalidRequest or UnsupportedParameter naming the field.
    """
    asked = request.response_format
    if asked is None or asked.type == "text":
        return None
    if asked.type == "json_object":
        return {"type": "object"}
    if asked.type != "json_schema":
        raise UnsupportedParameter(
            f"response_format.type: {asked.type!r} is not offered; it is 'text', 'json_object' or 'json_schema'.",
            param="response_format.type",
        )
    where = "response_format.json_schema"
    if asked.json_schema is None:
        raise InvalidRequest(f"{where} is missing.", param=where)
    name = checked_name(asked.json_schema.name, f"{where}.name")
    schema = asked.json_schema.schema_
    if schema is None:
        raise InvalidRequest(f"{where}.schema is missing.", param=f"{where}.schema")
    strict = asked.json_schema.strict is True
    what = f"response_format {name!r}"
    checked_schema(schema, what, f"{where}.schema", strict=strict, budget=budget)
    schema = answer_schema(schema, what, f"{where}.schema")
    if asked.json_schema.description is not None and "description" not in schema:
        return {**schema, "description": sound(asked.json_schema.description, f"{where}.description")}
    return schema


def _function(definition: ToolDefinition, where: str) -> Function:
    if definition.type != "function":
        raise UnsupportedParameter(
            f"{where}.type: tools of the type {definition.type!r} are not offered; describe it as a 'function'.",
            param=f"{where}.type",
        )
    if definition.function is None:
        raise InvalidRequest(f"{where}.function is missing.", param=f"{where}.function")
    checked_name(definition.function.name, f"{where}.function.name")
    sound(definition.function.description or "", f"{where}.function.description")
    return definition.function


def _tool(function: Function, where: str, budget: SchemaBudget) -> Tool:
    schema = function.parameters or {"properties": {}}
    if "type" not in schema:
        schema = {"type": "object", **schema}
    checked_schema(
        schema,
        f"function {function.name!r}",
        f"{where}.function.parameters",
        strict=function.strict is True and bool(function.parameters),
        budget=budget,
    )
    return Tool(function.name, function.description or "", schema)


def _chosen(tools: dict[str, Tool], choice: Any, *, parallel: bool) -> tuple[tuple[Tool, ...], ToolChoice]:
    every = tuple(tools.values())
    if not tools and choice in (None, "auto", "none"):
        return (), ToolChoice()
    if choice is None or choice == "auto":
        return every, ToolChoice("auto", parallel=parallel)
    if choice == "none":
        return every, ToolChoice("none", parallel=parallel)
    if not tools:
        raise InvalidRequest("'tool_choice' is only allowed when 'tools' are specified.", param="tool_choice")
    if choice == "required":
        return every, ToolChoice("any", parallel=parallel)
    if isinstance(choice, str):
        raise InvalidRequest(
            f"tool_choice: {choice[:100]!r} is none of 'none', 'auto', 'required' and an object.", param="tool_choice"
        )
    if choice.get("type") == "function":
        return every, ToolChoice("tool", _named(choice, tools, "tool_choice"), parallel)
    if choice.get("type") == "allowed_tools":
        return _allowed(choice.get("allowed_tools"), tools, parallel=parallel)
    raise UnsupportedParameter(
        "tool_choice.type: an object's type is 'function' or 'allowed_tools'.", param="tool_choice.type"
    )


def _allowed(allowed: Any, tools: dict[str, Tool], *, parallel: bool) -> tuple[tuple[Tool, ...], ToolChoice]:
    where = "tool_choice.allowed_tools"
    named = allowed.get("tools") if isinstance(allowed, dict) else None
    if not isinstance(named, list) or not named or allowed.get("mode") not in ("auto", "required"):
        raise InvalidRequest(f"{where} has a 'mode', 'auto' or 'required', and a list of 'tools'.", param=where)
    names = {_named(one, tools, f"{where}.tools[{index}]") for index, one in enumerate(named)}
    kept = tuple(tool for tool in tools.values() if tool.name in names)
    return kept, ToolChoice("auto" if allowed["mode"] == "auto" else "any", parallel=parallel)


def _named(choice: Any, tools: dict[str, Tool], where: str) -> str:
    """The tool that `{"type": "function", "function": {"name": ...}}` names."""
    function = choice.get("function") if isinstance(choice, dict) and choice.get("type") == "function" else None
    name = function.get("name") if isinstance(function, dict) else None
    if not isinstance(name, str):
        raise InvalidRequest(
            f'{where} must be {{"type": "function", "function": {{"name": ...}}}}.', param=f"{where}.function.name"
        )
    if name not in tools:
        raise InvalidRequest(f"{where}: {name[:100]!r} is none of the tools.", param=f"{where}.function.name")
    return name
