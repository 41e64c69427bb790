"""The order of a benchmark: which sample is taken when. Raw CLI and gateway take turns within one run."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from claude_code_api import __version__
from claude_code_api.bench import FIRST_TEXT, FOLLOW_UP_TEXT
from claude_code_api.bench.burst import burst
from claude_code_api.bench.gateway import Gateway
from claude_code_api.bench.machine import processes, settle
from claude_code_api.bench.measure import WARM_RATIO, GuideRow, ModeReport, Report, Row, Sample, rows
from claude_code_api.bench.memory import compare
from claude_code_api.bench.sides import Sides, offline_model

FOLLOW_UPS = 3
"""Follow-ups on each live process; every one is a sample."""

_GUIDE_RUNS = 3

Tell = Callable[[str], None]
"""Is told what is being done now, for people who wait."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do: `runs` counted runs a mode, `sessions` live sessions for the memory comparison (0 leaves it out),
    `warm` for new conversations that find a spare as well.

    `command` is the CLI to run, empty for the bundled one.
    """

    runs: int
    sessions: int
    warm: bool
    modes: Sequence[str]
    command: str = ""


@dataclass
class _Samples:
    first: list[Sample] = field(default_factory=list)
    follow: list[Sample] = field(default_factory=list)


async def run(plan: Plan, tell: Tell) -> Report:
    """Carry out a plan. Cancelled, or at SIGTERM, it stops everything it started before it ends.

    Raises BenchFailed when something does not work at all, and ConfigError when there is no CLI.
    """
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert task is not None
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    load_before = os.getloadavg()[0]
    instance = uuid.uuid4().hex
    modes, command = [], ""
    with tempfile.TemporaryDirectory(prefix="claude-code-api-bench-", ignore_cleanup_errors=True) as directory:
        async with processes(instance) as started:
            tell("starting the offline model")
            url = await offline_model(started, Path(directory))
            for mode in plan.modes:
                root = Path(directory) / mode
                sides = Sides(mode, command=plan.command, instance=instance, url=url, root=root, processes=started)
                command = sides.command
                modes.append(await _Mode(plan, mode, sides, tell).measure())
    return Report(
        version=__version__,
        command=command,
        event_loop=type(loop).__module__,
        runs=plan.runs,
        cpus=os.cpu_count() or 1,
        load_before=round(load_before, 2),
        load_after=round(os.getloadavg()[0], 2),
        modes=tuple(modes),
    )


class _Mode:
    """One mode's measurements."""

    def __init__(self, plan: Plan, mode: str, sides: Sides, tell: Tell) -> None:
        self._plan = plan
        self._mode = mode
        self._sides = sides
        self._tell = tell
        self._samples = self._busy = 0

    async def measure(self) -> ModeReport:
        """Take every sample of the mode."""
        raw, gateway, warm = _Samples(), _Samples(), _Samples()
        server = await self._sides.gateway()
        with_spare = await self._sides.gateway(spares=1) if self._plan.warm else None
        self._say("warming up")
        await self._raw_run(_Samples())
        await self._gateway_run(server, _Samples())
        self._samples = self._busy = 0
        for number in range(1, self._plan.runs + 1):
            self._say(f"run {number} of {self._plan.runs}, raw CLI")
            await self._raw_run(raw)
            self._say(f"run {number} of {self._plan.runs}, gateway")
            await self._gateway_run(server, gateway)
            if with_spare is not None:
                self._say(f"run {number} of {self._plan.runs}, gateway with a spare")
                await with_spare.spares(1)
                await self._gateway_run(with_spare, warm, follow_ups=0)
        await server.stop()
        warm_rows: tuple[Row, ...] = ()
        if with_spare is not None:
            await with_spare.stop()
            raw_first, warm_first = (tuple(one.first_ms for one in side.first) for side in (raw, warm))
            warm_rows = (
                Row("first request, spare ready", raw_first, warm_first, max_ratio=WARM_RATIO),
                await burst(self._sides, self._say, self._settle),
            )
        return ModeReport(
            mode=self._mode,
            rows=rows(raw.first, raw.follow, gateway.first, gateway.follow) + warm_rows,
            guide=await self._guide(gateway),
            memory=await compare(self._sides, self._plan.sessions, self._say) if self._plan.sessions else None,
            samples=self._samples,
            busy_samples=self._busy,
        )

    async def _raw_run(self, samples: _Samples) -> None:
        cli = self._sides.raw()
        await self._settle()
        samples.first.append(await cli.start(FIRST_TEXT))
        for _ in range(FOLLOW_UPS):
            await self._settle()
            samples.follow.append(await cli.follow_up(FOLLOW_UP_TEXT))
        await cli.stop()

    async def _gateway_run(self, server: Gateway, samples: _Samples, *, follow_ups: int = FOLLOW_UPS) -> None:
        conversation = f"bench-{uuid.uuid4().hex}"
        async with server.connection() as connection:
            await self._settle()
            samples.first.append(await connection.chat(conversation, FIRST_TEXT, first=True))
        for _ in range(follow_ups):
            # A server closes a connection that idles for some seconds: open a new one, before the clock starts.
            async with server.connection() as connection:
                await self._settle()
                samples.follow.append(await connection.chat(conversation, FOLLOW_UP_TEXT, first=False))
        async with server.connection() as connection:
            await connection.request("DELETE", f"/v1/sessions/{conversation}")

    async def _guide(self, interactive: _Samples) -> tuple[GuideRow, ...]:
        """The guide's table: the same requests with a process for each of them."""
        server = await self._sides.gateway(use_interactive_sessions="false")
        alone = _Samples()
        for number in range(1, min(_GUIDE_RUNS, self._plan.runs) + 1):
            self._say(f"run {number} without interactive sessions")
            await self._gateway_run(server, alone, follow_ups=1)
        await server.stop()

        def row(name: str, without: list[Sample], kept: list[Sample]) -> GuideRow:
            return GuideRow(name, *(round(median(one.total_ms for one in side), 1) for side in (without, kept)))

        return (
            row("first request", alone.first, interactive.first),
            row("subsequent request", alone.follow, interactive.follow),
        )

    async def _settle(self) -> None:
        """Wait for an idle machine, and count when it did not get idle."""
        self._samples += 1
        if not await settle():
            self._busy += 1

    def _say(self, what: str) -> None:
        self._tell(f"{self._mode}: {what}")
