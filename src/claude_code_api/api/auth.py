"""Who is asking: where there are API keys the key decides, where there are none the Host that is addressed.

Plain ASGI, around every route, documentation and unknown paths included. Only `/health` and preflights are open.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from urllib.parse import parse_qs

import structlog
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from claude_code_api.api.edge import HOST, LOOPBACK
from claude_code_api.api.errors import error_response
from claude_code_api.core.keys import ANYBODY, ApiKey, Caller, admit
from claude_code_api.errors import GatewayError, HostNotAllowed, InvalidApiKey

log = structlog.get_logger(__name__)


class Auth:
    """Finds the caller of each request, for `Who`, or answers 401. The keys are those of the application's context.

    `hosts` are names, beside loopback, that may be addressed. `exposed` says that other machines can reach the server,
    `required` that it shall not matter: then nobody comes in without a key.
    """

    def __init__(self, app: ASGIApp, *, hosts: tuple[str, ...], exposed: bool, required: bool) -> None:
        self._app = app
        self._hosts = LOOPBACK | {host.lower() for host in hosts}
        self._exposed = exposed
        self._required = required
        self._had_keys = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its caller, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if _is_open(scope):
            if self._exposed or self._knows(headers):
                await self._app(scope, receive, send)
            else:
                await error_response(_foreign(headers), scope)(scope, receive, send)
            return
        try:
            caller = self._caller(headers, await scope["app"].state.context.keys.known())
        except GatewayError as error:
            log.info("request_refused", code=error.code, reason=error.message)
            await error_response(error, scope)(scope, receive, send)
            return
        scope.setdefault("state", {})["caller"] = caller
        who = {"tenant": caller.tenant} | ({} if caller.key_id is None else {"key_id": caller.key_id})
        with structlog.contextvars.bound_contextvars(**who):
            await self._app(scope, receive, send)

    def _caller(self, headers: Headers, known: Mapping[str, ApiKey]) -> Caller:
        if self._had_keys and not known:
            is_open = not (self._exposed or self._required)
            log.warning("api_keys_gone", consequence="everybody may send requests" if is_open else "nobody gets in")
        self._had_keys = bool(known)
        if known:
            return admit(given_key(headers), known, time.time())
        if self._exposed:
            raise InvalidApiKey(
                "There are no API keys any more, and other machines can reach this server: it refuses everything until "
                "there is one. On the server: `claude-code-api keys create`."
            )
        if self._required:
            raise InvalidApiKey(
                "There are no API keys, and [server] require_keys is on: this server refuses everything until there is "
                "one. On the server: `claude-code-api keys create`."
            )
        # A page may point a name of its own at this address (DNS rebinding).
        if not self._knows(headers):
            raise _foreign(headers)
        return ANYBODY

    def _knows(self, headers: Headers) -> bool:
        found = HOST.fullmatch(headers.get("host", "").lower())
        return found is not None and found[1].strip("[]") in self._hosts


def _is_open(scope: Scope) -> bool:
    if scope["type"] == "websocket":
        return False
    if scope["method"] == "OPTIONS":
        return True
    if scope["method"] not in ("GET", "HEAD") or scope["path"] != "/health":
        return False
    return "deep" not in parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)


def given_key(headers: Headers) -> str | None:
    """The API key that a request carries."""
    scheme, _, key = headers.get("authorization", "").strip().partition(" ")
    bearer = key.strip() if scheme.lower() == "bearer" else ""
    return bearer or headers.get("x-api-key", "").strip()


def _foreign(headers: Headers) -> HostNotAllowed:
    return HostNotAllowed(
        f"The Host {headers.get('host', '')[:100]!r} is not served here; add it to [server] allowed_hosts."
    )
