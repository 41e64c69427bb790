"""Checks of what clients send that every dialect needs: texts and names. Pure."""

from __future__ import annotations

import re

from claude_code_api.errors import InvalidRequest

_NAME = re.compile(r"[a-zA-Z0-9_-]+")
_LONGEST_NAME = 64


def sound(text: str, where: str) -> str:
    """JSON can carry half a character, which nothing behind us can store."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidRequest(f"{where} contains half of a surrogate pair, which is not text.", param=where) from error
    return text


def checked_name(name: str, where: str) -> str:
    """A name that OpenAI and the Messages API both take. Raises InvalidRequest, in OpenAI's words."""
    if len(name) > _LONGEST_NAME:
        raise InvalidRequest(
            f"Invalid '{where}': string too long. Expected a string with maximum length {_LONGEST_NAME}, but got a "
            f"string with length {len(name)} instead.",
            param=where,
        )
    if not _NAME.fullmatch(name):
        raise InvalidRequest(
            f"Invalid '{where}': string does not match pattern. Expected a string that matches the pattern "
            "'^[a-zA-Z0-9_-]+$'.",
            param=where,
        )
    return name
