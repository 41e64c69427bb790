"""From a turn's events to a response's."""

from __future__ import annotations

import json
from typing import Any

import pytest

from claude_code_api.api.openai_items.told import output_items
from claude_code_api.api.openai_responses.frames import DONE, sse
from claude_code_api.core.turn import (
    AgentCall,
    AgentResult,
    AnswerRestarted,
    AnswerStarted,
    StartKind,
    TextDelta,
    ThinkingDelta,
    ThinkingStarted,
    ToolCallDelta,
    ToolCallStarted,
    TurnEvent,
    TurnFailed,
    TurnStarted,
)
from claude_code_api.errors import CapacityExceeded, TurnCancelled
from tests.unit.api.openai_responses.folding import folded, told
from tests.unit.api.openai_responses.scenes import (
    ENCRYPTED,
    HEX,
    MODEL,
    NOW,
    SCHEMA,
    SUMMARY,
    TURN,
    answer,
    call,
    done,
    events_of,
    head,
    kinds,
    own_call,
    own_result,
    stream,
    text,
    thought,
)

BEGUN = (TurnStarted(StartKind.LIVE), AnswerStarted(MODEL))
THOUGHT = (ThinkingStarted(), ThinkingDelta("Hm"), ThinkingDelta("."))
CALLED = (ToolCallStarted("c1", "f"), ToolCallDelta("c1", '{"a": '), ToolCallDelta("c1", '[1, "\\u00e9"]}'))
LOOKED = AgentCall("own_1", "Bash", {"command": "ls"}, "Bash: ls")


def test_a_text_is_told_as_it_comes() -> None:
    events = events_of(
        stream(), *BEGUN, TextDelta("Hel"), TextDelta(""), TextDelta("lo."), done(answer(text("Hello.")))
    )
    assert kinds(events) == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    response = told(events)
    assert response["output"] == output_items(TURN, done(answer(text("Hello."))).messages, head().telling)
    assert response["output"][0]["id"] == f"msg_{HEX}o0"
    assert [event["delta"] for event in events if event["type"].endswith(".delta")] == ["Hel", "lo."]
    assert response["completed_at"] == int(NOW)
    assert response["model"] == MODEL


def test_a_response_in_the_background_waits_first() -> None:
    made = stream(background=True)
    assert kinds(events_of(made)) == ["created", "queued"]
    assert kinds(list(made.of(TurnStarted(StartKind.COLD)))) == ["in_progress"]
    events = events_of(stream(background=True), *BEGUN, TextDelta("Hi"), done(answer(text("Hi"))))
    assert [event["response"]["status"] for event in events[:3]] == ["queued", "queued", "in_progress"]
    told(events)


def test_thinking_is_an_item_whose_words_are_told_when_they_were_asked_for() -> None:
    turn = (*BEGUN, *THOUGHT, TextDelta("Hi"), done(answer(thought("Hm."), text("Hi"))))
    quiet, open_ = events_of(stream(), *turn), events_of(stream(**SUMMARY), *turn)
    assert kinds(quiet)[2:4] == ["output_item.added", "output_item.done"]
    assert kinds(open_)[2:9] == [
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
    ]
    assert told(quiet)["output"][0]["summary"] == []
    assert told(open_)["output"][0]["summary"] == [{"type": "summary_text", "text": "Hm."}]
    assert [item["id"] for item in told(quiet)["output"]] == [f"rs_{HEX}o0", f"msg_{HEX}o1"]


def test_thinking_that_the_operator_keeps_back_is_never_told() -> None:
    turn = (*BEGUN, *THOUGHT, TextDelta("Hi"), done(answer(thought("Hm."), text("Hi"))))
    events = events_of(stream(of=head(thinking=False, **SUMMARY, **ENCRYPTED)), *turn)
    told(events)
    assert "Hm" not in json.dumps(events)
    assert "encrypted_content" not in json.dumps(events)


