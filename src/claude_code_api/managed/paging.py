"""Pages of lists: where one goes on, in a text that only this server reads. Pure."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from claude_code_api.errors import InvalidRequest

T = TypeVar("T")

_PREFIX = "page_"
_LONGEST = 1000
_LARGEST = 2**63


class Page(NamedTuple):
    """Part of a list that goes from the newest to the oldest: what was made before `(created_at, id)`."""

    before: tuple[float, str] | None
    limit: int


def cursor(*parts: float | str | None) -> str:
    """The text for a place in a list."""
    return _PREFIX + base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


def place(text: str, *kinds: type) -> list[Any]:
    """The parts of a place, which are of these kinds. Raises InvalidRequest for what is no `cursor` of them."""
    body = text.removeprefix(_PREFIX)
    try:
        if body == text or len(text) > _LONGEST:
            raise ValueError
        parts = json.loads(base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True))
        if not isinstance(parts, list) or [type(part) for part in parts] != list(kinds):
            raise ValueError
        if any(isinstance(part, int) and abs(part) >= _LARGEST for part in parts):
            raise ValueError
        # A database can look for neither NaN nor half a surrogate pair.
        json.dumps(parts, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, binascii.Error, RecursionError) as error:
        raise InvalidRequest(
            "page must be the next_page of an earlier answer to the same list.", param="page"
        ) from error
    return parts


def page_of(text: str | None, limit: int) -> Page:
    """The page that a request asks for: of one more than `limit`, which tells whether another page follows."""
    if not text:
        return Page(None, limit + 1)
    moment, made_id = place(text, float, str)
    return Page((moment, made_id), limit + 1)


def shown(found: Sequence[T], limit: int, show: Callable[[T], Any], at: Callable[[T], str]) -> dict[str, Any]:
    """A page as the API shows it; `at` is the `cursor` of what stands last on it."""
    data = [show(one) for one in found[:limit]]
    return {"data": data, "next_page": at(found[limit - 1]) if len(found) > limit else None}
