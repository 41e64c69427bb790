"""Checks of what clients send that every dialect needs: texts, names and JSON schemas. Pure.

The schemas go to the Messages API, which refuses what is not JSON Schema 2020-12; here a client is told where.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Iterator
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

from claude_code_api.errors import InvalidRequest, UnsupportedParameter

_NAME = re.compile(r"[a-zA-Z0-9_-]+")
_LONGEST_NAME = 64
_LARGEST_SCHEMA = 200_000
"""Characters of JSON."""
_LONGEST_TOLD = 300
_NOT_AT_THE_ROOT = ("oneOf", "anyOf", "allOf", "enum", "not")

Schema = dict[str, Any]

# Where a schema holds others: by name, in a row, and one.
_NAMED = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_LISTED = ("anyOf", "oneOf", "allOf", "prefixItems")
_SINGLE = (
    *("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames"),
    *("unevaluatedItems", "unevaluatedProperties"),
)

# Claude Code checks answers with Ajv, strictly and by draft 7. What Ajv does not take is dropped without a word.
_TAKEN = frozenset((
    *("$id", "$ref", "$defs", "definitions", "$comment", "title", "description", "default", "examples"),
    *("deprecated", "readOnly", "writeOnly", "format", "contentEncoding", "contentMediaType", "contentSchema"),
    *("type", "enum", "const", "allOf", "anyOf", "oneOf", "not", "if", "then", "else"),
    *("multipleOf", "maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum", "maxLength", "minLength", "pattern"),
    *("items", "contains", "maxItems", "minItems", "uniqueItems", "maxProperties", "minProperties", "required"),
    *("properties", "patternProperties", "additionalProperties", "propertyNames", "dependencies"),
))  # fmt: skip
_NOT_TAKEN = frozenset((
    *("prefixItems", "unevaluatedItems", "unevaluatedProperties", "dependentRequired", "dependentSchemas"),
    *("minContains", "maxContains", "$anchor", "$dynamicRef", "$dynamicAnchor"),
))  # fmt: skip
"""What says something in 2020-12, and nothing in draft 7."""


def sound(text: str, where: str) -> str:
    """JSON can carry half a character, which nothing behind us can store."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidRequest(f"{where} contains half of a surrogate pair, which is not text.", param=where) from error
    return text


def checked_name(name: str, where: str) -> str:
    """A name that OpenAI and the Messages API both take. Raises InvalidRequest, in OpenAI's words."""
    if len(name) > _LONGEST_NAME:
        raise InvalidRequest(
            f"Invalid '{where}': string too long. Expected a string with maximum length {_LONGEST_NAME}, but got a "
            f"string with length {len(name)} instead.",
            param=where,
        )
    if not _NAME.fullmatch(name):
        raise InvalidRequest(
            f"Invalid '{where}': string does not match pattern. Expected a string that matches the pattern "
            "'^[a-zA-Z0-9_-]+$'.",
            param=where,
        )
    return name


def checked_schema(schema: Schema, what: str, where: str, *, strict: bool) -> None:
    """Check the schema of an object. `what` is what it is for, as the message says it.

    `strict` asks of every object in it what OpenAI does: no additional properties, and all properties required. The
    first check of a large schema takes a while (half a second for 100,000 characters). Raises InvalidRequest.
    """
    try:
        text = json.dumps(schema, allow_nan=False, ensure_ascii=False)
        text.encode()
        problem = _size_problem(text) or _root_problem(schema) or _problem(text)
        if problem is None and strict:
            problem = next(_strict_problems(schema), None)
    except UnicodeEncodeError:
        problem = "it contains half of a surrogate pair, which is not text."
    except (RecursionError, ValueError):
        problem = "it is nested too deeply, or has numbers that JSON does not know."
    if problem is not None:
        raise InvalidRequest(f"Invalid schema for {what}: {problem}", param=where)


