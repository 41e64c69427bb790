"""Fills a JSON schema from a text: the arguments of the offline model's tool calls.

And what does not meet it, for a model that gets it wrong. Pure.
"""

from __future__ import annotations

import re
from typing import Any

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_QUOTED = re.compile(r"[\"“']([^\"”']{1,200})[\"”']")
_OF_KIND: dict[str, Any] = {
    "object": {"wrong": "type"},
    "array": ["wrong type"],
    "string": "wrong type",
    "boolean": True,
}
_PLACE = re.compile(r"\b(?:in|for|to|of|at) ([A-Z][\w-]+)")


def example_of(schema: Any, text: str, number: int = 0) -> Any:
    """A value that meets `schema`, with names, numbers and quotes of `text` where they fit; `number` picks one."""
    return _example(_inlined(schema, schema, frozenset()), text, number)


def _inlined(schema: Any, root: Any, inside: frozenset[str]) -> Any:
    """The schema with what its references point to; None where one leads back into itself, and no value would end."""
    if not isinstance(schema, dict):
        return schema
    if isinstance(reference := schema.get("$ref"), str):
        target = root
        for step in reference.removeprefix("#").split("/")[1:]:
            target = target.get(step, {})
        own = {word: value for word, value in schema.items() if word != "$ref"}
        return None if reference in inside else _inlined({**target, **own}, root, inside | {reference})
    whole = dict(schema)
    if "properties" in schema:
        parts = {name: _inlined(part, root, inside) for name, part in schema["properties"].items()}
        whole["properties"] = {name: part for name, part in parts.items() if part is not None}
    for union in ("anyOf", "oneOf", "allOf"):
        if schema.get(union):
            options = [_inlined(option, root, inside) for option in schema[union]]
            whole[union] = [option for option in options if option is not None] or [{"type": "null"}]
    if "items" in schema:
        whole["items"] = _inlined(schema["items"], root, inside)
    return whole if whole.get("items", True) is not None else {"const": []}


def _example(schema: Any, text: str, number: int) -> Any:
    if not isinstance(schema, dict):
        return text
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        named = [value for value in schema["enum"] if str(value).lower() in text.lower()]
        return named[0] if named else schema["enum"][0]
    for union in ("anyOf", "oneOf", "allOf"):
        if schema.get(union):
            return _example(schema[union][0], text, number)
    kind = schema.get("type")
    kind = next((one for one in kind if one != "null"), "null") if isinstance(kind, list) else kind
    if kind == "object" or "properties" in schema:
        return {name: _example(part, text, number) for name, part in schema.get("properties", {}).items()}
    if kind == "array":
        least = max(1, int(schema.get("minItems", 1)))
        return [_example(schema.get("items", {}), text, number + index) for index in range(least)]
    if kind in ("integer", "number"):
        return _number(schema, text, number, whole=kind == "integer")
    if kind == "boolean":
        return "not" not in text.lower().split()
    if kind == "null":
        return None
    return _string(schema, text, number)


def wrong_for(schema: dict[str, Any], right: dict[str, Any]) -> dict[str, Any]:
    """Like `right`, but it misses the object schema: one member is of a wrong type, or strange, or all are missing."""
    for name, part in schema.get("properties", {}).items():
        if (kinds := _kinds(part)) is not None:
            wrong = next((value for kind, value in _OF_KIND.items() if kind not in kinds), None)
            if wrong is not None:
                return {**right, name: wrong}
    return {} if schema.get("required") else {**right, "strange": True}


def _kinds(schema: Any) -> set[str] | None:
    """The types of JSON that may meet `schema`; None if that cannot be said."""
    if not isinstance(schema, dict):
        return None
    if "const" in schema or schema.get("enum"):
        values = [schema["const"]] if "const" in schema else schema["enum"]
        return {kind for kind, example in _OF_KIND.items() if any(type(value) is type(example) for value in values)}
    if "type" in schema:
        return {schema["type"]} if isinstance(schema["type"], str) else set(schema["type"])
    for union in ("anyOf", "oneOf"):
        if schema.get(union):
            options = [_kinds(option) for option in schema[union]]
            return None if None in options else {kind for option in options if option for kind in option}
    return None


def _number(schema: dict[str, Any], text: str, number: int, *, whole: bool) -> float | int:
    found = [text for text in _NUMBER.findall(text) if len(text) <= 15]
    value = float(found[min(number, len(found) - 1)]) if found else float(schema.get("minimum", 1))
    value = max(value, float(schema.get("minimum", value)))
    value = min(value, float(schema.get("maximum", value)))
    return int(value) if whole else value


def _string(schema: dict[str, Any], text: str, number: int) -> str:
    candidates = _QUOTED.findall(text) or _PLACE.findall(text)
    value = candidates[min(number, len(candidates) - 1)] if candidates else text.strip()[:80] or "example"
    value = value.ljust(int(schema.get("minLength", 0)), ".")
    return str(value[: int(schema.get("maxLength", len(value)))])
