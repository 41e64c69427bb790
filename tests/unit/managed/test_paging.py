"""Places in lists: they lead where they came from, and nothing else is taken for one."""

from __future__ import annotations

import base64

import pytest

from claude_code_api.errors import InvalidRequest
from claude_code_api.managed.paging import cursor, page_of, place, shown


def test_a_page_tells_where_the_next_one_begins() -> None:
    page = shown([5, 4, 3], 2, str, lambda number: cursor(float(number), f"id{number}"))
    assert page["data"] == ["5", "4"]
    assert page_of(page["next_page"], 2) == ((4.0, "id4"), 3)
    assert shown([3], 2, str, lambda number: cursor(number)) == {"data": ["3"], "next_page": None}
    assert page_of(None, 2) == page_of("", 2) == (None, 3)
    moment = 1795442003.1234567
    assert place(cursor(moment, "x"), float, str) == [moment, "x"]
    waiting = 2**40 + 3
    assert place(cursor(waiting), int) == [waiting]


@pytest.mark.parametrize(
    "text",
    [
        "page_",
        "nonsense",
        "page_!!!!",
        "page_" + base64.urlsafe_b64encode(b"[1.0").decode(),
        "page_" + base64.urlsafe_b64encode(b"\xff\xfe").decode(),
        "page_" + base64.urlsafe_b64encode(b"[" * 700).decode(),
        "page_" + "A" * 2000,
        cursor("1", "x"),
        cursor(1.0),
        cursor(1.0, "x", "y"),
        cursor(True, "x"),
        cursor(float("nan"), "x"),
        cursor(float("inf"), "x"),
        cursor(1.0, "\ud800"),
    ],
)
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        page_of(text, 2)
    assert error.value.param == "page"


def test_a_number_that_no_database_can_look_for_is_no_place() -> None:
    with pytest.raises(InvalidRequest):
        place(cursor(10**30), int)
    assert place(cursor(7), int) == [7]
