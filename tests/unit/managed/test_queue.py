"""Which of what waits comes next, and what the agent gets of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from claude_code_api.errors import ConversationInUse
from claude_code_api.managed.queue import input_of, next_step
from claude_code_api.managed.sending import check_idle
from claude_code_api.managed.session_store import ManagedSession, StoredEvent, Waiting

AGENT: dict[str, Any] = {"id": "agent_1", "version": 1, "name": "A"}


def event(number: int, kind: str, **body: Any) -> StoredEvent:
    return StoredEvent(number, f"sevt_{number}", kind, body, 0.0, None)


def message(number: int, text: str = "hi") -> StoredEvent:
    return event(number, "user.message", content=[{"type": "text", "text": text}])


def result(number: int, of: str) -> StoredEvent:
    return event(number, "user.custom_tool_result", custom_tool_use_id=of, content=[], is_error=False)


def session(*waiting: Waiting) -> ManagedSession:
    return ManagedSession("key", "default", "sesn_1", AGENT, "env_local", 0.0, 0.0, waiting=waiting)


ONE, TWO = Waiting("sevt_a", "toolu_a", "result"), Waiting("sevt_b", "toolu_b", "result")


def ids(events: Any) -> list[str]:
    return [one.id for one in events]


def test_what_waits_and_can_be_done_is_work() -> None:
    call = result(1, "sevt_a")
    for waiting, stands in (
        ([message(1)], session()),
        ([call], session(ONE)),
        ([], replace(session(), status="running")),
    ):
        with pytest.raises(ConversationInUse):
            check_idle(stands, waiting)
    check_idle(session(ONE), [message(1)])
    check_idle(replace(session(), stop_reason={"type": "budget_reached"}), [message(1)])


def test_messages_come_one_by_one_with_their_instructions() -> None:
    waiting = [message(1), event(2, "system.message", content=[]), message(3)]
    step = next_step(waiting, session())
    assert step is not None
    assert ids(step.events) == ["sevt_1", "sevt_2"]
    assert step.given == ("sevt_1", "sevt_2")
    assert next_step([], session()) is None


def test_nothing_is_said_while_a_call_is_open() -> None:
    assert next_step([message(1)], session(ONE)) is None


def test_results_begin_a_turn_when_all_are_there_in_the_order_of_the_calls() -> None:
    step = next_step([message(1), result(2, "sevt_b")], session(ONE, TWO))
    assert step is not None
    assert ids(step.events) == ["sevt_2"]
    assert [one.answer for one in step.still_waiting] == [None, "sevt_2"]
    rest = next_step([message(1), result(3, "sevt_a")], session(*step.still_waiting))
    assert rest is not None
    assert rest.still_waiting == ()
    assert rest.given == ("sevt_3", "sevt_2")
    both = next_step([result(1, "sevt_b"), result(2, "sevt_a")], session(ONE, TWO))
    assert both is not None
    assert both.given == ("sevt_2", "sevt_1")


def test_a_result_that_nothing_waits_for_is_let_go() -> None:
    step = next_step([result(1, "sevt_x"), message(2)], session())
    assert step is not None
    assert not step.is_wanted
    assert ids(step.events) == ["sevt_1"]


def test_an_interrupt_is_for_what_came_before_it() -> None:
    stop = event(2, "user.interrupt")
    step = next_step([message(1), stop], session())
    assert step is not None
    assert ids(step.events) == ["sevt_1"], "the interrupt finds it running"
    at_once = next_step([stop, message(3)], session())
    assert at_once is not None
    assert ids(at_once.events) == ["sevt_2"]
    first = next_step([result(1, "sevt_a"), stop], session(ONE))
    assert first is not None
    assert ids(first.events) == ["sevt_1"]
    other = next_step([stop, result(3, "sevt_a")], session(ONE))
    assert other is not None
    assert ids(other.events) == ["sevt_2"]


def test_what_the_agent_gets() -> None:
    blocks = ({"type": "image", "source": {"type": "base64"}},)
    pictured = StoredEvent(9, "sevt_9", "user.message", {"content": [{"type": "image"}]}, 0.0, None, blocks=blocks)
    system = event(3, "system.message", content=[{"type": "text", "text": "a"}, {"type": "text", "text": "b"}])
    content, developer = input_of([result(1, "sevt_a"), message(2), system, pictured], {"sevt_a": "toolu_a"})
    assert content[0] == {"type": "tool_result", "tool_use_id": "toolu_a", "content": [], "is_error": False}
    assert content[1:] == [{"type": "text", "text": "hi"}, *blocks]
    assert developer == ["a\nb"]
