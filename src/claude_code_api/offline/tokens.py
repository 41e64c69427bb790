"""Counts tokens, and ends an answer where `stop_sequences` and `max_tokens` say. Pure."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

Body = dict[str, Any]
_CHARACTERS = 4


@dataclass(frozen=True, slots=True)
class Draft:
    """An answer and why it ends; if `max_tokens` ended it, `written` tokens of it.

    `unfinished` is the JSON so far of a last tool call that was cut.
    """

    blocks: list[Body]
    stop_reason: str
    stop_sequence: str | None = None
    unfinished: str | None = None
    written: int | None = None


def count_tokens(value: Any) -> int:
    """A deterministic stand-in for a tokenizer: four characters of JSON a token."""
    return max(1, len(json.dumps(value, ensure_ascii=False)) // _CHARACTERS)


def spent(block: Body) -> int:
    """The tokens of a block that was written whole: of its text, thought or arguments."""
    return count_tokens(block["input"] if block["type"] == "tool_use" else block[block["type"]])


def ended(draft: Draft, body: Body) -> Draft:
    """The answer as far as the request lets it get."""
    return _at_limit(_at_sequence(draft, body.get("stop_sequences") or ()), body.get("max_tokens"))


def usage(body: Body, draft: Draft) -> Body:
    """Everything before the last message counts as read from the cache, as it would be in a live conversation."""
    messages = body.get("messages", [])
    before = [body.get("system") or [], body.get("tools") or [], *messages[:-1]]
    cached = count_tokens(before) if any(message["role"] == "assistant" for message in messages) else 0
    written = draft.written if draft.written is not None else sum(spent(block) for block in draft.blocks)
    figures = {
        "input_tokens": count_tokens(messages[-1:]) + (0 if cached else count_tokens(before)),
        "cache_read_input_tokens": cached,
        "cache_creation_input_tokens": 0,
        "output_tokens": written,
    }
    thoughts = [block for block in draft.blocks if block["type"] == "thinking"]
    details = {"output_tokens_details": {"thinking_tokens": sum(spent(thought) for thought in thoughts)}}
    return {**figures, **details} if thoughts else figures


def _at_sequence(draft: Draft, sequences: Sequence[str]) -> Draft:
    """The answer up to the first stop sequence in its text."""
    for index, block in enumerate(draft.blocks):
        if block["type"] != "text":
            continue
        found = [(block["text"].find(sequence), sequence) for sequence in sequences if sequence in block["text"]]
        if found:
            start, sequence = min(found)
            kept = [{**block, "text": block["text"][:start]}] if start else []
            return replace(
                draft, blocks=draft.blocks[:index] + kept, stop_reason="stop_sequence", stop_sequence=sequence
            )
    return draft


def _at_limit(draft: Draft, limit: int | None) -> Draft:
    """The answer's first `limit` tokens."""
    if limit is None:
        return draft
    left = limit
    for index, block in enumerate(draft.blocks):
        if spent(block) > left:
            kept, unfinished = _cut(block, left) if left else ([], None)
            return Draft(draft.blocks[:index] + kept, "max_tokens", unfinished=unfinished, written=limit)
        left -= spent(block)
    return draft


def _cut(block: Body, tokens: int) -> tuple[list[Body], str | None]:
    """A block's beginning; of a call, what has been said of its members in full, and its JSON so far."""
    if block["type"] == "tool_use":
        text = json.dumps(block["input"], ensure_ascii=False)[: tokens * _CHARACTERS]
        return [{**block, "input": _parsed_so_far(text)}], text
    whole = block[block["type"]]
    length = bisect_right(range(len(whole)), tokens, key=lambda end: count_tokens(whole[: end + 1]))
    return [{**block, block["type"]: whole[:length]}] if length else [], None


def _parsed_so_far(text: str) -> Body:
    """The members of a broken-off JSON object that are complete."""
    end, depth, quoted, escaped = 0, 0, False, False
    for position, character in enumerate(text):
        if quoted:
            quoted = escaped or character != '"'
            escaped = character == "\\" and not escaped
        elif character == '"':
            quoted = True
        elif character in "{[":
            depth += 1
        elif character in "}]":
            depth -= 1
        elif character == "," and depth == 1:
            end = position
    parsed: Body = json.loads(text[:end] + "}") if end else {}
    return parsed
