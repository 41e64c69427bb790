"""Fills a data directory with conversations as a server would leave them, without having had them.

The one place of the benchmark that knows the store's tables; it follows them.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from claude_code_api.bench import MODEL, SYSTEM
from claude_code_api.store.database import sqlite_engine
from claude_code_api.store.migrate import upgrade
from claude_code_api.store.rows import COMPLETED
from claude_code_api.store.schema import conversation, turn

_TURNS = 2
_CHARACTERS = 300
_BATCH = 1000
_BEGINNING = 1_700_000_000.0


def conversation_id(number: int) -> str:
    """What the seeded conversation `number`, from 0, is called."""
    return f"stored-{number}"


def seed(data: Path, count: int) -> Iterator[int]:
    """Store `count` conversations in a new data directory, in one transaction; yields how many there are so far.

    Each has a directory, as a conversation does, and two completed turns of some 300 characters a message. With a
    `count` of 0 it is what an idle server leaves: an empty store.
    """
    sessions = data / "default" / "sessions"
    sessions.mkdir(parents=True)
    engine = sqlite_engine(sessions.parent / "conversations.db")
    try:
        upgrade(engine)
        with engine.begin() as connection:
            for start in range(0, count, _BATCH):
                numbers = range(start, min(start + _BATCH, count))
                conversations = [_conversation(number) for number in numbers]
                connection.execute(conversation.insert(), conversations)
                connection.execute(turn.insert(), [one for each in conversations for one in _turns(each)])
                for each in conversations:
                    (sessions / each["place"]).mkdir()
                yield numbers.stop
    finally:
        engine.dispose()


def _conversation(number: int) -> dict[str, Any]:
    began = _BEGINNING + number
    return {
        "key": uuid.uuid4().hex,
        "tenant": "default",
        "conversation_id": conversation_id(number),
        "place": uuid.uuid4().hex[:16],
        "cli_session_id": str(uuid.uuid4()),
        "leaf": str(uuid.uuid4()),
        "system": SYSTEM,
        "model": MODEL,
        "turns": _TURNS,
        "input_tokens": 150 * _TURNS,
        "output_tokens": 75 * _TURNS,
        "cache_read_tokens": 0,
        "cache_write_tokens": 0,
        "thinking_tokens": 0,
        "cost_usd": 0.002 * _TURNS,
        "created_at": began,
        "last_used_at": began + 60,
    }


def _turns(of: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "id": str(uuid.uuid4()),
            "number": number,
            "conversation_key": of["key"],
            "request_id": f"req_{uuid.uuid4().hex}",
            "status": COMPLETED,
            "start": "cold" if number == 1 else "live",
            "base": None,
            "input": _message("user", f"Question {number} of {of['conversation_id']}."),
            "output": [_message("assistant", f"Answer {number} to {of['conversation_id']}.")],
            "stop_reason": "end_turn",
            "model": MODEL,
            "input_tokens": 150,
            "output_tokens": 75,
            "cost_usd": 0.002,
            "started_at": of["created_at"] + 30 * (number - 1),
            "finished_at": of["created_at"] + 30 * number,
        }
        for number in range(1, _TURNS + 1)
    ]


def _message(role: str, beginning: str) -> dict[str, Any]:
    text = f"{beginning} " + "and so on " * (_CHARACTERS // 10)
    return {"role": role, "content": [{"type": "text", "text": text[:_CHARACTERS]}]}
