"""Checks of the JSON schemas that clients send. Pure.

They go to the Messages API, which refuses what is not JSON Schema 2020-12; here a client is told where. The check takes
time in proportion to the schema and no more: whoever may send requests may send large ones.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from claude_code_api.core.nesting import DEEPEST, count, is_deep
from claude_code_api.errors import InvalidRequest

Schema = dict[str, Any]
Path = tuple[str, ...]

_LARGEST = 200_000
"""Characters of JSON, of one schema."""
_MOST_CHARACTERS, _MOST_VALUES = 2_000_000, 200_000
"""Of all schemas of a request."""
_LONGEST_TOLD = 300
_PROPERTY = re.compile(r"(?!__proto__$)[a-zA-Z0-9_.-]{1,64}")
"""What the Messages API takes as a property's name at the root; Claude Code leaves out a tool with another one, and
loses `__proto__`."""
_NOT_AT_THE_ROOT = ("oneOf", "anyOf", "allOf", "enum", "not")

# Where a schema holds others: by name, in a row, and one.
NAMED = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies")
LISTED = ("anyOf", "oneOf", "allOf", "prefixItems")
SINGLE = (
    *("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames"),
    *("unevaluatedItems", "unevaluatedProperties", "contentSchema"),
)


@dataclass(slots=True)
class SchemaBudget:
    """How much the schemas of one request may still hold, all together."""

    characters: int = _MOST_CHARACTERS
    values: int = _MOST_VALUES

    def take(self, *, characters: int = 0, values: int = 0) -> str | None:
        """Take from it. Returns what is wrong when nothing is left."""
        self.characters -= characters
        self.values -= values
        if self.characters < 0:
            return f"the request's schemas have more than {_MOST_CHARACTERS} characters of JSON together."
        if self.values < 0:
            return f"the request's schemas have more than {_MOST_VALUES} values together."
        return None


def checked_schema(schema: Schema, what: str, where: str, *, strict: bool, budget: SchemaBudget) -> None:
    """Check the schema of an object. `what` is what it is for, as the message says it.

    `strict` asks of every object in it what OpenAI does: no additional properties, and all properties required. What it
    takes is taken from the request's `budget`. Raises InvalidRequest.
    """
    problem = _size_problem(schema, budget) or _root_problem(schema) or next(_problems(schema), None)
    if problem is None:
        problem = next(_reference_problems(schema), None)
    if problem is None and strict:
        problem = next(_strict_problems(schema), None)
    if problem is not None:
        raise InvalidRequest(f"Invalid schema for {what}: {problem}", param=where)


def schemas(root: Schema) -> Iterator[tuple[Path, Schema]]:
    """The schema and every one in it, with the way to it; `true` and `false`, which are schemas as well, left out."""
    return ((at, schema) for at, schema in all_schemas(root) if isinstance(schema, dict))


def all_schemas(root: Schema) -> Iterator[tuple[Path, Schema | bool]]:
    """The schema and every one in it, with the way to it."""
    left: deque[tuple[Path, Any]] = deque([((), root)])
    while left:
        at, schema = left.popleft()
        if _is_schema(schema):
            yield at, schema
        if not isinstance(schema, dict):
            continue
        for word in NAMED:
            if isinstance(held := schema.get(word), dict):
                left += [((*at, word, name), one) for name, one in held.items()]
        for word in LISTED:
            if isinstance(held := schema.get(word), list):
                left += [((*at, word, str(number)), one) for number, one in enumerate(held)]
        left += [((*at, word), schema[word]) for word in SINGLE if word in schema]


def pointer(reference: str) -> Path:
    """The way that a reference of the form `#/...` names."""
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in unquote(reference[2:]).split("/"))


# Size


def _size_problem(schema: Schema, budget: SchemaBudget) -> str | None:
    """Count first, which costs least: nothing else looks at what is too large."""
    if is_deep(schema):
        return f"it is nested too deeply: at most {DEEPEST} objects and arrays in one another."
    if (problem := budget.take(values=count(schema))) is not None:
        return problem
    try:
        text = json.dumps(schema, allow_nan=False, ensure_ascii=False)
        text.encode()
    except UnicodeEncodeError:
        return "it contains half of a surrogate pair, which is not text."
    except ValueError:
        return "it has numbers that JSON does not know."
    if len(text) > _LARGEST:
        return f"it has {len(text)} characters as JSON; at most {_LARGEST} are taken."
    return budget.take(characters=len(text))


def _root_problem(schema: Schema) -> str | None:
    if schema.get("type") != "object":
        kind = json.dumps(schema.get("type") or "None")
        return f"schema must be a JSON Schema of 'type: \"object\"', got 'type: {_cut(kind)}'."
    if any(word in schema for word in _NOT_AT_THE_ROOT):
        return "schema must have type 'object' and not have 'oneOf'/'anyOf'/'allOf'/'enum'/'not' at the top level."
    named = schema.get("properties")
    for name in named if isinstance(named, dict) else ():
        if not _PROPERTY.fullmatch(name):
            return (
                f"the property {_cut(name)!r}: at the top level a name has 1 to 64 of the characters a-z A-Z 0-9 _ . -"
            )
    return None


# Keywords

_TYPES = ("array", "boolean", "integer", "null", "number", "object", "string")


def _is_schema(value: Any) -> bool:
    return isinstance(value, dict | bool)


def _are_strings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value) and len(set(value)) == len(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return _is_number(value) and value >= 0 and value == int(value)


def _is_type(value: Any) -> bool:
    if isinstance(value, str):
        return value in _TYPES
    return _are_strings(value) and bool(value) and all(one in _TYPES for one in value)


def _matching(pattern: str) -> Callable[[Any], bool]:
    compiled = re.compile(pattern)
    return lambda value: isinstance(value, str) and compiled.fullmatch(value) is not None


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _maps_to(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, dict) and all(map(check, value.values()))


_SCHEMAS = "an object whose values are schemas"
_COUNT = "a whole number of at least 0"
_ANCHOR = "a name such as item-1"
_KEYWORDS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    **dict.fromkeys(SINGLE, (_is_schema, "a schema: an object, true or false")),
    **dict.fromkeys(
        LISTED,
        (lambda value: isinstance(value, list) and bool(value) and all(map(_is_schema, value)), "schemas in a list"),
    ),
    **dict.fromkeys(NAMED, (_maps_to(_is_schema), _SCHEMAS)),
    "dependencies": (_maps_to(lambda one: _is_schema(one) or _are_strings(one)), f"{_SCHEMAS} or lists of names"),
    "dependentRequired": (_maps_to(_are_strings), "an object whose values are lists of names"),
    "required": (_are_strings, "a list of names, each once"),
    "type": (_is_type, f"one of {', '.join(_TYPES)}, or a list of some"),
    **dict.fromkeys(("enum", "examples"), (_is_list, "a list")),
    "multipleOf": (lambda value: _is_number(value) and value > 0, "a number above 0"),
    **dict.fromkeys(("maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum"), (_is_number, "a number")),
    **dict.fromkeys(
        ("maxLength", "minLength", "maxItems", "minItems", "maxContains", "minContains"), (_is_count, _COUNT)
    ),
    **dict.fromkeys(("maxProperties", "minProperties"), (_is_count, _COUNT)),
    **dict.fromkeys(("uniqueItems", "deprecated", "readOnly", "writeOnly"), (_is_flag, "true or false")),
    **dict.fromkeys(
        (
            *("title", "description", "$comment", "pattern", "format", "contentEncoding", "contentMediaType"),
            *("$schema", "$ref", "$dynamicRef", "$recursiveRef"),
        ),
        (_is_text, "a string"),
    ),
    **dict.fromkeys(
        ("$anchor", "$dynamicAnchor", "$recursiveAnchor"), (_matching(r"[A-Za-z_][-A-Za-z0-9._]*"), _ANCHOR)
    ),
    "$id": (_matching(r"[^#]*#?"), "a string without a fragment"),
    "$vocabulary": (_maps_to(_is_flag), "an object whose values are true or false"),
}
"""What the meta-schema of 2020-12 asks of each keyword; others may hold anything."""


def _problems(root: Schema) -> Iterator[str]:
    for at, schema in schemas(root):
        for word, (check, wanted) in _KEYWORDS.items():
            if word in schema and not check(schema[word]):
                told = _cut(json.dumps(schema[word], ensure_ascii=False))
                place = _cut(".".join((*at, word)))
                yield f"{word} must be {wanted}, not {told} (in {place}; JSON Schema 2020-12)."


def _reference_problems(root: Schema) -> Iterator[str]:
    anchors = {schema.get(word) for _, schema in schemas(root) for word in ("$anchor", "$dynamicAnchor")}
    for _, schema in schemas(root):
        for word in ("$ref", "$dynamicRef"):
            if (reference := schema.get(word)) is None:
                continue
            if not reference.startswith("#"):
                yield f"{word} {_cut(reference)!r}: a reference must begin with '#', inside the schema."
            elif not _resolves(root, reference, anchors):
                yield f"{word} {_cut(reference)!r} points to nothing in the schema."


def _resolves(root: Schema, reference: str, anchors: set[Any]) -> bool:
    if not reference.startswith("#/"):
        return reference == "#" or reference[1:] in anchors
    at: Any = root
    for name in pointer(reference):
        if isinstance(at, dict) and name in at:
            at = at[name]
        elif isinstance(at, list) and name.isdecimal() and len(name) < 8 and int(name) < len(at):
            at = at[int(name)]
        else:
            return False
    return isinstance(at, dict | bool)


def _strict_problems(root: Schema) -> Iterator[str]:
    for at, schema in schemas(root):
        context = f"In context=({', '.join(map(repr, at))}{',' if len(at) == 1 else ''}), "
        kinds = schema.get("type")
        if "properties" not in schema and "object" not in (kinds if isinstance(kinds, list) else [kinds]):
            continue
        if schema.get("additionalProperties") is not False:
            yield f"{context}'additionalProperties' is required to be supplied and to be false."
        required = frozenset(schema.get("required", ()))
        for name in schema.get("properties", {}):
            if name not in required:
                yield (
                    f"{context}'required' is required to be supplied and to be an array including every key in "
                    f"properties. Missing {name!r}."
                )


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_TOLD else f"{text[:_LONGEST_TOLD]}..."
