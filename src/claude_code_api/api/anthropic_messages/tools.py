"""What a request offers the model beside words: tools, the choice among them, and the answer's schema. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from claude_code_api.api.answer_schema import answer_schema
from claude_code_api.api.anthropic_messages.dialogue import tool_name
from claude_code_api.api.anthropic_messages.wire import CountRequest, Format, ToolChange, ToolDefinition
from claude_code_api.api.checks import sound
from claude_code_api.api.schemas import Schema, SchemaBudget, checked_schema
from claude_code_api.core.turn import Tool
from claude_code_api.core.turn import ToolChoice as Choice
from claude_code_api.errors import InvalidRequest, UnsupportedParameter

_OF_ANTHROPICS = ("bash_", "text_editor_", "computer_", "memory_", "browser_")
"""How the types of client tools begin whose schemas only Anthropic's API knows."""


def tools_of(request: CountRequest, budget: SchemaBudget) -> tuple[tuple[Tool, ...], Choice]:
    """The client's tools that this turn may call, and which of them it must.

    Tools that are loaded later are offered once the messages refer to them. Raises InvalidRequest or
    UnsupportedParameter naming the field.
    """
    defined = dict(_defined(request))
    offered = _offered(request, defined)
    tools = tuple(_tool(where, defined[where], budget) for where in offered)
    return tools, _choice(request, {tool.name for tool in tools})


def schema_of(request: CountRequest, budget: SchemaBudget) -> Schema | None:
    """The JSON schema that the answer must meet, as it can be asked for.

    Raises InvalidRequest or UnsupportedParameter naming the field.
    """
    newer = None if request.output_config is None else request.output_config.format
    if newer is not None and request.output_format is not None:
        raise InvalidRequest(
            "output_format is the older place of output_config.format; send one of them.", param="output_format"
        )
    if newer is not None:
        return _schema(newer, "output_config.format", budget)
    return None if request.output_format is None else _schema(request.output_format, "output_format", budget)


def _schema(asked: Format, where: str, budget: SchemaBudget) -> Schema:
    if asked.type != "json_schema":
        raise UnsupportedParameter(
            f"{where}.type: {asked.type[:100]!r} is not offered; it is 'json_schema'.", param=f"{where}.type"
        )
    if asked.schema_ is None:
        raise InvalidRequest(f"{where}.schema: Field required.", param=f"{where}.schema")
    checked_schema(asked.schema_, "the answer", f"{where}.schema", strict=False, budget=budget)
    return answer_schema(asked.schema_, "the answer", f"{where}.schema")


def _defined(request: CountRequest) -> Iterator[tuple[str, ToolDefinition]]:
    """Every tool that the request defines, by where: in `tools`, and in the middle of the messages."""
    for number, definition in enumerate(request.tools or []):
        yield f"tools.{number}", definition
    for where, kind, change in _changes(request):
        if kind == "tool_addition" and change.type == "tool_definition":
            if change.definition is None:
                raise InvalidRequest(f"{where}.definition: Field required.", param=f"{where}.definition")
            yield f"{where}.definition", change.definition


def _offered(request: CountRequest, defined: dict[str, ToolDefinition]) -> list[str]:
    """Where the tools are defined that are offered now, in their order."""
    places: dict[str, str] = {}
    offered: dict[str, bool] = {}
    for where, definition in defined.items():
        _check_type(definition, where)
        name = tool_name(definition.name, f"{where}.name")
        if name in places:
            raise InvalidRequest(f"{where}.name: Tool names must be unique: {name!r}.", param=f"{where}.name")
        places[name] = where
        offered[where] = not definition.defer_loading
    for name in _referred_to(request):
        if name in places:
            offered[places[name]] = True
    for where, kind, change in _changes(request):
        if change.type == "tool_definition":
            continue
        name = change.name or change.tool_name or ""
        if change.type != "tool_reference" or name not in places:
            raise InvalidRequest(f"{where}: {name[:100]!r} is none of the tools.", param=where)
        offered[places[name]] = kind == "tool_addition"
    return [where for where, is_offered in offered.items() if is_offered]


def _changes(request: CountRequest) -> Iterator[tuple[str, str, ToolChange]]:
    """The additions and removals of tools in the messages, in order: (where, which of them, the tool)."""
    for index, message in enumerate(request.messages):
        for number, block in enumerate(message.content if isinstance(message.content, list) else []):
            if message.role == "system" and block.type in ("tool_addition", "tool_removal"):
                where = f"messages.{index}.content.{number}.tool"
                if block.tool is None:
                    raise InvalidRequest(f"{where}: Field required.", param=where)
                yield where, block.type, block.tool


def _referred_to(request: CountRequest) -> Iterator[str]:
    """The tools that results of a search for tools name."""
    for message in request.messages:
        for block in message.content if isinstance(message.content, list) else []:
            for part in block.content if isinstance(block.content, list) else []:
                if part.type == "tool_reference" and part.tool_name is not None:
                    yield part.tool_name


def _check_type(definition: ToolDefinition, where: str) -> None:
    kind = definition.type
    if kind in (None, "custom"):
        return
    if kind.startswith(_OF_ANTHROPICS):
        what = "is a tool of Anthropic's, whose schema only its API knows: describe it as one of your own"
    else:
        what = "runs on Anthropic's servers: offer a tool of your own that does it, or use the profile agent"
    raise UnsupportedParameter(
        f"{where}.type: {kind[:100]!r} {what} (type 'custom', with an input_schema; a model 'agent/...' has tools for "
        "commands, files and the web).",
        param=f"{where}.type",
    )


def _tool(where: str, definition: ToolDefinition, budget: SchemaBudget) -> Tool:
    name = definition.name or ""
    if definition.input_schema is None:
        raise InvalidRequest(f"{where}.input_schema: Field required.", param=f"{where}.input_schema")
    description = sound(definition.description or "", f"{where}.description")
    checked_schema(definition.input_schema, f"the tool {name!r}", f"{where}.input_schema", strict=False, budget=budget)
    return Tool(name, description, definition.input_schema)


def _choice(request: CountRequest, names: set[str]) -> Choice:
    asked = request.tool_choice
    if asked is None:
        return Choice()
    parallel = not asked.disable_parallel_tool_use
    if asked.type in ("any", "tool") and not names:
        raise InvalidRequest("tool_choice: may only be specified while providing tools.", param="tool_choice")
    if asked.type == "tool":
        if asked.name not in names:
            raise InvalidRequest(
                f"tool_choice: Tool {(asked.name or '')[:100]!r} not found in provided tools.", param="tool_choice.name"
            )
        return Choice("tool", asked.name, parallel)
    if asked.type == "any":
        return Choice("any", parallel=parallel)
    if asked.type in ("auto", "none"):
        return Choice("none" if asked.type == "none" else "auto", parallel=parallel) if names else Choice()
    raise InvalidRequest(
        f"tool_choice.type: {asked.type[:100]!r} is none of 'auto', 'any', 'tool' and 'none'.", param="tool_choice.type"
    )
