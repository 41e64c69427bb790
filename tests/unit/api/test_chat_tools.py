"""What Chat Completions offers the model beside words."""

from __future__ import annotations

from typing import Any

import pytest

from claude_code_api.api.openai_chat.tools import schema_of, tools_of
from claude_code_api.api.openai_chat.wire import ChatRequest
from claude_code_api.api.schemas import SchemaBudget
from claude_code_api.core.turn import Tool, ToolChoice
from claude_code_api.errors import InvalidRequest, UnsupportedParameter

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}


def request(**more: Any) -> ChatRequest:
    return ChatRequest.model_validate({"messages": [{"role": "user", "content": "Hi"}], **more})


def tool(name: str = "f", **more: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, **more}}


def naming(name: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name}}


def allowing(mode: Any, *names: str) -> dict[str, Any]:
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": [naming(name) for name in names]}}


def param_of(**more: Any) -> str | None:
    with pytest.raises(InvalidRequest) as caught:
        tools_of(request(**more), SchemaBudget())
    return caught.value.param


def test_a_tool_is_its_name_description_and_schema() -> None:
    tools, choice = tools_of(
        request(tools=[tool("f", description="Does f", parameters=SCHEMA), tool("g")]), SchemaBudget()
    )
    assert tools == (Tool("f", "Does f", SCHEMA), Tool("g", "", {"type": "object", "properties": {}}))
    assert choice == ToolChoice()


@pytest.mark.parametrize("parameters", [None, {}, {"properties": {}}, {"type": "object", "properties": {}}])
def test_a_tool_needs_no_parameters(parameters: Any) -> None:
    (one,), _ = tools_of(request(tools=[tool(parameters=parameters)]), SchemaBudget())
    assert one.schema == {"type": "object", "properties": {}}


def test_a_strict_tool_leaves_nothing_open() -> None:
    strict = {**SCHEMA, "required": ["city"], "additionalProperties": False}
    assert tools_of(request(tools=[tool(strict=True, parameters=strict)]), SchemaBudget())[0][0].schema == strict
    assert tools_of(request(tools=[tool(strict=False, parameters=SCHEMA)]), SchemaBudget())[0][0].schema == SCHEMA
    assert tools_of(request(tools=[tool(strict=True)]), SchemaBudget())[0]
    assert param_of(tools=[tool(strict=True, parameters=SCHEMA)]) == "tools[0].function.parameters"


@pytest.mark.parametrize(
    ("tools", "param"),
    [
        ([tool("a b")], "tools[0].function.name"),
        ([tool("")], "tools[0].function.name"),
        ([tool(), tool("x" * 65)], "tools[1].function.name"),
        ([tool(), tool("g"), tool()], "tools[2].function.name"),
        ([tool(f"f{number}") for number in range(129)], "tools"),
        ([{"type": "function"}], "tools[0].function"),
        ([tool(parameters={"type": "array"})], "tools[0].function.parameters"),
        ([tool(parameters={"type": "object", "properties": 1})], "tools[0].function.parameters"),
        ([tool(description="\ud83d")], "tools[0].function.description"),
    ],
)
def test_a_tool_that_cannot_be_offered_is_named(tools: list[Any], param: str) -> None:
    assert param_of(tools=tools) == param


@pytest.mark.parametrize("kind", ["custom", "web_search", "mcp"])
def test_other_kinds_of_tools_are_not_offered(kind: str) -> None:
    with pytest.raises(UnsupportedParameter) as caught:
        tools_of(request(tools=[{"type": kind, kind: {"name": "x"}}]), SchemaBudget())
    assert caught.value.param == "tools[0].type"


@pytest.mark.parametrize(
    ("choice", "parallel", "meant"),
    [
        (None, None, ToolChoice()),
        ("auto", True, ToolChoice("auto")),
        ("auto", False, ToolChoice("auto", parallel=False)),
        ("none", None, ToolChoice("none")),
        ("required", None, ToolChoice("any")),
        (naming("g"), False, ToolChoice("tool", "g", parallel=False)),
    ],
)
def test_the_choice(choice: Any, parallel: bool | None, meant: ToolChoice) -> None:
    tools, chosen = tools_of(
        request(tools=[tool(), tool("g")], tool_choice=choice, parallel_tool_calls=parallel), SchemaBudget()
    )
    assert chosen == meant
    assert [one.name for one in tools] == ["f", "g"]


