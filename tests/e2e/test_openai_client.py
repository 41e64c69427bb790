"""The official OpenAI client for Python, over a real socket: what it gets parses into its own types."""

from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletionMessageParam

from tests.gateway import Gateway


@pytest.fixture
def client(gateway: Gateway) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{gateway.url}/v1", api_key="unused", max_retries=0) as client:
        yield client


def test_a_completion_has_everything_a_normal_answer_has(client: OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model="claude-3-5-sonnet-20241022",
        messages=[{"role": "user", "content": "Hello! Remember the number 42."}],
        extra_body={"conversation_id": "sdk-1"},
    )
    completion = raw.parse()
    type(completion).model_validate(completion.to_dict(), strict=True)
    assert completion.id.startswith("chatcmpl-")
    assert completion.object == "chat.completion"
    assert completion.choices[0].finish_reason == "stop"
    assert "42" in (completion.choices[0].message.content or "")
    assert completion.model.startswith("claude-sonnet")
    assert completion.usage is not None
    assert completion.usage.total_tokens == completion.usage.prompt_tokens + completion.usage.completion_tokens
    assert raw.headers["X-Conversation-ID"] == "sdk-1"
    again = client.chat.completions.create(
        model="sonnet",
        messages=[{"role": "user", "content": "What number did I ask you to remember?"}],
        extra_body={"conversation_id": "sdk-1"},
    )
    assert "42" in (again.choices[0].message.content or "")
    assert again.usage is not None
    assert again.usage.prompt_tokens_details is not None
    assert (again.usage.prompt_tokens_details.cached_tokens or 0) > 0


@pytest.mark.parametrize("include_usage", [True, False])
def test_a_stream_parses_and_ends_as_it_should(client: OpenAI, include_usage: bool) -> None:
    stream = client.chat.completions.create(
        model="sonnet",
        messages=[{"role": "user", "content": "[[offline: words 5]]"}],
        stream=True,
        stream_options={"include_usage": include_usage},
    )
    chunks = list(stream)
    for chunk in chunks:
        type(chunk).model_validate(chunk.to_dict(), strict=True)
    assert len({chunk.id for chunk in chunks}) == 1
    assert all(chunk.model.startswith("claude-sonnet") for chunk in chunks)
    content = [chunk for chunk in chunks if chunk.choices]
    assert content[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in content) == "word1 word2 word3 word4 word5"
    assert [chunk.choices[0].finish_reason for chunk in content if chunk.choices[0].finish_reason] == ["stop"]
    usage = [chunk for chunk in chunks if chunk.usage is not None]
    assert len(usage) == (1 if include_usage else 0)
    assert not usage or usage[0] is chunks[-1]


def test_the_streaming_helper_accumulates(client: OpenAI) -> None:
    with client.chat.completions.stream(
        model="sonnet", messages=[{"role": "user", "content": "[[offline: words 3]]"}]
    ) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].message.content == "word1 word2 word3"


def test_errors_arrive_as_the_clients_own_types(client: OpenAI) -> None:
    hello: list[ChatCompletionMessageParam] = [{"role": "user", "content": "hello"}]
    with pytest.raises(openai.BadRequestError) as bad:
        client.chat.completions.create(model="sonnet", messages=hello, n=3)
    assert bad.value.param == "n"
    with pytest.raises(openai.NotFoundError) as unknown:
        client.chat.completions.create(model="gpt 17", messages=hello)
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.RateLimitError):
        client.chat.completions.create(model="sonnet", messages=[{"role": "user", "content": "[[offline: error 429]]"}])


def test_an_error_in_mid_stream_is_raised(client: OpenAI) -> None:
    stream = client.chat.completions.create(
        model="sonnet",
        messages=[{"role": "user", "content": "[[offline: overloaded]] [[offline: words 20]]"}],
        stream=True,
    )
    with pytest.raises(openai.APIError, match="broke in the middle"):
        list(stream)


def test_an_automatic_retry_doubles_nothing(gateway: Gateway) -> None:
    with OpenAI(base_url=f"{gateway.url}/v1", api_key="unused", max_retries=2) as client:
        with pytest.raises(openai.InternalServerError):
            client.chat.completions.create(
                model="sonnet",
                messages=[{"role": "user", "content": "Remember the word twice. [[offline: error 500]]"}],
                extra_body={"conversation_id": "sdk-retry"},
            )
        answer = client.chat.completions.create(
            model="sonnet",
            messages=[{"role": "user", "content": "What did I say first?"}],
            extra_body={"conversation_id": "sdk-retry"},
        )
    assert "twice" not in (answer.choices[0].message.content or "")


def test_models_are_listed_and_retrieved(client: OpenAI) -> None:
    names = [model.id for model in client.models.list()]
    assert {"sonnet", "opus", "haiku", "gpt-4o"} <= set(names)
    assert client.models.retrieve("sonnet").id == "sonnet"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt 17")
