"""From our errors to HTTP, in the envelope of the dialect that was spoken. The only place that knows both."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import Scope

from claude_code_api import errors as err
from claude_code_api.api.dialect import speaks_anthropic

# The first class that matches decides: (status, OpenAI's error type).
TABLE: Mapping[type[err.GatewayError], tuple[int, str]] = {
    err.ModelNotFound: (404, "invalid_request_error"),
    err.InvalidRequest: (400, "invalid_request_error"),
    err.InvalidApiKey: (401, "invalid_request_error"),  # as OpenAI has it
    err.ProfileNotAllowed: (403, "permission_error"),
    err.ProfileNotAvailable: (403, "permission_error"),
    err.AdminOnly: (403, "permission_error"),
    err.HostNotAllowed: (403, "invalid_request_error"),
    err.OriginNotAllowed: (403, "invalid_request_error"),
    err.ConversationNotFound: (404, "invalid_request_error"),
    err.ResponseNotFound: (404, "invalid_request_error"),
    err.ItemNotFound: (404, "invalid_request_error"),
    err.FileExpired: (404, "invalid_request_error"),
    err.ResourceNotFound: (404, "invalid_request_error"),
    err.VersionConflict: (409, "invalid_request_error"),
    err.ConversationExists: (409, "invalid_request_error"),
    err.ConversationDeleted: (409, "invalid_request_error"),
    err.ConversationBusy: (429, "rate_limit_error"),
    err.ConversationInUse: (409, "invalid_request_error"),
    err.ConversationMoved: (503, "server_error"),
    err.ApprovalNotFound: (404, "invalid_request_error"),
    err.ApprovalDecided: (409, "invalid_request_error"),
    err.IdempotencyKeyReused: (422, "invalid_request_error"),
    err.CapacityExceeded: (429, "rate_limit_error"),
    err.ShuttingDown: (503, "server_error"),
    err.StoreUnavailable: (503, "server_error"),
    err.TurnCancelled: (409, "invalid_request_error"),
    err.TurnTimeout: (504, "server_error"),
    err.StartTimedOut: (504, "server_error"),
    err.StartFailed: (503, "server_error"),
    err.ProcessDied: (502, "server_error"),
    err.UpstreamAuthFailed: (401, "authentication_error"),
    err.UpstreamForbidden: (403, "permission_error"),
    err.UpstreamModelNotFound: (404, "invalid_request_error"),
    err.UpstreamRateLimited: (429, "rate_limit_error"),
    err.UpstreamOverloaded: (529, "overloaded_error"),
    err.UpstreamRejected: (400, "invalid_request_error"),
    err.ContextOverflow: (400, "invalid_request_error"),
    err.ContentRefused: (400, "invalid_request_error"),
    err.UpstreamInterrupted: (502, "server_error"),
    err.SchemaNotMet: (502, "server_error"),
    err.UpstreamError: (502, "server_error"),
    err.GatewayError: (500, "server_error"),
}


_SUFFIX = re.compile(r"\[([gl]te?)?\]$")
_CODES = {408: "request_timeout", 404: "not_found", 405: "method_not_allowed", 413: "request_too_large"}
"""The codes of what the framework refuses before a route is reached."""


_ANTHROPIC_KINDS = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
"""Anthropic's error types by status; of others, the request is at fault below 500, and the server from there on."""


def status_of(error: err.GatewayError) -> tuple[int, str]:
    """The HTTP status and OpenAI error type of an error."""
    return next(row for kind, row in TABLE.items() if isinstance(error, kind))


def envelope(error: err.GatewayError) -> dict[str, Any]:
    """The OpenAI error body; what a broken stream carries as well."""
    kind = status_of(error)[1]
    return {"error": {"message": error.message, "type": kind, "param": error.param, "code": error.code}}


def anthropic_envelope(error: err.GatewayError, request_id: str | None) -> dict[str, Any]:
    """Anthropic's error body; what a broken stream carries as well."""
    return _anthropics(status_of(error)[0], error.message, request_id, error.details)


def error_headers(error: err.GatewayError) -> dict[str, str]:
    """Retry-After where waiting helps; where a retry cannot help, the official SDKs are told not to."""
    if error.retry_after is not None:
        return {"Retry-After": str(max(1, round(error.retry_after)))}
    headers = {"x-should-retry": "false"}
    if isinstance(error, err.InvalidApiKey):
        headers["WWW-Authenticate"] = "Bearer"
    return headers


def error_response(error: err.GatewayError, scope: Scope) -> JSONResponse:
    """The whole answer to a request that failed, in the dialect that it spoke."""
    is_anthropics = answers_anthropic(scope)
    body = anthropic_envelope(error, request_id_of(scope)) if is_anthropics else envelope(error)
    return JSONResponse(body, status_of(error)[0], error_headers(error))


