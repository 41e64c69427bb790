"""What the official OpenAI client for Python raises on `/v1/responses`, and what it is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI
from openai.types.responses import Response

from tests.conftest import Model
from tests.gateway import Gateway, eventually
from tests.official import checked, plain, told_by

Json = dict[str, Any]
NONE = "resp_00000000000000000000000000000000"
FOREIGN = "resp_" + "x" * 24


@pytest.fixture
def client(gateway: Gateway) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{gateway.url}/v1", api_key="unused", max_retries=0) as client:
        yield client


def create(client: OpenAI, **body: Any) -> Response:
    return checked(client.responses.create(**{"model": "sonnet", "input": "Hello.", **body}))


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({"previous_response_id": NONE}, "previous_response_id", "previous_response_not_found"),
        ({"previous_response_id": FOREIGN}, "previous_response_id", "previous_response_not_found"),
        ({"previous_response_id": NONE, "conversation": "conv_1"}, "previous_response_id", "invalid_request"),
        ({"extra_body": {"conversation_id": "errors-1"}, "store": False}, "store", "invalid_request"),
        ({"background": True, "store": False}, "store", "invalid_request"),
        ({"metadata": {str(number): "x" for number in range(17)}}, "metadata", "invalid_request"),
        ({"metadata": {"a": "x" * 513}}, "metadata.a", "invalid_request"),
        ({"max_output_tokens": 0}, "max_output_tokens", "invalid_request"),
        ({"reasoning": {"effort": "enormous"}}, "reasoning.effort", "invalid_request"),
        ({"truncation": "sometimes"}, "truncation", "invalid_request"),
        ({"include": ["message.output_text.logprobs"]}, "include", "unsupported_parameter"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt", "unsupported_parameter"),
        ({"tools": [{"type": "file_search"}]}, "tools[0].type", "unsupported_parameter"),
        ({"tools": [{"type": "function", "parameters": {}}]}, "tools[0].name", "invalid_request"),
        ({"tool_choice": {"type": "function", "name": "none"}}, "tool_choice", "invalid_request"),
        ({"text": {"format": {"type": "json_schema", "schema": {}}}}, "text.format.name", "invalid_request"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type", "unsupported_parameter"),
        ({"input": []}, "input", "invalid_request"),
        ({"input": [{"role": "assistant", "content": "Hm."}]}, "input", "invalid_request"),
        ({"input": [{"role": "robot", "content": "Hm."}]}, "input[0].role", "invalid_request"),
        ({"input": [{"type": "computer_call", "id": "x"}]}, "input[0].type", "unsupported_parameter"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0].id", "invalid_request"),
        (
            {"input": [{"type": "function_call_output", "call_id": "c1", "output": "22"}]},
            "input[0].call_id",
            "invalid_request",
        ),
        (
            {
                "input": [
                    {"role": "user", "content": [{"type": "input_image", "image_url": "data:image/png;base64,AAAA"}]}
                ]
            },
            "input[0].content[0].image_url",
            "invalid_image",
        ),
    ],
)
def test_a_bad_request_names_its_field(client: OpenAI, body: Json, param: str, code: str) -> None:
    for more in ({}, {"stream": True}):
        with pytest.raises(openai.BadRequestError) as bad:
            client.responses.create(**{"model": "sonnet", "input": "Hello.", **body, **more})
        assert (bad.value.param, bad.value.code, bad.value.type) == (param, code, "invalid_request_error")
        assert bad.value.response.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("given", [NONE, FOREIGN])
def test_what_is_not_there_is_not_found(client: OpenAI, given: str) -> None:
    asked: list[Callable[[], Any]] = [
        lambda: client.responses.retrieve(given),
        lambda: client.responses.delete(given),
        lambda: client.responses.cancel(given),
        lambda: client.responses.input_items.list(given),
        lambda: client.responses.retrieve(given, stream=True),
    ]
    for one in asked:
        with pytest.raises(openai.NotFoundError) as missing:
            one()
        assert (missing.value.code, missing.value.param) == ("response_not_found", "response_id")


def test_an_unknown_conversation_and_an_unknown_model_are_not_found(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as conversation:
        create(client, conversation="conv_nowhere")
    assert (conversation.value.code, conversation.value.param) == ("conversation_not_found", "conversation")
    with pytest.raises(openai.NotFoundError) as model:
        create(client, model="gpt 17")
    assert (model.value.code, model.value.param) == ("model_not_found", "model")


def test_only_events_of_the_background_are_kept(client: OpenAI) -> None:
    response = create(client)
    with pytest.raises(openai.BadRequestError) as events:
        client.responses.retrieve(response.id, stream=True)
    assert events.value.param == "stream"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, openai.AuthenticationError),
        (403, openai.PermissionDeniedError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
        (529, openai.InternalServerError),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_the_models_api_refuses(
    client: OpenAI, status: int, kind: type[openai.APIStatusError], stream: bool
) -> None:
    with pytest.raises(kind) as refused:
        client.responses.create(model="sonnet", input=f"Hi. [[offline: error {status}]]", stream=stream)
    assert refused.value.code
    headers = refused.value.response.headers
    assert headers["X-Conversation-ID"]
    assert ("Retry-After" in headers) == (status >= 429)


def test_a_failure_in_mid_stream_is_raised_and_the_response_has_failed(client: OpenAI) -> None:
    text = "[[offline: words 40]] [[offline: overloaded]]"
    ids: list[str] = []
    with (
        pytest.raises(openai.APIError, match="broke in the middle"),
        client.responses.create(model="sonnet", input=text, stream=True) as stream,
    ):
        ids += [event.response.id for event in stream if event.type == "response.created"]
    with pytest.raises(openai.APIError), client.responses.stream(model="sonnet", input=text) as helper:
        helper.until_done()


def test_a_response_that_failed_is_kept_and_cannot_be_gone_on_from(client: OpenAI) -> None:
    first = create(client, input="Remember the number 42.")
    stream = client.responses.create(
        model="sonnet",
        input="[[offline: words 40]] [[offline: overloaded]] [[offline: delay 0.5]]",
        previous_response_id=first.id,
        stream=True,
    )
    created = next(stream)
    assert created.type == "response.created"
    with pytest.raises(openai.APIError):
        list(stream)
    eventually(lambda: client.responses.retrieve(created.response.id).status != "in_progress", within=10)
    failed = checked(client.responses.retrieve(created.response.id))
    assert failed.status == "failed"
    assert failed.error is not None
    assert failed.error.code == "server_error"
    assert "broke" in failed.error.message
    with pytest.raises(openai.BadRequestError) as behind:
        create(client, previous_response_id=failed.id)
    assert first.id in behind.value.message
    assert "42" in create(client, input="Which number?", previous_response_id=first.id).output_text


def test_too_many_at_once_is_a_rate_limit_that_says_when(start_gateway: Any, model: Model) -> None:
    gateway = start_gateway({"claude__max_concurrent_sessions": 1, "claude__max_waiting": 0})
    with OpenAI(base_url=f"{gateway.url}/v1", api_key="unused", max_retries=0) as client:
        slow = create(client, input="[[offline: words 400]] [[offline: pace 0.1]]", background=True)
        eventually(lambda: client.responses.retrieve(slow.id).status == "in_progress", within=20)
        kinds: list[Json] = [{}, {"stream": True}, {"background": True}, {"store": False}]
        for more in kinds:
            with pytest.raises(openai.RateLimitError) as full:
                client.responses.create(**{"model": "sonnet", "input": "Hello.", **more})
            assert full.value.code == "capacity_exceeded"
            assert int(full.value.response.headers["Retry-After"]) >= 1
        client.responses.cancel(slow.id)
        assert create(client.with_options(max_retries=3)).status == "completed"


def test_the_same_request_under_one_key_is_answered_once(client: OpenAI, gateway: Gateway) -> None:
    key, other = ({"Idempotency-Key": f"responses-errors-{number}"} for number in range(2))
    first = client.responses.with_raw_response.create(model="sonnet", input="Hello.", extra_headers=key)
    again = client.responses.with_raw_response.create(model="sonnet", input="Hello.", extra_headers=key)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert plain(again.parse()) == plain(first.parse())
    streams = [
        list(client.responses.create(model="sonnet", input="[[offline: words 9]]", stream=True, extra_headers=other))
        for _ in range(2)
    ]
    assert told_by(streams[1]) == told_by(streams[0])
    with pytest.raises(openai.UnprocessableEntityError) as reused:
        client.responses.create(model="sonnet", input="Good bye.", extra_headers=key)
    assert reused.value.code == "idempotency_key_reused"
