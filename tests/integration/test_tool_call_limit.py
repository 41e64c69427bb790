"""How many calls of its own tools an agent may make in a turn: a process of the real CLI, without a server."""

from __future__ import annotations

import asyncio
import json
import os
import uuid
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from claude_code_api.claude.launch import INSTANCE_VARIABLE, installation
from claude_code_api.claude.launcher import ClaudeLauncher
from claude_code_api.claude.permissions import Rules
from claude_code_api.claude.warm import SpareSettings
from claude_code_api.core.profiles import AGENT
from claude_code_api.core.turn import (
    AgentCall,
    AgentResult,
    Block,
    Options,
    Tool,
    TurnCompleted,
    TurnEvent,
    TurnFailed,
)
from claude_code_api.runtime.guard import Guard
from claude_code_api.runtime.ports import Agent, Entry, Launch, Profile
from tests.conftest import Model

REACHED = "The limit of {} tool calls of this request is reached: answer with what you have."
WEATHER = Tool("get_weather", "Tells the weather.", {"properties": {"city": {"type": "string"}}})


class Starter:
    """Starts agents, each in a directory of its own."""

    def __init__(self, launcher: ClaudeLauncher, root: Path) -> None:
        self.root = root
        self.started: list[Agent] = []
        self._launcher = launcher

    async def __call__(self, options: Options = Options(), schema: dict[str, Any] | None = None) -> Agent:
        async def nothing() -> Sequence[Entry]:
            return ()

        written = None if schema is None else json.dumps(schema)
        profile = Profile("sonnet", name=AGENT, schema=written)
        agent = await self._launcher.start(Launch(None, profile, options, None, (), nothing))
        self.started.append(agent)
        return agent

    def made(self, agent: Agent) -> set[str]:
        """The files that it has made."""
        return {path.name for path in (self.root / agent.place / "work").iterdir()}


@pytest.fixture
async def start(model: Model, tmp_path: Path) -> AsyncIterator[Starter]:
    cli = installation(
        command="",
        base_url=model.server.url,
        simple="auto",
        environ={"PATH": os.environ["PATH"]},
        instance="test",
        credential="test-key",
    )
    guard = Guard(f"{INSTANCE_VARIABLE}=test-{uuid.uuid4().hex}")
    launcher = ClaudeLauncher(
        cli,
        root=tmp_path,
        guard=guard,
        start_s=30,
        retry_s=1,
        concurrent_starts=2,
        rules=Rules(),
        pool=SpareSettings(0, 0, 60, 0),
        spare_model="sonnet",
    )
    starter = Starter(launcher, tmp_path)
    yield starter
    for agent in starter.started:
        await agent.stop(flush=False)
    await launcher.close()
    await asyncio.to_thread(guard.close)


async def send(agent: Agent, content: tuple[Block, ...], options: Options) -> list[TurnEvent]:
    """One turn, to its end."""
    events: list[TurnEvent] = []
    over = asyncio.Event()

    def emit(event: TurnEvent) -> None:
        events.append(event)
        if isinstance(event, TurnCompleted | TurnFailed):
            over.set()

    agent.send(str(uuid.uuid4()), content, options, emit)
    async with asyncio.timeout(60):
        await over.wait()
    return events


async def ask(agent: Agent, text: str, most: int | None, **options: Any) -> list[TurnEvent]:
    return await send(agent, ({"type": "text", "text": text},), Options(max_tool_calls=most, **options))


def call(tool: str, **arguments: Any) -> str:
    return f"[[offline: call {tool} {json.dumps(arguments)}]]"


def touch(*names: str) -> str:
    return "".join(call("Bash", command=f"touch {name}; echo made-{name}") for name in names)


def done(events: list[TurnEvent]) -> TurnCompleted:
    assert isinstance(events[-1], TurnCompleted), events[-1]
    return events[-1]


def outcomes(events: list[TurnEvent]) -> dict[str, tuple[str, bool]]:
    """The results of the agent's calls, by the commands that were called."""
    calls = {
        event.id: event.input["command"].split()[1].rstrip(";") for event in events if isinstance(event, AgentCall)
    }
    results = [event for event in events if isinstance(event, AgentResult)]
    assert sorted(event.id for event in results) == sorted(calls)
    return {calls[event.id]: (event.content, event.is_error) for event in results}


