"""Names and schemas that the Messages API would refuse are refused here, with the place."""

from __future__ import annotations

from typing import Any

import pytest

from claude_code_api.api.checks import answer_schema, checked_name, checked_schema
from claude_code_api.errors import GatewayError, InvalidRequest, UnsupportedParameter

PERSON: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


def problem(schema: dict[str, Any], *, strict: bool = False) -> str:
    with pytest.raises(InvalidRequest) as caught:
        checked_schema(schema, "function 'f'", "here", strict=strict)
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
        object_of(**{"$ref": {"type": "string"}, "type": {"type": "string"}, "anyOf": {"type": "string"}}),
        object_of(a={"type": "string", "pattern": "^\\p{L}+$", "format": "made-up"}),
        {"type": "object", "$schema": "http://json-schema.org/draft-07/schema#", "x-own": 1},
    ],
)
def test_a_schema_of_an_object_is_taken(schema: dict[str, Any]) -> None:
    checked_schema(schema, "function 'f'", "here", strict=False)


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({}, "schema must be a JSON Schema of 'type: \"object\"', got 'type: \"None\"'."),
        ({"type": "array"}, "schema must be a JSON Schema of 'type: \"object\"', got 'type: \"array\"'."),
        ({"type": ["object", "null"]}, "schema must be a JSON Schema of 'type: \"object\"'"),
        ({"type": "object", "anyOf": [{"type": "object"}]}, "at the top level"),
        (object_of(a={"type": "objekt"}), "'objekt' is not valid under any of the given schemas (in properties.a.type"),
        ({"type": "object", "properties": []}, "[] is not of type 'object' (in properties"),
        ({"type": "object", "required": "a"}, "'a' is not of type 'array' (in required"),
        (object_of(a={"items": [{"type": "string"}]}), "in properties.a.items; JSON Schema 2020-12"),
        (object_of(a={"exclusiveMinimum": True}), "in properties.a.exclusiveMinimum"),
        (object_of(a={"enum": ["x" * 2000], "type": 5}), "in properties.a"),
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
    checked_schema(schema, "function 'f'", "here", strict=False)
    assert problem(schema, strict=True).startswith(told)


def test_a_strict_schema_is_taken() -> None:
    checked_schema(PERSON, "function 'f'", "here", strict=True)


def test_what_says_nothing_is_no_part_of_an_answers_schema() -> None:
    pet = {"oneOf": [{"$ref": "#/$defs/cat"}], "discriminator": {"propertyName": "kind"}}
    noted = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **object_of(example={"type": "string", "example": "a", "default": {"x-a": 1}}, pet=pet, lone={"if": {}}),
        "$defs": {"cat": {**PERSON, "x-order": 1, "then": {}}},
        "x-from": "OpenAPI",
    }
    assert answer_schema(noted, "the answer", "here") == {
        **object_of(
            example={"type": "string", "default": {"x-a": 1}}, pet={"oneOf": [{"$ref": "#/$defs/cat"}]}, lone={}
        ),
        "$defs": {"cat": PERSON},
    }
    assert noted["$schema"], "the schema itself was changed"
    whole = object_of(a={"if": {"type": "string"}, "then": {"minLength": 2}})
    assert answer_schema(whole, "the answer", "here") == whole


@pytest.mark.parametrize(
    ("schema", "kind", "told"),
    [
        (object_of(a={"prefixItems": [{}]}), UnsupportedParameter, r"'prefixItems' .*in properties\.a"),
        ({"type": "object", "unevaluatedProperties": False}, UnsupportedParameter, "in the schema itself"),
        (object_of(a={"enum": []}), InvalidRequest, "an enum needs values"),
        (object_of(a={"enum": ["b", "b"]}), InvalidRequest, "each of them once"),
    ],
)
def test_what_an_answers_schema_cannot_have_is_told(schema: Any, kind: type[GatewayError], told: str) -> None:
    checked_schema(schema, "the answer", "here", strict=False)
    with pytest.raises(kind, match=told) as caught:
        answer_schema(schema, "the answer", "here")
    assert getattr(caught.value, "param", None) == "here"


def test_names() -> None:
    for name in ("f", "get_weather-2", "x" * 64):
        assert checked_name(name, "here") == name
    for name in ("", "a b", "a.b", "ä", "f\n"):
        with pytest.raises(InvalidRequest, match="does not match pattern"):
            checked_name(name, "here")
    with pytest.raises(InvalidRequest, match="maximum length 64, but got a string with length 65"):
        checked_name("x" * 65, "here")
