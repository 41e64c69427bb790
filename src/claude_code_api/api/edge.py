"""What every request passes first: who may address us, how large and of what kind a body may be, a request id.

Plain ASGI. A web page must not drive a local server: foreign Host headers (DNS rebinding) and foreign Origins are
refused, and so is a body that a page could send without asking (anything but application/json).
"""

from __future__ import annotations

import re
import uuid

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = structlog.get_logger(__name__)

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9.\-]+)(?::\d+)?")
_ORIGIN = re.compile(rf"https?://{_HOST.pattern}")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._\-]{1,128}")


class Edge:
    """Wraps the application. `hosts` and `origins` are allowed beside loopback; `max_body` is in bytes."""

    def __init__(self, app: ASGIApp, *, hosts: tuple[str, ...], origins: tuple[str, ...], max_body: int) -> None:
        self._app = app
        self._hosts = LOOPBACK | {host.lower() for host in hosts}
        self._origins = frozenset(origin.lower().rstrip("/") for origin in origins)
        self._max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass an allowed request on, with a request id; answer another one."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else f"req_{uuid.uuid4().hex}"
        scope.setdefault("state", {})["request_id"] = request_id

        answered = False

        async def send_with_id(message: Message) -> None:
            nonlocal answered
            answered = True
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            refusal = self._refuse(scope["method"], headers)
            if refusal is not None:
                await refusal(scope, receive, send_with_id)
                return
            try:
                await self._app(scope, _Bounded(receive, self._max_body), send_with_id)
            except Exception:
                log.exception("request_failed", method=scope["method"], path=scope["path"])
                if not answered:
                    await _DEFECT(scope, receive, send_with_id)

    def _refuse(self, method: str, headers: Headers) -> JSONResponse | None:
        host = headers.get("host", "").lower()
        found = _HOST.fullmatch(host)
        if found is None or found[1].strip("[]") not in self._hosts:
            return _refusal(
                403,
                "host_not_allowed",
                f"The Host {host[:100]!r} is not served here; add it to [server] allowed_hosts.",
            )
        origin = headers.get("origin")
        if origin is not None and not self._known_origin(origin.lower()):
            return _refusal(
                403,
                "origin_not_allowed",
                f"Requests from the origin {origin[:100]!r} are not served; add it to [server] allowed_origins.",
            )
        has_body = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
        if method in {"POST", "PUT", "PATCH"} and has_body:
            if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
                return _refusal(415, "unsupported_media_type", "Send the body with Content-Type: application/json.")
            length = headers.get("content-length", "0")
            if length.isdigit() and int(length) > self._max_body:
                return _refusal(413, "request_too_large", _too_large(self._max_body))
        return None

    def _known_origin(self, origin: str) -> bool:
        found = _ORIGIN.fullmatch(origin)
        return origin in self._origins or (found is not None and found[1].strip("[]") in LOOPBACK)


class _Bounded:
    """Receives at most `limit` bytes of body, also when no Content-Length told in advance."""

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive = receive
        self._left = limit
        self._limit = limit

    async def __call__(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._left -= len(message.get("body", b""))
            if self._left < 0:
                raise HTTPException(413, _too_large(self._limit))
        return message


def _too_large(limit: int) -> str:
    return f"The body is larger than {limit} bytes ([server] max_body_bytes)."


def _refusal(status: int, code: str, message: str) -> JSONResponse:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    return JSONResponse({"error": error}, status, {"x-should-retry": "false"})


_DEFECT = JSONResponse(
    {
        "error": {
            "message": "A defect of the gateway; its log says more under the X-Request-ID of this answer.",
            "type": "server_error",
            "param": None,
            "code": "internal_error",
        }
    },
    500,
    {"x-should-retry": "false"},
)
