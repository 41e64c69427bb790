"""Images and files as the Messages API takes them: what they are, whether they are sound, their blocks. Pure."""

from __future__ import annotations

import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field

from claude_code_api.api.checks import sound
from claude_code_api.api.dimensions import dimensions
from claude_code_api.core.turn import Block
from claude_code_api.errors import InvalidFile, InvalidImage, InvalidImageUrl, InvalidRequest

DEFAULT_MAX_BYTES = 20 * 2**20
_HEAD = 1024
_MOST_PIXELS = 8_000
"""On a side; the Messages API takes no more."""
_LONGEST_NAME = 255
_PDF = "application/pdf"
_KINDS = "PDF, and text in UTF-8 (plain, Markdown, JSON, CSV, source code)"


@dataclass(frozen=True, slots=True)
class Image:
    """A sound image: its type, and its bytes in base64."""

    media_type: str
    data: str

    def block(self) -> Block:
        """It as a content block."""
        return {"type": "image", "source": {"type": "base64", "media_type": self.media_type, "data": self.data}}


@dataclass(frozen=True, slots=True)
class Media:
    """How large an image or file may be, in bytes, and the images that were fetched for a request, by their URL.

    `files` are the uploaded files that it names, in base64, by their ids. `awaited`: all these are still to be fetched,
    and something else stands for them.
    """

    max_bytes: int = DEFAULT_MAX_BYTES
    fetched: Mapping[str, Image] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    awaited: bool = False


def image_type(head: bytes) -> str | None:
    """The type of an image by how it begins; None for what Claude cannot see."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    return None


def picture_problem(raw: bytes, media_type: str) -> str | None:
    """What is wrong with an image by its header, as the end of a sentence."""
    size = dimensions(raw, media_type)
    if size is None:
        return "is damaged: its header is not whole."
    if max(size) > _MOST_PIXELS:
        return f"has {size[0]} x {size[1]} pixels; at most {_MOST_PIXELS} a side are taken."
    return None


def is_data_url(url: str) -> bool:
    """Whether a URL holds what it names; anything else has to be fetched."""
    return url[:5].lower() == "data:"


def picture(url: str, where: str, media: Media) -> Block:
    """The image block of a URL: a data URL, or one that was fetched.

    Raises InvalidImage or InvalidImageUrl naming the field `where`.
    """
    if is_data_url(url):
        return image_of(url, where, media).block()
    if media.awaited:
        return Image("image/png", "").block()
    if url not in media.fetched:
        raise InvalidImageUrl(f"{where} was not fetched.", param=where)
    return media.fetched[url].block()


def image_of(url: str, where: str, media: Media) -> Image:
    """The image of a data URL. Raises InvalidImage naming the field `where`."""
    declared, data = _data_url(url, where, InvalidImage)
    raw = _decoded(data, where, media, InvalidImage)
    found = image_type(raw)
    if found is None:
        raise InvalidImage(f"{where} is not a PNG, JPEG, GIF or WebP image.", param=where)
    declared = "image/jpeg" if declared == "image/jpg" else declared
    if found != declared:
        raise InvalidImage(f"{where} says {declared or 'nothing'} and is {found}: name its true type.", param=where)
    if (problem := picture_problem(raw, found)) is not None:
        raise InvalidImage(f"{where} {problem}", param=where)
    return Image(found, data)


def file(data: str, filename: str | None, where: str, media: Media, *, image_part: str) -> Block:
    """The document block of a part with `file_data` and a `filename`. `image_part` is what an image belongs into.

    Raises InvalidRequest or InvalidFile naming the field in `where`, the part.
    """
    name = sound(filename or "", f"{where}.filename")
    if len(name) > _LONGEST_NAME:
        raise InvalidRequest(f"{where}.filename has more than {_LONGEST_NAME} characters.", param=f"{where}.filename")
    return document(data, name or None, f"{where}.file_data", media, image_part=image_part)


def document(data: str, filename: str | None, where: str, media: Media, *, image_part: str = "image_url") -> Block:
    """The document block of a file: a data URL, or bare base64. What is inside tells its kind: PDF, or text.

    Raises InvalidFile naming the field `where`.
    """
    is_url = is_data_url(data)
    declared, data = _data_url(data, where, InvalidFile) if is_url else ("", _compact(data))
    raw = _decoded(data, where, media, InvalidFile)
    title = {"title": filename} if filename else {}
    is_named_pdf = declared == _PDF or (filename or "").lower().endswith(".pdf")
    if raw.startswith(b"%PDF-") or (is_named_pdf and b"%PDF-" in raw[:_HEAD]):
        return {"type": "document", "source": {"type": "base64", "media_type": _PDF, "data": data}, **title}
    if is_named_pdf:
        raise InvalidFile(f"{where} says that it is a PDF, and is none.", param=where)
    if image_type(raw) is not None:
        raise InvalidFile(f"{where} is an image: send it in an {image_part} part.", param=where)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        what = declared or (f"{filename!r}" if filename else "what was sent")
        raise InvalidFile(f"{where}: {what} cannot be read. Claude reads {_KINDS}.", param=where)
    if not text.strip():
        raise InvalidFile(f"{where} is empty.", param=where)
    return {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": text}, **title}


def _data_url(url: str, where: str, kind: type[InvalidRequest]) -> tuple[str, str]:
    """The type (lower case, without parameters) and the base64 of a data URL."""
    head, comma, data = url.partition(",")
    declared, *parameters = (part.strip().lower() for part in head[5:].split(";"))
    if not comma or "base64" not in parameters:
        raise kind(f"{where} is not a data URL such as data:image/png;base64,....", param=where)
    return declared, _compact(data)


def _compact(data: str) -> str:
    """Base64 may come in lines."""
    return "".join(data.split()) if any(space in data for space in "\n\r\t ") else data


def _decoded(data: str, where: str, media: Media, kind: type[InvalidRequest]) -> bytes:
    size = len(data) // 4 * 3
    if size - 2 > media.max_bytes:
        raise kind(f"{where} has {size} bytes; at most {media.max_bytes} are taken ([media] max_bytes).", param=where)
    try:
        raw = binascii.a2b_base64(data, strict_mode=True)
    except ValueError as error:
        raise kind(f"{where} is not valid base64.", param=where) from error
    if not raw:
        raise kind(f"{where} is empty.", param=where)
    return raw
