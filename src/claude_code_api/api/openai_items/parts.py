"""The parts of items: from Responses to content blocks. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, TypeAlias

from claude_code_api.api import media
from claude_code_api.api.checks import sound
from claude_code_api.api.media import Media
from claude_code_api.api.openai_items.wire import Input, InputPart, MessageItem, OutputItem
from claude_code_api.api.said import joined
from claude_code_api.core.turn import Block
from claude_code_api.errors import InvalidRequest, UnsupportedParameter

Speaker: TypeAlias = Literal["user", "assistant", "system", "developer", "function"]

_TEXT = ("input_text", "output_text", "text")
_SHOWN = ("input_image", "input_file")


def blocks_of(content: str | list[InputPart], speaker: Speaker, where: str, given: Media) -> list[Block]:
    """A content as blocks, in order; neighbouring text is one block, and may be blank.

    Raises InvalidRequest naming the part.
    """
    if isinstance(content, str):
        return [_text(sound(content, where))]
    return joined(_block(part, speaker, f"{where}[{number}]", given) for number, part in enumerate(content))


def urls_to_fetch(given: Input | None, field: str = "input") -> list[tuple[str, str]]:
    """The images that items name by something other than a data URL: (field, URL)."""
    items = given if isinstance(given, list) else []
    return [found for index, item in enumerate(items) for found in _urls(item, f"{field}[{index}]")]


def _urls(item: object, where: str) -> Iterator[tuple[str, str]]:
    if isinstance(item, MessageItem) and item.role == "user":
        where, parts = f"{where}.content", item.content
    elif isinstance(item, OutputItem):
        where, parts = f"{where}.output", item.output
    else:
        return
    for number, part in enumerate(parts if isinstance(parts, list) else []):
        if part.type == "input_image" and part.image_url is not None and not media.is_data_url(part.image_url):
            yield f"{where}[{number}].image_url", part.image_url


def _block(part: InputPart, speaker: Speaker, at: str, given: Media) -> Block:
    if part.type in _TEXT:
        return _text(_required(part.text, f"{at}.text"))
    if part.type == "refusal" and speaker == "assistant":
        return _text(_required(part.refusal, f"{at}.refusal"))
    if part.type in _SHOWN and speaker not in ("user", "function"):
        raise UnsupportedParameter(f"{at}: only a user's message may have {part.type} parts.", param=at)
    if part.type == "input_image":
        return _image(part, at, given)
    if part.type == "input_file":
        file = _file(part, at, given)
        return file if speaker == "user" else _read_out(file, at)
    if part.type == "input_audio":
        raise UnsupportedParameter(f"{at}: Claude does not hear audio; send what is said as text.", param=at)
    raise UnsupportedParameter(f"{at}: parts of the type {part.type!r} are not supported.", param=at)


def _image(part: InputPart, at: str, given: Media) -> Block:
    _check_no_id(part, at, "image_url")
    if part.image_url is None:
        raise InvalidRequest(f"{at}.image_url is missing.", param=f"{at}.image_url")
    return media.picture(part.image_url, f"{at}.image_url", given)


def _file(part: InputPart, at: str, given: Media) -> Block:
    _check_no_id(part, at, "file_data")
    if part.file_url is not None:
        raise UnsupportedParameter(
            f"{at}.file_url: files are not fetched here; send the file itself as file_data.", param=f"{at}.file_url"
        )
    if part.file_data is None:
        raise InvalidRequest(f"{at}.file_data is missing.", param=f"{at}.file_data")
    return media.file(part.file_data, part.filename, at, given, image_part="input_image")


def _check_no_id(part: InputPart, at: str, instead: str) -> None:
    if part.file_id is not None:
        raise UnsupportedParameter(
            f"{at}.file_id: there is no files endpoint here; send the file itself as {instead}.", param=f"{at}.file_id"
        )


def _read_out(file: Block, at: str) -> Block:
    """A file that a function gave: what a tool gives is text and images."""
    if file["source"]["type"] != "text":
        raise UnsupportedParameter(f"{at}: a function gives text and images; send a PDF as the user's.", param=at)
    return _text("\n\n".join(filter(None, (file.get("title"), file["source"]["data"]))))


def _required(text: str | None, where: str) -> str:
    if text is None:
        raise InvalidRequest(f"{where} is missing.", param=where)
    return sound(text, where)


def _text(text: str) -> Block:
    return {"type": "text", "text": text}
