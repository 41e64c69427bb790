"""What a child goes on from."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

from claude_code_api.runtime.ports import Entry, Origin


@dataclass(frozen=True, slots=True)
class Basis:
    """What a child goes on from: its session, the entry to go on after (None for a fresh one), its cost so far.

    `size` is the transcript's, in bytes; `entries` are those of it that the store does not have yet.
    """

    session: str = field(default_factory=lambda: str(uuid.uuid4()))
    leaf: str | None = None
    cost: float = 0.0
    origin: Origin = Origin.FRESH
    size: int = 0
    entries: tuple[Entry, ...] = ()
