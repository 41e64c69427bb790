"""The uploaded files that a request names: read for it, off the event loop."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Sequence
from dataclasses import replace

from claude_code_api.api.context import Context
from claude_code_api.api.media import Media
from claude_code_api.errors import InvalidFile
from claude_code_api.managed import files


async def with_files(media: Media, context: Context, tenant: str, wanted: Sequence[tuple[str, str]]) -> Media:
    """The same with these files, given as (field, id).

    Raises ResourceNotFound, or InvalidFile naming the field of one that is too large.
    """
    read: dict[str, str] = {}
    for where, file_id in wanted:
        if file_id in read:
            continue
        file = await files.found(context.managed.store, tenant, file_id, time.time())
        if file.size_bytes > media.max_bytes:
            raise InvalidFile(
                f"{where} has {file.size_bytes} bytes; at most {media.max_bytes} are taken ([media] max_bytes).",
                param=where,
            )
        raw = await asyncio.to_thread(context.managed.shelf.path_of(tenant, file_id).read_bytes)
        read[file_id] = base64.b64encode(raw).decode()
    return replace(media, files=read) if read else media
