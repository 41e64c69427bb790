"""The content of events: checked, and as the model gets it. Files and URLs are read when an event is sent."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence

from fastapi import Request

from claude_code_api.api.checks import sound
from claude_code_api.api.context import Context
from claude_code_api.api.fetched import fetched
from claude_code_api.api.managed_agents.shapes import Json, now
from claude_code_api.api.managed_agents.wire_sessions import (
    DocumentParams,
    Given,
    ImageParams,
    RedactedParams,
    Said,
    SearchResultParams,
    SourceParams,
    TextParams,
)
from claude_code_api.api.media import Media, document, image_of, image_type, picture
from claude_code_api.core.turn import Block
from claude_code_api.errors import InvalidFile, InvalidRequest, NotSupported
from claude_code_api.managed import files

_FIELDS = {"base64": ("media_type", "data"), "url": ("url",), "file": ("file_id",), "text": ("media_type", "data")}
_PLAIN = "text/plain"


class Reader:
    """Reads the content of one request's events."""

    def __init__(self, request: Request, context: Context, tenant: str) -> None:
        self._request = request
        self._context = context
        self._tenant = tenant

    async def blocks(self, content: Sequence[Said | Given], where: str) -> tuple[Block, ...]:
        """Content as the model gets it. Raises InvalidRequest naming the field."""
        return tuple([await self._block(block, f"{where}.{number}") for number, block in enumerate(content)])

    async def text_of_file(self, file_id: str, where: str) -> str:
        """The words of a file. Raises InvalidFile or ResourceNotFound naming the field."""
        raw = await self._bytes(file_id, where)
        try:
            return raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise InvalidFile(f"{where}: the file is no text in UTF-8.", param=where) from error

    async def _block(self, block: Said | Given, where: str) -> Block:
        match block:
            case TextParams():
                return {"type": "text", "text": sound(block.text, f"{where}.text")}
            case ImageParams():
                return await self._image(block, where)
            case DocumentParams():
                return await self._document(block, where)
            case SearchResultParams():
                told = "\n".join(sound(one.text, where) for one in block.content)
                head = f"{sound(block.title, where)} ({sound(block.source, where)})"
                return {"type": "text", "text": f"{head}\n{told}"}
            case RedactedParams():
                raise InvalidRequest(f"{where}: what was redacted cannot be sent.", param=where)

    async def _image(self, block: ImageParams, where: str) -> Block:
        source, at = _checked(block.source, where), f"{where}.source"
        if source.type == "text":
            raise InvalidRequest(f"{at}.type: an image is 'base64', 'url' or 'file'.", param=f"{at}.type")
        if source.type == "url":
            media = await fetched(self._request, self._context, self._tenant, [(f"{at}.url", source.url or "")])
            return picture(source.url or "", f"{at}.url", media)
        if source.type == "file":
            raw = await self._bytes(source.file_id or "", f"{at}.file_id")
            kind, data = image_type(raw) or "", base64.b64encode(raw).decode()
            return image_of(f"data:{kind};base64,{data}", f"{at}.file_id", self._media).block()
        return image_of(f"data:{source.media_type};base64,{source.data}", at, self._media).block()

    async def _document(self, block: DocumentParams, where: str) -> Block:
        source, at = _checked(block.source, where), f"{where}.source"
        told: Json = {name: sound(text, where) for name in ("title", "context") if (text := getattr(block, name))}
        if source.type == "url":
            raise NotSupported(
                f"{at}: documents are not fetched from URLs here; send the file itself, or upload it to /v1/files.",
                param=f"{at}.type",
            )
        if source.type == "text":
            if source.media_type != _PLAIN:
                raise InvalidRequest(f"{at}.media_type must be '{_PLAIN}'.", param=f"{at}.media_type")
            text = sound(source.data or "", f"{at}.data")
            return {"type": "document", "source": {"type": "text", "media_type": _PLAIN, "data": text}, **told}
        if source.type == "file":
            raw = await self._bytes(source.file_id or "", f"{at}.file_id")
            read = document(base64.b64encode(raw).decode(), block.title, f"{at}.file_id", self._media)
        else:
            read = document(f"data:{source.media_type};base64,{source.data}", block.title, f"{at}.data", self._media)
        return {**read, **told}

    @property
    def _media(self) -> Media:
        return Media(self._context.images.awaited.max_bytes)

    async def _bytes(self, file_id: str, where: str) -> bytes:
        file = await files.found(self._context.managed.store, self._tenant, file_id, now(), where)
        most = self._media.max_bytes
        if file.size_bytes > most:
            raise InvalidFile(
                f"{where} has {file.size_bytes} bytes; at most {most} are taken ([media] max_bytes).", param=where
            )
        path = self._context.managed.shelf.path_of(self._tenant, file_id)
        try:
            return await asyncio.to_thread(path.read_bytes)
        except FileNotFoundError as error:  # it was deleted just now
            raise files.absent(file_id, where) from error


def _checked(source: SourceParams, where: str) -> SourceParams:
    """A source with the fields of its type, and no others. Raises InvalidRequest."""
    wanted = _FIELDS[source.type]
    for name in ("media_type", "data", "url", "file_id"):
        at = f"{where}.source.{name}"
        given = getattr(source, name)
        if name in wanted and given is None:
            raise InvalidRequest(f"{at} is missing: a source of the type '{source.type}' needs it.", param=at)
        if name not in wanted and given is not None:
            raise InvalidRequest(f"{at} does not go with a source of the type '{source.type}'.", param=at)
    return source
