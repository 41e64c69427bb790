"""What a conversation holds, and what of a request's history is new to it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from claude_code_api.core.turn import Message


def same_history(held: Sequence[Message], sent: Sequence[Message]) -> bool:
    """Whether a client's view of the history is the conversation's own.

    Compared as a client can see it: roles and visible text; thinking is dropped, neighbouring messages of one role are
    taken together, and white space at the ends of a message does not count.
    """
    return _visible(held) == _visible(sent)


def lineage(system: str, history: Sequence[Message]) -> str:
    """What identifies a history: equal for two that a client cannot tell apart, in hexadecimal."""
    said = json.dumps([system.strip(), _visible(history)])
    return hashlib.sha256(said.encode()).hexdigest()


def open_calls(history: Sequence[Message]) -> tuple[str, ...]:
    """The calls of the client's tools that the last answer made and that have no result yet."""
    calls: list[str] = []
    for message in reversed(history):
        if message.role != "assistant" and not all(block.get("internal") for block in message.content):
            break
        made = [block for block in message.content if block.get("type") == "tool_use" and not block.get("internal")]
        calls = [*(str(block["id"]) for block in made), *calls]
    return tuple(calls)


def _visible(history: Sequence[Message]) -> list[tuple[str, str]]:
    turns: list[tuple[str, str]] = []
    for message in history:
        text = message.text().strip()
        if turns and turns[-1][0] == message.role:
            turns[-1] = (message.role, f"{turns[-1][1]}\n{text}".strip())
        else:
            turns.append((message.role, text))
    return turns
