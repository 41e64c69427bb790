"""Functions, choices and formats as Responses has them: flat. Chat's nested ones are in test_chat_tools.py."""

from __future__ import annotations

from typing import Any

import pytest

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
from claude_code_api.api.schemas import SchemaBudget
from claude_code_api.core.turn import Tool, ToolChoice
from claude_code_api.errors import InvalidRequest, UnsupportedParameter

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOLS = {name: Tool(name, "", SCHEMA) for name in ("f", "g", "h")}


def function(name: str = "f", at: int = 0, **more: Any) -> Function:
    given = {"description": None, "parameters": SCHEMA, "strict": False, **more}
    return Function(f"tools[{at}]", name, **given)


def naming(name: Any) -> dict[str, Any]:
    return {"type": "function", "name": name}


def allowing(mode: Any, *names: str) -> dict[str, Any]:
    return {"type": "allowed_tools", "mode": mode, "tools": [naming(name) for name in names]}


def asking(**more: Any) -> Format:
    return Format("text.format", "text.format", more.pop("type", "json_schema"), **more)


def test_functions_are_tools_by_name() -> None:
    tools = checked_tools([function("f", description="Does f"), function("g", parameters=None)], SchemaBudget())
    assert tools == {"f": Tool("f", "Does f", SCHEMA), "g": Tool("g", "", {"type": "object", "properties": {}})}


@pytest.mark.parametrize(
    ("functions", "param"),
    [
        ([function("a b")], "tools[0].name"),
        ([function("f"), function("f", 1)], "tools[1].name"),
        ([function("f", description="\ud83d")], "tools[0].description"),
        ([function("f", parameters={"type": "array"})], "tools[0].parameters"),
        ([function("f", strict=True)], "tools[0].parameters"),
    ],
)
def test_a_function_that_cannot_be_offered_is_named(functions: list[Function], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        checked_tools(functions, SchemaBudget())
    assert caught.value.param == param
    assert param in caught.value.message or "Invalid schema" in caught.value.message


def test_other_tools_and_too_many_are_refused() -> None:
    check_type("function", "tools[3]")
    check_count(128)
    with pytest.raises(UnsupportedParameter) as caught:
        check_type("web_search", "tools[3]")
    assert caught.value.param == "tools[3].type"
    with pytest.raises(InvalidRequest) as caught_too:
        check_count(129)
    assert caught_too.value.param == "tools"


@pytest.mark.parametrize(
    ("choice", "names", "meant"),
    [
        (None, "fgh", ToolChoice()),
        ("required", "fgh", ToolChoice("any")),
        (naming("g"), "fgh", ToolChoice("tool", "g")),
        (allowing("required", "h", "f"), "fh", ToolChoice("any")),
        (allowing("auto", "g"), "g", ToolChoice("auto")),
    ],
)
def test_the_choice(choice: Any, names: str, meant: ToolChoice) -> None:
    tools, chosen_one = chosen(TOOLS, choice, None, FLAT)
    assert "".join(tool.name for tool in tools) == names
    assert chosen_one == meant


@pytest.mark.parametrize(
    ("choice", "param"),
    [
        ("sometimes", "tool_choice"),
        (naming("x"), "tool_choice.name"),
        (naming(["f"]), "tool_choice.name"),
        ({"type": "function", "function": {"name": "f"}}, "tool_choice.name"),
        ({"type": "file_search"}, "tool_choice.type"),
        (allowing("auto"), "tool_choice"),
        (allowing("never", "f"), "tool_choice"),
        (allowing("auto", "f", "x"), "tool_choice.tools[1].name"),
        ({"type": "allowed_tools", "mode": "auto", "tools": ["f"]}, "tool_choice.tools[0].name"),
    ],
)
def test_a_choice_that_cannot_be_had_is_named(choice: Any, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        chosen(TOOLS, choice, None, FLAT)
    assert caught.value.param == param
    assert '"function": {' not in caught.value.message


def test_the_schema_of_the_answer() -> None:
    assert format_schema(asking(type="text"), SchemaBudget()) is None
    assert format_schema(asking(type="json_object"), SchemaBudget()) == {"type": "object"}
    described = {**SCHEMA, "description": "A city"}
    assert format_schema(asking(name="city", schema=SCHEMA, description="A city"), SchemaBudget()) == described


@pytest.mark.parametrize(
    ("given", "param"),
    [
        (asking(type="grammar"), "text.format.type"),
        (asking(), "text.format.name"),
        (asking(name="a b"), "text.format.name"),
        (asking(name="a"), "text.format.schema"),
        (asking(name="a", schema=SCHEMA, strict=True), "text.format.schema"),
        (asking(name="a", schema=SCHEMA, description="\ud83d"), "text.format.description"),
    ],
)
def test_a_format_that_cannot_be_met_is_named(given: Format, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        format_schema(given, SchemaBudget())
    assert caught.value.param == param
