"""Which conversation a request names."""

from __future__ import annotations

import pytest

from claude_code_api.core.identity import Identity, check_id, identify
from claude_code_api.errors import InvalidRequest

PRODUCTS = ("x-openwebui-chat-id", "x-session-id")
HEADER = "x-conversation-id"


def explicit(body: object, header: str | None = None) -> Identity:
    return identify(body, {} if header is None else {HEADER: header}, PRODUCTS)


def test_a_request_may_name_none() -> None:
    assert explicit(None) == Identity()


def test_the_body_or_the_header_names_it_and_appends() -> None:
    assert explicit("one") == explicit(None, "one") == explicit("one", "one") == Identity("one", appends=True)


def test_body_and_header_must_not_disagree() -> None:
    with pytest.raises(InvalidRequest, match="different conversations") as caught:
        explicit("one", "two")
    assert caught.value.param == "conversation_id"


@pytest.mark.parametrize("body", [7, ["one"], {"id": "one"}, True])
def test_only_a_string_is_an_id(body: object) -> None:
    with pytest.raises(InvalidRequest, match="must be a string"):
        explicit(body)


@pytest.mark.parametrize("good", ["a", "...", "conv_0.1:b-C", "x" * 256, "550e8400-e29b-41d4-a716-446655440000"])
def test_ordinary_ids_pass(good: str) -> None:
    assert check_id(good) == good


@pytest.mark.parametrize("bad", [" ", ".", "..", "x" * 257, "a b", "../etc", "a/b", "a\n", "a\x00", "ä", "a?b"])
def test_what_could_mean_something_elsewhere_is_refused(bad: str) -> None:
    with pytest.raises(InvalidRequest, match="1 to 256 characters") as caught:
        explicit(bad)
    assert caught.value.param == "conversation_id"
    with pytest.raises(InvalidRequest):
        explicit(None, bad)


def test_an_empty_header_names_nothing() -> None:
    assert identify(None, {"x-conversation-id": ""}, PRODUCTS) == Identity()
    assert identify("a", {"x-conversation-id": ""}, PRODUCTS) == Identity("a", appends=True)


def test_half_a_character_in_the_metadata_is_an_id_as_well() -> None:
    found = identify(None, {}, PRODUCTS, "a\ud800").conversation_id
    assert found is not None
    assert check_id(found) == found


def test_a_products_header_names_it_and_sends_the_whole_history() -> None:
    assert identify(None, {"x-session-id": "b", "x-openwebui-chat-id": "a"}, PRODUCTS) == Identity("a")
    assert identify(None, {"x-session-id": "b"}, PRODUCTS) == Identity("b")
    assert identify(None, {"x-session-id": " "}, PRODUCTS) == Identity()
    assert identify(None, {"x-session-id": "b"}, ()) == Identity()


def test_ours_comes_before_a_products_and_that_before_the_metadata() -> None:
    assert identify("one", {"x-session-id": "b"}, PRODUCTS, "c") == Identity("one", appends=True)
    assert identify(None, {"x-session-id": "b"}, PRODUCTS, "c") == Identity("b")
    assert identify(None, {}, PRODUCTS, "c") == Identity("c", by_session=True)
    assert identify(None, {}, PRODUCTS, 7) == Identity()


@pytest.mark.parametrize("odd", ["../etc", "a b", "x" * 300, "\udcff", "."])
def test_a_products_odd_id_becomes_one_of_ours(odd: str) -> None:
    found = identify(None, {"x-session-id": odd}, PRODUCTS)
    assert found.conversation_id is not None
    assert check_id(found.conversation_id) == found.conversation_id
    assert found == identify(None, {"x-session-id": odd}, PRODUCTS)
    assert found != identify(None, {"x-session-id": odd + "x"}, PRODUCTS)
