"""The ids of responses and items."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_code_api.api.openai_items.ids import ItemId, Part, parse, response_id, turn_of

TURN = "0123abcd-4567-89ef-0123-456789abcdef"
HEX = "0123abcd456789ef0123456789abcdef"


def test_an_id_tells_the_turn_the_part_and_the_number() -> None:
    assert str(ItemId("msg", TURN, "o", 12)) == f"msg_{HEX}o12"
    assert parse(f"msg_{HEX}o12") == ItemId("msg", TURN, "o", 12)


@given(st.from_regex(r"[a-z]{1,8}", fullmatch=True), st.uuids(), st.sampled_from("diob"), st.integers(0, 10**9 - 1))
def test_every_id_is_read_as_what_it_was_made_of(prefix: str, turn: uuid.UUID, part: Part, n: int) -> None:
    assert parse(str(ItemId(prefix, str(turn), part, n))) == ItemId(prefix, str(turn), part, n)


@pytest.mark.parametrize(
    "text",
    [
        "",
        HEX,
        f"msg_{HEX}",
        f"msg_{HEX}o",
        f"msg_{HEX}x0",
        f"msg_{HEX}o01",
        f"msg_{HEX}o-1",
        f"msg_{HEX}o\u0661",
        f"msg_{HEX}o0 ",
        f"msg_{HEX}o0\n",
        f"msg_{HEX}o1234567890",
        f"msg_{HEX.upper()}o0",
        f"msg_{HEX[1:]}o0",
        f"_{HEX}o0",
        "msg_68c5a1f2e5c08190ad2f3bd0d2e3a1ff0e6f8a7b2c3d4e5f",
        "rs_\ud83d",
    ],
)
def test_anything_else_is_no_id_of_ours(text: str) -> None:
    assert parse(text) is None


def test_a_response_is_its_turn() -> None:
    assert response_id(TURN) == f"resp_{HEX}"
    assert turn_of(f"resp_{HEX}") == TURN
    for other in (
        "",
        "resp_",
        f"resp_{HEX}0",
        f"resp_{HEX}\n",
        f"msg_{HEX}",
        "resp_" + "x" * 32,
        f"resp_{HEX.upper()}",
    ):
        assert turn_of(other) is None
