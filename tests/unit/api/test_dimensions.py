"""How large a picture is, by its header, and which headers are whole."""

from __future__ import annotations

import struct

import pytest

from claude_code_api.api.dimensions import dimensions
from claude_code_api.api.media import Media, image_of, image_type
from claude_code_api.errors import InvalidImage
from tests.images import GIF, JPEG, WEBP, data_url, png

JPEG_LARGE = b"\xff\xd8\xff\xe1\0\x04xx\xff\xff\xc4\0\x03x\xff\xc2\0\x0b\x08\x27\x10\0\x10\1\1\x11\0"
GIF_LARGE = (
    b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0, 0, 0) + b"!\xf9\4\0\0\0\0\0," + struct.pack("<HHHH", 1, 0, 60000, 2)
)
VP8 = b"RIFF\0\0\0\0WEBPVP8 \0\0\0\0\0\0\0\x9d\1\x2a" + struct.pack("<HH", 640, 480)
VP8X = b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + b"\xff\xff\0" + b"\1\0\1"


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (png(640, 3), (640, 3)),
        (GIF, (1, 1)),
        (GIF_LARGE, (60001, 2)),
        (JPEG, (1, 1)),
        (JPEG_LARGE, (16, 10000)),
        (WEBP, (1, 1)),
        (VP8, (640, 480)),
        (VP8X, (65536, 65538)),
    ],
)
def test_the_size_is_read(data: bytes, size: tuple[int, int]) -> None:
    kind = image_type(data)
    assert kind is not None
    assert dimensions(data, kind) == size


@pytest.mark.parametrize("data", [png(), GIF_LARGE, JPEG_LARGE, VP8, VP8X, WEBP[:25]])
def test_a_header_that_is_not_whole_has_none(data: bytes) -> None:
    kind = image_type(data)
    assert kind is not None
    header = 33 if data == png() else len(data)
    for length in range(12, header):
        found = dimensions(data[:length], kind)
        assert found is None or data is JPEG_LARGE  # what follows the size in a frame is not looked at


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (png(8001, 1), "has 8001 x 1 pixels; at most 8000 a side"),
        (b"GIF89a", "its header is not whole"),
        (b"\xff\xd8\xff\xd9", "its header is not whole"),
        (b"\xff\xd8\xff" + b"\xff" * 100, "its header is not whole"),
    ],
)
def test_what_is_too_large_or_damaged_is_refused(data: bytes, told: str) -> None:
    kind = image_type(data)
    assert kind is not None
    with pytest.raises(InvalidImage, match=told):
        image_of(data_url(data, kind), "here", Media())


def test_the_largest_is_taken() -> None:
    assert image_of(data_url(png(8000, 1)), "here", Media())
