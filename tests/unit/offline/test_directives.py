"""What a message asks of the stand-in itself, and what of it is left for the model."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_code_api.offline.directives import Call, Directives, without_directives


def test_directives_are_read_from_the_text() -> None:
    assert Directives.read("Hi [[offline: delay 0.5]] there [[offline: words 7]]") == Directives(delay=0.5, words=7)
    assert Directives.read("[[offline: error 429]]").error == 429
    assert Directives.read("[[offline: hang]][[offline: overloaded]]") == Directives(hang=True, overloaded=True)


@pytest.mark.parametrize("text", ["", "delay 5", "[[offline: delay soon]]", "[[offline: dance 3]]", "[[offline:]]"])
def test_what_is_not_understood_asks_for_nothing(text: str) -> None:
    assert Directives.read(text) == Directives()


def test_hyphens_are_read() -> None:
    read = Directives.read("[[offline: text-and-calls]] [[offline: bad-output 2]] [[offline: calls 3]]")
    assert read == Directives(text_and_calls=True, bad_output=2, calls=3)


def test_calls_are_read_in_order() -> None:
    text = 'Do [[offline: call b {"x": [[1], [2]]}]] and [[offline: call a]], then [[offline: call b {} ]].'
    assert Directives.read(text).call == (Call("b", {"x": [[1], [2]]}), Call("a"), Call("b", {}))
    assert without_directives(text) == "Do  and , then ."


@pytest.mark.parametrize(
    "text",
    [
        "[[offline: call]]",
        '[[offline: call a {"x": 1]]',
        '[[offline: call a {"x": NaN}]]',
        "[[offline: call a [1]]]",
        '[[offline: call a {"x": 1} more]]',
        '[[offline: call a {"x": 1}',
    ],
)
def test_a_call_that_is_not_understood_is_left_out(text: str) -> None:
    assert Directives.read(text) == Directives()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(arguments=st.dictionaries(st.text(), json_values, max_size=4), ascii_only=st.booleans())
def test_any_arguments_can_be_spelled_out(arguments: dict[str, Any], ascii_only: bool) -> None:
    spelled = json.dumps(arguments, ensure_ascii=ascii_only)
    text = f"before [[offline: call get_weather {spelled}]] after [[offline: words 3]]"
    assert Directives.read(text) == Directives(words=3, call=(Call("get_weather", arguments),))
    assert without_directives(text) == "before  after "


@given(text=st.text(st.sampled_from(list('[]{}": offline:calwords3 ')), max_size=60))
def test_no_text_is_too_odd(text: str) -> None:
    Directives.read(f"[[offline: {text}")
    assert len(without_directives(text)) <= len(text)
