"""The raw CLI, driven over its pipes by as little as will do: the yardstick.

The command line, the environment and the frames are those of the gateway's children; everything else of the gateway is
left out on purpose.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from pathlib import Path
from typing import Any

from claude_code_api.bench import MODEL, SYSTEM, BenchFailed
from claude_code_api.bench.machine import Processes
from claude_code_api.bench.measure import Sample
from claude_code_api.claude.child import Child
from claude_code_api.claude.launch import Installation, Workplace
from claude_code_api.runtime.ports import Profile

_TURN_S, _FLUSH_S = 60.0, 10.0


class RawCli:
    """One conversation of the CLI, with fresh directories under `root`; `answer` is what it said last."""

    def __init__(self, processes: Processes, installation: Installation, root: Path) -> None:
        self._processes = processes
        self._installation = installation
        self._place = Workplace(root)
        self._place.create()
        self._session = str(uuid.uuid4())
        self._leaf: str | None = None
        self.answer = ""
        self._process: Child | None = None

    @property
    def pid(self) -> int:
        """The process id; it must have been started."""
        assert self._process is not None
        return self._process.pid

    async def start(self, text: str) -> Sample:
        """Start the process and take a turn; the clock runs from just before the spawn.

        After `hibernate` it resumes where the conversation was.
        """
        profile = Profile(MODEL, SYSTEM)
        argv = self._installation.argv(profile, session=self._session, resume_at=self._leaf)
        env = self._installation.env(profile, self._place)
        started = time.perf_counter()
        self._process = await self._processes.start_cli(argv, env=env, cwd=self._place.work)
        request = {"subtype": "initialize", "systemPrompt": [SYSTEM]}
        self._write({"type": "control_request", "request_id": "initialize", "request": request})
        while (frame := await self._read())["type"] != "control_response":
            pass
        if frame["response"].get("subtype") != "success":
            raise BenchFailed(f"The raw CLI refused to start: {frame['response'].get('error')}")
        return await self._turn(text, started)

    async def follow_up(self, text: str) -> Sample:
        """Take another turn; the clock runs from just before the message is written."""
        return await self._turn(text, time.perf_counter())

    async def hibernate(self) -> None:
        """Let the process write its transcript and end. Raises BenchFailed when it does not within 10 s."""
        assert self._process is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(_FLUSH_S):
                await self._process.wait()
        except TimeoutError as error:
            raise BenchFailed(f"The raw CLI did not end within {_FLUSH_S:g} s.") from error
        await self.stop()

    async def stop(self) -> None:
        """Stop the process; returns when it is gone."""
        if self._process is not None:
            await self._processes.stop(self._process)
            self._process = None

    async def _turn(self, text: str, started: float) -> Sample:
        self._write(
            {
                "type": "user",
                "uuid": str(uuid.uuid4()),
                "client_composed": True,
                "parent_tool_use_id": None,
                "session_id": self._session,
                "message": {"role": "user", "content": text},
            }
        )
        first: float | None = None
        while (frame := await self._read())["type"] != "result":
            if first is None and _is_text(frame):
                first = time.perf_counter()
            elif frame["type"] in ("user", "assistant"):
                self._leaf = frame["uuid"]
        ended = time.perf_counter()
        if frame.get("is_error") or first is None:
            raise BenchFailed(f"A turn of the raw CLI failed: {frame.get('result')}")
        self.answer = frame["result"]
        return Sample((first - started) * 1000, (ended - started) * 1000)

    def _write(self, frame: dict[str, Any]) -> None:
        assert self._process is not None
        if self._process.stdin.is_closing():
            raise BenchFailed("The raw CLI ended.")
        self._process.stdin.write(json.dumps(frame).encode() + b"\n")

    async def _read(self) -> dict[str, Any]:
        assert self._process is not None
        async with asyncio.timeout(_TURN_S):
            line = await self._process.stdout.readline()
        if not line:
            said = (await self._process.stderr.read()).decode(errors="replace").strip()[-1000:]
            raise BenchFailed(f"The raw CLI ended: {said or 'it said nothing'}")
        frame: dict[str, Any] = json.loads(line)
        return frame


def _is_text(frame: dict[str, Any]) -> bool:
    if frame["type"] != "stream_event" or frame["event"]["type"] != "content_block_delta":
        return False
    return bool(frame["event"]["delta"]["type"] == "text_delta")
