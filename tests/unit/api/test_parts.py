"""The parts of Chat Completions messages, as content blocks."""

from __future__ import annotations

import time
from typing import Any

import pytest

from claude_code_api.api.media import Image, Media
from claude_code_api.api.openai_chat.parts import blocks_of, urls_to_fetch
from claude_code_api.api.openai_chat.translate import ParsedRequest, parse
from claude_code_api.api.openai_chat.wire import ChatRequest, ContentPart
from claude_code_api.core.models import ModelNames
from claude_code_api.errors import InvalidFile, InvalidImage, InvalidImageUrl, InvalidRequest, UnsupportedParameter
from tests.images import PDF, base64_of, data_url, file_part, image_part, png, text_part

MODELS = ModelNames(default="opus", aliases={})
PNG = png()
URL = "https://pics.example/a.png"
HI = {"role": "user", "content": "Hi"}


def request(*messages: Any) -> ChatRequest:
    return ChatRequest.model_validate({"messages": list(messages)})


def parsed(*messages: Any, media: Media | None = None) -> ParsedRequest:
    return parse(request(*messages), models=MODELS, strict=False, media=media)


def user(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


def blocks(*parts: Any, media: Media | None = None) -> list[dict[str, Any]]:
    return list(parsed(user(*parts), media=media).turn.new.content)


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": base64_of(PNG)}}


def test_the_order_of_the_parts_is_the_order_of_the_blocks() -> None:
    found = blocks(text_part("one "), text_part("two"), image_part(data_url(PNG)), text_part("three"))
    assert found == [text("one two"), IMAGE, text("three")]


def test_blank_text_beside_an_image_is_left_out() -> None:
    assert blocks(text_part(""), image_part(data_url(PNG)), text_part(" \n")) == [IMAGE]
    assert blocks(text_part("a"), text_part(" "), text_part("b")) == [text("a b")]


def test_a_file_is_a_document() -> None:
    found = blocks(file_part(PDF, "application/pdf", "a.pdf"), file_part(b"x,y", "text/csv", "b.csv"))
    assert [(block["type"], block["source"]["type"], block["title"]) for block in found] == [
        ("document", "base64", "a.pdf"),
        ("document", "text", "b.csv"),
    ]


def test_neighbours_of_one_role_keep_their_blocks() -> None:
    turn = parsed(user(text_part("one")), user(image_part(data_url(PNG)), text_part("two")), HI).turn
    assert list(turn.new.content) == [text("one"), IMAGE, text("two"), text("\n\nHi")]


def test_images_stand_in_the_history_as_well() -> None:
    answer = {"role": "assistant", "content": [text_part("I "), {"type": "refusal", "refusal": "will not."}]}
    turn = parsed(user(image_part(data_url(PNG))), answer, HI).turn
    assert turn.history is not None
    assert [list(message.content) for message in turn.history] == [[IMAGE], [text("I will not.")]]


def test_images_by_url_are_what_was_fetched() -> None:
    body = request({"role": "system", "content": "x"}, user(text_part("a"), image_part(URL)), HI)
    assert urls_to_fetch(body) == [("messages[1].content[1].image_url.url", URL)]
    media = Media(fetched={URL: Image("image/png", base64_of(PNG))})
    assert blocks(image_part(URL), media=media) == [IMAGE]
    assert blocks({"type": "image_url", "image_url": URL}, media=media) == [IMAGE]
    with pytest.raises(InvalidImageUrl):
        blocks(image_part(URL))


def test_only_images_of_users_are_fetched_and_data_urls_are_not() -> None:
    theirs = {"role": "assistant", "content": [image_part(URL)]}
    assert urls_to_fetch(request(theirs, user(image_part(data_url(PNG)), {"type": "text", "image_url": URL}))) == []


def test_what_has_no_effect_in_a_part_is_listed() -> None:
    file = file_part(b"x", "text/plain", "a")
    file["file"]["purpose"] = "none"
    ignored = parsed(
        user(image_part(data_url(PNG), detail="high", size=3), file, {**text_part("a"), "weight": 1})
    ).ignored
    assert sorted(ignored) == [
        f"messages[].content[].{name}" for name in ("file.purpose", "image_url.detail", "image_url.size", "weight")
    ]


AT = "messages[0].content[1]"


@pytest.mark.parametrize(
    ("part", "param", "kind"),
    [
        ({"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}, AT, UnsupportedParameter),
        ({"type": "video_url", "video_url": {"url": "x"}}, AT, UnsupportedParameter),
        ({"type": "refusal", "refusal": "no"}, AT, UnsupportedParameter),
        ({"type": "file", "file": {"file_id": "file-1"}}, f"{AT}.file.file_id", UnsupportedParameter),
        ({"type": "file", "file": {"filename": "a"}}, f"{AT}.file.file_data", InvalidRequest),
        ({"type": "file"}, f"{AT}.file.file_data", InvalidRequest),
        ({"type": "image_url"}, f"{AT}.image_url.url", InvalidRequest),
        (image_part("data:image/png;base64,AAAA"), f"{AT}.image_url.url", InvalidImage),
        ({"type": "file", "file": {"file_data": "AAAA"}}, f"{AT}.file.file_data", InvalidFile),
        (file_part(b"x", "text/plain", "n" * 256), f"{AT}.file.filename", InvalidRequest),
        (file_part(b"x", "text/plain", "\ud83d"), f"{AT}.file.filename", InvalidRequest),
    ],
)
def test_parts_that_cannot_be_taken_are_named(part: dict[str, Any], param: str, kind: type[InvalidRequest]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        blocks(text_part("a"), part)
    assert caught.value.param == param
    assert type(caught.value) is kind
    assert param in caught.value.message


@pytest.mark.parametrize("role", ["system", "developer", "assistant"])
@pytest.mark.parametrize("part", [image_part(data_url(PNG)), file_part(PDF, "application/pdf", "a.pdf")])
def test_only_users_show_things(role: str, part: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedParameter, match="only a user's message") as caught:
        parsed({"role": role, "content": [part]}, HI)
    assert caught.value.param == "messages[0].content[0]"


@pytest.mark.parametrize("content", [[text_part("")], [text_part(" "), text_part("\n")], []])
def test_a_wholly_empty_message_is_refused(content: list[Any]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parsed({"role": "user", "content": content})
    assert caught.value.param == "messages[0].content"


def test_an_empty_system_prompt_is_none() -> None:
    assert parsed({"role": "system", "content": ""}, HI).turn.system == ""


def test_many_texts_are_joined_in_no_time() -> None:
    parts = [ContentPart(type="text", text="x" * 1_000)] * 10_000
    began = time.perf_counter()
    (block,) = blocks_of(parts, "user", "here", Media())
    assert len(block["text"]) == 10_000_000
    assert time.perf_counter() - began < 1
