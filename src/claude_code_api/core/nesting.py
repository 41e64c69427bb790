"""How deep a JSON value is nested. Python walks and writes values by recursion, and not as deep as it reads them."""

from __future__ import annotations

from typing import Any

DEEPEST = 100
"""Containers in one another, that are taken as values; what is deeper is kept as text."""


def is_deep(value: Any, most: int = DEEPEST) -> bool:
    """Whether a value has more than `most` objects and arrays in one another."""
    level = [value]
    for _ in range(most):
        level = [one for value in level for one in _held(value)]
        if not level:
            return False
    return any(isinstance(one, dict | list) for one in level)


def count(value: Any) -> int:
    """How many values it is made of, itself included."""
    values, level = 1, [value]
    while level:
        level = [one for value in level for one in _held(value)]
        values += len(level)
    return values


def _held(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