def answer_schema(schema: Schema, what: str, where: str) -> Schema:
    """A checked schema as Claude Code takes it for an answer: without words that say nothing of what is valid.

    Raises UnsupportedParameter for those that do and are not taken.
    """
    plain: Schema = json.loads(json.dumps(schema))
    for at, one in _schemas(plain):
        place = ".".join(at) or "the schema itself"
        for word in sorted(_NOT_TAKEN & one.keys()):
            raise UnsupportedParameter(
                f"Invalid schema for {what}: {word!r} is not offered in structured output (in {place}).", param=where
            )
        values = [json.dumps(value, sort_keys=True) for value in one.get("enum", (None,))]
        if not values or len(values) > len(set(values)):
            raise InvalidRequest(
                f"Invalid schema for {what}: an enum needs values, each of them once (in {place}).", param=where
            )
        idle = ("then", "else") if "if" not in one else () if {"then", "else"} & one.keys() else ("if",)
        for word in (one.keys() - _TAKEN) | (one.keys() & set(idle)):
            del one[word]
    return plain


def _size_problem(text: str) -> str | None:
    if len(text) <= _LARGEST_SCHEMA:
        return None
    return f"it has {len(text)} characters as JSON; at most {_LARGEST_SCHEMA} are taken."


def _root_problem(schema: Schema) -> str | None:
    if schema.get("type") != "object":
        kind = schema.get("type")
        return f"schema must be a JSON Schema of 'type: \"object\"', got 'type: {json.dumps(kind or 'None')}'."
    if any(word in schema for word in _NOT_AT_THE_ROOT):
        return "schema must have type 'object' and not have 'oneOf'/'anyOf'/'allOf'/'enum'/'not' at the top level."
    return None


@lru_cache(maxsize=256)
def _problem(text: str) -> str | None:
    """What is wrong with a schema; clients send the same ones with every request."""
    # Importing it takes a tenth of a second, and most requests need none of it.
    from jsonschema import Draft202012Validator, FormatChecker
    from jsonschema.exceptions import SchemaError

    schema = json.loads(text)
    try:
        Draft202012Validator.check_schema(schema, FormatChecker(()))  # patterns are JavaScript's, not Python's
    except SchemaError as error:
        at = ".".join(map(str, error.absolute_path)) or "the schema itself"
        return f"{error.message[:_LONGEST_TOLD]} (in {at}; JSON Schema 2020-12)."
    return next(_reference_problems(schema), None)


def _reference_problems(root: Schema) -> Iterator[str]:
    schemas = [schema for _, schema in _schemas(root)]
    anchors = {schema.get(word) for schema in schemas for word in ("$anchor", "$dynamicAnchor")}
    for schema in schemas:
        for word in ("$ref", "$dynamicRef"):
            if (reference := schema.get(word)) is None:
                continue
            if not reference.startswith("#"):
                yield f"{word} {reference[:_LONGEST_TOLD]!r}: a reference must begin with '#', inside the schema."
            elif not _resolves(root, reference[1:], anchors):
                yield f"{word} {reference[:_LONGEST_TOLD]!r} points to nothing in the schema."


def _resolves(root: Schema, fragment: str, anchors: set[Any]) -> bool:
    if not fragment.startswith("/"):
        return not fragment or fragment in anchors
    at: Any = root
    for step in unquote(fragment[1:]).split("/"):
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(at, dict) and name in at:
            at = at[name]
        elif isinstance(at, list) and name.isdecimal() and int(name) < len(at):
            at = at[int(name)]
        else:
            return False
    return isinstance(at, dict | bool)


def _strict_problems(root: Schema) -> Iterator[str]:
    for at, schema in _schemas(root):
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


def _schemas(root: Schema) -> Iterator[tuple[tuple[str, ...], Schema]]:
    """The schema and every one in it, with the way to it."""
    left: deque[tuple[tuple[str, ...], Any]] = deque([((), root)])
    while left:
        at, schema = left.popleft()
        if not isinstance(schema, dict):
            continue  # true and false are schemas, too
        yield at, schema
        for word in _NAMED:
            left += [((*at, word, name), one) for name, one in schema.get(word, {}).items()]
        for word in _LISTED:
            left += [((*at, word, str(number)), one) for number, one in enumerate(schema.get(word, []))]
        left += [((*at, word), schema[word]) for word in _SINGLE if word in schema]
