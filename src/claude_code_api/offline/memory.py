"""What the offline model remembers of a conversation, and how it tells. Pure."""

from __future__ import annotations

import re

_REMEMBER = re.compile(r"\bremember:? ([^.!?,;\n]+)", re.I)
_FILLER = frozenset({"that", "the", "my", "this", "a", "an", "please", "for", "me", "number:"})
_MY = re.compile(r"\bmy ([a-z]+(?: [a-z]+)?) is [\"']?([\w-]+)", re.I)


def recall(said: list[tuple[str, str]], texts: list[str], last: str) -> str | None:
    """What it has to say of what it was told; `last` is the newest of the user's `texts`."""
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
