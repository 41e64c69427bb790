"""How much memory process groups take, and how much there is."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

_CGROUP = Path("/sys/fs/cgroup/memory.max")
_SHARE = 0.8


@dataclass(frozen=True, slots=True)
class Taken:
    """Bytes: what each group takes, by its id, and all of them together with shared pages counted once."""

    groups: dict[int, int]
    total: int


def measure(groups: Iterable[int]) -> Taken:
    """Add up the processes of each group, grandchildren included. Takes some milliseconds: not for the event loop."""
    sizes = dict.fromkeys(groups, 0)
    own, shared = 0, 0
    for pid in psutil.pids():
        with contextlib.suppress(psutil.Error, ProcessLookupError, PermissionError):
            group = os.getpgid(pid)
            if group in sizes:
                memory = psutil.Process(pid).memory_info()
                common = getattr(memory, "shared", 0)
                sizes[group] += memory.rss
                own += memory.rss - common
                shared = max(shared, common)
    return Taken(sizes, own + shared)


def default_ceiling() -> int:
    """Four fifths of the machine's memory, or of the container's when that is less, in bytes."""
    total = psutil.virtual_memory().total
    with contextlib.suppress(OSError, ValueError):
        total = min(total, int(_CGROUP.read_text()))
    return int(total * _SHARE)
