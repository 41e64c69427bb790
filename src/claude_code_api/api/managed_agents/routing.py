"""Routes that only clients of Managed Agents are shown: `/v1/sessions` is our own room as well."""

from __future__ import annotations

from fastapi.routing import APIRoute
from starlette.datastructures import Headers
from starlette.routing import Match
from starlette.types import Scope

from claude_code_api.api.dialect import manages_agents


class ManagedRoute(APIRoute):
    """Matches requests whose `anthropic-beta` header names Managed Agents; others find what comes behind it."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether a request is for this route."""
        if scope["type"] == "http" and not manages_agents(Headers(scope=scope)):
            return Match.NONE, {}
        return super().matches(scope)
