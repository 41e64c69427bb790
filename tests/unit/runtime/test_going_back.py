"""How far a live process can go back, turn by turn."""

from __future__ import annotations

from claude_code_api.core.turn import Message
from claude_code_api.runtime.ports import Profile
from claude_code_api.runtime.standing import Standing


def said(text: str) -> Message:
    return Message("user", ({"type": "text", "text": text},))


def told(text: str) -> Message:
    return Message("assistant", ({"type": "text", "text": text},))


def called(call: str) -> Message:
    return Message("assistant", ({"type": "tool_use", "id": call, "name": "look", "input": {}},))


def resulted(call: str) -> Message:
    return Message("user", ({"type": "tool_result", "tool_use_id": call, "content": "seen"},))


def three_turns() -> Standing:
    context = [said("one"), told("1"), said("two"), told("2"), said("three"), told("3")]
    return Standing(Profile("sonnet"), context, [("t1", 0), ("t2", 2), ("t3", 4)])


def test_the_way_back_takes_the_newest_turns_first() -> None:
    standing = three_turns()
    assert standing.way_back_before("t2", 2) == ["t3", "t2"]
    assert standing.way_back_before("t1", 0) == ["t3", "t2", "t1"]
    for turn in ("t3", "t2"):
        standing.taken_back(turn)
    assert (standing.context, standing.marks) == ([said("one"), told("1")], [("t1", 0)])


def test_turns_that_another_process_ran_are_no_way_back() -> None:
    assert three_turns().way_back_before("t0", 0) is None


def test_a_context_that_is_not_what_is_left_is_no_way_back() -> None:
    assert three_turns().way_back_before("t2", 3) is None


def test_calls_that_would_be_open_again_are_no_way_back() -> None:
    context = [said("one"), called("c1"), resulted("c1"), told("1"), said("two"), told("2")]
    standing = Standing(Profile("sonnet"), context, [("results", 2), ("t2", 4)])
    assert standing.way_back_before("t2", 4) == ["t2"]
    assert standing.way_back_before("results", 2) is None
    # The results were given to the live calls: that turn has no message of its own to go back to.
    parked = Standing(Profile("sonnet"), context, [("t1", 0), ("t2", 4)])
    assert parked.way_back_before("results", 2) is None
    assert parked.way_back_before("t1", 0) == ["t2", "t1"]


def test_a_long_way_back_is_left_to_a_new_process() -> None:
    marks = [(f"t{number}", 2 * number) for number in range(60)]
    standing = Standing(Profile("sonnet"), [said("x"), told("y")] * 60, marks)
    assert standing.way_back_before("t0", 0) is None
    assert len(standing.way_back_before("t10", 20) or []) == 50
