"""What a response was asked: its request's own items, which are its turn's, and a history that came with them."""

from __future__ import annotations

from typing import Any

from claude_code_api.api.context import Context
from claude_code_api.api.openai_items.ids import parse
from claude_code_api.api.openai_items.listing import listed, page_of
from claude_code_api.api.openai_items.told import items_of_base, items_of_turn
from claude_code_api.api.openai_responses.begin import telling
from claude_code_api.runtime.stored import StoredResponse


async def page(
    context: Context, response: StoredResponse, *, after: str | None, limit: int, newest_first: bool
) -> dict[str, Any]:
    """A page of them. Raises ItemNotFound or StoreUnavailable."""
    told = telling(context, response.settings)
    found = await context.manager.store.turn(response.key, response.turn_id)
    items: list[dict[str, Any]] = []
    if found is not None:
        items += items_of_base(response.turn_id, found.base, told)
        items += [item for turn in found.turns for item in items_of_turn(turn, told) if _is_given(item["id"])]
    if newest_first:
        items.reverse()
    return listed(*page_of(items, after=after, limit=limit))


def _is_given(identity: str) -> bool:
    known = parse(identity)
    return known is not None and known.part in ("d", "i")
