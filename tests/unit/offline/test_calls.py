"""Which tools it calls: within `tool_choice`, by directives, and after results."""

from __future__ import annotations

from typing import Any

import pytest

from claude_code_api.offline.calls import refusal
from claude_code_api.offline.dialogue import Body
from claude_code_api.offline.mind import answer
from tests.unit.offline.requests import CLOCK, WEATHER, answered, calls, heard, said

BASH: Body = {"name": "Bash", "input_schema": {"type": "object", "properties": {"command": {"type": "string"}}}}
AGE = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
OUTPUT: Body = {"name": "StructuredOutput", "input_schema": AGE}
TOOLS = [BASH, WEATHER, {**CLOCK, "name": "mcp__client__get_time"}, OUTPUT]
CLIENT = TOOLS[:3]


def called(body: Body) -> list[str]:
    return [name for name, _ in calls(answer(body))]


def test_it_calls_a_tool_whose_subject_the_user_names() -> None:
    tools = [BASH, {**WEATHER, "name": "mcp__client__get_weather"}, {**CLOCK, "name": "mcp__client__search_files"}]
    assert called(said("What's the weather like in San Francisco?", tools=tools)) == ["mcp__client__get_weather"]
    assert called(said("What did you search, and why bash?", tools=tools)) == ["Bash"]
    assert called(said("Whether it rains is all I ask.", tools=tools)) == []


# tool_choice


def test_none_calls_nothing() -> None:
    body = said("Call get_weather [[offline: calls 2]]", tools=TOOLS, tool_choice={"type": "none"})
    assert called(body) == []
    assert answer(body).stop_reason == "end_turn"


def test_any_calls_one_even_unasked() -> None:
    body = said("Hello", tools=CLIENT, tool_choice={"type": "any"})
    assert called(body) == ["mcp__client__get_weather"]
    assert called(said("Call get_time", tools=CLIENT, tool_choice={"type": "any"})) == ["mcp__client__get_time"]


def test_a_tool_that_is_chosen_is_called_whatever_the_text_names() -> None:
    choice = {"type": "tool", "name": "mcp__client__get_time"}
    body = said("Call get_weather in Paris [[offline: calls 2]]", tools=CLIENT, tool_choice=choice)
    assert called(body) == ["mcp__client__get_time"] * 2
    spelled = said('Go [[offline: call get_weather {"city": "Oslo"}]]', tools=CLIENT, tool_choice=choice)
    assert calls(answer(spelled)) == [("mcp__client__get_time", {})]
    assert called(said("Go", tools=TOOLS, tool_choice={"type": "tool", "name": "Bash"})) == ["Bash"]


@pytest.mark.parametrize("kind", ["auto", "any"])
@pytest.mark.parametrize("text", ["Call both get_weather and get_time", "[[offline: calls 4]]"])
def test_parallel_calls_can_be_forbidden(kind: str, text: str) -> None:
    choice = {"type": kind, "disable_parallel_tool_use": True}
    assert len(called(said(text, tools=CLIENT, tool_choice=choice))) == 1


@pytest.mark.parametrize("choice", [{"type": "any"}, {"type": "tool", "name": "mcp__client__get_weather"}])
def test_it_calls_again_after_a_result_when_it_must(choice: Body) -> None:
    body = answered(said("Hello", tools=CLIENT, tool_choice=choice), "rain")
    assert called(body) == ["mcp__client__get_weather"]
    assert answer(body).blocks[0]["id"] != body["messages"][1]["content"][0]["id"]
    assert heard({**body, "tool_choice": {"type": "auto"}}) == "The tool answered: rain"


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        ({"tool_choice": {"type": "any"}}, "may only be specified while providing tools"),
        ({"tool_choice": {"type": "tool", "name": "nobody"}, "tools": CLIENT}, "Tool 'nobody' not found"),
        (
            {"tool_choice": {"type": "any"}, "tools": CLIENT, "thinking": {"type": "enabled", "budget_tokens": 1024}},
            "Thinking may not be enabled",
        ),
        ({"stop_sequences": ["END", " "]}, "must contain non-whitespace"),
    ],
)
def test_what_the_api_would_not_take_is_refused(request_: Body, reason: str) -> None:
    assert reason in str(refusal(said("Hello", **request_)))


def test_what_the_api_takes_is_not_refused() -> None:
    assert refusal(said("Hello")) is None
    assert refusal(said("Hello", tools=CLIENT, tool_choice={"type": "any"}, stop_sequences=["END"])) is None
    assert refusal(said("Hello", tool_choice={"type": "auto"}, thinking={"type": "enabled"})) is None


# Directives


def test_many_calls_go_round_the_tools_of_the_client() -> None:
    reply = answer(said("Paris, please [[offline: calls 5]]", tools=TOOLS))
    weather, clock = "mcp__client__get_weather", "mcp__client__get_time"
    assert [name for name, _ in calls(reply)] == [weather, clock, weather, clock, weather]
    assert len({block["id"] for block in reply.blocks}) == 5


def test_without_bridged_tools_all_but_structured_output_are_the_clients() -> None:
    assert called(said("[[offline: calls 3]]", tools=[BASH, OUTPUT, CLOCK])) == ["Bash", "get_time", "Bash"]


def test_what_the_cli_offers_for_itself_is_not_called() -> None:
    placeholder = {**CLOCK, "name": "DeferredToolPlaceholder"}
    assert called(said("[[offline: calls 2]]", tools=[placeholder, OUTPUT])) == ["StructuredOutput"]


