"""Schemas that the Messages API would refuse are refused here, with the place."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from claude_code_api.api.schemas import SchemaBudget, checked_schema
from claude_code_api.errors import InvalidRequest

PERSON: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


def problem(schema: dict[str, Any], *, strict: bool = False) -> str:
    with pytest.raises(InvalidRequest) as caught:
        checked_schema(schema, "function 'f'", "here", strict=strict, budget=SchemaBudget())
    assert caught.value.param == "here"
    assert caught.value.message.startswith("Invalid schema for function 'f': ")
    caught.value.message.encode()
    assert len(caught.value.message) < 500
    return caught.value.message.removeprefix("Invalid schema for function 'f': ")


def object_of(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object"},
        PERSON,
        object_of(a={"$ref": "#/$defs/x"}) | {"$defs": {"x": {"type": "string"}}},
        object_of(a={"$ref": "#/definitions/x~1y%20z"}) | {"definitions": {"x/y z": True}},
        object_of(a={"$ref": "#"}, b={"$ref": "#b"}, c={"$anchor": "b"}),
        object_of(a={"anyOf": [{"type": "string"}, {"$ref": "#/properties/a/anyOf/0"}]}),
        object_of(a={"enum": [{"$ref": "https://example.com"}], "default": {"$ref": "x"}}),
        object_of(a=object_of(**{"$ref": {"type": "string"}, "type": {"type": "string"}, "anyOf": {"type": "string"}})),
        object_of(a={"type": "string", "pattern": "^\\p{L}+$", "format": "made-up"}),
        {"type": "object", "$schema": "http://json-schema.org/draft-07/schema#", "x-own": 1},
    ],
)
def test_a_schema_of_an_object_is_taken(schema: dict[str, Any]) -> None:
    checked_schema(schema, "function 'f'", "here", strict=False, budget=SchemaBudget())


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({}, "schema must be a JSON Schema of 'type: \"object\"', got 'type: \"None\"'."),
        ({"type": "array"}, "schema must be a JSON Schema of 'type: \"object\"', got 'type: \"array\"'."),
        ({"type": ["object", "null"]}, "schema must be a JSON Schema of 'type: \"object\"'"),
        ({"type": "object", "anyOf": [{"type": "object"}]}, "at the top level"),
        (object_of(a={"type": "objekt"}), "(in properties.a.type; JSON Schema 2020-12)"),
        ({"type": "object", "properties": []}, '[] is not of type "object" (in properties;'),
        ({"type": "object", "required": "a"}, '"a" is not of type "array" (in required;'),
        (object_of(a={"items": [{"type": "string"}]}), "in properties.a.items; JSON Schema 2020-12"),
        (object_of(a={"exclusiveMinimum": True}), "in properties.a.exclusiveMinimum"),
        (object_of(a={"enum": ["x" * 2000], "type": 5}), "in properties.a"),
        (object_of(**{"a b": {}}), "the property 'a b': at the top level a name has 1 to 64"),
        (object_of(**{"__proto__": {}}), "at the top level"),
        (object_of(a={"$ref": "https://example.com/x"}), "a reference must begin with '#'"),
        (object_of(a={"$ref": "#/$defs/x"}), "points to nothing"),
        (object_of(a={"$ref": "#/properties/a/$ref"}), "points to nothing"),
        (object_of(a={"$ref": "#nowhere"}), "points to nothing"),
        (object_of(a={"const": "\ud83d"}), "surrogate"),
        (object_of(a={"maximum": float("nan")}), "numbers that JSON does not know"),
        (object_of(a={"description": "x" * 200_000}), "at most 200000"),
    ],
)
def test_what_is_no_schema_of_an_object_is_told(schema: dict[str, Any], told: str) -> None:
    assert told in problem(schema)


def test_a_schema_can_be_too_deep() -> None:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(5_000):
        schema = object_of(a=schema)
    assert "nested too deeply" in problem(schema)


def test_what_was_wrong_once_is_wrong_again() -> None:
    schema = object_of(a={"type": "objekt"})
    assert problem(schema) == problem(dict(schema))


STRICT = {**PERSON, "properties": {**PERSON["properties"], "home": {"type": "object", "properties": {}}}}


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({"type": "object"}, "In context=(), 'additionalProperties' is required to be supplied and to be false."),
        ({**PERSON, "additionalProperties": True}, "In context=(), 'additionalProperties'"),
        (
            {**PERSON, "required": ["name"]},
            "In context=(), 'required' is required to be supplied and to be an array including every key in "
            "properties. Missing 'age'.",
        ),
        (
            {**STRICT, "required": ["name", "age", "home"]},
            "In context=('properties', 'home'), 'additionalProperties'",
        ),
        ({**PERSON, "$defs": {"x": {"type": ["object", "null"]}}}, "In context=('$defs', 'x'), 'additionalProperties'"),
        (
            {**PERSON, "properties": {"a": {"anyOf": [{"items": {"properties": {}}}]}}, "required": ["a"]},
            "In context=('properties', 'a', 'anyOf', '0', 'items'), 'additionalProperties'",
        ),
    ],
)
def test_strict_schemas_leave_nothing_open(schema: dict[str, Any], told: str) -> None:
    checked_schema(schema, "function 'f'", "here", strict=False, budget=SchemaBudget())
    assert problem(schema, strict=True).startswith(told)


def test_a_strict_schema_is_taken() -> None:
    checked_schema(PERSON, "function 'f'", "here", strict=True, budget=SchemaBudget())


def nested(times: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(times):
        schema = object_of(a=schema)
    return schema


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "required": ["a", *range(15_000)]},
        {"type": "object", "required": [{"a": number} for number in range(10_000)]},
        object_of(a={"type": ["a", *range(15_000)]}),
        object_of(**{str(number): {"$ref": "#/$defs/x"} for number in range(6_000)}) | {"$defs": {"x": {}}},
        object_of(**{str(number): {"$ref": f"#/properties/{number - 1}"} for number in range(1, 4_000)}),
        object_of(**{f"p{number}": {"type": "string", "description": "x" * 10} for number in range(3_000)}),
        nested(45),
    ],
)
@pytest.mark.timeout(20)  # where it grows faster than the schema, these take minutes
def test_no_schema_takes_for_ever(schema: dict[str, Any]) -> None:
    with contextlib.suppress(InvalidRequest):
        checked_schema(schema, "function 'f'", "here", strict=False, budget=SchemaBudget())


@pytest.mark.parametrize(
    ("budget", "told"),
    [(SchemaBudget(characters=100), "characters of JSON together"), (SchemaBudget(values=10), "values together")],
)
def test_the_schemas_of_a_request_share_a_budget(budget: SchemaBudget, told: str) -> None:
    schema = object_of(a={"enum": list("abc")})
    checked_schema(schema, "function 'f'", "here", strict=False, budget=budget)
    with pytest.raises(InvalidRequest, match=told):
        checked_schema(schema, "function 'g'", "here", strict=False, budget=budget)
