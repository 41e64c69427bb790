"""Small sound images for tests, and how requests carry them."""

from __future__ import annotations

import base64
import struct
import zlib
from typing import Any

GIF = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff,\0\0\0\0\1\0\1\0\0\2\2D\1\0;"
JPEG = (
    b"\xff\xd8\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0"  # what it is,
    b"\xff\xc0\0\x0b\x08\0\1\0\1\1\1\x11\0\xff\xd9"  # and its frame: one pixel
)
WEBP = b"RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0/\0\0\0\x10\x07\x10\x11\x11\x88\x88\xfe\x07\0"
PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF"


def png(width: int = 8, height: int = 8, colour: bytes = b"\x10\x80\xff") -> bytes:
    """A PNG of one colour."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + colour * width) * height
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def base64_of(data: bytes) -> str:
    """Base64 text."""
    return base64.b64encode(data).decode()


def data_url(data: bytes, kind: str = "image/png") -> str:
    """A data URL."""
    return f"data:{kind};base64,{base64_of(data)}"


def image_part(url: str, **more: Any) -> dict[str, Any]:
    """An image_url part."""
    return {"type": "image_url", "image_url": {"url": url, **more}}


def file_part(data: bytes, kind: str, filename: str) -> dict[str, Any]:
    """A file part."""
    return {"type": "file", "file": {"file_data": data_url(data, kind), "filename": filename}}


def text_part(text: str) -> dict[str, Any]:
    """A text part."""
    return {"type": "text", "text": text}
