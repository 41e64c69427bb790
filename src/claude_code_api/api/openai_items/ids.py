"""The ids of responses and items. They follow from the turn, so every way to look at one has the same. Pure."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

Part: TypeAlias = Literal["d", "i", "o", "b"]
"""Of a turn: its developer messages, its input, its output, or the base that came with it."""

_ITEM = re.compile(rf"([a-z]+)_([0-9a-f]{{32}})([{''.join(get_args(Part))}])(0|[1-9][0-9]{{0,8}})")
_RESPONSE = re.compile(r"resp_([0-9a-f]{32})")


@dataclass(frozen=True, slots=True)
class ItemId:
    """The `n`-th item of a part of a turn, counted from 0; `prefix` says what kind of item it is."""

    prefix: str
    turn_id: str
    part: Part
    n: int

    def __str__(self) -> str:
        return f"{self.prefix}_{uuid.UUID(self.turn_id).hex}{self.part}{self.n}"


def parse(text: str) -> ItemId | None:
    """The id that a text is; None when it is none of ours. Whether there is such an item is not said."""
    if (found := _ITEM.fullmatch(text)) is None:
        return None
    prefix, turn, letter, n = found.groups()
    part = next(one for one in get_args(Part) if one == letter)
    return ItemId(prefix, str(uuid.UUID(hex=turn)), part, int(n))


def response_id(turn_id: str) -> str:
    """The id of the response that a turn is."""
    return f"resp_{uuid.UUID(turn_id).hex}"


def turn_of(response_id: str) -> str | None:
    """The id of the turn that a response is; None when the id is none of ours."""
    found = _RESPONSE.fullmatch(response_id)
    return None if found is None else str(uuid.UUID(hex=found[1]))
