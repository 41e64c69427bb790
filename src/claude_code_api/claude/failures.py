"""From the CLI's way of reporting an API failure to our typed errors.

The CLI reports with `api_retry` frames while it retries, and at the end with a result that says `is_error`, the HTTP
status in `api_error_status` (null when there was no answer), a kind on the assistant frame, and a sentence for people.
"""

from __future__ import annotations

from typing import Any

from claude_code_api.errors import (
    ContentRefused,
    ContextOverflow,
    GatewayError,
    InvalidImage,
    ProcessDied,
    SchemaNotMet,
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamForbidden,
    UpstreamModelNotFound,
    UpstreamOverloaded,
    UpstreamRateLimited,
    UpstreamRejected,
)

_RETRY_SOON_S = 5.0


def failure_of_retry(status: int | None, kind: str | None, delay_ms: float) -> GatewayError:
    """The error to answer with if the turn is given up at this retry; its `retry_after` is None where retrying is
    pointless."""
    delay_s = delay_ms / 1000
    if status == 401 or kind == "authentication_failed":
        return _auth(f"HTTP {status}")
    return _failure(status, kind, f"{kind or 'no answer'}; Claude Code was retrying", max(delay_s, 1.0))


def failure_of_result(frame: dict[str, Any], kind: str | None) -> GatewayError:
    """The error that a result with `is_error` means. `kind` is the assistant frame's `error`, if there was one."""
    said = str(frame.get("result") or "; ".join(frame.get("errors") or ()) or frame.get("subtype") or "no reason given")
    if frame.get("subtype") == "error_max_structured_output_retries":
        return SchemaNotMet(f"The model's answer did not meet the JSON schema: {said}", retry_after=1)
    if frame.get("stop_reason") == "refusal":
        return ContentRefused("The model declined to answer this request. The conversation goes on without it.")
    return _failure(frame.get("api_error_status"), kind, said, _RETRY_SOON_S)


def _failure(status: int | None, kind: str | None, said: str, retry_after: float) -> GatewayError:
    lowered = said.lower()
    if "prompt is too long" in lowered or "context window" in lowered:
        return ContextOverflow(
            "The conversation no longer fits the model's context window. Start a new conversation, or send a shorter "
            f"history. ({said})",
            status=status,
            param="messages",
        )
    if "image base64 size" in lowered:
        return InvalidImage(
            "An image of the history is too large: Claude Code makes images smaller in new messages only; a history "
            f"takes them up to 3.75 MiB. ({said})",
            param="messages",
        )
    if status == 403:
        return UpstreamForbidden(f"The model's API denied permission: {said}", status=status)
    if status == 401 or kind == "authentication_failed":
        return _auth(said)
    if status == 429 or kind == "rate_limit":
        return UpstreamRateLimited(f"The model's API limits the rate: {said}", status=429, retry_after=retry_after)
    if status == 529 or kind == "overloaded":
        return UpstreamOverloaded(f"The model's API is overloaded: {said}", status=529, retry_after=retry_after)
    if status == 404 or kind == "model_not_found":
        return UpstreamModelNotFound(f"The model's API does not know this model: {said}", status=status, param="model")
    if status is not None and 400 <= status < 500:
        return UpstreamRejected(f"The model's API rejected the request: {said}", status=status)
    if status is None and kind is None:
        return ProcessDied(f"Claude Code ended the turn with an error: {said}", retry_after=1.0)
    return UpstreamError(f"The model's API failed: {said}", status=status, retry_after=retry_after)


def _auth(said: str) -> GatewayError:
    return UpstreamAuthFailed(
        "The model's API did not accept the server's credentials. Check ANTHROPIC_API_KEY (or the other credential "
        f"that the server was started with). ({said})",
        status=401,
    )
