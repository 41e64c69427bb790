"""How many calls of its own tools an agent may make in a turn. Pure."""

from __future__ import annotations


class Allowance:
    """The calls that are left in the turn that runs."""

    def __init__(self) -> None:
        self._most: int | None = None
        self._made = 0

    def renew(self, most: int | None) -> None:
        """A turn begins with at most so many calls, None for any number."""
        self._most, self._made = most, 0

    def take(self) -> str | None:
        """One more call is about to be made. Why it is not, as the model is told, or None."""
        self._made += 1
        if self._most is None or self._made <= self._most:
            return None
        return f"The limit of {self._most} tool calls of this request is reached: answer with what you have."
