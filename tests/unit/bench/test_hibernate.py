"""What the benchmark makes of answers and samples."""

from __future__ import annotations

import pytest

from claude_code_api.bench import BenchFailed
from claude_code_api.bench.hibernate import check, shares


@pytest.mark.parametrize(
    "said",
    [
        "You asked me to remember: nothing.",
        "You asked me to remember: w12.",
        "You asked me to remember: w1, w2.",
        "You asked me to remember: w1, w1.",
        "",
    ],
)
def test_anything_but_the_conversations_own_word_is_a_failure_that_names_it(said: str) -> None:
    with pytest.raises(BenchFailed, match="crowd-1 was told w1, and said") as failed:
        check("crowd-1", 1, said)
    assert failed.value.message.endswith(said)


def test_the_conversations_own_word_will_do() -> None:
    check("crowd-1", 1, "You asked me to remember: w1.")


@pytest.mark.parametrize(("count", "among"), [(30, 300), (9, 12), (9, 2), (1, 7), (3, 3)])
def test_samples_are_spread_evenly_and_none_is_left_out(count: int, among: int) -> None:
    spread = shares(count, among)
    assert (len(spread), sum(spread)) == (among, count)
    assert max(spread) - min(spread) <= 1
    halves = sum(spread[: among // 2]), count / among * (among // 2)
    assert abs(halves[0] - halves[1]) <= 1
