"""Checks of the JSON schemas that clients send. Pure.

They go to the Messages API, which refuses what is not JSON Schema 2020-12; here a client is told where. The check takes
time in proportion to the schema and no more: whoever may send requests may send large ones.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from claude_code_api.core.nesting import DEEPEST, count, is_deep
from claude_code_api.errors import InvalidRequest

if TYPE_CHECKING:
    from jsonschema_rs import Draft202012Validator

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
    problem = _size_problem(schema, budget) or _root_problem(schema) or _problem(schema)
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


def _problem(root: Schema) -> str | None:
    """What the meta-schema says of it."""
    from jsonschema_rs import ValidationError  # not at the top: most requests bring no schema

    try:
        _meta_schema().validate(root)
    except ValidationError as error:
        place = ".".join(map(str, error.instance_path)) or "the schema itself"
        return f"{_cut(error.message)} (in {_cut(place)}; JSON Schema 2020-12)."
    return None


@lru_cache(maxsize=1)
def _meta_schema() -> Draft202012Validator:
    from jsonschema_rs import Draft202012Validator

    return Draft202012Validator({"$ref": "https://json-schema.org/draft/2020-12/schema"})


def _is_schema(value: Any) -> bool:
    return isinstance(value, dict | bool)


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
