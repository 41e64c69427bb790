"""A conversation's items, from its first to its last or the other way, page by page out of the store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence

from claude_code_api.api.openai_items.ids import parse
from claude_code_api.api.openai_items.listing import absent
from claude_code_api.api.openai_items.shapes import Item
from claude_code_api.api.openai_items.told import Telling, items_of_base, items_of_turn
from claude_code_api.core.identity import Address
from claude_code_api.runtime.revisions import Revisions
from claude_code_api.runtime.stored import StoredTurns

_PAGE = 20
"""Turns that are in memory at once."""


class Listing:
    """Reads the items of one conversation. Raises ConversationNotFound or StoreUnavailable where it reads."""

    def __init__(self, revisions: Revisions, address: Address, told: Telling) -> None:
        self._revisions = revisions
        self._address = address
        self._told = told

    async def page(self, *, after: str | None, limit: int, newest_first: bool) -> tuple[list[Item], bool]:
        """At most `limit` items behind the item `after`, and whether there are more. Raises ItemNotFound."""
        found: list[Item] = []
        async for item in self._behind(after, newest_first=newest_first):
            if len(found) == limit:
                return found, True
            found.append(item)
        return found, False

    async def one(self, given: str) -> Item:
        """The item of this id. Raises ItemNotFound."""
        turns = await self._turn_with(given)
        return next((one for one in self._items(turns, newest_first=False) if one["id"] == given), None) or absent(
            given
        )

    async def _turn_with(self, given: str) -> StoredTurns:
        """The turn that an item belongs to, with the base if that came with it. Raises ItemNotFound."""
        identity = parse(given)
        turns = None if identity is None else await self._revisions.turn(self._address, identity.turn_id)
        return turns or absent(given)

    async def _behind(self, after: str | None, *, newest_first: bool) -> AsyncIterator[Item]:
        turn = None
        if after is not None:
            beside = await self._turn_with(after)
            items = list(self._items(beside, newest_first=newest_first))
            at = next((number for number, item in enumerate(items) if item["id"] == after), None)
            if at is None:
                absent(after)
            for item in items[at + 1 :]:
                yield item
            turn = beside.turns[0].turn_id
        while True:
            page = await self._revisions.turns(self._address, after=turn, limit=_PAGE, newest_first=newest_first)
            for item in self._items(page, newest_first=newest_first):
                yield item
            if len(page.turns) < _PAGE:
                return
            turn = page.turns[-1].turn_id

    def _items(self, page: StoredTurns, *, newest_first: bool) -> Iterator[Item]:
        base: Sequence[Item] = ()
        if page.base and page.base_turn is not None:
            base = items_of_base(page.base_turn, page.base, self._told)
        turns = [items_of_turn(turn, self._told) for turn in page.turns]
        if not newest_first:
            yield from base
        for items in turns:
            yield from reversed(items) if newest_first else items
        if newest_first:
            yield from reversed(base)
