"""The blocks of a message's content: from the wire to content blocks as a conversation has them. Pure."""

from __future__ import annotations

import base64
from collections.abc import Iterator

from claude_code_api.api import media
from claude_code_api.api.anthropic_messages.wire import ContentBlock, CountRequest, Source
from claude_code_api.api.checks import sound
from claude_code_api.api.media import Media
from claude_code_api.core.turn import Block
from claude_code_api.errors import InvalidFile, InvalidRequest, UnsupportedParameter

OWN_SIGNATURE = "claude-code-api"
"""What signs thinking that is none: what an agent did, as its client was told of it. No model takes it back."""

_PDF, _PLAIN = "application/pdf", "text/plain"


def blocks_of(block: ContentBlock, role: str, at: str, given: Media) -> list[Block]:
    """A block of a user's or an assistant's message that is no call and no result; nothing for what is not kept.

    Raises InvalidRequest or UnsupportedParameter naming the block.
    """
    match block.type:
        case "text":
            text = required(block.text, f"{at}.text")
            return [{"type": "text", "text": text}] if text.strip() else []
        case "thinking" | "redacted_thinking" if role == "assistant":
            return _thought(block, at)
        case "image" if role == "user":
            return [image(block, at, given)]
        case "document" if role == "user":
            return _document(block, at, given)
        case "search_result" if role == "user":
            return [_found(block, at)]
    raise _not_here(block, role, at)


def result_of(block: ContentBlock, at: str, given: Media) -> list[Block]:
    """What a tool gave: texts, images, PDFs. Raises InvalidRequest or UnsupportedParameter naming the block."""
    content = block.content
    if content is None:
        return []
    if isinstance(content, str):
        return [{"type": "text", "text": sound(content, f"{at}.content")}] if content else []
    return [one for number, part in enumerate(content) for one in _given(part, f"{at}.content.{number}", given)]


def urls_to_fetch(request: CountRequest) -> list[tuple[str, str]]:
    """The images that a request names by something other than a data URL: (field, URL)."""
    return [
        (f"{at}.url", source.url)
        for at, block, source in _sources(request)
        if block.type == "image" and source.type == "url" and source.url and not media.is_data_url(source.url)
    ]


def files_to_read(request: CountRequest) -> list[tuple[str, str]]:
    """The uploaded files that a request names: (field, id)."""
    return [
        (f"{at}.file_id", source.file_id)
        for at, block, source in _sources(request)
        if source.type == "file" and source.file_id is not None
    ]


def required(text: str | None, where: str) -> str:
    """A text that must be there. Raises InvalidRequest."""
    if text is None:
        raise InvalidRequest(f"{where}: Field required.", param=where)
    return sound(text, where)


def image(block: ContentBlock, at: str, given: Media) -> Block:
    """An image block."""
    source = _source(block, at)
    if source.type == "url":
        return media.picture(required(source.url, f"{at}.source.url"), f"{at}.source.url", given)
    if source.type == "file" and given.awaited:
        return media.Image("image/png", "").block()
    if source.type == "file":
        data = _file(source, at, given)
        found = media.image_type(base64.b64decode(data[:64])) or ""
        return media.image_of(f"data:{found};base64,{data}", f"{at}.source.file_id", given).block()
    if source.type != "base64":
        raise _no_such_source(source, at)
    data = required(source.data, f"{at}.source.data")
    kind = required(source.media_type, f"{at}.source.media_type")
    return media.image_of(f"data:{kind};base64,{data}", f"{at}.source", given).block()


def _sources(request: CountRequest) -> Iterator[tuple[str, ContentBlock, Source]]:
    """What the user shows: (where, the block, its source)."""
    for index, message in enumerate(request.messages):
        if message.role == "user":
            yield from _sources_in(message.content, f"messages.{index}.content")


def _sources_in(content: object, where: str) -> Iterator[tuple[str, ContentBlock, Source]]:
    for number, block in enumerate(content if isinstance(content, list) else []):
        if not isinstance(block, ContentBlock):
            continue
        at, source = f"{where}.{number}", block.source
        if block.type == "tool_result":
            yield from _sources_in(block.content, f"{at}.content")
        elif isinstance(source, Source) and block.type in ("image", "document"):
            yield from _sources_in(source.content, f"{at}.source.content")
            yield f"{at}.source", block, source


def _file(source: Source, at: str, given: Media) -> str:
    """The base64 of an uploaded file. Raises InvalidRequest."""
    where = f"{at}.source.file_id"
    data = given.files.get(required(source.file_id, where))
    if data is None:
        raise InvalidRequest(f"{where} was not read.", param=where)
    return data


def _thought(block: ContentBlock, at: str) -> list[Block]:
    """Thinking that the model's API takes back: it is signed, and not by us."""
    if block.type == "redacted_thinking":
        return [{"type": "redacted_thinking", "data": required(block.data, f"{at}.data")}]
    if not block.signature or block.signature == OWN_SIGNATURE:
        return []
    thinking = required(block.thinking, f"{at}.thinking")
    return [{"type": "thinking", "thinking": thinking, "signature": sound(block.signature, f"{at}.signature")}]


