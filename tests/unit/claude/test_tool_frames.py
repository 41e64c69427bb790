"""What a turn's reader makes of calls and of structured answers; the sequences are those of the real CLI (2.1.330)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from claude_code_api.claude.frames import TurnReader
from claude_code_api.core.turn import (
    AnswerRestarted,
    AnswerStarted,
    Block,
    Message,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStarted,
    TurnCompleted,
    TurnEvent,
    TurnFailed,
    Usage,
)
from claude_code_api.errors import SchemaNotMet, SchemaNotTaken
from tests.unit.claude import frames as cli
from tests.unit.claude.frames import Frame, calling, resulting

TOOLS = frozenset({"mcp__client__weather", "mcp__client__time"})

Step = Frame | str
"""A frame; or the id of a call that the CLI makes over MCP."""


class Turn:
    """A reader and all that it said."""

    def __init__(self, *, tools: frozenset[str] = TOOLS, **more: Any) -> None:
        self.reader = TurnReader(cli.TURN, retry_ms=0, tools=tools, **more)
        self.events: list[TurnEvent] = []
        if not self.reader.continues:
            self.take(cli.lifecycle("queued"), cli.lifecycle("started"))

    def take(self, *steps: Step) -> list[TurnEvent]:
        """What these steps mean."""
        said: list[TurnEvent] = []
        for step in steps:
            said += self.reader.called(step) if isinstance(step, str) else self.reader.feed(step)
        self.events += said
        return said

    @property
    def done(self) -> TurnCompleted:
        last = self.events[-1]
        assert isinstance(last, TurnCompleted)
        return last


def streamed(
    call: Frame, index: int = 0, *, identity: str = "msg_1", pieces: Sequence[str] | None = None
) -> list[Step]:
    """A call as it comes in: its arguments in pieces, then its own frame."""
    said = json.dumps(call["input"])
    whole = pieces or ["", said[:5], said[5:]]
    return [
        cli.call_start(call, index),
        *(cli.arguments(piece, index) for piece in whole),
        cli.assistant(call, identity=identity, uuid=f"entry_{call['id']}"),
        cli.stream({"type": "content_block_stop", "index": index}),
    ]


def ended(stop_reason: str = "tool_use", **usage: int) -> list[Step]:
    return [cli.message_delta(stop_reason, **usage), cli.message_stop()]


def error(identity: str, why: str, uuid: str = "entry_error") -> Frame:
    return cli.tool_results(resulting(identity, f"<tool_use_error>{why}</tool_use_error>", is_error=True), uuid=uuid)


def told(identity: str, name: str = "weather", /, **arguments: Any) -> Block:
    return calling(identity, name, **arguments)


def internal(block: Block) -> Block:
    return {**block, "internal": True}


WEATHER = calling("a", city="Rome")
TIME = calling("b", "mcp__client__time", city="Rome")
BASH = calling("own", "Bash", command="ls")
ANSWER = [cli.text("22 °C."), cli.assistant(cli.said("22 °C."), identity="msg_2", uuid="last")]


# The client's calls


def test_a_halt_that_crosses_a_call_leaves_no_process_that_could_take_its_result() -> None:
    turn = Turn()
    turn.take(cli.message_start(), *streamed(WEATHER))
    turn.reader.halted = "interrupted"
    turn.take("a", *ended())
    assert (turn.done.stop_reason, turn.done.leaf, turn.reader.dirty) == ("tool_use", None, True)


def test_a_call_ends_the_turn() -> None:
    turn = Turn()
    turn.take(cli.message_start(input_tokens=216, output_tokens=1), *streamed(WEATHER), "a")
    assert turn.take(cli.message_delta("tool_use", input_tokens=216, output_tokens=4)) == []
    turn.take(cli.message_stop())
    assert turn.events == [
        AnswerStarted(cli.MODEL),
        ToolCallStarted("a", "weather"),
        ToolCallDelta("a", '{"cit'),
        ToolCallDelta("a", 'y": "Rome"}'),
        TurnCompleted(
            stop_reason="tool_use",
            model=cli.MODEL,
            usage=Usage(216, 4),
            leaf="entry_a",
            messages=(Message("assistant", (told("a", city="Rome"),)),),
        ),
    ]
    assert turn.reader.over
    assert not turn.reader.dirty


def test_two_calls_of_one_answer_are_one_turn() -> None:
    turn = Turn()
    turn.take(cli.message_start(), *streamed(WEATHER), "a", *streamed(TIME, 1), "b", *ended())
    assert turn.done.messages == (Message("assistant", (told("a", city="Rome"), told("b", "time", city="Rome"))),)
    assert turn.done.leaf == "entry_b"
    started = [event for event in turn.events if isinstance(event, ToolCallStarted)]
    assert started == [ToolCallStarted("a", "weather"), ToolCallStarted("b", "time")]
    assert len([event for event in turn.events if isinstance(event, TurnCompleted)]) == 1


@pytest.mark.parametrize("order", ["ab", "ba"])
def test_the_turn_ends_when_the_last_call_was_made_if_that_comes_after_the_message(order: str) -> None:
    turn = Turn()
    turn.take(cli.message_start(), *streamed(WEATHER), *streamed(TIME, 1), *ended())
    assert turn.take(order[0]) == []
    assert turn.take(order[1]) == [turn.done]
    assert turn.take("a", cli.message_stop(), cli.result()) == []


def test_an_answer_can_speak_and_think_before_it_calls() -> None:
    thought: Frame = {"type": "thinking", "thinking": "Hm.", "signature": "s"}
    turn = Turn()
    turn.take(cli.message_start(), cli.thinking("Hm."), cli.assistant(thought))
    turn.take(cli.text("Let me see."), cli.assistant(cli.said("Let me see.")), *streamed(WEATHER, 2), "a", *ended())
    assert turn.events[1:3] == [ThinkingDelta("Hm."), TextDelta("Let me see.")]
    assert turn.done.messages == (Message("assistant", (thought, cli.said("Let me see."), told("a", city="Rome"))),)


def test_a_call_without_arguments() -> None:
    turn = Turn()
    turn.take(cli.message_start(), *streamed(calling("a"), pieces=["", "{}"]), "a", *ended())
    assert turn.events[1:3] == [ToolCallStarted("a", "weather"), ToolCallDelta("a", "{}")]
    assert turn.done.messages == (Message("assistant", (told("a"),)),)


# Calls that the CLI answers itself


def test_a_tool_that_is_not_offered_is_answered_by_the_cli_and_the_turn_goes_on() -> None:
    gone = calling("x", "mcp__client__gone", city="Rome")
    turn = Turn()
    turn.take(cli.message_start(), cli.call_start(gone), cli.arguments('{"city": "Rome"}'), cli.assistant(gone))
    turn.take(error("x", "No such tool available"), *ended())
    assert turn.events == [AnswerStarted(cli.MODEL)]
    turn.take(cli.message_start("msg_2"), *ANSWER, *ended("end_turn"), cli.result())
    assert AnswerRestarted() not in turn.events
    assert [message.role for message in turn.done.messages] == ["assistant", "user", "assistant"]
    assert turn.done.messages[0].content == (internal(gone),)
    assert turn.done.messages[1].content[0]["internal"] is True
    assert turn.done.stop_reason == "end_turn"


def test_a_call_that_the_cli_could_not_read_is_void_for_who_saw_it_come() -> None:
    unread = calling("a", __unparsedToolInput={"raw": '{"city', "len": 6})
    turn = Turn()
    turn.take(cli.message_start(), *streamed(unread, pieces=['{"city']), error("a", "InputValidationError"), *ended())
    assert not turn.reader.over
    turn.take(cli.message_start("msg_2"), *streamed(TIME, identity="msg_2"), "b", *ended())
    assert turn.events[3:5] == [AnswerRestarted(), AnswerStarted(cli.MODEL)]
    assert turn.events.count(AnswerRestarted()) == 1
    assert turn.done.messages[0].content == (internal(unread),)
    assert turn.done.messages[-1].content == (told("b", "time", city="Rome"),)


def test_a_call_that_the_cli_could_not_make_does_not_hold_up_the_one_beside_it() -> None:
    gone = calling("x", "mcp__client__gone")
    turn = Turn()
    turn.take(cli.message_start(), *streamed(gone), error("x", "No such tool available"))
    turn.take(*streamed(WEATHER, 1), "a", *ended())
    assert turn.done.stop_reason == "tool_use"
    open_ones = [
        block
        for message in turn.done.messages
        for block in message.content
        if block["type"] == "tool_use" and "internal" not in block
    ]
    assert open_ones == [told("a", city="Rome")]


# The agent's own tools


def test_the_agents_own_tool_is_waited_for_before_the_turn_ends() -> None:
    turn = Turn()
    turn.take(cli.message_start(), *streamed(BASH), *streamed(WEATHER, 1), "a", *ended())
    assert not turn.reader.over
    turn.take(cli.tool_results(resulting("own", "hello"), uuid="entry_result"))
    assert turn.done.stop_reason == "tool_use"
    assert turn.done.leaf == "entry_result"
    assert turn.done.messages == (
        Message("assistant", (internal(BASH), told("a", city="Rome"))),
        Message("user", (internal(resulting("own", "hello")),)),
    )
    assert ToolCallStarted("own", "Bash") not in turn.events


def test_the_agents_own_tools_by_themselves_end_nothing() -> None:
    turn = Turn()
    turn.take(cli.message_start(), *streamed(BASH), cli.tool_results(resulting("own", "hello")), *ended())
    assert turn.events == [AnswerStarted(cli.MODEL)]
    turn.take(cli.message_start("msg_2"), *ANSWER, *ended("end_turn"), cli.result())
    assert turn.done.stop_reason == "end_turn"
    assert AnswerRestarted() not in turn.events


def test_a_turn_can_call_the_client_after_it_used_its_own_tools() -> None:
    turn = Turn()
    turn.take(cli.message_start(), *streamed(BASH), cli.tool_results(resulting("own", "hello")), *ended())
    turn.take(cli.message_start("msg_2"), *streamed(WEATHER, identity="msg_2"), "a", *ended())
    assert [message.role for message in turn.done.messages] == ["assistant", "user", "assistant"]
    assert turn.done.messages[-1].content == (told("a", city="Rome"),)


# The turn that brings the results


def test_a_turn_that_brings_results_goes_on_without_a_start_of_its_own() -> None:
    turn = Turn(answered=frozenset({"a", "b"}), spent=Usage(210, 6))
    turn.take(
        cli.tool_results(resulting("a", "22"), uuid="result_a"),
        cli.tool_results(resulting("b", "12:00"), uuid="result_b"),
        cli.system("status", status="requesting"),
        cli.message_start("msg_2"),
        *ANSWER,
        *ended("end_turn"),
    )
    assert turn.events == [AnswerStarted(cli.MODEL), TextDelta("22 °C.")]
    turn.take(cli.result(usage={"input_tokens": 280, "cache_read_input_tokens": 255, "output_tokens": 12}))
    assert turn.done.messages == (Message("assistant", (cli.said("22 °C."),)),)
    assert turn.done.leaf == "last"
    assert turn.done.usage == Usage(70, 6, cache_read_tokens=255)
    assert turn.reader.continues


def test_a_turn_that_brings_results_can_call_again() -> None:
    """The next one in the row counts from there, too."""
    first = Turn()
    first.take(cli.message_start(input_tokens=100), *streamed(WEATHER), "a", *ended(output_tokens=5))
    second = Turn(answered=frozenset({"a"}), spent=first.reader.spent)
    second.take(cli.tool_results(resulting("a", "22")), cli.message_start("msg_2", input_tokens=30))
    second.take(*streamed(TIME, identity="msg_2"), "b", *ended(output_tokens=7))
    third = Turn(answered=frozenset({"b"}), spent=second.reader.spent)
    third.take(
        cli.tool_results(resulting("b", "12:00")), cli.message_start("msg_3", input_tokens=40), cli.text("Noon.")
    )
    third.take(*ended("end_turn", output_tokens=9), cli.result(usage={"input_tokens": 170, "output_tokens": 21}))
    assert [turn.done.usage for turn in (first, second, third)] == [Usage(100, 5), Usage(30, 7), Usage(40, 9)]
    assert second.done.messages == (Message("assistant", (told("b", "time", city="Rome"),)),)


def test_a_turn_that_was_sent_anew_counts_from_nothing() -> None:
    turn = Turn()
    turn.take(cli.message_start(), *ANSWER, *ended("end_turn"), cli.result())
    assert turn.done.usage == Usage(124, 46, cache_read_tokens=1000, cache_write_tokens=7, thinking_tokens=5)
    assert not turn.reader.continues


# Streams that break


def test_a_call_in_a_broken_stream_is_void_and_the_whole_answer_counts() -> None:
    turn = Turn()
    turn.take(cli.message_start(), cli.call_start(WEATHER), cli.arguments('{"cit'), cli.message_abandoned())
    assert not turn.reader.over
    turn.take(cli.message_start("msg_2"), *streamed(TIME, identity="msg_2"), "b", *ended())
    assert turn.events[1:5] == [
        ToolCallStarted("a", "weather"),
        ToolCallDelta("a", '{"cit'),
        AnswerRestarted(),
        AnswerStarted(cli.MODEL),
    ]
    assert turn.done.messages == (Message("assistant", (told("b", "time", city="Rome"),)),)


def test_a_whole_call_in_a_broken_stream_does_not_end_the_turn() -> None:
    turn = Turn()
    turn.take(cli.message_start(), *streamed(WEATHER), "a", cli.message_delta("tool_use"), cli.message_abandoned())
    assert not turn.reader.over


@pytest.mark.parametrize("again", ["a", "another"])
def test_calls_that_come_in_one_piece_after_a_broken_stream_end_the_turn(again: str) -> None:
    """The CLI asks without streaming then; the stop reason is in each frame of the message."""
    first, second = calling(again, city="Rome"), TIME
    turn = Turn()
    turn.take(cli.message_start(), cli.call_start(WEATHER), cli.arguments('{"cit'), cli.message_abandoned())
    for call in (first, second):
        frame = cli.assistant(call, identity="msg_2", uuid=f"entry_{call['id']}")
        frame["message"]["stop_reason"] = "tool_use"
        turn.take(frame)
    turn.take(again, "b")
    assert turn.done.stop_reason == "tool_use"
    assert turn.done.messages == (Message("assistant", (told(again, city="Rome"), told("b", "time", city="Rome"))),)
    assert turn.events.count(AnswerRestarted()) == 1


def test_a_stream_that_breaks_behind_a_whole_call_ends_the_turn_one_way_or_another() -> None:
    """The CLI makes the call while the rest comes in, keeps it, says that there was an error, and waits."""
    turn = Turn()
    turn.take(cli.message_start(), *streamed(WEATHER), "a", cli.call_start(TIME, 1), cli.arguments('{"cit', 1))
    turn.take(cli.message_abandoned(from_block=1))
    turn.take(cli.api_error("API Error: Server error mid-response.", "server_error"))
    assert turn.reader.over


# The token limit


def cut(call: Frame, index: int = 0) -> list[Step]:
    """A call whose arguments the limit cuts: the CLI complains to the model before the message is over."""
    unread = {**call, "input": {"__unparsedToolInput": {"raw": '{"city": "Ro', "len": 12}}}
    return [*streamed(unread, index, pieces=['{"city": "Ro']), error(call["id"], "InputValidationError")]


def test_a_call_that_the_limit_cut_ends_the_turn_and_leaves_nothing() -> None:
    turn = Turn()
    turn.take(cli.message_start(), cli.text("Let me see."), cli.assistant(cli.said("Let me see.")), *cut(WEATHER, 1))
    assert turn.take(*ended("max_tokens", input_tokens=228, output_tokens=6)) == [turn.done]
    assert turn.done.stop_reason == "max_tokens"
    assert turn.done.messages == (Message("assistant", (cli.said("Let me see."),)),)
    assert turn.done.usage == Usage(228, 6)
    assert turn.done.leaf is None
    assert turn.reader.dirty
    assert turn.take(cli.message_start("msg_2"), cli.text("Sorry"), cli.result()) == []


def test_a_whole_call_beside_one_that_was_cut_is_not_made_either() -> None:
    turn = Turn()
    turn.take(cli.message_start(), *streamed(WEATHER), "a", *cut(TIME, 1), *ended("max_tokens"))
    assert turn.done.stop_reason == "max_tokens"
    assert turn.done.messages == ()


def test_what_was_done_before_the_message_that_was_cut_stays() -> None:
    turn = Turn()
    turn.take(cli.message_start(), *streamed(BASH), cli.tool_results(resulting("own", "hello")), *ended())
    turn.take(cli.message_start("msg_2"), *cut(WEATHER), *ended("max_tokens"))
    assert turn.done.messages == (
        Message("assistant", (internal(BASH),)),
        Message("user", (internal(resulting("own", "hello")),)),
    )


# Structured answers

GOOD = calling("good", "StructuredOutput", name="Ada", age=36)
BAD = calling("bad", "StructuredOutput", name=7)
JSON = '{"name": "Ada", "age": 36}'
TAKEN = cli.tool_results(resulting("good", "Structured output provided successfully"), uuid="entry_taken")


def structured(**more: Any) -> Turn:
    return Turn(structured=True, **more)


def met(call: Frame = GOOD, identity: str = "msg_1", index: int = 0) -> list[Step]:
    """A structured answer as it comes in; the CLI takes it before the message is over."""
    return [*streamed(call, index, identity=identity), cli.message_delta("tool_use"), TAKEN, cli.message_stop()]


def finish() -> Frame:
    return cli.result(stop_reason="tool_use", structured_output=GOOD["input"])


def texts(turn: Turn) -> str:
    """What a client that streams has in the end."""
    said = ""
    for event in turn.events:
        if isinstance(event, AnswerRestarted):
            said = ""
        elif isinstance(event, TextDelta):
            said += event.text
    return said


def test_a_structured_answer_is_its_json_text() -> None:
    turn = structured()
    turn.take(cli.message_start(), *met(), finish())
    assert turn.events[1:-1] == [TextDelta(JSON[:5]), TextDelta(JSON[5:])]
    assert turn.done.stop_reason == "end_turn"
    assert turn.done.messages == (Message("assistant", (cli.said(JSON),)),)
    assert turn.done.leaf is None
    assert not turn.reader.dirty


def test_what_is_said_before_a_structured_answer_is_thinking() -> None:
    turn = structured()
    turn.take(cli.message_start(), cli.text("I will."), cli.assistant(cli.said("I will.")), *met(index=1), finish())
    assert turn.events[1] == ThinkingDelta("I will.", aside=True)
    assert texts(turn) == JSON
    assert turn.done.messages == (Message("assistant", (cli.said(JSON),)),)


def test_a_structured_answer_that_misses_the_schema_is_void_and_the_next_one_counts() -> None:
    turn = structured()
    wrong = resulting("bad", "Output does not match required schema: /name: must be string", is_error=True)
    turn.take(cli.message_start(), *streamed(BAD), cli.message_delta("tool_use"), cli.tool_results(wrong))
    turn.take(cli.message_stop(), cli.message_start("msg_2"), *met(identity="msg_2"), finish())
    assert turn.events.count(AnswerRestarted()) == 1
    assert texts(turn) == JSON
    assert turn.done.messages == (Message("assistant", (cli.said(JSON),)),)


def test_a_schema_that_is_never_met_is_a_failure() -> None:
    turn = structured()
    turn.take(cli.message_start(), *streamed(BAD), *ended())
    why = "Failed to provide valid structured output after 5 attempts"
    turn.take(cli.result(is_error=True, subtype="error_max_structured_output_retries", result=None, errors=[why]))
    failed = turn.events[-1]
    assert isinstance(failed, TurnFailed)
    assert isinstance(failed.error, SchemaNotMet)
    assert why in failed.error.message


def test_prose_in_spite_of_the_schema_is_a_refusal_in_its_last_words() -> None:
    turn = structured()
    turn.take(cli.message_start(), cli.text("No."), cli.assistant(cli.said("No.")), *ended("end_turn"))
    turn.take(cli.synthetic("[structured-output-enforce] You MUST call the StructuredOutput tool", "enforced"))
    turn.take(cli.message_start("msg_2"), cli.text("Never."), cli.assistant(cli.said("Never."), identity="msg_2"))
    turn.take(*ended("end_turn"), cli.result())
    assert turn.done.stop_reason == "refusal"
    assert turn.done.messages == (Message("assistant", (cli.said("Never."),)),)
    assert turn.done.leaf is None
    assert turn.reader.dirty
    assert texts(turn) == ""


def test_a_schema_that_the_cli_does_not_offer_is_an_error_and_no_refusal() -> None:
    turn = structured()
    turn.take(cli.system("init", tools=["StructuredOutput", "mcp__client__f"]))
    assert turn.events == []
    turn.take(cli.system("init", tools=["mcp__client__f"]), cli.message_start(), cli.text("No."))
    (failed,) = turn.events
    assert isinstance(failed, TurnFailed)
    assert isinstance(failed.error, SchemaNotTaken)
    assert turn.reader.dirty


def test_a_structured_answer_that_the_limit_cut_is_what_there_is_of_it() -> None:
    turn = structured()
    unread = calling("good", "StructuredOutput", __unparsedToolInput={"raw": '{"name": "A', "len": 11})
    turn.take(cli.message_start(), *streamed(unread, pieces=['{"name": "A']), error("good", "InputValidationError"))
    turn.take(*ended("max_tokens"))
    assert turn.done.stop_reason == "max_tokens"
    assert turn.done.messages == (Message("assistant", (cli.said('{"name": "A'),)),)
    assert turn.reader.dirty
    assert texts(turn) == '{"name": "A'


def test_a_structured_answer_after_a_stream_that_broke_is_only_itself() -> None:
    turn = structured()
    turn.take(cli.message_start(), cli.call_start(GOOD), cli.arguments(JSON[:8]), cli.message_abandoned())
    turn.take(cli.message_start("msg_2"), *met(identity="msg_2"), finish())
    assert texts(turn) == JSON
    assert turn.done.messages == (Message("assistant", (cli.said(JSON),)),)


def test_a_structured_answer_in_one_piece_after_a_stream_that_broke_is_only_itself() -> None:
    turn = structured()
    turn.take(cli.message_start(), cli.call_start(GOOD), cli.arguments(JSON[:8]), cli.message_abandoned())
    whole = cli.assistant(GOOD, identity="msg_2")
    whole["message"]["stop_reason"] = "tool_use"
    turn.take(whole, TAKEN, finish())
    assert texts(turn) == JSON
    assert turn.done.messages == (Message("assistant", (cli.said(JSON),)),)


def test_with_a_schema_the_model_can_call_the_client_first() -> None:
    first = structured()
    first.take(cli.message_start(), *streamed(WEATHER), "a", *ended())
    assert first.done.stop_reason == "tool_use"
    assert first.done.messages == (Message("assistant", (told("a", city="Rome"),)),)
    assert first.done.leaf is None
    second = structured(answered=frozenset({"a"}), spent=first.reader.spent)
    second.take(cli.tool_results(resulting("a", "22")), cli.message_start("msg_2"), *met(identity="msg_2"), finish())
    assert second.done.stop_reason == "end_turn"
    assert second.done.messages == (Message("assistant", (cli.said(JSON),)),)
