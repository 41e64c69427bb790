"""From Chat Completions' messages to the conversation's: tool calls and their results."""

from __future__ import annotations

import json
from typing import Any

import pytest

from claude_code_api.api.media import Media
from claude_code_api.api.openai_chat.dialogue import Dialogue, dialogue_of
from claude_code_api.api.openai_chat.wire import ChatMessage
from claude_code_api.api.said import arguments_of
from claude_code_api.core.conversation import same_history
from claude_code_api.core.turn import Message
from claude_code_api.errors import GatewayError, InvalidRequest, UnsupportedParameter

HI = {"role": "user", "content": "Hi"}
BYE = {"role": "user", "content": "Bye"}


def read(*messages: Any, named: bool = False) -> Dialogue:
    return dialogue_of([ChatMessage.model_validate(one) for one in messages], Media(), appends=named)


def refused(*messages: Any, named: bool = False) -> GatewayError:
    with pytest.raises(InvalidRequest) as caught:
        read(*messages, named=named)
    caught.value.message.encode()
    return caught.value


def call(identity: str, arguments: Any = "{}", name: str = "f") -> dict[str, Any]:
    return {"id": identity, "type": "function", "function": {"name": name, "arguments": arguments}}


def calling(*calls: dict[str, Any], content: Any = None) -> dict[str, Any]:
    return {"role": "assistant", "content": content, "tool_calls": list(calls)}


def result(identity: str, content: Any = "42") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": identity, "content": content}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def used(identity: str, **arguments: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": identity, "name": "f", "input": arguments}


def answered(identity: str, words: str = "42") -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": identity, "content": [text(words)]}


def test_calls_follow_the_text_and_results_are_the_users_message() -> None:
    said = read(HI, calling(call("a", '{"x": 1}'), call("b"), content="Let me see."), result("a"), result("b", "43"))
    assert said.whole
    assert said.messages == (
        Message("user", (text("Hi"),)),
        Message("assistant", (text("Let me see."), used("a", x=1), used("b"))),
        Message("user", (answered("a"), answered("b", "43"))),
    )


@pytest.mark.parametrize("content", [None, "", " \n", []])
def test_a_call_needs_no_words(content: Any) -> None:
    assert read(HI, calling(call("a"), content=content), result("a")).messages[1] == Message("assistant", (used("a"),))


def test_results_come_in_the_order_of_the_calls() -> None:
    said = read(HI, calling(call("a"), call("b")), result("b", "2"), result("a", "1"))
    assert said.messages[-1].content == (answered("a", "1"), answered("b", "2"))


def test_what_the_user_adds_follows_the_results() -> None:
    said = read(HI, calling(call("a")), result("a"), HI, BYE)
    assert said.messages[-1] == Message("user", (answered("a"), text("Hi"), text("\n\nBye")))


def test_system_messages_separate_nothing() -> None:
    said = read(HI, calling(call("a"), call("b")), result("a"), {"role": "system", "content": "Be kind"}, result("b"))
    assert said.system == "Be kind"
    assert len(said.messages) == 3


def test_rounds_of_calls() -> None:
    said = read(HI, calling(call("a")), result("a"), calling(call("b")), result("b"), calling(content="Done."), BYE)
    assert [message.role for message in said.messages] == ["user", "assistant"] * 3 + ["user"]


def test_neighbours_of_the_assistant_are_one_message() -> None:
    said = read(HI, {"role": "assistant", "content": "One"}, calling(call("a"), content="Two"), result("a"))
    assert said.messages[1] == Message("assistant", (text("One"), text("\n\nTwo"), used("a")))


@pytest.mark.parametrize(
    ("content", "words"), [("", None), ([], None), ("\n", [text("\n")]), ([text("4"), text("2")], [text("42")])]
)
def test_a_result_may_be_empty_or_in_parts(content: Any, words: Any) -> None:
    said = read(HI, calling(call("a")), result("a", content))
    assert said.messages[-1].content[0]["content"] == (words or [])


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        ('{"a": [1, 2.5, null]}', {"a": [1, 2.5, None]}),
        ("", {}),
        (" ", {}),
        (None, {}),
        ({"a": 1}, {"a": 1}),
        ("{", {"arguments": "{"}),
        ("[1]", {"arguments": "[1]"}),
        ('"x"', {"arguments": '"x"'}),
        ('{"a": NaN}', {"arguments": '{"a": NaN}'}),
        ('{"a": 1e999}', {"arguments": '{"a": 1e999}'}),
        ('{"a": "\\ud83d"}', {"arguments": '{"a": "\\ud83d"}'}),
        ('{"a": "\\ud83d\\ude00"}', {"a": "\U0001f600"}),
        ("[" * 100_000, {"arguments": "[" * 100_000}),
        ('{"a": ' + "9" * 5000 + "}", {"arguments": '{"a": ' + "9" * 5000 + "}"}),
    ],
)
def test_arguments_are_what_the_model_wrote(arguments: Any, given: dict[str, Any]) -> None:
    block = read(HI, calling(call("a", arguments)), result("a")).messages[1].content[0]
    assert block["input"] == given
    json.dumps(block, allow_nan=False, ensure_ascii=False).encode()


@pytest.mark.parametrize("identity", ["call/1", "x" * 65, "fünf", "a b", ""])
def test_ids_that_the_model_would_not_take_get_others(identity: str) -> None:
    first = read(HI, calling(call(identity)), result(identity))
    ours = first.messages[1].content[0]["id"]
    assert ours.startswith("call_")
    assert len(ours) == 29
    assert first.messages[2].content[0]["tool_use_id"] == ours
    assert read(HI, calling(call(identity)), result(identity)) == first
    appended = read(result(identity), named=True)
    assert appended.messages[0].content[0]["tool_use_id"] == ours


