"""The limit on an agent's own calls."""

from __future__ import annotations

from claude_code_api.claude.allowance import Allowance


def test_after_so_many_calls_the_model_is_told_to_do_without() -> None:
    allowance = Allowance()
    allowance.renew(2)
    first, second, third, fourth = [allowance.take() for _ in range(4)]
    assert (first, second) == (None, None)
    assert third == fourth == "The limit of 2 tool calls of this request is reached: answer with what you have."


def test_each_turn_has_an_allowance_of_its_own() -> None:
    allowance = Allowance()
    allowance.renew(1)
    assert [allowance.take() is None for _ in range(2)] == [True, False]
    allowance.renew(1)
    assert [allowance.take() is None for _ in range(2)] == [True, False]
    allowance.renew(0)
    assert allowance.take() is not None


def test_without_a_limit_every_call_may_be_made() -> None:
    allowance = Allowance()
    allowance.renew(0)
    allowance.renew(None)
    assert {allowance.take() for _ in range(100)} == {None}
