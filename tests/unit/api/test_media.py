"""What an image or a file is, and when it is not sound."""

from __future__ import annotations

from typing import Any

import pytest

from claude_code_api.api.media import Media, document, image_of
from claude_code_api.errors import InvalidFile, InvalidImage
from tests.images import GIF, JPEG, PDF, WEBP, base64_of, data_url, png

SMALL = Media(max_bytes=1000)
PNG = png()


@pytest.mark.parametrize(
    ("data", "kind"), [(PNG, "image/png"), (JPEG, "image/jpeg"), (GIF, "image/gif"), (WEBP, "image/webp")]
)
def test_the_images_that_claude_sees(data: bytes, kind: str) -> None:
    image = image_of(data_url(data, kind), "here", SMALL)
    assert image.block() == {
        "type": "image",
        "source": {"type": "base64", "media_type": kind, "data": base64_of(data)},
    }


@pytest.mark.parametrize(
    "url",
    [
        data_url(JPEG, "image/jpg"),
        f"DATA:IMAGE/JPEG;Base64,{base64_of(JPEG)}",
        f"data:image/jpeg;name=a.jpg;base64,{base64_of(JPEG)}",
        f"data:image/jpeg;base64,{base64_of(JPEG)[:9]}\r\n {base64_of(JPEG)[9:]}\n",
    ],
)
def test_other_spellings_of_a_data_url(url: str) -> None:
    image = image_of(url, "here", SMALL)
    assert (image.media_type, image.data) == ("image/jpeg", base64_of(JPEG))


@pytest.mark.parametrize(
    ("url", "why"),
    [
        (data_url(PNG, "image/jpeg"), "says image/jpeg and is image/png"),
        (data_url(PNG, ""), "says nothing and is image/png"),
        (data_url(b"<svg/>", "image/svg+xml"), "not a PNG, JPEG, GIF or WebP"),
        (data_url(b"BM" + b"x" * 60, "image/png"), "not a PNG, JPEG, GIF or WebP"),
        (data_url(PDF, "application/pdf"), "not a PNG, JPEG, GIF or WebP"),
        (data_url(b"", "image/png"), "empty"),
        ("data:image/png;base64,", "empty"),
        ("data:image/png;base64", "not a data URL"),
        ("data:image/png,abc", "not a data URL"),
        ("data:,", "not a data URL"),
        ("data:image/png;base64,@@@@", "not valid base64"),
        ("data:image/png;base64,AAA", "not valid base64"),
        ("data:image/png;base64,AA==AAAA", "not valid base64"),
        ("data:image/png;base64,\u00e4\u00f6\u00fc\u00df", "not valid base64"),
        ("data:image/png;base64,\ud83d", "not valid base64"),
        (data_url(PNG + b"x" * 1000), "at most 1000"),
    ],
)
def test_images_that_are_not_sound_say_why(url: str, why: str) -> None:
    with pytest.raises(InvalidImage, match=why) as caught:
        image_of(url, "here", SMALL)
    assert caught.value.param == "here"


def test_the_limit_is_the_decoded_size() -> None:
    exact = PNG + b"x" * (1000 - len(PNG))
    assert image_of(data_url(exact), "here", SMALL)
    with pytest.raises(InvalidImage, match="at most 1000"):
        image_of(data_url(exact + b"xxx"), "here", SMALL)


def test_a_pdf_is_a_document_with_its_name() -> None:
    expected: dict[str, Any] = {
        "type": "document",
        "source": {"type": "base64", "media_type": "application/pdf", "data": base64_of(PDF)},
    }
    assert document(base64_of(PDF), None, "here", SMALL) == expected
    for data in (base64_of(PDF), data_url(PDF, "application/pdf"), data_url(PDF, "application/octet-stream")):
        assert document(data, "a.pdf", "here", SMALL) == {**expected, "title": "a.pdf"}


def test_a_pdf_may_begin_with_something_else_when_it_says_that_it_is_one() -> None:
    data = base64_of(b"junk\n" + PDF)
    assert document(data, "a.PDF", "here", SMALL)["source"]["media_type"] == "application/pdf"
    assert document(data, "about-%PDF-.txt", "here", SMALL)["source"]["media_type"] == "text/plain"


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        *(("text/plain", "a.txt"), ("text/markdown", "a.md"), ("text/csv", "a.csv"), ("application/json", "a.json")),
        *(("application/octet-stream", "main.rs"), ("video/mp2t", "index.ts"), ("", "Makefile"), ("text/x-python", "")),
    ],
)
def test_text_is_a_document_of_text(kind: str, name: str) -> None:
    block = document(data_url("Grüße\n".encode(), kind), name or None, "here", SMALL)
    assert block["source"] == {"type": "text", "media_type": "text/plain", "data": "Grüße\n"}
    assert block.get("title") == (name or None)


def test_bare_base64_of_text_is_text_and_a_byte_order_mark_is_not() -> None:
    assert document(base64_of("\ufeffhello".encode()), "a.txt", "here", SMALL)["source"]["data"] == "hello"


@pytest.mark.parametrize(
    ("data", "name", "why"),
    [
        (base64_of(b"PK\x03\x04\xff\xfe\0\0"), "a.docx", "'a.docx' cannot be read"),
        (data_url(b"\xff\xfe\xfd\0", "application/zip"), None, "application/zip cannot be read"),
        (base64_of(b"\xff\xfe\xfd\0"), None, "what was sent cannot be read"),
        (base64_of("Grüße".encode("latin-1")), "a.txt", "UTF-8"),
        (base64_of("wide".encode("utf-16")), "a.txt", "UTF-8"),
        (base64_of(b"a\0b"), "a.txt", "UTF-8"),
        (base64_of(b"not one"), "a.pdf", "is none"),
        (data_url(b"not one", "application/pdf"), "a", "is none"),
        (data_url(PNG), "a.png", "image_url part"),
        (base64_of(b" \n"), "a.txt", "empty"),
        ("", "a.txt", "empty"),
        ("hello!", "a.txt", "not valid base64"),
        ("data:text/plain,hello", "a.txt", "not a data URL"),
        (base64_of(b"x" * 1100), "a.txt", "at most 1000"),
    ],
)
def test_files_that_are_not_sound_say_why(data: str, name: str | None, why: str) -> None:
    with pytest.raises(InvalidFile, match=why) as caught:
        document(data, name, "here", SMALL)
    assert caught.value.param == "here"
