"""From Responses to the dialect-neutral turn."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from claude_code_api.api.openai_responses.translate import ParsedRequest, identity_of, parse
from claude_code_api.api.openai_responses.wire import ResponsesRequest
from claude_code_api.core.identity import Identity
from claude_code_api.core.models import ModelNames
from claude_code_api.core.turn import Effort, Message, Tool, ToolChoice
from claude_code_api.errors import InvalidRequest, PreviousResponseNotFound, UnsupportedParameter
from tests.unit.api.openai_responses.folding import check_response
from tests.unit.api.openai_responses.scenes import HEX, SCHEMA, TURN, head

MODELS = ModelNames(default="opus", aliases={"gpt-4o": "sonnet"})
HI = {"role": "user", "content": "Hi"}
HELLO = {"role": "assistant", "content": "Hello"}
BYE = {"role": "user", "content": "Bye"}
PREVIOUS = f"resp_{HEX}"
F: dict[str, Any] = {
    "type": "function",
    "name": "f",
    "description": "Does f.",
    "parameters": {"type": "object", "properties": {}},
}
G = {"type": "function", "name": "g"}
NAMED = Identity("named", appends=True)


def parsed(*, identity: Identity = Identity(), strict: bool = False, **fields: Any) -> ParsedRequest:
    request = ResponsesRequest.model_validate({"input": "Hi", **fields})
    return parse(request, models=MODELS, identity=identity, strict=strict)


def user(text: str) -> Message:
    return Message("user", ({"type": "text", "text": text},))


def assistant(text: str) -> Message:
    return Message("assistant", ({"type": "text", "text": text},))


# What a request means


def test_a_text_begins_a_conversation() -> None:
    turn = parsed(input="Hi").turn
    assert (turn.new, turn.history, turn.before, turn.system, turn.developer) == (user("Hi"), (), (), "", ())
    assert not turn.named
    assert turn.kept


def test_instructions_are_the_system_prompt_of_this_turn_and_the_rest_is_dialogue() -> None:
    items = [{"role": "system", "content": "Be kind"}, {"role": "developer", "content": "Be brief"}, HI]
    turn = parsed(instructions="Be Claude", input=items).turn
    assert (turn.system, turn.developer) == ("Be Claude", ("Be kind", "Be brief"))
    assert parsed(identity=NAMED).turn.system == ""


def test_a_history_is_the_whole_history_when_the_request_names_no_conversation() -> None:
    for identity in (Identity(), Identity("of a product")):
        turn = parsed(input=[HI, HELLO, BYE], identity=identity).turn
        assert (turn.history, turn.before, turn.new) == ((user("Hi"), assistant("Hello")), (), user("Bye"))


def test_a_request_that_names_a_conversation_appends_all_it_brings() -> None:
    turn = parsed(input=[HI, HELLO, BYE], identity=NAMED).turn
    assert (turn.history, turn.before, turn.new) == (None, (user("Hi"), assistant("Hello")), user("Bye"))
    assert turn.named


def test_a_request_that_goes_on_from_a_response_appends_to_it() -> None:
    turn = parsed(previous_response_id=PREVIOUS).turn
    assert (turn.after, turn.history, turn.before) == (TURN, None, ())
    assert not turn.named


def test_results_answer_the_calls_of_the_response_before() -> None:
    output = {"type": "function_call_output", "call_id": "c1", "output": "42"}
    turn = parsed(previous_response_id=PREVIOUS, input=[output]).turn
    assert turn.new.content[0]["tool_use_id"] == "c1"


@pytest.mark.parametrize("given", ["resp_1", "resp_" + "g" * 32, "", "msg_" + HEX])
def test_a_response_that_cannot_be_one_is_not_found(given: str) -> None:
    with pytest.raises(PreviousResponseNotFound) as caught:
        parsed(previous_response_id=given)
    assert caught.value.param == "previous_response_id"


def test_what_is_not_stored_has_no_name() -> None:
    found = parsed(store=False, identity=Identity("of a product"))
    assert (found.turn.kept, found.turn.named, found.conversation_id) == (False, False, None)
    assert found.settings["store"] is False


# Which conversation


def named(**fields: Any) -> Identity:
    headers: dict[str, str] = {name: fields.pop(name) for name in ("x-conversation-id", "x-product") if name in fields}
    return identity_of(ResponsesRequest.model_validate({"input": "Hi", **fields}), headers, ("x-product",))


@pytest.mark.parametrize(
    "fields",
    [
        {"conversation": "c"},
        {"conversation": {"id": "c"}},
        {"conversation_id": "c"},
        {"conversation": "c", "conversation_id": "c"},
        {"x-conversation-id": "c"},
        {"conversation": "c", "x-conversation-id": "c", "x-product": "other"},
    ],
)
def test_a_conversation_is_named_in_any_of_these_ways(fields: dict[str, Any]) -> None:
    assert named(**fields) == Identity("c", appends=True)


def test_a_product_names_its_conversation_unless_a_response_does() -> None:
    assert named(**{"x-product": "p"}) == Identity("p")
    assert named(**{"x-product": "p", "previous_response_id": PREVIOUS}) == Identity()


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"conversation": "a", "conversation_id": "b"}, "conversation"),
        ({"conversation": "a", "x-conversation-id": "b"}, "conversation_id"),
        ({"conversation": "a b"}, "conversation"),
        ({"conversation_id": "a b"}, "conversation_id"),
        ({"conversation": "a", "previous_response_id": PREVIOUS}, "previous_response_id"),
        ({"x-conversation-id": "a", "previous_response_id": PREVIOUS}, "previous_response_id"),
    ],
)
def test_two_places_to_go_on_are_one_too_many(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        named(**fields)
    assert caught.value.param == param


# Options


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
def test_how_hard_the_model_thinks(asked: str | None, effort: Effort | None, thinking: bool) -> None:
    found = parsed(reasoning={"effort": asked})
    assert (found.turn.options.effort, found.turn.options.thinking) == (effort, thinking)
    assert found.settings["reasoning"]["effort"] == asked


@pytest.mark.parametrize("field", ["summary", "generate_summary"])
def test_a_summary_is_asked_for_by_either_name(field: str) -> None:
    assert parsed(reasoning={field: "concise"}).settings["reasoning"] == {"effort": None, "summary": "concise"}


def test_functions_are_described_flat() -> None:
    found = parsed(tools=[F, G], tool_choice={"type": "function", "name": "g"}, parallel_tool_calls=False)
    options = found.turn.options
    assert options.tools == (
        Tool("f", "Does f.", F["parameters"]),
        Tool("g", "", {"type": "object", "properties": {}}),
    )
    assert options.tool_choice == ToolChoice("tool", "g", parallel=False)
    assert found.settings["tools"] == [
        {**F, "strict": None},
        {**G, "description": None, "parameters": None, "strict": None},
    ]


def test_only_the_allowed_functions_are_offered() -> None:
    choice = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "g"}]}
    found = parsed(tools=[F, G], tool_choice=choice)
    assert [tool.name for tool in found.turn.options.tools] == ["g"]
    assert found.turn.options.tool_choice.kind == "any"
    assert found.settings["tool_choice"] == choice
    check_response(head(tools=[F, G], tool_choice=choice).pending("in_progress"))


def test_calls_may_be_forbidden_to_come_together_where_there_are_none() -> None:
    assert parsed(parallel_tool_calls=False).turn.options.tool_choice == ToolChoice()


def test_a_schema_and_its_name() -> None:
    found = parsed(**SCHEMA)
    assert found.turn.schema == {"type": "object", "properties": {}}
    assert found.settings["text"]["format"] == {
        "type": "json_schema",
        "name": "f",
        "description": None,
        "schema": {"type": "object", "properties": {}},
        "strict": False,
    }
    assert parsed(text={"format": {"type": "json_object"}}).turn.schema == {"type": "object"}
    assert parsed(text={"format": {"type": "text"}}).turn.schema is None


def test_the_token_limit_has_no_effect_on_an_agent() -> None:
    assert parsed(max_output_tokens=1).turn.options.max_tokens == 1
    found = parsed(max_output_tokens=100, model="agent/sonnet")
    assert found.turn.options.max_tokens is None
    assert found.ignored == ("max_output_tokens",)
    assert found.settings["max_output_tokens"] == 100


def test_how_often_an_agent_may_call_its_tools() -> None:
    assert parsed(max_tool_calls=3, model="agent").turn.options.max_tool_calls == 3
    assert parsed(max_tool_calls=3).turn.options.max_tool_calls is None


def test_one_call_is_no_calls_together() -> None:
    assert not parsed(max_tool_calls=1, tools=[F]).turn.options.tool_choice.parallel
    assert parsed(max_tool_calls=2, tools=[F]).turn.options.tool_choice.parallel
    assert parsed(max_tool_calls=1, tools=[F], model="agent").turn.options.tool_choice.parallel
    assert parsed(max_tool_calls=1).turn.options.tool_choice == ToolChoice()


# What is refused, by name


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"max_tool_calls": 0}, "max_tool_calls"),
        ({"reasoning": {"effort": "extreme"}}, "reasoning.effort"),
        ({"metadata": {str(number): "x" for number in range(17)}}, "metadata"),
        ({"metadata": {"x" * 65: "x"}}, "metadata"),
        ({"metadata": {"key": "x" * 513}}, "metadata.key"),
        ({"metadata": {"key": 1}}, "metadata.key"),
        ({"metadata": {"key": "\ud83d"}}, "metadata.key"),
        ({"user": "\ud83d"}, "user"),
        ({"instructions": "\ud83d"}, "instructions"),
        ({"text": {"format": {**SCHEMA["text"]["format"], "description": "\ud83d"}}}, "text.format.description"),
        ({"text": {"format": {"type": "json_schema", "name": "f"}}}, "text.format.schema"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tools": [F, F]}, "tools[1].name"),
        ({"tools": [F], "tool_choice": {"type": "function", "name": "x"}}, "tool_choice.name"),
        ({"tools": [F], "tool_choice": "required", **SCHEMA}, "tool_choice"),
        ({"store": False, "background": True}, "store"),
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": [HI, HELLO]}, "input"),
    ],
)
def test_what_cannot_be_understood_is_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parsed(**fields)
    assert caught.value.param == param
    assert not isinstance(caught.value, UnsupportedParameter)


def test_a_conversation_keeps_what_is_said_in_it() -> None:
    with pytest.raises(InvalidRequest) as caught:
        parsed(store=False, identity=NAMED)
    assert caught.value.param == "store"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"include": ["message.output_text.logprobs"]}, "include"),
        ({"tool_choice": {"type": "file_search"}, "tools": [F]}, "tool_choice.type"),
        ({"text": {"format": {"type": "grammar"}}}, "text.format.type"),
        *(
            ({"tools": [F, {"type": kind}]}, "tools[1].type")
            for kind in (
                *("file_search", "code_interpreter", "mcp", "image_generation"),
                *("computer_use_preview", "computer", "local_shell", "shell", "apply_patch", "custom", "tool_search"),
            )
        ),
    ],
)
def test_what_is_not_offered_is_refused_with_advice(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(UnsupportedParameter) as caught:
        parsed(**fields)
    assert caught.value.param == param


@pytest.mark.parametrize(
    "fields",
    [
        {"max_output_tokens": True},
        {"max_tool_calls": "3"},
        {"store": "no"},
        {"temperature": float("nan")},
        {"text": {"verbosity": "chatty"}},
        {"reasoning": {"summary": "long"}},
        {"truncation": "sometimes"},
        {"conversation": {}},
        {"include": "reasoning.encrypted_content"},
    ],
)
def test_a_field_of_another_type_is_no_request(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        parsed(**fields)


# What has no effect


@pytest.mark.parametrize(
    ("fields", "ignored"),
    [
        ({"temperature": 0.5, "top_p": 0.9}, ("temperature", "top_p")),
        ({"presence_penalty": 0, "frequency_penalty": 0}, ("presence_penalty", "frequency_penalty")),
        ({"user": "u", "safety_identifier": "s"}, ("user", "safety_identifier")),
        ({"service_tier": "flex", "prompt_cache_key": "k"}, ("prompt_cache_key", "service_tier")),
        ({"text": {"verbosity": "low"}}, ("text.verbosity",)),
        ({"stream_options": {"include_obfuscation": True}}, ("stream_options.include_obfuscation",)),
        ({"include": ["web_search_call.action.sources"]}, ("include.web_search_call.action.sources",)),
        ({"seed": 1, "reasoning": {"mode": "pro"}}, ("seed", "reasoning.mode")),
        ({"input": [{**HI, "phase": "final_answer"}]}, ("input[].phase",)),
        ({"metadata": {"a": "b"}, "store": True, "background": True, "stream": True, "tools": []}, ()),
        ({"tools": [F, {"type": "web_search_preview_2025_03_11"}]}, ("tools.web_search_preview_2025_03_11",)),
        ({"tools": [{"type": "web_search"}], "model": "agent/sonnet"}, ()),
        ({"truncation": "auto", "service_tier": "auto", "stream_options": {"include_obfuscation": False}}, ()),
        ({"include": ["reasoning.encrypted_content", "message.input_image.image_url"], "top_logprobs": 0}, ()),
        ({"prompt": None, "temperature": None, "previous_response_id": None, "conversation": None}, ()),
    ],
)
def test_what_has_no_effect_is_told(fields: dict[str, Any], ignored: tuple[str, ...]) -> None:
    assert parsed(**fields).ignored == ignored
    if ignored:
        with pytest.raises(UnsupportedParameter) as caught:
            parsed(**fields, strict=True)
        assert caught.value.param == ignored[0]
    else:
        parsed(**fields, strict=True)


# The echo


def test_a_response_repeats_what_was_asked_for() -> None:
    said: dict[str, Any] = {
        "instructions": "Be kind",
        "metadata": {"a": "b"},
        "temperature": 0.5,
        "top_p": 0.9,
        "presence_penalty": 0.1,
        "frequency_penalty": -0.1,
        "max_output_tokens": 99,
        "max_tool_calls": 3,
        "user": "u",
        "safety_identifier": "s",
        "prompt_cache_key": "k",
        "background": True,
        "parallel_tool_calls": True,
        "tool_choice": "none",
        "tools": [{**F, "strict": False}],
        "reasoning": {"effort": "high", "summary": "detailed"},
        "text": {"format": {"type": "json_object"}, "verbosity": "low"},
        "truncation": "auto",
        "service_tier": "default",
        "store": True,
        "previous_response_id": PREVIOUS,
    }
    response = head(**said).pending("queued")
    check_response(response)
    assert {name: response[name] for name in said} == said


def test_a_response_says_what_was_not_asked_for() -> None:
    found = parsed(identity=NAMED, model="gpt-4o").settings
    assert json.loads(json.dumps(found)) == found
    assert found["conversation"] == {"id": "named"}
    assert found["model"] == "sonnet"
    defaults = {"temperature": 1.0, "top_p": 1.0, "tool_choice": "auto", "tools": [], "parallel_tool_calls": True}
    assert {name: found[name] for name in defaults} == defaults
    assert parsed(identity=Identity("of a product")).settings["conversation"] is None


@pytest.mark.parametrize(("asked", "told"), [(None, "auto"), ("auto", "auto"), ("disabled", "disabled")])
def test_what_no_longer_fits_is_summed_up_unless_that_is_forbidden(asked: str | None, told: str) -> None:
    found = parsed(truncation=asked)
    assert found.settings["truncation"] == told
    assert found.turn.options.compacts is (told == "auto")
