"""`claude-code-api` with a wall clock that is moved while it runs: `python -P skewed.py OFFSET_FILE ARGUMENT...`.

Only the wall clock: a machine's monotonic clock goes on when somebody sets the time.
"""

from __future__ import annotations

import mmap
import struct
import sys
import time
from pathlib import Path

SIZE = struct.calcsize("d")


def offset_in(path: Path) -> memoryview[float]:
    """The offset in seconds, as the only element of a view that both sides share: reading it costs no system call."""
    with path.open("r+b") as file:
        return memoryview(mmap.mmap(file.fileno(), SIZE)).cast("d")


def main() -> None:
    """Put the moved clock in place, then be the command line."""
    offset, real_time = offset_in(Path(sys.argv.pop(1))), time.time
    time.time = lambda: real_time() + offset[0]
    # Only now: what takes `time.time` itself while it is imported shall have the moved one.
    from claude_code_api.cli import main as command_line

    command_line()


if __name__ == "__main__":
    main()
