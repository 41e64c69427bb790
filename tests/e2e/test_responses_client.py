"""The official OpenAI client for Python on `/v1/responses`, over a real socket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Literal

import openai
import pytest
from httpx2 import Headers
from openai import OpenAI
from openai.types.responses import FunctionToolParam, Response, ResponseFunctionToolCall, ResponseReasoningItem
from pydantic import BaseModel

from tests.chat import Tap, shown
from tests.conftest import Model
from tests.gateway import Gateway
from tests.images import data_url, png
from tests.items import check_item
from tests.official import checked, listed, plain, said, seen, system_of, told_by

Json = dict[str, Any]


class City(BaseModel):
    name: str
    inhabitants: int


def tool(name: str, **properties: str) -> FunctionToolParam:
    return {
        "type": "function",
        "name": name,
        "description": f"Does {name}.",
        "strict": True,
        "parameters": {
            "type": "object",
            "properties": {key: {"type": kind} for key, kind in properties.items()},
            "required": list(properties),
            "additionalProperties": False,
        },
    }


TOOLS = [tool("get_weather", city="string"), tool("get_time", zone="string")]
PARIS = '[[offline: call get_weather {"city": "Paris"}]]'
ZONE = '[[offline: call get_time {"zone": "UTC"}]]'


@pytest.fixture
def client(gateway: Gateway) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{gateway.url}/v1", api_key="unused", max_retries=0) as client:
        yield client


@pytest.fixture
def tap(model: Model) -> Tap:
    return Tap(model)


def ask(client: OpenAI, text: Any, **more: Any) -> tuple[Response, Headers]:
    """A whole response, checked, and its headers."""
    raw = client.responses.with_raw_response.create(**{"model": "sonnet", "input": text, **more})
    return checked(raw.parse()), raw.headers


def go_on(client: OpenAI, response: Response, text: Any, **more: Any) -> tuple[Response, Headers]:
    return ask(client, text, previous_response_id=response.id, **more)


def calls_of(response: Response) -> list[ResponseFunctionToolCall]:
    return [item for item in response.output if isinstance(item, ResponseFunctionToolCall)]


def outputs(response: Response, *texts: str) -> list[Json]:
    pairs = zip(calls_of(response), texts, strict=True)
    return [{"type": "function_call_output", "call_id": call.call_id, "output": text} for call, text in pairs]


def user(text: str) -> Json:
    return {"type": "message", "role": "user", "content": text}


# One response


def test_a_response_says_what_was_asked_and_is_kept(client: OpenAI) -> None:
    response, headers = ask(
        client,
        "Hello! Remember the number 42.",
        instructions="Be brief.",
        metadata={"topic": "numbers"},
        user="user-1",
        safety_identifier="safe-1",
        prompt_cache_key="cache-1",
        max_output_tokens=500,
        truncation="disabled",
    )
    assert response.status == "completed"
    assert "42" in response.output_text
    assert response.model.startswith("claude-sonnet")
    assert (response.instructions, response.metadata, response.user) == ("Be brief.", {"topic": "numbers"}, "user-1")
    assert (response.safety_identifier, response.prompt_cache_key) == ("safe-1", "cache-1")
    assert (response.max_output_tokens, response.truncation) == (500, "disabled")
    assert response.usage is not None
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens
    assert headers["X-Conversation-ID"] == (response.model_extra or {})["conversation_id"]
    assert checked(client.responses.retrieve(response.id)) == response


def test_a_stream_ends_with_what_is_kept(client: OpenAI) -> None:
    with client.responses.create(model="sonnet", input="[[offline: words 40]]", stream=True) as stream:
        events = list(stream)
    final = told_by(events)
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert len(deltas) > 1
    assert "".join(deltas) == final.output_text
    assert checked(client.responses.retrieve(final.id)) == final


def test_the_streaming_helper_accumulates(client: OpenAI) -> None:
    with client.responses.stream(model="sonnet", input="[[offline: words 30]]") as stream:
        texts = [event.snapshot for event in stream if event.type == "response.output_text.delta"]
        final = stream.get_final_response()
    assert texts[-1] == final.output_text
    assert final.output_text.startswith("word1 word2")
    assert final.output_text == client.responses.retrieve(final.id).output_text


def test_a_model_of_pydantic_is_filled(client: OpenAI) -> None:
    parsed = client.responses.parse(model="sonnet", input="Which city?", text_format=City)
    assert isinstance(parsed.output_parsed, City)
    kept = checked(client.responses.retrieve(parsed.id))
    assert City.model_validate_json(kept.output_text) == parsed.output_parsed
    with client.responses.stream(model="sonnet", input="Which city?", text_format=City) as stream:
        list(stream)
        assert isinstance(stream.get_final_response().output_parsed, City)


def test_an_answer_that_is_cut_off_is_incomplete(client: OpenAI) -> None:
    response, _ = ask(client, "[[offline: words 400]]", max_output_tokens=20)
    assert response.status == "incomplete"
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"
    assert checked(client.responses.retrieve(response.id)) == response
    again = client.responses.create(model="sonnet", input="[[offline: words 400]]", max_output_tokens=20, stream=True)
    events = list(again)
    assert events[-1].type == "response.incomplete"
    assert told_by(events).status == "incomplete"


def test_an_image_and_a_file_are_shown_and_listed(client: OpenAI, tap: Tap) -> None:
    picture, note = data_url(png()), data_url(b"It rains.", "text/plain")
    content = [
        {"type": "input_text", "text": "What is it?"},
        {"type": "input_image", "image_url": picture, "detail": "auto"},
        {"type": "input_file", "filename": "note.txt", "file_data": note},
    ]
    response, _ = ask(client, [{"role": "user", "content": content}])
    kinds = [one[0] for one in shown(tap.only())]
    assert kinds.count("image") == kinds.count("document") == 1
    (item,) = listed(client.responses.input_items.list(response.id, include=["message.input_image.image_url"]))
    assert [part["type"] for part in item["content"]] == ["input_text", "input_image", "input_file"]
    assert item["content"][1]["image_url"] == picture


def test_thinking_is_told_and_taken_back(client: OpenAI, tap: Tap) -> None:
    asked = user("[[offline: think]] Remember the number 42.")
    more: Any = {"reasoning": {"effort": "high", "summary": "auto"}, "include": ["reasoning.encrypted_content"]}
    first, _ = ask(client, [asked], store=False, **more)
    thought = first.output[0]
    assert isinstance(thought, ResponseReasoningItem)
    assert thought.summary[0].text
    assert thought.encrypted_content
    assert first.reasoning is not None
    assert (first.reasoning.effort, first.reasoning.summary) == ("high", "auto")
    history = [asked, *plain(first)["output"]]
    second, headers = ask(client, [*history, user("Which number?")], store=False, **more)
    assert headers["X-Session-Start"] == "live"
    assert "42" in second.output_text
    tap.take()
    # Claude Code keeps thinking to the model that thought it, by its full name.
    elsewhere, _ = ask(client, [user("Hi."), *history, user("And now?")], store=False, model=first.model, **more)
    assert "42" in elsewhere.output_text
    assert ("thinking", "") in seen(tap.only())
    silent, _ = ask(client, "[[offline: think]] Hello.")
    assert [item.type for item in silent.output] == ["reasoning", "message"]
    assert plain(silent)["output"][0]["summary"] == []
    streamed = client.responses.create(model="sonnet", input="[[offline: think]] Hello.", stream=True, **more)
    assert isinstance(told_by(streamed).output[0], ResponseReasoningItem)


# Functions


@pytest.mark.parametrize(("by", "store"), [("id", True), ("history", True), ("history", False)])
def test_two_calls_and_their_outputs(client: OpenAI, tap: Tap, by: str, store: bool) -> None:
    more: Json = {"tools": TOOLS, "store": store}
    first, _ = ask(client, PARIS + ZONE, **more)
    made = [(call.name, json.loads(call.arguments)) for call in calls_of(first)]
    assert made == [("get_weather", {"city": "Paris"}), ("get_time", {"zone": "UTC"})]
    given = outputs(first, "22 degrees", "noon")
    if by == "id":
        second, headers = go_on(client, first, given, **more)
    else:
        second, headers = ask(client, [user(PARIS + ZONE), *plain(first)["output"], *given], **more)
    assert headers["X-Session-Start"] == "live"
    assert second.output_text == "The tool answered: 22 degrees; noon"
    if store:
        kept = said(listed(client.responses.input_items.list(second.id, order="asc")))
        answered = [("function_call_output", call.call_id) for call in calls_of(first)]
        assert kept[-2:] == answered


def test_calls_are_streamed(client: OpenAI) -> None:
    with client.responses.stream(model="sonnet", input=PARIS + ZONE, tools=TOOLS) as stream:
        events = list(stream)
        final = stream.get_final_response()
    done = [event.arguments for event in events if event.type == "response.function_call_arguments.done"]
    assert [json.loads(one) for one in done] == [{"city": "Paris"}, {"zone": "UTC"}]
    assert [call.arguments for call in final.output if call.type == "function_call"] == done
    told = told_by(client.responses.create(model="sonnet", input=PARIS + ZONE, tools=TOOLS, stream=True))
    assert [call.name for call in calls_of(told)] == ["get_weather", "get_time"]


@pytest.mark.parametrize(
    ("choice", "text", "names"),
    [
        ("none", "What is the weather?", []),
        ("required", "What is the weather?", ["get_weather"]),
        ({"type": "function", "name": "get_time"}, "Hello.", ["get_time"]),
        (
            {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "get_time"}]},
            "What is the weather?",
            ["get_time"],
        ),
    ],
)
def test_the_choice_is_kept_to(client: OpenAI, choice: Any, text: str, names: list[str]) -> None:
    response, _ = ask(client, text, tools=TOOLS, tool_choice=choice, parallel_tool_calls=False)
    assert [call.name for call in calls_of(response)] == names
    assert plain(response)["tool_choice"] == choice
    assert response.parallel_tool_calls is False


# Where it goes on


def test_a_response_goes_on_on_the_live_process(client: OpenAI, gateway: Gateway, tap: Tap) -> None:
    first, headers = ask(client, "Remember the number 42.", instructions="Talk like a pirate.")
    name = headers["X-Conversation-ID"]
    pid = gateway.pid(name)
    second, headers = go_on(client, first, "Which number?", instructions="Talk like a pirate.")
    assert (headers["X-Session-Start"], headers["X-Conversation-ID"]) == ("live", name)
    assert gateway.pid(name) == pid
    assert "42" in second.output_text
    assert second.previous_response_id == first.id
    tap.take()
    third, _ = go_on(client, second, "And now?")
    body = tap.only()
    assert third.instructions is None
    assert "pirate" not in system_of(body)
    assert [text for role, text in seen(body) if role == "user"] == [
        "Remember the number 42.",
        "Which number?",
        "And now?",
    ]


def test_two_branches_of_one_response(client: OpenAI, tap: Tap) -> None:
    root, headers = ask(client, "Remember the word root.")
    left, _ = go_on(client, root, "Remember the word left.")
    right, other = go_on(client, root, "Remember the word right.")
    assert other["X-Conversation-ID"] != headers["X-Conversation-ID"]
    for tip, word in ((left, "left"), (right, "right"), (root, "")):
        tap.take()
        go_on(client, tip, "What now?")
        told = [text for role, text in seen(tap.only()) if role == "user"]
        assert told == ["Remember the word root.", *([f"Remember the word {word}."] if word else []), "What now?"]


def test_developers_messages_stay(client: OpenAI, tap: Tap) -> None:
    developer = {"role": "developer", "content": "Answer in French."}
    first, _ = ask(client, [developer, user("Hello.")], instructions="Be brief.")
    second, _ = go_on(client, first, [{"role": "system", "content": "Be kind."}, user("Good bye.")])
    tap.take()
    go_on(client, second, "Anything else?")
    system = system_of(tap.only())
    assert "French" in system
    assert "kind" in system
    assert "brief" not in system
    items = said(listed(client.responses.input_items.list(second.id, order="asc")))
    assert items == [("developer", "Be kind."), ("user", "Good bye.")]


def test_a_conversation_is_gone_on_with(client: OpenAI, gateway: Gateway) -> None:
    conversation = client.conversations.create()
    first, headers = ask(client, "Remember the number 42.", conversation=conversation.id)
    assert headers["X-Conversation-ID"] == conversation.id
    assert first.conversation is not None
    assert first.conversation.id == conversation.id
    second, headers = ask(client, "Which number?", conversation={"id": conversation.id})
    assert headers["X-Session-Start"] == "live"
    assert "42" in second.output_text
    assert "42" in gateway.ask("Which number was it?", conversation.id).text


def test_what_is_not_stored_is_not_there(client: OpenAI) -> None:
    response, headers = ask(client, "Remember the number 42.", store=False)
    assert "X-Conversation-ID" not in headers
    assert (response.model_extra or {})["conversation_id"] is None
    with pytest.raises(openai.NotFoundError) as missing:
        client.responses.retrieve(response.id)
    assert missing.value.code == "response_not_found"
    with pytest.raises(openai.BadRequestError) as unknown:
        go_on(client, response, "Which number?")
    assert (unknown.value.code, unknown.value.param) == ("previous_response_not_found", "previous_response_id")


# What can be done with one that is kept


def test_input_items_are_paged_in_both_orders(client: OpenAI) -> None:
    texts = [f"Item {number}." for number in range(5)]
    items = [one for text in texts for one in (user(text), {"role": "assistant", "content": f"Yes: {text}"})]
    response, _ = ask(client, [{"role": "developer", "content": "Be brief."}, *items, user("Well?")])
    pages: list[list[Json]] = []
    orders: tuple[Literal["asc", "desc"], ...] = ("asc", "desc")
    for order in orders:
        page = client.responses.input_items.list(response.id, order=order, limit=4)
        assert page.has_more
        assert len(page.data) == 4
        pages.append(listed(page))  # the client asks for page after page
    assert pages[0] == pages[1][::-1]
    assert pages[1] == listed(client.responses.input_items.list(response.id))
    assert len(pages[0]) == len({item["id"] for item in pages[0]}) == 12
    spoken = [one for one in said(pages[0]) if one[0] != "developer"]
    assert spoken == [*((item["role"], item["content"]) for item in items), ("user", "Well?")]
    assert ("developer", "Be brief.") in said(pages[0])
    with pytest.raises(openai.NotFoundError) as missing:
        client.responses.input_items.list(response.id, after="msg_none")
    assert missing.value.code == "item_not_found"


def test_a_deleted_response_stays_said(client: OpenAI) -> None:
    first, _ = ask(client, "Remember the number 42.")
    second, _ = go_on(client, first, "Hello again.")
    client.responses.delete(first.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(first.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.delete(first.id)
    third, _ = go_on(client, second, "Which number?")
    assert "42" in third.output_text


def test_a_response_in_the_background_is_cancelled(client: OpenAI) -> None:
    slow = "[[offline: words 400]] [[offline: pace 0.2]]"
    running, _ = ask(client, slow, background=True)
    assert running.status == "queued"
    with pytest.raises(openai.ConflictError) as early:
        go_on(client, running, "And?")
    assert early.value.param == "previous_response_id"
    assert early.value.response.headers["Retry-After"]
    assert checked(client.responses.cancel(running.id)).status == "cancelled"
    assert checked(client.responses.cancel(running.id)).status == "cancelled"
    assert checked(client.responses.retrieve(running.id)).status == "cancelled"
    with pytest.raises(openai.BadRequestError):
        go_on(client, running, "And?")
    answered, _ = ask(client, "Hello.")
    with pytest.raises(openai.BadRequestError):
        client.responses.cancel(answered.id)


def test_a_conversation_is_compacted(client: OpenAI, tap: Tap) -> None:
    first, _ = ask(client, "Remember the number 42.")
    raw = client.responses.with_raw_response.compact(model="sonnet", previous_response_id=first.id)
    assert [item.type for item in raw.parse().output] == ["message", "compaction"]
    output = json.loads(raw.text)["output"]
    assert said(output[:1]) == [("user", "Remember the number 42.")]
    check_item(output[1], output=True)
    tap.take()
    response, _ = ask(client, [*output, user("Which number?")])
    assert "42" in response.output_text
    assert "<summary>" in str(shown(tap.only()))
    listed(client.responses.input_items.list(response.id))


def test_tokens_are_counted(client: OpenAI, tap: Tap) -> None:
    first, _ = ask(client, "word " * 1000 + "[[offline: words 1]]")
    tap.take()
    counted = client.responses.input_tokens.count(model="sonnet", input="More.", previous_response_id=first.id)
    type(counted).model_validate(counted.to_dict(), strict=True)
    alone = client.responses.input_tokens.count(model="sonnet", input="More.", instructions="Be brief.", tools=TOOLS)
    assert first.usage is not None
    assert abs(counted.input_tokens - first.usage.input_tokens) < 100  # what Claude Code says aside is not counted
    assert 10 < alone.input_tokens < 1000
    assert tap.take() == []
