"""From the dialect-neutral turn to a Message: its head, why it ended, what it cost. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from claude_code_api.core.turn import Block, TurnCompleted, Usage
from claude_code_api.errors import ContentRefused

_REASONS = frozenset(
    {"end_turn", "max_tokens", "stop_sequence", "tool_use", "refusal", "model_context_window_exceeded"}
)

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Head:
    """What is known of an answer before it is there.

    `thinking`: the model's blocks of thinking are told, with their words unless these are `omitted`. `activity`: so is
    what an agent does with tools of its own.
    """

    id: str
    model: str
    thinking: bool = False
    omitted: bool = False
    activity: bool = False

    def message(self, model: str, content: list[Block], used: Usage, ending: Object | None = None) -> Object:
        """A Message; without an `ending` one that begins."""
        ending = ending or {"stop_reason": None, "stop_sequence": None, "stop_details": None}
        return {
            "id": self.id,
            "type": "message",
            "role": "assistant",
            "model": model or self.model,
            "content": content,
            **ending,
            "container": None,
            "diagnostics": None,
            "usage": usage(used),
        }


def ending_of(done: TurnCompleted) -> Object:
    """Why an answer ended."""
    reason = done.stop_reason if done.stop_reason in _REASONS else "end_turn"
    if reason == "tool_use" and not calls_of(done):
        reason = "end_turn"
    details = _refusal(None) if reason == "refusal" else None
    return {"stop_reason": reason, "stop_sequence": done.stop_sequence, "stop_details": details}


def ending_refused(error: ContentRefused) -> Object:
    """The end of an answer that the model declined to go on with; the turn is no part of the conversation."""
    return {"stop_reason": "refusal", "stop_sequence": None, "stop_details": _refusal(error.message)}


def _refusal(explanation: str | None) -> Object:
    return {"type": "refusal", "category": None, "explanation": explanation}


def usage(used: Usage) -> Object:
    """What an answer cost in tokens, all its requests to the model together."""
    return {
        **usage_so_far(used),
        "cache_creation": {"ephemeral_1h_input_tokens": 0, "ephemeral_5m_input_tokens": used.cache_write_tokens},
        "inference_geo": None,
        "service_tier": "standard",
        "speed": None,
    }


def usage_so_far(used: Usage) -> Object:
    """The same, as it is told at the end of a stream."""
    return {
        "input_tokens": used.input_tokens,
        "cache_creation_input_tokens": used.cache_write_tokens,
        "cache_read_input_tokens": used.cache_read_tokens,
        "output_tokens": used.output_tokens,
        "output_tokens_details": {"thinking_tokens": used.thinking_tokens},
        "server_tool_use": None,
    }


def calls_of(done: TurnCompleted) -> list[Block]:
    """The calls that wait for the client's results, when the turn ended with some."""
    if done.stop_reason != "tool_use":
        return []
    return [
        block
        for message in done.messages
        for block in message.content
        if block.get("type") == "tool_use" and not block.get("internal")
    ]


def texts_of(done: TurnCompleted) -> Iterator[str]:
    """What the answer says, or why the model declined."""
    for message in done.messages:
        for block in message.content:
            if block.get("type") == "text" and not block.get("internal"):
                yield block["text"]
