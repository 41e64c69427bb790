"""Counters and latencies since the server started."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable

from claude_code_api.core.turn import StartKind

_SAMPLES = 1000


class Stats:
    """What `/stats` reports beside the present state. Latencies are in seconds, the last thousand of each kind."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._first_token: dict[StartKind, deque[float]] = {kind: deque(maxlen=_SAMPLES) for kind in StartKind}
        self._total: dict[StartKind, deque[float]] = {kind: deque(maxlen=_SAMPLES) for kind in StartKind}

    def first_token(self, kind: StartKind, seconds: float) -> None:
        """Record the time from the request to its first text or thinking."""
        self._first_token[kind].append(seconds)

    def turn(self, kind: StartKind, seconds: float) -> None:
        """Record the time from the request to the completed turn."""
        self._total[kind].append(seconds)

    def latencies(self) -> dict[str, dict[str, dict[str, float | int | None]]]:
        """`{start kind: {"first_token_ms": {count, p50, p95}, "turn_ms": {...}}}`."""
        return {
            kind.value: {"first_token_ms": _summary(self._first_token[kind]), "turn_ms": _summary(self._total[kind])}
            for kind in StartKind
        }


def _summary(samples: Iterable[float]) -> dict[str, float | int | None]:
    ordered = sorted(samples)
    return {"count": len(ordered), "p50": _percentile(ordered, 0.50), "p95": _percentile(ordered, 0.95)}


def _percentile(ordered: list[float], share: float) -> float | None:
    if not ordered:
        return None
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000, 1)
