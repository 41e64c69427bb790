"""The client's tools as the CLI sees them over MCP, and the calls that wait."""

from __future__ import annotations

from typing import Any

import pytest

from claude_code_api.claude.tools import ClientTools, results_of, stubs, to_cli
from claude_code_api.core.turn import Block, Message, Tool

WEATHER = Tool("weather", "Tells the weather.", {"properties": {"city": {"type": "string"}}, "required": ["city"]})


def offering(*tools: Tool) -> ClientTools:
    offered = ClientTools()
    offered.offered = tools
    return offered


def message(method: str, number: int | None = None, **params: Any) -> dict[str, Any]:
    """A JSON-RPC message as the CLI sends it (2.1.330)."""
    request: dict[str, Any] = {"jsonrpc": "2.0", "method": method}
    if params:
        request["params"] = params
    return request if number is None else {**request, "id": number}


def call(identity: str, number: int) -> dict[str, Any]:
    meta = {"claudecode/toolUseId": identity, "progressToken": number}
    return message("tools/call", number, name="weather", arguments={"city": "Rome"}, _meta=meta)


def result(identity: str, **more: Any) -> Block:
    return {"type": "tool_result", "tool_use_id": identity, "content": [{"type": "text", "text": "22 °C"}], **more}


def test_the_handshake_answers_in_the_version_that_was_asked_for() -> None:
    answer, called = offering().take("r", message("initialize", 0, protocolVersion="2025-11-25", capabilities={}))
    assert called is None
    assert answer is not None
    assert answer["id"] == 0
    assert answer["result"]["protocolVersion"] == "2025-11-25"
    assert answer["result"]["capabilities"] == {"tools": {"listChanged": True}}
    assert answer["result"]["serverInfo"]["name"] == "client"


def test_a_tool_is_listed_with_what_the_model_has_to_know_of_it() -> None:
    answer, called = offering(WEATHER).take("r", message("tools/list", 1))
    assert called is None
    assert answer is not None
    (listed,) = answer["result"]["tools"]
    assert (listed["name"], listed["description"]) == ("weather", "Tells the weather.")
    assert listed["inputSchema"] == {"type": "object", **WEATHER.schema}
    assert listed["annotations"] == {"readOnlyHint": True}
    assert listed["_meta"]["anthropic/alwaysLoad"] is True
    assert listed["_meta"]["anthropic/maxResultSizeChars"] >= 500_000


def test_tools_are_listed_in_their_order_and_as_they_are_now() -> None:
    tools = offering(WEATHER, Tool("time", "", {}))
    tools.take("r", message("tools/list", 1))
    tools.offered = (Tool("time", "", {}), Tool("other", "", {}))
    answer, _ = tools.take("r", message("tools/list", 2))
    assert answer is not None
    assert [tool["name"] for tool in answer["result"]["tools"]] == ["time", "other"]
    assert tools.names == {"mcp__client__time", "mcp__client__other"}


@pytest.mark.parametrize("method", ["ping", "resources/list", "something/new"])
def test_what_else_is_asked_is_answered_with_nothing(method: str) -> None:
    answer, called = offering().take("r", message(method, 7))
    assert (answer, called) == ({"jsonrpc": "2.0", "id": 7, "result": {}}, None)


def test_a_notification_is_acknowledged_without_a_number() -> None:
    answer, called = offering().take("r", message("notifications/initialized"))
    assert (answer, called) == ({"jsonrpc": "2.0", "result": {}}, None)


def test_a_call_waits_for_its_result() -> None:
    tools = offering(WEATHER)
    assert tools.take("request-1", call("toolu_1", 2)) == (None, "toolu_1")
    assert tools.open == {"toolu_1"}
    request, answer = tools.answer(result("toolu_1"))
    assert request == "request-1"
    assert answer["id"] == 2
    assert answer["result"] == {"content": result("toolu_1")["content"], "isError": False}
    assert not tools.open


def test_calls_are_answered_in_any_order_each_with_its_own_number() -> None:
    tools = offering(WEATHER)
    for number in (2, 3):
        tools.take(f"request-{number}", call(f"toolu_{number}", number))
    told = [tools.answer(result(f"toolu_{number}")) for number in (3, 2)]
    assert [(request, answer["id"]) for request, answer in told] == [("request-3", 3), ("request-2", 2)]


def test_a_result_can_be_an_error_or_empty() -> None:
    tools = offering(WEATHER)
    tools.take("r", call("toolu_1", 2))
    _, answer = tools.answer({"type": "tool_result", "tool_use_id": "toolu_1", "is_error": True})
    assert answer["result"] == {"content": [], "isError": True}


def test_a_call_that_was_cancelled_no_longer_waits() -> None:
    tools = offering(WEATHER)
    tools.take("r2", call("toolu_2", 2))
    tools.take("r3", call("toolu_3", 3))
    answer, called = tools.take("r4", message("notifications/cancelled", requestId=2, reason="AbortError"))
    assert (answer, called) == ({"jsonrpc": "2.0", "result": {}}, None)
    assert tools.open == {"toolu_3"}


def test_a_cancellation_of_something_else_changes_nothing() -> None:
    tools = offering(WEATHER)
    tools.take("r2", call("toolu_2", 2))
    tools.take("r4", message("notifications/cancelled", requestId=1))
    assert tools.open == {"toolu_2"}


# Histories


def test_a_history_with_calls_has_a_stub_for_each_tool_once() -> None:
    def called(name: str, **more: Any) -> Block:
        return {"type": "tool_use", "id": name, "name": name, "input": {}, **more}

    history = [
        Message("user", ({"type": "text", "text": "Hi"},)),
        Message("assistant", (called("weather"), called("time"), called("Bash", internal=True))),
        Message("user", (result("weather"), result("time"))),
        Message("assistant", (called("weather"),)),
    ]
    assert [tool.name for tool in stubs(history)] == ["weather", "time"]
    assert stubs(history[:1]) == ()


@pytest.mark.parametrize(
    ("block", "written"),
    [
        ({"type": "text", "text": "Hi"}, {"type": "text", "text": "Hi"}),
        (
            {"type": "tool_use", "id": "a", "name": "weather", "input": {}},
            {"type": "tool_use", "id": "a", "name": "mcp__client__weather", "input": {}},
        ),
        (
            {"type": "tool_use", "id": "a", "name": "Bash", "input": {}, "internal": True},
            {"type": "tool_use", "id": "a", "name": "Bash", "input": {}},
        ),
        (
            {"type": "tool_result", "tool_use_id": "a", "content": "x", "internal": True},
            {"type": "tool_result", "tool_use_id": "a", "content": "x"},
        ),
        (result("a"), result("a")),
    ],
)
def test_a_block_is_written_with_the_clis_names_and_without_our_marks(block: Block, written: Block) -> None:
    before = dict(block)
    assert to_cli(block) == written
    assert block == before


def test_the_results_in_a_message_are_found_by_their_calls() -> None:
    content = (result("a"), {"type": "text", "text": "Hurry."}, result("b"))
    assert results_of(content) == {"a": result("a"), "b": result("b")}
