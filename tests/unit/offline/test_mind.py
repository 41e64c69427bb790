"""What the offline model says: it remembers, calls tools, meets schemas and misbehaves when asked."""

from __future__ import annotations

import base64

import pytest

from claude_code_api.offline.dialogue import Body, last_text
from claude_code_api.offline.mind import answer
from claude_code_api.offline.tokens import count_tokens
from tests.unit.offline.requests import CLOCK, WEATHER, calls, heard, said

# Memory


def test_it_remembers_a_number() -> None:
    told = "Remember the number 42."
    assert "42" in heard(said(told))
    assert "42" in heard(said(told, "I will.", "Which number did I ask you to remember?"))


def test_it_does_not_know_what_it_was_not_told() -> None:
    assert "42" not in heard(said("Which number did I ask you to remember?"))
    assert "have not told me" in heard(said("What is my name?"))


@pytest.mark.parametrize(
    ("told", "asked", "known"),
    [
        ("My name is Ada.", "What is my name?", "Ada"),
        ("Please remember: my name is Ada", "What is my name?", "Ada"),
        ("My favourite colour is green.", "What is my favourite colour?", "green"),
        ("Please remember the word “banana”.", "Tell me what you remember", "banana"),
    ],
)
def test_it_knows_what_it_was_told(told: str, asked: str, known: str) -> None:
    assert known in heard(said(told, "I will.", asked))


def test_the_last_word_counts() -> None:
    dialogue = said("Remember the number 1.", "Yes.", "Remember the number 2.", "Yes.", "Which number is it?")
    assert "2" in heard(dialogue)
    assert "1" not in heard(dialogue)


def test_it_tells_apart_what_it_remembers() -> None:
    told = said("Remember the number 7. Remember the colour red.", "Yes.", "What is the number?")
    assert "7" in heard(told)
    assert "red" not in heard(told)


def test_it_lists_everything_in_order() -> None:
    told = ["Remember the number 1.", "Yes.", "Remember the number 2.", "Yes.", "List everything I asked you to keep."]
    assert "1, 2" in heard(said(*told))


def test_a_question_tells_it_nothing() -> None:
    dialogue = said("Do you remember the number 9?", "No.", "List everything.")
    assert "9" not in heard(dialogue)


def test_what_it_said_itself_is_not_what_it_was_told() -> None:
    dialogue = said("Hello", "Remember the number 13.", "Which number did I ask you to remember?")
    assert heard(dialogue) == "You have not told me that."


def test_it_knows_the_first_thing_that_was_said() -> None:
    dialogue = said("Good morning to you", "Hello.", "And again", "Yes?", "What did I say first?")
    assert heard(dialogue) == "The first thing you said was: Good morning to you"


def test_it_knows_its_own_last_answer() -> None:
    assert heard(said("Hi", "Hello Ada.", "What was your last answer?")) == "My last answer was: Hello Ada."


def test_otherwise_it_says_what_it_is_and_what_it_heard() -> None:
    text = heard(said("Tales of the sea"))
    assert "offline model" in text
    assert text.endswith("You said: Tales of the sea")


def test_the_reminders_of_the_cli_are_not_what_the_user_said() -> None:
    reminder = {"type": "text", "text": "<system-reminder>Remember the number 13.</system-reminder>"}
    blocks = [reminder, {"type": "text", "text": "Hello"}]
    body: Body = {"messages": [{"role": "user", "content": blocks}]}
    assert last_text(body) == "Hello"
    assert "13" not in heard(body)


def test_the_same_request_has_the_same_answer() -> None:
    body = said("Remember the number 42.", "Yes.", "Use the tool get_weather for Paris", tools=[WEATHER])
    assert answer(body) == answer(body)


# Tools


def test_it_calls_the_tool_that_it_is_asked_to() -> None:
    reply = answer(said("Call get_weather for Paris", tools=[WEATHER, CLOCK]))
    assert reply.stop_reason == "tool_use"
    assert calls(reply) == [("mcp__client__get_weather", {"city": "Paris"})]


def test_it_calls_none_unasked() -> None:
    reply = answer(said("Hello", tools=[WEATHER, CLOCK]))
    assert reply.stop_reason == "end_turn"
    assert calls(reply) == []


def test_it_calls_two_tools_at_once() -> None:
    reply = answer(said("Call both get_weather and get_time", tools=[WEATHER, CLOCK]))
    assert [name for name, _ in calls(reply)] == ["mcp__client__get_weather", "get_time"]
    assert len({block["id"] for block in reply.blocks}) == 2


def test_it_calls_one_tool_twice_at_once() -> None:
    reply = answer(said("Call get_weather in parallel for Paris and for Rome", tools=[WEATHER]))
    assert [arguments for _, arguments in calls(reply)] == [{"city": "Paris"}, {"city": "Rome"}]


def test_it_answers_with_what_the_tool_said() -> None:
    body = said("Call get_weather for Paris", tools=[WEATHER])
    result = {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "18 degrees"}]}
    body["messages"] += [{"role": "assistant", "content": []}, {"role": "user", "content": [result]}]
    assert heard(body) == "The tool answered: 18 degrees"