def test_blocks_of_thinking_that_nobody_can_read_are_counted() -> None:
    blocks = (thought(""), {"type": "redacted_thinking", "data": "eA=="}, text("Hi"))
    turn = (*BEGUN, ThinkingStarted(), ThinkingStarted(), TextDelta("Hi"), done(answer(*blocks)))
    response = told(events_of(stream(**SUMMARY), *turn))
    assert [item["id"] for item in response["output"]] == [f"rs_{HEX}o0", f"rs_{HEX}o1", f"msg_{HEX}o2"]


def test_reasoning_that_the_client_keeps_is_done_when_its_block_is_known() -> None:
    turn = (*BEGUN, *THOUGHT, TextDelta("Hi"), done(answer(thought("Hm."), text("Hi"))))
    events = events_of(stream(**SUMMARY, **ENCRYPTED), *turn)
    response = told(events)
    finished = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert [item["type"] for item in finished] == ["reasoning", "message"]
    assert finished[0]["encrypted_content"] == response["output"][0]["encrypted_content"]
    assert kinds(events).index("output_text.delta") < kinds(events).index("output_item.done")


def test_calls_of_the_clients_functions() -> None:
    calls = (call("c1", a=[1, "é"]), call("c2"))
    events = events_of(
        stream(), *BEGUN, *CALLED, ToolCallStarted("c2", "f"), done(answer(*calls), stop_reason="tool_use")
    )
    response = told(events)
    assert response["status"] == "completed"
    assert [(item["call_id"], item["arguments"]) for item in response["output"]] == [
        ("c1", '{"a":[1,"é"]}'),
        ("c2", "{}"),
    ]
    said = [event["delta"] for event in events if event["type"] == "response.function_call_arguments.delta"]
    assert said == ['{"a":', '[1,"é"]}', "{}"]
    ends = [event for event in events if event["type"] == "response.function_call_arguments.done"]
    assert [end["name"] for end in ends] == ["f", "f"]


def test_a_call_that_the_token_limit_cut_off_is_no_part_of_the_answer() -> None:
    turn = (*BEGUN, TextDelta("Let me"), ToolCallStarted("c1", "f"), ToolCallDelta("c1", '{"a": "x'))
    events = events_of(stream(), *turn, done(answer(text("Let me")), stop_reason="max_tokens"))
    response = told(events)
    assert response["status"] == "incomplete"
    assert response["incomplete_details"] == {"reason": "max_output_tokens"}
    assert [item["type"] for item in response["output"]] == ["message"]
    cut_off = folded(events).items[1]
    assert (cut_off["status"], cut_off["arguments"]) == ("incomplete", '{"a":"x')


def test_what_an_agent_does_itself_is_told_from_call_to_result() -> None:
    search = AgentCall("own_2", "WebSearch", {"query": "cats"}, "WebSearch: cats")
    turn: tuple[TurnEvent, ...] = (
        *BEGUN,
        TextDelta("Let me see."),
        LOOKED,
        search,
        AgentResult("own_2", "Cats.", is_error=False, line=None),
        AgentResult("own_1", "No.", is_error=True, line="Bash failed: No."),
        AnswerStarted(MODEL),
        TextDelta("Cats."),
        done(
            answer(text("Let me see."), own_call("own_1", command="ls"), own_call("own_2", "WebSearch", query="cats")),
            own_result("own_2", "Cats."),
            own_result("own_1", "No.", failed=True),
            answer(text("Cats.")),
        ),
    )
    events = events_of(stream(), *turn)
    response = told(events)
    assert [item["type"] for item in response["output"]] == ["message", "mcp_call", "web_search_call", "message"]
    assert [item["status"] for item in response["output"]] == ["completed", "failed", "completed", "completed"]
    between = kinds(events)[kinds(events).index("output_item.done") + 1 :]
    assert between[: between.index("content_part.added") - 1] == [
        "output_item.added",
        "mcp_call.in_progress",
        "mcp_call_arguments.delta",
        "mcp_call_arguments.done",
        "output_item.added",
        "web_search_call.in_progress",
        "web_search_call.searching",
        "web_search_call.completed",
        "output_item.done",
        "mcp_call.failed",
        "output_item.done",
    ]


