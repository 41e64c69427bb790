"""Notices when a client leaves, streaming or not."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from starlette.types import Receive

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
