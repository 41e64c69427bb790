"""Lists of items, as pages. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

from claude_code_api.api.openai_items.shapes import Item
from claude_code_api.errors import ItemNotFound


def page_of(items: Sequence[Item], *, after: str | None, limit: int) -> tuple[Sequence[Item], bool]:
    """At most `limit` items behind the item `after`, and whether there are more. Raises ItemNotFound."""
    start = 0
    if after is not None:
        start = next((number for number, item in enumerate(items, 1) if item["id"] == after), -1)
        if start < 0:
            absent(after, "after")
    return items[start : start + limit], len(items) > start + limit


def listed(items: Sequence[Item], has_more: bool) -> dict[str, Any]:
    """The list object of a page."""
    return {
        "object": "list",
        "data": list(items),
        "first_id": items[0]["id"] if items else "",
        "last_id": items[-1]["id"] if items else "",
        "has_more": has_more,
    }


def absent(given: str, param: str = "item_id") -> NoReturn:
    """Raise ItemNotFound naming the parameter."""
    raise ItemNotFound(f"There is no item {given[:100]!r} here.", param=param)
