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
from claude_code_api.bench.hibernate import crowd, resume
from claude_code_api.bench.machine import processes, settle
from claude_code_api.bench.measure import WARM_RATIO, GuideRow, MemoryRow, ModeReport, Report, Row, Sample, Stored, rows
from claude_code_api.bench.memory import compare
from claude_code_api.bench.sides import Sides, offline_model
from claude_code_api.bench.stored import stored

FOLLOW_UPS = 3
"""Follow-ups on each live process; every one is a sample."""

_GUIDE_RUNS = 3

Tell = Callable[[str], None]
"""Is told what is being done now, for people who wait."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do: `runs` counted runs a mode, `sessions` live sessions for the memory comparison (0 leaves it out),
    `warm` for new conversations that find a spare as well, `hibernate` conversations that come back, and `stored`
    conversations in a store. With one of the last two the usual comparison is left out, unless `warm` asks for it.

    `command` is the CLI to run, empty for the bundled one.
    """

    runs: int
    sessions: int
    warm: bool
    modes: Sequence[str]
    hibernate: int = 0
    stored: int = 0
    command: str = ""

    @property
    def usual(self) -> bool:
        """Whether first requests, follow-ups and memory are compared."""
        return self.warm or not (self.hibernate or self.stored)


@dataclass
class _Samples:
    first: list[Sample] = field(default_factory=list)
    follow: list[Sample] = field(default_factory=list)


@dataclass
class _Machine:
    """How many samples were waited for, and how many began although the machine did not get idle."""

    samples: int = 0
    busy: int = 0

    async def settle(self) -> None:
        """Wait for an idle machine before a sample."""
        self.samples += 1
        if not await settle():
            self.busy += 1


async def run(plan: Plan, tell: Tell) -> Report:
    """Carry out a plan. Cancelled, or at SIGTERM, it stops everything it started before it ends.

    Raises BenchFailed when something does not work at all, and ConfigError when there is no CLI.
    """
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert task is not None
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    load_before = os.getloadavg()[0]
    instance = uuid.uuid4().hex
    modes: list[ModeReport] = []
    with tempfile.TemporaryDirectory(prefix="claude-code-api-bench-", ignore_cleanup_errors=True) as directory:
        async with processes(instance) as started:
            tell("starting the offline model")
            url = await offline_model(started, Path(directory))

            def sides(mode: str, name: str) -> Sides:
                root = Path(directory) / name
                return Sides(mode, command=plan.command, instance=instance, url=url, root=root, processes=started)

            if plan.usual or plan.hibernate:
                modes = [await _Mode(plan, mode, sides(mode, mode), tell).measure() for mode in plan.modes]
            of_store = sides(plan.modes[0], "stored")
            kept = await _stored(plan, of_store, tell) if plan.stored else None
    return Report(
        version=__version__,
        command=of_store.command,
        event_loop=type(loop).__module__,
        runs=plan.runs,
        cpus=os.cpu_count() or 1,
        load_before=round(load_before, 2),
        load_after=round(os.getloadavg()[0], 2),
        modes=tuple(modes),
        stored=kept,
    )


async def _stored(plan: Plan, sides: Sides, tell: Tell) -> Stored:
    machine = _Machine()
    figures = await stored(sides, plan.stored, plan.runs, tell, machine.settle)
    return Stored(plan.stored, figures, machine.samples, machine.busy)


class _Mode:
    """One mode's measurements."""

    def __init__(self, plan: Plan, mode: str, sides: Sides, tell: Tell) -> None:
        self._plan = plan
        self._mode = mode
        self._sides = sides
        self._tell = tell
        self._machine = _Machine()

    async def measure(self) -> ModeReport:
        """Take every sample of the mode."""
        compared, guide, memory = await self._usual() if self._plan.usual else ((), (), None)
        if many := self._plan.hibernate:
            compared += (
                await resume(self._sides, self._plan.runs, self._say, self._machine.settle),
                await crowd(self._sides, many, self._plan.runs, self._say, self._machine.settle),
            )
        return ModeReport(
            mode=self._mode,
            rows=compared,
            guide=guide,
            memory=memory,
            samples=self._machine.samples,
            busy_samples=self._machine.busy,
        )

    async def _usual(self) -> tuple[tuple[Row, ...], tuple[GuideRow, ...], MemoryRow | None]:
        """First requests, follow-ups, and the memory of live sessions."""
        raw, gateway, warm = _Samples(), _Samples(), _Samples()
        server = await self._sides.gateway()
        with_spare = await self._sides.gateway(spares=1) if self._plan.warm else None
        self._say("warming up")
        await self._raw_run(_Samples())
        await self._gateway_run(server, _Samples())
        self._machine = _Machine()
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
                await burst(self._sides, self._say, self._machine.settle),
            )
        guide = await self._guide(gateway)
        memory = await compare(self._sides, self._plan.sessions, self._say) if self._plan.sessions else None
        return rows(raw.first, raw.follow, gateway.first, gateway.follow) + warm_rows, guide, memory

    async def _raw_run(self, samples: _Samples) -> None:
        cli = self._sides.raw()
        await self._machine.settle()
        samples.first.append(await cli.start(FIRST_TEXT))
        for _ in range(FOLLOW_UPS):
            await self._machine.settle()
            samples.follow.append(await cli.follow_up(FOLLOW_UP_TEXT))
        await cli.stop()

    async def _gateway_run(self, server: Gateway, samples: _Samples, *, follow_ups: int = FOLLOW_UPS) -> None:
        conversation = f"bench-{uuid.uuid4().hex}"
        async with server.connection() as connection:
            await self._machine.settle()
            samples.first.append(await connection.chat(conversation, FIRST_TEXT, first=True))
        for _ in range(follow_ups):
            # A server closes a connection that idles for some seconds: open a new one, before the clock starts.
            async with server.connection() as connection:
                await self._machine.settle()
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

    def _say(self, what: str) -> None:
        self._tell(f"{self._mode}: {what}")