def test_calls_that_are_spelled_out_are_made_as_they_stand() -> None:
    text = 'Go [[offline: call get_weather {"city": "A]] [B"}]] [[offline: call Bash {"command": "ls"}]]'
    assert calls(answer(said(text, tools=TOOLS))) == [
        ("mcp__client__get_weather", {"city": "A]] [B"}),
        ("Bash", {"command": "ls"}),
    ]


def test_a_call_without_arguments_takes_them_from_the_text() -> None:
    body = said("The weather in Paris [[offline: call get_weather]]", tools=TOOLS)
    assert calls(answer(body)) == [("mcp__client__get_weather", {"city": "Paris"})]


@pytest.mark.parametrize("name", ["look__up", "mcp__my_server__look__up"])
def test_a_tool_is_found_by_its_own_name_or_the_whole(name: str) -> None:
    tool = {**CLOCK, "name": "mcp__my_server__look__up"}
    assert called(said(f"[[offline: call {name} {{}}]]", tools=[CLOCK, tool])) == ["mcp__my_server__look__up"]


def test_a_tool_that_is_not_there_is_said_to_be_missing() -> None:
    body = said("[[offline: call fly {}]]", tools=CLIENT)
    assert heard(body) == "I have no tool named fly."


def test_a_sentence_can_come_before_the_calls() -> None:
    text = "Call both get_weather and get_time [[offline: text-and-calls]]"
    reply = answer(said(text, tools=CLIENT))
    assert [block["type"] for block in reply.blocks] == ["text", "tool_use", "tool_use"]
    assert reply.blocks[0]["text"] == "I will call get_weather and get_time."
    assert reply.stop_reason == "tool_use"
    forced = answer(said(text, tools=CLIENT, tool_choice={"type": "any"}))
    assert {block["type"] for block in forced.blocks} == {"tool_use"}


def test_thinking_comes_before_the_calls() -> None:
    reply = answer(said("[[offline: think]] [[offline: calls 1]] [[offline: text-and-calls]]", tools=CLIENT))
    assert [block["type"] for block in reply.blocks] == ["thinking", "text", "tool_use"]


# After results


def test_a_directive_is_spent_when_its_results_have_come() -> None:
    body = answered(said("[[offline: call get_time {}]] [[offline: calls 2]]", tools=CLIENT), "noon", "rain", "night")
    assert heard(body) == "The tool answered: noon; rain; night"
    assert called(body) == []


def test_results_are_told_in_the_order_of_the_calls() -> None:
    body = answered(said("[[offline: calls 3]]", tools=CLIENT), "a", "b", "c")
    results = body["messages"][-1]["content"]
    results.reverse()
    assert heard(body) == "The tool answered: a; b; c"
    apart = [{"role": "user", "content": [result]} for result in results]
    assert heard({**body, "messages": [*body["messages"][:-1], *apart]}) == "The tool answered: a; b; c"


def test_a_directive_beside_the_results_is_a_new_one() -> None:
    body = answered(said("[[offline: calls 1]]", tools=CLIENT), "rain")
    body["messages"][-1]["content"].append({"type": "text", "text": "[[offline: call get_time {}]]"})
    assert called(body) == ["mcp__client__get_time"]


# StructuredOutput


def failed(body: Body) -> Body:
    return answered(body, "Output does not match the schema", is_error=True)


def test_output_misses_its_schema_as_often_as_asked() -> None:
    body = said("Ada is 36 [[offline: bad-output 2]]", tools=TOOLS)
    ages: list[Any] = []
    for _ in range(3):
        ((name, arguments),) = calls(answer(body))
        assert name == "StructuredOutput"
        ages.append(arguments["age"])
        body, before = failed(body), body
    assert not isinstance(ages[0], int)
    assert not isinstance(ages[1], int)
    assert ages[2] == 36
    done = answered(before, "Structured output provided successfully")
    assert calls(answer(done)) == []


def test_attempts_are_counted_from_the_last_thing_the_user_said() -> None:
    body = failed(said("Ada is 36 [[offline: bad-output 1]]", tools=TOOLS))
    again: Body = {"role": "user", "content": "Bob is 40 [[offline: bad-output 1]]"}
    body = {**body, "messages": [*body["messages"], {"role": "assistant", "content": "No."}, again]}
    ((_, arguments),) = calls(answer(body))
    assert not isinstance(arguments["age"], int)


def test_prose_does_without_structured_output() -> None:
    body = said("Ada is 36 [[offline: prose]]", tools=TOOLS)
    assert heard(body).endswith("You said: Ada is 36")
    assert called({**body, "tool_choice": {"type": "tool", "name": "StructuredOutput"}}) == ["StructuredOutput"]


def test_the_cli_cannot_talk_it_out_of_prose() -> None:
    body = said("Ada is 36 [[offline: prose]]", "No.", "[structured-output-enforce] You MUST call it.", tools=TOOLS)
    assert heard(body).endswith("You said: Ada is 36")


def test_asked_by_the_cli_it_gives_what_the_user_said() -> None:
    body = said("Ada is 36", "No.", "[structured-output-enforce] You MUST call it.", tools=TOOLS)
    assert calls(answer(body)) == [("StructuredOutput", {"age": 36})]


def test_the_output_comes_after_the_results_of_other_tools() -> None:
    body = answered(said("Ada is 36 [[offline: calls 2]]", tools=TOOLS), "rain", "noon")
    assert calls(answer(body)) == [("StructuredOutput", {"age": 36})]
