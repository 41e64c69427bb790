"""Whatever the text, the arguments meet the schema."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_code_api.offline.arguments import example_of, wrong_for

Schema = dict[str, Any]
KINDS: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


def meets(value: Any, schema: Schema) -> bool:
    """Whether `value` meets `schema`, as far as these tests use schemas."""
    if "const" in schema:
        return bool(value == schema["const"])
    if "enum" in schema:
        return value in schema["enum"]
    if "anyOf" in schema:
        return any(meets(value, one) for one in schema["anyOf"])
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    allowed = [kind for name in kinds for kind in KINDS[name]]
    if not isinstance(value, tuple(allowed)) or (isinstance(value, bool) and bool not in allowed):
        return False
    if isinstance(value, dict):
        return set(schema.get("required", ())) <= value.keys() <= schema["properties"].keys() and all(
            meets(item, schema["properties"][name]) for name, item in value.items()
        )
    if isinstance(value, list):
        return len(value) >= schema.get("minItems", 0) and all(meets(item, schema["items"]) for item in value)
    if isinstance(value, str):
        return bool(schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)))
    if isinstance(value, int | float) and not isinstance(value, bool):
        return bool(schema.get("minimum", value) <= value <= schema.get("maximum", value))
    return True


def bounded(kind: str, low: str, high: str, values: st.SearchStrategy[int]) -> st.SearchStrategy[Schema]:
    """Schemas of a kind with a lower and an upper bound, either of which may be missing."""
    bounds = st.tuples(values, values).map(sorted)
    both = bounds.map(lambda pair: {"type": kind, low: pair[0], high: pair[1]})
    return both | bounds.map(lambda pair: {"type": kind, low: pair[0]}) | st.just({"type": kind})


leaves = st.one_of(
    bounded("integer", "minimum", "maximum", st.integers(-100, 100)),
    bounded("number", "minimum", "maximum", st.integers(-100, 100)),
    bounded("string", "minLength", "maxLength", st.integers(0, 120)),
    st.sampled_from([{"type": "boolean"}, {"type": "null"}, {"type": ["null", "string"]}, {"const": 3}]),
    st.lists(st.text(max_size=5) | st.integers(0, 9), min_size=1, max_size=4).map(lambda values: {"enum": values}),
)


def larger(inner: st.SearchStrategy[Schema]) -> st.SearchStrategy[Schema]:
    objects = st.dictionaries(st.sampled_from("abc"), inner).map(
        lambda fields: {"type": "object", "properties": fields, "required": list(fields)}
    )
    arrays = st.tuples(inner, st.integers(0, 3)).map(
        lambda pair: {"type": "array", "items": pair[0], "minItems": pair[1]}
    )
    return objects | arrays | st.lists(inner, min_size=1, max_size=2).map(lambda some: {"anyOf": some})


schemas = st.recursive(leaves, larger, max_leaves=6)
words = st.sampled_from(["42", "-3.5", "1000", "not", "in Paris", "for Rome", '"quoted"', "Ada", "0", "?"])
texts = st.lists(words, max_size=6).map(" ".join) | st.text(max_size=40)


@given(schema=schemas, text=texts, number=st.integers(0, 3))
def test_arguments_meet_the_schema(schema: Schema, text: str, number: int) -> None:
    assert meets(example_of(schema, text, number), schema)


@given(schema=schemas, text=texts)
def test_the_same_text_gives_the_same_arguments(schema: Schema, text: str) -> None:
    assert example_of(schema, text) == example_of(schema, text)


@pytest.mark.parametrize(
    ("schema", "text", "expected"),
    [
        ({"type": "integer"}, "Add 17 and 25", 17),
        ({"type": "number"}, "It costs 2.5 euros", 2.5),
        ({"type": "integer", "maximum": 10}, "Take 17", 10),
        ({"enum": ["celsius", "fahrenheit"]}, "in Fahrenheit, please", "fahrenheit"),
        ({"type": "string"}, "The weather in Paris", "Paris"),
        ({"type": "string"}, "Search for “the sea” now", "the sea"),
        ({"type": "boolean"}, "Do it", True),
        ({"type": "boolean"}, "Do not do it", False),
    ],
)
def test_what_the_text_names_is_taken_from_it(schema: Schema, text: str, expected: Any) -> None:
    assert example_of(schema, text) == expected


def test_calls_side_by_side_take_different_things_from_the_text() -> None:
    schema: Schema = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}
    text = "The weather in Paris for 3 days, and in Rome for 5"
    assert example_of(schema, text, 0) == {"city": "Paris", "days": 3}
    assert example_of(schema, text, 1) == {"city": "Rome", "days": 5}


def test_a_schema_that_says_nothing_takes_the_text() -> None:
    assert example_of(True, "anything") == "anything"
    assert example_of({}, "anything") == "anything"


checked = st.dictionaries(st.sampled_from("abc"), schemas, min_size=1, max_size=3).map(
    lambda fields: {"type": "object", "properties": fields, "required": list(fields)}
)


@given(schema=checked, text=texts)
def test_wrong_arguments_miss_the_schema(schema: Schema, text: str) -> None:
    assert not meets(wrong_for(schema, example_of(schema, text)), schema)


def test_arguments_that_no_type_can_miss_are_left_out_or_strange() -> None:
    anything: Schema = {"properties": {"a": {}}, "required": ["a"]}
    assert wrong_for(anything, {"a": 1}) == {}
    assert wrong_for({"properties": {"a": {}}}, {"a": 1}) == {"a": 1, "strange": True}


def test_references_are_followed_as_far_as_a_value_ends() -> None:
    node: dict[str, Any] = {
        "type": "object",
        "properties": {
            "name": {"$ref": "#/$defs/name", "description": "The name"},
            "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
            "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
        },
        "required": ["name", "next", "children"],
        "additionalProperties": False,
    }
    schema = {**node, "$defs": {"node": node, "name": {"enum": ["Ada"]}}}
    ended: dict[str, Any] = {"name": "Ada", "next": None, "children": []}
    assert example_of(schema, "x") == {"name": "Ada", "next": ended, "children": [ended]}
    assert example_of({"type": "object", "properties": {"a": {"$ref": "#"}}}, "x") == {"a": {}}
