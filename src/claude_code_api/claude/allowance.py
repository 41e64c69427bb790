"""How many calls of its own tools an agent may make in a turn. Pure.

The CLI asks before each call while a hook is set. The question costs the call 1.5 to 2.5 ms, so the hook is set when a
turn with a limit begins, and taken away again by the next turn without one: that takes no other process.
"""

from __future__ import annotations

from typing import Any

from claude_code_api.claude.gathered import STRUCTURED_OUTPUT
from claude_code_api.claude.tools import PREFIX

_OWN_TOOLS = f"^(?!{PREFIX}|{STRUCTURED_OUTPUT}$)"
"""A regular expression of JavaScript: neither the client's tools nor the answer itself are asked for."""

_SET = {"PreToolUse": [{"matcher": _OWN_TOOLS, "hookCallbackIds": ["allowance"]}]}


class Allowance:
    """The calls that are left in the turn that runs."""

    def __init__(self) -> None:
        self._most: int | None = None
        self._made = 0

    def renew(self, most: int | None) -> dict[str, Any] | None:
        """A turn begins with at most so many calls, None for any number.

        Returns the control request that makes the CLI ask, or ask no more, if one is due.
        """
        before, self._most, self._made = self._most, most, 0
        if (before is None) == (most is None):
            return None
        return {"subtype": "initialize", "hooks": {} if most is None else _SET}

    def answer(self) -> dict[str, Any]:
        """The answer to the question for one more call: it may be made, or the model is told why not."""
        self._made += 1
        if self._most is None or self._made <= self._most:
            return {}
        why = f"The limit of {self._most} tool calls of this request is reached: answer with what you have."
        decision = {"permissionDecision": "deny", "permissionDecisionReason": why}
        return {"hookSpecificOutput": {"hookEventName": "PreToolUse", **decision}}
