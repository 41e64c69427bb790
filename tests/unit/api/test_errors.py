"""Every failure has an HTTP status and an envelope of its own, and says whether a retry helps."""

from __future__ import annotations

import json

import pytest

from claude_code_api import errors as err
from claude_code_api.api.errors import TABLE, envelope, error_headers, error_response, status_of
from claude_code_api.bench import BenchFailed


def family(root: type[err.GatewayError]) -> list[type[err.GatewayError]]:
    return [root, *(kind for child in root.__subclasses__() for kind in family(child))]


EVERY = [kind for kind in family(err.GatewayError) if kind not in {err.ConfigError, BenchFailed}]
"""All that a request can get; the two are told at the command line."""

SHARED = {
    *(err.UnsupportedParameter, err.InvalidImage, err.InvalidImageUrl, err.InvalidFile, err.SchemaNotTaken),
    err.PreviousResponseNotFound,
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
    response = error_response(error)
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
