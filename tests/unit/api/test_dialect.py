"""Which dialect is spoken: by the path, and by what Anthropic's clients say of themselves."""

from __future__ import annotations

import pytest
from starlette.datastructures import Headers

from claude_code_api.api.dialect import manages_agents, speaks_anthropic

VERSION = {"Anthropic-Version": "2023-06-01"}
MANAGED = {**VERSION, "Anthropic-Beta": "files-api-2025-04-14, managed-agents-2026-04-01"}


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens", "/v1/messages/batches/b1", "/v1/agents"])
def test_rooms_that_only_anthropic_has(path: str) -> None:
    assert speaks_anthropic(path, Headers())


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/sonnet", "/v1/complete"])
def test_other_rooms_by_the_version_that_clients_send(path: str) -> None:
    assert speaks_anthropic(path, Headers(VERSION))
    assert not speaks_anthropic(path, Headers())


@pytest.mark.parametrize("path", ["/v1/sessions", "/v1/sessions/s1/events"])
def test_sessions_are_managed_for_clients_that_say_so(path: str) -> None:
    assert speaks_anthropic(path, Headers(MANAGED))
    assert manages_agents(Headers(MANAGED))
    assert not speaks_anthropic(path, Headers(VERSION))
    assert not manages_agents(Headers(VERSION))


@pytest.mark.parametrize(
    "path",
    [
        *("/v1/chat/completions", "/v1/responses/r1", "/v1/conversations", "/stats", "/", "", "/v1"),
        *("/v1messages", "/x/v1/messages", "//v1/messages", "/v1/messagesx"),
    ],
)
def test_what_speaks_something_else(path: str) -> None:
    assert not speaks_anthropic(path, Headers())
    assert path in ("/v1", "/v1/messagesx") or not speaks_anthropic(path, Headers(MANAGED))
