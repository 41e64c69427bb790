"""From the dialect-neutral turn to Chat Completions' objects, whole and in chunks."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from claude_code_api.api.openai_chat.answer import Chunks, Head
from claude_code_api.core.turn import (
    AgentCall,
    AgentResult,
    AnswerRestarted,
    AnswerStarted,
    ApprovalWanted,
    Message,
    StartKind,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStarted,
    TurnCompleted,
    TurnEvent,
    TurnStarted,
    Usage,
)
from claude_code_api.errors import UpstreamInterrupted

HEAD = Head("chatcmpl-1", 1_700_000_000, "sonnet", "conv_1")
STRUCTURED = replace(HEAD, structured=True)
USED = Usage(124, 46, cache_read_tokens=1000, cache_write_tokens=7, thinking_tokens=5)
MODEL = "claude-sonnet-5-5"
THOUGHT = {"type": "thinking", "thinking": "Hm.", "signature": "s"}
TEXT = {"type": "text", "text": "Hello."}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"city": "Zürich", "days": [1, 2]}}
EMPTY_CALL = {"type": "tool_use", "id": "toolu_2", "name": "g", "input": {}}
OWN_CALL = {"type": "tool_use", "id": "toolu_own", "name": "Bash", "input": {"command": "ls"}, "internal": True}
OWN_RESULT = Message(
    "user", ({"type": "tool_result", "tool_use_id": "toolu_own", "content": "secret", "internal": True},)
)


def done(*messages: Message, stop_reason: str = "end_turn", model: str = MODEL) -> TurnCompleted:
    return TurnCompleted(stop_reason, model, USED, "leaf", messages)


def answer(*blocks: dict[str, Any]) -> Message:
    return Message("assistant", blocks)


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def whole(turn: TurnCompleted, head: Head = HEAD, *, reasoning: bool = True, activity: bool = True) -> dict[str, Any]:
    """The completion, which the official client takes."""
    body = head.completion(turn, reasoning=reasoning, activity=activity)
    ChatCompletion.model_validate(body, strict=True)
    return body


def message(turn: TurnCompleted, head: Head = HEAD) -> dict[str, Any]:
    said: dict[str, Any] = whole(turn, head)["choices"][0]["message"]
    return said


def streamed(
    *events: TurnEvent, head: Head = HEAD, reasoning: bool = True, activity: bool = True, usage: bool = False
) -> list[dict[str, Any]]:
    """The chunks, each of which the official client takes."""
    chunks = Chunks(head, reasoning=reasoning, activity=activity, include_usage=usage)
    bodies = [body for event in events for body in chunks.of(event)]
    for body in bodies:
        ChatCompletionChunk.model_validate(body, strict=True)
    return bodies


def deltas(*events: TurnEvent, head: Head = HEAD) -> list[dict[str, Any]]:
    """What the chunks add, the opening and the closing one left out."""
    found = [body["choices"][0]["delta"] for body in streamed(*events, head=head)]
    assert found[0] == {"role": "assistant", "content": "", "refusal": None}
    return found[1:-1] if isinstance(events[-1], TurnCompleted) else found[1:]


# Whole


def test_a_completion_is_what_the_official_client_expects() -> None:
    body = whole(done(answer(THOUGHT, TEXT)))
    completion = ChatCompletion.model_validate(body, strict=True)
    assert completion.id == "chatcmpl-1"
    assert completion.model == MODEL
    assert completion.choices[0].message.content == "Hello."
    assert completion.choices[0].message.tool_calls is None
    assert completion.choices[0].finish_reason == "stop"
    assert body["conversation_id"] == "conv_1"
    assert body["choices"][0]["message"]["reasoning_content"] == "Hm."


def test_the_prompt_counts_what_the_cache_read_and_wrote() -> None:
    usage = ChatCompletion.model_validate(whole(done(answer(TEXT)))).usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (1131, 46, 1177)
    assert usage.prompt_tokens_details is not None
    assert usage.prompt_tokens_details.cached_tokens == 1000
    assert usage.completion_tokens_details is not None
    assert usage.completion_tokens_details.reasoning_tokens == 5


def test_thinking_can_be_kept_back() -> None:
    said = whole(done(answer(THOUGHT, TEXT)), reasoning=False)["choices"][0]["message"]
    assert "reasoning_content" not in said
    assert said["content"] == "Hello."


def test_only_the_assistants_text_is_the_answer() -> None:
    turn = done(answer(TEXT, OWN_CALL), OWN_RESULT, answer(text("Bye."), text(" Soon.")))
    assert message(turn)["content"] == "Hello.\n\nBye. Soon."


def test_the_agents_own_calls_are_never_shown() -> None:
    turn = done(answer(OWN_CALL), OWN_RESULT, answer(TEXT, OWN_CALL, CALL), stop_reason="tool_use")
    assert [call["id"] for call in message(turn)["tool_calls"]] == ["toolu_1"]
    assert "secret" not in json.dumps(whole(turn))
    assert "Bash" not in json.dumps(whole(turn))


def test_calls_wait_for_the_client() -> None:
    turn = done(answer(CALL, EMPTY_CALL), stop_reason="tool_use")
    body = whole(turn)
    assert body["choices"][0]["finish_reason"] == "tool_calls"
    assert body["choices"][0]["message"]["content"] is None
    assert body["choices"][0]["message"]["tool_calls"] == [
        {
            "id": "toolu_1",
            "type": "function",
            "function": {"name": "f", "arguments": '{"city":"Zürich","days":[1,2]}'},
        },
        {"id": "toolu_2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
    ]


def test_text_comes_with_the_calls() -> None:
    said = message(done(answer(TEXT, CALL), stop_reason="tool_use"))
    assert said["content"] == "Hello."
    assert len(said["tool_calls"]) == 1


@pytest.mark.parametrize(
    ("stop_reason", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("refusal", "content_filter"),
        ("tool_use", "stop"),
        ("something_new", "stop"),
    ],
)
def test_why_an_answer_ended(stop_reason: str, finish: str) -> None:
    turn = done(answer(TEXT), stop_reason=stop_reason)
    assert whole(turn)["choices"][0]["finish_reason"] == finish
    assert streamed(turn)[-1]["choices"][0]["finish_reason"] == finish


def test_a_model_that_declines_the_schema_refuses() -> None:
    turn = done(answer(text("I cannot say that.")), stop_reason="refusal")
    body = whole(turn, STRUCTURED)
    assert body["choices"][0]["message"]["refusal"] == "I cannot say that."
    assert body["choices"][0]["message"]["content"] is None
    assert body["choices"][0]["finish_reason"] == "stop"
    chunks = streamed(turn, head=STRUCTURED)
    assert [chunk["choices"][0]["delta"] for chunk in chunks[1:]] == [{"refusal": "I cannot say that."}, {}]
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"


def test_an_answer_that_meets_the_schema_is_content() -> None:
    turn = done(answer(text('{"a":1}')))
    assert message(turn, STRUCTURED)["content"] == '{"a":1}'
    assert message(turn, STRUCTURED)["refusal"] is None


# In chunks


def test_chunks_are_what_the_official_client_expects() -> None:
    turn = done(answer(TEXT))
    bodies = streamed(
        TurnStarted(StartKind.LIVE), AnswerStarted(MODEL), ThinkingDelta("Hm."), TextDelta("Hello."), turn, usage=True
    )
    opening, _, said, closing, usage = [ChatCompletionChunk.model_validate(body, strict=True) for body in bodies]
    assert opening.choices[0].delta.role == "assistant"
    assert bodies[1]["choices"][0]["delta"] == {"reasoning_content": "Hm."}
    assert said.choices[0].delta.content == "Hello."
    assert closing.choices[0].finish_reason == "stop"
    assert usage.choices == []
    assert usage.usage is not None
    assert usage.usage.total_tokens == 1177
    assert {body["id"] for body in bodies} == {"chatcmpl-1"}
    assert {body["model"] for body in bodies} == {MODEL}
    assert [body["usage"] for body in bodies[:-1]] == [None] * 4


def test_the_usage_comes_only_when_it_is_asked_for() -> None:
    assert all(body["usage"] is None for body in streamed(done(answer(TEXT))))


def test_calls_are_streamed_as_openai_does() -> None:
    turn = done(answer(CALL, EMPTY_CALL), stop_reason="tool_use")
    events: list[TurnEvent] = [
        AnswerStarted(MODEL),
        ToolCallStarted("toolu_1", "f"),
        ToolCallDelta("toolu_1", '{"city":'),
        ToolCallStarted("toolu_2", "g"),
        ToolCallDelta("toolu_1", ' "Zürich"}'),
        ToolCallDelta("toolu_2", ""),
        turn,
    ]
    first = {"index": 0, "id": "toolu_1", "type": "function", "function": {"name": "f", "arguments": ""}}
    second = {"index": 1, "id": "toolu_2", "type": "function", "function": {"name": "g", "arguments": ""}}
    assert [delta["tool_calls"][0] for delta in deltas(*events)] == [
        first,
        {"index": 0, "function": {"arguments": '{"city":'}},
        second,
        {"index": 0, "function": {"arguments": ' "Zürich"}'}},
        {"index": 1, "function": {"arguments": "{}"}},
    ]
    assert streamed(*events)[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_what_was_not_streamed_comes_at_the_end() -> None:
    turn = done(answer(TEXT, OWN_CALL, CALL), stop_reason="tool_use")
    added = deltas(turn)
    assert added[0] == {"content": "Hello."}
    assert added[1]["tool_calls"][0]["id"] == "toolu_1"
    assert json.loads(added[2]["tool_calls"][0]["function"]["arguments"]) == CALL["input"]
    assert len(added) == 3


def test_pieces_of_a_call_that_nobody_began_are_no_answer() -> None:
    assert deltas(TextDelta("Hi"), ToolCallDelta("toolu_9", "{}")) == [{"content": "Hi"}]


@pytest.mark.parametrize(
    "messages",
    [
        (answer(TEXT), answer(text("Bye."))),
        (answer(THOUGHT, TEXT, OWN_CALL), OWN_RESULT, answer(OWN_CALL), OWN_RESULT, answer(THOUGHT, text("Bye."))),
        (
            answer(OWN_CALL),
            OWN_RESULT,
            answer(text("\n")),
            answer(TEXT, text(" And"), text("")),
            answer(text("x"), CALL),
        ),
        (answer(THOUGHT), answer(text("")), answer()),
        (),
    ],
)
def test_the_stream_says_what_the_whole_answer_says(messages: tuple[Message, ...]) -> None:
    events: list[TurnEvent] = []
    for one in messages:
        events += [AnswerStarted(MODEL)] if one.role == "assistant" else []
        for block in one.content:
            if block["type"] == "text":
                events.append(TextDelta(block["text"]))
            elif block["type"] == "thinking":
                events.append(ThinkingDelta(block["thinking"]))
    for stop_reason in ("end_turn", "tool_use"):
        turn = done(*messages, stop_reason=stop_reason)
        added = deltas(*events, turn)
        said = message(turn)
        assert "".join(delta.get("content", "") for delta in added) == (said["content"] or "")
        assert "".join(delta.get("reasoning_content", "") for delta in added) == said.get("reasoning_content", "")
        assert len([delta for delta in added if "tool_calls" in delta]) == 2 * len(said.get("tool_calls", []))


def test_a_stream_that_broke_before_anything_was_said_goes_on() -> None:
    added = deltas(AnswerStarted(MODEL), AnswerRestarted(), AnswerStarted(MODEL), TextDelta("Hi"))
    assert added == [{"content": "Hi"}]
    assert deltas(AnswerStarted(MODEL), TextDelta("a"), AnswerStarted(MODEL), AnswerRestarted(), TextDelta("b")) == [
        {"content": "a"},
        {"content": "\n\nb"},
    ]


@pytest.mark.parametrize("said", [TextDelta("Hi"), ThinkingDelta("Hm"), ToolCallStarted("toolu_1", "f")])
def test_what_was_said_cannot_be_taken_back(said: TurnEvent) -> None:
    with pytest.raises(UpstreamInterrupted):
        streamed(AnswerStarted(MODEL), said, AnswerRestarted())


def test_thinking_that_is_kept_back_was_not_said() -> None:
    bodies = streamed(ThinkingDelta("Hm"), AnswerRestarted(), TextDelta("Hi"), reasoning=False)
    assert [body["choices"][0]["delta"] for body in bodies[1:]] == [{"content": "Hi"}]


# What an agent does with tools of its own


def own(line: str | None) -> dict[str, Any]:
    block = {"type": "tool_use", "id": "1", "name": "Bash", "input": {}, "internal": True}
    return block if line is None else {**block, "activity": line}


def thought(words: str) -> dict[str, Any]:
    return {"type": "thinking", "thinking": words}


WORKED = done(
    answer(thought("Let me "), thought("see."), text("I look."), own("Bash: ls"), own("Read: a")),
    Message("user", (own("Bash failed: Exit code 1"), own(None))),
    answer(thought("Well."), text("There is nothing.")),
)


def test_what_an_agent_does_is_told_beside_the_answer() -> None:
    said = message(WORKED)
    assert said["content"] == "I look.\n\nThere is nothing."
    assert said["reasoning_content"] == "Let me see.\n\nBash: ls\n\nRead: a\n\nBash failed: Exit code 1\n\nWell."
    assert "tool_calls" not in said


def test_thinking_and_doing_are_told_apart() -> None:
    def told(*, reasoning: bool, activity: bool) -> str | None:
        said = whole(WORKED, reasoning=reasoning, activity=activity)["choices"][0]["message"]
        words: str | None = said.get("reasoning_content")
        return words

    assert told(reasoning=True, activity=False) == "Let me see.\n\nWell."
    assert told(reasoning=False, activity=True) == "Bash: ls\n\nRead: a\n\nBash failed: Exit code 1"
    assert told(reasoning=False, activity=False) is None


def test_a_stream_tells_what_an_agent_does_as_the_whole_answer_does() -> None:
    events: list[TurnEvent] = [
        AnswerStarted("claude"),
        ThinkingDelta("Let me "),
        AgentResult("0", "a result without a line", is_error=False, line=None),
        ThinkingDelta("see."),
        TextDelta("I look."),
        AgentCall("1", "Bash", {"command": "ls"}, "Bash: ls"),
        AgentCall("2", "Read", {"file_path": "a"}, "Read: a"),
        AgentResult("1", "Exit code 1", is_error=True, line="Bash failed: Exit code 1"),
        AnswerStarted("claude"),
        ThinkingDelta("Well."),
        TextDelta("There is nothing."),
        WORKED,
    ]
    told = "".join(delta.get("reasoning_content", "") for delta in deltas(*events))
    assert told == message(WORKED)["reasoning_content"]
    silent = streamed(*events, activity=False)
    assert "Bash" not in str(silent)


def test_a_stream_tells_that_a_call_waits_for_approval() -> None:
    waits = ApprovalWanted("1", "Bash", {}, 0.0, "Waiting for approval: Bash: ls")
    events: list[TurnEvent] = [AnswerStarted("claude"), AgentCall("1", "Bash", {}, "Bash: ls"), waits, WORKED]
    told = "".join(delta.get("reasoning_content", "") for delta in deltas(*events))
    assert told == "Bash: ls\n\nWaiting for approval: Bash: ls"
    assert "Waiting" not in str(streamed(*events, activity=False))


@pytest.mark.parametrize("stop_reason", ["interrupted", "budget_reached"])
def test_a_halted_turn_is_an_answer_that_stopped(stop_reason: str) -> None:
    said = whole(replace(WORKED, stop_reason=stop_reason))["choices"][0]
    assert said["finish_reason"] == "stop"
    assert said["message"]["content"]


def test_what_was_done_is_not_void_when_the_model_begins_again() -> None:
    begun = AnswerStarted("claude")
    assert deltas(begun, AgentCall("1", "Bash", {}, "Bash: ls"), AnswerRestarted(), begun, WORKED)
