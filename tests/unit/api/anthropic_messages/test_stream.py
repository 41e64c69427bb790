"""From a turn's events to a Message, event by event or whole: both say the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from anthropic.types import Message as WireMessage
from hypothesis import given
from hypothesis import strategies as st

from claude_code_api.api.anthropic_messages.answer import Head
from claude_code_api.api.anthropic_messages.parts import OWN_SIGNATURE
from claude_code_api.api.anthropic_messages.stream import Stream, whole, whole_refused
from claude_code_api.core.replay import retold
from claude_code_api.core.turn import (
    AgentCall,
    AgentResult,
    AnswerRestarted,
    AnswerStarted,
    ApprovalWanted,
    Block,
    Message,
    StartKind,
    TextDelta,
    ThinkingDelta,
    ThinkingSigned,
    ThinkingStarted,
    ToolCallDelta,
    ToolCallStarted,
    TurnCompleted,
    TurnEvent,
    TurnStarted,
    Usage,
)
from claude_code_api.errors import ContentRefused, UpstreamInterrupted
from tests.anthropic_strict import Json, check, events_of, folded

MODEL = "claude-sonnet-5-5"
QUIET, THINKING = Head("msg_1", "sonnet"), Head("msg_1", "sonnet", thinking=True, activity=True)
USED = Usage(7, 5, 3, 2, 1)
BEGUN = AnswerStarted(MODEL, USED)
THOUGHT: Block = {"type": "thinking", "thinking": "Hm.", "signature": "s"}
HIDDEN: Block = {"type": "redacted_thinking", "data": "xyz"}
CALL: Block = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Oslo"}}
OWN_CALL: Block = {"type": "tool_use", "id": "toolu_2", "name": "Bash", "input": {}, "internal": True}


def said(text: str) -> Block:
    return {"type": "text", "text": text}


def done(*messages: Message, stop_reason: str = "end_turn", **more: Any) -> TurnCompleted:
    return TurnCompleted(stop_reason, MODEL, USED, "leaf", messages, **more)


def answer(*blocks: Block, **more: Any) -> TurnCompleted:
    return done(Message("assistant", blocks), **more)


def streamed(*events: TurnEvent, head: Head = QUIET) -> list[Json]:
    """The events of a stream, checked against the SDK's types."""
    stream = Stream(head)
    wire = [one for event in (TurnStarted(StartKind.LIVE), *events) for one in stream.of(event)]
    return events_of("".join(f"event: {one['type']}\ndata: {json.dumps(one)}\n\n" for one in wire))


def message(turn: TurnCompleted, head: Head = QUIET) -> Json:
    told: Json = check(WireMessage, whole(head, turn))
    return told


def test_an_ordinary_answer() -> None:
    turn = answer(said("Hello."))
    events = streamed(AnswerStarted(MODEL, Usage(7, 1, 3, 2)), TextDelta("Hel"), TextDelta("lo."), turn)
    assert [event["type"] for event in events] == [
        *("message_start", "ping", "content_block_start", "content_block_delta", "content_block_delta"),
        *("content_block_stop", "message_delta", "message_stop"),
    ]
    started = events[0]["message"]
    assert (started["id"], started["model"], started["stop_reason"]) == ("msg_1", MODEL, None)
    assert (started["usage"]["input_tokens"], started["usage"]["cache_read_input_tokens"]) == (7, 3)
    assert folded(events) == message(turn)
    assert message(turn)["content"] == [{"type": "text", "text": "Hello.", "citations": None}]
    used = message(turn)["usage"]
    assert (used["input_tokens"], used["output_tokens"], used["cache_read_input_tokens"]) == (7, 5, 3)
    assert (used["cache_creation_input_tokens"], used["output_tokens_details"]) == (2, {"thinking_tokens": 1})


def test_thinking_is_told_to_those_who_asked_for_it() -> None:
    turn = answer(THOUGHT, HIDDEN, said("Hello."))
    thinking = (ThinkingStarted(), ThinkingDelta("Hm"), ThinkingDelta("."), ThinkingSigned("s"), ThinkingStarted("xyz"))
    events = (BEGUN, *thinking, TextDelta("Hello."), turn)
    assert message(turn, THINKING)["content"] == [THOUGHT, HIDDEN, {**said("Hello."), "citations": None}]
    assert folded(streamed(*events, head=THINKING)) == message(turn, THINKING)
    assert [block["type"] for block in message(turn)["content"]] == ["text"]
    assert folded(streamed(*events)) == message(turn)


def test_calls_stand_in_their_order() -> None:
    second: Block = {**CALL, "id": "toolu_9", "input": {}}
    turn = answer(said("Let me see."), CALL, second, stop_reason="tool_use")
    calls = (
        *(
            ToolCallStarted("toolu_1", "get_weather"),
            ToolCallDelta("toolu_1", '{"city":'),
            ToolCallDelta("toolu_1", '"Oslo"}'),
        ),
        *(ToolCallStarted("toolu_9", "get_weather"), ToolCallDelta("toolu_9", "{}")),
    )
    told = message(turn)
    assert (told["stop_reason"], [block["type"] for block in told["content"]]) == (
        "tool_use",
        ["text", "tool_use", "tool_use"],
    )
    assert told["content"][1] == {**CALL, "caller": {"type": "direct"}}
    assert folded(streamed(BEGUN, TextDelta("Let me see."), *calls, turn)) == told


def test_what_was_not_streamed_comes_with_the_end() -> None:
    turn = answer(said("Hello."), CALL, stop_reason="tool_use")
    assert folded(streamed(BEGUN, turn)) == message(turn)
    assert folded(streamed(turn)) == message(turn)


