"""Counting: what takes long is not done where everybody waits for it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any, cast

import pytest

from claude_code_api.api.anthropic_messages import tokens
from claude_code_api.api.anthropic_messages.unused import unused, unused_to_count
from claude_code_api.api.anthropic_messages.wire import CountRequest
from claude_code_api.api.media import Media
from claude_code_api.core.keys import Caller
from claude_code_api.errors import InvalidRequest


async def test_tools_are_checked_beside_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    checked_in: list[int] = []

    def tools_of(*_: object) -> None:
        checked_in.append(threading.get_ident())
        raise InvalidRequest("tools: no.", param="tools")

    monkeypatch.setattr(tokens, "tools_of", tools_of)
    tool = {"name": "one", "input_schema": {"type": "object"}}
    words = [{"role": "user", "content": "Hi"}]
    body = CountRequest.model_validate({"model": "sonnet", "messages": words, "tools": [tool]})
    with ThreadPoolExecutor(1) as checks:
        context = cast(
            "Any", SimpleNamespace(checks=checks, strict_params=False, images=SimpleNamespace(awaited=Media()))
        )
        with pytest.raises(InvalidRequest):
            await tokens.counted(cast("Any", None), body, context, Caller("default", None, None, True))
    assert checked_in != [threading.get_ident()]


def test_what_does_not_count_is_listed() -> None:
    low = {"effort": "low"}
    body = CountRequest.model_validate(
        {
            "model": "sonnet",
            "messages": [{"role": "system", "content": "Hi", "output_config": low}, {"role": "user", "content": "Hi"}],
            "thinking": {"type": "adaptive"},
            "output_config": low,
            "speed": "fast",
        }
    )
    assert set(unused(body)) == {"speed"}
    assert set(unused_to_count(body)) == {"thinking", "output_config", "messages[].output_config"}
