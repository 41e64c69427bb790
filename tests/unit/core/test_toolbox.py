"""What an agent can be equipped with, and which of its calls go ahead."""

from __future__ import annotations

from typing import Any

import pytest

from claude_code_api.core.toolbox import (
    EVERYTHING,
    Decision,
    McpServer,
    Permissions,
    PlacedFile,
    Skill,
    Toolbox,
    is_tool,
    stricter,
)
from claude_code_api.errors import InvalidRequest


def refused(param: str, **box: Any) -> str:
    with pytest.raises(InvalidRequest) as caught:
        Toolbox(**box)
    assert caught.value.param == param
    return caught.value.message


def test_tools_are_the_clis_own() -> None:
    assert Toolbox(tools=("Bash", "Read")).tools == ("Bash", "Read")
    for name in ("bash", "--help", "Read,Bash", "mcp__x__y", ""):
        assert "NotebookEdit" in refused("tools", tools=("Read", name))


@pytest.mark.parametrize(
    "path", ["/etc/x", "../x", "a/../x", "a//b", "./a", "a/", "", ".", "..", "a\nb", "a" * 1025, "é" * 128]
)
def test_a_file_is_placed_within_the_workspace(path: str) -> None:
    refused("files", files=(PlacedFile(path, "/source"),))


def test_a_file_is_placed_at_a_path_once() -> None:
    Toolbox(files=(PlacedFile("data/.hidden/a b.txt", "/source"), PlacedFile("data/b", "/source")))
    refused("files", files=(PlacedFile("a", "/one"), PlacedFile("a", "/two")))


@pytest.mark.parametrize("url", ["", "file:///etc", "ftp://x", "http://", "http://[", "https://x\n", "x.example"])
def test_a_server_is_reached_by_http(url: str) -> None:
    assert "http://" in refused("servers", servers=(McpServer("one", url),))


@pytest.mark.parametrize("name", ["", "a b", "a__b", "_a", "a_", "client", "a" * 65, "a.b", "é"])
def test_names_are_plain(name: str) -> None:
    refused("servers", servers=(McpServer(name, "https://x.example"),))
    refused("skills", skills=(Skill(name, "/source"),))


def test_names_are_different() -> None:
    Toolbox(servers=(McpServer("my_server-2", "https://x.example/mcp"), McpServer("b", "http://127.0.0.1:9/mcp")))
    refused("servers", servers=(McpServer("a", "http://x"), McpServer("a", "http://y")))
    refused("skills", skills=(Skill("a", "/x"), Skill("a", "/y")))


@pytest.mark.parametrize(
    ("tool", "decision"),
    [
        ("Bash", "ask"),
        ("Read", "deny"),
        ("mcp__calc__add", "ask"),
        ("mcp__calc__sub", "allow"),
        ("mcp__calculator__add", "deny"),
        ("mcp__calc", "ask"),
    ],
)
def test_the_closest_rule_decides(tool: str, decision: Decision) -> None:
    rules: tuple[tuple[str, Decision], ...] = (("Bash", "ask"), ("mcp__calc", "ask"), ("mcp__calc__sub", "allow"))
    assert Permissions(rules, default="deny").of(tool) == decision


def test_the_stricter_of_two() -> None:
    assert (stricter("allow", "ask"), stricter("deny", "ask"), stricter("allow", "allow")) == ("ask", "deny", "allow")
    assert EVERYTHING.lets_all
    assert Permissions((("Bash", "allow"),)).lets_all
    assert not Permissions((("Bash", "ask"),)).lets_all
    assert not Permissions(default="ask").lets_all


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("Bash", True),
        ("mcp__server", True),
        ("mcp__my_server__some__tool", True),
        ("bash", False),
        ("mcp__", False),
        ("mcp__server__", False),
        ("mcp__client", False),
        ("mcp__client__x", False),
        ("server", False),
    ],
)
def test_what_a_rule_can_be_for(name: str, known: bool) -> None:
    assert is_tool(name) is known


@pytest.mark.parametrize(
    ("rule", "called"),
    [("search.docs", "search_docs"), ("find me", "find_me"), ("a\u00e9b", "a_b"), ("a\U0001f600", "a__")],
)
def test_a_rule_goes_by_the_name_that_an_mcp_server_gives_its_tool(rule: str, called: str) -> None:
    permissions = Permissions(((f"mcp__docs__{rule}", "deny"), ("mcp__docs", "allow")))
    assert permissions.of(f"mcp__docs__{called}") == "deny"
    assert permissions.of("mcp__docs__other") == "allow"


def test_of_two_tools_that_the_cli_names_the_same_the_stricter_rule_holds() -> None:
    for one, other in (("a.b", "a_b"), ("a_b", "a.b")):
        permissions = Permissions(((f"mcp__docs__{one}", "deny"), (f"mcp__docs__{other}", "allow")))
        assert permissions.of("mcp__docs__a_b") == "deny"
