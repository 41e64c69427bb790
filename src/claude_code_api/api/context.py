"""What routes need, put together by `app.py` and found on the application's state."""

from __future__ import annotations

import time
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from claude_code_api.api.fetch import ImageFetcher
from claude_code_api.api.gate import Gate
from claude_code_api.api.managed_agents.context import Managed
from claude_code_api.core.keys import Caller
from claude_code_api.core.models import ModelNames
from claude_code_api.core.profiles import ProfilePolicy
from claude_code_api.runtime.keyring import Keyring
from claude_code_api.runtime.manager import SessionManager
from claude_code_api.runtime.ports import SparePool


@dataclass(frozen=True, slots=True)
class Context:
    """The runtime, and the settings that the API itself goes by.

    `counting` lets in those who only have tokens counted. `sessions_root` is where the conversations' directories are:
    nobody is shown it.
    `started_at` is of the monotonic clock, `since` Unix time.
    """

    manager: SessionManager
    keys: Keyring
    pool: SparePool
    models: ModelNames
    profiles: ProfilePolicy
    conversation_headers: tuple[str, ...]
    side_requests: tuple[str, ...]
    images: ImageFetcher
    checks: Executor
    counting: Gate
    managed: Managed
    strict_params: bool
    reasoning_content: bool
    agent_activity: bool
    heartbeat_s: float
    patience_s: float
    sessions_root: str
    offline: bool
    started_at: float = field(default_factory=time.monotonic)
    since: float = field(default_factory=time.time)


async def _context(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


Ctx = Annotated[Context, Depends(_context)]


async def _caller(request: Request) -> Caller:
    caller: Caller = request.state.caller
    return caller


Who = Annotated[Caller, Depends(_caller)]
"""The caller of a request, as `Auth` found it."""
