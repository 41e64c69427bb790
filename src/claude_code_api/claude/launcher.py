"""Gives conversations their children: a spare where one fits, else a start with the right transcript."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import structlog

from claude_code_api.claude import transcript
from claude_code_api.claude.basis import Basis
from claude_code_api.claude.equipment import equip
from claude_code_api.claude.launch import Installation, Workplace
from claude_code_api.claude.permissions import Rules
from claude_code_api.claude.process import ClaudeProcess
from claude_code_api.claude.tools import stubs, tools_for
from claude_code_api.claude.warm import SpareSettings, WarmPool
from claude_code_api.core.profiles import AGENT
from claude_code_api.errors import StartFailed, StartTimedOut
from claude_code_api.runtime.guard import Guard
from claude_code_api.runtime.ports import Binding, Entry, Launch, Origin, Profile

log = structlog.get_logger(__name__)


class ClaudeLauncher:
    """The runtime's AgentLauncher for the real CLI.

    `root` holds a folder a conversation. `start_s` bounds a start, `retry_s` the CLI's own retries in a turn. `rules`
    are for the calls of agents.
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
        rules: Rules,
        pool: SpareSettings,
        spare_model: str,
    ) -> None:
        self._installation = installation
        self._root = root
        self._guard = guard
        self._start_s = start_s
        self._retry_s = retry_s
        self._rules = rules
        self._starts = asyncio.Semaphore(concurrent_starts)
        self._starting = 0
        self._spare_profile = Profile(spare_model)
        self.warm = WarmPool(pool, start=self._start_spare, busy=lambda: self._starting > 0, forget=self.forget)

    def set_room(self, processes: int) -> None:
        """How many spares the process limit leaves room for."""
        self.warm.set_room(processes)

    def shrink(self) -> None:
        """Stop the spares that there is no room for."""
        self.warm.shrink()

    async def close(self) -> None:
        """Stop the spares."""
        await self.warm.close()

    async def start(self, launch: Launch) -> ClaudeProcess:
        """Start a child, or adopt a spare, and wait until it is ready.

        A transcript that cannot be resumed is rebuilt from the history, once. Raises StartFailed; what was started is
        then reaped.
        """
        is_new = launch.binding is None and not launch.history and launch.place is None
        if is_new and launch.profile.name == self._spare_profile.name:
            while (spare := self.warm.take()) is not None:
                try:
                    return await self._adopt(spare, launch)
                except StartFailed as error:
                    log.warning("spare_refused", pid=spare.pid, reason=error.message)
        self._starting += 1
        try:
            async with self._starts:
                await self.warm.make_room()
                return await self._start_cold(launch)
        except OSError as error:
            raise StartFailed(f"The conversation's directory cannot be used: {error}", retry_after=5) from error
        finally:
            self._starting -= 1

    async def _adopt(self, spare: ClaudeProcess, launch: Launch) -> ClaudeProcess:
        model = None if launch.profile.model == self._spare_profile.model else launch.profile.model
        async with contextlib.AsyncExitStack() as undo:
            undo.push_async_callback(asyncio.to_thread, self.forget, spare.place)
            await self._initialize(spare, launch, model=model)
            undo.pop_all()
        self.warm.proved()
        spare.origin = Origin.SPARE
        return spare

    async def _start_spare(self) -> ClaudeProcess:
        with self._workplace(None) as place:
            return await self._spawn(place, self._spare_profile, Basis())

    async def _start_cold(self, launch: Launch) -> ClaudeProcess:
        with self._workplace(launch.place) as place:
            if launch.binding is not None and (basis := await self._transcript(place, launch, launch.binding)):
                try:
                    return await self._resume(place, launch, basis)
                except StartTimedOut as error:
                    raise StartTimedOut(
                        f"The conversation's transcript of {basis.size / 10**6:.1f} MB was not resumed within "
                        f"{self._start_s:g} s ([claude] start_seconds).",
                        retry_after=5,
                    ) from error
                except StartFailed as error:
                    log.warning("resume_failed", place=launch.place, bytes=basis.size, reason=error.message)
            process = await self._ready(place, launch, await asyncio.to_thread(_of_history, place, launch))
            if not launch.kept:
                await asyncio.to_thread(transcript.remove, place, process.cli_session_id)
            return process

    @contextlib.contextmanager
    def _workplace(self, name: str | None) -> Iterator[Workplace]:
        """A conversation's directory; a new one goes again when what is done in it fails."""
        place = Workplace(self._root / (name or uuid.uuid4().hex[:16]))
        with contextlib.ExitStack() as undo:
            if name is None:
                undo.callback(self.forget, place.root.name)
            place.create()
            yield place
            undo.pop_all()

    async def _transcript(self, place: Workplace, launch: Launch, binding: Binding) -> Basis | None:
        """The CLI's own transcript when it is whole, else the stored copy when that is; None: only the history is."""
        found = await asyncio.to_thread(_on_disk, place, binding)
        if found is None:
            copy = await launch.recall()
            found = await asyncio.to_thread(_of_copy, place, binding, copy)
            log.warning("transcript_incomplete", place=launch.place, copied=found is not None, entries=len(copy))
        return found

    async def _resume(self, place: Workplace, launch: Launch, basis: Basis) -> ClaudeProcess:
        started = asyncio.get_running_loop().time()
        process = await self._ready(place, launch, basis)
        took = asyncio.get_running_loop().time() - started
        log.info("transcript_resumed", pid=process.pid, bytes=basis.size, ms=round(took * 1000))
        return process

    async def _ready(self, place: Workplace, launch: Launch, basis: Basis) -> ClaudeProcess:
        if launch.profile.toolbox is not None:
            await asyncio.to_thread(equip, place, launch.profile.toolbox)
        process = await self._spawn(place, launch.profile, basis)
        await self._initialize(process, launch)
        return process

    async def _initialize(self, process: ClaudeProcess, launch: Launch, *, model: str | None = None) -> None:
        """Do the handshake; a process that fails it, or is no longer wanted, is reaped."""
        async with contextlib.AsyncExitStack() as undo:
            undo.push_async_callback(lambda: asyncio.shield(process.stop(flush=False)))
            beside = launch.profile.schema is not None or launch.profile.name == AGENT
            tools = tools_for(launch.options, stubs(launch.history), beside=beside)
            await process.initialize(launch.profile, tools, model=model, keeps=launch.kept, timeout_s=self._start_s)
            undo.pop_all()

    async def _spawn(self, place: Workplace, profile: Profile, basis: Basis) -> ClaudeProcess:
        return await ClaudeProcess.spawn(
            self._installation.argv(profile, session=basis.session, resume_at=basis.leaf, kit=place.kit),
            basis,
            env=self._installation.env(profile, place),
            secrets=self._installation.secrets(profile),
            place=place,
            guard=self._guard,
            retry_s=self._retry_s,
            rules=self._rules,
        )

    def forget(self, place: str) -> None:
        """Remove a conversation's directory."""
        shutil.rmtree(self._root / place, ignore_errors=True)


