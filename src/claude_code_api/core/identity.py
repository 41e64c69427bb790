"""Which conversation a request belongs to."""

from __future__ import annotations

import re
from typing import NamedTuple

from claude_code_api.errors import InvalidRequest


class Address(NamedTuple):
    """Where a conversation is found: a tenant, and the id that the conversation has there."""

    tenant: str
    conversation_id: str


_VALID = re.compile(r"[A-Za-z0-9._:\-]{1,256}")


def explicit_id(body: object, header: str | None) -> str | None:
    """The id that the request names: body field `conversation_id` or header `X-Conversation-ID`; None for neither.

    Raises InvalidRequest for a malformed id, and when the two disagree.
    """
    if body is not None and not isinstance(body, str):
        raise InvalidRequest("conversation_id must be a string.", param="conversation_id")
    if body is not None and header is not None and body != header:
        raise InvalidRequest(
            "conversation_id in the body and the X-Conversation-ID header name different conversations; send one.",
            param="conversation_id",
        )
    chosen = body if body is not None else header
    if chosen is None:
        return None
    return check_id(chosen)


def check_id(value: str) -> str:
    """Return `value` when it is a well-formed id, else raise InvalidRequest."""
    if not _VALID.fullmatch(value) or value in (".", ".."):
        raise InvalidRequest(
            "A conversation id is 1 to 256 characters, each a letter, a digit, or one of . _ : -",
            param="conversation_id",
        )
    return value
