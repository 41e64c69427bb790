"""Anthropic's official client for Python, which checks here what it gets."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from anthropic.types import ToolParam
from pydantic import BaseModel

from claude_code_api.core.profiles import PROFILES
from tests.anthropic_strict import check
from tests.conftest import Model
from tests.gateway import Gateway

WEATHER: ToolParam = {
    "name": "get_weather",
    "description": "Tells the weather.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
ASK_OSLO = '[[offline: call get_weather {"city": "Oslo"}]]'


class Weather(BaseModel):
    city: str
    degrees: int


@pytest.fixture(scope="module")
def client(gateway: Gateway) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(
        base_url=gateway.url, api_key="unused", max_retries=0, _strict_response_validation=True
    ) as client:
        yield client


def create(client: anthropic.Anthropic, *messages: Any, **more: Any) -> anthropic.types.Message:
    told = client.messages.create(**{"model": "sonnet", "max_tokens": 4096, "messages": list(messages), **more})
    assert isinstance(told, anthropic.types.Message)
    return told


def said(message: Any) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def test_a_dialogue_on_one_process(client: anthropic.Anthropic, gateway: Gateway) -> None:
    messages: list[Any] = [{"role": "user", "content": "Remember the word anthropic-heron."}]
    first = create(client, *messages)
    messages += [first.to_param(), {"role": "user", "content": "Which word did I ask you to remember?"}]
    answer = client.messages.with_raw_response.create(model="sonnet", max_tokens=100, messages=messages)
    assert said(answer.parse()) == "The word is anthropic-heron: you asked me to remember it."
    assert answer.headers["X-Session-Start"] == "live"
    assert answer.parse()._request_id == answer.headers["request-id"]
    assert gateway.session(answer.headers["X-Conversation-ID"])["turns"] == 2


def test_a_stream_and_its_final_message(client: anthropic.Anthropic) -> None:
    with client.messages.stream(
        model="sonnet",
        max_tokens=4096,
        thinking={"type": "adaptive"},
        messages=[{"role": "user", "content": "Think, and say hello."}],
    ) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert said(final) == text
    assert final.content[0].type == "thinking"
    assert final.content[0].signature == "offline"
    assert final.usage.output_tokens > 0
    assert final.usage.input_tokens > 0
    assert final.stop_reason == "end_turn"


def test_calls_in_a_stream_come_piece_by_piece(client: anthropic.Anthropic) -> None:
    kinds = []
    with client.messages.stream(
        model="sonnet",
        max_tokens=4096,
        tools=[WEATHER],
        messages=[{"role": "user", "content": f"[[offline: pace 0.1]] {ASK_OSLO}"}],
    ) as stream:
        for event in stream:
            kinds.append(event.type)
        final = stream.get_final_message()
    assert kinds.count("input_json") >= 3
    (call,) = final.content
    assert call.type == "tool_use"
    assert (call.name, call.input, final.stop_reason) == ("get_weather", {"city": "Oslo"}, "tool_use")


async def test_the_asynchronous_client_and_many_at_once(gateway: Gateway) -> None:
    async with anthropic.AsyncAnthropic(base_url=gateway.url, api_key="unused", max_retries=0) as client:

        async def ask(number: int) -> str:
            async with client.messages.stream(
                model="sonnet",
                max_tokens=100,
                messages=[{"role": "user", "content": f"Remember the number {number}."}],
            ) as stream:
                return await stream.get_final_text()

        answers = await asyncio.gather(*map(ask, range(3)))
    assert all(str(number) in answer for number, answer in enumerate(answers))


def test_the_runner_of_tools_goes_on_without_a_thread(client: anthropic.Anthropic, gateway: Gateway) -> None:
    @anthropic.beta_tool
    def get_weather(city: str) -> str:
        """Tell the weather in a city."""
        return f"7 degrees in {city}"

    before = gateway.counter("reused")
    runner = client.beta.messages.tool_runner(
        model="sonnet", max_tokens=4096, tools=[get_weather], messages=[{"role": "user", "content": ASK_OSLO}]
    )
    answers = list(runner)
    assert [answer.stop_reason for answer in answers] == ["tool_use", "end_turn"]
    assert said(answers[-1]) == "The tool answered: 7 degrees in Oslo"
    assert gateway.counter("reused") == before + 1


async def test_the_asynchronous_runner_of_tools(gateway: Gateway) -> None:
    @anthropic.beta_async_tool
    async def get_weather(city: str) -> str:
        """Tell the weather in a city."""
        return f"7 degrees in {city}"

    async with anthropic.AsyncAnthropic(base_url=gateway.url, api_key="unused") as client:
        runner = client.beta.messages.tool_runner(
            model="sonnet",
            max_tokens=4096,
            tools=[get_weather],
            messages=[{"role": "user", "content": ASK_OSLO}],
            stream=True,
        )
        answers = [await stream.get_final_message() async for stream in runner]
    assert said(answers[-1]) == "The tool answered: 7 degrees in Oslo"


def test_a_parsed_answer(client: anthropic.Anthropic) -> None:
    answer = client.messages.parse(
        model="sonnet",
        max_tokens=4096,
        messages=[{"role": "user", "content": 'It is 7 degrees in "Oslo".'}],
        output_format=Weather,
    )
    assert answer.parsed_output == Weather(city="Oslo", degrees=7)


def test_counting(client: anthropic.Anthropic) -> None:
    count = client.messages.count_tokens(model="sonnet", messages=[{"role": "user", "content": "Hello."}])
    assert count.input_tokens > 0
    beta = client.beta.messages.count_tokens(model="sonnet", messages=[{"role": "user", "content": "Hello."}])
    assert beta.input_tokens == count.input_tokens


def test_models_in_pages(client: anthropic.Anthropic, gateway: Gateway) -> None:
    page = client.models.list(limit=2)
    names = [model.id for model in page]
    assert names[:2] == ["sonnet", "opus"]
    assert set(PROFILES) - {"chat"} < set(names)
    assert page.has_more
    back = client.models.list(before_id=names[3], limit=2)
    assert ([model.id for model in back.data], back.has_more) == (names[1:3], True)
    assert client.models.retrieve("claude-opus-4-6").line == "opus"
    raw = gateway.http.get("/v1/models", headers={"anthropic-version": "2023-06-01"}).json()
    for one in raw["data"]:
        check(anthropic.types.ModelInfo, one)
    assert gateway.http.get("/v1/models").json()["object"] == "list"
    assert client.models.list(lifecycle=["deprecated", "retired"]).data == []
    assert client.models.list(lifecycle=["active", "retired"]).data
    with pytest.raises(anthropic.BadRequestError):
        client.models.list(after_id="no-such-model")


def test_errors(client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.BadRequestError) as invalid:
        create(client, {"role": "assistant", "content": "Ho"})
    assert "messages: the last one must be the user's" in str(invalid.value)
    assert invalid.value.request_id is not None
    with pytest.raises(anthropic.NotFoundError):
        create(client, {"role": "user", "content": "Hi"}, model="no such model")
    with pytest.raises(anthropic.RateLimitError):
        create(client, {"role": "user", "content": "[[offline: error 429]]"})
    with pytest.raises(anthropic.NotFoundError):
        client.messages.batches.list()
    with pytest.raises(anthropic.APIStatusError, match="stream broke"):
        _stream_broken(client)


def _stream_broken(client: anthropic.Anthropic) -> None:
    words = "[[offline: overloaded]] [[offline: words 30]]"
    with client.messages.stream(
        model="sonnet", max_tokens=4096, messages=[{"role": "user", "content": words}]
    ) as stream:
        stream.until_done()


def test_an_uploaded_file_is_read(client: anthropic.Anthropic) -> None:
    file = client.files.upload(file=("note.txt", b"The word is plover.", "text/plain"))
    document = {"type": "document", "title": "note", "source": {"type": "file", "file_id": file.id}}
    answer = create(client, {"role": "user", "content": [document, {"type": "text", "text": "What do you see?"}]})
    assert said(answer) == "I see a document (note, 19 characters)."
    document["source"] = {"type": "file", "file_id": "file_00000000000000000000000000000000"}
    with pytest.raises(anthropic.NotFoundError):
        create(client, {"role": "user", "content": [document]})


def test_images_and_documents_reach_the_model(client: anthropic.Anthropic, model: Model) -> None:
    source = {"type": "text", "media_type": "text/plain", "data": "The word is heron."}
    document = {"type": "document", "title": "note", "source": source, "context": "A note."}
    answer = create(client, {"role": "user", "content": [document, {"type": "text", "text": "What do you see?"}]})
    assert said(answer) == "I see a document (note, 18 characters)."
    (body,) = model.asked("The word is heron.")
    assert "A note." in str(body["messages"])
