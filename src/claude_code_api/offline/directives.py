"""Reads what a user message asks of the stand-in itself: `[[offline: NAME VALUE]]`. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NoReturn

_OPENING = re.compile(r"\[\[offline: *([a-z-]+) *")
_VALUE = re.compile(r"([^\]]*)\]\]")
_TOOL = re.compile(r"([^\s\]{]+)\s*")
_CLOSING = re.compile(r"\s*\]\]")
_NUMBERS: dict[str, type[int | float]] = {
    "delay": float,
    "pace": float,
    "words": int,
    "error": int,
    "calls": int,
    "bad-output": int,
}


@dataclass(frozen=True, slots=True)
class Call:
    """One call that a message spells out. Without arguments they are made from the tool's schema."""

    tool: str
    arguments: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Directives:
    """What the last user message asks of the stand-in itself.

    `delay S` waits before the first event, `pace S` between deltas; `words N` makes a long answer; `error STATUS` fails
    the call, `overloaded` breaks the stream half-way, `hang` never answers, `refuse` and `cut` end with the stop
    reasons refusal and max_tokens, `overflow` answers that the prompt is too long, `think` thinks unasked.

    `calls N` calls N tools at once, going round them; `call NAME JSON` calls one with these arguments, as often as it
    stands there; `text-and-calls` says a sentence before the calls. `bad-output N` misses StructuredOutput's schema N
    times, `prose` does without StructuredOutput.
    """

    delay: float = 0.0
    pace: float = 0.0
    words: int = 0
    error: int = 0
    overloaded: bool = False
    hang: bool = False
    refuse: bool = False
    cut: bool = False
    overflow: bool = False
    think: bool = False
    prose: bool = False
    text_and_calls: bool = False
    calls: int = 0
    bad_output: int = 0
    call: tuple[Call, ...] = ()

    @classmethod
    def read(cls, text: str) -> Directives:
        """The directives in a message; what is not understood is left out."""
        values: dict[str, Any] = {}
        calls = []
        for _, _, name, value in _found(text):
            if isinstance(value, Call):
                calls.append(value)
            elif name != "call":
                try:
                    values[name.replace("-", "_")] = _NUMBERS[name](value) if name in _NUMBERS else True
                except ValueError:
                    continue
        known = {name: value for name, value in values.items() if name in cls.__dataclass_fields__}
        return replace(cls(**known), call=tuple(calls))


def without_directives(text: str) -> str:
    """What a message says to the model: the text between the directives."""
    parts, end = [], 0
    for start, stop, _, _ in _found(text):
        parts.append(text[end:start])
        end = stop
    return "".join([*parts, text[end:]])


def _found(text: str) -> Iterator[tuple[int, int, str, str | Call]]:
    """Each directive: where it begins and ends, its name and its value. A call's JSON may hold brackets."""
    position = 0
    while opening := _OPENING.search(text, position):
        call = _call(text, opening.end()) if opening[1] == "call" else None
        rest = _VALUE.match(text, opening.end())
        if call:
            position = call[1]
            yield opening.start(), position, "call", call[0]
        elif rest:
            position = rest.end()
            yield opening.start(), position, opening[1], rest[1]
        else:
            position = opening.end()


def _call(text: str, start: int) -> tuple[Call, int] | None:
    """The call that is spelled out at `start`, and where its directive ends."""
    tool = _TOOL.match(text, start)
    if tool is None:
        return None
    end, arguments = tool.end(), None
    if text[end : end + 1] == "{":
        try:
            arguments, end = json.JSONDecoder(parse_constant=_no_json).raw_decode(text, end)
        except ValueError:
            return None
    closing = _CLOSING.match(text, end)
    return (Call(tool[1], arguments), closing.end()) if closing else None


def _no_json(name: str) -> NoReturn:
    """NaN and its like, which Python reads and nobody else."""
    raise ValueError(name)
