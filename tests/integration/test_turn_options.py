"""What a turn asks for holds for that turn, on the process that is there, however it came about."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.chat import PREFIX, TOOLS, Json, Tap, say
from tests.conftest import Model
from tests.gateway import Gateway, eventually

Start = Callable[..., Gateway]

OPTIONS: list[tuple[Json, Json]] = [
    ({"reasoning_effort": "high"}, {"effort": "high"}),
    ({"reasoning_effort": "none"}, {"thinking": None, "effort": "low"}),
    ({"max_tokens": 77}, {"max_tokens": 77}),
    ({"stop": ["word3", "word9"]}, {"stop_sequences": ["word3", "word9"]}),
    ({"tools": TOOLS, "tool_choice": "required"}, {"tool_choice": {"type": "any"}, "thinking": None}),
    (
        {"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "get_time"}}},
        {"tool_choice": {"type": "tool", "name": f"{PREFIX}get_time"}, "thinking": None},
    ),
    ({"tools": TOOLS, "tool_choice": "none"}, {"tool_choice": {"type": "none"}}),
    (
        {"tools": TOOLS, "parallel_tool_calls": False},
        {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
    ),
    (
        {"tools": TOOLS, "tool_choice": "required", "stop": "x", "max_completion_tokens": 500},
        {"tool_choice": {"type": "any"}, "thinking": None, "stop_sequences": ["x"], "max_tokens": 500},
    ),
]
"""What a request asks for, and where the model finds it; None: it is not there."""
PLAIN: Json = {"tools": TOOLS}


def sent(body: Json) -> Json:
    """What a request to the model says of the turn's options."""
    names = ("thinking", "max_tokens", "stop_sequences", "tool_choice")
    return {**{name: body.get(name) for name in names}, "effort": (body.get("output_config") or {}).get("effort")}


def ask(gateway: Gateway, tap: Tap, name: str, text: str, **options: Any) -> Json:
    """Take a turn, and what calls it makes; return what the model was asked first."""
    tap.take()
    answer = say(gateway, text, name, **options)
    body = tap.take()[0]
    if answer.finish == "tool_calls":
        say(gateway, answer.results(*answer.calls), name, **{**options, "tool_choice": "none"})
    return sent(body)


def test_options_come_and_go_on_one_process(gateway: Gateway, model: Model) -> None:
    tap = Tap(model)
    plain = ask(gateway, tap, "options", "Hello.", **PLAIN)
    assert plain["thinking"] is not None
    assert (plain["stop_sequences"], plain["tool_choice"]) == (None, None)
    pid = gateway.pid("options")
    for asked, wanted in OPTIONS:
        effort = {} if "effort" in wanted or wanted.get("thinking", 1) else {"effort": None}
        seen = ask(gateway, tap, "options", "Hello.", **{**PLAIN, **asked})
        assert {**seen, **effort} == {**plain, **wanted, **effort}, asked
        assert ask(gateway, tap, "options", "Hello again.", **PLAIN) == plain, asked
    for asked, wanted in OPTIONS:  # and without a plain one between
        seen = ask(gateway, tap, "options", "Hello.", **{**PLAIN, **asked})
        assert {name: seen[name] for name in wanted} == wanted, asked
    assert ask(gateway, tap, "options", "Hello.", **PLAIN) == plain
    assert gateway.pid("options") == pid


@pytest.mark.parametrize("number", range(len(OPTIONS)))
def test_options_hold_for_the_turn_that_starts_or_resumes_a_process(
    gateway: Gateway, model: Model, number: int
) -> None:
    asked, wanted = OPTIONS[number]
    name, tap = f"options-{number}", Tap(model)
    for text in ("First.", "Second."):
        seen = ask(gateway, tap, name, text, **{**PLAIN, **asked})
        assert {key: seen[key] for key in wanted} == wanted
        assert gateway.http.post(f"/v1/sessions/{name}/hibernate").status_code == 200
    plain = ask(gateway, tap, name, "Third.", **PLAIN)
    for key in wanted:
        assert plain[key] != wanted[key], key


def test_options_hold_for_the_turn_that_adopts_a_spare(start_gateway: Start, model: Model) -> None:
    gateway = start_gateway({"pool__min_size": 1, "pool__max_size": 1})
    tap = Tap(model)
    for number in (0, 2, 4, 8):
        asked, wanted = OPTIONS[number]
        eventually(lambda: gateway.stats()["pool"]["pool_available"] == 1, within=15)
        name = f"adopted-{number}"
        answer = say(gateway, "Hello.", name, **{**PLAIN, **asked})
        assert answer.start == "warm"
        seen = sent(tap.take()[0])
        assert {key: seen[key] for key in wanted} == wanted
        if answer.finish == "tool_calls":
            say(gateway, answer.results(*answer.calls), name, **{**PLAIN, **asked, "tool_choice": "none"})
        plain = ask(gateway, tap, name, "Again.", **PLAIN)
        assert not any(plain[key] == wanted[key] for key in wanted), json.dumps(plain)


def test_results_may_come_with_other_options(gateway: Gateway, model: Model) -> None:
    tap = Tap(model)
    asked = say(gateway, "Hello.", "options-results", tools=TOOLS, tool_choice="required")
    pid = gateway.pid("options-results")
    tap.take()
    told = say(gateway, asked.results("sun"), "options-results", tools=TOOLS, tool_choice="none", stop=["sun"])
    seen = sent(tap.only())
    assert (seen["tool_choice"], seen["stop_sequences"]) == ({"type": "none"}, ["sun"])
    assert (told.text.strip(), told.finish) == ("The tool answered:", "stop")
    assert gateway.pid("options-results") == pid
