"""A small disk of the run's own, which can be filled."""

from __future__ import annotations

import contextlib
import errno
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

_MIB = 2**20
_PAGE = 4096


class SmallDisk:
    """A tmpfs; `full` fills it for a while. Made by `small_disk`."""

    def __init__(self, path: Path, size_mib: int) -> None:
        self.path = path
        self.size_mib = size_mib
        self.peak_mib = 0.0

    def note_use(self) -> None:
        """Remember the most that was used; not to be called while a filler lies on it."""
        state = os.statvfs(self.path)
        self.peak_mib = max(self.peak_mib, (state.f_blocks - state.f_bfree) * state.f_frsize / _MIB)

    def full(self, seconds: float) -> None:
        """Fill it, keep it full for some seconds, although others delete files meanwhile, and make room again."""
        filler = self.path / "filler"
        try:
            with filler.open("wb", buffering=0) as file:
                _fill(file.fileno(), _MIB)
                until = time.monotonic() + seconds
                while time.monotonic() < until:
                    _fill(file.fileno(), _PAGE)
                    time.sleep(0.02)
        finally:
            filler.unlink(missing_ok=True)


def _fill(file: int, piece: int) -> None:
    while piece >= _PAGE:
        try:
            os.write(file, bytes(piece))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            piece //= 16


@contextlib.contextmanager
def small_disk(path: Path, size_mib: int) -> Iterator[SmallDisk | None]:
    """Mount a tmpfs at `path` and take it away again; None, with the reason printed, where that is not permitted."""
    path.mkdir()
    try:
        done = _run("mount", "-t", "tmpfs", "-o", f"size={size_mib}m,mode=700", "tmpfs", str(path))
        reason = done.stderr.strip() if done.returncode else None
    except OSError as error:
        reason = str(error)
    if reason is not None:
        print(f"The disk is never full in this run: a tmpfs cannot be mounted here ({reason}).", flush=True)
        yield None
        return
    try:
        yield SmallDisk(path, size_mib)
    finally:
        _unmount(path)


def _unmount(path: Path) -> None:
    """Processes that were killed a moment ago may still hold it; after a while it goes without asking them."""
    for _ in range(50):
        if _run("umount", str(path)).returncode == 0:
            return
        time.sleep(0.2)
    _run("umount", "--lazy", str(path))


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)