def _on_disk(place: Workplace, binding: Binding) -> Basis | None:
    """The CLI's own transcript, when it is whole."""
    session, leaf = binding.cli_session_id, binding.leaf
    cost = transcript.saved_cost(place, session, leaf)
    if cost is None:
        return None
    transcript.cut_after(place, session, leaf)
    size = transcript.path_of(place, session).stat().st_size
    return Basis(session, leaf, cost, Origin.TRANSCRIPT, size)


def _of_copy(place: Workplace, binding: Binding, copy: Sequence[Entry]) -> Basis | None:
    """The stored copy, put back in its place, when it is whole."""
    if not transcript.is_whole((entry.line for entry in copy if not entry.subpath), binding.leaf):
        return None
    transcript.write(place, binding.cli_session_id, copy)
    found = _on_disk(place, binding)
    return None if found is None else replace(found, origin=Origin.COPY)


def _of_history(place: Workplace, launch: Launch) -> Basis:
    """A new transcript of the bare history, if there is any."""
    if not launch.history:
        return Basis()
    if launch.binding is not None:
        log.warning("transcript_rebuilt", place=launch.place, messages=len(launch.history))
    session = str(uuid.uuid4())
    entries = transcript.imported(place, session, launch.history, model=launch.profile.model)
    transcript.write(place, session, entries)
    leaf = str(entries[-1].line["uuid"])
    return Basis(session, leaf, origin=Origin.HISTORY, entries=tuple(entries))
