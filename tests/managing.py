"""Conversations with a manager inside this process: the real CLI and the store, without HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from claude_code_api.app import create_app, prepare_data
from claude_code_api.config import AgentSettings, ClaudeSettings, PoolSettings, ServerSettings, Settings
from claude_code_api.core.identity import Address
from claude_code_api.core.toolbox import Toolbox
from claude_code_api.core.turn import Message, Options, TurnCompleted, TurnEvent, TurnInput
from claude_code_api.runtime.host import RequestMark
from claude_code_api.runtime.manager import SessionManager
from claude_code_api.runtime.stored import Beginning
from claude_code_api.runtime.ticket import Ticket
from tests.conftest import Model


def directive(tool: str, **arguments: Any) -> str:
    """Has the offline model call a tool."""
    return f"[[offline: call {tool} {json.dumps(arguments)}]]"


class Talk:
    """One conversation with a manager. The toolbox of its first turn is the conversation's; others are their turns'."""

    def __init__(self, manager: SessionManager, model: Model, profile: str) -> None:
        self.manager = manager
        self.address = Address("default", f"talk-{uuid.uuid4().hex[:8]}")
        self.events: list[TurnEvent] = []
        self.model = model
        self.profile = profile
        self._is_new = True

    async def say(self, text: str, toolbox: Toolbox | None = None, **options: Any) -> Ticket:
        asked = TurnInput(
            Message("user", ({"type": "text", "text": text},)),
            "sonnet",
            profile=self.profile,
            options=Options(**options),
            toolbox=toolbox,
        )
        mark = RequestMark("request", uuid.uuid4().hex)
        self.events = []
        if self._is_new and toolbox is not None:
            begins = Beginning(self.profile, "sonnet", "", toolbox)
            await self.manager.revisions.make(*self.address, {}, (), begins)
        self._is_new = False
        ticket = await self.manager.submit(*self.address, asked, mark)
        self.reading = asyncio.create_task(self._read(ticket))
        return ticket

    async def _read(self, ticket: Ticket) -> None:
        async for event in ticket.events():
            self.events.append(event)
        ticket.delivered()

    async def heard(self, seen: Callable[[TurnEvent], bool]) -> None:
        async with asyncio.timeout(30):
            while not any(map(seen, self.events)):
                await asyncio.sleep(0.01)

    async def end(self) -> TurnEvent:
        async with asyncio.timeout(30):
            await self.reading
        return self.events[-1]

    async def done(self) -> TurnCompleted:
        last = await self.end()
        assert isinstance(last, TurnCompleted), last
        return last

    async def talk(self, text: str, toolbox: Toolbox | None = None, **options: Any) -> TurnCompleted:
        await self.say(text, toolbox, **options)
        return await self.done()

    async def halted(self, text: str, when: Callable[[TurnEvent], bool], **options: Any) -> TurnCompleted:
        """A turn that is halted as soon as `when` happens."""
        await self.say(text, **options)
        await self.heard(when)
        assert await self.manager.halt(self.address)
        return await self.done()

    async def pid(self) -> int | None:
        return (await self.manager.get(self.address)).pid

    async def lose(self, how: str) -> None:
        """The process ends."""
        if how == "hibernated":
            await self.manager.hibernate(self.address)
        elif how == "killed":
            pid = await self.pid()
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            async with asyncio.timeout(20):
                while await self.pid() is not None:
                    await asyncio.sleep(0.02)

    def shown(self, needle: str) -> list[tuple[str, str]]:
        """The dialogue that the model was shown with the last message that contains `needle`."""
        return self.model.dialogue(needle)


@contextlib.asynccontextmanager
async def managing(model: Model, data: Path, **agent: Any) -> AsyncIterator[SessionManager]:
    """A server without a socket, with these settings of `[agent]`."""
    settings = Settings(
        server=ServerSettings(data_dir=data, shutdown_grace_seconds=1),
        claude=ClaudeSettings(base_url=model.server.url),
        pool=PoolSettings(min_size=0, max_size=0),
        agent=AgentSettings(**agent),
    )
    settings.home(offline=False).mkdir(parents=True)
    prepare_data(settings, offline=False)
    app = create_app(settings, environ={"PATH": os.environ["PATH"], "ANTHROPIC_API_KEY": "test-key"})
    async with app.router.lifespan_context(app):
        yield app.state.context.manager
