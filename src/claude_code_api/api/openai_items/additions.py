"""Items that are added to a conversation without a turn. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby

from claude_code_api.api.media import Media
from claude_code_api.api.openai_items.read import Items, read
from claude_code_api.api.openai_items.wire import InputItem, MessageItem
from claude_code_api.core.turn import Message, Usage
from claude_code_api.runtime.stored import Addition, StoredTurn

_NOBODY = Message("user", ())


def additions_of(
    items: Sequence[InputItem], media: Media, kept: Items, *, new_id: Callable[[], str], now: float
) -> list[Addition]:
    """What they add, in their order: instructions begin an addition of their own.

    Raises InvalidRequest or UnsupportedParameter naming the field.
    """
    read(list(items), media, appends=True, adds=True, kept=kept, field="items")  # what is wrong, by its place in all
    said = [read(part, media, appends=True, adds=True, kept=kept, field="items") for part in _parts(items)]
    return [Addition(new_id(), one.developer, one.messages, now) for one in said if one.developer or one.messages]


def as_turn(addition: Addition) -> StoredTurn:
    """An addition as it is read back."""
    first, *others = addition.messages or (_NOBODY,)
    return StoredTurn(
        turn_id=addition.turn_id,
        created_at=addition.created_at,
        finished_at=addition.created_at,
        model="",
        stop_reason="added",
        input=first,
        output=tuple(others),
        usage=Usage(),
        cost_usd=0.0,
        developer=addition.developer,
    )


def _parts(items: Sequence[InputItem]) -> list[list[InputItem]]:
    """Each with its instructions in front of the rest."""
    parts: list[list[InputItem]] = []
    for instructs, run in groupby(items, key=_instructs):
        if instructs or not parts:
            parts.append([])
        parts[-1] += run
    return parts


def _instructs(item: InputItem) -> bool:
    return isinstance(item, MessageItem) and item.role in ("system", "developer")
