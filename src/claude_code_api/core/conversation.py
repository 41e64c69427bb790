"""What a conversation holds, and what of a request's history is new to it.

Histories are compared as a client can see them. Blocks marked `internal` and thinking are not seen, a message without
anything to see separates nothing, and neighbouring messages of one role are taken together.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import Any

from claude_code_api.core.turn import Block, Message, Role


@dataclass(slots=True)
class _Run:
    """Neighbouring messages of one role: their text, and what else is shown, in order."""

    role: Role
    texts: list[str] = field(default_factory=list)
    shown: list[tuple[Any, ...]] = field(default_factory=list)

    def text(self) -> str:
        """The text, as the user wrote it; the assistant's with white space as single spaces, for clients reflow it."""
        text = "\n\n".join(self.texts)
        return " ".join(text.split()) if self.role == "assistant" else text.strip()


def same_history(held: Sequence[Message], sent: Sequence[Message]) -> bool:
    """Whether a client's view of the history is the conversation's own.

    Compared are roles, text, images, documents, the client's tool calls (arguments as JSON values) and their results.
    White space does not count at the ends of a text, nor how much of it stands between the assistant's words.
    """
    pairs = zip_longest(_runs(held), _runs(sent))
    return all(one is not None and other is not None and _same(one, other) for one, other in pairs)


def as_seen(history: Sequence[Message]) -> list[Message]:
    """The history as a client sees it: without what is `internal`, and without thinking."""
    shown = (
        Message(
            message.role,
            tuple(
                block
                for block in message.content
                if not block.get("internal") and block.get("type") not in ("thinking", "redacted_thinking")
            ),
        )
        for message in history
    )
    return [message for message in shown if message.content]


def as_called(held: Sequence[Message], sent: Sequence[Message]) -> tuple[Message, ...]:
    """The history that was sent, with the arguments that the conversation holds of the calls in it.

    For clients that send a call back as they have run it: with defaults written out, paths and white space cut.
    """
    made = {
        (block["id"], block["name"]): block
        for message in held
        for block in message.content
        if block.get("type") == "tool_use" and not block.get("internal")
    }
    return tuple(
        replace(message, content=tuple(made.get((one.get("id"), one.get("name")), one) for one in message.content))
        for message in sent
    )


def same_beginning(held: Sequence[Message], lengths: Iterable[int], sent: Sequence[Message]) -> int | None:
    """The first of the `lengths` at which what is held so far is the history that the client sent; None: none is."""
    counts = [0, *_counted(held)]
    wanted = max(_counted(sent), default=0)
    matching = (length for length in lengths if counts[length] == wanted and same_history(held[:length], sent))
    return next(matching, None)


def lineage(history: Sequence[Message]) -> str:
    """What identifies a history: equal for two that a client cannot tell apart, in hexadecimal.

    The system prompt is no part of it: there are clients that put the time of day there.
    """
    said = hashlib.sha256()
    for run in _runs(history):
        _say(said, run.role, run.text())
        for *what, data in run.shown:
            said.update(json.dumps(what, sort_keys=True).encode())
            _say(said, "data", data)
    return said.hexdigest()


def as_answered(history: list[Message]) -> list[Message]:
    """The history without the user's messages at its end that nobody has answered; the same list without any.

    Results of tools are not among them, nor what the agent's own side said: they belong to the answer before them.
    """
    end = len(history)
    while end and _is_unanswered(history[end - 1]):
        end -= 1
    return history if end == len(history) else history[:end]


def open_calls(history: Sequence[Message]) -> tuple[str, ...]:
    """The ids of the client's tool calls that the history ends with and has no results for, in their order."""
    calls: list[str] = []
    answered: set[str] = set()
    is_answer = False
    for message in reversed(history):
        seen = [block for block in message.content if not block.get("internal")]
        if message.role == "assistant":
            is_answer = True
            calls[:0] = [block["id"] for block in seen if block.get("type") == "tool_use"]
        elif is_answer and seen:
            break
        else:
            answered.update(block["tool_use_id"] for block in seen if block.get("type") == "tool_result")
    return tuple(call for call in calls if call not in answered)


def _is_unanswered(message: Message) -> bool:
    return message.role == "user" and not any(
        block.get("internal") or block.get("type") == "tool_result" for block in message.content
    )


def _runs(history: Sequence[Message]) -> Iterator[_Run]:
    run: _Run | None = None
    for message in history:
        seen = [block for block in message.content if not block.get("internal")]
        text = "".join(block["text"] for block in seen if block.get("type") == "text")
        shown, texts_before = [], 0
        for block in seen:
            if look := _LOOKS.get(block.get("type", "")):
                shown.append(look(block, texts_before))
            elif block.get("type") == "text":
                texts_before += bool(block["text"].strip())
        if not shown and not text.strip():
            continue
        if run is None or run.role != message.role:
            if run is not None:
                yield run
            run = _Run(message.role)
        if text.strip():
            run.texts.append(text)
        run.shown += shown
    if run is not None:
        yield run


def _counted(history: Sequence[Message]) -> list[int]:
    """For each message how many runs there are up to it."""
    counts: list[int] = []
    runs, role = 0, None
    for message in history:
        if message.role != role and any(map(_is_seen, message.content)):
            runs, role = runs + 1, message.role
        counts.append(runs)
    return counts


def _is_seen(block: Block) -> bool:
    kind = block.get("type", "")
    return not block.get("internal") and (bool(block["text"].strip()) if kind == "text" else kind in _LOOKS)


def _say(said: hashlib._Hash, role: str, text: str) -> None:
    words = text.encode(errors="surrogatepass")
    said.update(f"{role} {len(words)} ".encode())
    said.update(words)


def _same(one: _Run, other: _Run) -> bool:
    return (
        one.role == other.role and one.shown == other.shown and (one.texts == other.texts or one.text() == other.text())
    )


def _call(block: Block, texts_before: int) -> tuple[Any, ...]:
    return ("call", block["id"], block["name"], _plain(block["input"]), "")


def _result(block: Block, texts_before: int) -> tuple[Any, ...]:
    content = block.get("content") or ""
    if not isinstance(content, str):
        content = "".join(part["text"] for part in content if part.get("type") == "text")
    return ("result", block["tool_use_id"], content.strip())


def _picture(block: Block, texts_before: int) -> tuple[Any, ...]:
    source = block["source"]
    return (block["type"], texts_before, source["media_type"], block.get("title", ""), source["data"])


def _plain(value: Any) -> Any:
    """A JSON value with one way to write each number: clients that parse arguments may write 1.0 back as 1."""
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


_LOOKS: Mapping[str, Callable[[Block, int], tuple[Any, ...]]] = {
    "tool_use": _call,
    "tool_result": _result,
    "image": _picture,
    "document": _picture,
}
"""What a client sees of a block that is not text and has so many texts before it, by its type: values that compare.
JSON can write all but the last, which is a text, and perhaps a large one."""
