"""The images that a request names by URL, while its client waits for them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from fastapi import Request

from claude_code_api.api.client import ClientWatch
from claude_code_api.api.context import Context
from claude_code_api.api.media import Media
from claude_code_api.errors import TurnCancelled


async def fetched(request: Request, context: Context, tenant: str, wanted: Sequence[tuple[str, str]]) -> Media:
    """Fetch the images, given as (field, URL); a client that leaves ends it.

    Raises InvalidImageUrl naming the field, or TurnCancelled.
    """
    if not wanted:
        return replace(context.images.awaited, awaited=False)
    fetching = asyncio.timeout(None)
    try:
        async with fetching, ClientWatch(request.receive, lambda: fetching.reschedule(0)):
            return await context.images.fetch(wanted, tenant)
    except TimeoutError as error:
        raise TurnCancelled("The client left while its images were fetched.") from error
