"""Server-sent events: frames as they come, a heartbeat when they do not, an end when the client leaves."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import structlog
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from claude_code_api.api.client import ClientWatch
from claude_code_api.runtime.tasks import Tasks

log = structlog.get_logger(__name__)

_LINGER_S = 4.0

HEARTBEAT = b": keep-alive\n\n"


def named_event(name: str, value: Any) -> bytes:
    """One frame with a name and a JSON value, escaped like `data`."""
    return b"event: " + name.encode() + b"\n" + data(value)


def data(value: Any) -> bytes:
    """One `data:` frame with a JSON value, escaped to ASCII: it cannot fail on half a surrogate pair."""
    return b"data: " + json.dumps(value, separators=(",", ":")).encode() + b"\n\n"


class EscapedJSON(JSONResponse):
    """An answer in JSON that is escaped to ASCII, too: for what a tool told, which may hold half a pair."""

    def render(self, content: Any) -> bytes:
        """The body."""
        return json.dumps(content, separators=(",", ":")).encode()


class EventStream(Response):
    """Streams the byte frames of `frames`. After `heartbeat_s` seconds of silence it sends `heartbeat`.

    `on_sent` is called when the client was there to the end; `on_gone` when it leaves, and in any case at the end.
    `frames` is expected to end by itself then. A client that takes nothing for `patience_s` seconds counts as gone; the
    process behind the stream never waits for it.
    """

    def __init__(
        self,
        frames: AsyncIterator[bytes],
        *,
        heartbeat_s: float,
        patience_s: float,
        on_gone: Callable[[], None],
        on_sent: Callable[[], None],
        headers: Mapping[str, str],
        heartbeat: bytes = HEARTBEAT,
    ) -> None:
        super().__init__(media_type="text/event-stream")
        self._heartbeat = heartbeat
        self._frames = frames
        self._heartbeat_s = heartbeat_s
        self._patience_s = patience_s
        self._on_gone = on_gone
        self._on_sent = on_sent
        # The base class counts an empty body: a stream has no length.
        del self.headers["content-length"]
        self.headers.update({"cache-control": "no-cache", "x-accel-buffering": "no", **headers})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream."""
        loop = asyncio.get_running_loop()
        last = loop.time()
        left = asyncio.Event()

        def gone() -> None:
            left.set()
            self._on_gone()

        async def body(chunk: bytes, *, more: bool = True) -> None:
            nonlocal last
            last = loop.time()
            try:
                async with asyncio.timeout(self._patience_s):
                    await send({"type": "http.response.body", "body": chunk, "more_body": more})
            except TimeoutError:
                log.warning("client_too_slow", seconds=self._patience_s)
                self._on_gone()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LINGER_S):  # the kernel drops the connection in a moment
                        await left.wait()
                raise

        async def beat() -> None:
            while True:
                await asyncio.sleep(max(0.05, last + self._heartbeat_s - loop.time()))
                if loop.time() >= last + self._heartbeat_s:
                    await body(self._heartbeat)

        tasks = Tasks()
        async with ClientWatch(receive, gone), contextlib.AsyncExitStack() as end:
            end.push_async_callback(tasks.cancel)
            end.enter_context(contextlib.suppress(OSError))
            end.callback(self._on_gone)
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            heart = tasks.spawn(beat(), "sse-heartbeat")
            async for chunk in self._frames:
                await body(chunk)
            heart.cancel()
            await body(b"", more=False)
            self._on_sent()
