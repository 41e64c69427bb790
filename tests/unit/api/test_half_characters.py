"""What tools told may hold half a surrogate pair: JSON can carry it, and who reads it gets it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from claude_code_api.api import approvals, context
from claude_code_api.api.managed_agents import routes_events
from claude_code_api.core.identity import Address
from claude_code_api.core.keys import ANYBODY
from claude_code_api.managed.session_store import EventQuery, StoredEvent
from claude_code_api.runtime.approvals import Approval

HALF = {"command": "echo \ud83d"}


class Service:
    """Stands for the manager, and for the sessions of Managed Agents."""

    async def approvals(self, address: Address) -> list[Approval]:
        return [Approval("toolu_1", "turn", "Bash", HALF, 0.0, 0.0)]

    async def events(self, address: Address, query: EventQuery) -> list[StoredEvent]:
        return [StoredEvent(1, "sevt_1", "agent.tool_use", {"name": "bash", "input": HALF}, 0.0, 0.0)]


def stub() -> Any:
    profiles = SimpleNamespace(check=lambda profile, caller: None)
    return SimpleNamespace(
        manager=Service(), managed=SimpleNamespace(sessions=Service()), profiles=profiles, sessions_root="/srv"
    )


@pytest.mark.parametrize("of", ["approvals", "events"])
def test_half_a_character_can_be_read(of: str) -> None:
    app = FastAPI()
    app.include_router(approvals.router)
    app.include_router(routes_events.router)
    app.dependency_overrides = {context._context: stub, context._caller: lambda: ANYBODY}
    headers = {"anthropic-beta": "managed-agents-2026-04-01"}
    answer = TestClient(app).get(f"/v1/sessions/sesn_1/{of}", headers=headers)
    assert answer.status_code == 200
    assert answer.json()["data"][0]["input"] == HALF
