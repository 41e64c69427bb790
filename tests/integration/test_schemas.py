"""Schemas of answers and of tools meet the real CLI: each is asked for, or refused with its name, and never dropped."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

import pytest
from openai import OpenAI
from pydantic import BaseModel, Field

from tests.conftest import Model
from tests.gateway import Gateway

REQUIRED = {"required": ["a"]}


def of(**more: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"a": {"type": "string", **more}}, **REQUIRED}


def ask(gateway: Gateway, schema: dict[str, Any]) -> tuple[int, Any]:
    wanted = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    answer = gateway.ask("what is it?", response_format=wanted)
    return answer.status_code, answer.json()


DEFS = {"$defs": {"x": {"type": "string", "$anchor": "here"}}}
UNION = {"oneOf": [{"$ref": "#/$defs/x"}], "discriminator": {"propertyName": "k", "mapping": {"c": "#/$defs/x"}}}


@pytest.mark.parametrize(
    "schema",
    [
        of(),
        of(title="A", default="q", examples=["z"], deprecated=True, readOnly=True, **{"$comment": "c"}),
        of(**{"x-foo": 1}, example="z", propertyOrdering=["a"], nullable=True),
        of(format="date-time", pattern=r"^\d{0,3}\-?.*$"),
        of(pattern="^(?!^[-+.]*$)[+-]?0*\\d*\\.?\\d*$|.*"),
        {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "https://example.com/s", **of()},
        {"type": "object", "properties": {"a": {"$ref": "#here"}}, **REQUIRED, **DEFS},
        {"type": "object", "properties": {"a": UNION}, **REQUIRED, **DEFS},
        {**of(), "dependentRequired": {"z": ["b"]}, "dependentSchemas": {"c": {"minProperties": 1}}},
        {**of(), "if": {"required": ["z"]}, "then": {}, "unevaluatedProperties": True},
        {**of(), "if": {"required": ["z"]}, "then": {"required": ["y"]}, "else": True},
        {"type": "object", "properties": {"a": {"type": "array", "contains": {}, "minContains": 1}}, **REQUIRED},
        {"type": "object", "properties": {"next": {"$ref": "#"}, "x-prefix": {"type": "string", "enum": ["b"]}}},
    ],
)
def test_what_a_schema_says_beside_the_answer_loses_nothing(gateway: Gateway, schema: dict[str, Any]) -> None:
    status, body = ask(gateway, schema)
    assert status == 200, body
    message = body["choices"][0]["message"]
    assert message["refusal"] is None
    assert isinstance(json.loads(message["content"]), dict)


@pytest.mark.parametrize(
    ("more", "keyword"),
    [
        ({"prefixItems": [{"type": "string"}]}, "prefixItems"),
        ({"unevaluatedItems": False}, "unevaluatedItems"),
        ({"pattern": "(?P<x>a)"}, "pattern"),
        ({"pattern": "a++"}, "pattern"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(gateway: Gateway, more: dict[str, Any], keyword: str) -> None:
    status, body = ask(gateway, {"type": "object", "properties": {"a": more}})
    assert status == 400
    assert keyword in body["error"]["message"]
    assert body["error"]["param"] == "response_format.json_schema.schema"


@pytest.mark.parametrize("stream", [False, True])
def test_a_schema_that_the_cli_drops_is_an_error_and_no_refusal(gateway: Gateway, stream: bool) -> None:
    overlapping = {**of(), "patternProperties": {"^a$": {"type": "string"}}}  # nothing here compares the two
    wanted = {"type": "json_schema", "json_schema": {"name": "answer", "schema": overlapping}}
    answer = gateway.ask("dropped?", f"dropped-{stream}", response_format=wanted, stream=stream)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["code"], error["param"]) == ("invalid_json_schema", "response_format.json_schema.schema")
    again = gateway.ask("and now?", f"dropped-{stream}")
    assert again.status_code == 200
    assert "dropped?" not in again.text


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    name: str = Field(json_schema_extra={"example": "Rex", "x-order": 1})


class Owner(BaseModel):
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]
    born: str = Field(description="a day", json_schema_extra={"example": "2020-01-01"})


def test_a_pydantic_model_is_parsed(gateway: Gateway) -> None:
    with OpenAI(base_url=f"{gateway.url}/v1", api_key="unused", max_retries=0) as client:
        completion = client.chat.completions.parse(
            model="sonnet", messages=[{"role": "user", "content": "Who?"}], response_format=Owner
        )
    assert isinstance(completion.choices[0].message.parsed, Owner)


def test_no_tool_is_dropped_for_its_schema(gateway: Gateway, model: Model) -> None:
    schemas: list[dict[str, Any]] = [
        {"type": "object", "properties": {"a": True, "b": {"type": "object", "properties": {"c": False}}}},
        of(pattern="(?P<x>["),
        of(**{"x-foo": 1}, example=2) | {"x-bar": 1, "$schema": "https://json-schema.org/draft/2020-12/schema"},
        {"type": "object", "properties": {"a": {"type": "array", "prefixItems": [{}]}}, "unevaluatedProperties": False},
        {"type": "object", "additionalProperties": {"type": "string"}, "dependentRequired": {"a": ["b"]}},
        {"type": "object", "properties": {"x.y-z": {"properties": {"": {}, "ä": {}}}}},
        {"type": "object", "properties": {"a": UNION}, **DEFS},
    ]
    tools = [
        {"type": "function", "function": {"name": f"t{number}", "parameters": schema}}
        for number, schema in enumerate(schemas)
    ]
    assert gateway.ask("no tool is dropped", tools=tools).status_code == 200
    (asked,) = model.asked("no tool is dropped")
    sent = {tool["name"].removeprefix("mcp__client__"): tool["input_schema"] for tool in asked["tools"]}
    assert sent == {f"t{number}": schema for number, schema in enumerate(schemas)}
