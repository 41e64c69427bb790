"""Processes that an earlier server on the same data left running: only when it was killed together with its guard.

Owns the file that names the server on the data. A clean end removes it: then the next start has nobody to look for, and
need not read the environment of every process of the machine.
"""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

import psutil
import structlog

log = structlog.get_logger(__name__)


def stop_orphans(record: Path, *, variable: str, instance: str) -> int:
    """Kill what carries the mark of the server that `record` names, then name `instance` there; return how many.

    The mark is the environment variable `variable`, which children inherit. Nobody else uses the data directory, so
    that server is gone; and its mark is a random id, which nothing else carries. A full disk is logged.
    """
    earlier = record.read_text().strip() if record.exists() else ""
    stopped = 0
    for process in psutil.process_iter() if earlier else ():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(variable) == earlier:
                os.kill(process.pid, signal.SIGKILL)
                stopped += 1
    try:
        record.write_text(instance)
    except OSError as error:
        log.warning(
            "instance_not_recorded",
            reason=error.strerror,
            consequence="should this server be killed together with its guard, the next one cannot stop its children",
        )
    return stopped


def note_clean_end(record: Path) -> None:
    """Nothing of this server is left running."""
    with contextlib.suppress(OSError):  # then the next start looks for what is not there
        record.unlink()