def test_a_note_of_the_cli_behind_the_result_does_not_hide_it() -> None:
    body = said("Call get_weather for Paris", tools=[WEATHER])
    result = {"type": "tool_result", "tool_use_id": "t", "content": "rain"}
    note = {"role": "system", "content": "A note."}
    body["messages"] += [{"role": "assistant", "content": []}, {"role": "user", "content": [result]}, note]
    assert heard(body) == "The tool answered: rain"


def test_structured_output_is_given_unasked() -> None:
    schema = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
    structured: Body = {"name": "StructuredOutput", "input_schema": schema}
    reply = answer(said("Ada is 36", tools=[WEATHER, structured]))
    assert calls(reply) == [("StructuredOutput", {"age": 36})]


# Images and thinking


def test_it_sees_an_image() -> None:
    source = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(b"x" * 12).decode()}
    blocks = [{"type": "image", "source": source}, {"type": "text", "text": "Look"}]
    body: Body = {"messages": [{"role": "user", "content": blocks}]}
    assert heard(body) == "I see an image (image/png, 12 bytes)."
    source["data"] = "%%%"
    assert "cannot be read" in heard(body)


def test_it_sees_documents() -> None:
    blocks: list[Body] = [
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": ""},
            "title": "a.pdf",
        },
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "words"}},
    ]
    body: Body = {"messages": [{"role": "user", "content": blocks}]}
    assert heard(body) == "I see a document (a.pdf, application/pdf) and a document (without a title, 5 characters)."


@pytest.mark.parametrize(
    ("thinking", "text", "thinks"),
    [
        ({"type": "enabled", "budget_tokens": 1024}, "Hello", True),
        ({"type": "adaptive"}, "Hello", False),
        ({"type": "adaptive"}, "Think about it", True),
        (None, "Think about it", False),
    ],
)
def test_it_thinks_when_it_may(thinking: Body | None, text: str, thinks: bool) -> None:
    kinds = [block["type"] for block in answer(said(text, thinking=thinking)).blocks]
    assert kinds == (["thinking", "text"] if thinks else ["text"])


# Directives


def test_a_long_answer_can_be_asked_for() -> None:
    words = heard(said("[[offline: words 50]]")).split()
    assert len(words) == len(set(words)) == 50


@pytest.mark.parametrize(("name", "stop"), [("refuse", "refusal"), ("cut", "max_tokens")])
def test_other_ends_of_an_answer_can_be_asked_for(name: str, stop: str) -> None:
    assert answer(said(f"[[offline: {name}]]")).stop_reason == stop


def test_a_directive_holds_for_one_turn() -> None:
    assert answer(said("[[offline: refuse]]", "No.", "And now?")).stop_reason == "end_turn"


# Tokens


def test_in_a_live_conversation_what_came_before_is_read_from_the_cache() -> None:
    first = answer(said("Hello there", system="Be kind")).usage
    later = answer(said("Hello there", "Hello.", "Bye", system="Be kind")).usage
    assert first["cache_read_input_tokens"] == 0
    assert later["cache_read_input_tokens"] > 0
    assert later["input_tokens"] < first["input_tokens"]


def test_more_text_is_more_tokens() -> None:
    assert count_tokens("x" * 400) > count_tokens("x" * 40) > 0
    usage = [answer(said(f"[[offline: words {words}]]")).usage["output_tokens"] for words in (10, 100)]
    assert usage[1] > usage[0]


# What the request carried


@pytest.mark.parametrize(
    ("asked", "carried", "told"),
    [
        ("What is your effort?", {"output_config": {"effort": "low"}}, "My effort is low."),
        ("what's your effort", {"effort": "high"}, "My effort is high."),
        ("What is your effort?", {}, "My effort is not set."),
        ("What is your temperature?", {"temperature": 0.2}, "My temperature is 0.2."),
        ("What is your temperature?", {"temperature": 0}, "My temperature is 0."),
        ("What is your top_p?", {"top_p": 0.9}, "My top_p is 0.9."),
        ("What is your max_tokens?", {"max_tokens": 32000}, "My max_tokens is 32000."),
        ("What is your model?", {}, "My model is m."),
        ("What is your thinking?", {"thinking": {"type": "adaptive"}}, 'My thinking is {"type": "adaptive"}.'),
        (
            "What is your effort? What is your max_tokens?",
            {"effort": "low", "max_tokens": 99},
            "My effort is low. My max_tokens is 99.",
        ),
        ("What tools do you have?", {"tools": [WEATHER, CLOCK]}, "My tools are: mcp__client__get_weather, get_time."),
        ("What tools do you have?", {}, "I have no tools."),
    ],
)
def test_it_says_what_it_was_sent(asked: str, carried: Body, told: str) -> None:
    assert heard(said(asked, **carried)) == told


def test_what_is_asked_in_a_directive_is_not_said_to_the_model() -> None:
    body = said("Remember the word plum [[offline: delay 0]]", "I will.", "Which word did I ask you to remember?")
    assert heard(body) == "The word is plum: you asked me to remember it."


def test_it_thinks_unasked_on_request() -> None:
    reply = answer(said("Hello [[offline: think]]"))
    assert [block["type"] for block in reply.blocks] == ["thinking", "text"]
    assert reply.usage["output_tokens_details"] == {"thinking_tokens": count_tokens(reply.blocks[0]["thinking"])}
    assert "output_tokens_details" not in answer(said("Hello")).usage
