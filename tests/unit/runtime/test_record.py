"""What of a conversation's transcripts can go when a turn is completed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from claude_code_api.runtime.ports import Agent, Binding
from claude_code_api.runtime.record import Record


@pytest.mark.parametrize(
    ("binding", "is_stored", "is_bound", "leaves"),
    [
        (None, False, True, False),  # the first turn
        (Binding("now", "leaf"), True, True, False),
        (Binding("now", "leaf"), True, False, False),
        (Binding("before", "leaf"), True, True, True),
        (None, True, True, True),  # after a rewind, or in a fork
        (None, True, False, False),  # nobody knows which session is left
    ],
)
def test_a_session_that_was_left_is_told_apart(
    binding: Binding | None, is_stored: bool, is_bound: bool, leaves: bool
) -> None:
    record = Record("default", "a", binding=binding, is_stored=is_stored)
    agent = cast(Agent, SimpleNamespace(cli_session_id="now"))
    assert record._leaves_a_session(agent, is_bound=is_bound) is leaves
