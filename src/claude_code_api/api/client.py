"""Notices when a client leaves, streaming or not, and when it has got everything."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from types import TracebackType

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from claude_code_api.runtime.tasks import Tasks


class ClientWatch:
    """While it is entered, `on_gone` is called once when the client disconnects. Enter it after the body is read."""

    def __init__(self, receive: Receive, on_gone: Callable[[], None]) -> None:
        self._receive = receive
        self._on_gone = on_gone
        self._tasks = Tasks()

    async def _wait(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._on_gone()

    async def __aenter__(self) -> ClientWatch:
        self._tasks.spawn(self._wait(), "client-watch")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._tasks.cancel()


class Delivered(Response):
    """A JSON answer that calls `on_sent` when it was sent to a client that was still there."""

    def __init__(self, body: str, *, on_sent: Callable[[], None], headers: Mapping[str, str]) -> None:
        super().__init__(body, media_type="application/json", headers=dict(headers))
        self._on_sent = on_sent

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        gone: list[bool] = []
        async with ClientWatch(receive, lambda: gone.append(True)):
            await asyncio.sleep(0)  # let the watch see a client that left before now
            await super().__call__(scope, receive, send)
        if not gone:
            self._on_sent()
