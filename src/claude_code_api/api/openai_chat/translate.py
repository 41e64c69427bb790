"""Between Chat Completions and the dialect-neutral turn. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from claude_code_api.api.openai_chat.wire import ChatMessage, ChatRequest
from claude_code_api.core.models import ModelNames
from claude_code_api.core.turn import Block, Message, Role, TextDelta, ThinkingDelta, TurnCompleted, TurnInput, Usage
from claude_code_api.errors import InvalidRequest, UnsupportedParameter

_Refused = Callable[[Any], bool]

# What would change the answer and cannot be had yet: the test says whether the value asks for it.
_UNSUPPORTED: Mapping[str, _Refused] = {
    "tools": bool,
    "functions": bool,
    "tool_choice": lambda value: value not in ("none", "auto"),
    "function_call": lambda value: value not in ("none", "auto"),
    "response_format": lambda value: not (isinstance(value, dict) and value.get("type") == "text"),
    "n": lambda value: value != 1,
    "stop": bool,
    "max_tokens": lambda value: True,
    "max_completion_tokens": lambda value: True,
    "logprobs": bool,
    "top_logprobs": bool,
    "audio": bool,
    "modalities": lambda value: value != ["text"],
    "web_search_options": lambda value: True,
    "reasoning_effort": lambda value: True,
}
_REFUSED_IN_MESSAGES = ("tool_calls", "function_call", "audio")
_PLAIN = re.compile(r"[A-Za-z0-9_.\-\[\]]{1,100}")
_MOST_SHOWN = 32
_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "content_filter",
}


@dataclass(frozen=True, slots=True)
class ParsedRequest:
    """A request as the runtime takes it, and the fields that have no effect."""

    turn: TurnInput
    ignored: tuple[str, ...]


def parse(request: ChatRequest, *, models: ModelNames, named: bool, strict: bool) -> ParsedRequest:
    """Translate a request. `named`: it names its conversation, so that messages without an assistant's append.

    Raises InvalidRequest or UnsupportedParameter naming the field.
    """
    ignored = _check_options(request, strict=strict)
    system: list[str] = []
    spoken: list[tuple[Role, list[Block]]] = []
    for index, message in enumerate(request.messages):
        where = f"messages[{index}]"
        text = _text(message, where)
        if message.role in ("system", "developer"):
            system.append(text)
        elif message.role == "user" or message.role == "assistant":
            _append(spoken, message.role, text, where)
        else:
            raise UnsupportedParameter(
                f"{where}.role: messages of the role {message.role!r} are not supported yet.", param=f"{where}.role"
            )
    dialogue = [Message(role, tuple(blocks)) for role, blocks in spoken]
    if not dialogue or dialogue[-1].role != "user":
        raise InvalidRequest("The last message must be the user's.", param="messages")
    whole = any(message.role == "assistant" for message in dialogue)
    append = named and not whole
    turn = TurnInput(
        new=dialogue[-1],
        model=models.resolve(request.model or models.default),
        system=None if append and not system else "\n\n".join(system),
        history=None if append else tuple(dialogue[:-1]),
        named=named,
    )
    return ParsedRequest(turn, ignored)


def _check_options(request: ChatRequest, *, strict: bool) -> tuple[str, ...]:
    extra = request.extra()
    for name, refused in _UNSUPPORTED.items():
        if name in extra and refused(extra[name]):
            raise UnsupportedParameter(f"{name} is not supported yet; leave it out.", param=name)
    ignored = [name for name in extra if name not in _UNSUPPORTED]
    if request.stream_options is not None:
        ignored += [f"stream_options.{name}" for name in request.stream_options.model_extra or {}]
    for message in request.messages:
        ignored += [f"messages[].{name}" for name in message.model_extra or {} if name not in _REFUSED_IN_MESSAGES]
        if isinstance(message.content, list):
            ignored += [f"messages[].content[].{name}" for part in message.content for name in part.model_extra or {}]
    shown = [name if _PLAIN.fullmatch(name) else "(unprintable)" for name in dict.fromkeys(ignored)]
    if strict and shown:
        raise UnsupportedParameter(
            f"{shown[0]} has no effect with Claude Code, and [api] strict_params is on.", param=shown[0]
        )
    return tuple(shown if len(shown) <= _MOST_SHOWN else [*shown[:_MOST_SHOWN], "..."])


def _text(message: ChatMessage, where: str) -> str:
    for field in _REFUSED_IN_MESSAGES:
        if (message.model_extra or {}).get(field):
            raise UnsupportedParameter(f"{where}.{field} is not supported yet.", param=f"{where}.{field}")
    content = message.content
    if content is None:
        raise InvalidRequest(f"{where}.content is missing.", param=f"{where}.content")
    if isinstance(content, str):
        return _sound(content, f"{where}.content")
    texts = []
    for number, part in enumerate(content):
        at = f"{where}.content[{number}]"
        if part.type not in ("text", "input_text", "output_text"):
            raise UnsupportedParameter(f"{at}: parts of the type {part.type!r} are not supported yet.", param=at)
        if part.text is None:
            raise InvalidRequest(f"{at}.text is missing.", param=f"{at}.text")
        texts.append(_sound(part.text, f"{at}.text"))
    return "".join(texts)


def _sound(text: str, where: str) -> str:
    """JSON can carry half a character, which nothing behind us can store."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidRequest(f"{where} contains half of a surrogate pair, which is not text.", param=where) from error
    return text


