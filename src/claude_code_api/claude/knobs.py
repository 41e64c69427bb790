"""What a turn changes on a live process: the settings to send for its options. Pure.

The CLI reads these of its settings again, some for each request to the model, some when a turn begins. The values are
numbers, names that were checked, and JSON that we serialise; none of them is ever an argument or a path.
"""

from __future__ import annotations

import json
from typing import Any

from claude_code_api.claude.tools import PREFIX
from claude_code_api.core.turn import Options, ToolChoice

Knobs = dict[str, Any]

WRITES_NOTHING = {"CLAUDE_CODE_SKIP_PROMPT_HISTORY": "1"}
"""What keeps the CLI from writing a transcript, from now on; taken back, it writes what it left out as well."""


def knobs(options: Options, choice: ToolChoice | None) -> Knobs:
    """The settings for these options. `choice` says which tools may be called, None when the CLI knows of none."""
    forced = choice is not None and choice.kind in ("any", "tool")
    extra: dict[str, Any] = {}
    if choice is not None and (named := _tool_choice(choice)) is not None:
        extra["tool_choice"] = named
    if options.stop:
        extra["stop_sequences"] = list(options.stop)
    return {
        "effortLevel": options.effort,
        "autoCompactEnabled": options.compacts,
        "env": {
            "CLAUDE_CODE_EXTRA_BODY": json.dumps(extra) if extra else "",
            "CLAUDE_CODE_MAX_OUTPUT_TOKENS": "" if options.max_tokens is None else str(options.max_tokens),
            # Without compaction the CLI refuses by itself what comes near the limit.
            "CLAUDE_CODE_BLOCKING_LIMIT_OVERRIDE": "" if options.compacts else "99999999",
            # The Messages API forces no tool while the model thinks.
            "CLAUDE_CODE_DISABLE_THINKING": "1" if forced or not options.thinking else "",
        },
    }


def thoughts(options: Options) -> Knobs:
    """The control request for how the model thinks when it does; None is what the CLI does by itself."""
    return {
        "subtype": "set_max_thinking_tokens",
        "max_thinking_tokens": options.thinking_budget,
        "thinking_display": options.thinking_display,
    }


def token_limit(turned: Knobs) -> str:
    """The knob that the CLI reads when a turn begins, and not again within it."""
    return str(turned["env"]["CLAUDE_CODE_MAX_OUTPUT_TOKENS"])


UNTURNED, UNTHOUGHT = knobs(Options(), None), thoughts(Options())
"""How a process starts."""


def _tool_choice(choice: ToolChoice) -> dict[str, Any] | None:
    if choice.kind == "none":
        return {"type": "none"}
    if choice.kind == "auto" and choice.parallel:
        return None
    named = {"name": PREFIX + choice.name} if choice.kind == "tool" and choice.name else {}
    serial = {} if choice.parallel else {"disable_parallel_tool_use": True}
    return {"type": choice.kind, **named, **serial}
