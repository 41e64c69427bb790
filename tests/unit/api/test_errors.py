"""Every failure has an HTTP status and an envelope of its own, and says whether a retry helps."""

from __future__ import annotations

import json

import pytest
from starlette.types import Scope

from claude_code_api import errors as err
from claude_code_api.api.errors import (
    TABLE,
    anthropic_envelope,
    envelope,
    error_headers,
    error_response,
    of_validation,
    refusal,
    status_of,
)
from claude_code_api.bench import BenchFailed


def scope(path: str, **headers: str) -> Scope:
    """A request, as the framework has it."""
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http", "path": path, "headers": raw, "state": {"request_id": "req_1"}}


def family(root: type[err.GatewayError]) -> list[type[err.GatewayError]]:
    return [root, *(kind for child in root.__subclasses__() for kind in family(child))]


EVERY = [kind for kind in family(err.GatewayError) if kind not in {err.ConfigError, BenchFailed}]
"""All that a request can get; the two are told at the command line."""

SHARED = {
    *(err.UnsupportedParameter, err.InvalidImage, err.InvalidImageUrl, err.InvalidFile, err.SchemaNotTaken),
    *(err.PreviousResponseNotFound, err.ConnectionExpired, err.ThreadsNotOffered),
    *(err.NotSupported, err.InvalidMetadata, err.ResourceArchived, err.EnvironmentArchived),
}
"""Kinds of InvalidRequest without a row of their own."""


@pytest.mark.parametrize("kind", EVERY)
def test_every_error_has_a_row_and_reaches_it(kind: type[err.GatewayError]) -> None:
    row = err.InvalidRequest if kind in SHARED else kind
    assert row in TABLE
    assert status_of(kind("why")) == TABLE[row]
    assert next(one for one in TABLE if issubclass(kind, one)) is row


def test_only_an_error_that_nobody_foresaw_is_an_internal_one() -> None:
    assert [kind for kind in EVERY if status_of(kind("why"))[0] == 500] == [err.GatewayError]


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (err.UnsupportedParameter("no", param="n"), 400, "invalid_request_error"),
        (err.ModelNotFound("no", param="model"), 404, "invalid_request_error"),
        (err.CapacityExceeded("full", retry_after=5), 429, "rate_limit_error"),
        (err.UpstreamAuthFailed("no", status=401), 401, "authentication_error"),
        (err.ContextOverflow("long", status=400), 400, "invalid_request_error"),
        (err.ShuttingDown("bye", retry_after=5), 503, "server_error"),
        (err.UpstreamError("?", status=500), 502, "server_error"),
        (err.GatewayError("?"), 500, "server_error"),
    ],
)
def test_errors_that_clients_act_on(error: err.GatewayError, status: int, kind: str) -> None:
    assert status_of(error) == (status, kind)


def test_the_whole_answer() -> None:
    error = err.CapacityExceeded("Every process is busy.", param="messages", retry_after=5)
    response = error_response(error, scope("/v1/chat/completions"))
    assert response.status_code == 429
    assert response.headers["retry-after"] == "5"
    assert json.loads(bytes(response.body)) == {
        "error": {
            "message": "Every process is busy.",
            "type": "rate_limit_error",
            "param": "messages",
            "code": "capacity_exceeded",
        }
    }
    assert json.loads(bytes(response.body)) == envelope(error)


@pytest.mark.parametrize(("seconds", "header"), [(5, "5"), (1.6, "2"), (0.2, "1"), (0, "1")])
def test_a_retry_is_invited_in_whole_seconds(seconds: float, header: str) -> None:
    assert error_headers(err.ConversationBusy("wait", retry_after=seconds)) == {"Retry-After": header}


def test_where_a_retry_cannot_help_clients_are_told_not_to() -> None:
    assert error_headers(err.InvalidRequest("no")) == {"x-should-retry": "false"}
    assert error_headers(err.UpstreamAuthFailed("no", status=401)) == {"x-should-retry": "false"}


def test_codes_are_stable_and_tell_errors_apart() -> None:
    codes = [kind.code for kind in EVERY]
    shared = {code for code in codes if codes.count(code) > 1}
    assert shared == {err.ModelNotFound.code}
    assert err.UpstreamModelNotFound.code == err.ModelNotFound.code


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (err.InvalidRequest("no"), 400, "invalid_request_error"),
        (err.InvalidApiKey("no"), 401, "authentication_error"),
        (err.UpstreamAuthFailed("no", status=401), 401, "authentication_error"),
        (err.ProfileNotAllowed("no"), 403, "permission_error"),
        (err.OriginNotAllowed("no"), 403, "permission_error"),
        (err.ModelNotFound("no", param="model"), 404, "not_found_error"),
        (err.ConversationInUse("no", retry_after=1), 409, "conflict_error"),
        (err.IdempotencyKeyReused("no"), 422, "invalid_request_error"),
        (err.CapacityExceeded("full", retry_after=5), 429, "rate_limit_error"),
        (err.GatewayError("?"), 500, "api_error"),
        (err.UpstreamError("?", status=500), 502, "api_error"),
        (err.TurnTimeout("late"), 504, "timeout_error"),
        (err.UpstreamOverloaded("busy", retry_after=1), 529, "overloaded_error"),
    ],
)
def test_errors_in_anthropics_words(error: err.GatewayError, status: int, kind: str) -> None:
    response = error_response(error, scope("/v1/messages"))
    assert response.status_code == status
    assert {"retry-after", "x-should-retry"} & set(response.headers)
    body = {"type": "error", "error": {"type": kind, "message": error.message}, "request_id": "req_1"}
    assert json.loads(bytes(response.body)) == body == anthropic_envelope(error, "req_1")


def test_details_are_for_programs() -> None:
    told = anthropic_envelope(err.ThreadsNotOffered("no threads", param="thread"), None)
    assert told["error"]["details"] == {"error_code": "thread_unsupported_request"}


def test_what_the_framework_refuses_comes_in_the_same_envelopes() -> None:
    ours = refusal(413, "request_too_large", "It is large.", scope("/v1/chat/completions"))
    assert json.loads(bytes(ours.body)) == {
        "error": {
            "message": "It is large.",
            "type": "invalid_request_error",
            "param": None,
            "code": "request_too_large",
        }
    }
    theirs = refusal(405, "method_not_allowed", "Not here.", scope("/v1/models", anthropic_version="2023-06-01"))
    assert (theirs.status_code, theirs.headers["x-should-retry"]) == (405, "false")
    assert json.loads(bytes(theirs.body)) == {
        "type": "error",
        "error": {"type": "invalid_request_error", "message": "Not here."},
        "request_id": "req_1",
    }


def test_a_field_is_named_as_the_dialect_names_fields() -> None:
    problem = {"type": "missing", "loc": ("messages", 0, "role"), "msg": "Field required"}
    assert of_validation([problem]).param == "messages[0].role"
    assert of_validation([problem], dotted=True).message == "messages.0.role: Field required."
