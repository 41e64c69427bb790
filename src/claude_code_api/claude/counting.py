"""What a process's context weighs, in tokens."""

from __future__ import annotations

from claude_code_api.claude.control import Control
from claude_code_api.core.turn import TurnCompleted, TurnEvent, TurnFailed, Usage
from claude_code_api.errors import ProcessDied, UpstreamError

_COUNT_S = 30.0


async def counted(control: Control) -> TurnEvent:
    """Ask the CLI, which has the model's API count it: the end of a turn that says nothing."""
    try:
        weight = await control.ask({"subtype": "get_context_usage", "detail": "full"}, _COUNT_S)
        return TurnCompleted("end_turn", str(weight["model"]), Usage(input_tokens=int(weight["totalTokens"])), None)
    except (ProcessDied, TimeoutError, KeyError, TypeError, ValueError):
        return TurnFailed(UpstreamError("Claude Code could not count the tokens.", retry_after=5))
