"""Metadata of agents, environments and sessions: a few short texts, kept and given back, and never looked at. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from claude_code_api.errors import InvalidMetadata

_MOST, _LONGEST_KEY, _LONGEST_VALUE = 16, 64, 512


def checked(metadata: Mapping[str, str]) -> dict[str, str]:
    """The metadata as they are kept. Raises InvalidMetadata naming the key."""
    if len(metadata) > _MOST:
        raise InvalidMetadata(f"metadata has {len(metadata)} keys; at most {_MOST} are taken.", param="metadata")
    for key, value in metadata.items():
        if _is_cut(key) or _is_cut(value):
            raise InvalidMetadata("metadata contain half of a surrogate pair, which is not text.", param="metadata")
        if not 0 < len(key) <= _LONGEST_KEY:
            raise InvalidMetadata(
                f"metadata: the key {key[:_LONGEST_KEY]!r} has {len(key)} characters; 1 to {_LONGEST_KEY} are taken.",
                param="metadata",
            )
        if len(value) > _LONGEST_VALUE:
            where = f"metadata.{key}"
            raise InvalidMetadata(f"{where} has more than {_LONGEST_VALUE} characters.", param=where)
    return dict(metadata)


def patched(
    metadata: Mapping[str, str], patch: Mapping[str, str | None] | None, *, empty_deletes: bool = False
) -> dict[str, str]:
    """What a patch makes of metadata: a key with null is taken out, one with a text is set, others stay.

    `empty_deletes` lets an empty text take a key out as well, as environments have it. Raises InvalidMetadata.
    """
    made = dict(metadata)
    for key, value in (patch or {}).items():
        if value is None or (empty_deletes and not value):
            made.pop(key, None)
        else:
            made[key] = value
    return checked(made)


def _is_cut(text: str) -> bool:
    """Whether there is half a character in it, which JSON can carry and nothing behind us can store."""
    return any("\ud800" <= one <= "\udfff" for one in text)
