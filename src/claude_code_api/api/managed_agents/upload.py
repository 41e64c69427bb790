"""Forms with files: what comes is written to disk as it comes, and never held in memory."""

from __future__ import annotations

import asyncio
import mimetypes
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from claude_code_api.errors import InvalidRequest, StoreUnavailable

_MOST_PARTS, _LONGEST_FIELD, _LONGEST_NAME = 1000, 10_000, 255
_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,100}/[A-Za-z0-9!#$&^_.+-]{1,100}")
_FILES = ("file", "files", "files[]")
"""The fields that are files even without a filename."""
_UNTYPED = "application/octet-stream"


@dataclass(slots=True)
class Part:
    """One part of a form. `filename` is what the client calls its file, if it says."""

    name: str
    filename: str | None
    mime_type: str
    size: int = 0


@dataclass(slots=True)
class Form:
    """What a form had: its plain fields, and its files, which were written where `place` said."""

    fields: dict[str, str] = field(default_factory=dict)
    files: list[Part] = field(default_factory=list)


async def receive(request: Request, place: Callable[[Part], BinaryIO]) -> Form:
    """Read a form to its end. `place` opens what a file is written to, in a thread; it is closed here.

    Raises InvalidRequest for what is no form, and StoreUnavailable when the disk is full; what was written then is for
    the caller to remove, as it is when the client leaves.
    """
    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise InvalidRequest("The body must be a form, multipart/form-data with a boundary.")
    gathering = _Gathering(place)
    try:
        reader = _Reader(options[b"boundary"])
        async for chunk in request.stream():
            await asyncio.to_thread(_take, chunk, reader, gathering)
    except FormParserError as error:
        raise InvalidRequest("The body is not a form as multipart/form-data has it.") from error
    except OSError as error:
        raise StoreUnavailable(f"The file could not be kept: {error.strerror}.", retry_after=5) from error
    finally:
        await asyncio.to_thread(gathering.close)
    if not reader.is_complete:
        raise InvalidRequest("The form does not end: its last boundary is missing.")
    return gathering.form


def _take(chunk: bytes, reader: _Reader, gathering: _Gathering) -> None:
    """Read on; a part's head takes a millisecond, and a chunk may have hundreds of them."""
    reader.parser.write(chunk)
    gathering.take(reader.drained())


class _Reader:
    """Turns the parser's calls into a list: a Part where one begins, then its bytes."""

    def __init__(self, boundary: bytes) -> None:
        self.events: list[Part | bytes] = []
        self.is_complete = False
        self._headers: dict[str, str] = {}
        self._name, self._value = b"", b""
        self._parts = 0
        self.parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._headers.clear,
                "on_header_field": self._on_name,
                "on_header_value": self._on_value,
                "on_header_end": self._on_header,
                "on_headers_finished": self._on_part,
                "on_part_data": self._on_data,
                "on_end": self._on_end,
            },
        )

    def drained(self) -> list[Part | bytes]:
        """What came since the last time."""
        events, self.events = self.events, []
        return events

    def _on_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header(self) -> None:
        self._headers[self._name.decode("latin-1").lower()] = self._value.decode("latin-1")
        self._name, self._value = b"", b""

    def _on_part(self) -> None:
        self._parts += 1
        if self._parts > _MOST_PARTS:
            raise InvalidRequest(f"The form has more than {_MOST_PARTS} parts.")
        _, options = parse_options_header(self._headers.get("content-disposition"))
        name = options.get(b"name", b"").decode(errors="replace")
        called = options.get(b"filename")
        filename = None if called is None else called.decode(errors="replace")
        given = self._headers.get("content-type", "").partition(";")[0].strip().lower()
        guessed = mimetypes.guess_type(filename or "")[0] or _UNTYPED
        self.events.append(Part(name, filename, given if _TYPE.fullmatch(given) else guessed))

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        self.events.append(data[start:end])

    def _on_end(self) -> None:
        self.is_complete = True


class _Gathering:
    """Writes what comes. Blocks for as long as the disk takes."""

    def __init__(self, place: Callable[[Part], BinaryIO]) -> None:
        self.form = Form()
        self._place = place
        self._part: Part | None = None
        self._file: BinaryIO | None = None
        self._field = b""

    def take(self, events: list[Part | bytes]) -> None:
        for event in events:
            if isinstance(event, Part):
                self.close()
                self._begin(event)
            elif self._file is not None and self._part is not None:
                self._file.write(event)
                self._part.size += len(event)
            else:
                self._field += event
                if len(self._field) > _LONGEST_FIELD:
                    raise InvalidRequest("A field of the form, which is no file, has too many characters.")

    def close(self) -> None:
        """Bring the part that was begun to its end."""
        part, file = self._part, self._file
        self._part = self._file = None
        if file is not None:
            with file:
                file.flush()
                os.fsync(file.fileno())
        elif part is not None:
            self.form.fields[part.name] = self._field.decode(errors="replace")
        self._field = b""

    def _begin(self, part: Part) -> None:
        if part.name in self.form.fields:
            raise InvalidRequest(f"{part.name}: the form has this field twice.", param=part.name)
        self._part = part
        if part.filename is not None or part.name in _FILES:
            self._file = self._place(part)
            self.form.files.append(part)


def plain_name(filename: str, mime_type: str) -> str:
    """What a file is called: the last part of the name that the client gave, in characters that can be shown."""
    last = re.split(r"[/\\]", filename)[-1]
    shown = "".join(one for one in last if one.isprintable()).strip()
    shown = shown.encode()[:_LONGEST_NAME].decode(errors="ignore")  # in bytes, so that a file can be named so
    if shown.strip("."):
        return shown
    return f"unnamed{mimetypes.guess_extension(mime_type) or ''}"


def check_fields(form: Form, known: tuple[str, ...]) -> None:
    """Raise InvalidRequest for a field that means nothing here."""
    for name in _names(form):
        if name not in known:
            shown = name[:100] if name.isprintable() else "(unprintable)"
            raise InvalidRequest(f"{shown}: there is no such field.", param=shown)


def _names(form: Form) -> Iterator[str]:
    yield from form.fields
    yield from (part.name for part in form.files)
