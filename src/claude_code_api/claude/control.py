"""The CLI's control protocol: requests in both directions beside the conversation, matched by their ids."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from typing import Any

from claude_code_api.errors import ProcessDied

Frame = dict[str, Any]


class Control:
    """Our side of it. `write` puts a frame on the child's stdin; `refused` is told of a request that nobody awaits."""

    def __init__(self, write: Callable[[Frame], None], refused: Callable[[str], None]) -> None:
        self._write = write
        self._refused = refused
        self._replies: dict[str, asyncio.Future[Frame]] = {}
        self._unawaited: set[str] = set()
        self._over = False

    def tell(self, request: Frame) -> None:
        """Send a request that has to succeed, and do not wait: what is written next comes after it."""
        self._unawaited.add(self._send(request))

    async def ask(self, request: Frame, timeout_s: float) -> Frame:
        """Send a request and return its response. Raises TimeoutError, or ProcessDied for a refusal as well."""
        if self._over:
            raise ProcessDied("Claude Code has ended.")
        reply: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        identity = self._send(request)
        self._replies[identity] = reply
        try:
            async with asyncio.timeout(timeout_s):
                return await reply
        finally:
            self._replies.pop(identity, None)

    def take(self, response: Frame) -> None:
        """Take a response of the CLI."""
        identity = response.get("request_id", "")
        why = None if response.get("subtype") == "success" else str(response.get("error"))
        if identity in self._unawaited:
            self._unawaited.discard(identity)
            if why is not None:
                self._refused(why)
        reply = self._replies.get(identity)
        if reply is None or reply.done():
            return
        if why is None:
            reply.set_result(response.get("response") or {})
        else:
            reply.set_exception(ProcessDied(f"Claude Code refused a control request: {why}"))

    def respond(self, request_id: str, response: Frame) -> None:
        """Answer a request of the CLI."""
        self._answer({"subtype": "success", "request_id": request_id, "response": response})

    def refuse(self, request_id: str, error: str) -> None:
        """Refuse a request of the CLI: without an answer it would wait for ever."""
        self._answer({"subtype": "error", "request_id": request_id, "error": error})

    def end(self) -> None:
        """The child is gone."""
        self._over = True
        for reply in self._replies.values():
            if not reply.done():
                reply.set_exception(ProcessDied("Claude Code ended."))

    def _send(self, request: Frame) -> str:
        identity = uuid.uuid4().hex
        self._write({"type": "control_request", "request_id": identity, "request": request})
        return identity

    def _answer(self, response: Frame) -> None:
        self._write({"type": "control_response", "response": response})
