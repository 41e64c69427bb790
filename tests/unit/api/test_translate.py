"""Between Chat Completions and the dialect-neutral turn."""

from __future__ import annotations

from typing import Any

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from claude_code_api.api.openai_chat.translate import Head, ParsedRequest, parse
from claude_code_api.api.openai_chat.wire import ChatRequest
from claude_code_api.core.models import ModelNames
from claude_code_api.core.turn import Message, TextDelta, ThinkingDelta, TurnCompleted, Usage
from claude_code_api.errors import InvalidRequest, ModelNotFound, UnsupportedParameter

MODELS = ModelNames(default="opus", aliases={"gpt-4o": "sonnet"})
HI = {"role": "user", "content": "Hi"}
HELLO = {"role": "assistant", "content": "Hello"}
BYE = {"role": "user", "content": "Bye"}


def parsed(*messages: Any, named: bool = False, strict: bool = False, **more: Any) -> ParsedRequest:
    request = ChatRequest.model_validate({"messages": list(messages), **more})
    return parse(request, models=MODELS, named=named, strict=strict)


def user(*texts: str) -> Message:
    return Message("user", tuple({"type": "text", "text": text} for text in texts))


# What a request means


def test_one_message_begins_a_conversation() -> None:
    turn = parsed(HI).turn
    assert turn.new == user("Hi")
    assert turn.history == ()
    assert turn.system == ""


def test_a_whole_history_is_the_whole_history_named_or_not() -> None:
    for named in (True, False):
        turn = parsed({"role": "system", "content": "Be kind"}, HI, HELLO, BYE, named=named).turn
        assert turn.new == user("Bye")
        assert turn.history is not None
        assert [(message.role, message.text()) for message in turn.history] == [("user", "Hi"), ("assistant", "Hello")]
        assert turn.system == "Be kind"


def test_a_whole_history_without_a_system_prompt_has_none() -> None:
    assert parsed(HI, HELLO, BYE, named=True).turn.system == ""


def test_new_messages_alone_append_to_a_named_conversation_and_keep_its_system_prompt() -> None:
    turn = parsed(BYE, named=True).turn
    assert turn.new == user("Bye")
    assert turn.history is None
    assert turn.system is None


def test_a_named_conversation_can_be_given_another_system_prompt() -> None:
    turn = parsed({"role": "system", "content": "Be brief"}, BYE, named=True).turn
    assert turn.history is None
    assert turn.system == "Be brief"


def test_system_and_developer_messages_are_one_prompt_wherever_they_stand() -> None:
    turn = parsed({"role": "system", "content": "One"}, HI, {"role": "developer", "content": "Two"}).turn
    assert turn.system == "One\n\nTwo"
    assert turn.new == user("Hi")


def test_neighbouring_messages_of_one_role_are_one_message() -> None:
    assert parsed(HI, BYE).turn.new.text() == "Hi\n\nBye"
    assert parsed(HI, BYE).turn.history == ()


def test_text_parts_are_joined() -> None:
    parts = [{"type": "text", "text": "Hi "}, {"type": "input_text", "text": "there"}]
    assert parsed({"role": "user", "content": parts}).turn.new == user("Hi there")


def test_the_model_is_resolved() -> None:
    assert parsed(HI).turn.model == "opus"
    assert parsed(HI, model="gpt-4o").turn.model == "sonnet"
    assert parsed(HI, model="claude-3-5-sonnet-20241022").turn.model == "sonnet"
    with pytest.raises(ModelNotFound):
        parsed(HI, model="--help")


# What is refused, by name


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        ([HI, HELLO], "messages"),
        ([{"role": "system", "content": "Be kind"}], "messages"),
        ([HI, {"role": "assistant", "content": None}, BYE], "messages[1].content"),
        ([{"role": "user", "content": " \n"}], "messages[0].content"),
        ([{"role": "user", "content": []}], "messages[0].content"),
        ([{"role": "user", "content": [{"type": "text"}]}], "messages[0].content[0].text"),
    ],
)
def test_what_cannot_be_understood_is_named(messages: list[Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parsed(*messages)
    assert caught.value.param == param
    assert not isinstance(caught.value, UnsupportedParameter)


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        ([{"role": "tool", "content": "42", "tool_call_id": "1"}, HI], "messages[0].role"),
        ([{"role": "user", "content": [{"type": "video_url", "video_url": {"url": "x"}}]}], "messages[0].content[0]"),
        ([HI, {**HELLO, "tool_calls": [{"id": "1"}]}, BYE], "messages[1].tool_calls"),
    ],
)
def test_messages_that_are_not_offered_yet_are_named(messages: list[Any], param: str) -> None:
    with pytest.raises(UnsupportedParameter) as caught:
        parsed(*messages)
    assert caught.value.param == param


UNSUPPORTED: dict[str, Any] = {
    "tools": [{"type": "function", "function": {"name": "f"}}],
    "functions": [{"name": "f"}],
    "tool_choice": "required",
    "function_call": {"name": "f"},
    "response_format": {"type": "json_object"},
    "n": 2,
    "stop": ["."],
    "max_tokens": 5,
    "max_completion_tokens": 5,
    "logprobs": True,
    "top_logprobs": 3,
    "audio": {"voice": "x"},
    "modalities": ["text", "audio"],
    "web_search_options": {},
    "reasoning_effort": "low",
}


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_what_would_change_the_answer_is_refused(name: str) -> None:
    with pytest.raises(UnsupportedParameter) as caught:
        parsed(HI, **{name: UNSUPPORTED[name]})
    assert caught.value.param == name


