"""A client of the Messages API for tests: strict about what it gets, and a window that sends everything each time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.anthropic_strict import events_of, folded, message
from tests.gateway import Gateway

Json = dict[str, Any]

WEATHER: Json = {
    "name": "get_weather",
    "description": "Tells the weather.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


def user(*content: Any) -> Json:
    return {"role": "user", "content": content[0] if isinstance(content[0], str) else list(content)}


def text(words: str, **more: Any) -> Json:
    return {"type": "text", "text": words, **more}


@dataclass(frozen=True)
class Answer:
    """An answer, streamed or not."""

    response: httpx.Response
    message: Json

    @property
    def text(self) -> str:
        return "".join(block["text"] for block in self.message["content"] if block["type"] == "text")

    @property
    def calls(self) -> list[Json]:
        return [block for block in self.message["content"] if block["type"] == "tool_use"]

    @property
    def name(self) -> str:
        return self.response.headers["X-Conversation-ID"]

    @property
    def start(self) -> str:
        return self.response.headers["X-Session-Start"]

    @property
    def turn(self) -> Json:
        """The assistant's message, as it is sent back."""
        return {"role": "assistant", "content": self.message["content"]}

    def results(self, *contents: Any) -> Json:
        """The user's message with the results of the calls, in their order."""
        pairs = zip(self.calls, contents, strict=True)
        return user(*({"type": "tool_result", "tool_use_id": call["id"], "content": one} for call, one in pairs))


def send(gateway: Gateway, *messages: Json, headers: Mapping[str, str] | None = None, **body: Any) -> httpx.Response:
    """Send these messages."""
    asked = {"model": "sonnet", "max_tokens": 4096, "messages": list(messages), **body}
    return gateway.http.post("/v1/messages", json=asked, headers=dict(headers or {}))


def say(gateway: Gateway, *messages: Json, **more: Any) -> Answer:
    """Send these messages, and read an answer that has to be complete."""
    response = send(gateway, *messages, **more)
    if not more.get("stream"):
        return Answer(response, message(response))
    assert response.status_code == 200, response.text
    events = events_of(response.text)
    assert events[-1]["type"] == "message_stop", events[-1]
    return Answer(response, folded(events))


@dataclass
class Window:
    """What a client without any id does: it keeps the messages, and sends all of them each time."""

    gateway: Gateway
    options: Json = field(default_factory=dict)
    messages: list[Json] = field(default_factory=list)

    def say(self, words: str, **more: Any) -> Answer:
        """Send the history and a message of the user's; keep the answer."""
        return self.add(user(words), **more)

    def add(self, *messages: Json, **more: Any) -> Answer:
        """Send the history and these; keep the answer."""
        self.messages += messages
        answer = say(self.gateway, *self.messages, **{**self.options, **more})
        self.messages.append(answer.turn)
        return answer


def without_thinking(messages: Sequence[Json]) -> list[Json]:
    """What a client sends that keeps no thinking."""
    return [
        {**one, "content": [block for block in one["content"] if "thinking" not in block["type"]]}
        if one["role"] == "assistant"
        else one
        for one in messages
    ]
