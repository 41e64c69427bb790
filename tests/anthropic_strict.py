"""What the official Anthropic SDK gets, held against its own types: nothing missing, nothing of another kind.

The SDK's types say of a field that may be null not whether it may be missing; the order of the fields does. Those that
an answer always has come first, `id` and then by the alphabet, and where the alphabet begins anew the others follow.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

from anthropic import BaseModel

T = TypeVar("T", bound=BaseModel)


def strict(told: T) -> T:
    """Assert that an object of the SDK's has every field that its type asks for, and none that it does not know."""
    type(told).model_validate(told.to_dict(mode="python"))
    assert list(problems(told)) == []
    return told


def problems(told: Any, path: str = "") -> Iterator[str]:
    """What is missing, and what is unknown, wherever it stands."""
    if isinstance(told, list):
        for index, one in enumerate(told):
            yield from problems(one, f"{path}[{index}]")
    elif isinstance(told, dict):
        for name, one in told.items():
            yield from problems(one, f"{path}.{name}")
    elif isinstance(told, BaseModel):
        kind = type(told)
        for name in required(kind) - told.model_fields_set:
            yield f"{path}.{name} of {kind.__name__} is missing"
        for name in told.model_extra or ():
            yield f"{path}.{name} is unknown to {kind.__name__}"
        for name in told.model_fields_set & set(kind.model_fields):
            yield from problems(getattr(told, name), f"{path}.{name}")


def required(kind: type[BaseModel]) -> set[str]:
    """The fields that are always there, with null if need be."""
    names = list(kind.model_fields)
    ordered = names[1:] if names[:1] == ["id"] else names
    first = next((at for at in range(1, len(ordered)) if ordered[at] < ordered[at - 1]), None)
    if first is not None:
        return {*names[: len(names) - len(ordered)], *ordered[:first]}
    return {name for name in names if kind.model_fields[name].is_required()}
