"""A child's life after it was spawned: what it says is read, it is ended, reaped, and with it all that it started."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from collections import deque
from collections.abc import Callable

from claude_code_api.claude.child import Child
from claude_code_api.claude.control import Frame
from claude_code_api.claude.launch import PLACE_VARIABLE
from claude_code_api.runtime.guard import Guard
from claude_code_api.runtime.orphans import kill_marked
from claude_code_api.runtime.tasks import Tasks

LINE_LIMIT = 64 * 2**20
"""Bytes; a longer frame ends the process with a clear error."""

_FLUSH_S, _TERM_S, _PIPES_S = 5.0, 2.0, 1.0


class Life:
    """One child's. `heard` is told of each line, `broken` of one that is too long, `over` that the child is reaped.

    `leaves_marked`: what it starts carries the mark of its `place`, and may be in process groups of its own.
    """

    def __init__(
        self,
        child: Child,
        guard: Guard,
        tasks: Tasks,
        *,
        place: str,
        heard: Callable[[bytes], bool],
        broken: Callable[[str], None],
        over: Callable[[], None],
    ) -> None:
        self.alive = True
        self.leaves_marked = False
        self.last_heard_at = asyncio.get_running_loop().time()
        self._child = child
        self._guard = guard
        self._tasks = tasks
        self._place = place
        self._heard = heard
        self._broken = broken
        self._over = over
        self._stderr: deque[str] = deque(maxlen=20)
        self._gone: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        tasks.spawn(self._live(), f"claude-{child.pid}", detached=True)

    @property
    def pid(self) -> int:
        """The process id, and its group's."""
        return self._child.pid

    @property
    def complaints(self) -> str:
        """The end of what it said on stderr."""
        return " ".join(self._stderr)[-500:]

    def write(self, frame: Frame) -> None:
        """Put a frame on its stdin; after its end, nothing."""
        stdin = self._child.stdin
        if not stdin.is_closing():
            stdin.write(json.dumps(frame, separators=(",", ":")).encode() + b"\n")

    def kill(self) -> None:
        """Send SIGKILL to its group."""
        self._signal(signal.SIGKILL)

    async def stop(self, *, flush: bool) -> None:
        """Close stdin and wait for the flush, then SIGTERM, then SIGKILL to the group; returns when it is reaped."""
        if self._gone.done():
            return
        self._child.stdin.close()
        if flush and await self._gone_within(_FLUSH_S):
            return
        self._signal(signal.SIGTERM)
        if await self._gone_within(_TERM_S):
            return
        self.kill()
        await self.gone()

    async def gone(self) -> str:
        """Wait until it is reaped; return the end of its stderr."""
        return await asyncio.shield(self._gone)

    # Inside

    async def _gone_within(self, seconds: float) -> bool:
        done, _ = await asyncio.wait({self._gone}, timeout=seconds)
        return bool(done)

    def _signal(self, number: signal.Signals) -> None:
        if self._gone.done():
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child.pid, number)

    async def _live(self) -> None:
        """Read until the child is gone, and take the rest of its group with it."""
        reading = self._tasks.spawn(self._read_stdout(), f"claude-stdout-{self.pid}", detached=True)
        errors = self._tasks.spawn(self._read_stderr(), f"claude-stderr-{self.pid}", detached=True)
        await self._child.wait()
        self.alive = False
        # A grandchild may hold the pipes: what the child itself said has arrived by then.
        await asyncio.wait({reading, errors}, timeout=_PIPES_S)
        self._signal(signal.SIGKILL)
        if self.leaves_marked:
            await asyncio.to_thread(kill_marked, PLACE_VARIABLE, self._place)
        await asyncio.wait({reading, errors}, timeout=_PIPES_S)
        reading.cancel()
        errors.cancel()
        self._guard.remove(self.pid)
        self._gone.set_result("\n".join(self._stderr))
        self._over()

    async def _read_stdout(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                line = await self._child.stdout.readline()
            except ValueError:
                self._broken(f"Claude Code sent a frame of more than {LINE_LIMIT >> 20} MiB.")
                return
            if not line:
                return
            self.last_heard_at = loop.time()
            if not self._heard(line):
                return

    async def _read_stderr(self) -> None:
        with contextlib.suppress(ValueError):
            async for line in self._child.stderr:
                self._stderr.append(line.decode(errors="replace").strip()[:500])
