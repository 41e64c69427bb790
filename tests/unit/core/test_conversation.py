"""When a client's view of the history is the conversation's own."""

from __future__ import annotations

from typing import Any

import pytest

from claude_code_api.core import conversation
from claude_code_api.core.conversation import lineage, same_history
from claude_code_api.core.turn import Message


def user(*texts: str) -> Message:
    return Message("user", tuple({"type": "text", "text": text} for text in texts))


def assistant(*blocks: str | dict[str, Any]) -> Message:
    return Message(
        "assistant", tuple({"type": "text", "text": block} if isinstance(block, str) else block for block in blocks)
    )


HELD = [user("Hello"), assistant("Hi."), user("Bye"), assistant("See you.")]


def test_the_same_messages_are_the_same() -> None:
    assert same_history(HELD, list(HELD))
    assert same_history([], [])


def test_another_text_role_or_length_is_another_history() -> None:
    assert not same_history(HELD, [user("Hello"), assistant("Ho."), *HELD[2:]])
    assert not same_history([user("Hello")], [assistant("Hello")])
    assert not same_history(HELD, HELD[:2])
    assert not same_history(HELD[:2], HELD)


def test_the_order_matters() -> None:
    assert not same_history([user("a"), assistant("b"), user("c")], [user("c"), assistant("b"), user("a")])


def test_case_and_inner_white_space_matter() -> None:
    assert not same_history([user("hello")], [user("Hello")])
    assert not same_history([user("a b")], [user("a  b")])


def test_thinking_is_not_seen_by_clients() -> None:
    thought = {"type": "thinking", "thinking": "Who is it?", "signature": "s"}
    assert same_history([user("Hello"), assistant(thought, "Hi.")], [user("Hello"), assistant("Hi.")])


def test_a_text_in_several_blocks_is_what_it_says() -> None:
    assert same_history([assistant("One ", "two")], [assistant("One two")])


def test_white_space_at_the_ends_does_not_count() -> None:
    assert same_history([user("Hello"), assistant("Hi.\n")], [user("  Hello"), assistant("Hi.")])


def test_neighbours_of_one_role_are_one_message() -> None:
    assert same_history([user("a"), assistant("b"), assistant("c")], [user("a"), assistant("b\nc")])
    assert not same_history([user("a"), assistant("b"), assistant("c")], [user("a"), assistant("bc")])


def image(data: str, media_type: str = "image/png") -> dict[str, Any]:
    return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}}


def document(data: str, title: str = "a.txt") -> dict[str, Any]:
    return {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": data}, "title": title}


def shown(*blocks: str | dict[str, Any]) -> list[Message]:
    return [Message("user", assistant(*blocks).content), assistant("I see.")]


LOOK = shown("Look:", image("AAAA"), document("words"))


def test_the_same_images_and_documents_are_the_same() -> None:
    again = shown("Look:", image("".join(["AA", "AA"])), document("wo" + "rds"))
    assert same_history(LOOK, again)
    assert lineage("", LOOK) == lineage("", again)


@pytest.mark.parametrize(
    "other",
    [
        shown("Look:"),
        shown("Look:", image("AAAB"), document("words")),
        shown("Look:", image("AAAA", "image/gif"), document("words")),
        shown("Look:", image("AAAA"), document("swords")),
        shown("Look:", image("AAAA"), document("words", "b.txt")),
        shown("Look:", document("words"), image("AAAA")),
        shown(image("AAAA"), "Look:", document("words")),
        shown("Look:", image("AAAA"), image("AAAA"), document("words")),
        shown("Look:", image("AAAA")),
    ],
)
def test_other_images_or_documents_are_another_history(other: list[Message]) -> None:
    assert not same_history(LOOK, other)
    assert lineage("", LOOK) != lineage("", other)


def test_no_text_passes_for_an_image() -> None:
    forged = "".join(conversation._seen(block, conversation._quick) for block in LOOK[0].content)
    assert not same_history(shown(forged), LOOK)
    assert not same_history(shown("\0"), shown("\0\0"))
