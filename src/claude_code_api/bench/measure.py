"""Samples, medians, and the limits that the project sets itself. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

FOLLOW_UP_ALLOWANCE_MS = 5.0
FIRST_REQUEST_ALLOWANCE_MS = 10.0
WARM_RATIO = 0.32
BURST_RATIO = 0.3
RESUME_ALLOWANCE_MS = 20.0
RESUMED_RATIO = 1.15
MEMORY_FACTOR = 1.05
MEMORY_ALLOWANCE_MB = 150.0
"""The limits: how much the gateway may add, at the median, to the raw CLI of the same run. 1 MB is 10^6 bytes."""

LOOK_UP_MS = 5.0
STORED_MEMORY_MB = 300.0
STORED_START_RATIO = 1.1
"""The limits of a server with many stored conversations. Its start may be no slower than with none; the tenth is what
the medians of a few starts differ by anyway."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One turn: milliseconds from its start to the first text delta, and to its end."""

    first_ms: float
    total_ms: float


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of both sides, all samples in milliseconds.

    `allowance_ms` is what the gateway may add, `max_ratio` the share of the raw time it may take; None: no such limit.
    """

    name: str
    raw: tuple[float, ...]
    gateway: tuple[float, ...]
    allowance_ms: float | None = None
    max_ratio: float | None = None

    @property
    def limit_ms(self) -> float | None:
        """The most that the gateway's median may be; None where there is no limit."""
        if self.max_ratio is not None:
            return self.raw_ms * self.max_ratio
        return None if self.allowance_ms is None else self.raw_ms + self.allowance_ms

    @property
    def raw_ms(self) -> float:
        """The raw CLI's median, in milliseconds."""
        return median(self.raw)

    @property
    def gateway_ms(self) -> float:
        """The gateway's median, in milliseconds."""
        return median(self.gateway)

    @property
    def met(self) -> bool | None:
        """Whether the limit is met; None where there is none."""
        return None if self.limit_ms is None else self.gateway_ms <= self.limit_ms

    def as_json(self) -> dict[str, Any]:
        """The row with its medians and its samples, in milliseconds."""
        return {
            "name": self.name,
            "raw_ms": round(self.raw_ms, 2),
            "gateway_ms": round(self.gateway_ms, 2),
            "difference_ms": round(self.gateway_ms - self.raw_ms, 2),
            "ratio": round(self.gateway_ms / self.raw_ms, 3),
            "limit_ms": None if self.limit_ms is None else round(self.limit_ms, 2),
            "met": self.met,
            "raw_samples_ms": [round(value, 2) for value in self.raw],
            "gateway_samples_ms": [round(value, 2) for value in self.gateway],
        }


@dataclass(frozen=True, slots=True)
class Memory:
    """What some process trees take: megabytes (10^6 bytes), how that was counted (PSS or RSS), how many processes."""

    megabytes: float
    counted: str
    processes: int


@dataclass(frozen=True, slots=True)
class MemoryRow:
    """`sessions` live conversations with two turns each, on both sides."""

    sessions: int
    raw: Memory
    gateway: Memory

    @property
    def limit_mb(self) -> float:
        """The most that the gateway may take, in megabytes."""
        return MEMORY_FACTOR * self.raw.megabytes + MEMORY_ALLOWANCE_MB

    @property
    def met(self) -> bool:
        """Whether the limit is met."""
        return self.gateway.megabytes <= self.limit_mb

    def as_json(self) -> dict[str, Any]:
        """The row, in megabytes."""
        return {
            "sessions": self.sessions,
            "counted": self.raw.counted,
            "raw_mb": round(self.raw.megabytes, 1),
            "gateway_mb": round(self.gateway.megabytes, 1),
            "difference_mb": round(self.gateway.megabytes - self.raw.megabytes, 1),
            "ratio": round(self.gateway.megabytes / self.raw.megabytes, 3),
            "limit_mb": round(self.limit_mb, 1),
            "met": self.met,
            "raw_processes": self.raw.processes,
            "gateway_processes": self.gateway.processes,
        }


