"""The wall clock of the servers under torment."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.chaos import skewed


class Clock:
    """Moves the clock of every server that is started with `program`."""

    def __init__(self, path: Path) -> None:
        path.write_bytes(bytes(skewed.SIZE))
        self._offset = skewed.offset_in(path)
        self.program: Sequence[str] = ("-P", skewed.__file__, str(path))

    def jump(self, seconds: float) -> None:
        """Move it by so much."""
        self._offset[0] += seconds

    def correct(self) -> None:
        """Make it show the right time."""
        self._offset[0] = 0.0
