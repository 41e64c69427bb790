"""A response's events as server-sent events."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

DONE = b"data: [DONE]\n\n"
"""What ends a stream."""


def sse(event: Mapping[str, Any]) -> bytes:
    """One event, by its type; escaped to ASCII: it cannot fail on half a surrogate pair."""
    return f"event: {event['type']}\ndata: {json.dumps(event, separators=(',', ':'))}\n\n".encode()


async def frames(events: AsyncIterator[Mapping[str, Any]]) -> AsyncIterator[bytes]:
    """Events as they are sent, and the end of them."""
    async for event in events:
        yield sse(event)
    yield DONE
