"""The Response object in every state."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from claude_code_api.api.openai_responses.resource import stored
from claude_code_api.core.turn import Message, TurnFailed
from claude_code_api.errors import ProcessDied, TurnCancelled
from claude_code_api.runtime.stored import ResponseStatus, StoredResponse, StoredTurn
from tests.unit.api.openai_responses.folding import check_response, told
from tests.unit.api.openai_responses.scenes import (
    ENCRYPTED,
    HEX,
    MODEL,
    NOW,
    SCHEMA,
    SUMMARY,
    TURN,
    USED,
    answer,
    call,
    done,
    events_of,
    head,
    own_call,
    own_result,
    stream,
    text,
    thought,
)

MESSAGES = (answer(thought("Hm."), text("Let me see."), call("c1", a=1)),)


def kept(
    status: ResponseStatus,
    *messages: Message,
    stop_reason: str = "end_turn",
    code: str | None = None,
    **fields: Any,
) -> StoredResponse:
    turn = None
    if messages:
        asked = Message("user", (text("Hi"),))
        turn = StoredTurn(TURN, 1.0, NOW, MODEL, stop_reason, asked, messages, USED, 0.0)
    return StoredResponse(
        turn_id=TURN,
        tenant="t",
        key="k",
        conversation_id="conv_1",
        status=status,
        settings=head(**fields).settings,
        background=False,
        created_at=1_700_000_000.4,
        finished_at=None,
        error_code=code,
        error_message=code and "It broke.",
        turn=turn,
    )


def shown(response: StoredResponse) -> dict[str, Any]:
    found = stored(response, head(**SUMMARY, **ENCRYPTED).telling)
    check_response(found)
    return found


@pytest.mark.parametrize("status", [ResponseStatus.QUEUED, ResponseStatus.RUNNING])
def test_a_response_that_is_not_over_has_no_answer_yet(status: ResponseStatus) -> None:
    response = shown(kept(status))
    assert (response["status"], response["output"], response["usage"]) == (status.value, [], None)
    assert (response["id"], response["created_at"], response["completed_at"]) == (f"resp_{HEX}", 1_700_000_000, None)
    assert response["conversation_id"] == "conv_1"


def test_a_response_that_was_stored_is_what_its_stream_said() -> None:
    messages = (
        answer(thought("Hm."), own_call("own_1", command="ls"), own_call("own_2", "WebSearch", query="cats")),
        own_result("own_1", "a"),
        own_result("own_2", "b", failed=True),
        *MESSAGES,
    )
    of = head(**SUMMARY, **ENCRYPTED)
    streamed = told(events_of(stream(of=of), done(*messages, stop_reason="tool_use")))
    found = kept(ResponseStatus.COMPLETED, *messages, stop_reason="tool_use", **SUMMARY, **ENCRYPTED)
    assert shown(found) == streamed
    assert streamed["completed_at"] == int(NOW)


@pytest.mark.parametrize(
    ("stop_reason", "fields", "status", "reason"),
    [
        ("end_turn", {}, "completed", None),
        ("stop_sequence", {}, "completed", None),
        ("max_tokens", {}, "incomplete", "max_output_tokens"),
        ("model_context_window_exceeded", {}, "incomplete", "max_output_tokens"),
        ("refusal", {}, "incomplete", "content_filter"),
        ("refusal", SCHEMA, "completed", None),
    ],
)
def test_how_an_answer_ended(stop_reason: str, fields: dict[str, Any], status: str, reason: str | None) -> None:
    found = kept(ResponseStatus.COMPLETED, answer(text("Hi")), stop_reason=stop_reason, **fields)
    response = shown(found)
    assert response["status"] == status
    assert response["incomplete_details"] == (None if reason is None else {"reason": reason})
    assert (response["completed_at"] is None) == (status == "incomplete")
    assert response["usage"]["total_tokens"] == 1177


def test_the_input_counts_what_the_cache_read_and_wrote() -> None:
    assert shown(kept(ResponseStatus.COMPLETED, *MESSAGES))["usage"] == {
        "input_tokens": 1131,
        "input_tokens_details": {"cached_tokens": 1000, "cache_write_tokens": 7},
        "output_tokens": 46,
        "output_tokens_details": {"reasoning_tokens": 5},
        "total_tokens": 1177,
    }


@pytest.mark.parametrize(
    ("code", "theirs"),
    [
        ("capacity_exceeded", "rate_limit_exceeded"),
        ("rate_limit_exceeded", "rate_limit_exceeded"),
        ("context_length_exceeded", "invalid_prompt"),
        ("content_filter", "invalid_prompt"),
        ("invalid_image_url", "invalid_image_url"),
        ("upstream_overloaded", "server_error"),
        ("something_new", "server_error"),
    ],
)
def test_why_a_response_failed_in_their_words_and_in_ours(code: str, theirs: str) -> None:
    response = shown(kept(ResponseStatus.FAILED, code=code))
    assert response["status"] == "failed"
    assert response["error"] == {"code": theirs, "message": "It broke.", "type": code}


def test_a_failure_is_stored_as_it_was_streamed() -> None:
    streamed = told(events_of(stream(), TurnFailed(ProcessDied("It broke."))))
    assert shown(kept(ResponseStatus.FAILED, code="process_died")) == streamed
    streamed = told(events_of(stream(), TurnFailed(TurnCancelled("It broke."))))
    assert shown(kept(ResponseStatus.CANCELLED, code="turn_cancelled")) == streamed


def test_a_conversation_that_cannot_be_named_is_not() -> None:
    of = replace(head(), conversation_id=None)
    response = of.pending("in_progress")
    check_response(response)
    assert response["conversation_id"] is None