def test_what_an_agent_does_is_counted_where_it_is_not_told() -> None:
    turn = (
        *BEGUN,
        TextDelta("One"),
        LOOKED,
        AgentResult("own_1", "a", is_error=False, line=None),
        AnswerStarted(MODEL),
        TextDelta("Two"),
        done(answer(text("One"), own_call("own_1", command="ls")), own_result("own_1", "a"), answer(text("Two"))),
    )
    response = told(events_of(stream(of=head(activity=False)), *turn))
    assert [item["id"] for item in response["output"]] == [f"msg_{HEX}o0", f"msg_{HEX}o2"]


def test_a_result_that_comes_into_a_text_does_not_part_it() -> None:
    turn = (
        *BEGUN,
        LOOKED,
        TextDelta("Mean"),
        AgentResult("own_1", "a", is_error=False, line=None),
        TextDelta("while."),
        done(answer(own_call("own_1", command="ls")), own_result("own_1", "a"), answer(text("Meanwhile."))),
    )
    response = told(events_of(stream(), *turn))
    assert [item["id"] for item in response["output"]] == [f"mcp_{HEX}o0", f"msg_{HEX}o1"]


def test_the_texts_of_several_messages_are_several_items() -> None:
    turn = (*BEGUN, TextDelta("One."), AnswerStarted(MODEL), TextDelta("Two."))
    response = told(events_of(stream(), *turn, done(answer(text("One.")), answer(text("Two.")))))
    assert [item["content"][0]["text"] for item in response["output"]] == ["One.", "Two."]


@pytest.mark.parametrize("fields", [{}, SUMMARY, {**SUMMARY, **ENCRYPTED}])
def test_what_was_not_streamed_comes_at_the_end(fields: dict[str, Any]) -> None:
    calls = call("c1", a=1)
    last = done(
        answer(thought("Hm."), text("Let me see."), own_call("own_1", "Read", file_path="a")),
        own_result("own_1", "b"),
        answer(text("So."), calls),
        stop_reason="tool_use",
    )
    response = told(events_of(stream(**fields), *BEGUN, last))
    assert response["output"] == output_items(TURN, last.messages, head(**fields).telling)


# Structured answers


def test_a_structured_answer_is_streamed_and_what_led_to_it_before_it() -> None:
    turn = (*BEGUN, *THOUGHT, ThinkingDelta("I will answer.", aside=True), TextDelta('{"a":'), TextDelta("1}"))
    events = events_of(stream(**SUMMARY, **SCHEMA), *turn, done(answer(thought("Hm.")), answer(text('{"a":1}'))))
    response = told(events)
    assert [item["type"] for item in response["output"]] == ["reasoning", "message"]
    assert kinds(events).index("reasoning_summary_text.done") < kinds(events).index("output_text.delta")
    assert [event["delta"] for event in events if event["type"] == "response.output_text.delta"] == ['{"a":', "1}"]
    assert "I will" not in json.dumps(events)


def test_why_the_model_declined_is_a_refusal() -> None:
    turn = (*BEGUN, *THOUGHT, ThinkingDelta("No.", aside=True), AnswerStarted(MODEL), *THOUGHT)
    events = events_of(
        stream(**SUMMARY, **SCHEMA), *turn, done(answer(thought("Hm."), text("No, never.")), stop_reason="refusal")
    )
    response = told(events)
    assert response["status"] == "completed"
    assert response["output"][1]["content"] == [{"type": "refusal", "refusal": "No, never."}]
    assert kinds(events)[-6:-1] == [
        "content_part.added",
        "refusal.delta",
        "refusal.done",
        "content_part.done",
        "output_item.done",
    ]


def test_an_answer_that_was_refused_without_a_schema_is_incomplete() -> None:
    response = told(events_of(stream(), *BEGUN, done(stop_reason="refusal")))
    assert (response["status"], response["incomplete_details"]) == ("incomplete", {"reason": "content_filter"})


