"""From an agent to what its turns are asked with."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from claude_code_api.core.toolbox import Permissions, PlacedFile, Toolbox
from claude_code_api.managed.mapping import asked_of, called, implicit_agent, mount_path, profile_of
from claude_code_api.managed.tools import resolved_servers, resolved_tools

TOOLSET = "agent_toolset_20260401"
ASK = Permissions((("Bash", "ask"),))


def agent(*tools: Any, **more: Any) -> dict[str, Any]:
    return {
        "id": "agent_1",
        "version": 1,
        "name": "Helper",
        "model": {"id": "sonnet", "effort": {"type": "low"}},
        "system": "Be brief.",
        "tools": resolved_tools(list(tools)),
        "mcp_servers": [],
        "skills": [],
        **more,
    }


def asked(of: dict[str, Any], **more: Any) -> Any:
    return asked_of(of, is_implicit=False, resolve=str.upper, **more)


def test_the_tools_that_are_on_are_there_and_their_policies_go_along() -> None:
    ask = {"type": "always_ask"}
    tools = {
        "type": TOOLSET,
        "default_config": {"permission_policy": ask},
        "configs": [
            {"name": "read", "permission_policy": {"type": "always_allow"}},
            {"name": "bash", "enabled": False},
        ],
    }
    found = asked(agent(tools))
    assert found.model == "SONNET"
    assert found.system == "Be brief."
    assert found.toolbox.tools == ("Edit", "Read", "Write", "Glob", "Grep", "WebFetch", "WebSearch")
    assert found.options.effort == "low"
    permissions = found.options.permissions
    assert [permissions.of(name) for name in ("Write", "Read", "Bash")] == ["ask", "allow", "deny"]


def test_without_a_toolset_there_are_no_tools() -> None:
    assert asked(agent()).toolbox.tools == ()


def test_servers_and_custom_tools() -> None:
    custom = {"type": "custom", "name": "weather", "description": "d", "input_schema": {"type": "object"}}
    configs = [{"name": "drop", "enabled": False}, {"name": "list", "permission_policy": {"type": "always_allow"}}]
    mcp = {"type": "mcp_toolset", "mcp_server_name": "docs", "configs": configs}
    servers = resolved_servers([{"type": "url", "name": "docs", "url": "https://docs.example/mcp"}])
    found = asked(agent(mcp, custom, mcp_servers=servers))
    assert [(one.name, one.url) for one in found.toolbox.servers] == [("docs", "https://docs.example/mcp")]
    decisions = [found.options.permissions.of(f"mcp__docs__{name}") for name in ("drop", "list", "other")]
    assert decisions == ["deny", "allow", "ask"]
    assert [tool.name for tool in found.options.tools] == ["weather"]


def test_the_agent_is_told_of_its_files() -> None:
    found = asked(agent(), files=[PlacedFile("uploads/a.csv", "/srv/a")])
    assert found.system == "Be brief.\n\nFiles of the user, in your working directory:\n- uploads/a.csv"
    assert found.toolbox.files[0].path == "uploads/a.csv"


@pytest.mark.parametrize("profile", ["chat", "agent"])
def test_an_agent_that_stands_for_a_conversation_asks_for_nothing_but_its_model(profile: str) -> None:
    stands = implicit_agent(profile, "claude-sonnet-5", "Be kind.")
    found = asked_of(stands, is_implicit=True, resolve=str)
    assert (found.model, found.profile, found.system, found.toolbox) == ("claude-sonnet-5", profile, None, None)
    assert found.options.permissions.lets_all
    assert profile_of(stands) == profile


def test_an_agent_that_stands_for_a_conversation_keeps_its_toolbox_and_gets_files() -> None:
    own = Toolbox(tools=("Bash",), files=(PlacedFile("a", "/old"), PlacedFile("b", "/b")), permissions=ASK)
    stands = implicit_agent("agent", "claude-sonnet-5", "")
    found = asked_of(stands, is_implicit=True, resolve=str, files=[PlacedFile("a", "/new")], own=own)
    assert found.toolbox == replace(own, files=(PlacedFile("b", "/b"), PlacedFile("a", "/new")))
    assert asked_of(stands, is_implicit=True, resolve=str, own=own).toolbox == own


def test_what_claude_code_calls_its_tools_is_not_what_clients_do() -> None:
    names = ("Bash", "WebFetch", "TodoWrite", "mcp__docs__find_all")
    assert [called(name) for name in names] == [
        ("bash", None),
        ("web_fetch", None),
        ("TodoWrite", None),
        ("find_all", "docs"),
    ]


def test_where_files_are_mounted() -> None:
    assert mount_path(None, "data.csv") == "uploads/data.csv"
    assert mount_path("/mnt/session/uploads/x", "data.csv") == "uploads/x"
    assert mount_path("/workspace/in/x", "data.csv") == "in/x"
    assert mount_path("in/x", "data.csv") == "in/x"
    assert mount_path("/etc/x", "data.csv") == "/etc/x"  # and refused as it is
