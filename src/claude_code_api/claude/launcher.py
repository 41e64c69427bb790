"""Starts children for conversations: their directories, their transcript, a limit on starts at once."""

from __future__ import annotations

import asyncio
import shutil
import uuid
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from claude_code_api.claude import transcript
from claude_code_api.claude.launch import Installation, Workplace
from claude_code_api.claude.process import ClaudeProcess
from claude_code_api.errors import StartFailed
from claude_code_api.runtime.guard import Guard
from claude_code_api.runtime.ports import Launch

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Transcript:
    """What a child goes on from: its session, the entry to go on after (None for a fresh one), its cost so far."""

    session: str = field(default_factory=lambda: str(uuid.uuid4()))
    leaf: str | None = None
    cost: float = 0.0


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
        """Start a child and wait until it is ready. Raises StartFailed; what was started is then reaped.

        A transcript that cannot be resumed is rebuilt from the history, once.
        """
        async with self._starts:
            place = Workplace(self._root / launch.key)
            try:
                place.create()
                resumable = await asyncio.to_thread(self._find, place, launch) if launch.binding else None
                if resumable is not None:
                    try:
                        return await self._spawn(place, launch, resumable)
                    except StartFailed as error:
                        log.warning("resume_failed", key=launch.key, reason=error.message)
                basis = await asyncio.to_thread(self._rebuild, place, launch) if launch.history else _Transcript()
                return await self._spawn(place, launch, basis)
            except OSError as error:
                raise StartFailed(f"The conversation's directory cannot be used: {error}", retry_after=5) from error

    def _find(self, place: Workplace, launch: Launch) -> _Transcript | None:
        """The CLI's own transcript, when it is whole."""
        if launch.binding is None:
            return None
        session, leaf = launch.binding.cli_session_id, launch.binding.leaf
        cost = transcript.saved_cost(place, session, leaf)
        return None if cost is None else _Transcript(session, leaf, cost)

    def _rebuild(self, place: Workplace, launch: Launch) -> _Transcript:
        """A new transcript of the history."""
        if launch.binding is not None:
            log.warning("transcript_rebuilt", key=launch.key, messages=len(launch.history))
        return _Transcript(*transcript.write(place, launch.history, model=launch.profile.model))

    async def _spawn(self, place: Workplace, launch: Launch, basis: _Transcript) -> ClaudeProcess:
        process = await ClaudeProcess.spawn(
            self._installation.argv(launch.profile, session=basis.session, resume_at=basis.leaf),
            env=self._installation.env(place),
            cwd=str(place.work),
            cli_session_id=basis.session,
            guard=self._guard,
            retry_s=self._retry_s,
            cost=basis.cost,
        )
        try:
            await process.initialize(launch.profile.system, timeout_s=self._start_s)
        except BaseException:
            await asyncio.shield(process.stop(flush=False))
            raise
        return process

    def forget(self, key: str) -> None:
        """Remove the conversation's folder."""
        shutil.rmtree(self._root / key, ignore_errors=True)
