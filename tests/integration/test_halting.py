"""A turn that somebody halts: what was said stays. The real CLI, the manager and the store, without HTTP."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from claude_code_api.app import create_app, prepare_data
from claude_code_api.config import ClaudeSettings, PoolSettings, ServerSettings, Settings
from claude_code_api.core.identity import Address
from claude_code_api.core.toolbox import Permissions
from claude_code_api.core.turn import (
    AgentResult,
    ApprovalWanted,
    Message,
    Options,
    TextDelta,
    Tool,
    ToolCallStarted,
    TurnCompleted,
    TurnEvent,
    TurnFailed,
    TurnInput,
    TurnStarted,
)
from claude_code_api.runtime.host import RequestMark
from claude_code_api.runtime.manager import SessionManager
from claude_code_api.runtime.ticket import Ticket
from tests.conftest import Model

SLOW = "[[offline: words 60]] [[offline: pace 0.1]]"
MARKER = "[Request interrupted by user]"
WEATHER = Tool("get_weather", "Tells the weather.", {"properties": {"city": {"type": "string"}}})


def directive(tool: str, **arguments: Any) -> str:
    return f"[[offline: call {tool} {json.dumps(arguments)}]]"


class Talk:
    """One conversation with a manager."""

    def __init__(self, manager: SessionManager, model: Model, profile: str) -> None:
        self.manager = manager
        self.address = Address("default", f"halt-{uuid.uuid4().hex[:8]}")
        self.events: list[TurnEvent] = []
        self._model = model
        self._profile = profile

    async def say(self, text: str, **options: Any) -> Ticket:
        asked = TurnInput(
            Message("user", ({"type": "text", "text": text},)),
            "sonnet",
            profile=self._profile,
            options=Options(**options),
        )
        mark = RequestMark("request", uuid.uuid4().hex)
        self.events = []
        ticket = await self.manager.submit(*self.address, asked, mark)
        self._reading = asyncio.create_task(self._read(ticket))
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
            await self._reading
        return self.events[-1]

    async def done(self) -> TurnCompleted:
        last = await self.end()
        assert isinstance(last, TurnCompleted), last
        return last

    async def talk(self, text: str, **options: Any) -> TurnCompleted:
        await self.say(text, **options)
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
        return self._model.dialogue(needle)


@pytest.fixture
async def manager(model: Model, tmp_path: Path) -> AsyncIterator[SessionManager]:
    settings = Settings(
        server=ServerSettings(data_dir=tmp_path, shutdown_grace_seconds=1),
        claude=ClaudeSettings(base_url=model.server.url),
        pool=PoolSettings(min_size=0, max_size=0),
    )
    home = settings.home(offline=False)
    home.mkdir(parents=True)
    prepare_data(settings, offline=False)
    app = create_app(settings, environ={"PATH": os.environ["PATH"], "ANTHROPIC_API_KEY": "test-key"})
    async with app.router.lifespan_context(app):
        yield app.state.context.manager


@pytest.fixture(params=["chat", "agent"])
def talk(manager: SessionManager, model: Model, request: pytest.FixtureRequest) -> Talk:
    return Talk(manager, model, request.param)


@pytest.fixture
def agent(manager: SessionManager, model: Model) -> Talk:
    return Talk(manager, model, "agent")


def says(event: TurnEvent) -> bool:
    return isinstance(event, TextDelta)


@pytest.mark.parametrize("loss", ["nothing", "hibernated", "killed"])
async def test_what_was_said_until_then_stays(talk: Talk, loss: str) -> None:
    name = uuid.uuid4().hex[:6]
    await talk.talk(f"First {name}.")
    pid = await talk.pid()
    done = await talk.halted(f"Count {name}. {SLOW}", says)
    said = "".join(event.text for event in talk.events if isinstance(event, TextDelta))
    assert done.stop_reason == "interrupted"
    assert said.startswith("word1")
    assert len(said.split()) < 60
    assert done.messages[0].text() == said
    assert await talk.pid() == pid
    await talk.lose(loss)
    done = await talk.talk(f"And now {name}?")
    dialogue = talk.shown(f"And now {name}?")
    assert [role for role, _ in dialogue] == ["user", "assistant", "user", "assistant", "user"]
    assert dialogue[2][1].startswith(f"Count {name}.")
    assert dialogue[3][1] == said
    assert MARKER in dialogue[4][1]
    view = await talk.manager.get(talk.address)
    assert (view.turns, view.state) == (3, "idle")


@pytest.mark.parametrize("loss", ["nothing", "hibernated", "killed"])
async def test_a_message_that_nobody_answered_stays_too(talk: Talk, loss: str) -> None:
    name = uuid.uuid4().hex[:6]
    await talk.talk(f"First {name}.")
    done = await talk.halted(f"Unheard {name}. [[offline: delay 20]]", lambda event: isinstance(event, TurnStarted))
    assert (done.stop_reason, done.messages) == ("interrupted", ())
    await talk.lose(loss)
    await talk.say(f"And now {name}?")
    await talk.heard(lambda event: isinstance(event, TurnStarted))
    async with asyncio.timeout(20):
        while not any(f"And now {name}?" in json.dumps(body["messages"]) for body in talk._model.requests):
            await asyncio.sleep(0.02)
    asked = [body for body in talk._model.requests if f"And now {name}?" in json.dumps(body["messages"])][-1]
    last = [message for message in asked["messages"] if message["role"] == "user"][-1]["content"]
    texts = [block["text"] for block in last]
    assert [text.split(".")[0].strip() for text in texts[-2:]] == [f"Unheard {name}", f"And now {name}?"]
    assert MARKER not in json.dumps(asked["messages"])
    await talk.manager.halt(talk.address)
    await talk.end()


async def test_what_an_agent_did_stays_and_its_command_ends(agent: Talk) -> None:
    call = directive("Bash", command="echo one") + directive("Bash", command="sleep 77")
    done = await agent.halted(f"Do. {call}", lambda event: isinstance(event, AgentResult))
    kinds = [block["type"] for message in done.messages for block in message.content]
    assert kinds == ["tool_use", "tool_use", "tool_result", "tool_result", "text"]
    assert all(block["internal"] for message in done.messages for block in message.content)
    results = [event for event in agent.events if isinstance(event, AgentResult)]
    assert [result.is_error for result in results] == [False, True]
    await agent.lose("hibernated")
    await agent.talk("What then?")
    (asked,) = [body for body in agent._model.requests if "What then?" in json.dumps(body["messages"][-1])]
    shown = [block for message in asked["messages"] for block in message["content"] if isinstance(block, dict)]
    assert next(block["content"] for block in shown if block["type"] == "tool_result") == "one"


async def test_a_call_that_waits_for_approval_is_released(agent: Talk) -> None:
    ask = Permissions(rules=(("Bash", "ask"),))
    done = await agent.halted(
        f"Do. {directive('Bash', command='touch never')}",
        lambda event: isinstance(event, ApprovalWanted),
        permissions=ask,
    )
    assert done.stop_reason == "interrupted"
    assert await agent.manager.approvals(agent.address) == []
    (wanted,) = [event for event in agent.events if isinstance(event, ApprovalWanted)]
    assert (await agent.manager.approval(agent.address, wanted.id)).status == "cancelled"
    assert (await agent.talk("Next.")).stop_reason == "end_turn"


async def test_a_turn_that_has_not_begun_ends_as_soon_as_it_does(talk: Talk) -> None:
    ticket = await talk.say("Early. [[offline: delay 2]]")
    assert ticket.halt()
    assert ticket.halt()
    assert (await talk.done()).stop_reason == "interrupted"
    assert not ticket.halt()
    assert (await talk.talk("Then?")).stop_reason == "end_turn"


async def test_a_turn_that_waits_behind_it_runs(talk: Talk) -> None:
    await talk.say(f"One. {SLOW}")
    await talk.heard(says)
    first = talk._reading
    await talk.say("Two.")
    assert await talk.manager.halt(talk.address)
    await first
    assert (await talk.done()).stop_reason == "end_turn"


async def test_nothing_is_halted_between_turns(talk: Talk) -> None:
    await talk.talk("Hello.")
    assert not await talk.manager.halt(talk.address)


async def test_a_call_of_the_client_is_no_part_of_what_stays(talk: Talk) -> None:
    text = f"Look. {directive('get_weather', city='x' * 4000)} [[offline: pace 0.2]]"
    done = await talk.halted(text, lambda event: isinstance(event, ToolCallStarted), tools=(WEATHER,))
    assert done.stop_reason == "interrupted"
    shown = [block for message in done.messages for block in message.content if not block.get("internal")]
    assert [block for block in shown if block["type"] == "tool_use"] == []
    assert (await talk.talk("And?", tools=(WEATHER,))).stop_reason == "tool_use"  # it was asked both


async def test_an_answer_with_a_schema_is_whole_or_none(manager: SessionManager, model: Model) -> None:
    talk = Talk(manager, model, "chat")
    asked = TurnInput(
        Message("user", ({"type": "text", "text": f"Name one. {'x ' * 200}[[offline: pace 0.2]]"},)),
        "sonnet",
        schema={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    )
    ticket = await manager.submit(*talk.address, asked, RequestMark("request", "schema"))
    last: TurnEvent | None = None
    async for last in ticket.events():
        if isinstance(last, TextDelta):
            ticket.halt()
    assert isinstance(last, TurnCompleted | TurnFailed)
    assert isinstance(last, TurnCompleted)
    assert (last.stop_reason, last.messages) == ("interrupted", ())
