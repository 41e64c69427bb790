"""Reads a Messages API request: who said what, which tool results are new. Pure; decides nothing."""

from __future__ import annotations

import re
from typing import Any

Body = dict[str, Any]

STRUCTURED_OUTPUT = "StructuredOutput"

_REMINDER = re.compile(r"\s*(<system-reminder>.*</system-reminder>\s*|\[structured-output-enforce\].*)", re.S)


def said(body: Body) -> list[tuple[str, str]]:
    """The conversation as people see it: the CLI's reminders are not part of it."""
    return [(message["role"], _visible(message)) for message in body.get("messages", ())]


def last_text(body: Body) -> str:
    """The visible text of the last user message."""
    return next((text for role, text in reversed(said(body)) if role == "user"), "")


def newest(body: Body) -> list[Body]:
    """The blocks of the last message of the dialogue; the CLI adds notes of the role `system` after it."""
    dialogue = _dialogue(body)
    return blocks_of(dialogue[-1]) if dialogue else []


def new_results(body: Body) -> list[Body]:
    """The tool results that wait for an answer, in the order of the calls. Neighbouring user messages are one.

    That a structured answer was taken asks for nothing, once the user goes on.
    """
    if not any(block["type"] == "tool_result" for block in newest(body)):
        return []
    results: list[Body] = []
    for message in reversed(_dialogue(body)):
        if message["role"] != "user":
            break
        results = [block for block in blocks_of(message) if block["type"] == "tool_result"] + results
    if speaks_anew(body):
        results = [result for result in results if not is_structured_output(body, result)]
    order = {call["id"]: number for number, call in enumerate(_calls(body["messages"]))}
    return sorted(results, key=lambda result: order.get(result["tool_use_id"], len(order)))


def speaks_anew(body: Body) -> bool:
    """Whether the last visible text of the user stands in the newest message, not before a tool's result."""
    dialogue = _dialogue(body)
    return bool(dialogue) and dialogue[-1]["role"] == "user" and bool(_visible(dialogue[-1]))


def is_structured_output(body: Body, result: Body) -> bool:
    """Whether `result` is StructuredOutput's."""
    named = {call["id"]: call["name"] for call in _calls(body["messages"])}
    return named.get(result["tool_use_id"]) == STRUCTURED_OUTPUT


def attempts_at_output(body: Body) -> int:
    """How often StructuredOutput has been called since the user last said something."""
    attempts = 0
    for message in reversed(body["messages"]):
        if message["role"] == "user" and _visible(message):
            break
        attempts += sum(call["name"] == STRUCTURED_OUTPUT for call in _calls([message]))
    return attempts


def blocks_of(message: Body) -> list[Body]:
    """A message's content, which may be a bare text."""
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _dialogue(body: Body) -> list[Body]:
    return [message for message in body["messages"] if message["role"] != "system"]


def _calls(messages: list[Body]) -> list[Body]:
    return [block for message in messages for block in blocks_of(message) if block["type"] == "tool_use"]


def _visible(message: Body) -> str:
    texts = [block["text"] for block in blocks_of(message) if block["type"] == "text"]
    return "\n".join(text for text in texts if not _REMINDER.fullmatch(text))
