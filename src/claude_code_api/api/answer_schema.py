"""The schema of a structured answer, in the form that all its readers take. Pure.

It has two, and they do not agree. The Messages API wants JSON Schema 2020-12. Claude Code checks the answer by draft-07
as Ajv has it in its strict mode, and without a word does not ask for the schema at all when it holds a keyword that
draft-07 does not know. So what says nothing of the answer is left out, what both know under another name is said so,
and the rest is refused with its name. The keys keep their order: models answer in it.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

from claude_code_api.api.patterns import javascript
from claude_code_api.api.schemas import LISTED, NAMED, SINGLE, Path, Schema, all_schemas, pointer, schemas
from claude_code_api.errors import InvalidRequest

_ANNOTATIONS = ("title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly", "$comment")
_PLAIN = frozenset(
    (
        *_ANNOTATIONS,
        *("type", "enum", "const", "format", "contentEncoding", "contentMediaType", "required"),
        *("multipleOf", "maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum"),
        *("maxLength", "minLength", "maxItems", "minItems", "uniqueItems", "maxProperties", "minProperties"),
    )
)
"""What is passed on as it is; `format` is not checked by anybody."""
_DEPENDENCIES = ("dependentRequired", "dependentSchemas", "dependencies")
_REFERENCES = ("$ref", "$dynamicRef")
_ADVICE = {
    "prefixItems": "describe a row of different things as an object with a property for each.",
    "unevaluatedProperties": "use 'additionalProperties'.",
    "unevaluatedItems": "use 'items'.",
    "minContains": "use 'contains' alone.",
    "maxContains": "use 'contains' alone.",
}


def answer_schema(schema: Schema, what: str, where: str) -> Schema:
    """The schema, which was checked, as it can be asked for. Raises InvalidRequest naming what cannot."""
    translated = _Translator(schema, what, where)
    kept = translated.schema(schema, ())
    assert isinstance(kept, dict)
    translated.check_references(kept)
    return kept


class _Translator:
    def __init__(self, root: Schema, what: str, where: str) -> None:
        self._what = what
        self._where = where
        self._anchors = {
            schema[word]: at for at, schema in schemas(root) for word in ("$anchor", "$dynamicAnchor") if word in schema
        }

    def schema(self, schema: Schema | bool, at: Path) -> Schema | bool:
        """A schema and those in it."""
        if isinstance(schema, bool):
            return schema
        kept: Schema = {}
        for word, value in schema.items():
            self._keep(kept, word, value, schema, at)
        if "then" not in kept and "else" not in kept:
            kept.pop("if", None)
        return kept

    def check_references(self, kept: Schema) -> None:
        """What is referred to must still be there."""
        there = {at for at, _ in all_schemas(kept)}
        for at, schema in schemas(kept):
            reference = schema.get("$ref")
            if reference not in (None, "#") and pointer(reference) not in there:
                self._refuse(f"'$ref' {reference[:100]!r} leads to what is no schema, or is not passed on", at)

    def _keep(self, kept: Schema, word: str, value: Any, schema: Schema, at: Path) -> None:
        here = (*at, word)
        if word in _PLAIN:
            kept[word] = self._plain(word, value, schema, at)
        elif word in _ADVICE:
            self._check_said_nothing(word, value, schema, at)
        elif word in _DEPENDENCIES:
            self._depend(kept.setdefault("dependencies", {}), value, here)
        elif word == "pattern":
            kept[word] = self._pattern(value, here)
        elif word in NAMED:
            named = {name: self.schema(one, (*here, name)) for name, one in value.items()}
            if word == "patternProperties":
                named = {self._pattern(name, here): one for name, one in named.items()}
            kept[word] = named
        elif word in LISTED:
            kept[word] = [self.schema(one, (*here, str(number))) for number, one in enumerate(value)]
        elif word in _REFERENCES:
            self._refer(kept, value, at)
        elif word in SINGLE and not _is_idle(word, schema):
            kept[word] = self.schema(value, here)

    def _plain(self, word: str, value: Any, schema: Schema, at: Path) -> Any:
        if word == "enum" and not value:
            self._refuse("'enum' allows nothing at all", at)
        if word == "type" and schema.get("nullable") is True:  # OpenAPI's way to say it
            kinds = value if isinstance(value, list) else [value]
            return kinds if "null" in kinds else [*kinds, "null"]
        return value

    def _check_said_nothing(self, word: str, value: Any, schema: Schema, at: Path) -> None:
        if word == "minContains":
            says = "contains" in schema and value not in (0, 1)
        elif word == "maxContains":
            says = "contains" in schema
        else:
            says = word == "prefixItems" or value not in (True, {})
        if says:
            self._refuse(f"'{word}' cannot be asked for: {_ADVICE[word]}", at)

    def _depend(self, on: dict[str, Any], value: dict[str, Any], at: Path) -> None:
        for name, needed in value.items():
            wanted = needed if isinstance(needed, list) else self.schema(needed, (*at, name))
            both = [{"required": one} if isinstance(one, list) else one for one in (on.get(name), wanted)]
            on[name] = {"allOf": both} if name in on else wanted

    def _refer(self, kept: Schema, reference: str, at: Path) -> None:
        if not reference.startswith("#/") and reference != "#":
            way = self._anchors[reference[1:]] if reference[1:] else ()
            steps = (step.replace("~", "~0").replace("/", "~1").replace("%", "%25") for step in way)
            reference = "/".join(("#", *steps))
        if "$ref" in kept and kept["$ref"] != reference:
            self._refuse("'$ref' and '$dynamicRef' cannot stand together", at)
        kept["$ref"] = reference

    def _pattern(self, pattern: str, at: Path) -> str:
        try:
            return javascript(pattern)
        except ValueError as error:
            self._refuse(f"the pattern {json.dumps(pattern[:100])} is not valid in JavaScript: {error}", at)

    def _refuse(self, why: str, at: Path) -> NoReturn:
        place = ".".join(at)[:200] or "the schema itself"
        raise InvalidRequest(
            f"Invalid schema for {self._what}: {why.removesuffix('.')} (in {place}).", param=self._where
        )


def _is_idle(word: str, schema: Schema) -> bool:
    """Whether a keyword says nothing where it stands: Ajv takes that for an oversight."""
    if word == "contentSchema":
        return True
    if word == "contains":
        return schema.get("minContains") == 0
    if word in ("then", "else"):
        return "if" not in schema or _allows_all(schema[word])
    return False


def _allows_all(schema: Schema | bool) -> bool:
    return schema is True or (isinstance(schema, dict) and schema.keys() <= frozenset(_ANNOTATIONS))
