"""Whom a profile opens to."""

from __future__ import annotations

import pytest

from claude_code_api.core.keys import ANYBODY, Caller
from claude_code_api.core.profiles import ProfilePolicy
from claude_code_api.errors import ProfileNotAllowed, ProfileNotAvailable

CLOSED, OPEN = ProfilePolicy(), ProfilePolicy(allow_unsandboxed=True)


def keyed(*profiles: str, is_admin: bool = False) -> Caller:
    return Caller("acme", "0123", profiles or None, is_admin)


def test_without_keys_everything_is_open() -> None:
    assert CLOSED.open_to(ANYBODY) == ["chat", "agent"]


def test_with_keys_an_agent_takes_the_operators_word_whoever_asks() -> None:
    for caller in (keyed(), keyed("agent"), keyed(is_admin=True)):
        with pytest.raises(ProfileNotAvailable, match="allow_unsandboxed"):
            CLOSED.check("agent", caller)
        OPEN.check("agent", caller)
    assert CLOSED.open_to(keyed()) == ["chat"]
    assert OPEN.open_to(keyed()) == ["chat", "agent"]


def test_a_key_opens_no_more_than_it_is_for() -> None:
    with pytest.raises(ProfileNotAllowed):
        OPEN.check("agent", keyed("chat"))
    assert OPEN.open_to(keyed("agent")) == ["agent"]
    assert CLOSED.open_to(keyed("agent")) == []