async def test_calls_beyond_the_limit_are_not_made_and_the_model_is_told_why(start: Starter) -> None:
    agent = await start()
    events = await ask(agent, f"Go {touch('a', 'b', 'c', 'd')}", 2)
    told = outcomes(events)
    assert start.made(agent) == {"a", "b"}
    assert (told["a"], told["b"]) == (("made-a", False), ("made-b", False))
    for name in ("c", "d"):
        said, is_error = told[name]
        assert is_error
        assert said.endswith(REACHED.format(2))
    (line,) = {event.line for event in events if isinstance(event, AgentResult) and event.is_error}
    assert line is not None
    assert line.startswith("Bash failed: ")
    assert "made-a; made-b" in done(events).messages[-1].text()
    assert REACHED.format(2) in done(events).messages[-1].text()


async def test_the_limit_is_a_turns_own_on_one_process(start: Starter) -> None:
    agent = await start()
    for number, (most, made) in enumerate([(None, 3), (1, 1), (1, 1), (2, 2), (None, 3), (0, 0), (None, 3)]):
        before = len(start.made(agent))
        done(await ask(agent, f"Go {touch(*(f'{number}{name}' for name in 'abc'))}", most))
        assert len(start.made(agent)) - before == made, (number, most)
    assert agent.alive


async def test_what_a_sub_agent_calls_counts_and_is_not_told(start: Starter) -> None:
    agent = await start()
    inner = touch("one", "two").replace("[[", "[\\u005b").replace('"', '\\"')
    prompt = f'{{"description": "look", "subagent_type": "general-purpose", "prompt": "Look. {inner}"}}'
    events = await ask(agent, f"[[offline: call Agent {prompt}]]", 2)
    assert start.made(agent) == {"one"}
    assert [event.name for event in events if isinstance(event, AgentCall)] == ["Agent"]
    (result,) = [event for event in events if isinstance(event, AgentResult)]
    assert not result.is_error
    assert REACHED.format(2) in result.content


async def test_the_clients_tools_do_not_count_and_a_parked_turn_goes_on(start: Starter) -> None:
    options = Options(tools=(WEATHER,))
    agent = await start(options)
    text = f"Go {touch('a', 'b')}{call('get_weather', city='Rome')}"
    parked = await ask(agent, text, 1, tools=options.tools)
    assert done(parked).stop_reason == "tool_use"
    assert start.made(agent) == {"a"}
    (open_call,) = [
        block["id"]
        for message in done(parked).messages
        for block in message.content
        if block["type"] == "tool_use" and not block.get("internal")
    ]
    result = {"type": "tool_result", "tool_use_id": open_call, "content": [{"type": "text", "text": "Sunny."}]}
    answered = await send(agent, (result,), Options(tools=options.tools, max_tool_calls=0))
    assert "Sunny." in done(answered).messages[-1].text()


async def test_an_answer_that_has_a_schema_is_no_call(start: Starter) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    agent = await start(schema=schema)
    events = await ask(agent, f"Name one. {touch('a')}", 0)
    assert start.made(agent) == set()
    assert set(json.loads(done(events).messages[-1].text())) == {"city"}


async def test_a_turn_that_is_undone_leaves_no_limit_behind(start: Starter) -> None:
    agent = await start()
    turn = str(uuid.uuid4())
    limited = Options(max_tool_calls=1)
    events: list[TurnEvent] = []
    agent.send(turn, ({"type": "text", "text": call("Bash", command="touch a; sleep 60")},), limited, events.append)
    async with asyncio.timeout(20):
        while "a" not in start.made(agent):
            await asyncio.sleep(0.02)
    assert await agent.undo(turn)
    done(await ask(agent, f"Again {touch('b', 'c')}", 1))
    assert start.made(agent) == {"a", "b"}
    done(await ask(agent, f"And again {touch('d', 'e')}", None))
    assert start.made(agent) == {"a", "b", "d", "e"}
