"""The server's end of the guard: tells it which process groups are ours.

Closed pipes do not stop a Claude Code child in the middle of a turn, so when the server is killed somebody else has to.
See `guard_child.py`.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path
from typing import IO

import structlog

log = structlog.get_logger(__name__)


class Guard:
    """Starts the guard process; `close()` lets it end. Calls are cheap and never block: a line into a pipe."""

    def __init__(self, mark: str) -> None:
        """`mark` is the `NAME=value` that every child of this server carries in its environment."""
        program = Path(__file__).with_name("guard_child.py")
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(program), mark],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env={},
        )

    def add(self, group: int) -> None:
        """Watch over a process group from now on."""
        self._tell(f"+{group}\n")

    def remove(self, group: int) -> None:
        """The group is gone."""
        self._tell(f"-{group}\n")

    def _tell(self, line: str) -> None:
        pipe: IO[bytes] | None = self._process.stdin
        assert pipe is not None
        try:
            pipe.write(line.encode())
            pipe.flush()
        except BrokenPipeError:
            log.error("guard_lost", consequence="a kill -9 of the server would leave its children running")

    def close(self) -> bool:
        """Let the guard go; it stops whatever is still there. False when it was lost before. Blocks for a moment."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        return self._process.wait(timeout=10) == 0
