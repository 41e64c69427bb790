"""Turns that are halted, and MCP servers that are not there, by the CLI's frames."""

from __future__ import annotations

from typing import Any

from claude_code_api.claude.frames import TurnReader
from claude_code_api.core.turn import ServerFailed, TurnCompleted, TurnFailed
from tests.unit.claude import frames as cli


def test_servers_that_are_not_there_are_told_with_the_turn() -> None:
    servers = {"one": "", "two": "ECONNREFUSED", "three": "", "four": "was down at first"}
    reader = TurnReader(cli.TURN, retry_ms=0, servers=servers)
    states = [
        {"name": "one", "status": "failed"},
        {"name": "two", "status": "failed"},
        {"name": "four", "status": "connected"},
        {"name": "client", "status": "connected"},
    ]
    sent = (cli.lifecycle("started"), cli.system("init", tools=[], mcp_servers=states))
    assert [event for frame in sent for event in reader.feed(frame)] == [
        ServerFailed("one", "It is not connected (failed)."),
        ServerFailed("two", "ECONNREFUSED"),
        ServerFailed("three", "It is not connected (unknown)."),
    ]


def aborted(reason: str = "aborted_streaming") -> cli.Frame:
    return cli.result(
        subtype="error_during_execution", is_error=True, terminal_reason=reason, usage={}, stop_reason=None, result=None
    )


MARKER = {"type": "text", "text": "[Request interrupted by user]"}


def halted(*sent: cli.Frame, **more: Any) -> TurnCompleted | TurnFailed:
    reader = TurnReader(cli.TURN, retry_ms=0, **more)
    events = [*reader.feed(cli.lifecycle("started"))]
    reader.halted = "interrupted"
    events += [event for frame in sent for event in reader.feed(frame)]
    last = events[-1]
    assert isinstance(last, TurnCompleted | TurnFailed)
    assert reader.over
    return last


def test_a_halted_turn_is_what_was_said() -> None:
    said = {"type": "text", "text": "So far"}
    stop = cli.stream({"type": "message_stop"})
    last = halted(cli.message_start(input_tokens=7), cli.assistant(said), cli.tool_results(MARKER), stop, aborted())
    assert isinstance(last, TurnCompleted)
    assert (last.stop_reason, last.usage.input_tokens) == ("interrupted", 7)
    assert [(message.role, message.content) for message in last.messages] == [
        ("assistant", (said,)),
        ("user", ({**MARKER, "internal": True},)),
    ]
    assert last.leaf is not None


def test_a_halted_turn_in_which_nothing_was_said_has_no_answer() -> None:
    last = halted(cli.tool_results(MARKER), aborted())
    assert isinstance(last, TurnCompleted)
    assert (last.messages, last.leaf) == ((), None)


def test_a_halted_turn_may_have_ended_or_failed_by_itself() -> None:
    done = halted(cli.message_start(), cli.assistant({"type": "text", "text": "Done."}), cli.result())
    assert isinstance(done, TurnCompleted)
    assert done.stop_reason == "end_turn"
    assert isinstance(halted(aborted("model_error")), TurnFailed)


def test_nobody_halted_it() -> None:
    reader = TurnReader(cli.TURN, retry_ms=0)
    events = [event for frame in (cli.lifecycle("started"), aborted()) for event in reader.feed(frame)]
    assert isinstance(events[-1], TurnFailed)