def _document(block: ContentBlock, at: str, given: Media) -> list[Block]:
    source, title = _source(block, at), sound(block.title or "", f"{at}.title")
    if source.type == "content":
        return _of_blocks(source, title, at, given)
    about = {"context": sound(block.context, f"{at}.context")} if block.context else {}
    if source.type == "text":
        data = required(source.data, f"{at}.source.data")
        if not data.strip():
            raise InvalidFile(f"{at}.source.data is empty.", param=f"{at}.source.data")
        return [{**_text_document(data, title), **about}]
    if source.type == "url":
        raise UnsupportedParameter(
            f"{at}.source.url: documents are not fetched here; send it as base64, or upload it to /v1/files.",
            param=f"{at}.source.url",
        )
    if source.type == "file" and given.awaited:
        return [_text_document("", title)]
    if source.type == "file":
        url, where = _file(source, at, given), f"{at}.source.file_id"
    elif source.type == "base64":
        data = required(source.data, f"{at}.source.data")
        url, where = f"data:{source.media_type or _PDF};base64,{data}", f"{at}.source"
    else:
        raise _no_such_source(source, at)
    return [{**media.document(url, title or None, where, given, image_part="image"), **about}]


def _of_blocks(source: Source, title: str, at: str, given: Media) -> list[Block]:
    """A document made of blocks: one of text is a document as any other, one with images is shown in place."""
    where = f"{at}.source.content"
    content = source.content
    if isinstance(content, str):
        return [_text_document(sound(content, where), title)]
    blocks: list[Block] = []
    for number, part in enumerate(content or []):
        if part.type not in ("text", "image"):
            raise UnsupportedParameter(f"{where}.{number}: a document holds text and images.", param=where)
        blocks += blocks_of(part, "user", f"{where}.{number}", given)
    if not blocks:
        raise InvalidFile(f"{where} is empty.", param=where)
    if all(block["type"] == "text" for block in blocks):
        return [_text_document("\n\n".join(block["text"] for block in blocks), title)]
    return [*([{"type": "text", "text": title}] if title else []), *blocks]


def _text_document(data: str, title: str) -> Block:
    named = {"title": title} if title else {}
    return {"type": "document", "source": {"type": "text", "media_type": _PLAIN, "data": data}, **named}


def _found(block: ContentBlock, at: str) -> Block:
    """A search result is a document that tells where it is from."""
    source = required(block.source if isinstance(block.source, str) else None, f"{at}.source")
    title = required(block.title, f"{at}.title")
    content = block.content if isinstance(block.content, list) else []
    texts = [required(part.text, f"{at}.content.{number}.text") for number, part in enumerate(content)]
    return {**_text_document("\n\n".join(texts) or title, title), "context": source}


def _given(part: ContentBlock, at: str, given: Media) -> list[Block]:
    if part.type == "tool_reference":
        name = required(part.tool_name, f"{at}.tool_name")
        return [{"type": "text", "text": f"The tool {name} is available now."}]
    if part.type not in ("text", "image", "document", "search_result"):
        raise UnsupportedParameter(
            f"{at}: blocks of the type {part.type[:100]!r} are not offered in a tool's result; give text, images or "
            "PDFs.",
            param=at,
        )
    return [_read_out(block) for block in blocks_of(part, "user", at, given)]


def _read_out(block: Block) -> Block:
    """A document of text as the text that it is: that reaches a process whose calls are open."""
    if block["type"] != "document" or block["source"]["type"] != "text":
        return block
    told = (block.get("title"), block.get("context"), block["source"]["data"])
    return {"type": "text", "text": "\n\n".join(filter(None, told))}


def _source(block: ContentBlock, at: str) -> Source:
    if not isinstance(block.source, Source):
        raise InvalidRequest(f"{at}.source: Field required.", param=f"{at}.source")
    return block.source


def _no_such_source(source: Source, at: str) -> InvalidRequest:
    return UnsupportedParameter(
        f"{at}.source.type: {source.type[:100]!r} is not offered; send it as base64.", param=f"{at}.source.type"
    )


def _not_here(block: ContentBlock, role: str, at: str) -> InvalidRequest:
    kind = block.type[:100]
    if kind in ("image", "document", "search_result", "tool_result"):
        return InvalidRequest(f"{at}: {kind!r} blocks stand in messages of the user only.", param=at)
    if kind in ("thinking", "redacted_thinking", "tool_use"):
        return InvalidRequest(f"{at}: {kind!r} blocks stand in messages of the assistant only.", param=at)
    return UnsupportedParameter(
        f"{at}: blocks of the type {kind!r} are not offered: they belong to tools that run on Anthropic's servers, or "
        "to features that this server does not have. Leave it out, or say as text what it tells.",
        param=at,
    )
