"""What the offline model says: a deterministic function of the request. Pure.

It remembers what the conversation told it, calls tools and meets schemas when asked, and misbehaves on request: a
directive `[[offline: NAME VALUE]]` in the last user message asks for a delay or an API error (see `Directives`).
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from claude_code_api.offline.arguments import example_of

Body = dict[str, Any]

_DIRECTIVE = re.compile(r"\[\[offline: *([a-z-]+) *([^\]]*)\]\]")
_REMINDER = re.compile(r"\s*<system-reminder>.*</system-reminder>\s*", re.S)
_REMEMBER = re.compile(r"\bremember:? ([^.!?,;\n]+)", re.I)
_FILLER = frozenset({"that", "the", "my", "this", "a", "an", "please", "for", "me", "number:"})
_MY = re.compile(r"\bmy ([a-z]+(?: [a-z]+)?) is [\"']?([\w-]+)", re.I)
STRUCTURED_OUTPUT = "StructuredOutput"


@dataclass(frozen=True, slots=True)
class Directives:
    """What the last user message asks of the stand-in itself.

    `delay S` waits before the first event, `pace S` between deltas; `words N` makes a long answer; `error STATUS` fails
    the call, `overloaded` breaks the stream half-way, `hang` never answers, `refuse` and `cut` end with the stop
    reasons refusal and max_tokens, `overflow` answers that the prompt is too long.
    """

    delay: float = 0.0
    pace: float = 0.0
    words: int = 0
    error: int = 0
    overloaded: bool = False
    hang: bool = False
    refuse: bool = False
    cut: bool = False
    overflow: bool = False

    @classmethod
    def read(cls, text: str) -> Directives:
        """The directives in a message; what is not understood is left out."""
        values: dict[str, Any] = {}
        for name, value in _DIRECTIVE.findall(text):
            kind = {"delay": float, "pace": float, "words": int, "error": int}.get(name)
            try:
                values[name] = kind(value) if kind else True
            except ValueError:
                continue
        return cls(**{name: value for name, value in values.items() if name in cls.__dataclass_fields__})


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer: content blocks of the Messages API, and the tokens it claims to have read and written."""

    blocks: list[Body]
    stop_reason: str
    usage: dict[str, int] = field(default_factory=dict)


def answer(body: Body) -> Reply:
    """Answer a Messages API request."""
    said = _said(body)
    texts = [text for role, text in said if role == "user" and text]
    last = texts[-1] if texts else ""
    directives = Directives.read(last)
    blocks: list[Body] = []
    thinking = body.get("thinking") or {}
    if thinking.get("type") == "enabled" or (thinking.get("type") == "adaptive" and "think" in last.lower()):
        blocks.append({"type": "thinking", "thinking": f"They said: {last[:200]}", "signature": "offline"})
    calls = _tool_calls(body, last)
    if calls:
        blocks += calls
        stop = "tool_use"
    else:
        blocks.append({"type": "text", "text": _text(body, said, texts, last, directives)})
        stop = "refusal" if directives.refuse else "max_tokens" if directives.cut else "end_turn"
    return Reply(blocks, stop, _usage(body, blocks))


def last_text(body: Body) -> str:
    """The visible text of the last user message."""
    return next((text for role, text in reversed(_said(body)) if role == "user"), "")


