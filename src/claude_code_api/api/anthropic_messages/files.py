"""Reading a request, twice when it names images by URL or uploaded files: these are had for it in between.

What takes a while is done off the event loop.
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from fastapi import Request

from claude_code_api.api.anthropic_messages.parts import files_to_read, urls_to_fetch
from claude_code_api.api.anthropic_messages.wire import CountRequest
from claude_code_api.api.context import Context
from claude_code_api.api.fetched import fetched
from claude_code_api.api.media import Media
from claude_code_api.errors import InvalidFile, ResourceNotFound
from claude_code_api.managed import files

_LONG = 100
"""Blocks, from which on a request is not read on the event loop."""

_Read = TypeVar("_Read")


async def read_with_media(
    request: Request, body: CountRequest, context: Context, tenant: str, read: Callable[[Media], _Read]
) -> _Read:
    """What `read` makes of the body with all that it names; what is wrong is told before anything is fetched.

    Raises what `read` raises, InvalidImageUrl, InvalidFile, ResourceNotFound, or TurnCancelled.
    """
    run = asyncio.get_running_loop().run_in_executor
    if _takes_a_while(body):
        first = await run(context.checks, read, context.images.awaited)
    else:
        first = read(context.images.awaited)
    urls, named = urls_to_fetch(body), files_to_read(body)
    if not urls and not named:
        return first
    media = await with_files(await fetched(request, context, tenant, urls), context, tenant, named)
    return await run(context.checks, read, media)


def _takes_a_while(body: CountRequest) -> bool:
    """Whether it is a long history, or may hold large schemas."""
    if body.tools or body.output_config is not None or body.output_format is not None:
        return True
    return sum(len(one.content) if isinstance(one.content, list) else 1 for one in body.messages) > _LONG


async def with_files(media: Media, context: Context, tenant: str, wanted: Sequence[tuple[str, str]]) -> Media:
    """The same with these files, given as (field, id). A file counts each time that it is named.

    Raises ResourceNotFound, or InvalidFile naming the field of one that is too large, or is one too many.
    """
    read: dict[str, str] = {}
    times = Counter(file_id for _, file_id in wanted)
    most = left = context.images.max_total
    for where, file_id in wanted:
        if file_id in read:
            continue
        file = await files.found(context.managed.store, tenant, file_id, time.time())
        if file.size_bytes > media.max_bytes:
            raise InvalidFile(
                f"{where} has {file.size_bytes} bytes; at most {media.max_bytes} are taken ([media] max_bytes).",
                param=where,
            )
        left -= file.size_bytes * times[file_id]
        if left < 0:
            raise InvalidFile(
                f"{where}: the request's files have more than {most} bytes together, each counted as often as it is "
                "named.",
                param=where,
            )
        try:
            raw = await asyncio.to_thread(context.managed.shelf.path_of(tenant, file_id).read_bytes)
        except FileNotFoundError as error:  # it was deleted meanwhile
            raise ResourceNotFound(f"There is no file {file_id[:100]!r}.", param="file_id") from error
        read[file_id] = base64.b64encode(raw).decode()
    return replace(media, files=read) if read else media
