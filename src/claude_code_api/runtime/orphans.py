"""Processes that an earlier server on the same data left running: only when it was killed together with its guard."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

import psutil


def stop_orphans(record: Path, *, variable: str, instance: str) -> int:
    """Kill what carries the mark of the server that `record` names, then name `instance` there; return how many.

    The mark is the environment variable `variable`, which children inherit. Nobody else uses the data directory, so
    that server is gone; and its mark is a random id, which nothing else carries.
    """
    earlier = record.read_text().strip() if record.exists() else ""
    stopped = 0
    for process in psutil.process_iter() if earlier else ():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(variable) == earlier:
                os.kill(process.pid, signal.SIGKILL)
                stopped += 1
    record.write_text(instance)
    return stopped