@dataclass(frozen=True, slots=True)
class GuideRow:
    """The guide's comparison: median milliseconds to the end of a request, sessions kept alive or not."""

    name: str
    without_ms: float
    with_ms: float


@dataclass(frozen=True, slots=True)
class ModeReport:
    """Everything measured in one mode. `busy_samples` of `samples` began although the machine was not idle."""

    mode: str
    rows: tuple[Row, ...]
    memory: MemoryRow | None
    guide: tuple[GuideRow, ...]
    samples: int
    busy_samples: int

    def as_json(self) -> dict[str, Any]:
        """The mode's part of the report."""
        return {
            "mode": self.mode,
            "rows": [row.as_json() for row in self.rows],
            "memory": None if self.memory is None else self.memory.as_json(),
            "guide": [asdict(row) for row in self.guide],
            "samples": self.samples,
            "busy_samples": self.busy_samples,
        }


@dataclass(frozen=True, slots=True)
class StoredRow:
    """One figure of two servers, all samples in `unit`: one with an empty store, one with many conversations in it.

    `empty` has no samples where there is nothing to measure.
    """

    name: str
    unit: str
    empty: tuple[float, ...]
    stored: tuple[float, ...]
    limit: float

    @property
    def empty_median(self) -> float | None:
        """The empty server's median."""
        return median(self.empty) if self.empty else None

    @property
    def stored_median(self) -> float:
        """The full server's median."""
        return median(self.stored)

    @property
    def met(self) -> bool:
        """Whether the limit is met."""
        return self.stored_median <= self.limit

    def as_json(self) -> dict[str, Any]:
        """The row with its medians and its samples."""
        return {
            "name": self.name,
            "unit": self.unit,
            "empty": None if self.empty_median is None else round(self.empty_median, 2),
            "stored": round(self.stored_median, 2),
            "limit": round(self.limit, 2),
            "met": self.met,
            "empty_samples": [round(value, 2) for value in self.empty],
            "stored_samples": [round(value, 2) for value in self.stored],
        }


@dataclass(frozen=True, slots=True)
class Stored:
    """A server with `conversations` stored, none of them live. `samples` and `busy_samples` as in a mode's report."""

    conversations: int
    rows: tuple[StoredRow, ...]
    samples: int
    busy_samples: int

    def as_json(self) -> dict[str, Any]:
        """This part of the report."""
        own = {name: getattr(self, name) for name in ("conversations", "samples", "busy_samples")}
        return {**own, "rows": [row.as_json() for row in self.rows]}


@dataclass(frozen=True, slots=True)
class Report:
    """A whole run. `load_before` and `load_after` are the machine's one-minute load averages."""

    version: str
    command: str
    event_loop: str
    runs: int
    cpus: int
    load_before: float
    load_after: float
    modes: tuple[ModeReport, ...]
    stored: Stored | None

    def as_json(self) -> dict[str, Any]:
        """The report as one JSON object; times in milliseconds, memory in megabytes."""
        own = {name: getattr(self, name) for name in self.__dataclass_fields__ if name not in ("modes", "stored")}
        stored = None if self.stored is None else self.stored.as_json()
        return {**own, "modes": [mode.as_json() for mode in self.modes], "stored": stored}


def rows(
    raw_first: Sequence[Sample],
    raw_follow: Sequence[Sample],
    gateway_first: Sequence[Sample],
    gateway_follow: Sequence[Sample],
) -> tuple[Row, ...]:
    """Put the samples of both sides into rows."""

    def row(name: str, raw: Sequence[Sample], gateway: Sequence[Sample], field: str, allowance: float | None) -> Row:
        values = [tuple(float(getattr(one, field)) for one in side) for side in (raw, gateway)]
        return Row(name, values[0], values[1], allowance)

    return (
        row("first request, first token", raw_first, gateway_first, "first_ms", FIRST_REQUEST_ALLOWANCE_MS),
        row("first request, total", raw_first, gateway_first, "total_ms", None),
        row("follow-up, first token", raw_follow, gateway_follow, "first_ms", FOLLOW_UP_ALLOWANCE_MS),
        row("follow-up, total", raw_follow, gateway_follow, "total_ms", None),
    )
