"""WebSockets on `/v1/responses`: one response after another on one connection, told in the events of the streams."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
import uuid
from collections import deque
from collections.abc import Mapping
from functools import partial
from typing import Any

import structlog
from fastapi import APIRouter
from pydantic import ValidationError
from starlette.websockets import WebSocket, WebSocketDisconnect

from claude_code_api.api.auth import given_key
from claude_code_api.api.context import Context
from claude_code_api.api.errors import envelope, of_validation, status_of
from claude_code_api.api.openai_responses.begin import Begun, begin
from claude_code_api.api.openai_responses.place import Unkept
from claude_code_api.api.openai_responses.wire import ResponsesRequest
from claude_code_api.core.keys import Caller, admit
from claude_code_api.errors import CapacityExceeded, ConnectionExpired, GatewayError, InvalidApiKey, InvalidRequest
from claude_code_api.runtime.host import RequestMark
from claude_code_api.runtime.tasks import Tasks

log = structlog.get_logger(__name__)

router = APIRouter(tags=["OpenAI"])

_LONGEST_S = 3600.0
"""How long a connection lasts, by the specification."""

_MOST_WAITING = 16
_MOST_CHARACTERS = 32 * 2**20
"""Of all messages that wait on one connection; a single one may be larger."""

_NOT_HERE = ("background", "stream_options", "stream_id", "generate")
"""Fields of the HTTP request that mean nothing on a connection, and OpenAI's own ones beyond the specification."""


@router.websocket("/v1/responses")
async def responses(socket: WebSocket) -> None:
    """Answer `response.create` messages, in the order they come; a client that leaves ends the response that runs.

    Each message is let in by itself: a key that was revoked meanwhile opens nothing here either.
    """
    await socket.accept()
    connection = _Connection(socket, socket.app.state.context, socket.state.caller)
    tasks = Tasks()
    try:
        tasks.spawn(connection.listen(), "websocket-listen")
        await connection.answer_all()
    except (WebSocketDisconnect, OSError):
        pass  # it left while something was told
    finally:
        connection.leave()
        await tasks.cancel()


class _Connection:
    """One client's. Its messages wait in a short queue while a response runs."""

    def __init__(self, socket: WebSocket, context: Context, caller: Caller) -> None:
        self._socket = socket
        self._context = context
        self._caller = caller
        self._unkept = Unkept()
        self._waiting: deque[str] = deque()
        self._came = asyncio.Event()
        self._gone = False
        self._running: Begun | None = None
        self._until = asyncio.get_running_loop().time() + _LONGEST_S

    async def listen(self) -> None:
        """Take messages until the client leaves."""
        while (message := await self._socket.receive())["type"] == "websocket.receive":
            text = message.get("text") or ""
            if self._has_room(text):
                self._waiting.append(text)
                self._came.set()
            else:
                await self._refuse(
                    CapacityExceeded(
                        f"{len(self._waiting)} messages wait on this connection: send the next when one is answered.",
                        retry_after=1,
                    )
                )
        self.leave()

    def _has_room(self, text: str) -> bool:
        if len(self._waiting) >= _MOST_WAITING:
            return False
        return not self._waiting or sum(map(len, self._waiting)) + len(text) <= _MOST_CHARACTERS

    def leave(self) -> None:
        """The client is gone: what runs for it ends."""
        self._gone = True
        self._came.set()
        if self._running is not None:
            self._running.ticket.abandon()

    async def answer_all(self) -> None:
        """One response after another, until the client leaves or the connection is too old."""
        while not self._gone:
            try:
                async with asyncio.timeout_at(self._until):
                    await self._came.wait()
            except TimeoutError:
                await self._expire()
                return
            self._came.clear()
            while self._waiting and not self._gone:
                if asyncio.get_running_loop().time() >= self._until:
                    await self._expire()
                    return
                await self._answer(self._waiting.popleft())

    async def _expire(self) -> None:
        await self._refuse(
            ConnectionExpired(
                "This connection is an hour old: open another, and go on there with previous_response_id."
            )
        )
        await self._close(1000)

    async def _close(self, code: int) -> None:
        self.leave()
        await self._socket.close(code)

    async def _admit(self) -> None:
        """Who opened the connection must still be let in. Raises InvalidApiKey or StoreUnavailable."""
        known = await self._context.keys.known()
        if known or self._caller.key_id is not None:
            self._caller = admit(given_key(self._socket.headers), known, time.time())

    async def _answer(self, message: str) -> None:
        body: ResponsesRequest | None = None
        try:
            await self._admit()
            body = _read(message)
            begun = await begin(
                self._context,
                self._caller,
                self._socket.headers,
                body,
                mark=partial(_mark, message),
                fetch=partial(self._context.images.fetch, tenant=self._caller.tenant),
                unkept=self._unkept,
            )
        except GatewayError as error:
            if body is not None and body.previous_response_id is not None:
                self._unkept.forget()
            await self._refuse(error)
            if isinstance(error, InvalidApiKey):
                await self._close(1008)
            return
        self._running = begun
        if self._gone:  # meanwhile
            begun.ticket.abandon()
        try:
            async for event in begun.told(begun.ticket.events()):
                await self._tell(event)
            begun.ticket.delivered()
        finally:
            self._running = None
            begun.ticket.abandon()
        if begun.completed and not body.is_stored:
            self._unkept.note(begun.ticket.turn_id, begun.ticket.conversation_id)
        elif not begun.completed and body.previous_response_id is not None:
            self._unkept.forget()

    async def _refuse(self, error: GatewayError) -> None:
        log.info("request_refused", code=error.code, reason=error.message)
        await self._tell({"type": "error", "status": status_of(error)[0], **envelope(error)})

    async def _tell(self, event: Mapping[str, Any]) -> None:
        """Send an event; a client that takes nothing for too long is given up."""
        try:
            async with asyncio.timeout(self._context.patience_s):
                await self._socket.send_text(json.dumps(event, separators=(",", ":")))
        except TimeoutError as error:
            log.warning("client_too_slow", seconds=self._context.patience_s)
            self.leave()
            raise WebSocketDisconnect(1008) from error


async def _mark(message: str, conversation_id: str | None) -> RequestMark:
    """A request of its own, whatever it says: on a connection nothing is sent twice by itself."""
    request_id = f"req_{uuid.uuid4().hex}"
    return RequestMark(request_id, hashlib.sha256(f"{request_id}\n{message}".encode(errors="replace")).hexdigest())


def _read(message: str) -> ResponsesRequest:
    """The request of a `response.create` message. Raises InvalidRequest or UnsupportedParameter."""
    try:
        said = json.loads(message)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest("A message must be a JSON object, sent as text.") from error
    if not isinstance(said, dict) or said.get("type") != "response.create":
        raise InvalidRequest("A message must be an object of the type 'response.create'.", param="type")
    for name in _NOT_HERE:
        if said.get(name) not in (None, False, {}) or (name == "generate" and said.get(name) is False):
            raise InvalidRequest(f"{name} does not go with a WebSocket; leave it out.", param=name)
    try:
        return ResponsesRequest.model_validate(
            {name: value for name, value in said.items() if name not in ("type", "stream", *_NOT_HERE)}
        )
    except ValidationError as error:
        raise of_validation(error.errors()) from error
