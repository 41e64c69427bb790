"""What is told as items and sent back is the same conversation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from claude_code_api.api.media import Media
from claude_code_api.api.openai_items.ids import parse
from claude_code_api.api.openai_items.read import Read, read
from claude_code_api.api.openai_items.told import Telling, items_of_base, items_of_turn, without
from claude_code_api.api.openai_items.wire import InputItem
from claude_code_api.core.conversation import lineage, same_history
from claude_code_api.core.turn import Block, Message, Usage
from claude_code_api.runtime.stored import StoredTurn
from tests.images import JPEG, PDF, base64_of, png
from tests.items import check_item

TURN = "0123abcd-4567-89ef-0123-456789abcdef"
WIRE: TypeAdapter[list[InputItem]] = TypeAdapter(list[InputItem])

tellings = st.builds(Telling, st.booleans(), st.booleans(), st.booleans(), st.just(lambda value: value))
words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).filter(lambda said: said.strip())
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | words,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(words, inner, max_size=2),
    max_leaves=4,
)
texts = words.map(lambda said: {"type": "text", "text": said})
images = st.sampled_from([("image/png", png()), ("image/jpeg", JPEG)]).map(
    lambda image: {"type": "image", "source": {"type": "base64", "media_type": image[0], "data": base64_of(image[1])}}
)
pdfs = st.just({"type": "base64", "media_type": "application/pdf", "data": base64_of(PDF)})
plain = words.filter(lambda said: "\0" not in said and said[0] != "\ufeff" and not said.startswith("%PDF"))
files = st.builds(
    lambda source, title: {"type": "document", "source": source} | ({"title": title} if title else {}),
    pdfs | plain.map(lambda data: {"type": "text", "media_type": "text/plain", "data": data}),
    st.sampled_from([None, "a.pdf"]),
).filter(lambda file: file.get("title") is None or file["source"]["type"] == "base64")
thoughts = st.builds(
    lambda said: {"type": "thinking", "thinking": said, "signature": "s"}, st.just("") | words
) | st.just({"type": "redacted_thinking", "data": "opaque"})


@st.composite
def shown(draw: Any) -> list[Block]:
    """What a user says and shows, one or more messages put together as they are when they are read."""
    content: list[Block] = draw(st.lists(texts | images | files, min_size=1, max_size=4))
    return [
        {**block, "text": f"\n\n{block['text']}"}
        if at and block["type"] == content[at - 1]["type"] == "text"
        else block
        for at, block in enumerate(content)
    ]


@st.composite
def histories(draw: Any) -> list[Message]:
    """A history that ends with the user: thoughts, an agent's own calls, calls of the client's tools."""
    count = 0
    history: list[Message] = []
    waiting: list[str] = []
    for _ in range(draw(st.integers(0, 3))):
        history.append(Message("user", (*draw(results(waiting)), *(draw(shown()) if not waiting else ()))))
        for _ in range(draw(st.integers(0, 2))):  # what an agent does before it answers
            count += 1
            name = draw(st.sampled_from(["Bash", "WebSearch", "mcp__docs__search"]))
            own = {"type": "tool_use", "id": f"own{count}", "name": name, "input": {"query": "x"}}
            own |= {"internal": True, "activity": f"{name}: x"}
            history.append(Message("assistant", (*draw(st.lists(thoughts, max_size=2)), *draw(said()), own)))
            history.append(Message("user", ({**result(f"own{count}", draw(words)), "internal": True},)))
        called = draw(st.integers(0, 2))
        waiting = [f"call_{count + number}" for number in range(called)]
        count += called + 1
        calls = [{"type": "tool_use", "id": call, "name": "f", "input": draw(arguments)} for call in waiting]
        answer = draw(said(least=0 if calls else 1))
        history.append(Message("assistant", (*draw(st.lists(thoughts, max_size=2)), *answer, *calls)))
    added = draw(shown()) if not waiting or draw(st.booleans()) else []
    return [*history, Message("user", (*draw(results(waiting)), *added))]


arguments = st.dictionaries(words, values, max_size=2)


def said(least: int = 0) -> st.SearchStrategy[list[Block]]:
    return st.lists(texts, min_size=least, max_size=2)


def result(call: str, text: str) -> Block:
    return {"type": "tool_result", "tool_use_id": call, "content": [{"type": "text", "text": text}] if text else []}


@st.composite
def results(draw: Any, calls: Sequence[str]) -> list[Block]:
    given = [result(call, draw(st.just("") | words)) for call in calls]
    for one in given:
        one["content"] += draw(st.lists(images, max_size=1))
    return given


def back(items: list[dict[str, Any]]) -> Read:
    for item in items:
        check_item(item)
    return read(WIRE.validate_python(items), Media(), appends=False)


def thinking(messages: Sequence[Message]) -> list[Block]:
    return [block for message in messages for block in message.content if "thinking" in block["type"]]


@settings(deadline=None)
@given(histories(), tellings)
def test_a_history_comes_back(history: list[Message], told: Telling) -> None:
    found = back(items_of_base(TURN, history, told))
    assert same_history(history, found.messages)
    assert lineage(history) == lineage(found.messages)
    assert found.whole is any(message.role == "assistant" for message in history)
    assert thinking(found.messages) == (thinking(history) if told.encrypted else [])


@settings(deadline=None)
@given(histories(), tellings)
def test_what_came_back_is_told_as_it_was(history: list[Message], told: Telling) -> None:
    once = back(items_of_base(TURN, history, told)).messages
    twice = back(items_of_base(TURN, once, told)).messages  # by now neighbours of the assistant's are one text
    assert back(items_of_base(TURN, twice, told)).messages == twice
    assert [one for one in twice if one.role == "user"] == [one for one in once if one.role == "user"]


@settings(deadline=None)
@given(histories(), tellings, st.lists(words, max_size=2))
def test_turns_come_back(history: list[Message], told: Telling, developer: list[str]) -> None:
    first, *output = history
    turn = StoredTurn(TURN, 1.0, 2.0, "claude", "end_turn", first, tuple(output), Usage(), 0.0, tuple(developer))
    items = items_of_turn(turn, told)
    found = back(items)
    assert same_history(history, found.messages)
    assert list(found.developer) == developer
    known = {item["id"] for item in items_of_turn(turn, Telling(True, True, True, lambda value: value))}
    assert len({item["id"] for item in items}) == len(items)
    assert {item["id"] for item in items} <= known
    for item in items:
        identity = parse(item["id"])
        assert identity is not None
        left = without(turn, identity)
        assert left is not None
        assert [one["id"] for one in items_of_turn(left, told)] == [
            one["id"] for one in items if one["id"] != item["id"]
        ]