@pytest.mark.parametrize(
    ("stop_reason", "told_as"),
    [
        *(("max_tokens", "max_tokens"), ("model_context_window_exceeded", "model_context_window_exceeded")),
        *(("interrupted", "end_turn"), ("tool_use", "end_turn"), ("refusal", "refusal")),
    ],
)
def test_why_it_ended(stop_reason: str, told_as: str) -> None:
    turn = answer(said("Hello."), stop_reason=stop_reason)
    assert message(turn)["stop_reason"] == told_as
    assert folded(streamed(BEGUN, TextDelta("Hello."), turn)) == message(turn)


def test_the_stop_sequence_that_was_met() -> None:
    turn = answer(said("Hello"), stop_reason="stop_sequence", stop_sequence="END")
    assert (message(turn)["stop_reason"], message(turn)["stop_sequence"]) == ("stop_sequence", "END")
    assert folded(streamed(BEGUN, TextDelta("Hello"), turn)) == message(turn)


def test_a_model_that_declines_ends_its_message() -> None:
    error = ContentRefused("The model declined.")
    whole = check(WireMessage, whole_refused(QUIET, error))
    assert (whole["content"], whole["stop_reason"]) == ([], "refusal")
    assert whole["stop_details"]["explanation"] == "The model declined."
    stream = Stream(QUIET)
    wire = [*stream.of(BEGUN), *stream.of(TextDelta("Well")), *stream.refused(error)]
    events = events_of("".join(f"event: {one['type']}\ndata: {json.dumps(one)}\n\n" for one in wire))
    assert folded(events)["stop_reason"] == "refusal"
    assert folded(events)["content"][0]["text"] == "Well"


def test_an_agents_messages_are_one_and_its_own_calls_are_no_calls() -> None:
    turn = done(
        Message("assistant", (said("I will look."), {**OWN_CALL, "activity": "Bash: ls"})),
        Message(
            "user", ({"type": "tool_result", "tool_use_id": "toolu_2", "internal": True, "activity": "Bash failed"},)
        ),
        Message("assistant", (said("There is nothing."),)),
    )
    events = (
        *(BEGUN, TextDelta("I will look."), AgentCall("toolu_2", "Bash", {}, "Bash: ls")),
        *(
            AgentResult("toolu_2", "no", True, "Bash failed"),
            BEGUN,
            TextDelta("There is nothing."),
            turn,
        ),
    )
    texts = [{**said("I will look."), "citations": None}, {**said("\n\nThere is nothing."), "citations": None}]
    assert message(turn)["content"] == texts
    assert folded(streamed(*events)) == message(turn)
    lines = [{"type": "thinking", "thinking": line, "signature": OWN_SIGNATURE} for line in ("Bash: ls", "Bash failed")]
    assert message(turn, THINKING)["content"] == [texts[0], *lines, texts[1]]
    assert folded(streamed(*events, head=THINKING)) == message(turn, THINKING)
    waits = ApprovalWanted("toolu_2", "Bash", {}, 0.0, line="Waiting for approval: Bash: ls")
    shown = folded(streamed(BEGUN, waits, turn, head=THINKING))["content"]
    assert [block.get("thinking") for block in shown] == ["Waiting for approval: Bash: ls", None]
    quiet = Head("msg_1", "sonnet", thinking=True)
    assert folded(streamed(*events, head=quiet)) == message(turn, quiet)


def test_what_is_said_around_a_structured_answer_is_no_part_of_it() -> None:
    turn = answer(said('{"a": 1}'))
    events = (BEGUN, *retold(answer(THOUGHT)), ThinkingDelta("Let me.", aside=True), TextDelta('{"a": 1}'))
    assert [block["type"] for block in folded(streamed(*events, turn, head=THINKING))["content"]] == [
        "thinking",
        "text",
    ]


@pytest.mark.parametrize("said", [TextDelta("Hi"), ToolCallStarted("toolu_1", "f"), ThinkingStarted("x")])
def test_what_was_told_cannot_be_taken_back(said: TurnEvent) -> None:
    stream = Stream(THINKING)
    list(stream.of(BEGUN))
    list(stream.of(said))
    with pytest.raises(UpstreamInterrupted):
        list(stream.of(AnswerRestarted()))


def test_what_nobody_was_told_can_be_taken_back() -> None:
    turn = answer(said("Hi"))
    events = (BEGUN, ThinkingStarted(), ThinkingDelta("Hm."), AnswerRestarted())
    assert folded(streamed(*events, BEGUN, TextDelta("Hi"), turn)) == message(turn)


@st.composite
def turns(draw: st.DrawFn) -> TurnCompleted:
    """A turn of some messages; calls only in the last one."""
    words = st.text(min_size=1, max_size=8)
    blocks = st.one_of(
        st.builds(said, words),
        st.builds(lambda text: {"type": "thinking", "thinking": text, "signature": "s"}, words),
        st.builds(lambda text: {"type": "redacted_thinking", "data": text}, words),
        st.builds(lambda text: {**OWN_CALL, "activity": text}, words),
    )
    messages = [Message("assistant", tuple(draw(st.lists(blocks, max_size=3)))) for _ in range(draw(st.integers(1, 3)))]
    calls = [{**CALL, "id": f"toolu_{number}"} for number in range(draw(st.integers(0, 2)))]
    last = Message("assistant", (*messages[-1].content, *calls))
    return done(*messages[:-1], last, stop_reason="tool_use" if calls else "end_turn")


@given(turns(), st.booleans())
def test_a_stream_comes_to_what_is_told_whole(turn: TurnCompleted, thinking: bool) -> None:
    head = THINKING if thinking else QUIET
    assert folded(streamed(*retold(turn), turn, head=head)) == message(turn, head)
