"""What clients carry for us in `encrypted_content`: thinking blocks and summaries.

It is not encrypted, and says so: a client may read it, and whoever sends it may have written it. Nothing is believed
that the client could not have said itself; the signature of a thinking block is checked by the model's API. Pure.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from claude_code_api.core.turn import Block

_HEAD = "not-encrypted.1."
_THOUGHTS = {"thinking": ("type", "thinking", "signature"), "redacted_thinking": ("type", "data")}
"""What the Messages API takes back of a thinking block: texts, all of them."""


def packed_thought(block: Block) -> str:
    """A thinking block, whole."""
    return _packed("thinking", {name: block.get(name) for name in _THOUGHTS[block["type"]]})


def thought_of(encrypted_content: str) -> Block | None:
    """The thinking block; None when it is none of ours, or was never signed."""
    block = _unpacked("thinking", encrypted_content)
    kind = block.get("type") if isinstance(block, dict) else None
    names = _THOUGHTS.get(kind) if isinstance(kind, str) else None
    if names is None or not all(isinstance(block.get(name), str) and _is_text(block[name]) for name in names):
        return None
    return {name: block[name] for name in names}


def compaction_item(identity: str, summary: str) -> dict[str, Any]:
    """The item that stands for everything before it; its `encrypted_content` is not secret."""
    return {"id": identity, "type": "compaction", "encrypted_content": _packed("summary", summary)}


def summary_of(encrypted_content: str) -> str | None:
    """What a compaction item says of the conversation before it; None when it is none of ours."""
    summary = _unpacked("summary", encrypted_content)
    return summary if isinstance(summary, str) and summary.strip() and _is_text(summary) else None


def _packed(what: str, value: Any) -> str:
    return _HEAD + base64.b64encode(json.dumps({what: value}, separators=(",", ":")).encode()).decode()


def _unpacked(what: str, text: str) -> Any:
    if not text.startswith(_HEAD):
        return None
    try:
        value = json.loads(base64.b64decode(text[len(_HEAD) :], validate=True))
    except (ValueError, RecursionError):
        return None
    return value.get(what) if isinstance(value, dict) else None


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
