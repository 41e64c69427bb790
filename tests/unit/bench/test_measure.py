"""Medians and limits."""

from __future__ import annotations

import json

import pytest

from claude_code_api.bench.measure import Report, Row, Stored, StoredRow
from claude_code_api.bench.run import Plan


@pytest.mark.parametrize(("gateway", "met"), [((9.0, 120.0, 300.0), True), ((9.0, 120.1, 300.0), False)])
def test_the_median_may_take_what_the_raw_one_takes_and_the_allowance(gateway: tuple[float, ...], met: bool) -> None:
    row = Row("resume, first token", (99.0, 100.0, 500.0), gateway, allowance_ms=20.0)
    assert (row.limit_ms, row.met) == (120.0, met)


def test_a_ratio_is_a_limit_of_the_raw_median() -> None:
    row = Row("resumed", (100.0,), (114.9,), max_ratio=1.15)
    assert row.met is True
    assert row.limit_ms == pytest.approx(115)


def test_a_figure_that_an_empty_server_does_not_have_is_null() -> None:
    look_up = StoredRow("look-up of one", "ms", (), (1.0, 2.0, 60.0), 5.0)
    start = StoredRow("start", "ms", (100.0, 120.0, 110.0), (130.0, 150.0, 140.0), 121.0)
    report = Report("1", "claude", "uvloop", 3, 2, 0.1, 0.2, (), Stored(5, (look_up, start), samples=8, busy_samples=1))
    stored = json.loads(json.dumps(report.as_json()))["stored"]
    assert {name: stored[name] for name in ("conversations", "samples", "busy_samples")} == {
        "conversations": 5,
        "samples": 8,
        "busy_samples": 1,
    }
    assert [(row["empty"], row["stored"], row["limit"], row["met"]) for row in stored["rows"]] == [
        (None, 2.0, 5.0, True),
        (110.0, 140.0, 121.0, False),
    ]


@pytest.mark.parametrize(
    ("warm", "hibernate", "stored", "usual"),
    [(False, 0, 0, True), (True, 0, 0, True), (False, 9, 0, False), (False, 0, 9, False), (True, 9, 9, True)],
)
def test_what_is_named_alone_is_measured_alone(warm: bool, hibernate: int, stored: int, usual: bool) -> None:
    plan = Plan(runs=1, sessions=0, warm=warm, modes=("lean",), hibernate=hibernate, stored=stored)
    assert plan.usual is usual
