"""Taking messages back from a live conversation, the newest first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from claude_code_api.claude.control import Control
from claude_code_api.errors import ProcessDied

_STEP_S = 5.0


class Rewinder:
    """The CLI takes back the newest user message only; going further back is done step by step."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._at_rest = asyncio.Event()
        self._at_rest.set()
        self._wanted = True

    async def one(self, message: str) -> bool:
        """Interrupt the turn if it runs, and take back the user message with this uuid and all behind it."""
        request = {"subtype": "rewind_conversation", "target_message_uuid": message, "interrupt_if_running": True}
        try:
            reply = await self._control.ask(request, _STEP_S)
        except (ProcessDied, TimeoutError):
            return False
        return reply.get("rewound") is True

    async def back(self, turns: Sequence[str], taken_back: Callable[[str], None]) -> bool:
        """Take back these turns; `taken_back` is told of each. False when one could not be, or no more was wanted."""
        self._wanted = True
        self._at_rest.clear()
        try:
            for turn in turns:
                if not self._wanted or not await self.one(turn):
                    return False
                taken_back(turn)
            return True
        finally:
            self._at_rest.set()

    async def halt(self) -> None:
        """Go no further back; returns when the step that is under way is done."""
        self._wanted = False
        await self._at_rest.wait()