def _append(spoken: list[tuple[Role, list[Block]]], role: Role, text: str, where: str) -> None:
    """Neighbours of one role are one message to the model, as they would be at the Messages API."""
    if not text.strip():
        raise InvalidRequest(f"{where}.content must not be empty.", param=f"{where}.content")
    if spoken and spoken[-1][0] == role:
        spoken[-1][1].append({"type": "text", "text": f"\n\n{text}"})
    else:
        spoken.append((role, [{"type": "text", "text": text}]))


# Answers


@dataclass(frozen=True, slots=True)
class Head:
    """What every object of one answer repeats."""

    id: str
    created: int
    model: str
    conversation_id: str

    def completion(self, done: TurnCompleted, *, reasoning: bool) -> dict[str, Any]:
        """The whole answer of a request without a stream."""
        message: dict[str, Any] = {
            "role": "assistant",
            "content": _joined(done, "text"),
            "refusal": None,
            "annotations": [],
        }
        if reasoning and (thinking := _joined(done, "thinking")):
            message["reasoning_content"] = thinking
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(done)}
        return self._object("chat.completion", done.model or self.model, [choice], usage(done.usage))

    def opening(self) -> dict[str, Any]:
        """The first chunk: the role."""
        return self._chunk({"role": "assistant", "content": "", "refusal": None})

    def delta(self, event: TextDelta | ThinkingDelta) -> dict[str, Any]:
        """A chunk of text or thinking."""
        if isinstance(event, TextDelta):
            return self._chunk({"content": event.text})
        return self._chunk({"reasoning_content": event.text})

    def closing(self, done: TurnCompleted) -> dict[str, Any]:
        """The chunk that says why the answer ended."""
        return self._chunk({}, finish=_finish(done))

    def usage_chunk(self, done: TurnCompleted) -> dict[str, Any]:
        """The chunk after the last one, when the client asked for `include_usage`."""
        return self._object("chat.completion.chunk", self.model, [], usage(done.usage))

    def _chunk(self, delta: dict[str, Any], *, finish: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return self._object("chat.completion.chunk", self.model, [choice], None)

    def _object(
        self, kind: str, model: str, choices: list[dict[str, Any]], used: dict[str, Any] | None
    ) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": model,
            "choices": choices,
            "usage": used,
            "service_tier": None,
            "conversation_id": self.conversation_id,
        }


def usage(used: Usage) -> dict[str, Any]:
    """OpenAI's usage object; the prompt counts what the cache read and wrote as well."""
    return {
        "prompt_tokens": used.prompt_tokens,
        "completion_tokens": used.output_tokens,
        "total_tokens": used.prompt_tokens + used.output_tokens,
        "prompt_tokens_details": {"cached_tokens": used.cache_read_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": used.thinking_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _finish(done: TurnCompleted) -> str:
    return _FINISH.get(done.stop_reason, "stop")


def _joined(done: TurnCompleted, kind: str) -> str:
    return "".join(
        block[kind]
        for message in done.messages
        if message.role == "assistant"
        for block in message.content
        if block.get("type") == kind
    )
