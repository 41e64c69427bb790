"""What a request says without an effect, though it may have one elsewhere: to be named, not to be dropped. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from claude_code_api.api.anthropic_messages.wire import CountRequest, Source
from claude_code_api.api.parameters import undeclared


def unused(request: CountRequest) -> Iterator[str]:
    """The fields of a request for a message that have no effect on it."""
    yield from undeclared(request)
    thinking = request.thinking
    if thinking is not None and thinking.type != "enabled" and thinking.budget_tokens is not None:
        yield "thinking.budget_tokens"
    for message in request.messages:
        if message.output_config is not None and message.output_config.format is not None:
            yield "messages[].output_config.format"
        yield from _cited(message.content, "messages[].content")


def unused_to_count(request: CountRequest) -> Iterator[str]:
    """What means nothing to a count, and something to the message that is about to be sent."""
    for name in ("thinking", "output_config", "output_format"):
        if getattr(request, name) is not None:
            yield name
    if any(message.output_config is not None for message in request.messages):
        yield "messages[].output_config"


def _cited(content: object, path: str) -> Iterator[str]:
    """What of the user's is to be cited from, at any depth."""
    for block in content if isinstance(content, list) else []:
        asked = block.citations
        if block.type in ("document", "search_result") and isinstance(asked, dict) and asked.get("enabled"):
            yield f"{path}[].citations"
        yield from _cited(block.content, f"{path}[].content")
        if isinstance(block.source, Source):
            yield from _cited(block.source.content, f"{path}[].source.content")
