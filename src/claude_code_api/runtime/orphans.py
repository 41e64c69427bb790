"""Processes that were left running: by an agent's process, or by an earlier server that was killed with its guard.

Owns the file that names the server on the data. A clean end removes it: then the next start has nobody to look for, and
need not read the environment of every process of the machine.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
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
    stopped = kill_marked(variable, earlier) if earlier else 0
    try:
        record.write_text(instance)
    except OSError as error:
        log.warning(
            "instance_not_recorded",
            reason=error.strerror,
            consequence="should this server be killed together with its guard, the next one cannot stop its children",
        )
    return stopped


def kill_marked(variable: str, value: str) -> int:
    """Kill every process with this variable in its environment, wherever it hangs in the tree; return how many.

    Reads the environment of every process of the machine: not for the event loop.
    """
    killed: set[int] = set()
    while True:
        found = set(_marked(variable, value)) - killed
        for pid in found:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        killed |= found
        if not found:
            return len(killed)


def _marked(variable: str, value: str) -> Iterator[int]:
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(variable) == value:
                yield process.pid


def note_clean_end(record: Path) -> None:
    """Nothing of this server is left running."""
    with contextlib.suppress(OSError):  # then the next start looks for what is not there
        record.unlink()
