"""What every request passes first: from which pages it may come, how large and of what kind a body may be; its id.

Plain ASGI. A web page must not drive a local server: foreign Origins are refused, WebSockets included, and so is a
body that a page could send without asking (anything but application/json). Where files are brought, a form is what is
taken: there the Origin alone, which browsers send with each POST, keeps pages out. Who is asking, and by which Host, is
for `auth.py`.
"""

from __future__ import annotations

import asyncio
import re
import uuid

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from claude_code_api.api.errors import answers_anthropic, error_response
from claude_code_api.api.errors import refusal as _refusal
from claude_code_api.errors import OriginNotAllowed

log = structlog.get_logger(__name__)

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9.\-]+)(?::\d+)?")
_ORIGIN = re.compile(rf"https?://({HOST.pattern})")
_SLOWEST = 10
_DEFECT = "A defect of the gateway; its log says more under the X-Request-ID of this answer."
_FORMS = re.compile(r"/v1/(files|skills|skills/[^/]+/versions)")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._\-]{1,128}")


_HEADS = frozenset({"http.response.start", "websocket.accept", "websocket.http.response.start"})
"""The messages that carry the headers of an answer."""


class Edge:
    """Wraps the application. `origins` are allowed beside loopback and the server's own; `max_body` is in bytes.

    `patience_s` is how long a body may stand still; ten times of it is how long it may take.
    """

    def __init__(self, app: ASGIApp, *, origins: tuple[str, ...], max_body: int, patience_s: float) -> None:
        self._app = app
        self._origins = frozenset(origin.lower().rstrip("/") for origin in origins)
        self._max_body = max_body
        self._patience_s = patience_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass an allowed request on, with a request id; answer another one."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        is_http = scope["type"] == "http"
        headers = Headers(scope=scope)
        origin = headers.get("origin", "")
        given = headers.get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else f"req_{uuid.uuid4().hex}"
        scope.setdefault("state", {})["request_id"] = request_id

        is_anthropics = answers_anthropic(scope)
        answered = False

        async def send_with_id(message: Message) -> None:
            nonlocal answered
            answered = True
            if message["type"] in _HEADS:
                sent = MutableHeaders(scope=message)
                sent["X-Request-ID"] = request_id
                if is_anthropics:
                    sent["request-id"] = request_id
                if origin in self._origins and "access-control-allow-origin" not in sent:
                    sent["Access-Control-Allow-Origin"] = origin  # a page shall read what is refused here, too
                    sent.add_vary_header("Origin")
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            refusal = self._refuse_origin(scope, headers)
            if refusal is None and is_http:
                refusal = self._refuse_body(scope, headers)
            if refusal is not None:
                await refusal(scope, receive, send_with_id)
                return
            try:
                bounded = _Bounded(receive, self._max_body, self._patience_s) if is_http else receive
                await self._app(scope, bounded, send_with_id)
            except Exception:
                log.exception("request_failed", method=scope.get("method", "WEBSOCKET"), path=scope["path"])
                if not answered:
                    await _refusal(500, "internal_error", _DEFECT, scope, kind="server_error")(
                        scope, receive, send_with_id
                    )

    def _refuse_origin(self, scope: Scope, headers: Headers) -> JSONResponse | None:
        origin = headers.get("origin")
        if origin is not None and not self._known_origin(origin.lower(), headers):
            return error_response(
                OriginNotAllowed(
                    f"Requests from the origin {origin[:100]!r} are not served; add it to [server] allowed_origins."
                ),
                scope,
            )
        return None

    def _refuse_body(self, scope: Scope, headers: Headers) -> JSONResponse | None:
        has_body = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
        if scope["method"] in {"POST", "PUT", "PATCH"} and has_body:
            kind = "multipart/form-data" if _FORMS.fullmatch(scope["path"]) else "application/json"
            if headers.get("content-type", "").partition(";")[0].strip().lower() != kind:
                return _refusal(415, "unsupported_media_type", f"Send the body with Content-Type: {kind}.", scope)
            length = headers.get("content-length", "0")
            if length.isdigit() and int(length) > self._max_body:
                return _refusal(413, "request_too_large", _too_large(self._max_body), scope)
        return None

    def _known_origin(self, origin: str, headers: Headers) -> bool:
        found = _ORIGIN.fullmatch(origin)
        if found is None:
            return origin in self._origins
        is_own = found[1] == headers.get("host", "").lower()  # our own page, if that Host is served
        return is_own or found[2].strip("[]") in LOOPBACK or origin in self._origins


class _Bounded:
    """Receives at most `limit` bytes of body, also when no Content-Length told in advance, and not for ever."""

    def __init__(self, receive: Receive, limit: int, patience_s: float) -> None:
        self._receive = receive
        self._left = limit
        self._limit = limit
        self._patience_s = patience_s
        self._until = asyncio.get_running_loop().time() + _SLOWEST * patience_s
        self._more = True

    async def __call__(self) -> Message:
        if not self._more:
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._until), asyncio.timeout(self._patience_s):
                message = await self._receive()
        except TimeoutError as error:
            raise HTTPException(408, "The body did not come in time ([server] slow_client_seconds).") from error
        self._more = bool(message.get("more_body"))
        if message["type"] == "http.request":
            self._left -= len(message.get("body", b""))
            if self._left < 0:
                raise HTTPException(413, _too_large(self._limit))
        return message


def _too_large(limit: int) -> str:
    return f"The body is larger than {limit} bytes ([server] max_body_bytes)."
