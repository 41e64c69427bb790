"""A chat client for tests: tools, streams, whole histories; and what the model was shown, in one line a block."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.conftest import Model
from tests.gateway import Gateway, chunks_of

Json = dict[str, Any]
PREFIX = "mcp__client__"


def tool(name: str, description: str = "", **properties: str) -> Json:
    """A function tool whose arguments are of these JSON types."""
    parameters = {"type": "object", "properties": {key: {"type": kind} for key, kind in properties.items()}}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


WEATHER, TIME = tool("get_weather", "Tells the weather.", city="string"), tool("get_time", "Tells the time.")
TOOLS = [WEATHER, TIME]


def call(city: str) -> str:
    """Has the offline model call get_weather."""
    return f'[[offline: call get_weather {{"city": "{city}"}}]]'


def user(text: str) -> Json:
    return {"role": "user", "content": text}


def result(identity: str, content: str) -> Json:
    return {"role": "tool", "tool_call_id": identity, "content": content}


@dataclass(frozen=True)
class Answer:
    """An answer, streamed or not: its assistant message as a client sends it back, and why it ended."""

    response: httpx.Response
    message: Json
    finish: str

    @property
    def text(self) -> str:
        return self.message.get("content") or ""

    @property
    def calls(self) -> list[str]:
        """The ids of the calls."""
        return [one["id"] for one in self.message.get("tool_calls", [])]

    @property
    def made(self) -> list[tuple[str, Any]]:
        """The calls' names and arguments."""
        functions = [one["function"] for one in self.message.get("tool_calls", [])]
        return [(one["name"], json.loads(one["arguments"])) for one in functions]

    @property
    def name(self) -> str:
        return self.response.headers["X-Conversation-ID"]

    @property
    def nameless(self) -> bool:
        """Whether it tells of no conversation to go on with."""
        return "X-Conversation-ID" not in self.response.headers

    @property
    def start(self) -> str:
        return self.response.headers["X-Session-Start"]

    def results(self, *texts: str) -> list[Json]:
        """The results of the calls, in their order."""
        return [result(identity, text) for identity, text in zip(self.calls, texts, strict=True)]


def send(
    gateway: Gateway,
    messages: Sequence[Json],
    *,
    headers: Mapping[str, str] | None = None,
    seconds: float = 60,
    **body: Any,
) -> httpx.Response:
    """Send these messages, over a connection of their own."""
    return httpx.post(
        f"{gateway.url}/v1/chat/completions",
        json={"model": "sonnet", "messages": list(messages), **body},
        headers=dict(headers or {}),
        timeout=seconds,
    )


def say(
    gateway: Gateway, messages: Sequence[Json] | str, name: str | None = None, *, tools: Any = (), **more: Any
) -> Answer:
    """Send a message or several, and read the answer."""
    sent = [user(messages)] if isinstance(messages, str) else messages
    named: Json = {} if name is None else {"conversation_id": name}
    if tools:
        named["tools"] = tools
    return read(send(gateway, sent, **{**named, **more}))


def read(response: httpx.Response) -> Answer:
    """Read an answer that has to be complete."""
    assert response.status_code == 200, f"{response.status_code} {response.text}"
    if not response.headers["content-type"].startswith("text/event-stream"):
        choice = response.json()["choices"][0]
        message = {key: value for key, value in choice["message"].items() if value is not None}
        return Answer(response, message, choice["finish_reason"])
    assert response.text.endswith("data: [DONE]\n\n"), response.text[-300:]
    message, finish = {"role": "assistant"}, ""
    for chunk in chunks_of(iter(response.text.splitlines())):
        assert "error" not in chunk, chunk
        for choice in chunk["choices"]:
            _add(message, choice["delta"])
            finish = choice["finish_reason"] or finish
    return Answer(response, message, finish)


def _add(message: Json, delta: Json) -> None:
    for key in ("content", "refusal", "reasoning_content"):
        if delta.get(key):
            message[key] = message.get(key, "") + delta[key]
    for part in delta.get("tool_calls") or []:
        calls = message.setdefault("tool_calls", [])
        if part["index"] == len(calls):
            calls.append({"id": part["id"], "type": "function", "function": {**part["function"], "arguments": ""}})
        calls[part["index"]]["function"]["arguments"] += part["function"].get("arguments") or ""


@dataclass
class Window:
    """What a chat window does: it keeps the messages, and sends all of them each time, without any id."""

    gateway: Gateway
    messages: list[Json] = field(default_factory=list)
    options: Json = field(default_factory=dict)

    def say(self, text: str, **more: Any) -> Answer:
        """Send the history and one more message of the user's; keep the answer."""
        return self.add([user(text)], **more)

    def add(self, messages: Sequence[Json], **more: Any) -> Answer:
        """Send the history and these; keep the answer."""
        self.messages += messages
        answer = say(self.gateway, self.messages, **{**self.options, **more})
        self.messages.append(answer.message)
        return answer

    def regenerate(self, **more: Any) -> Answer:
        """Throw the last answer away, and ask for another."""
        self.messages.pop()
        return self.add([], **more)

    def edit(self, index: int, text: str, **more: Any) -> Answer:
        """Rewrite a message of the user's; what came after it is gone."""
        del self.messages[index:]
        return self.say(text, **more)


def shown(body: Json) -> list[tuple[str, ...]]:
    """What a request showed the model, without the CLI's own notes: (role or "call" or "result", ...) a block."""
    return list(_shown(body["messages"]))


def _shown(messages: list[Json]) -> Iterator[tuple[str, ...]]:
    for message in messages:
        content = message["content"]
        for block in [{"type": "text", "text": content}] if isinstance(content, str) else content:
            kind = block["type"]
            if kind == "tool_use":
                yield ("call", block["id"], block["name"].removeprefix(PREFIX), json.dumps(block["input"]))
            elif kind == "tool_result":
                yield ("result", block["tool_use_id"], _plain(block.get("content") or ""))
            elif kind == "text" and message["role"] != "system":
                if not block["text"].lstrip().startswith("<system-reminder>"):
                    yield (message["role"], block["text"])
            elif message["role"] != "system":
                yield (kind,)


def _plain(content: str | list[Json]) -> str:
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def offered(body: Json) -> dict[str, str]:
    """The client's tools that a request offered the model: their descriptions by name."""
    tools = [one for one in body.get("tools") or () if one["name"].startswith(PREFIX)]
    return {one["name"].removeprefix(PREFIX): one.get("description", "") for one in tools}


class Tap:
    """The requests that reach the model from now on."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._since = len(model.requests)

    def take(self) -> list[Json]:
        """Those that came since the last time."""
        found = self._model.requests[self._since :]
        self._since += len(found)
        return found

    def only(self) -> Json:
        """The one that came since the last time."""
        (body,) = self.take()
        return body
