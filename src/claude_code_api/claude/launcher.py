"""Starts children for conversations: their directories, their transcript, a limit on starts at once."""

from __future__ import annotations

import asyncio
import shutil
import uuid
from pathlib import Path

import structlog

from claude_code_api.claude import transcript
from claude_code_api.claude.launch import Installation, Workplace
from claude_code_api.claude.process import ClaudeProcess
from claude_code_api.errors import StartFailed
from claude_code_api.runtime.guard import Guard
from claude_code_api.runtime.ports import Launch

log = structlog.get_logger(__name__)


class ClaudeLauncher:
    """The runtime's AgentLauncher for the real CLI.

    `root` holds a folder a conversation. `start_s` bounds a start, `retry_s` the CLI's own retries in a turn.
    """

    def __init__(
        self,
        installation: Installation,
        *,
        root: Path,
        guard: Guard,
        start_s: float,
        retry_s: float,
        concurrent_starts: int,
    ) -> None:
        self._installation = installation
        self._root = root
        self._guard = guard
        self._start_s = start_s
        self._retry_s = retry_s
        self._starts = asyncio.Semaphore(concurrent_starts)

    async def start(self, launch: Launch) -> ClaudeProcess:
        """Start a child and wait until it is ready. Raises StartFailed; what was started is then reaped."""
        async with self._starts:
            place = Workplace(self._root / launch.key)
            try:
                argv, session, cost = self._prepare(place, launch)
            except OSError as error:
                raise StartFailed(f"The conversation's directory cannot be used: {error}", retry_after=5) from error
            process = await ClaudeProcess.spawn(
                argv,
                env=self._installation.env(place),
                cwd=str(place.work),
                cli_session_id=session,
                guard=self._guard,
                retry_s=self._retry_s,
                cost=cost,
            )
            try:
                await process.initialize(launch.profile.system, timeout_s=self._start_s)
            except BaseException:
                await asyncio.shield(process.stop(flush=False))
                raise
            return process

    def _prepare(self, place: Workplace, launch: Launch) -> tuple[list[str], str, float]:
        place.create()
        session, resume_at, cost = str(uuid.uuid4()), None, 0.0
        binding = launch.binding
        saved = None if binding is None else transcript.saved_cost(place, binding.cli_session_id, binding.leaf)
        if binding is not None and saved is not None:
            session, resume_at, cost = binding.cli_session_id, binding.leaf, saved
        elif launch.history:
            session, resume_at = transcript.write(place, launch.history, model=launch.profile.model)
            if binding is not None:
                log.warning("transcript_rebuilt", key=launch.key, messages=len(launch.history))
        argv = self._installation.argv(
            launch.profile, session=session, resume=resume_at is not None, resume_at=resume_at
        )
        return argv, session, cost

    def forget(self, key: str) -> None:
        """Remove the conversation's folder."""
        shutil.rmtree(self._root / key, ignore_errors=True)
