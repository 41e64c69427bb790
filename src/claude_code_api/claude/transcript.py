"""The CLI's transcripts: where they lie, whether they are whole, and how to write one from a history or a copy.

A transcript is `projects/<work directory, non-alphanumerics as '-'>/<uuid>.jsonl` in the config directory: one entry a
line, chained by `parentUuid`. Writing one is how a history that came from outside becomes a real conversation, roles
kept, instead of being pasted into a prompt.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Any

from claude_code_api.claude.launch import Workplace
from claude_code_api.claude.tools import to_cli
from claude_code_api.core.turn import Block, Message, Role
from claude_code_api.runtime.ports import Entry

_HOUSEKEEPING = frozenset({"queue-operation", "last-prompt"})


def path_of(place: Workplace, session: str) -> Path:
    """Where the CLI keeps the transcript `session` of this workplace."""
    return place.config / "projects" / place.slug / f"{session}.jsonl"


def saved_cost(place: Workplace, session: str, leaf: str) -> float | None:
    """What the session had cost when its process last ended well, in USD: a resumed process counts on from there.

    None when the transcript is missing, or does not lead from the entry `leaf` back to its beginning without a gap: a
    killed CLI may not have written its last turn, and on a full disk it leaves entries out and goes on.
    """
    found: list[dict[str, Any]] = []
    cost = 0.0
    try:
        with path_of(place, session).open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                entry = _parsed(line)
                found.append(entry)
                if entry.get("type") == "cost-state":
                    cost = float(entry.get("totalCostUSD") or 0.0)
    except FileNotFoundError:
        return None
    return cost if is_whole(found, leaf) else None


def cut_after(place: Workplace, session: str, leaf: str) -> None:
    """Remove what stands behind the entry `leaf`: the traces of a turn that was not completed. Raises OSError.

    A stopped CLI writes results of its own for the calls that were open, and would believe those rather than ours.
    """
    path = path_of(place, session)
    with path.open(encoding="utf-8", errors="replace") as file:
        lines = list(file)
    entries = [_parsed(line) for line in lines]
    last = next(number for number, entry in enumerate(entries) if entry.get("uuid") == leaf)
    behind = range(last + 1, len(lines))
    kept = lines[: last + 1] + [lines[at] for at in behind if _holds_on(entries[at])]
    if len(kept) < len(lines):
        written = path.with_suffix(".new")
        written.write_text("".join(kept), encoding="utf-8")
        written.replace(path)


def _holds_on(entry: Mapping[str, Any]) -> bool:
    """Whether it is a note about the whole session, and not on where the conversation stood."""
    return bool(entry) and "uuid" not in entry and entry.get("type") != "last-prompt"


def is_whole(entries: Iterable[Mapping[str, Any]], leaf: str) -> bool:
    """Whether these lead from the entry `leaf` back to the beginning, or to a compaction, without a gap."""
    parents = {entry["uuid"]: entry.get("parentUuid") for entry in entries if "uuid" in entry}
    at: str | None = leaf
    while at is not None:
        if at not in parents:
            return False
        at = parents.pop(at)
    return True


def _parsed(line: str) -> dict[str, Any]:
    """An entry; nothing for a line that was cut off, if only by its end: the CLI would go on in the same line."""
    try:
        entry = json.loads(line) if line.endswith("\n") else None
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}


def imported(place: Workplace, session: str, history: Sequence[Message], *, model: str) -> list[Entry]:
    """The transcript that a conversation of this history would have."""
    entries: list[Entry] = []
    parent: str | None = None
    for number, message in enumerate(_sound(history)):
        if not (content := _content(message)):
            continue
        line = _entry(message.role, content, model=model, number=number)
        line |= {
            "parentUuid": parent,
            "uuid": str(uuid.uuid4()),
            "sessionId": session,
            "cwd": str(place.work),
            "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "isSidechain": False,
            "userType": "external",
        }
        parent = line["uuid"]
        entries.append(Entry("", line))
    return entries


def _sound(history: Sequence[Message]) -> list[Message]:
    """The history as the Messages API takes it: where a client took something out of it, a call may have lost its
    result, and a result its call. Calls at its end, which nothing of the assistant's follows, are open."""
    told: list[Message] = []
    calls: list[str] = []
    runs = [(role, list(run)) for role, run in groupby(history, key=lambda message: message.role)]
    for number, (role, messages) in enumerate(runs, 1):
        if role == "assistant":
            calls = [one["id"] for message in messages for one in message.content if one["type"] == "tool_use"]
        else:
            given = {one["tool_use_id"] for message in messages for one in message.content if "tool_use_id" in one}
            missing = [call for call in calls if call not in given] if number < len(runs) else []
            messages = [
                Message("user", tuple(one for one in message.content if one.get("tool_use_id", "") in ("", *calls)))
                for message in messages
            ]
            if missing:
                messages.insert(0, Message("user", tuple(map(_no_result, missing))))
        told += messages
    return told


def _no_result(call: str) -> Block:
    said = [{"type": "text", "text": "The result was removed."}]
    return {"type": "tool_result", "tool_use_id": call, "content": said}


def write(place: Workplace, session: str, entries: Sequence[Entry]) -> None:
    """Put entries where the CLI looks for them; what was there is replaced. Raises OSError."""
    main = path_of(place, session)
    earlier = sorted(main.parent.glob("*.jsonl"), key=lambda path: path.stat().st_mtime)
    for path in earlier[:-1]:  # a client that rewrites its history each time would pile them up
        path.unlink()
    texts: dict[Path, list[str]] = {main: []}
    for entry in entries:
        path = main.with_suffix("") / f"{entry.subpath}.jsonl" if entry.subpath else main
        texts.setdefault(path, []).append(json.dumps(entry.line, separators=(",", ":"), ensure_ascii=False) + "\n")
    for path, lines in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.write_text("".join(lines), encoding="utf-8")


def remove(place: Workplace, session: str) -> None:
    """Remove the transcript of a session, if there is one. Raises OSError."""
    path_of(place, session).unlink(missing_ok=True)


def mirrored(frame: Mapping[str, Any], session: str) -> list[Entry]:
    """What a `transcript_mirror` frame says was written, without the CLI's notes on its own input queue.

    Nothing for a file that is not the session's: the copy is noticed to have a gap, and no answer depends on it.
    """
    parts = PurePosixPath(frame["filePath"]).with_suffix("").parts
    if session not in parts:
        return []
    subpath = "/".join(parts[parts.index(session) + 1 :])
    return [Entry(subpath, line) for line in frame["entries"] if line.get("type") not in _HOUSEKEEPING]


def _content(message: Message) -> list[Block]:
    """A message's blocks, without what the CLI said to the model: that was about a context which is gone."""
    kept = [block for block in message.content if not (block.get("internal") and block["type"] == "text")]
    return [to_cli(block) for block in kept]


def _entry(role: Role, content: list[Block], *, model: str, number: int) -> dict[str, Any]:
    if role == "user":
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
