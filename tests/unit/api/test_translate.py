"""From Chat Completions to the dialect-neutral turn."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from claude_code_api.api.openai_chat.translate import ParsedRequest, parse
from claude_code_api.api.openai_chat.wire import ChatRequest
from claude_code_api.core.identity import Identity
from claude_code_api.core.models import ModelNames
from claude_code_api.core.turn import Effort, Message, Options, Tool, ToolChoice
from claude_code_api.errors import InvalidRequest, ModelNotFound, UnsupportedParameter

MODELS = ModelNames(default="opus", aliases={"gpt-4o": "sonnet"})
HI = {"role": "user", "content": "Hi"}
HELLO = {"role": "assistant", "content": "Hello"}
BYE = {"role": "user", "content": "Bye"}


def parsed(*messages: Any, named: bool = False, strict: bool = False, **more: Any) -> ParsedRequest:
    request = ChatRequest.model_validate({"messages": list(messages), **more})
    identity = Identity("named", appends=True) if named else Identity()
    return parse(request, models=MODELS, identity=identity, strict=strict)


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
        ([{"role": "function", "name": "f", "content": "42"}, HI], "messages[0].role"),
        ([{"role": "user", "content": [{"type": "input_audio"}]}], "messages[0].content[0]"),
        ([{"role": "user", "content": [{"type": "video_url", "video_url": {"url": "x"}}]}], "messages[0].content[0]"),
        ([HI, {**HELLO, "function_call": {"name": "f"}}, BYE], "messages[1].function_call"),
        ([HI, {**HELLO, "audio": {"id": "1"}}, BYE], "messages[1].audio"),
    ],
)
def test_messages_that_are_not_offered_are_named(messages: list[Any], param: str) -> None:
    with pytest.raises(UnsupportedParameter) as caught:
        parsed(*messages)
    assert caught.value.param == param


UNSUPPORTED: dict[str, Any] = {
    "functions": [{"name": "f"}],
    "function_call": {"name": "f"},
    "n": 2,
    "logprobs": True,
    "top_logprobs": 3,
    "audio": {"voice": "x"},
    "modalities": ["text", "audio"],
    "web_search_options": {},
}


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_what_would_change_the_answer_is_refused_with_advice(name: str) -> None:
    with pytest.raises(UnsupportedParameter, match=f"{name} is not offered: .+") as caught:
        parsed(HI, **{name: UNSUPPORTED[name]})
    assert caught.value.param == name


INVALID: list[tuple[str, Any]] = [
    ("max_tokens", 0),
    ("max_completion_tokens", -1),
    ("stop", ""),
    ("stop", [".", "  \n"]),
    ("stop", list("abcde")),
    ("stop", "x" * 1001),
    ("stop", "\ud83d"),
    ("reasoning_effort", "extreme"),
    ("reasoning_effort", ""),
]


@pytest.mark.parametrize(("name", "value"), INVALID)
def test_an_option_out_of_its_range_is_named(name: str, value: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parsed(HI, **{name: value})
    assert caught.value.param == name


@pytest.mark.parametrize(
    ("name", "value"),
    [("max_tokens", True), ("max_tokens", "5"), ("max_tokens", 1.5), ("stop", [1]), ("parallel_tool_calls", "no")],
)
def test_an_option_of_another_type_is_no_request(name: str, value: Any) -> None:
    with pytest.raises(ValidationError):
        parsed(HI, **{name: value})


def test_the_two_token_limits_are_one() -> None:
    assert parsed(HI, max_tokens=5).turn.options.max_tokens == 5
    assert parsed(HI, max_completion_tokens=6, max_tokens=None).turn.options.max_tokens == 6
    with pytest.raises(InvalidRequest, match="the same") as caught:
        parsed(HI, max_tokens=5, max_completion_tokens=6)
    assert caught.value.param == "max_completion_tokens"


def test_where_an_answer_stops() -> None:
    assert parsed(HI, stop="END").turn.options.stop == ("END",)
    assert parsed(HI, stop=["a", "b\n"]).turn.options.stop == ("a", "b\n")
    assert parsed(HI, stop=[]).turn.options.stop == ()


@pytest.mark.parametrize(
    ("asked", "effort", "thinking"),
    [
        (None, None, True),
        ("none", "low", False),
        ("minimal", "low", True),
        ("low", "low", True),
        ("medium", "medium", True),
        ("high", "high", True),
        ("xhigh", "xhigh", True),
        ("max", "max", True),
    ],
)
def test_how_much_the_model_thinks(asked: str | None, effort: Effort | None, thinking: bool) -> None:
    options = parsed(HI, reasoning_effort=asked).turn.options
    assert (options.effort, options.thinking) == (effort, thinking)


@pytest.mark.parametrize(
    "choice",
    [
        "required",
        {"type": "function", "function": {"name": "f"}},
        {
            "type": "allowed_tools",
            "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "f"}}]},
        },
    ],
)
def test_a_forced_call_and_a_schema_are_refused_together(choice: Any) -> None:
    tools = [{"type": "function", "function": {"name": "f"}}]
    with pytest.raises(InvalidRequest, match="'response_format'") as caught:
        parsed(HI, tools=tools, tool_choice=choice, response_format={"type": "json_object"})
    assert caught.value.param == "tool_choice"


@pytest.mark.parametrize("named", [False, True])
def test_a_system_message_alone_is_what_the_user_asks(named: bool) -> None:
    turn = parsed({"role": "system", "content": "Say"}, {"role": "developer", "content": "hi"}, named=named).turn
    assert turn.new == user("Say\n\nhi")
    assert turn.system == (None if named else "")


def test_a_system_message_may_stand_behind_the_users() -> None:
    turn = parsed(HI, HELLO, BYE, {"role": "system", "content": "Be kind"}).turn
    assert (turn.new, turn.system) == (user("Bye"), "Be kind")


def test_what_our_own_answers_hold_is_no_unknown_field() -> None:
    answer: dict[str, Any] = {
        **HELLO,
        "refusal": None,
        "annotations": [],
        "reasoning_content": "Hm",
        "tool_calls": None,
    }
    assert parsed(HI, answer, BYE, strict=True).ignored == ()


def test_metadata_that_names_the_conversation_was_used() -> None:
    def ignored(identity: Identity, **metadata: Any) -> tuple[str, ...]:
        request = ChatRequest.model_validate({"messages": [HI], "metadata": metadata})
        return parse(request, models=MODELS, identity=identity).ignored

    named = Identity("a", by_session=True)
    assert ignored(named, session_id="a") == ()
    assert ignored(named, session_id="a", trace="b") == ("metadata.trace",)
    assert ignored(Identity("b"), session_id="a") == ("metadata",)


def test_an_ignored_field_goes_by_the_name_that_it_has_in_json() -> None:
    asked = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}, "more": 1}}
    assert parsed(HI, response_format=asked).ignored == ("response_format.json_schema.more",)


def test_tools_choice_and_schema_reach_the_turn() -> None:
    schema: dict[str, Any] = {"type": "object", "properties": {}}
    turn = parsed(
        HI,
        tools=[{"type": "function", "function": {"name": "f", "description": "Does f", "parameters": schema}}],
        tool_choice="auto",
        parallel_tool_calls=False,
        response_format={"type": "json_object"},
    ).turn
    assert turn.options.tools == (Tool("f", "Does f", schema),)
    assert turn.options.tool_choice == ToolChoice("auto", parallel=False)
    assert turn.schema == {"type": "object"}
    assert turn.profile == "chat"


def test_without_options_there_are_none() -> None:
    turn = parsed(HI).turn
    assert turn.options == Options()
    assert turn.schema is None


def test_asking_for_what_is_so_anyway_is_no_trouble() -> None:
    asked: dict[str, Any] = {
        "tools": [],
        "tool_choice": "none",
        "parallel_tool_calls": True,
        "function_call": "none",
        "functions": [],
        "response_format": {"type": "text"},
        "n": 1,
        "stop": [],
        "max_tokens": None,
        "logprobs": False,
        "top_logprobs": 0,
        "modalities": ["text"],
    }
    request = parsed(HI, strict=True, **asked)
    assert request.ignored == ()
    assert request.turn.options == Options()


def test_an_answer_can_be_sent_back_as_the_official_client_has_it() -> None:
    echoed: dict[str, Any] = {
        **HELLO,
        "refusal": None,
        "annotations": [],
        "audio": None,
        "function_call": None,
        "tool_calls": None,
    }
    assert parsed(HI, echoed, BYE, strict=True).turn.history == parsed(HI, HELLO, BYE).turn.history


def test_what_has_no_effect_is_listed() -> None:
    request = parsed({**HI, "name": "ada"}, temperature=0.2, seed=7, user=None)
    assert sorted(request.ignored) == ["messages[].name", "seed", "temperature"]


def test_what_has_no_effect_is_listed_once_wherever_it_stands() -> None:
    part = {"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}
    message = {"role": "user", "content": [part, part], "weight": 1}
    options = {"include_usage": True, "include_obfuscation": False}
    tool = {"type": "function", "function": {"name": "f", "x": 1}, "cache_control": {}}
    ignored = parsed(message, message, stream_options=options, tools=[tool], response_format={"type": "text", "y": 1})
    assert sorted(ignored.ignored) == [
        "messages[].content[].cache_control",
        "messages[].weight",
        "response_format.y",
        "stream_options.include_obfuscation",
        "tools[].cache_control",
        "tools[].function.x",
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


# Profiles


def test_a_model_name_says_the_profile() -> None:
    assert (parsed(HI).turn.profile, parsed(HI).turn.model) == ("chat", "opus")
    turn = parsed(HI, model="agent/gpt-4o").turn
    assert (turn.profile, turn.model) == ("agent", "sonnet")


def test_an_agents_turn_has_no_limits_and_that_is_said() -> None:
    request = parsed(HI, model="agent", max_tokens=5, stop="x", seed=1)
    assert (request.turn.options.max_tokens, request.turn.options.stop) == (None, ())
    assert request.ignored == ("seed", "max_tokens", "stop")
    assert parsed(HI, model="agent", max_completion_tokens=5).ignored == ("max_completion_tokens",)
    assert parsed(HI, max_tokens=5, stop="x").ignored == ()
    with pytest.raises(UnsupportedParameter, match="profile agent") as caught:
        parsed(HI, model="agent", max_tokens=5, strict=True)
    assert caught.value.param == "max_tokens"
    with pytest.raises(InvalidRequest):
        parsed(HI, model="agent", max_tokens=0)


def test_a_question_beside_a_conversation_takes_no_agent() -> None:
    request = ChatRequest.model_validate({"messages": [HI], "model": "agent/opus"})
    turn = parse(request, models=MODELS, side_requests=("Hi",)).turn
    assert (turn.apart, turn.kept, turn.profile, turn.model) == (True, False, "chat", "opus")
