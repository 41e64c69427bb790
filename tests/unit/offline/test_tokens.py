"""Where an answer ends: at a stop sequence, or after `max_tokens`."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_code_api.offline.mind import answer
from claude_code_api.offline.tokens import Draft, count_tokens, ended
from tests.unit.offline.requests import WEATHER, heard, said

WORDS = "[[offline: words 100]]"


def call(arguments: dict[str, Any]) -> Draft:
    return Draft([{"type": "tool_use", "id": "t", "name": "f", "input": arguments}], "tool_use")


# max_tokens


def test_a_long_answer_is_cut() -> None:
    reply = answer(said(WORDS, max_tokens=10))
    text = reply.blocks[0]["text"]
    assert reply.stop_reason == "max_tokens"
    assert reply.usage["output_tokens"] == count_tokens(text) == 10
    assert heard(said(WORDS)).startswith(text)


@given(text=st.text(), limit=st.integers(1, 30))
def test_as_much_of_a_text_is_kept_as_fits(text: str, limit: int) -> None:
    draft = ended(Draft([{"type": "text", "text": text}], "end_turn"), {"max_tokens": limit})
    kept = "".join(block["text"] for block in draft.blocks)
    if count_tokens(text) <= limit:
        assert (kept, draft.stop_reason) == (text, "end_turn")
    else:
        assert draft.stop_reason == "max_tokens"
        assert count_tokens(kept) <= limit < count_tokens(text[: len(kept) + 1])
        assert text.startswith(kept)


def test_what_fits_is_not_cut() -> None:
    whole = answer(said(WORDS))
    assert answer(said(WORDS, max_tokens=whole.usage["output_tokens"])).blocks == whole.blocks
    assert answer(said(WORDS, max_tokens=32000)) == whole


def test_thinking_counts() -> None:
    asked = {"thinking": {"type": "enabled", "budget_tokens": 1024}}
    whole = answer(said("Hello", **asked))
    thought = count_tokens(whole.blocks[0]["thinking"])
    later = answer(said("Hello", **asked, max_tokens=thought + 2))
    assert [block["type"] for block in later.blocks] == ["thinking", "text"]
    assert later.usage["output_tokens"] == thought + 2
    at_once = answer(said("Hello", **asked, max_tokens=3))
    assert [block["type"] for block in at_once.blocks] == ["thinking"]
    assert at_once.usage["output_tokens_details"] == {"thinking_tokens": 3}
    assert answer(said("Hello", **asked, max_tokens=thought)).blocks == whole.blocks[:1]


def test_a_call_is_cut_in_the_middle_of_its_json() -> None:
    text = '[[offline: call get_weather {"city": "Paris", "more": "and so on, and so on"}]]'
    reply = answer(said(text, tools=[WEATHER], max_tokens=8))
    assert reply.stop_reason == "max_tokens"
    assert reply.unfinished == '{"city": "Paris", "more": "and s'
    assert reply.blocks[0]["input"] == {"city": "Paris"}
    assert reply.usage["output_tokens"] == 8
    assert answer(said(text, tools=[WEATHER], max_tokens=2)).blocks[0]["input"] == {}


def test_the_calls_that_no_longer_fit_are_not_made() -> None:
    reply = answer(said("The weather in Paris [[offline: calls 3]]", tools=[WEATHER], max_tokens=4))
    assert len(reply.blocks) == 1
    assert reply.unfinished is None
    assert reply.stop_reason == "max_tokens"


values = st.recursive(
    st.integers() | st.text(st.sampled_from(list('",\\{}[]a')), max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(arguments=st.dictionaries(st.text(max_size=3), values, max_size=5), limit=st.integers(1, 40))
def test_of_a_cut_call_the_complete_members_are_kept(arguments: dict[str, Any], limit: int) -> None:
    draft = ended(call(arguments), {"max_tokens": limit})
    kept = draft.blocks[0]["input"]
    assert list(arguments.items())[: len(kept)] == list(kept.items())
    if draft.unfinished is not None:
        assert json.dumps(arguments, ensure_ascii=False).startswith(draft.unfinished)
        assert len(kept) < max(1, len(arguments))
    else:
        assert kept == arguments


# stop_sequences


def test_the_text_ends_before_the_first_stop_sequence() -> None:
    reply = answer(said(WORDS, stop_sequences=["word9", " word5", "absent"]))
    assert reply.blocks == [{"type": "text", "text": "word1 word2 word3 word4"}]
    assert (reply.stop_reason, reply.stop_sequence) == ("stop_sequence", " word5")
    assert reply.usage["output_tokens"] == count_tokens("word1 word2 word3 word4")


def test_a_stop_sequence_at_the_very_beginning_leaves_no_text() -> None:
    assert answer(said(WORDS, stop_sequences=["word1"])).blocks == []


def test_a_stop_sequence_that_does_not_come_changes_nothing() -> None:
    assert answer(said(WORDS, stop_sequences=["absent"])) == answer(said(WORDS))


@pytest.mark.parametrize(("limit", "reason"), [(3, "max_tokens"), (50, "stop_sequence")])
def test_whichever_comes_first_ends_it(limit: int, reason: str) -> None:
    reply = answer(said(WORDS, stop_sequences=["word9"], max_tokens=limit))
    assert reply.stop_reason == reason
    assert (reply.stop_sequence is None) == (reason == "max_tokens")


def test_a_stop_sequence_in_a_sentence_before_calls_prevents_them() -> None:
    text = "[[offline: calls 1]] [[offline: text-and-calls]]"
    reply = answer(said(text, tools=[WEATHER], stop_sequences=[" call"]))
    assert reply.blocks == [{"type": "text", "text": "I will"}]
    assert reply.stop_reason == "stop_sequence"
