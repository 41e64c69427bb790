"""What a conversation holds, and what of a request's history is new to it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence

from claude_code_api.core.turn import Block, Message

_SHOWN = ("image", "document")


def same_history(held: Sequence[Message], sent: Sequence[Message]) -> bool:
    """Whether a client's view of the history is the conversation's own.

    Compared as a client can see it: roles, visible text, images and documents; thinking is dropped, neighbouring
    messages of one role are taken together, and white space at the ends of a message does not count.
    """
    return _visible(held, _quick) == _visible(sent, _quick)


def lineage(system: str, history: Sequence[Message]) -> str:
    """What identifies a history: equal for two that a client cannot tell apart, in hexadecimal."""
    said = json.dumps([system.strip(), _visible(history, _digest)])
    return hashlib.sha256(said.encode()).hexdigest()


def _visible(history: Sequence[Message], mark: Callable[[str], str]) -> list[tuple[str, str]]:
    turns: list[tuple[str, str]] = []
    for message in history:
        text = "".join(_seen(block, mark) for block in message.content).strip()
        if turns and turns[-1][0] == message.role:
            turns[-1] = (message.role, f"{turns[-1][1]}\n{text}".strip())
        else:
            turns.append((message.role, text))
    return turns


def _seen(block: Block, mark: Callable[[str], str]) -> str:
    """What a client can see of a block. What is not text stands between zero characters, marked by what it shows."""
    if block["type"] == "text":
        return str(block["text"]).replace("\0", "\0\0")
    if block["type"] not in _SHOWN:
        return ""
    source = block["source"]
    return f"\0{block['type']} {source['media_type']} {mark(source['data'])} {block.get('title', '')}\0"


def _quick(data: str) -> str:
    """Python keeps a string's hash with it: the megabytes that a conversation holds are read once."""
    return str(hash(data))


def _digest(data: str) -> str:
    return hashlib.sha256(data.encode()).hexdigest()
