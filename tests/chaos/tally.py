"""What happened how often."""

from __future__ import annotations

import threading
from collections import Counter


class Tally:
    """Counts for many threads: a Counter alone loses some of what they add at the same time."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def add(self, what: str) -> None:
        """It happened once more."""
        with self._lock:
            self._counts[what] += 1

    def beginning_with(self, words: str) -> list[str]:
        """What was counted under such names."""
        return [f"{what}: {count}" for what, count in sorted(self._counts.items()) if what.startswith(words)]

    @property
    def total(self) -> int:
        """Everything together."""
        return self._counts.total()

    def __str__(self) -> str:
        with self._lock:
            return ", ".join(self.beginning_with("")) or "nothing"
