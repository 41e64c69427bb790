"""The CLI's transcripts: where they lie, whether they are whole, and how to write one from a history.

A transcript is `projects/<work directory, non-alphanumerics as '-'>/<uuid>.jsonl` in the config directory: one entry a
line, chained by `parentUuid`. Writing one is how a history that came from outside becomes a real conversation, roles
kept, instead of being pasted into a prompt.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from claude_code_api.claude.launch import Workplace
from claude_code_api.core.turn import Message


def path_of(place: Workplace, session: str) -> Path:
    """Where the CLI keeps the transcript `session` of this workplace."""
    slug = re.sub(r"[^a-zA-Z0-9]", "-", str(place.work))
    return place.config / "projects" / slug / f"{session}.jsonl"


def saved_cost(place: Workplace, session: str, leaf: str) -> float | None:
    """What the session had cost when its process last ended well, in USD: a resumed process counts on from there.

    None when the transcript is missing or lacks the entry `leaf`: a killed CLI may not have written its last turn.
    """
    needle, whole, cost = f'"uuid":"{leaf}"', False, 0.0
    try:
        with path_of(place, session).open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                whole = whole or (needle in line and line.endswith("}\n"))
                if line.startswith('{"type":"cost-state"'):
                    cost = float(json.loads(line).get("totalCostUSD") or 0.0)
    except (FileNotFoundError, ValueError):
        return None
    return cost if whole else None


def write(place: Workplace, history: Sequence[Message], *, model: str) -> tuple[str, str]:
    """Write `history` as a new transcript; return its session id and the id of its last entry."""
    session = str(uuid.uuid4())
    path = path_of(place, session)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    parent: str | None = None
    with path.open("w", encoding="utf-8") as out:
        for number, message in enumerate(history):
            entry = _entry(message, model=model, number=number)
            entry |= {
                "parentUuid": parent,
                "uuid": str(uuid.uuid4()),
                "sessionId": session,
                "cwd": str(place.work),
                "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                "isSidechain": False,
                "userType": "external",
            }
            parent = entry["uuid"]
            out.write(json.dumps(entry, separators=(",", ":"), ensure_ascii=False) + "\n")
    if parent is None:
        raise ValueError("an empty history has no transcript")
    return session, parent


def _entry(message: Message, *, model: str, number: int) -> dict[str, Any]:
    content = list(message.content)
    if message.role == "user":
        return {"type": "user", "message": {"role": "user", "content": content}}
    reply = {
        "id": f"msg_imported_{number}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 0, "output_tokens": 0},
    }
    return {"type": "assistant", "message": reply}
