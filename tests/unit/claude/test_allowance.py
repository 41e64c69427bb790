"""The limit on an agent's own calls, as the CLI is told of it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from claude_code_api.claude.allowance import Allowance


def denied(answer: dict[str, Any]) -> bool:
    return "deny" in str(answer)


def test_after_so_many_calls_the_model_is_told_to_do_without() -> None:
    allowance = Allowance()
    allowance.renew(2)
    first, second, third, fourth = [allowance.answer() for _ in range(4)]
    assert (first, second) == ({}, {})
    assert third == fourth
    said = third["hookSpecificOutput"]
    assert (said["hookEventName"], said["permissionDecision"]) == ("PreToolUse", "deny")
    assert "limit of 2 tool calls" in said["permissionDecisionReason"]


def test_each_turn_has_an_allowance_of_its_own() -> None:
    allowance = Allowance()
    allowance.renew(1)
    assert [denied(allowance.answer()) for _ in range(2)] == [False, True]
    allowance.renew(1)
    assert [denied(allowance.answer()) for _ in range(2)] == [False, True]
    allowance.renew(0)
    assert denied(allowance.answer())


def test_without_a_limit_every_call_may_be_made() -> None:
    allowance = Allowance()
    allowance.renew(0)
    allowance.renew(None)
    assert not any(denied(allowance.answer()) for _ in range(100))


def test_the_cli_is_told_only_when_something_changes() -> None:
    """Being asked costs each call time: turns without a limit do not pay it."""
    allowance = Allowance()
    assert allowance.renew(None) is None
    assert "PreToolUse" in (allowance.renew(3) or {})["hooks"]
    assert allowance.renew(5) is None
    assert allowance.renew(None) == {"subtype": "initialize", "hooks": {}}
    assert allowance.renew(None) is None
    assert allowance.renew(1) is not None


@pytest.mark.parametrize(
    ("tool", "counts"),
    [
        ("Bash", True),
        ("Agent", True),
        ("StructuredOutputs", True),
        ("StructuredOutput", False),
        ("mcp__client__get_weather", False),
    ],
)
def test_neither_the_clients_tools_nor_the_answer_count(tool: str, counts: bool) -> None:
    request = Allowance().renew(1)
    assert request is not None
    assert bool(re.search(request["hooks"]["PreToolUse"][0]["matcher"], tool)) is counts
