"""What an agent is equipped with: its tools, MCP servers, skills and files, with the real CLI."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from claude_code_api.core.toolbox import McpServer, Permissions, PlacedFile, Skill, Toolbox
from claude_code_api.core.turn import AgentCall, AgentResult, ApprovalWanted, ServerFailed, Tool, TurnFailed
from claude_code_api.runtime.manager import SessionManager
from tests.conftest import Model
from tests.managing import Talk, directive, managing
from tests.mcp_server import Calculator

WEATHER = Tool("get_weather", "Tells the weather.", {"properties": {"city": {"type": "string"}}})


@pytest.fixture
async def manager(model: Model, tmp_path: Path) -> AsyncIterator[SessionManager]:
    async with managing(model, tmp_path / "data") as manager:
        yield manager


@pytest.fixture
def agent(manager: SessionManager, model: Model) -> Talk:
    return Talk(manager, model, "agent")


@pytest.fixture
def calculator() -> Iterator[Calculator]:
    with Calculator() as server:
        yield server


def offered(talk: Talk, needle: str) -> list[str]:
    """The tools in the last request with this message."""
    return [tool["name"] for tool in talk.model.asked(needle)[-1].get("tools", [])]


def results(talk: Talk) -> list[tuple[str, bool]]:
    return [(event.content, event.is_error) for event in talk.events if isinstance(event, AgentResult)]


def workspace(tmp_path: Path) -> Path:
    (found,) = tmp_path.glob("data/default/sessions/*/work")
    return found


# Tools


async def test_an_agent_has_the_tools_that_it_is_given(agent: Talk) -> None:
    await agent.talk("Which, at first?", Toolbox(tools=("Read", "Grep")))
    assert offered(agent, "Which, at first?") == ["Grep", "Read"]
    first = await agent.pid()
    await agent.talk("And still?")
    assert await agent.pid() == first
    await agent.talk("And none?", Toolbox(tools=()))
    assert offered(agent, "And none?") == []
    assert await agent.pid() != first


async def test_it_has_them_again_when_it_comes_back_whatever_the_turn_says(agent: Talk) -> None:
    await agent.talk("Begin.", Toolbox(tools=("Read",)))
    await agent.lose("hibernated")
    await agent.talk("Which now?")
    assert offered(agent, "Which now?") == ["Read"]
    agent.profile = "chat"
    await agent.talk("As a chat?")
    assert offered(agent, "As a chat?") == []
    agent.profile = "agent"
    await agent.talk("As an agent again?")
    assert offered(agent, "As an agent again?") == ["Read"]
    view = await agent.manager.revisions.fork(agent.address, None, None)
    fork = Talk(agent.manager, agent.model, "agent")
    fork.address = agent.address._replace(conversation_id=view.conversation_id)
    await fork.talk("And a fork?")
    assert offered(fork, "And a fork?") == ["Read"]


async def test_without_a_toolbox_it_has_all_of_its_own(agent: Talk) -> None:
    await agent.talk("What do you have?")
    assert {"Bash", "Read", "Write"} <= set(offered(agent, "What do you have?"))


# Files


async def test_files_are_there_before_the_first_turn(agent: Talk, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"a,b\n1,2\n")
    box = Toolbox(files=(PlacedFile("data/in/table.csv", str(source)), PlacedFile("notes.txt", str(source))))
    await agent.talk(f"Look. {directive('Bash', command='cat data/in/table.csv')}", box)
    assert results(agent) == [("a,b\n1,2", False)]
    await agent.talk(f"Change. {directive('Bash', command='echo mine > notes.txt; rm data/in/table.csv; ls -A')}")
    assert results(agent)[0][0].split() == ["data", "notes.txt"]
    await agent.lose("hibernated")
    await agent.talk(f"Look again. {directive('Bash', command='cat notes.txt data/in/table.csv')}")
    assert results(agent) == [("mine\na,b\n1,2", False)]


async def test_nothing_is_placed_through_a_link(agent: Talk, tmp_path: Path) -> None:
    source, outside = tmp_path / "source", tmp_path / "outside"
    source.write_text("new")
    outside.mkdir()
    (outside / "there").write_text("old")
    await agent.talk(
        f"Link. {directive('Bash', command=f'ln -s {outside} out; ln -s {outside}/there there; touch flat')}"
    )
    for path in ("out/file", "flat/file"):
        await agent.say("Place.", Toolbox(files=(PlacedFile(path, str(source)),)))
        last = await agent.end()
        assert isinstance(last, TurnFailed)
        assert (last.error.code, last.error.param) == ("invalid_request", "files")
    await agent.talk("Place.", Toolbox(files=(PlacedFile("there", str(source)),)))
    assert [path.name for path in outside.iterdir()] == ["there"]
    assert (outside / "there").read_text() == "old"


async def test_a_file_that_the_server_lost_is_named(agent: Talk, tmp_path: Path) -> None:
    await agent.say("Place.", Toolbox(files=(PlacedFile("a.txt", str(tmp_path / "nowhere")),)))
    last = await agent.end()
    assert isinstance(last, TurnFailed)
    assert last.error.code == "process_start_failed"
    assert "a.txt" in last.error.message
    assert str(tmp_path) not in last.error.message


# MCP servers


async def test_an_mcp_server_is_used_beside_the_clients_tools(agent: Talk, calculator: Calculator) -> None:
    box = Toolbox(tools=(), servers=(McpServer("calc", calculator.url),))
    await agent.talk(f"Add. {directive('add', a=1, b=2)}", box)
    assert [(call.name, call.line) for call in agent.events if isinstance(call, AgentCall)] == [
        ("mcp__calc__add", "mcp__calc__add")
    ]
    assert results(agent) == [("The sum is 3.", False)]
    pid = await agent.pid()
    await agent.talk("Both?", tools=(WEATHER,))
    assert offered(agent, "Both?") == ["mcp__calc__add", "mcp__client__get_weather"]
    assert await agent.pid() == pid
    await agent.lose("killed")
    await agent.talk(f"Again. {directive('add', a=3, b=4)}")
    assert calculator.called == [{"a": 1, "b": 2}, {"a": 3, "b": 4}]


async def test_both_are_there_from_the_first_turn_on(agent: Talk, calculator: Calculator) -> None:
    box = Toolbox(tools=(), servers=(McpServer("calc", calculator.url),))
    await agent.talk(f"Both? {directive('add', a=1, b=2)}", box, tools=(WEATHER,))
    assert offered(agent, "Both?") == ["mcp__calc__add", "mcp__client__get_weather"]
    assert calculator.called == [{"a": 1, "b": 2}]


async def test_its_calls_can_wait_for_approval(agent: Talk, calculator: Calculator) -> None:
    box = Toolbox(servers=(McpServer("calc", calculator.url),))
    await agent.say(f"Add. {directive('add', a=1, b=2)}", box, permissions=Permissions((("mcp__calc", "ask"),)))
    await agent.heard(lambda event: isinstance(event, ApprovalWanted))
    (approval,) = await agent.manager.approvals(agent.address)
    assert (approval.name, approval.input) == ("mcp__calc__add", {"a": 1, "b": 2})
    await agent.manager.decide(agent.address, approval.id, allowed=True)
    await agent.done()
    assert calculator.called == [{"a": 1, "b": 2}]


async def test_a_server_that_cannot_be_reached_is_told(agent: Talk, calculator: Calculator) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{closed.getsockname()[1]}/mcp"
    box = Toolbox(servers=(McpServer("dead", dead), McpServer("calc", calculator.url)))
    await agent.talk(f"Add. {directive('add', a=1, b=2)}", box)
    (failed,) = [event for event in agent.events if isinstance(event, ServerFailed)]
    assert failed.name == "dead"
    assert "ECONNREFUSED" in failed.message
    assert results(agent) == [("The sum is 3.", False)]


# Skills


def skill(root: Path, name: str, front: str = "", body: str = "Say it.") -> Skill:
    """A skill with a script, as it is kept on the server."""
    folder = root / f"kept-{name}"
    (folder / "scripts").mkdir(parents=True)
    (folder / "SKILL.md").write_text(f"---\nname: {name}\ndescription: Knows about {name}.\n{front}---\n{body}\n")
    (folder / "scripts" / "tell.sh").write_text(f"echo told-by-{name}")
    return Skill(name, str(folder))


async def test_a_skill_is_offered_and_comes_with_its_files(agent: Talk, tmp_path: Path) -> None:
    box = Toolbox(tools=("Bash",), skills=(skill(tmp_path, "tides", body="Run ${CLAUDE_SKILL_DIR}/scripts/tell.sh"),))
    await agent.talk(f"Use it. {directive('Skill', skill='skills:tides')}", box)
    asked = json.dumps(agent.model.asked("Use it.")[0])
    assert "Knows about tides." in asked
    assert "update-config" not in asked  # one of the CLI's own
    assert offered(agent, "Use it.") == ["Bash", "Skill"]
    shown = json.dumps(agent.model.requests[-1]["messages"])
    assert "Base directory for this skill" in shown
    base = shown.split("Base directory for this skill: ")[1].split("\\n")[0]
    await agent.talk(f"Run it. {directive('Bash', command=f'sh {base}/scripts/tell.sh')}")
    assert results(agent) == [("told-by-tides", False)]
    await agent.lose("hibernated")
    await agent.talk("Still there?")
    assert "Knows about tides." in json.dumps(agent.model.asked("Still there?")[-1]["messages"])


@pytest.mark.parametrize("trick", ["shell", "hook"])
async def test_a_skill_does_nothing_that_nobody_was_asked_for(agent: Talk, tmp_path: Path, trick: str) -> None:
    touched = tmp_path / "touched"
    hook = f"hooks:\n  PreToolUse:\n    - hooks:\n        - type: command\n          command: touch {touched}\n"
    shell = f"Out: !`touch {touched}`"
    made = (
        skill(tmp_path, "tricky", hook)
        if trick == "hook"
        else skill(tmp_path, "tricky", "allowed-tools: Bash\n", shell)
    )
    deny: Any = Permissions((("Bash", "deny"),))
    calls = directive("Skill", skill="skills:tricky") + directive("Bash", command=f"touch {touched}")
    await agent.talk(f"Use it. {calls}", Toolbox(skills=(made,)), permissions=deny)
    await agent.talk(f"Go on. {directive('Read', file_path='x')}", permissions=deny)
    assert not touched.exists()
