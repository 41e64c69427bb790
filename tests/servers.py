"""Servers as processes of their own, forked off one that has imported the program: a start costs 0.3 s, not 1.3 s.

What a server is told, its environment, its directory, its session and where its log goes are as with
`python -m claude_code_api`; tests of the command itself start that.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["claude_code_api.cli", "claude_code_api.cli.serve", "claude_code_api.app", "uvicorn"])


class Server:
    """One of them, with the methods of `subprocess.Popen` that tests use."""

    def __init__(self, arguments: Sequence[str], *, directory: Path, environment: Mapping[str, str], log: Path) -> None:
        self._process = _FORKS.Process(
            target=_run, args=(list(arguments), str(directory), dict(environment), str(log)), daemon=True
        )
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """The same."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit code once it has ended. Raises subprocess.TimeoutExpired."""
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired("serve", timeout or 0.0)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it still runs."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)


def _run(arguments: list[str], directory: str, environment: dict[str, str], log: str) -> None:
    os.setsid()
    nowhere, written = os.open(os.devnull, os.O_RDWR), os.open(log, os.O_WRONLY | os.O_APPEND)
    for number, target in enumerate((nowhere, nowhere, written)):
        os.dup2(target, number)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(directory)
    sys.argv = ["claude-code-api", *arguments]
    from claude_code_api.cli import main

    main()
