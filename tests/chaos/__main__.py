"""Run, check, and say what was done."""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from claude_code_api.offline.server import OfflineModel
from tests.chaos import __doc__ as purpose
from tests.chaos.check import check
from tests.chaos.clock import Clock
from tests.chaos.disk import small_disk
from tests.chaos.talk import Talk
from tests.chaos.tally import Tally
from tests.chaos.torment import Torment

_PROGRESS_S = 30
_DISK_MIB = 128


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="tests.chaos", description=purpose)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--conversations", type=int, default=50)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    room = Path(tempfile.mkdtemp(prefix="cca-chaos-"))
    try:
        failures = rehearse(room, random.Random(options.seed), options.conversations, options.minutes * 60)
    except KeyboardInterrupt:
        shutil.rmtree(room, ignore_errors=True)
        raise SystemExit("Stopped before the end; nothing was checked.") from None
    for failure in failures:
        print("FAILED", failure)
    if failures:
        raise SystemExit(f"{len(failures)} failures. The servers' log and data are kept in {room}.")
    shutil.rmtree(room)
    print("Everything is as it must be.")


def rehearse(room: Path, dice: random.Random, conversations: int, seconds: float) -> list[str]:
    """The whole run; returns its failures. Leaves nothing but files in `room`, however it ends."""
    refused = Tally()
    with small_disk(room / "disk", _DISK_MIB) as disk, OfflineModel() as model:
        torment = Torment(model.url, dice, Clock(room / "clock"), disk, room / "servers.log")
        try:
            talks = [Talk(number, torment, refused, random.Random(dice.random())) for number in range(conversations)]
            run(torment, talks, refused, seconds)
            print("Time is up: every conversation recites.", flush=True)
            failures = check(torment, talks, refused)
            if failures:
                shutil.copytree(torment.gateway.data, room / "data")
        finally:
            # A second Ctrl-C must not leave the mount or the server behind.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            torment.close()
    print(f"done: {torment.done}")
    print(f"acknowledged: {acknowledged(talks)} turns in {len(talks)} conversations")
    print(f"not acknowledged, and tried again: {refused}")
    if disk is not None:
        print(f"most of the disk that was used: {disk.peak_mib:.0f} of {disk.size_mib} MiB")
    return failures


def run(torment: Torment, talks: Sequence[Talk], refused: Tally, seconds: float) -> None:
    """Let everybody talk while things happen."""
    over = threading.Event()
    with ThreadPoolExecutor(len(talks) + 1) as pool:
        try:
            running = [pool.submit(torment.go_on, over), *(pool.submit(talk.go_on, over) for talk in talks)]
            watch(torment, talks, refused, running, seconds)
            over.set()
        except BaseException:
            over.set()  # first: nobody shall be surprised at the server's end
            torment.gateway.process.kill()  # and nobody has to wait for an answer any longer
            raise
    for part in running:
        part.result()


def watch(
    torment: Torment, talks: Sequence[Talk], refused: Tally, running: Sequence[Future[None]], seconds: float
) -> None:
    """Wait until the time is up, or a part of the run itself has failed; say now and then how it goes."""
    began = time.monotonic()
    told = 0
    while (passed := time.monotonic() - began) < seconds and not any(part.done() for part in running):
        time.sleep(0.5)
        if passed // _PROGRESS_S > told:
            told += 1
            turns = f"{acknowledged(talks)} turns acknowledged, {refused.total} tried again"
            print(f"{passed:4.0f} s: {turns}; {torment.done}", flush=True)


def acknowledged(talks: Sequence[Talk]) -> int:
    """Turns whose client has the answer."""
    return sum(len(talk.acknowledged) for talk in talks)


main()
