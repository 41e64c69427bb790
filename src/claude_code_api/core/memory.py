"""How many processes the memory allows. Pure."""

from __future__ import annotations

EXPECTED = 250 * 10**6
"""The least, in bytes, that one more process is expected to take, however little the others were measured to take."""


def affordable(processes: int, taken: int, ceiling: int) -> int:
    """The number of processes that would take `ceiling` bytes, when `processes` take `taken`; at least one."""
    each = max(EXPECTED, taken / processes) if processes else EXPECTED
    return max(1, int(processes + (ceiling - taken) // each))
