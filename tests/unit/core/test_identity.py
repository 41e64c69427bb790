"""Which conversation a request names."""

from __future__ import annotations

import pytest

from claude_code_api.core.identity import check_id, explicit_id
from claude_code_api.errors import InvalidRequest


def test_a_request_may_name_none() -> None:
    assert explicit_id(None, None) is None


def test_the_body_or_the_header_names_it() -> None:
    assert explicit_id("one", None) == "one"
    assert explicit_id(None, "one") == "one"
    assert explicit_id("one", "one") == "one"


def test_body_and_header_must_not_disagree() -> None:
    with pytest.raises(InvalidRequest, match="different conversations") as caught:
        explicit_id("one", "two")
    assert caught.value.param == "conversation_id"


@pytest.mark.parametrize("body", [7, ["one"], {"id": "one"}, True])
def test_only_a_string_is_an_id(body: object) -> None:
    with pytest.raises(InvalidRequest, match="must be a string"):
        explicit_id(body, None)


@pytest.mark.parametrize("good", ["a", "...", "conv_0.1:b-C", "x" * 256, "550e8400-e29b-41d4-a716-446655440000"])
def test_ordinary_ids_pass(good: str) -> None:
    assert check_id(good) == good


@pytest.mark.parametrize("bad", ["", ".", "..", "x" * 257, "a b", "../etc", "a/b", "a\n", "a\x00", "ä", "a?b"])
def test_what_could_mean_something_elsewhere_is_refused(bad: str) -> None:
    with pytest.raises(InvalidRequest, match="1 to 256 characters") as caught:
        explicit_id(bad, None)
    assert caught.value.param == "conversation_id"
    with pytest.raises(InvalidRequest):
        explicit_id(None, bad)
