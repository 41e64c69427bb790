"""Whom Managed Agents open to: those who may have agents at all."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends

from claude_code_api.api.context import Ctx, Who
from claude_code_api.core.keys import Caller
from claude_code_api.core.profiles import AGENT


async def _user(context: Ctx, caller: Who) -> Caller:
    context.profiles.check(AGENT, caller)
    return caller


User = Annotated[Caller, Depends(_user)]
"""The caller of a request, who may have agents; others get a 403."""
