"""Metadata as OpenAI's objects carry it: a few short texts, kept and given back, and never looked at. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from claude_code_api.api.checks import sound
from claude_code_api.errors import InvalidRequest

_MOST_METADATA, _LONGEST_KEY, _LONGEST_VALUE = 16, 64, 512


def check_metadata(metadata: Mapping[str, Any]) -> None:
    """Raise InvalidRequest naming the key unless all values are texts that are not too long."""
    if len(metadata) > _MOST_METADATA:
        raise InvalidRequest(
            f"metadata has {len(metadata)} keys; at most {_MOST_METADATA} are taken.", param="metadata"
        )
    for key, value in metadata.items():
        if len(sound(key, "metadata")) > _LONGEST_KEY:
            raise InvalidRequest(
                f"metadata: the key {key[:_LONGEST_KEY]!r}... has more than {_LONGEST_KEY} characters.",
                param="metadata",
            )
        where = f"metadata.{key}"
        if not isinstance(value, str):
            raise InvalidRequest(f"{where} must be a string.", param=where)
        if len(sound(value, where)) > _LONGEST_VALUE:
            raise InvalidRequest(f"{where} has more than {_LONGEST_VALUE} characters.", param=where)
