"""Function calling, structured output and options with the official OpenAI client, over a real socket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI
from openai.lib.streaming.chat import ChatCompletionStreamEvent
from openai.types.chat import (
    ChatCompletion,
    ChatCompletionChunk,
    ChatCompletionMessageFunctionToolCall,
    ChatCompletionMessageParam,
    ChatCompletionToolChoiceOptionParam,
    ChatCompletionToolParam,
)
from pydantic import BaseModel

from tests.conftest import Model
from tests.gateway import Gateway


def tool(name: str, **properties: str) -> ChatCompletionToolParam:
    parameters = {
        "type": "object",
        "properties": {key: {"type": kind} for key, kind in properties.items()},
        "required": list(properties),
        "additionalProperties": False,
    }
    return {"type": "function", "function": {"name": name, "description": f"Does {name}.", "parameters": parameters}}


WEATHER, TIME = tool("get_weather", city="string"), tool("get_time", zone="string")
TOOLS = [WEATHER, TIME]
PARIS = '[[offline: call get_weather {"city": "Paris"}]]'
ROME = '[[offline: call get_weather {"city": "Rome"}]]'
ZONE = '[[offline: call get_time {"zone": "UTC"}]]'


@pytest.fixture
def client(gateway: Gateway) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{gateway.url}/v1", api_key="unused", max_retries=0) as client:
        yield client


def user(text: str) -> ChatCompletionMessageParam:
    return {"role": "user", "content": text}


def result(identity: str, content: str) -> ChatCompletionMessageParam:
    return {"role": "tool", "tool_call_id": identity, "content": content}


def as_sent_back(completion: ChatCompletion) -> ChatCompletionMessageParam:
    """The answer as clients put it into the next request."""
    message: ChatCompletionMessageParam = json.loads(
        completion.choices[0].message.model_dump_json(exclude_none=True, exclude={"parsed"})
    )
    return message


def calls_of(completion: ChatCompletion) -> list[ChatCompletionMessageFunctionToolCall]:
    type(completion).model_validate(completion.to_dict(), strict=True)
    calls = completion.choices[0].message.tool_calls or []
    assert all(isinstance(call, ChatCompletionMessageFunctionToolCall) for call in calls)
    assert completion.choices[0].finish_reason == ("tool_calls" if calls else "stop")
    return [call for call in calls if isinstance(call, ChatCompletionMessageFunctionToolCall)]


def named(calls: list[ChatCompletionMessageFunctionToolCall]) -> list[tuple[str, Any]]:
    return [(call.function.name, json.loads(call.function.arguments)) for call in calls]


# Calls


def test_a_call_its_result_and_the_answer(client: OpenAI) -> None:
    asked = client.chat.completions.create(model="sonnet", messages=[user(PARIS)], tools=TOOLS)
    (call,) = calls_of(asked)
    assert named([call]) == [("get_weather", {"city": "Paris"})]
    assert asked.choices[0].message.content is None
    messages = [user(PARIS), as_sent_back(asked), result(call.id, "22 degrees")]
    raw = client.chat.completions.with_raw_response.create(model="sonnet", messages=messages, tools=TOOLS)
    assert raw.parse().choices[0].message.content == "The tool answered: 22 degrees"
    assert raw.parse().choices[0].finish_reason == "stop"
    assert raw.headers["X-Session-Start"] == "live"
    assert raw.headers["X-Conversation-ID"] == (asked.model_extra or {})["conversation_id"]


@pytest.mark.parametrize(
    ("asked", "calls"),
    [
        (PARIS + ZONE, [("get_weather", {"city": "Paris"}), ("get_time", {"zone": "UTC"})]),
        (PARIS + ROME, [("get_weather", {"city": "Paris"}), ("get_weather", {"city": "Rome"})]),
        (
            PARIS + ROME + ZONE,
            [("get_weather", {"city": "Paris"}), ("get_weather", {"city": "Rome"}), ("get_time", {"zone": "UTC"})],
        ),
    ],
)
def test_parallel_calls_are_answered_in_any_order(
    client: OpenAI, asked: str, calls: list[tuple[str, dict[str, str]]]
) -> None:
    first = client.chat.completions.create(model="sonnet", messages=[user(asked)], tools=TOOLS)
    made = calls_of(first)
    assert named(made) == calls
    assert len({call.id for call in made}) == len(calls)
    results = [result(call.id, f"result {number}") for number, call in enumerate(made)]
    second = client.chat.completions.create(
        model="sonnet", messages=[user(asked), as_sent_back(first), *reversed(results)], tools=TOOLS
    )
    told = "; ".join(f"result {number}" for number in range(len(calls)))
    assert second.choices[0].message.content == f"The tool answered: {told}"


def test_results_alone_continue_a_named_conversation(client: OpenAI) -> None:
    named_so: Any = {"conversation_id": "tools-appended"}
    first = client.chat.completions.create(
        model="sonnet", messages=[user(PARIS + ZONE)], tools=TOOLS, extra_body=named_so
    )
    results = [result(call.id, call.function.name) for call in calls_of(first)]
    second = client.chat.completions.create(model="sonnet", messages=results, tools=TOOLS, extra_body=named_so)
    assert second.choices[0].message.content == "The tool answered: get_weather; get_time"


def test_results_of_calls_that_nobody_made_are_refused(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(
            model="sonnet",
            messages=[result("toolu_unknown", "x")],
            tools=TOOLS,
            extra_body={"conversation_id": "tools-unknown"},
        )


def test_rounds_of_calls_stay_on_one_process(client: OpenAI, gateway: Gateway) -> None:
    messages: list[ChatCompletionMessageParam] = [user(PARIS)]
    pids = set()
    for number in range(3):
        asked = client.chat.completions.create(model="sonnet", messages=messages, tools=TOOLS)
        (call,) = calls_of(asked)
        messages += [as_sent_back(asked), result(call.id, f"result {number}")]
        told = client.chat.completions.create(model="sonnet", messages=messages, tools=TOOLS)
        assert told.choices[0].message.content == f"The tool answered: result {number}"
        messages += [as_sent_back(told), user(f"{number} {PARIS}")]
        pids.add(gateway.pid((told.model_extra or {})["conversation_id"]))
    assert len(pids) == 1


def test_a_history_of_calls_that_nobody_knows_is_taken(client: OpenAI, model: Model) -> None:
    foreign = {"id": "call/from elsewhere", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    called: Any = {"role": "assistant", "content": "I look.", "tool_calls": [foreign]}
    messages = [
        user("What is it like?"),
        called,
        result("call/from elsewhere", "Rain"),
        {"role": "assistant", "content": "It rains."},
        user("And what did I ask the foreign model?"),
    ]
    answer = client.chat.completions.create(model="sonnet", messages=messages, tools=TOOLS)
    assert answer.choices[0].finish_reason == "stop"
    (body,) = model.asked("the foreign model")
    kinds = [block["type"] for message in body["messages"] for block in message["content"] if block != message]
    assert "tool_use" in kinds
    assert "tool_result" in kinds


def test_text_comes_before_the_calls(client: OpenAI) -> None:
    asked = f"[[offline: text-and-calls]]{PARIS}"
    first = client.chat.completions.create(model="sonnet", messages=[user(asked)], tools=TOOLS)
    assert first.choices[0].message.content == "I will call get_weather."
    (call,) = calls_of(first)
    again = client.chat.completions.with_raw_response.create(
        model="sonnet", messages=[user(asked), as_sent_back(first), result(call.id, "Sun")], tools=TOOLS
    )
    assert again.headers["X-Session-Start"] == "live"


def test_an_empty_result_is_a_result(client: OpenAI) -> None:
    first = client.chat.completions.create(model="sonnet", messages=[user(PARIS)], tools=TOOLS)
    (call,) = calls_of(first)
    second = client.chat.completions.create(
        model="sonnet", messages=[user(PARIS), as_sent_back(first), result(call.id, "")], tools=TOOLS
    )
    assert second.choices[0].finish_reason == "stop"


def test_a_user_may_add_to_the_results(client: OpenAI) -> None:
    first = client.chat.completions.create(model="sonnet", messages=[user(PARIS)], tools=TOOLS)
    (call,) = calls_of(first)
    messages = [user(PARIS), as_sent_back(first), result(call.id, "Sun"), user("Remember the number 42.")]
    second = client.chat.completions.create(model="sonnet", messages=messages, tools=TOOLS)
    assert second.choices[0].finish_reason == "stop"
    third = client.chat.completions.create(
        model="sonnet",
        messages=[*messages, as_sent_back(second), user("What number did I ask you to remember?")],
        tools=TOOLS,
    )
    assert "42" in (third.choices[0].message.content or "")


# Which of them


@pytest.mark.parametrize(
    ("choice", "called"),
    [
        ("none", []),
        ("auto", []),
        ({"type": "function", "function": {"name": "get_time"}}, ["get_time"]),
        ({"type": "function", "function": {"name": "get_weather"}}, ["get_weather"]),
    ],
)
def test_the_choice_of_tools(client: OpenAI, choice: ChatCompletionToolChoiceOptionParam, called: list[str]) -> None:
    answer = client.chat.completions.create(model="sonnet", messages=[user("Hello.")], tools=TOOLS, tool_choice=choice)
    assert [name for name, _ in named(calls_of(answer))] == called


def test_a_call_can_be_required(client: OpenAI) -> None:
    answer = client.chat.completions.create(
        model="sonnet", messages=[user("Hello.")], tools=TOOLS, tool_choice="required"
    )
    assert len(calls_of(answer)) == 1


def test_none_means_none_whatever_the_user_says(client: OpenAI) -> None:
    answer = client.chat.completions.create(model="sonnet", messages=[user(PARIS)], tools=TOOLS, tool_choice="none")
    assert calls_of(answer) == []


def test_the_choice_can_change_from_turn_to_turn(client: OpenAI) -> None:
    first = client.chat.completions.create(model="sonnet", messages=[user("Hi.")], tools=TOOLS, tool_choice="required")
    (call,) = calls_of(first)
    second = client.chat.completions.with_raw_response.create(
        model="sonnet",
        messages=[user("Hi."), as_sent_back(first), result(call.id, "Sun")],
        tools=TOOLS,
        tool_choice="none",
    )
    assert second.headers["X-Session-Start"] == "live"
    assert second.parse().choices[0].message.content == "The tool answered: Sun"


def test_one_call_at_a_time(client: OpenAI) -> None:
    answer = client.chat.completions.create(
        model="sonnet", messages=[user(PARIS + ROME)], tools=TOOLS, parallel_tool_calls=False
    )
    assert named(calls_of(answer)) == [("get_weather", {"city": "Paris"})]


# Streams


def streamed(client: OpenAI, text: str, **more: Any) -> tuple[list[ChatCompletionChunk], dict[int, dict[str, str]]]:
    """The chunks, and the calls put together as a client does it by hand."""
    stream: openai.Stream[ChatCompletionChunk] = client.chat.completions.create(
        model="sonnet", messages=[user(text)], tools=TOOLS, stream=True, **more
    )
    chunks = list(stream)
    calls: dict[int, dict[str, str]] = {}
    for chunk in chunks:
        type(chunk).model_validate(chunk.to_dict(), strict=True)
        for delta in chunk.choices[0].delta.tool_calls or [] if chunk.choices else []:
            assert delta.function is not None
            if delta.index not in calls:
                assert delta.index == len(calls)
                assert (delta.type, delta.function.arguments) == ("function", "")
                assert delta.id
                assert delta.function.name
                calls[delta.index] = {"id": delta.id, "name": delta.function.name, "arguments": ""}
            else:
                assert delta.id is None
                assert delta.function.name is None
                calls[delta.index]["arguments"] += delta.function.arguments or ""
    return chunks, calls


def test_streamed_calls_put_together(client: OpenAI) -> None:
    chunks, calls = streamed(client, PARIS + ROME + ZONE)
    assert [(call["name"], json.loads(call["arguments"])) for call in calls.values()] == [
        ("get_weather", {"city": "Paris"}),
        ("get_weather", {"city": "Rome"}),
        ("get_time", {"zone": "UTC"}),
    ]
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices[0].finish_reason] == ["tool_calls"]


def test_a_call_without_arguments_has_an_empty_object(client: OpenAI) -> None:
    bare: list[ChatCompletionToolParam] = [{"type": "function", "function": {"name": "ping"}}]
    with client.chat.completions.stream(
        model="sonnet", messages=[user("[[offline: call ping {}]]")], tools=bare
    ) as stream:
        final = stream.get_final_completion()
    assert [call.function.arguments for call in final.choices[0].message.tool_calls or []] == ["{}"]


def test_a_stream_and_a_whole_answer_say_the_same(client: OpenAI) -> None:
    asked = f"[[offline: text-and-calls]]{PARIS}{ZONE}"
    chunks, calls = streamed(client, asked)
    whole = client.chat.completions.create(model="sonnet", messages=[user(asked)], tools=TOOLS)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == whole.choices[0].message.content
    assert [(call["name"], json.loads(call["arguments"])) for call in calls.values()] == named(calls_of(whole))


def test_the_streaming_helper_sees_the_calls(client: OpenAI) -> None:
    events: list[ChatCompletionStreamEvent[None]] = []
    with client.chat.completions.stream(
        model="sonnet",
        messages=[user(PARIS + ZONE)],
        tools=[openai.pydantic_function_tool(Weather, name="get_weather"), TIME],
    ) as stream:
        events.extend(stream)
        final = stream.get_final_completion()
    made = final.choices[0].message.tool_calls or []
    assert [call.function.name for call in made] == ["get_weather", "get_time"]
    assert made[0].function.parsed_arguments == Weather(city="Paris")
    assert [event.name for event in events if event.type == "tool_calls.function.arguments.done"] == [
        "get_weather",
        "get_time",
    ]


def test_a_streamed_answer_can_be_sent_back(client: OpenAI) -> None:
    _, calls = streamed(client, PARIS)
    call = calls[0]
    function = {"name": call["name"], "arguments": call["arguments"]}
    made: Any = {"role": "assistant", "tool_calls": [{"id": call["id"], "type": "function", "function": function}]}
    raw = client.chat.completions.with_raw_response.create(
        model="sonnet", messages=[user(PARIS), made, result(call["id"], "Sun")], tools=TOOLS
    )
    assert raw.parse().choices[0].message.content == "The tool answered: Sun"
    assert raw.headers["X-Session-Start"] == "live"


def test_a_retry_with_a_key_gets_the_same_calls(client: OpenAI) -> None:
    key = {"Idempotency-Key": "tools-once"}
    first = client.chat.completions.create(model="sonnet", messages=[user(PARIS)], tools=TOOLS, extra_headers=key)
    second = client.chat.completions.with_raw_response.create(
        model="sonnet", messages=[user(PARIS)], tools=TOOLS, extra_headers=key
    )
    assert second.headers["Idempotent-Replayed"] == "true"
    assert second.parse().choices[0].message.tool_calls == first.choices[0].message.tool_calls


# Structured output


class Weather(BaseModel):
    """What a tool takes."""

    city: str


class Day(BaseModel):
    """What an answer must be."""

    city: str
    degrees: int
    hours: list[Weather]


def test_an_answer_of_a_schema_parses(client: OpenAI) -> None:
    parsed = client.chat.completions.parse(
        model="sonnet", messages=[user("What is it like in Paris?")], response_format=Day
    )
    choice = parsed.choices[0]
    assert choice.finish_reason == "stop"
    assert isinstance(choice.message.parsed, Day)
    assert choice.message.refusal is None
    assert not choice.message.tool_calls


def test_a_structured_answer_streams(client: OpenAI) -> None:
    with client.chat.completions.stream(
        model="sonnet", messages=[user("What is it like in Rome?")], response_format=Day
    ) as stream:
        text = "".join(event.delta for event in stream if event.type == "content.delta")
        final = stream.get_final_completion()
    assert isinstance(final.choices[0].message.parsed, Day)
    assert text == final.choices[0].message.content


@pytest.mark.parametrize(
    "noted",
    [
        {"$schema": "https://json-schema.org/draft/2020-12/schema"},
        {"$schema": "http://json-schema.org/draft-07/schema#", "title": "Day", "examples": [{"city": "Rome"}]},
        {"x-from": "OpenAPI", "example": {"city": "Rome"}, "if": {"required": ["city"]}},
        {
            "discriminator": {"propertyName": "city"},
            "$id": "https://example.com/day",
            "$comment": "as Zod and Pydantic",
        },
    ],
)
def test_what_libraries_write_into_schemas_is_taken(client: OpenAI, noted: dict[str, Any]) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], **noted}
    completion = client.chat.completions.create(
        model="sonnet",
        messages=[user('What is it like in "Paris"?')],
        response_format={"type": "json_schema", "json_schema": {"name": "day", "schema": schema}},
    )
    assert completion.choices[0].message.refusal is None
    assert json.loads(completion.choices[0].message.content or "") == {"city": "Paris"}


def test_any_object_will_do(client: OpenAI) -> None:
    answer = client.chat.completions.create(
        model="sonnet", messages=[user("Tell me in JSON.")], response_format={"type": "json_object"}
    )
    assert isinstance(json.loads(answer.choices[0].message.content or ""), dict)


def test_a_structured_conversation_goes_on(client: OpenAI) -> None:
    messages = [user("Remember the number 42.")]
    first = client.chat.completions.parse(model="sonnet", messages=messages, response_format=Day)
    messages += [as_sent_back(first), user("What number did I ask you to remember?")]
    second = client.chat.completions.create(model="sonnet", messages=messages)
    assert "42" in (second.choices[0].message.content or "")


def test_a_model_that_declines_refuses(client: OpenAI) -> None:
    asked = [user("[[offline: prose]] Say it.")]
    parsed = client.chat.completions.parse(model="sonnet", messages=asked, response_format=Day)
    assert parsed.choices[0].message.refusal
    assert parsed.choices[0].message.content is None
    assert parsed.choices[0].message.parsed is None
    assert parsed.choices[0].finish_reason == "stop"
    with client.chat.completions.stream(model="sonnet", messages=asked, response_format=Day) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].message.refusal == parsed.choices[0].message.refusal
    assert not final.choices[0].message.content


# Options


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_an_answer_ends_at_its_limit(client: OpenAI, name: str) -> None:
    limit: Any = {name: 20}
    answer = client.chat.completions.create(
        model="sonnet", messages=[user("[[offline: words 500]]")], reasoning_effort="none", **limit
    )
    assert answer.choices[0].finish_reason == "length"
    assert (answer.choices[0].message.content or "").startswith("word1 ")
    assert "word100" not in (answer.choices[0].message.content or "")


@pytest.mark.parametrize("stop", ["word3", ["word9", "word3"]])
def test_an_answer_ends_before_a_stop_text(client: OpenAI, stop: str | list[str]) -> None:
    answer = client.chat.completions.create(model="sonnet", messages=[user("[[offline: words 20]]")], stop=stop)
    assert (answer.choices[0].message.content or "").split() == ["word1", "word2"]
    assert answer.choices[0].finish_reason == "stop"


def test_options_hold_for_their_turn_alone(client: OpenAI, gateway: Gateway) -> None:
    same: Any = {"conversation_id": "tools-options"}
    asked = [user("[[offline: words 6]]")]
    client.chat.completions.create(model="sonnet", messages=asked, stop="word3", extra_body=same)
    pid = gateway.pid("tools-options")
    answer = client.chat.completions.create(model="sonnet", messages=asked, extra_body=same)
    assert (answer.choices[0].message.content or "").endswith("word6")
    assert gateway.pid("tools-options") == pid


@pytest.mark.parametrize(
    ("asked", "sent"), [("low", "low"), ("minimal", "low"), ("medium", "medium"), ("high", "high"), ("none", "low")]
)
def test_the_effort_reaches_the_model(client: OpenAI, asked: Any, sent: str) -> None:
    answer = client.chat.completions.create(
        model="sonnet", messages=[user("What is your effort?")], reasoning_effort=asked
    )
    assert f"My effort is {sent}." in (answer.choices[0].message.content or "")


# What is refused


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools[0].type"),
        ({"tools": [WEATHER, WEATHER]}, "tools[1].function.name"),
        ({"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "x"}}}, "tool_choice.function.name"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"parallel_tool_calls": False}, "parallel_tool_calls"),
        ({"functions": [{"name": "f"}]}, "functions"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}},
            "response_format.json_schema.schema",
        ),
        ({"reasoning_effort": "extreme"}, "reasoning_effort"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 5, "max_completion_tokens": 5}, "max_completion_tokens"),
        ({"stop": [" "]}, "stop"),
    ],
)
def test_what_cannot_be_had_is_named(client: OpenAI, more: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model="sonnet", messages=[user("Hi")], **more)
    assert refused.value.param == param


def test_a_call_without_its_result_is_named(client: OpenAI) -> None:
    first = client.chat.completions.create(model="sonnet", messages=[user(PARIS + ZONE)], tools=TOOLS)
    one, other = calls_of(first)
    with pytest.raises(openai.BadRequestError, match=other.id) as refused:
        client.chat.completions.create(
            model="sonnet", messages=[user(PARIS + ZONE), as_sent_back(first), result(one.id, "x")], tools=TOOLS
        )
    assert refused.value.param == "messages[1].tool_calls"
