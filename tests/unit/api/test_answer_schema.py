"""The schema of an answer is brought to what both Claude Code and the Messages API know, or refused by name."""

from __future__ import annotations

import json
from typing import Any

import pytest

from claude_code_api.api.answer_schema import answer_schema
from claude_code_api.errors import InvalidRequest


def of(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def asked(schema: dict[str, Any]) -> dict[str, Any]:
    return answer_schema(schema, "response_format 'r'", "here")


@pytest.mark.parametrize(
    "schema",
    [
        of(a={"type": "string", "title": "A", "default": "q", "examples": ["z"], "format": "date-time"}),
        of(a={"$ref": "#/$defs/x~1y", "description": "d"}) | {"$defs": {"x/y": {"anyOf": [True, {"$ref": "#"}]}}},
        of(a={"enum": [{"x-foo": 1}], "const": {"prefixItems": 1}, "default": {"$schema": "x"}}),
        of(**{"x-foo": {"type": "string"}, "prefixItems": {"type": "string"}, "pattern": {"type": "string"}}),
        of(a={"if": {"required": ["b"]}, "then": {"required": ["c"]}, "else": {}}) | {"additionalProperties": False},
    ],
)
def test_what_both_know_stays_as_it_is(schema: dict[str, Any]) -> None:
    if "if" in schema["properties"].get("a", {}):
        expected = of(a={"if": {"required": ["b"]}, "then": {"required": ["c"]}}) | {"additionalProperties": False}
        assert asked(schema) == expected
    else:
        assert json.dumps(asked(schema)) == json.dumps(schema)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"type": "string", "x-foo": 1, "example": "z", "propertyOrdering": ["a"]}, {"type": "string"}),
        ({"$id": "https://e.x/y", "$anchor": "z", "type": "string"}, {"type": "string"}),
        (
            {"oneOf": [{"type": "string"}], "discriminator": {"propertyName": "kind", "mapping": {}}},
            {"oneOf": [{"type": "string"}]},
        ),
        ({"dependentRequired": {"a": ["b"]}}, {"dependencies": {"a": ["b"]}}),
        (
            {"dependentRequired": {"a": ["b"]}, "dependentSchemas": {"a": {"x-foo": 1, "minProperties": 2}}},
            {"dependencies": {"a": {"allOf": [{"required": ["b"]}, {"minProperties": 2}]}}},
        ),
        ({"type": "string", "nullable": True}, {"type": ["string", "null"]}),
        ({"type": ["string", "null"], "nullable": True}, {"type": ["string", "null"]}),
        ({"nullable": True, "unevaluatedProperties": True, "unevaluatedItems": {}, "minContains": 2}, {}),
        ({"contains": {"type": "string"}, "minContains": 1}, {"contains": {"type": "string"}}),
        ({"contains": {"type": "string"}, "minContains": 0}, {}),
        ({"if": {"type": "string"}, "then": {"title": "nothing"}}, {}),
        ({"then": {"type": "string"}}, {}),
        ({"pattern": r"^\d\-\d$"}, {"pattern": r"^\d-\d$"}),
        ({"contentSchema": {"x-foo": 1}}, {}),
        ({"items": {"x-foo": 1, "type": "string"}}, {"items": {"type": "string"}}),
    ],
)
def test_what_says_nothing_is_left_out_and_the_rest_translated(given: dict[str, Any], kept: dict[str, Any]) -> None:
    assert asked({"$schema": "https://json-schema.org/draft/2020-12/schema", **of(a=given)}) == of(a=kept)


def test_references_to_anchors_lead_to_their_place() -> None:
    schema = of(a={"$ref": "#x"}, b={"$dynamicRef": "#x"}) | {"$defs": {"p/q%": {"$anchor": "x", "type": "string"}}}
    place = {"$ref": "#/$defs/p~1q%25"}
    assert asked(schema) == of(a=place, b=place) | {"$defs": {"p/q%": {"type": "string"}}}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"type": "array", "prefixItems": [{}]}, "'prefixItems' cannot be asked for: describe a row"),
        ({"unevaluatedProperties": False}, "'unevaluatedProperties' cannot be asked for: use 'additionalProperties'"),
        ({"unevaluatedItems": {"type": "string"}}, "'unevaluatedItems' cannot be asked for"),
        ({"contains": {}, "minContains": 2}, "'minContains' cannot"),
        ({"contains": {}, "maxContains": 2}, "'maxContains' cannot"),
        ({"pattern": "(?P<x>a)"}, "the pattern \"(?P<x>a)\" is not valid in JavaScript: '(?P<' is not JavaScript's"),
        ({"patternProperties": {"[": {}}}, "is not valid in JavaScript"),
        ({"enum": []}, "'enum' allows nothing"),
        ({"$ref": "#/properties"}, "'$ref' '#/properties' leads to what is no schema"),
        ({"$ref": "#/properties/a/x-foo", "x-foo": {}}, "leads to what is no schema, or is not passed on"),
    ],
)
def test_what_cannot_be_asked_for_is_refused_by_name(given: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        asked(of(a=given))
    assert told in caught.value.message
    assert caught.value.message.startswith("Invalid schema for response_format 'r': ")
    assert "properties.a" in caught.value.message
    assert caught.value.param == "here"
