"""What is set right in a database before a server uses it, besides its schema."""

from __future__ import annotations

from pathlib import Path

from claude_code_api.store.migrate import usable
from claude_code_api.store.turns import interrupt_running


def settle(path: Path) -> int:
    """Mark the turns that a server left running; return how many those were.

    No server may run on the database. Raises ConfigError that says what to do.
    """
    with usable(path) as engine, engine.begin() as connection:
        return interrupt_running(connection)
