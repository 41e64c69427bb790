"""Functions in namespaces: one name for the model, two for the client. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

Namespaced: TypeAlias = Mapping[str, tuple[str, str]]
"""By the name that the model knows: the namespace, and the function's name in it."""


def joined(namespace: str, name: str) -> str:
    """The name that the model knows a function by."""
    return f"{namespace}__{name}"


def namespaced(tools: Iterable[Mapping[str, Any]]) -> Namespaced:
    """The functions of the namespaces among a request's tools, which were checked."""
    return {
        joined(tool["name"], inner["name"]): (tool["name"], inner["name"])
        for tool in tools
        if tool["type"] == "namespace"
        for inner in tool.get("tools") or ()
    }