def count_tokens(value: Any) -> int:
    """A deterministic stand-in for a tokenizer: four characters of JSON a token."""
    return max(1, len(json.dumps(value, ensure_ascii=False)) // 4)


def _said(body: Body) -> list[tuple[str, str]]:
    """The conversation as people see it: the CLI's reminders are not part of it."""
    said = []
    for message in body.get("messages", ()):
        content = message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        texts = [
            block["text"] for block in blocks if block["type"] == "text" and not _REMINDER.fullmatch(block["text"])
        ]
        said.append((message["role"], "\n".join(texts)))
    return said


def _text(body: Body, said: list[tuple[str, str]], texts: list[str], last: str, directives: Directives) -> str:
    if directives.words:
        return " ".join(f"word{number}" for number in range(1, directives.words + 1))
    blocks = _newest(body)
    if results := [block for block in blocks if block["type"] == "tool_result"]:
        return "The tool answered: " + "; ".join(_plain(result.get("content", "")) for result in results)
    if seen := [_SIGHTS[block["type"]](block) for block in blocks if block["type"] in _SIGHTS]:
        return "I see " + " and ".join(seen) + "."
    return _recall(said, texts, last) or (
        "I am the offline model, a stand-in for trying things out. I remember what you tell me "
        f"(“Remember the number 42”), and I can repeat it. You said: {_DIRECTIVE.sub('', last).strip()}"
    )


def _recall(said: list[tuple[str, str]], texts: list[str], last: str) -> str | None:
    asked = last.lower()
    facts = _facts(texts)
    if "say first" in asked or "first message" in asked or "first thing" in asked:
        return f"The first thing you said was: {texts[0]}"
    if "your last answer" in asked or "did you just say" in asked:
        answers = [text for role, text in said if role == "assistant" and text]
        return f"My last answer was: {answers[-1]}" if answers else "I have not said anything yet."
    is_question = "?" in last or re.match(r"(what|which|who|tell me|list|repeat|recite)\b", asked)
    if is_question:
        if re.search(r"\b(everything|all|list|recite)\b", asked):
            return "You asked me to remember: " + (", ".join(value for _, value in facts) or "nothing") + "."
        for label, value in reversed(facts):
            if label and label in asked:
                return f"The {label} is {value}: you asked me to remember it."
        if "remember" in asked or "what is my" in asked or "what's my" in asked:
            return f"You asked me to remember {facts[-1][1]}." if facts else "You have not told me that."
        return None
    if now := _facts([last]):
        return "I will remember: " + ", ".join(f"{label} {value}".strip() for label, value in now) + "."
    return None


def _facts(texts: list[str]) -> list[tuple[str, str]]:
    """What the user asked to be remembered, in order: (label, value). Questions tell nothing."""
    facts = []
    for text in texts:
        for sentence in re.split(r"(?<=[.!?\n])\s+", text):
            if sentence.rstrip().endswith("?"):
                continue
            found = [_fact(clause) for clause in _REMEMBER.findall(sentence)]
            facts += found or [(label.lower(), value) for label, value in _MY.findall(sentence)]
    return facts


def _fact(clause: str) -> tuple[str, str]:
    """`the number 42`, `my name is Ada`, `banana`: what it is called, and what it is."""
    words = [word.strip("\"'\u201c\u201d\u2018\u2019") for word in clause.split()]
    words = [word for word in words if word.lower() not in _FILLER] or [clause.strip()]
    label = [word.lower().rstrip(":") for word in words[:-1] if word.lower() not in ("is", "=")]
    return " ".join(label), words[-1]


def _tool_calls(body: Body, last: str) -> list[Body]:
    tools = [tool for tool in body.get("tools") or () if "input_schema" in tool]
    if not tools or any(block["type"] == "tool_result" for block in _newest(body)):
        return []
    structured = [tool for tool in tools if tool["name"] == STRUCTURED_OUTPUT]
    asked = last.lower()
    named = [tool for tool in tools if tool["name"].split("__")[-1].lower() in asked]
    chosen = structured or named
    if not chosen and re.search(r"\b(call|use) (a|the|both|two)? ?tools?\b", asked):
        chosen = tools
    if not re.search(r"\b(both|two|parallel|each)\b", asked):
        chosen = chosen[:1]
    elif len(chosen) == 1 and not structured:
        chosen = chosen * 2
    return [
        {
            "type": "tool_use",
            "id": f"toolu_offline_{len(body['messages'])}_{number}",
            "name": tool["name"],
            "input": example_of(tool["input_schema"], last, number),
        }
        for number, tool in enumerate(chosen)
    ]


def _usage(body: Body, blocks: list[Body]) -> dict[str, int]:
    """Everything before the last message counts as read from the cache, as it would be in a live conversation."""
    messages = body.get("messages", [])
    before = [body.get("system") or [], body.get("tools") or [], *messages[:-1]]
    cached = count_tokens(before) if any(message["role"] == "assistant" for message in messages) else 0
    return {
        "input_tokens": count_tokens(messages[-1:]) + (0 if cached else count_tokens(before)),
        "cache_read_input_tokens": cached,
        "cache_creation_input_tokens": 0,
        "output_tokens": sum(count_tokens(block) for block in blocks),
    }


def _newest(body: Body) -> list[Body]:
    """The blocks of the last message of the dialogue; the CLI adds notes of the role `system` after it."""
    dialogue = [message for message in body["messages"] if message["role"] != "system"]
    content = dialogue[-1]["content"] if dialogue else ""
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


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