def test_allowed_tools_are_the_ones_offered() -> None:
    tools, chosen = tools_of(
        request(tools=[tool(), tool("g"), tool("h")], tool_choice=allowing("required", "h", "f")), SchemaBudget()
    )
    assert [one.name for one in tools] == ["f", "h"]
    assert chosen == ToolChoice("any")
    assert tools_of(request(tools=[tool()], tool_choice=allowing("auto", "f")), SchemaBudget())[1] == ToolChoice("auto")


@pytest.mark.parametrize(
    ("choice", "param"),
    [
        ("sometimes", "tool_choice"),
        (naming("x"), "tool_choice.function.name"),
        (naming(["f"]), "tool_choice.function.name"),
        ({"type": "function"}, "tool_choice.function.name"),
        ({"type": "function", "function": "f"}, "tool_choice.function.name"),
        ({"type": "custom", "custom": {"name": "f"}}, "tool_choice.type"),
        ({}, "tool_choice.type"),
        ({"type": "allowed_tools"}, "tool_choice.allowed_tools"),
        (allowing("auto"), "tool_choice.allowed_tools"),
        (allowing("never", "f"), "tool_choice.allowed_tools"),
        (allowing("auto", "f", "x"), "tool_choice.allowed_tools.tools[1].function.name"),
    ],
)
def test_a_choice_that_cannot_be_had_is_named(choice: Any, param: str) -> None:
    assert param_of(tools=[tool()], tool_choice=choice) == param


def test_without_tools_there_is_nothing_to_choose() -> None:
    choice: Any
    for choice in ("required", naming("f"), "sometimes"):
        assert param_of(tool_choice=choice) == "tool_choice"
    assert param_of(parallel_tool_calls=False) == "parallel_tool_calls"
    assert param_of(tools=[], parallel_tool_calls=False) == "parallel_tool_calls"
    for choice in (None, "auto", "none"):
        assert tools_of(request(tool_choice=choice, parallel_tool_calls=True), SchemaBudget()) == ((), ToolChoice())


# The answer's schema


def asking(**json_schema: Any) -> ChatRequest:
    return request(response_format={"type": "json_schema", "json_schema": json_schema})


def test_the_schema_of_the_answer() -> None:
    assert schema_of(request(), SchemaBudget()) is None
    assert schema_of(request(response_format={"type": "text"}), SchemaBudget()) is None
    assert schema_of(request(response_format={"type": "json_object"}), SchemaBudget()) == {"type": "object"}
    assert schema_of(asking(name="city", schema=SCHEMA), SchemaBudget()) == SCHEMA
    strict = {**SCHEMA, "required": ["city"], "additionalProperties": False}
    assert schema_of(asking(name="city", schema=strict, strict=True), SchemaBudget()) == strict


def test_a_description_becomes_the_schemas_own() -> None:
    assert schema_of(asking(name="city", schema=SCHEMA, description="A city"), SchemaBudget()) == {
        **SCHEMA,
        "description": "A city",
    }
    own = {**SCHEMA, "description": "Own"}
    assert schema_of(asking(name="city", schema=own, description="A city"), SchemaBudget()) == own


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"type": "json_schema"}, "response_format.json_schema"),
        ({"type": "json_schema", "json_schema": {"name": "a b", "schema": SCHEMA}}, "response_format.json_schema.name"),
        ({"type": "json_schema", "json_schema": {"name": "a"}}, "response_format.json_schema.schema"),
        (
            {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "array"}}},
            "response_format.json_schema.schema",
        ),
        (
            {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA, "strict": True}},
            "response_format.json_schema.schema",
        ),
        (
            {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA, "description": "\ud83d"}},
            "response_format.json_schema.description",
        ),
    ],
)
def test_a_format_that_cannot_be_met_is_named(given: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        schema_of(request(response_format=given), SchemaBudget())
    assert caught.value.param == param


def test_a_schema_of_no_object_is_refused_in_openais_words() -> None:
    with pytest.raises(InvalidRequest, match="Invalid schema for response_format 'a': schema must be a JSON Schema of"):
        schema_of(asking(name="a", schema={"type": "array", "items": {}}), SchemaBudget())


def test_other_formats_are_not_offered() -> None:
    with pytest.raises(UnsupportedParameter) as caught:
        schema_of(request(response_format={"type": "grammar", "grammar": "x"}), SchemaBudget())
    assert caught.value.param == "response_format.type"
