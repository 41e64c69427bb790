"""What goes on in a session, with a runtime that does what the test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from claude_code_api import errors as err
from claude_code_api.core.turn import (
    AgentCall,
    AnswerStarted,
    ApprovalWanted,
    Message,
    StartKind,
    TurnCompleted,
    TurnEvent,
    TurnStarted,
    Usage,
)
from claude_code_api.managed import events as ev
from claude_code_api.managed import follow, grading, log, outcomes
from claude_code_api.managed.session_store import NewEvent, StoredEvent
from claude_code_api.runtime.stored import StoredTurn
from tests.unit.managed.world import World, answers, calls, fails, kinds, message, reasons

STARTED = TurnStarted(StartKind.LIVE)


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = await World.made(tmp_path)
    yield world
    await world.tasks.cancel()


def said(events: list[StoredEvent]) -> list[str]:
    return [event.body["content"][0]["text"] for event in events if event.type == ev.MESSAGE]


def result(of: str) -> NewEvent:
    body = {"custom_tool_use_id": of, "content": [{"type": "text", "text": "sunny"}], "is_error": False}
    return ev.event(ev.CUSTOM_RESULT, body)


async def test_messages_are_turns_one_by_one_and_the_session_is_idle_when_all_are_done(world: World) -> None:
    world.runtime.script = [answers("one"), answers("two")]
    await world.send(message("1"), message("2"))
    events = await world.rests()
    assert kinds(events) == [
        "user.message",
        "session.status_running",
        "agent.message",
        "user.message",
        "agent.message",
        "session.status_idle",
    ]
    session = world.log.session
    assert (session.status, session.run, session.stop_reason) == ("idle", None, {"type": "end_turn"})
    assert await world.log.store.working() == []
    assert [turn.new.text() for _, turn in world.runtime.asked] == ["1", "2"]


async def test_each_turn_has_the_key_of_its_message(world: World) -> None:
    world.runtime.script = [answers("one")]
    sent = message("1")
    await world.send(sent)
    await world.rests()
    assert [key for key, _ in world.runtime.asked] == [sent.id]


async def test_an_error_that_may_pass_is_tried_again_under_the_same_key(world: World) -> None:
    overloaded = err.UpstreamOverloaded("full", retry_after=0.0)
    world.runtime.script = [fails(overloaded), err.StartFailed("no", retry_after=0.0), answers("at last")]
    await world.send(message("1"))
    events = await world.rests()
    errors = [event.body["error"] for event in events if event.type == "session.error"]
    assert [(one["type"], one["retry_status"]["type"]) for one in errors] == [
        ("model_overloaded_error", "retrying"),
        ("unknown_error", "retrying"),
    ]
    assert kinds(events)[-3:] == ["session.status_running", "agent.message", "session.status_idle"]
    assert len({key for key, _ in world.runtime.asked}) == 1
    assert reasons(events) == ["end_turn"]


async def test_an_error_that_stays_ends_what_was_queued(world: World) -> None:
    world.runtime.script = [fails(err.ProcessDied("gone")) for _ in range(3)]
    defined = {"outcome_id": "outc_1", "description": "d", "rubric": {"content": "r"}, "max_iterations": 3}
    later = ev.event(ev.OUTCOME, defined)
    await world.send(message("1"), message("2"), later, outcomes=(outcomes.begun(defined, later.id),))
    events = await world.rests()
    assert len(world.runtime.asked) == 3
    assert reasons(events) == ["retries_exhausted"]
    assert all(event.processed_at is not None for event in events)
    assert world.log.session.outcomes[0]["result"] == "interrupted"


async def test_where_there_is_no_room_a_turn_waits_for_as_long_as_it_takes(world: World) -> None:
    full = [err.CapacityExceeded("full", retry_after=0.0) for _ in range(8)]
    world.runtime.script = [*full, answers("at last")]
    await world.send(message("1"))
    events = await world.rests()
    assert said(events) == ["at last"]
    assert reasons(events) == ["end_turn"]


async def test_each_try_is_asked_with_what_the_agent_is_then(world: World) -> None:
    world.runtime.script = [err.CapacityExceeded("full", retry_after=0.2), answers("at last")]
    await world.send(message("1"))
    await world.until(lambda: len(world.runtime.asked) == 1)
    world.model = "opus"
    await world.rests()
    assert [turn.model for _, turn in world.runtime.asked] == ["sonnet", "opus"]


async def test_what_the_request_is_to_blame_for_is_not_tried_again(world: World) -> None:
    world.runtime.script = [fails(err.ContextOverflow("too long")), fails(err.ContentRefused("no"))]
    await world.send(message("1"))
    assert reasons(await world.rests()) == ["retries_exhausted"]
    await world.send(message("2"))
    events = await world.rests()
    assert reasons(events) == ["retries_exhausted", "refusal"]
    assert kinds(events).count("session.error") == 1


async def test_an_interrupt_halts_the_turn_and_goes_on_with_what_is_queued(world: World) -> None:
    world.runtime.script = [[STARTED, AnswerStarted("m")], answers("two")]
    await world.send(message("1"))
    await world.runtime.placed.wait()
    await world.send(message("2"), ev.event(ev.INTERRUPT))
    events = await world.rests()
    assert reasons(events) == ["end_turn", "end_turn"]
    order = kinds(events)
    assert order.index("user.interrupt") < order.index("session.status_idle") < order.index("agent.message")


async def test_an_interrupt_in_the_middle_of_a_pause_ends_it(world: World) -> None:
    world.runtime.script = [fails(err.UpstreamRateLimited("slow down", retry_after=50.0)), answers("never")]
    await world.send(message("1"))
    await world.until(lambda: world.log.session.status == "rescheduling")
    await world.send(ev.event(ev.INTERRUPT))
    world.runtime.script = [fails(err.TurnCancelled("halted"))]
    events = await world.rests()
    assert reasons(events) == ["end_turn"]
    assert said(events) == []


async def test_a_call_waits_and_its_confirmation_is_passed_on(world: World) -> None:
    asks: list[TurnEvent] = [
        STARTED,
        AnswerStarted("m"),
        AgentCall("toolu_1", "Bash", {}, "Bash"),
        ApprovalWanted("toolu_1", "Bash", {}, 0.0, "Bash"),
    ]
    world.runtime.script = [asks]
    await world.send(message("1"))
    await world.until(lambda: bool(world.log.session.waiting))
    (waiting,) = world.log.session.waiting
    assert world.log.session.status == "idle"
    assert world.log.session.run is not None
    answer = {"tool_use_id": waiting.event_id, "result": "deny", "deny_message": "No."}
    await world.send(ev.event(ev.CONFIRMATION, answer))
    await world.until(lambda: world.log.session.status == "running")
    assert world.runtime.decided == [("toolu_1", False, "No.")]
    for event in answers("done")[2:]:
        world.runtime.streams[0].put(event)
    events = await world.rests()
    assert reasons(events) == ["requires_action", "end_turn"]
    assert kinds(events).count("session.status_running") == 2


async def test_results_are_gathered_and_go_to_the_agent_together(world: World) -> None:
    block = {"type": "tool_use", "id": "toolu_2", "name": "get", "input": {}}
    two = answers("I ask.", reason="tool_use", blocks=[{**block, "id": "toolu_1"}, block])
    world.runtime.script = [two, answers("thanks")]
    await world.send(message("1"))
    await world.rests()
    one, other = world.log.session.waiting
    await world.send(result(other.event_id), message("and more"))
    events = await world.rests()
    assert events[-2].body["stop_reason"] == {"type": "requires_action", "event_ids": [one.event_id]}
    assert len(world.runtime.asked) == 1
    world.runtime.script.append(answers("more"))
    await world.send(result(one.event_id))
    events = await world.rests()
    content = world.runtime.asked[1][1].new.content
    assert [block["tool_use_id"] for block in content] == ["toolu_1", "toolu_2"]
    assert said(events) == ["I ask.", "thanks", "more"]
    assert world.log.session.waiting == ()


async def test_a_budget_holds_what_is_queued_until_it_is_raised(world: World) -> None:
    await world.log.write(budget=100, is_budgeted=True)
    world.cost_usd = 1.0
    await world.send(message("1"))
    assert reasons(await world.rests()) == ["budget_reached"]
    assert world.runtime.asked == []
    await world.send()
    assert reasons(await world.rests()) == ["budget_reached"]
    world.runtime.script = [answers("one")]
    await world.send(budget=300)
    assert said(await world.rests()) == ["one"]
    assert world.runtime.asked[0][1].options.max_cost_usd == pytest.approx(2.0)


async def test_instructions_go_along_as_part_of_the_dialogue(world: World) -> None:
    world.runtime.script = [answers("one")]
    system = ev.event(ev.SYSTEM_MESSAGE, {"content": [{"type": "text", "text": "In verse."}]})
    await world.send(message("1"), system)
    events = await world.rests()
    assert kinds(events)[:2] == ["user.message", "system.message"]
    assert world.runtime.asked[0][1].developer == ("In verse.",)


async def test_nothing_is_done_for_a_session_that_was_archived_meanwhile(world: World) -> None:
    world.runtime.script = [calls("get", "toolu_1"), answers("never")]
    await world.send(message("1"))
    await world.rests()
    (waiting,) = world.log.session.waiting
    terminated = ev.event("session.status_terminated")
    await world.log.write([terminated], queued=[result(waiting.event_id)], archived_at=1.0, status="terminated")
    world.resumed()
    assert kinds(await world.rests())[-2:] == ["session.status_terminated", "user.custom_tool_result"]
    assert len(world.runtime.asked) == 1
    assert world.log.session.status == "terminated"


async def test_a_call_that_another_dialect_left_open_waits_behind_any_number_of_turns(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = StoredTurn("one", 1.0, 1.0, "sonnet", "end_turn", Message("user", ()), (), Usage(), 0.0)
    block = {"type": "tool_use", "id": "toolu_1", "name": "get", "input": {}}
    asks = replace(done, turn_id="two", stop_reason="tool_use", output=(Message("assistant", (block,)),))
    monkeypatch.setattr(follow, "_AT_ONCE", 2)

    async def turns_behind(key: str, number: int, *, limit: int) -> list[Any]:
        return [(1, done, False), (2, asks, False)][number : number + limit]

    monkeypatch.setattr(world.log.store, "turns_behind", turns_behind)
    await follow.follow(world.log, "sthr_1")
    assert [one.call_id for one in world.log.session.waiting] == ["toolu_1"]
    assert world.log.session.followed == 2


# Restarts


async def test_a_turn_that_a_server_left_is_begun_again_under_the_same_key(world: World) -> None:
    world.runtime.script = [[STARTED, AnswerStarted("m")]]
    sent = message("1")
    await world.send(sent, message("2"))
    await world.until(lambda: world.log.session.run is not None and world.log.session.run.turn_id is not None)
    world.runtime.script = [answers("one"), answers("two")]
    await world.restarted()
    events = await world.rests()
    assert [key for key, _ in world.runtime.asked][:2] == [sent.id, sent.id]
    assert kinds(events).count("session.status_rescheduled") == 1
    assert said(events) == ["one", "two"]
    starts = {event.id for event in events if event.type == ev.REQUEST_START}
    assert starts == {event.body["model_request_start_id"] for event in events if event.type == ev.REQUEST_END}


async def test_an_answer_that_was_kept_before_the_server_ended_is_told_and_not_asked_for_again(world: World) -> None:
    world.runtime.script = [[STARTED, AnswerStarted("m")]]
    sent = message("1")
    await world.send(sent)
    await world.until(lambda: world.log.session.run is not None and world.log.session.run.turn_id is not None)
    world.runtime.kept[sent.id] = answers("kept")
    await world.restarted()
    events = await world.rests()
    assert said(events) == ["kept"]
    assert reasons(events) == ["end_turn"]


async def test_an_approval_that_waited_is_told_to_be_lost(world: World) -> None:
    wanted = ApprovalWanted("toolu_1", "Bash", {}, 0.0, "Bash")
    world.runtime.script = [[STARTED, AnswerStarted("m"), wanted]]
    await world.send(message("1"))
    await world.until(lambda: bool(world.log.session.waiting))
    use = world.log.session.waiting[0].event_id
    world.runtime.script = [answers("done")]
    await world.restarted()
    events = await world.rests()
    (lost,) = [event for event in events if event.type == ev.TOOL_RESULT]
    assert (lost.body["tool_use_id"], lost.body["is_error"]) == (use, True)
    assert world.log.session.waiting == ()
    assert said(events) == ["done"]


async def test_a_server_that_ends_leaves_the_turn_to_the_next_one(world: World) -> None:
    world.runtime.script = [fails(err.ShuttingDown("bye"))]
    await world.send(message("1"))
    events = await world.rests()
    assert reasons(events) == []
    assert [one.conversation_id for one in await world.log.store.working()] == ["sesn_1"]
    world.runtime.script = [answers("one")]
    await world.restarted()
    assert said(await world.rests()) == ["one"]


async def test_an_interrupt_that_was_acknowledged_holds_for_the_next_server(world: World) -> None:
    world.runtime.script = [[STARTED, AnswerStarted("m")]]
    await world.send(message("1"))
    await world.until(lambda: world.log.session.run is not None and world.log.session.run.turn_id is not None)
    await world.log.write(run=lambda session: replace(session.run, is_halted=True))
    world.runtime.script = [[STARTED, AnswerStarted("m")]]
    await world.restarted()
    events = await world.rests()
    assert reasons(events) == ["end_turn"]
    assert said(events) == []


async def test_a_defect_leaves_nobody_waiting(world: World) -> None:
    world.runtime.script = []  # there is no turn to be had
    await world.send(message("1"), message("2"))
    events = await world.rests()
    assert reasons(events) == ["retries_exhausted"]
    (error,) = [event.body["error"] for event in events if event.type == "session.error"]
    assert "defect" in error["message"]
    world.runtime.script = [answers("again")]
    await world.send(message("3"))
    assert said(await world.rests()) == ["again"]


async def test_a_session_that_is_deleted_meanwhile_ends_quietly(world: World) -> None:
    world.runtime.script = [fails(err.ConversationDeleted("gone"))]
    await world.send(message("1"))
    await world.rests()
    assert world.log.gone


# Outcomes


def defined(**more: Any) -> NewEvent:
    body = {"outcome_id": "outc_1", "description": "Write.", "rubric": {"type": "text", "content": "Good."}}
    return ev.event(ev.OUTCOME, {**body, "max_iterations": 3, **more})


async def sent(world: World, event: NewEvent) -> list[StoredEvent]:
    await world.send(event, outcomes=(outcomes.begun(event.body, event.id),))
    return await world.rests()


def verdict(result: str, why: str = "because") -> Any:
    return answers(f'{{"result": "{result}", "explanation": "{why}"}}')


async def test_work_is_revised_with_what_the_grader_said_until_it_is_satisfied(world: World) -> None:
    world.runtime.script = [
        answers("first"),
        verdict("needs_revision", "too short"),
        answers("longer"),
        verdict("satisfied"),
    ]
    events = await sent(world, defined())
    work, grade, revision, again = [turn for _, turn in world.runtime.asked]
    assert "Write." in work.new.text()
    assert "too short" in revision.new.text()
    assert (grade.apart, grade.kept, grade.profile) == (True, False, "chat")
    assert "first" in grade.new.text()
    assert "longer" in again.new.text()
    ends = [event.body for event in events if event.type == "span.outcome_evaluation_end"]
    assert [(end["result"], end["iteration"]) for end in ends] == [("needs_revision", 0), ("satisfied", 1)]
    assert reasons(events) == ["end_turn"]
    assert world.log.session.outcomes[0]["result"] == "satisfied"


async def test_after_the_last_revision_the_agent_has_a_last_word(world: World) -> None:
    world.runtime.script = [answers("first"), verdict("needs_revision"), answers("that is all")]
    events = await sent(world, defined(max_iterations=1))
    assert said(events) == ["first", "that is all"]
    assert world.log.session.outcomes[0]["result"] == "max_iterations_reached"
    assert reasons(events) == ["end_turn"]


async def test_work_that_cannot_be_graded_has_failed(world: World) -> None:
    world.runtime.script = [answers("first"), fails(err.UpstreamError("down"))]
    events = await sent(world, defined())
    (end,) = [event.body for event in events if event.type == "span.outcome_evaluation_end"]
    assert end["result"] == "failed"
    assert "down" in end["explanation"]
    assert reasons(events) == ["end_turn"]


async def test_a_grading_that_fails_for_now_is_tried_again(world: World) -> None:
    passing = [err.CapacityExceeded("full", retry_after=0.0) for _ in range(4)]
    overloaded = fails(err.UpstreamOverloaded("much", retry_after=0.0))
    world.runtime.script = [answers("first"), *passing, overloaded, verdict("satisfied")]
    events = await sent(world, defined())
    (end,) = [event.body for event in events if event.type == "span.outcome_evaluation_end"]
    assert end["result"] == "satisfied"
    retries = [event.body["error"]["retry_status"]["type"] for event in events if event.type == "session.error"]
    assert retries == ["retrying"] * 5


async def out_of_money(world: World) -> None:
    """The budget is reached while the agent works for an outcome."""
    await world.log.write(budget=100, is_budgeted=True)
    world.runtime.script = [[STARTED]]
    event = defined()
    await world.send(event, outcomes=(outcomes.begun(event.body, event.id),))
    await world.until(lambda: len(world.runtime.streams) == 1)
    world.cost_usd = 1.0
    world.runtime.streams[0].put(TurnCompleted("budget_reached", "sonnet", Usage(1, 1), None, ()))
    assert reasons(await world.rests()) == ["budget_reached"]


async def test_a_grading_that_a_raised_budget_lets_go_on_is_work(world: World) -> None:
    await out_of_money(world)
    assert await world.log.store.working() == []
    world.runtime.script = [[STARTED]]
    await world.log.write(budget=300)
    world.resumed()
    await world.until(lambda: len(world.runtime.streams) == 2)
    assert world.log.session.status == "running"
    assert [one.conversation_id for one in await world.log.store.working()] == ["sesn_1"], "a killed server goes on"
    for one in verdict("satisfied"):
        world.runtime.streams[1].put(one)
    events = await world.rests()
    assert kinds(events)[-4:] == [
        "session.status_running",
        "span.outcome_evaluation_start",
        "span.outcome_evaluation_end",
        "session.status_idle",
    ]


async def test_an_outcome_that_ran_out_of_money_can_be_interrupted(world: World) -> None:
    await out_of_money(world)
    await world.send(ev.event(ev.INTERRUPT))
    events = await world.rests()
    assert [event.processed_at is None for event in events if event.type == ev.INTERRUPT] == [False]
    assert world.log.session.outcomes[0]["result"] == "interrupted"
    assert reasons(events) == ["budget_reached", "end_turn"]


async def test_an_interrupt_ends_a_grading_and_the_outcome(world: World) -> None:
    world.runtime.script = [answers("first"), [STARTED]]
    event = defined()
    await world.send(event, outcomes=(outcomes.begun(event.body, event.id),))
    await world.until(lambda: len(world.runtime.streams) == 2)
    await world.send(ev.event(ev.INTERRUPT))
    events = await world.rests()
    (end,) = [event.body for event in events if event.type == "span.outcome_evaluation_end"]
    assert end["result"] == "interrupted"
    assert world.log.session.outcomes[0]["result"] == "interrupted"


async def test_a_grading_that_takes_its_time_shows_that_it_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grading, "_SIGN_S", 0.01)
    world.runtime.script = [answers("first"), [STARTED]]
    event = defined()
    await world.send(event, outcomes=(outcomes.begun(event.body, event.id),))
    await world.until(lambda: len(world.runtime.streams) == 2)
    async with asyncio.timeout(5):
        while "span.outcome_evaluation_ongoing" not in kinds(await world.told()):
            await asyncio.sleep(0.01)
    for one in verdict("satisfied"):
        world.runtime.streams[1].put(one)
    events = await world.rests()
    ongoing = next(one for one in events if one.type == "span.outcome_evaluation_ongoing")
    assert ongoing.body == {"outcome_id": "outc_1", "iteration": 0}
    assert world.log.session.outcomes[0]["result"] == "satisfied"


async def test_a_custom_tool_in_the_middle_of_an_outcome(world: World) -> None:
    world.runtime.script = [calls("get", "toolu_1"), answers("done"), verdict("satisfied")]
    events = await sent(world, defined())
    assert reasons(events) == ["requires_action"]
    (waiting,) = world.log.session.waiting
    await world.send(result(waiting.event_id))
    events = await world.rests()
    assert reasons(events) == ["requires_action", "end_turn"]
    assert world.log.session.outcomes[0]["result"] == "satisfied"


async def test_an_interrupt_while_an_outcome_waits_for_a_client_ends_it(world: World) -> None:
    world.runtime.script = [calls("get", "toolu_1")]
    await sent(world, defined())
    await world.send(ev.event(ev.INTERRUPT))
    events = await world.rests()
    assert "span.outcome_evaluation_start" not in kinds(events)
    assert world.log.session.outcomes[0]["result"] == "interrupted"


async def test_who_is_too_far_behind_ends_and_disturbs_nobody(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "_MOST_BEHIND", 1)
    behind = [world.log.follow([]) for _ in range(3)]
    world.runtime.script = [answers("one")]
    await world.send(message("1"))
    assert said(await world.rests()) == ["one"]
    assert reasons(await world.told()) == ["end_turn"]
    assert [len(await follower.more()) for follower in behind] == [1, 1, 1]


async def test_nobody_is_told_what_is_not_stored(world: World) -> None:
    follower = world.log.follow([])
    world.runtime.script = [answers("one")]
    await world.send(message("1"))
    await world.rests()
    seen = [one for one in await asyncio.wait_for(follower.more(), 5) if isinstance(one, StoredEvent)]
    assert [one.id for one in seen] == [one.id for one in await world.told()]
