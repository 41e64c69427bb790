"""What a turn's options become on a live process."""

from __future__ import annotations

import json
from typing import Any

import pytest

from claude_code_api.claude.knobs import UNTURNED, knobs
from claude_code_api.core.turn import Options, ToolChoice


def env(options: Options, choice: ToolChoice | None = None) -> dict[str, str]:
    found: dict[str, str] = knobs(options, choice)["env"]
    return found


def extra(options: Options, choice: ToolChoice | None = None) -> Any:
    said = env(options, choice)["CLAUDE_CODE_EXTRA_BODY"]
    return json.loads(said) if said else None


def test_a_turn_without_wishes_finds_the_process_as_it_started() -> None:
    assert knobs(Options(), None) == UNTURNED
    assert knobs(Options(), ToolChoice()) == UNTURNED


@pytest.mark.parametrize(
    ("options", "choice"),
    [
        (Options(effort="low"), None),
        (Options(thinking=False), None),
        (Options(max_tokens=1), None),
        (Options(compacts=False), None),
        (Options(stop=("END",)), None),
        (Options(), ToolChoice("none")),
        (Options(), ToolChoice("any")),
        (Options(), ToolChoice(parallel=False)),
    ],
)
def test_every_wish_is_told_apart_and_taken_back(options: Options, choice: ToolChoice | None) -> None:
    turned = knobs(options, choice)
    assert turned != UNTURNED
    assert turned.keys() == UNTURNED.keys()
    assert turned["env"].keys() == UNTURNED["env"].keys()


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        (ToolChoice("auto"), None),
        (ToolChoice("auto", parallel=False), {"type": "auto", "disable_parallel_tool_use": True}),
        (ToolChoice("none"), {"type": "none"}),
        (ToolChoice("none", parallel=False), {"type": "none"}),
        (ToolChoice("any"), {"type": "any"}),
        (ToolChoice("any", parallel=False), {"type": "any", "disable_parallel_tool_use": True}),
        (ToolChoice("tool", "weather"), {"type": "tool", "name": "mcp__client__weather"}),
        (
            ToolChoice("tool", "weather", parallel=False),
            {"type": "tool", "name": "mcp__client__weather", "disable_parallel_tool_use": True},
        ),
    ],
)
def test_each_tool_choice_in_the_words_of_the_messages_api(choice: ToolChoice, sent: Any) -> None:
    assert (extra(Options(), choice) or {}).get("tool_choice") == sent


def test_without_tools_there_is_nothing_to_choose() -> None:
    assert extra(Options(), None) is None


@pytest.mark.parametrize(
    ("choice", "thinks"),
    [
        (None, True),
        (ToolChoice("auto"), True),
        (ToolChoice("none"), True),
        (ToolChoice("any"), False),
        (ToolChoice("tool", "weather"), False),
    ],
)
def test_nobody_thinks_when_a_tool_is_forced(choice: ToolChoice | None, thinks: bool) -> None:
    assert env(Options(), choice)["CLAUDE_CODE_DISABLE_THINKING"] == ("" if thinks else "1")
    assert env(Options(thinking=False), choice)["CLAUDE_CODE_DISABLE_THINKING"] == "1"


def test_the_token_limit_and_the_effort_go_as_they_are() -> None:
    assert env(Options(max_tokens=6))["CLAUDE_CODE_MAX_OUTPUT_TOKENS"] == "6"
    assert env(Options())["CLAUDE_CODE_MAX_OUTPUT_TOKENS"] == ""
    assert knobs(Options(effort="xhigh"), None)["effortLevel"] == "xhigh"
    assert knobs(Options(), None)["effortLevel"] is None


def test_texts_to_stop_at_go_beside_the_tool_choice_word_for_word() -> None:
    stop = ("END", '"\n$(touch x)')
    assert extra(Options(stop=stop)) == {"stop_sequences": list(stop)}
    assert extra(Options(stop=stop), ToolChoice("any")) == {
        "stop_sequences": list(stop),
        "tool_choice": {"type": "any"},
    }
