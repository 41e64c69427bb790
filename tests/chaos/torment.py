"""The server, and what is done to it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
import time
from pathlib import Path

import psutil

from tests.chaos.clock import Clock
from tests.chaos.disk import SmallDisk
from tests.chaos.tally import Tally
from tests.gateway import MARK, Gateway

_SETTINGS = {"claude__max_concurrent_sessions": 12, "pool__min_size": 2, "pool__max_size": 4}
_HOUR, _DAY = 3600, 86400


class Torment:
    """Does nasty things to a server of its own, one after another. `disk` is None where there is none to fill."""

    def __init__(self, model_url: str, dice: random.Random, clock: Clock, disk: SmallDisk | None, log: Path) -> None:
        data = None if disk is None else disk.path / "data"
        self.gateway = Gateway(model_url, _SETTINGS, data=data, program=clock.program)
        self.done = Tally()
        self.failures: list[str] = []
        self.marks: set[str] = set()
        self._dice = dice
        self._clock = clock
        self._disk = disk
        self._log = log

    def go_on(self, over: threading.Event) -> None:
        """Until it is over, do something nasty every now and then."""
        acts = {
            self._kill_child: 6,
            self._freeze_child: 3,
            self._kill_server: 1,
            self._freeze_server: 1,
            self._move_clock: 2,
        }
        if self._disk is not None:
            acts[self._fill_disk] = 2
        while not over.wait(self._dice.uniform(0.5, 3)):
            self._look()
            (act,) = self._dice.choices(list(acts), list(acts.values()))
            act()

    def end(self) -> None:
        """SIGTERM; the server must leave of itself and in peace."""
        self._look()
        server = self.gateway.process
        server.send_signal(signal.SIGTERM)
        try:
            code = server.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.failures.append("the server did not end within 60 s after SIGTERM")
            return
        if code != 0:
            self.failures.append(f"the server ended with {code} after SIGTERM")

    def close(self) -> None:
        """Leave nothing, whatever state it is in."""
        if self.gateway.process.poll() is None:
            self.gateway.process.kill()
            self.gateway.process.wait()
        self._keep_log()
        self.gateway.stop()

    def _look(self) -> None:
        """See how it does before the next act."""
        if self._disk is not None:
            self._disk.note_use()
        if (code := self.gateway.process.poll()) is not None:
            self.failures.append(f"the server ended by itself, with {code}")
            self._restart()
        for child in self.gateway.children():
            try:
                self.marks.add(child.environ()[MARK.rstrip("=")])
            except (psutil.Error, KeyError):
                continue

    def _victim(self) -> psutil.Process | None:
        children = self.gateway.children()
        return self._dice.choice(children) if children else None

    def _kill_child(self) -> None:
        if (child := self._victim()) is not None:
            os.kill(child.pid, signal.SIGKILL)
            self.done.add("child killed")

    def _freeze_child(self) -> None:
        if (child := self._victim()) is not None:
            os.kill(child.pid, signal.SIGSTOP)
            time.sleep(1)
            if child.is_running():
                os.kill(child.pid, signal.SIGCONT)
            self.done.add("child frozen")

    def _kill_server(self) -> None:
        self.gateway.process.kill()
        self.gateway.process.wait()
        self._restart()
        self.done.add("server killed")

    def _freeze_server(self) -> None:
        self.gateway.process.send_signal(signal.SIGSTOP)
        time.sleep(self._dice.uniform(1, 2))
        self.gateway.process.send_signal(signal.SIGCONT)
        self.done.add("server frozen")

    def _move_clock(self) -> None:
        jump = self._dice.choice([-_DAY, _HOUR, 2 * _DAY, None])
        if jump is None:
            self._clock.correct()
        else:
            self._clock.jump(jump)
        self.done.add("clock corrected" if jump is None else f"clock moved {jump / _HOUR:+g} h")

    def _fill_disk(self) -> None:
        assert self._disk is not None
        self._disk.full(self._dice.uniform(1, 3))
        self.done.add("disk filled")

    def _restart(self) -> None:
        self._keep_log()
        self.gateway.restart(signal.SIGKILL)

    def _keep_log(self) -> None:
        """What a server said goes with its successor's start otherwise."""
        with self._log.open("a") as log:
            log.write(self.gateway.log())
