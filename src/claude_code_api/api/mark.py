"""What identifies a request: for its logs, for a retry of it, for its Idempotency-Key."""

from __future__ import annotations

import hashlib
import re

from fastapi import Request

from claude_code_api.errors import InvalidRequest
from claude_code_api.runtime.host import RequestMark

_KEY = re.compile(r"[\x21-\x7e]{1,255}")


async def mark_of(request: Request, conversation_id: str | None) -> RequestMark:
    """The request's mark. Equal bodies to one path for one conversation have one fingerprint.

    Raises InvalidRequest for a malformed Idempotency-Key.
    """
    key = request.headers.get("idempotency-key")
    if key is not None and not _KEY.fullmatch(key):
        raise InvalidRequest(
            "An Idempotency-Key is 1 to 255 printable ASCII characters without spaces.", param="Idempotency-Key"
        )
    said = hashlib.sha256(f"{request.url.path}\n{conversation_id or ''}\n".encode())
    said.update(await request.body())
    return RequestMark(request.state.request_id, said.hexdigest(), key)