def test_asking_for_what_is_so_anyway_is_no_trouble() -> None:
    asked: dict[str, Any] = {
        "tools": [],
        "tool_choice": "none",
        "response_format": {"type": "text"},
        "n": 1,
        "stop": [],
        "max_tokens": None,
        "logprobs": False,
        "modalities": ["text"],
    }
    assert parsed(HI, strict=True, **asked).ignored == ()


def test_what_has_no_effect_is_listed() -> None:
    request = parsed({**HI, "name": "ada"}, temperature=0.2, seed=7, user=None)
    assert sorted(request.ignored) == ["messages[].name", "seed", "temperature"]


def test_what_has_no_effect_is_listed_once_wherever_it_stands() -> None:
    part = {"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}
    message = {"role": "user", "content": [part, part], "weight": 1}
    options = {"include_usage": True, "include_obfuscation": False}
    assert sorted(parsed(message, message, stream_options=options).ignored) == [
        "messages[].content[].cache_control",
        "messages[].weight",
        "stream_options.include_obfuscation",
    ]


def test_the_list_is_fit_for_a_header() -> None:
    fields: dict[str, Any] = {"bad\r\nname": 1} | {f"field_{number}": 1 for number in range(100)}
    shown = parsed(HI, **fields).ignored
    assert len(shown) < 40
    assert shown[0] == "(unprintable)"
    assert shown[-1] == "..."


def test_half_a_character_is_no_text() -> None:
    for content in ("\ud83d", [{"type": "text", "text": "\ud83d"}]):
        with pytest.raises(InvalidRequest, match="surrogate") as caught:
            parsed({"role": "user", "content": content})
        assert str(caught.value.param).startswith("messages[0].content")
    assert parsed({"role": "user", "content": "\U0001f600"}).turn.new == user("\U0001f600")


def test_the_gateways_own_fields_are_not_listed() -> None:
    options: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
    assert parsed(HI, model="opus", conversation_id="one", **options).ignored == ()


def test_a_strict_server_refuses_what_has_no_effect() -> None:
    with pytest.raises(UnsupportedParameter) as caught:
        parsed(HI, strict=True, temperature=0.2)
    assert caught.value.param == "temperature"


# Answers

HEAD = Head("chatcmpl-1", 1_700_000_000, "sonnet", "conv_1")
USED = Usage(124, 46, cache_read_tokens=1000, cache_write_tokens=7, thinking_tokens=5)


def done(*messages: Message, stop_reason: str = "end_turn", model: str = "claude-sonnet-5-5") -> TurnCompleted:
    return TurnCompleted(stop_reason, model, USED, "leaf", messages)


def answer(*blocks: dict[str, Any]) -> Message:
    return Message("assistant", blocks)


THOUGHT = {"type": "thinking", "thinking": "Hm.", "signature": "s"}
TEXT = {"type": "text", "text": "Hello."}


def test_a_completion_is_what_the_official_client_expects() -> None:
    body = HEAD.completion(done(answer(THOUGHT, TEXT)), reasoning=True)
    completion = ChatCompletion.model_validate(body, strict=True)
    assert completion.id == "chatcmpl-1"
    assert completion.model == "claude-sonnet-5-5"
    assert completion.choices[0].message.content == "Hello."
    assert completion.choices[0].finish_reason == "stop"
    assert body["conversation_id"] == "conv_1"
    assert body["choices"][0]["message"]["reasoning_content"] == "Hm."


def test_the_prompt_counts_what_the_cache_read_and_wrote() -> None:
    usage = ChatCompletion.model_validate(HEAD.completion(done(answer(TEXT)), reasoning=True)).usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (1131, 46, 1177)
    assert usage.prompt_tokens_details is not None
    assert usage.prompt_tokens_details.cached_tokens == 1000
    assert usage.completion_tokens_details is not None
    assert usage.completion_tokens_details.reasoning_tokens == 5


def test_thinking_can_be_kept_back() -> None:
    message = HEAD.completion(done(answer(THOUGHT, TEXT)), reasoning=False)["choices"][0]["message"]
    assert "reasoning_content" not in message
    assert message["content"] == "Hello."


def test_only_the_assistants_text_is_the_answer() -> None:
    turn = done(answer(TEXT), user("a tool result"), answer({"type": "text", "text": " Bye."}))
    assert HEAD.completion(turn, reasoning=True)["choices"][0]["message"]["content"] == "Hello. Bye."


@pytest.mark.parametrize(
    ("stop_reason", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("refusal", "content_filter"),
        ("something_new", "stop"),
    ],
)
def test_why_an_answer_ended(stop_reason: str, finish: str) -> None:
    turn = done(answer(TEXT), stop_reason=stop_reason)
    assert HEAD.completion(turn, reasoning=True)["choices"][0]["finish_reason"] == finish
    assert HEAD.closing(turn)["choices"][0]["finish_reason"] == finish


def test_chunks_are_what_the_official_client_expects() -> None:
    turn = done(answer(TEXT))
    bodies = [
        HEAD.opening(),
        HEAD.delta(TextDelta("Hello.")),
        HEAD.delta(ThinkingDelta("Hm.")),
        HEAD.closing(turn),
        HEAD.usage_chunk(turn),
    ]
    opening, text, _, closing, usage = [ChatCompletionChunk.model_validate(body, strict=True) for body in bodies]
    assert opening.choices[0].delta.role == "assistant"
    assert text.choices[0].delta.content == "Hello."
    assert bodies[2]["choices"][0]["delta"] == {"reasoning_content": "Hm."}
    assert closing.choices[0].finish_reason == "stop"
    assert usage.choices == []
    assert usage.usage is not None
    assert usage.usage.total_tokens == 1177
    assert {body["id"] for body in bodies} == {"chatcmpl-1"}
    assert [body["usage"] for body in bodies[:-1]] == [None] * 4
