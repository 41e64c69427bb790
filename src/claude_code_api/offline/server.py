"""The offline model's loopback server: `POST /v1/messages` and `count_tokens`, streaming and not."""

from __future__ import annotations

import asyncio
import json
import threading
import uuid
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from claude_code_api.offline.calls import refusal
from claude_code_api.offline.dialogue import last_text
from claude_code_api.offline.directives import Directives
from claude_code_api.offline.mind import Reply, answer
from claude_code_api.offline.tokens import count_tokens

API_KEY = "offline-model"
"""What the children send as their key: a stand-in for a credential, worth nothing anywhere."""

_ERRORS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    kind = _ERRORS.get(status, "api_error")
    return JSONResponse({"type": "error", "error": {"type": kind, "message": message}}, status, headers)


async def _messages(request: Request) -> Response:
    body = await request.json()
    if request.app.state.seen is not None:
        request.app.state.seen(body)
    directives = Directives.read(last_text(body))
    if directives.hang:
        await asyncio.sleep(3600)
    if directives.delay:
        await asyncio.sleep(directives.delay)
    if directives.overflow:
        return _error(400, "prompt is too long: 213462 tokens > 200000 maximum")
    if directives.error:
        headers = {"retry-after": "2"} if directives.error == 429 else None
        return _error(directives.error, f"the offline model was asked for HTTP {directives.error}", headers)
    if refused := refusal(body):
        return _error(400, refused)
    reply = answer(body)
    message = {
        "id": f"msg_offline_{uuid.uuid4().hex}",
        "type": "message",
        "role": "assistant",
        "model": body.get("model", "offline"),
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {**reply.usage, "output_tokens": 1},
    }
    message["usage"].pop("output_tokens_details", None)
    if not body.get("stream"):
        ending = {"stop_reason": reply.stop_reason, "stop_sequence": reply.stop_sequence, "usage": reply.usage}
        return JSONResponse({**message, "content": reply.blocks, **ending})
    return StreamingResponse(_stream(message, reply, directives), media_type="text/event-stream")


async def _stream(message: dict[str, Any], reply: Reply, directives: Directives) -> AsyncIterator[str]:
    yield _event("message_start", message=message)
    for index, block in enumerate(reply.blocks):
        cut = reply.unfinished if index == len(reply.blocks) - 1 else None
        empty, deltas = _pieces(block, cut)
        yield _event("content_block_start", index=index, content_block=empty)
        for number, delta in enumerate(deltas):
            if directives.overloaded and number == len(deltas) // 2:
                yield _event("error", error={"type": "overloaded_error", "message": "Overloaded"})
                return
            if directives.pace and number:
                await asyncio.sleep(directives.pace)
            yield _event("content_block_delta", index=index, delta=delta)
        yield _event("content_block_stop", index=index)
    ending = {"stop_reason": reply.stop_reason, "stop_sequence": reply.stop_sequence}
    yield _event("message_delta", delta=ending, usage=reply.usage)
    yield _event("message_stop")


def _pieces(block: dict[str, Any], unfinished: str | None = None) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A block as it starts, and the deltas that complete it. `unfinished` is all that was said of a cut call's JSON."""
    if block["type"] == "tool_use":
        text = json.dumps(block["input"], ensure_ascii=False) if unfinished is None else unfinished
        return {**block, "input": {}}, [
            {"type": "input_json_delta", "partial_json": part} for part in ("", *_evenly(text))
        ]
    kind = block["type"]
    words = block[kind].split(" ")
    parts = [word if index == 0 else f" {word}" for index, word in enumerate(words)]
    deltas = [{"type": f"{kind}_delta", kind: part} for part in parts]
    if kind == "thinking":
        deltas.append({"type": "signature_delta", "signature": block["signature"]})
        return {"type": "thinking", "thinking": "", "signature": ""}, deltas
    return {"type": "text", "text": ""}, deltas


def _evenly(text: str) -> list[str]:
    """Three pieces of a text or more, wherever that cuts it: the real API cuts JSON anywhere, after an empty piece."""
    count = min(len(text), max(3, min(40, len(text) // 12)))
    edges = [len(text) * number // count for number in range(count + 1)]
    return [text[start:end] for start, end in pairwise(edges)]


def _event(kind: str, **data: Any) -> str:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **data}, ensure_ascii=False)}\n\n"


async def _count(request: Request) -> Response:
    body = await request.json()
    return JSONResponse({"input_tokens": count_tokens([body.get("system"), body.get("tools"), body["messages"]])})


async def _hello(request: Request) -> Response:
    return JSONResponse({"model": "offline", "note": "a stand-in for trying things out"})


def create_app(seen: Callable[[dict[str, Any]], None] | None = None) -> Starlette:
    """The offline model as an ASGI application. `seen` is called with the body of each Messages request."""
    app = Starlette(
        routes=[
            Route("/v1/messages", _messages, methods=["POST"]),
            Route("/v1/messages/count_tokens", _count, methods=["POST"]),
            Route("/", _hello, methods=["GET", "HEAD"]),
        ]
    )
    app.state.seen = seen
    return app


class OfflineModel:
    """Runs the offline model in a thread with an event loop of its own; use as a context manager."""

    def __init__(self, port: int = 0, seen: Callable[[dict[str, Any]], None] | None = None) -> None:
        config = uvicorn.Config(create_app(seen), host="127.0.0.1", port=port, log_level="critical", lifespan="off")
        self._server = uvicorn.Server(config)
        self._socket = config.bind_socket()
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), daemon=True)

    @property
    def url(self) -> str:
        """Its base URL, for ANTHROPIC_BASE_URL."""
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def __enter__(self) -> OfflineModel:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(timeout=5)
