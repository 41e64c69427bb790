"""The functions that a client offers, the choice among them, and the answer's format, in all OpenAI dialects. Pure.

The dialects put the same fields at different places; what is refused is named as the dialect has it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from claude_code_api.api.answer_schema import answer_schema
from claude_code_api.api.checks import checked_name, sound
from claude_code_api.api.schemas import Schema, SchemaBudget, checked_schema
from claude_code_api.core.turn import Tool, ToolChoice
from claude_code_api.errors import InvalidRequest, UnsupportedParameter

_MOST_TOOLS = 128


@dataclass(frozen=True, slots=True)
class Function:
    """A function as a client describes it; `where` is what has these fields, such as `tools[0].function`."""

    where: str
    name: str
    description: str | None
    parameters: dict[str, Any] | None
    strict: bool


@dataclass(frozen=True, slots=True)
class Shape:
    """How a dialect names a function, and those that are allowed: in an object under this key, or flat with None."""

    function: str | None
    allowed: str | None


NESTED = Shape("function", "allowed_tools")
FLAT = Shape(None, None)


@dataclass(frozen=True, slots=True)
class Format:
    """What the answer must be; `where` has its type, `inside` the other fields, which are those of a JSON schema."""

    where: str
    inside: str
    type: str
    name: str | None = None
    description: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool = False


def check_count(tools: int) -> None:
    """Raises InvalidRequest when a request has more tools than are taken."""
    if tools > _MOST_TOOLS:
        raise InvalidRequest(
            f"Invalid 'tools': array too long. Expected an array with maximum length {_MOST_TOOLS}, but got an array "
            f"with length {tools} instead.",
            param="tools",
        )


def check_type(kind: str, where: str) -> None:
    """Raises UnsupportedParameter for a tool that is no function; `where` is the tool."""
    if kind != "function":
        raise UnsupportedParameter(
            f"{where}.type: tools of the type {kind!r} are not offered; describe it as a 'function'.",
            param=f"{where}.type",
        )


def checked_tools(described: Iterable[Function], budget: SchemaBudget) -> dict[str, Tool]:
    """The functions by their names. Their schemas are looked at last, and taken from the `budget`.

    Raises InvalidRequest naming the field.
    """
    functions: dict[str, Function] = {}
    for function in described:
        name = checked_name(function.name, f"{function.where}.name")
        sound(function.description or "", f"{function.where}.description")
        if name in functions:
            raise InvalidRequest(
                f"{function.where}.name: there are two tools of the name {name!r}.", param=f"{function.where}.name"
            )
        functions[name] = function
    return {name: _tool(function, budget) for name, function in functions.items()}


def chosen(
    tools: dict[str, Tool], choice: str | dict[str, Any] | None, parallel: bool | None, shape: Shape
) -> tuple[tuple[Tool, ...], ToolChoice]:
    """The tools that a turn may call, and which of them it must; `parallel` None is True.

    `allowed_tools` offers only those that it names. Raises InvalidRequest or UnsupportedParameter naming the field.
    """
    if parallel is False and not tools:
        raise InvalidRequest(
            "'parallel_tool_calls' is only allowed when 'tools' are specified.", param="parallel_tool_calls"
        )
    together = parallel is not False
    every = tuple(tools.values())
    if not tools and choice in (None, "auto", "none"):
        return (), ToolChoice()
    if choice is None or choice == "auto":
        return every, ToolChoice("auto", parallel=together)
    if choice == "none":
        return every, ToolChoice("none", parallel=together)
    if not tools:
        raise InvalidRequest("'tool_choice' is only allowed when 'tools' are specified.", param="tool_choice")
    if choice == "required":
        return every, ToolChoice("any", parallel=together)
    if isinstance(choice, str):
        raise InvalidRequest(
            f"tool_choice: {choice[:100]!r} is none of 'none', 'auto', 'required' and an object.", param="tool_choice"
        )
    if choice.get("type") == "function":
        return every, ToolChoice("tool", _named(choice, tools, "tool_choice", shape), together)
    if choice.get("type") == "allowed_tools":
        return _allowed(choice, tools, shape, parallel=together)
    raise UnsupportedParameter(
        "tool_choice.type: an object's type is 'function' or 'allowed_tools'.", param="tool_choice.type"
    )


def format_schema(asked: Format, budget: SchemaBudget) -> Schema | None:
    """The JSON schema that the answer must meet, as it can be asked for.

    Raises InvalidRequest or UnsupportedParameter naming the field.
    """
    if asked.type == "text":
        return None
    if asked.type == "json_object":
        return {"type": "object"}
    if asked.type != "json_schema":
        raise UnsupportedParameter(
            f"{asked.where}.type: {asked.type!r} is not offered; it is 'text', 'json_object' or 'json_schema'.",
            param=f"{asked.where}.type",
        )
    where = asked.inside
    if asked.name is None:
        raise InvalidRequest(f"{where}.name is missing.", param=f"{where}.name")
    name = checked_name(asked.name, f"{where}.name")
    if asked.schema is None:
        raise InvalidRequest(f"{where}.schema is missing.", param=f"{where}.schema")
    what = f"response_format {name!r}"
    checked_schema(asked.schema, what, f"{where}.schema", strict=asked.strict, budget=budget)
    schema = answer_schema(asked.schema, what, f"{where}.schema")
    if asked.description is not None and "description" not in schema:
        return {**schema, "description": sound(asked.description, f"{where}.description")}
    return schema


def _tool(function: Function, budget: SchemaBudget) -> Tool:
    schema = function.parameters or {"properties": {}}
    if "type" not in schema:
        schema = {"type": "object", **schema}
    checked_schema(
        schema,
        f"function {function.name!r}",
        f"{function.where}.parameters",
        strict=function.strict and bool(function.parameters),
        budget=budget,
    )
    return Tool(function.name, function.description or "", schema)


def _allowed(
    choice: dict[str, Any], tools: dict[str, Tool], shape: Shape, *, parallel: bool
) -> tuple[tuple[Tool, ...], ToolChoice]:
    where, allowed = _inside(choice, "tool_choice", shape.allowed)
    named = allowed.get("tools")
    if not isinstance(named, list) or not named or allowed.get("mode") not in ("auto", "required"):
        raise InvalidRequest(f"{where} has a 'mode', 'auto' or 'required', and a list of 'tools'.", param=where)
    names = {_named(one, tools, f"{where}.tools[{index}]", shape) for index, one in enumerate(named)}
    kept = tuple(tool for tool in tools.values() if tool.name in names)
    return kept, ToolChoice("auto" if allowed["mode"] == "auto" else "any", parallel=parallel)


def _named(choice: Any, tools: dict[str, Tool], where: str, shape: Shape) -> str:
    """The tool that an object names."""
    is_function = isinstance(choice, dict) and choice.get("type") == "function"
    inside, function = _inside(choice if is_function else {}, where, shape.function)
    name = function.get("name")
    if not isinstance(name, str):
        names = '"name": ...' if shape.function is None else f'"{shape.function}": {{"name": ...}}'
        raise InvalidRequest(f'{where} must be {{"type": "function", {names}}}.', param=f"{inside}.name")
    if name not in tools:
        raise InvalidRequest(f"{where}: {name[:100]!r} is none of the tools.", param=f"{inside}.name")
    return name


def _inside(value: dict[str, Any], where: str, key: str | None) -> tuple[str, dict[str, Any]]:
    """What has the fields, and where it is; nothing when it is not there."""
    if key is None:
        return where, value
    held = value.get(key)
    return f"{where}.{key}", held if isinstance(held, dict) else {}
