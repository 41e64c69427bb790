"""What the offline model says: a deterministic function of the request. Pure.

It remembers what the conversation told it, calls tools and meets schemas when asked, says what it was sent, and
misbehaves on request: a directive `[[offline: NAME VALUE]]` in the last user message asks for it (see `Directives`).
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from claude_code_api.offline.calls import missing_tools, plain_name, tool_calls
from claude_code_api.offline.dialogue import Body, new_results, newest, said
from claude_code_api.offline.directives import Directives, without_directives
from claude_code_api.offline.memory import recall
from claude_code_api.offline.tokens import Draft, ended, usage

_PARAMETERS = ("effort", "max_tokens", "model", "temperature", "thinking", "top_k", "top_p")
_YOUR = re.compile(rf"\bwhat(?: is|'s|\u2019s) your ({'|'.join(_PARAMETERS)})\b", re.I)
_YOUR_TOOLS = re.compile(r"\bwhat tools do you have\b", re.I)


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer: content blocks of the Messages API, and the tokens it claims to have read and written.

    `unfinished` is the JSON so far of a last tool call that `max_tokens` cut; its block has what is complete of it.
    """

    blocks: list[Body]
    stop_reason: str
    stop_sequence: str | None = None
    unfinished: str | None = None
    usage: dict[str, Any] = field(default_factory=dict)


def answer(body: Body) -> Reply:
    """Answer a Messages API request."""
    dialogue = [(role, without_directives(text)) for role, text in said(body)]
    asked = [text for role, text in said(body) if role == "user" and text]
    directives = Directives.read(asked[-1] if asked else "")
    texts = [without_directives(text) for text in asked]
    last = texts[-1] if texts else ""
    blocks: list[Body] = []
    if _thinks(body, last, directives):
        blocks.append({"type": "thinking", "thinking": f"They said: {last[:200]}", "signature": "offline"})
    calls = tool_calls(body, last, directives)
    if calls:
        # Whom `tool_choice` forces to call says nothing before it.
        if directives.text_and_calls and (body.get("tool_choice") or {}).get("type", "auto") == "auto":
            names = " and ".join(plain_name(call["name"]) for call in calls)
            blocks.append({"type": "text", "text": f"I will call {names}."})
        blocks += calls
        stop = "tool_use"
    else:
        blocks.append({"type": "text", "text": _text(body, dialogue, texts, last, directives)})
        stop = "refusal" if directives.refuse else "max_tokens" if directives.cut else "end_turn"
    draft = ended(Draft(blocks, stop), body)
    return Reply(draft.blocks, draft.stop_reason, draft.stop_sequence, draft.unfinished, usage(body, draft))


def _thinks(body: Body, last: str, directives: Directives) -> bool:
    kind = (body.get("thinking") or {}).get("type")
    return directives.think or kind == "enabled" or (kind == "adaptive" and "think" in last.lower())


def _text(body: Body, dialogue: list[tuple[str, str]], texts: list[str], last: str, directives: Directives) -> str:
    if directives.words:
        return " ".join(f"word{number}" for number in range(1, directives.words + 1))
    if missing := missing_tools(body, directives):
        return f"I have no tool named {' or '.join(missing)}."
    if results := new_results(body):
        return "The tool answered: " + "; ".join(_plain(result.get("content", "")) for result in results)
    if seen := [_SIGHTS[block["type"]](block) for block in newest(body) if block["type"] in _SIGHTS]:
        return "I see " + " and ".join(seen) + "."
    return (
        _sent(body, last)
        or recall(dialogue, texts, last)
        or (
            "I am the offline model, a stand-in for trying things out. I remember what you tell me "
            f"(“Remember the number 42”), and I can repeat it. You said: {last.strip()}"
        )
    )


def _sent(body: Body, last: str) -> str:
    """What the request carried, if the user asks for it: tests see that a parameter has reached the model."""
    carried = {**body, "effort": (body.get("output_config") or {}).get("effort", body.get("effort"))}
    answers = []
    for name in dict.fromkeys(found.lower() for found in _YOUR.findall(last)):
        value = carried.get(name)
        shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        answers.append(f"My {name} is {'not set' if value is None else shown}.")
    if _YOUR_TOOLS.search(last):
        names = [tool["name"] for tool in body.get("tools") or ()]
        answers.append(f"My tools are: {', '.join(names)}." if names else "I have no tools.")
    return " ".join(answers)


def _plain(content: str | list[Body]) -> str:
    if isinstance(content, str):
        return content
    return " ".join(block.get("text", f"({block['type']})") for block in content)


def _image(block: Body) -> str:
    source = block.get("source", {})
    try:
        size = len(base64.b64decode(source.get("data", ""), validate=True))
    except binascii.Error:
        return "an image that cannot be read"
    return f"an image ({source.get('media_type', 'of unknown type')}, {size} bytes)"


def _document(block: Body) -> str:
    source = block.get("source", {})
    title = block.get("title") or "without a title"
    if source.get("type") == "text":
        return f"a document ({title}, {len(source['data'])} characters)"
    return f"a document ({title}, {source.get('media_type', 'of unknown type')})"


_SIGHTS: dict[str, Callable[[Body], str]] = {"image": _image, "document": _document}
