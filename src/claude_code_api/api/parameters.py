"""Request fields that are not offered, or have no effect, or mean the same in every dialect. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel

from claude_code_api.core.turn import Effort
from claude_code_api.errors import InvalidRequest, UnsupportedParameter

_EFFORTS: Mapping[str, Effort] = {
    "none": "low",
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "xhigh",
    "max": "max",
}
_PLAIN = re.compile(r"[A-Za-z0-9_.\-\[\]]{1,100}")
_MOST_SHOWN = 32


class Refusal(NamedTuple):
    """A field that is known and not offered: which values ask for it, and what to do instead."""

    asked: Callable[[Any], bool]
    advice: str


def check_refused(given: Mapping[str, Any], refused: Mapping[str, Refusal]) -> None:
    """Raises UnsupportedParameter when the fields that were given ask for what is not offered."""
    for name, refusal in refused.items():
        if name in given and refusal.asked(given[name]):
            raise UnsupportedParameter(f"{name} is not offered: {refusal.advice}", param=name)


def effort_of(asked: str | None, where: str) -> Effort | None:
    """How hard the model is to think, None when it is left to it. Raises InvalidRequest."""
    if asked is None:
        return None
    if asked not in _EFFORTS:
        raise InvalidRequest(f"{where}: {asked[:100]!r} is none of {', '.join(map(repr, _EFFORTS))}.", param=where)
    return _EFFORTS[asked]


def undeclared(value: Any, path: str = "") -> Iterator[str]:
    """The fields that the wire types do not declare and that say something, wherever they stand."""
    if isinstance(value, list):
        for one in value:
            yield from undeclared(one, f"{path}[]")
    elif isinstance(value, BaseModel):
        dot = f"{path}." if path else ""
        for name, said in (value.model_extra or {}).items():
            if said is not None and (said != [] or not path):
                yield f"{dot}{name}"
        for name, field in type(value).model_fields.items():
            yield from undeclared(getattr(value, name), f"{dot}{field.alias or name}")


def ignored(names: Iterable[str], *, strict: bool, not_for_agents: Iterable[str] = ()) -> tuple[str, ...]:
    """The fields without an effect, as they can be named to anybody.

    Raises UnsupportedParameter for the first one when the operator is `strict`; those of `not_for_agents` would have an
    effect with another profile.
    """
    shown = [name if _PLAIN.fullmatch(name) else "(unprintable)" for name in dict.fromkeys(names)]
    if strict and shown:
        where = "with the profile agent" if shown[0] in not_for_agents else "with Claude Code"
        raise UnsupportedParameter(f"{shown[0]} has no effect {where}, and [api] strict_params is on.", param=shown[0])
    return tuple(shown if len(shown) <= _MOST_SHOWN else [*shown[:_MOST_SHOWN], "..."])