def test_an_id_that_comes_again_in_the_history_gets_another() -> None:
    said = read(HI, calling(call("a")), result("a"), calling(call("a")), result("a", "43"))
    first, second = said.messages[1].content[0]["id"], said.messages[3].content[0]["id"]
    assert first == "a"
    assert second != "a"
    assert said.messages[4].content == (answered(second, "43"),)
    again = read(HI, calling(call("a")), result("a"), calling(call("a")), result("a", "43"), BYE)
    assert again.messages[3] == said.messages[3]


# Appending


def test_results_alone_append_to_a_named_conversation() -> None:
    said = read(result("b", "2"), result("a", "1"), BYE, named=True)
    assert not said.whole
    assert said.messages == (Message("user", (answered("b", "2"), answered("a", "1"), text("Bye"))),)


def test_appended_results_come_first() -> None:
    for messages in ([HI, result("a")], [result("a"), HI, result("b")]):
        error = refused(*messages, named=True)
        assert error.param == f"messages[{len(messages) - 1}].role"


def test_appended_results_answer_a_call_once() -> None:
    error = refused(result("a"), result("a"), named=True)
    assert error.param == "messages[1].tool_call_id"
    assert "'a'" in error.message


# What is refused, by name


@pytest.mark.parametrize(
    ("messages", "missing"),
    [
        ([HI, calling(call("a"), call("b")), result("a")], "b"),
        ([HI, calling(call("a"), call("b"))], "a, b"),
        ([HI, calling(call("a")), BYE], "a"),
        ([HI, calling(call("a")), {"role": "assistant", "content": "x"}, BYE], "a"),
        ([HI, calling(call("a")), calling(call("b")), result("b")], "a"),
    ],
)
def test_every_call_must_be_answered(messages: list[Any], missing: str) -> None:
    error = refused(*messages)
    assert error.message == (
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. "
        f"The following tool_call_ids did not have response messages: {missing}"
    )
    assert error.param == "messages[1].tool_calls"


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        ([HI, calling(call("a")), result("x")], "messages[2].tool_call_id"),
        ([HI, calling(call("a")), result("a"), result("a")], "messages[3].tool_call_id"),
        ([HI, calling(call("a")), result("a"), BYE, result("a")], "messages[4].role"),
        ([HI, calling(call("a")), {"role": "tool", "content": "42"}], "messages[2].tool_call_id"),
        ([HI, calling(call("a")), {"role": "tool", "tool_call_id": "a"}], "messages[2].content"),
        ([HI, calling(call("a")), result("a", "x" * 500_001)], "messages[2].content"),
        ([HI, calling(call("a")), result("\ud83d")], "messages[2].tool_call_id"),
        ([HI, result("a")], "messages[1].role"),
        ([result("a")], "messages[0].role"),
        ([HI, calling(call("a"), call("a")), result("a")], "messages[1].tool_calls[1].id"),
        ([HI, calling(call("\ud83d"))], "messages[1].tool_calls[0].id"),
        ([HI, calling(call("a", name="no dots.")), result("a")], "messages[1].tool_calls[0].function.name"),
        ([HI, calling(call("a", "\ud83d")), result("a")], "messages[1].tool_calls[0].function.arguments"),
        ([HI, calling({"id": "a"}), result("a")], "messages[1].tool_calls[0].function"),
        ([{**HI, "tool_calls": [call("a")]}], "messages[0].tool_calls"),
        ([{**HI, "tool_call_id": "a"}], "messages[0].tool_call_id"),
        ([{"role": "assistant", "content": None}, BYE], "messages[0].content"),
        ([{"role": "assistant", "content": [{"type": "refusal"}]}, BYE], "messages[0].content[0].refusal"),
    ],
)
def test_what_cannot_be_understood_is_named(messages: list[Any], param: str) -> None:
    error = refused(*messages)
    assert error.param == param
    assert not isinstance(error, UnsupportedParameter)


def test_the_limit_of_a_result_is_told() -> None:
    assert "500000" in refused(HI, calling(call("a")), result("a", "x" * 500_001)).message
    read(HI, calling(call("a")), result("a", "x" * 500_000))


def test_custom_tools_are_not_offered() -> None:
    custom = {"id": "a", "type": "custom", "custom": {"name": "f", "input": "x"}}
    error = refused(HI, calling(custom), result("a"))
    assert isinstance(error, UnsupportedParameter)
    assert error.param == "messages[1].tool_calls[0].type"


# Answers that come back


def test_a_refusal_comes_back_as_what_was_said() -> None:
    for said in (
        {"role": "assistant", "content": None, "refusal": "I cannot."},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "I cannot."}]},
    ):
        assert read(HI, said, BYE).messages[1] == Message("assistant", (text("I cannot."),))


def test_an_answer_without_a_word_comes_back() -> None:
    held = [Message("user", (text("Hi"),)), Message("assistant", ({"type": "thinking", "thinking": "Hm."},))]
    said = read(HI, {"role": "assistant", "content": ""}, BYE)
    assert said.whole
    assert said.messages[-1] == Message("user", (text("Bye"),))
    assert same_history(held, said.messages[:-1])


@pytest.mark.parametrize("depth", [99, 150, 500, 100_000])
def test_arguments_that_are_nested_deeply_are_text(depth: int) -> None:
    written = '{"a": ' + "[" * depth + "]" * depth + "}"
    assert ("arguments" in arguments_of(written, "here")) is (depth > 99)
