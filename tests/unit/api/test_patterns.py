"""Which patterns JavaScript takes in its Unicode mode; each was given to Node to see."""

from __future__ import annotations

import pytest

from claude_code_api.api.patterns import javascript


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "^[a-z0-9_-]+$",
        r"^(?!^[-+.]*$)[+-]?0*\d*\.?\d*$",
        r"^\p{L}+[^\s\]]{1,3}?(?:a|b)*\u{1F600}\u0041\x41\cA\0$",
        r"(?<year>\d{4})-\k<year>(a)\2",
        r"(?<=a)b(?<!c)\bd",
        "[]",
        "[^]",
        r"[\b\-\]-a]",
        "é{2,}",
    ],
)
def test_what_javascript_takes_stays_as_it_is(pattern: str) -> None:
    assert javascript(pattern) == pattern


@pytest.mark.parametrize(
    ("pattern", "is_now"),
    [(r"\d{3}\-\d", r"\d{3}-\d"), (r"a\@b\ \_", "a@b _"), (r"[\w\_\-]", r"[\w_\-]"), (r"\é\"", 'é"')],
)
def test_needless_backslashes_are_left_out(pattern: str, is_now: str) -> None:
    assert javascript(pattern) == is_now


@pytest.mark.parametrize(
    "pattern",
    [
        *(
            "(?P<x>a)",
            "(?i)a",
            "(?#note)",
            r"\Aa\Z",
            r"\h",
            "a++",
            "(?>a)",
            "(",
            "a)",
            "[a",
            "[a-",
            "]",
            "}",
            "{",
            "a{,3}",
        ),
        *("*a", "^*", "(?=a)*", r"\b+", "a{3,1}", "[z-a]", r"[\w-a]", r"\1", r"(a)\2", r"\k<x>", "(?<a>b)(?<a>c)"),
        *(r"\u{110000}", r"\u12", r"\x1", r"\c1", r"\01", r"[\B]", r"[\1]", "\\", "[\\", r"\p{", r"\pL"),
    ],
)
def test_what_javascript_does_not_take_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        javascript(pattern)


def test_a_long_pattern_takes_no_time_and_no_depth() -> None:
    assert javascript("(" * 50_000 + ")" * 50_000)
