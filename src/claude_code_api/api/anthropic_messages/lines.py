"""Which conversation a request of Claude Code's belongs to. Pure.

Claude Code sends one id with every request of a session: those of its main loop, of its sub-agents, which it numbers,
and questions beside them (a title, a recap, whether a key works). So the id alone names no conversation: with what the
messages begin with, and the sub-agent's own id, it names one of the session's lines, which go on, each by itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from claude_code_api.api.anthropic_messages.wire import InputMessage, MessagesRequest
from claude_code_api.core.conversation import lineage
from claude_code_api.core.identity import Identity, identify
from claude_code_api.core.turn import Message

SESSION, _AGENT = "x-claude-code-session-id", "x-claude-code-agent-id"


class Place(NamedTuple):
    """Where a request belongs: the conversation that it names itself, or the session of Claude Code's that it is of."""

    identity: Identity
    session: str | None = None
    agent: str = ""

    def of(self, messages: Sequence[Message]) -> Identity:
        """The conversation of a request with these messages."""
        if self.session is None or not messages:
            return self.identity
        root = hashlib.sha256(f"{self.agent}\n{lineage(messages[:1])}".encode(errors="surrogatepass")).hexdigest()
        return identify(None, {SESSION: f"{self.session}:{root[:12]}"}, (SESSION,))

    def is_beside(self, request: MessagesRequest, *, whole: bool) -> bool:
        """Whether it is a question beside a session, whose answer no line goes on from.

        Every line has tools: what has none, and no answer before it or a format for its own, is no line's. Nor is what
        is asked at the end of a line's history and not to be cached with it (`/btw`, `/recap`, `/compact`).
        """
        if self.session is None:
            return False
        if not request.tools:
            config = request.output_config
            return not whole or (config is not None and config.format is not None)
        return _asks_at_the_end(request.messages)


def _asks_at_the_end(messages: Sequence[InputMessage]) -> bool:
    """Whether the mark up to which the prompt is cached stands before the user's last message and not in it."""
    return (
        len(messages) > 1 and messages[-1].role == "user" and not _is_marked(messages[-1]) and _is_marked(messages[-2])
    )


def _is_marked(message: InputMessage) -> bool:
    return isinstance(message.content, list) and any(block.cache_control is not None for block in message.content)


def place_of(body: object, headers: Mapping[str, str], products: Sequence[str]) -> Place:
    """Where a request belongs. `products` are the headers that name conversations, Claude Code's perhaps among them.

    Raises InvalidRequest for a malformed id, and when the request names two.
    """
    given = headers.get(SESSION, "").strip()
    at = next((at for at, name in enumerate(products) if name.lower() == SESSION), None)
    if not given or at is None:
        return Place(identify(body, headers, products))
    identity = identify(body, headers, products[:at])
    if identity.conversation_id is not None:
        return Place(identity)
    return Place(identity, given, headers.get(_AGENT, "").strip())
