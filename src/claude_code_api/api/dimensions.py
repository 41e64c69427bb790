"""How large a picture is, read from its header: a file of some kilobytes can unfold to gigabytes. Pure."""

from __future__ import annotations

import struct

Size = tuple[int, int]

_NO_FRAME = frozenset((0xC4, 0xC8, 0xCC))
"""Of the markers 0xC0 to 0xCF of a JPEG, those that do not begin a frame."""


def dimensions(data: bytes, media_type: str) -> Size | None:
    """Width and height in pixels; None when the header is not whole, or says that there are none."""
    try:
        width, height = _READERS[media_type](data)
    except (struct.error, IndexError, ValueError):
        return None
    return (width, height) if width > 0 and height > 0 else None


def _png(data: bytes) -> Size:
    length, kind, width, height = struct.unpack_from(">I4sII", data, 8)
    if kind != b"IHDR" or length != 13 or len(data) < 33:
        raise ValueError
    return width, height


def _gif(data: bytes) -> Size:
    """The largest of the screen and the first picture on it, which may be larger."""
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    at = 13 + (3 << ((flags & 7) + 1) if flags & 0x80 else 0)
    while data[at] == 0x21:  # extensions: blocks until an empty one
        at += 2
        while size := data[at]:
            at += size + 1
        at += 1
    if data[at] != 0x2C:
        raise ValueError
    left, top, wide, high = struct.unpack_from("<HHHH", data, at + 1)
    return max(width, left + wide), max(height, top + high)


def _jpeg(data: bytes) -> Size:
    at = 2
    while True:
        while data[at] == 0xFF and data[at + 1] == 0xFF:  # fill bytes
            at += 1
        marker, kind = data[at], data[at + 1]
        if marker != 0xFF:
            raise ValueError
        if 0xC0 <= kind <= 0xCF and kind not in _NO_FRAME:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        if kind == 0x01 or 0xD0 <= kind <= 0xD7:
            at += 2
            continue
        if kind in (0xD9, 0xDA):  # the end, or the picture itself, without a frame
            raise ValueError
        (length,) = struct.unpack_from(">H", data, at + 2)
        if length < 2:
            raise ValueError
        at += 2 + length


def _webp(data: bytes) -> Size:
    kind = data[12:16]
    if kind == b"VP8X":
        wide, wider, high, higher = struct.unpack_from("<HBHB", data, 24)
        return 1 + wide + (wider << 16), 1 + high + (higher << 16)
    if kind == b"VP8L":
        signature, packed = struct.unpack_from("<BI", data, 20)
        if signature != 0x2F:
            raise ValueError
        return 1 + (packed & 0x3FFF), 1 + (packed >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        start, width, height = struct.unpack_from("<3sHH", data, 23)
        if start != b"\x9d\x01\x2a":
            raise ValueError
        return width & 0x3FFF, height & 0x3FFF
    raise ValueError


_READERS = {"image/png": _png, "image/gif": _gif, "image/jpeg": _jpeg, "image/webp": _webp}