def refusal(
    status: int,
    code: str,
    message: str,
    scope: Scope,
    *,
    kind: str = "invalid_request_error",
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """The answer to what no error of ours stands for; `kind` is OpenAI's type of it. No retry helps."""
    if answers_anthropic(scope):
        body = _anthropics(status, message, request_id_of(scope))
    else:
        body = {"error": {"message": message, "type": kind, "param": None, "code": code}}
    return JSONResponse(body, status, {**(headers or {}), "x-should-retry": "false"})


def answers_anthropic(scope: Scope) -> bool:
    """Whether a request is answered in one of Anthropic's dialects."""
    return speaks_anthropic(scope["path"], Headers(scope=scope))


def request_id_of(scope: Scope) -> str | None:
    """The request's id, as its answer's header has it."""
    found: str | None = scope.get("state", {}).get("request_id")
    return found


def _anthropics(
    status: int, message: str, request_id: str | None, details: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    kind = _ANTHROPIC_KINDS.get(status, "invalid_request_error" if status < 500 else "api_error")
    told: dict[str, Any] = {"type": kind, "message": message}
    if details is not None:
        told["details"] = dict(details)
    return {"type": "error", "error": told, "request_id": request_id}


class ErrorBody(BaseModel):
    """What went wrong: for people, of which kind, in which field, and a code for programs."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorEnvelope(BaseModel):
    """The body of every error."""

    error: ErrorBody


DOCUMENTED: dict[int | str, dict[str, Any]] = {"4XX": {"model": ErrorEnvelope}, "5XX": {"model": ErrorEnvelope}}
"""How errors stand in the OpenAPI description."""


def install(app: FastAPI) -> None:
    """Answer every kind of failure in the envelope."""

    @app.exception_handler(err.GatewayError)
    async def _ours(request: Request, error: err.GatewayError) -> JSONResponse:
        response = error_response(error, request.scope)
        if (conversation := getattr(request.state, "conversation_id", None)) is not None:
            response.headers["X-Conversation-ID"] = conversation
        return response

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        problems = [{**one, "loc": one["loc"][1:]} for one in error.errors()]
        return error_response(of_validation(problems, dotted=answers_anthropic(request.scope)), request.scope)

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> JSONResponse:
        message = _unread(error.__cause__) or str(error.detail)
        if error.status_code == 404:
            message = f"There is no {request.method} {request.url.path} here; /docs lists what there is."
        code = _CODES.get(error.status_code, "invalid_request")
        return refusal(error.status_code, code, message, request.scope, headers=error.headers)


def of_validation(problems: Sequence[Any], *, dotted: bool = False) -> err.InvalidRequest:
    """What pydantic found wrong with a body, as one error that names the field, `dotted` or with brackets."""
    problem = _clearest(problems)
    if problem["type"] == "json_invalid":
        return err.InvalidRequest(f"The body is not valid JSON: {problem['ctx']['error']}.")
    param = _path(problem["loc"], dotted=dotted)
    return err.InvalidRequest(f"{param or 'The body'}: {problem['msg']}.", param=param or None)


def _clearest(problems: Sequence[Any]) -> Any:
    """Of what is wrong in the first place at fault: where a value may be several things, the one it was meant to be."""
    first = _path(problems[0]["loc"])
    there = [problem for problem in problems if _path(problem["loc"]).startswith(first)]
    return max(there, key=lambda problem: (len(_path(problem["loc"])), not problem["type"].endswith("_type")))


def _unread(cause: BaseException | None) -> str | None:
    """Why a body could not be read."""
    if isinstance(cause, UnicodeDecodeError):
        return "The body is not valid JSON: it is not UTF-8."
    if isinstance(cause, RecursionError):
        return "The body is nested too deeply."
    return None


def _path(location: tuple[int | str, ...], *, dotted: bool = False) -> str:
    """`("messages", 0, "role")` as `messages[0].role`, or `dotted` as Anthropic has it, `messages.0.role`.

    The names of union members are left out.
    """
    path = ""
    for part in location:
        if isinstance(part, int) and not dotted:
            path += f"[{part}]"
        elif isinstance(part, int) or _is_name(part):
            path += f".{part}" if path else str(part)
    return path


def _is_name(part: str) -> bool:
    """Whether it is a field's name, or a query's (`created_at[gte]`), and not that of a union's member."""
    name = _SUFFIX.sub("", part)
    return name.isidentifier() and name[:1].islower() and part not in {"str", "list", "int"}