# Failures


@pytest.mark.parametrize(
    "said", [TextDelta("Hi"), ThinkingDelta("Hm"), ToolCallStarted("c1", "f")], ids=["text", "thinking", "call"]
)
def test_what_is_void_after_it_was_told_ends_the_response(said: TurnEvent) -> None:
    made = stream(**SUMMARY)
    events = events_of(made, *BEGUN, said, AnswerRestarted(), AnswerStarted(MODEL), TextDelta("Ho"))
    response = told(events)
    assert made.over
    assert (response["status"], response["output"], response["error"]["code"]) == ("failed", [], "server_error")
    assert kinds(events)[-2:] == ["error", "failed"]
    assert response["error"]["type"] == "upstream_stream_interrupted"


def test_what_nobody_was_told_can_be_said_again() -> None:
    turn = (*BEGUN, *THOUGHT, AnswerRestarted(), AnswerStarted(MODEL), *THOUGHT, TextDelta("Hi"))
    assert told(events_of(stream(), *turn, done(answer(thought("Hm."), text("Hi")))))["status"] == "completed"


def test_a_message_that_is_complete_is_not_void() -> None:
    turn = (*BEGUN, TextDelta("One"), AnswerStarted(MODEL), AnswerRestarted(), AnswerStarted(MODEL), TextDelta("Two"))
    assert told(events_of(stream(), *turn, done(answer(text("One")), answer(text("Two")))))["status"] == "completed"


def test_what_an_agent_has_done_is_not_void() -> None:
    turn = (
        *BEGUN,
        LOOKED,
        AgentResult("own_1", "a", is_error=False, line=None),
        AnswerStarted(MODEL),
        ThinkingStarted(),
        AnswerRestarted(),
        AnswerStarted(MODEL),
        ThinkingStarted(),
        TextDelta("Hi"),
    )
    last = done(answer(own_call("own_1", command="ls")), own_result("own_1", "a"), answer(thought(""), text("Hi")))
    response = told(events_of(stream(), *turn, last))
    assert [item["id"] for item in response["output"]] == [f"mcp_{HEX}o0", f"rs_{HEX}o1", f"msg_{HEX}o2"]


def test_a_failure_is_told_in_both_forms() -> None:
    error = CapacityExceeded("All busy.", retry_after=3)
    events = events_of(stream(), TurnFailed(error))
    assert kinds(events) == ["created", "in_progress", "error", "failed"]
    told_error = {"type": "rate_limit_error", "code": "capacity_exceeded", "message": "All busy.", "param": None}
    assert events[-2]["error"] == told_error
    response = told(events)
    assert response["error"] == {
        "code": "rate_limit_exceeded",
        "message": "All busy.",
        "type": "capacity_exceeded",
    }


def test_a_response_in_the_background_that_never_ran_was_never_in_progress() -> None:
    events = events_of(stream(background=True), TurnFailed(CapacityExceeded("All busy.")))
    assert kinds(events) == ["created", "queued", "error", "failed"]
    told(events)


def test_a_response_that_somebody_ended_is_cancelled() -> None:
    response = told(events_of(stream(), *BEGUN, TextDelta("Hi"), TurnFailed(TurnCancelled("Interrupted."))))
    assert (response["status"], response["error"], response["output"]) == ("cancelled", None, [])


def test_nothing_comes_behind_the_end() -> None:
    made = stream()
    events_of(made, *BEGUN, done(answer(text("Hi"))))
    assert made.over
    assert not list(made.of(TextDelta("Ho")))
    assert not list(made.of(TurnFailed(TurnCancelled("Too late."))))


def test_a_frame_names_its_event() -> None:
    assert sse({"type": "error", "message": "\ud83d é"}) == (
        b'event: error\ndata: {"type":"error","message":"\\ud83d \\u00e9"}\n\n'
    )
    assert DONE == b"data: [DONE]\n\n"
