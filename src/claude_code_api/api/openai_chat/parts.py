"""The parts of a message's content: from Chat Completions to content blocks. Pure."""

from __future__ import annotations

from claude_code_api.api import media
from claude_code_api.api.checks import sound
from claude_code_api.api.media import Media
from claude_code_api.api.openai_chat.wire import ChatRequest, ContentPart, ImageUrl
from claude_code_api.api.said import joined
from claude_code_api.core.turn import Block
from claude_code_api.errors import InvalidRequest, UnsupportedParameter

_TEXT = ("text", "input_text", "output_text")
_OF_USERS = ("image_url", "file")


def blocks_of(content: str | list[ContentPart], role: str, where: str, given: Media) -> list[Block]:
    """A message's content as blocks, in order; neighbouring text is one block, and may be blank.

    Raises InvalidRequest naming the part.
    """
    if isinstance(content, str):
        return [_text(sound(content, where))]
    return joined(_block(part, role, f"{where}[{number}]", given) for number, part in enumerate(content))


def urls_to_fetch(request: ChatRequest) -> list[tuple[str, str]]:
    """The images that a request names by something other than a data URL: (field, URL)."""
    return [
        (f"messages[{index}].content[{number}].image_url.url", url)
        for index, message in enumerate(request.messages)
        if message.role == "user" and isinstance(message.content, list)
        for number, part in enumerate(message.content)
        if part.type == "image_url" and (url := _url(part)) is not None and not media.is_data_url(url)
    ]


def _block(part: ContentPart, role: str, at: str, given: Media) -> Block:
    if part.type in _TEXT:
        return _text(_required(part.text, f"{at}.text"))
    if part.type == "refusal" and role == "assistant":
        return _text(_required(part.refusal, f"{at}.refusal"))
    if part.type in _OF_USERS and role != "user":
        raise UnsupportedParameter(f"{at}: only a user's message may have {part.type} parts.", param=at)
    if part.type == "image_url":
        return _image(part, f"{at}.image_url.url", given)
    if part.type == "file":
        return _file(part, f"{at}.file", given)
    if part.type == "input_audio":
        raise UnsupportedParameter(f"{at}: Claude does not hear audio; send what is said as text.", param=at)
    raise UnsupportedParameter(f"{at}: parts of the type {part.type!r} are not supported.", param=at)


def _image(part: ContentPart, where: str, given: Media) -> Block:
    if (url := _url(part)) is None:
        raise InvalidRequest(f"{where} is missing.", param=where)
    return media.picture(url, where, given)


def _file(part: ContentPart, where: str, given: Media) -> Block:
    file = part.file
    if file is not None and file.file_id is not None:
        raise UnsupportedParameter(
            f"{where}.file_id: there is no files endpoint here; send the file itself as file_data.",
            param=f"{where}.file_id",
        )
    if file is None or file.file_data is None:
        raise InvalidRequest(f"{where}.file_data is missing.", param=f"{where}.file_data")
    return media.file(file.file_data, file.filename, where, given, image_part="image_url")


def _required(text: str | None, where: str) -> str:
    if text is None:
        raise InvalidRequest(f"{where} is missing.", param=where)
    return sound(text, where)


def _url(part: ContentPart) -> str | None:
    return part.image_url.url if isinstance(part.image_url, ImageUrl) else part.image_url


def _text(text: str) -> Block:
    return {"type": "text", "text": text}
