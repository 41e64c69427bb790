"""Which conversation a request belongs to."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from claude_code_api.errors import InvalidRequest


class Address(NamedTuple):
    """Where a conversation is found: a tenant, and the id that the conversation has there."""

    tenant: str
    conversation_id: str


@dataclass(frozen=True, slots=True)
class Identity:
    """Which conversation a request names; `conversation_id` None when it names none.

    `appends`: messages without an assistant's go on with what the conversation holds. Else the request is the whole
    history, as it is when a product named the conversation: those send all of it each time. `by_session`: the id is the
    one in the request's metadata.
    """

    conversation_id: str | None = None
    appends: bool = False
    by_session: bool = False


_VALID = re.compile(r"[A-Za-z0-9._:\-]{1,256}")


def identify(body: object, headers: Mapping[str, str], products: Sequence[str], session: object = None) -> Identity:
    """The conversation that a request names.

    First the body's `conversation_id` or the header `X-Conversation-ID`; then the first of the `products`' headers, in
    their order; then `session`, the id in LiteLLM's metadata. An empty header names
    nothing. Raises InvalidRequest for a malformed id, and when the first two disagree.
    """
    explicit = _explicit(body, headers.get("x-conversation-id") or None)
    if explicit is not None:
        return Identity(explicit, appends=True)
    for given in (headers.get(name, "").strip() for name in products):
        if given:
            return Identity(_accepted(given))
    if isinstance(session, str) and session.strip():
        return Identity(_accepted(session.strip()), by_session=True)
    return Identity()


def _explicit(body: object, header: str | None) -> str | None:
    if body is not None and not isinstance(body, str):
        raise InvalidRequest("conversation_id must be a string.", param="conversation_id")
    if body is not None and header is not None and body != header:
        raise InvalidRequest(
            "conversation_id in the body and the X-Conversation-ID header name different conversations; send one.",
            param="conversation_id",
        )
    chosen = body if body is not None else header
    return None if chosen is None else check_id(chosen)


def _accepted(given: str) -> str:
    """A product's id, which was not made for us: one that is no id of ours gets one."""
    if _is_valid(given):
        return given
    return f"sha256:{hashlib.sha256(given.encode(errors='surrogatepass')).hexdigest()}"


def check_id(value: str) -> str:
    """Return `value` when it is a well-formed id, else raise InvalidRequest."""
    if not _is_valid(value):
        raise InvalidRequest(
            "A conversation id is 1 to 256 characters, each a letter, a digit, or one of . _ : -",
            param="conversation_id",
        )
    return value


def _is_valid(value: str) -> bool:
    return _VALID.fullmatch(value) is not None and value not in (".", "..")
