"""A turn that somebody halts: what was said stays."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from claude_code_api.core.toolbox import Permissions
from claude_code_api.core.turn import (
    AgentResult,
    ApprovalWanted,
    Message,
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
from tests.conftest import Model
from tests.managing import Talk, directive, managing

SLOW = "[[offline: words 60]] [[offline: pace 0.1]]"
MARKER = "[Request interrupted by user]"
WEATHER = Tool("get_weather", "Tells the weather.", {"properties": {"city": {"type": "string"}}})


@pytest.fixture
async def manager(model: Model, tmp_path: Path) -> AsyncIterator[SessionManager]:
    async with managing(model, tmp_path) as manager:
        yield manager


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
        while not any(f"And now {name}?" in json.dumps(body["messages"]) for body in talk.model.requests):
            await asyncio.sleep(0.02)
    asked = [body for body in talk.model.requests if f"And now {name}?" in json.dumps(body["messages"])][-1]
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
    (asked,) = [body for body in agent.model.requests if "What then?" in json.dumps(body["messages"][-1])]
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
    first = talk.reading
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


async def test_a_turn_ends_once_it_has_cost_enough(agent: Talk) -> None:
    first = await agent.talk(f"Once. {directive('Bash', command='echo once')}", max_cost_usd=1.0)
    assert first.stop_reason == "end_turn"
    spent = (await agent.manager.get(agent.address)).cost_usd
    assert 0 < spent < 0.1
    pid = await agent.pid()
    calls = "".join(directive("Bash", command=f"sleep 0.3; echo {number}") for number in range(20))
    done = await agent.talk(f"Much. {calls}", max_cost_usd=spent / 1000)
    assert done.stop_reason == "budget_reached"
    results = [event for event in agent.events if isinstance(event, AgentResult)]
    assert len([result for result in results if not result.is_error]) < 20
    assert await agent.pid() == pid
    assert (await agent.talk("And?", max_cost_usd=1.0)).stop_reason == "end_turn"


async def test_what_a_sub_agent_costs_counts(agent: Talk) -> None:
    inner = directive("Bash", command="sleep 20").replace("[[", "[\\u005b").replace('"', '\\"')
    prompt = f'{{"description": "look", "subagent_type": "general-purpose", "prompt": "Look. {inner}"}}'
    await agent.talk("Hello.")
    cost = (await agent.manager.get(agent.address)).cost_usd
    done = await agent.talk(f"[[offline: call Agent {prompt}]]", max_cost_usd=cost * 0.8)
    assert done.stop_reason == "budget_reached"


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
