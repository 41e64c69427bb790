"""The guard's own program: a tiny process that outlives the server and stops what the server left behind.

Reads `+PGID` and `-PGID` lines on stdin. When stdin closes, the server is gone, however it died: every process group
still listed is killed, and so is every process that carries the server's instance mark in its environment (a child
that was spawned but not yet listed, a tool's daemon in a session of its own). Standard library only; it is run by path,
isolated, so that it starts in milliseconds and stays small.
"""

import contextlib
import os
import signal
import sys
import time
from pathlib import Path


def main() -> None:
    """Run until stdin closes, then kill what is left."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    mark = sys.argv[1].encode()
    groups: set[int] = set()
    for line in sys.stdin:
        group = int(line[1:])
        if line[0] == "+":
            groups.add(group)
        else:
            groups.discard(group)
    for group in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
    for _ in range(3):
        for pid in marked(mark):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)


def marked(mark: bytes) -> list[int]:
    """The processes whose environment carries the mark; where there is no /proc (macOS) the groups have to do."""
    found = []
    with contextlib.suppress(OSError):
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    if mark in (entry / "environ").read_bytes().split(b"\0"):
                        found.append(int(entry.name))
    return found


if __name__ == "__main__":
    main()
