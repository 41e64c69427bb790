"""The benchmark's processes, the machine's idleness, and memory.

Whatever is started here is in a process group of its own and known to a guard: it is stopped when the benchmark ends,
however it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import psutil

from claude_code_api.bench import BenchFailed
from claude_code_api.bench.measure import Memory
from claude_code_api.claude.child import Child
from claude_code_api.claude.launch import INSTANCE_VARIABLE
from claude_code_api.runtime.guard import Guard

_LINE_LIMIT = 16 * 2**20
_PAUSE_S, _LOOK_S, _SETTLE_S = 0.1, 0.2, 5.0
_IDLE_PERCENT = 15.0
_STOP_S, _POLL_S, _READY_S = 20.0, 0.02, 30.0
_STARTS_AT_ONCE = 2

T = TypeVar("T")


class Processes:
    """Starts processes and stops them. `instance` marks their environment, for the guard."""

    def __init__(self, instance: str) -> None:
        self._guard = Guard(f"{INSTANCE_VARIABLE}={instance}")
        self._running: dict[int, asyncio.subprocess.Process | Child] = {}

    async def start(
        self, argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, errors: Path
    ) -> asyncio.subprocess.Process:
        """Start one, its stderr in the file `errors`."""
        with errors.open("wb") as stderr:
            process = await asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=stderr,
                env=dict(env),
                cwd=cwd,
                start_new_session=True,
            )
        self._running[process.pid] = process
        self._guard.add(process.pid)
        return process

    async def start_cli(self, argv: Sequence[str], *, env: Mapping[str, str], cwd: Path) -> Child:
        """Start a CLI with pipes, the way the gateway does: how a child is spawned is not what is compared."""
        child = await Child.spawn(argv, env=env, secrets={}, cwd=str(cwd), limit=_LINE_LIMIT)
        self._running[child.pid] = child
        self._guard.add(child.pid)
        return child

    async def stop(self, process: asyncio.subprocess.Process | Child) -> None:
        """SIGTERM to its group, SIGKILL after 20 s; returns when it and everything it had started are gone."""
        family = tree(process.pid)
        if process.stdin is not None:
            process.stdin.close()
        _signal(process.pid, signal.SIGTERM)
        try:
            async with asyncio.timeout(_STOP_S):
                await process.wait()
        except TimeoutError:
            _signal(process.pid, signal.SIGKILL)
            await process.wait()
        for _ in range(int(_STOP_S / _POLL_S)):
            family = [one for one in family if _lives(one)]
            if not family:
                break
            await asyncio.sleep(_POLL_S)
        for one in family:
            with contextlib.suppress(psutil.Error):
                one.kill()
        self._guard.remove(process.pid)
        self._running.pop(process.pid, None)

    async def close(self) -> None:
        """Stop everything that still runs."""
        await asyncio.gather(*(self.stop(process) for process in list(self._running.values())))
        self._guard.close()


@contextlib.asynccontextmanager
async def processes(instance: str) -> AsyncIterator[Processes]:
    """Processes that are gone at the end of the block, cancelled or not."""
    started = Processes(instance)
    try:
        yield started
    finally:
        await asyncio.shield(started.close())


async def ready(process: asyncio.subprocess.Process, port: int, what: str, errors: Path) -> None:
    """Wait until `process` listens on `port` of 127.0.0.1. Raises BenchFailed when it ends or takes more than 30 s."""
    deadline = asyncio.get_running_loop().time() + _READY_S
    while asyncio.get_running_loop().time() < deadline and process.returncode is None:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
            continue
        writer.close()
        await writer.wait_closed()
        return
    raise BenchFailed(f"The {what} did not start: {tail(errors)}")


def tail(errors: Path) -> str:
    """The last of what a process wrote to its stderr, at most 1000 characters."""
    with contextlib.suppress(OSError):
        return errors.read_text(errors="replace").strip()[-1000:] or "it said nothing"
    return "it said nothing"


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def settle() -> bool:
    """Wait until the machine has idled for 0.2 s; False when it did not within 5 s, because others use it."""
    deadline = asyncio.get_running_loop().time() + _SETTLE_S
    await asyncio.sleep(_PAUSE_S)
    psutil.cpu_percent(None)
    while True:
        await asyncio.sleep(_LOOK_S)
        if psutil.cpu_percent(None) < _IDLE_PERCENT:
            return True
        if asyncio.get_running_loop().time() > deadline:
            return False


async def few_at_once(do: Callable[[T], Awaitable[None]], items: Iterable[T]) -> None:
    """Do it for each item, two at a time: more starts at once only make each other slow."""
    free = asyncio.Semaphore(_STARTS_AT_ONCE)

    async def one(item: T) -> None:
        async with free:
            await do(item)

    try:
        async with asyncio.TaskGroup() as group:
            for item in items:
                group.create_task(one(item))
    except* BenchFailed as failed:
        raise failed.exceptions[0] from failed


def tree(pid: int) -> list[psutil.Process]:
    """A process and all its descendants; none when it is gone."""
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def memory(roots: Iterable[int]) -> Memory:
    """What the trees under `roots` take: PSS, which counts shared pages once, or RSS where there is no PSS."""
    everything = [process for root in roots for process in tree(root)]
    with_pss = Path("/proc/self/smaps_rollup").exists()
    total = 0
    for process in everything:
        with contextlib.suppress(psutil.Error, OSError):
            total += _pss(process.pid) if with_pss else int(process.memory_info().rss)
    return Memory(total / 1e6, "PSS" if with_pss else "RSS", len(everything))


def _pss(pid: int) -> int:
    """Bytes of one process, shared pages by its share."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _signal(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
