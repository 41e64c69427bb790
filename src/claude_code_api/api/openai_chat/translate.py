"""From a Chat Completions request to the dialect-neutral turn. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from pydantic import BaseModel

from claude_code_api.api.checks import sound
from claude_code_api.api.media import Media
from claude_code_api.api.openai_chat.dialogue import dialogue_of
from claude_code_api.api.openai_chat.tools import schema_of, tools_of
from claude_code_api.api.openai_chat.wire import ChatRequest
from claude_code_api.api.schemas import SchemaBudget
from claude_code_api.core.identity import Identity
from claude_code_api.core.models import ModelNames
from claude_code_api.core.profiles import AGENT, CHAT
from claude_code_api.core.turn import Effort, Options, TurnInput
from claude_code_api.errors import InvalidRequest, UnsupportedParameter

_NAMELESS = Identity()


class _Refusal(NamedTuple):
    """A field that is known and not offered: which values ask for it, and what to do instead."""

    asked: Callable[[Any], bool]
    advice: str


_REFUSED: Mapping[str, _Refusal] = {
    "functions": _Refusal(bool, "functions are now tools; send them as 'tools'."),
    "function_call": _Refusal(lambda value: value not in ("none", "auto"), "use 'tool_choice'."),
    "n": _Refusal(lambda value: value != 1, "a request has one answer; send it again for another."),
    "logprobs": _Refusal(bool, "Claude tells no probabilities; leave it out."),
    "top_logprobs": _Refusal(bool, "Claude tells no probabilities; leave it out."),
    "audio": _Refusal(lambda value: True, "answers are text; leave it out."),
    "modalities": _Refusal(lambda value: value != ["text"], "answers are text; leave it out or send ['text']."),
    "web_search_options": _Refusal(lambda value: True, "offer a search of your own as one of 'tools'."),
}
_EFFORTS: Mapping[str, Effort] = {
    "none": "low",
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "xhigh",
    "max": "max",
}
_MOST_STOPS = 4
_LONGEST_STOP = 1_000
_NOT_FOR_AGENTS = ("max_completion_tokens", "max_tokens", "stop")
_PLAIN = re.compile(r"[A-Za-z0-9_.\-\[\]]{1,100}")
_MOST_SHOWN = 32


@dataclass(frozen=True, slots=True)
class ParsedRequest:
    """A request as the runtime takes it, and the fields that have no effect."""

    turn: TurnInput
    ignored: tuple[str, ...]


def parse(
    request: ChatRequest,
    *,
    models: ModelNames,
    identity: Identity = _NAMELESS,
    strict: bool = False,
    side_requests: Sequence[str] = (),
    media: Media | None = None,
) -> ParsedRequest:
    """Translate a request for the conversation that it names. `side_requests`: how questions beside one begin.

    `media` has the images that the request names by URL.

    Raises InvalidRequest or UnsupportedParameter naming the field.
    """
    _check_refused(request)
    opened = models.open(request.model)
    ignored = _ignored(request, identity, strict=strict, agent=opened.profile == AGENT)
    budget = SchemaBudget()
    options = _options(request, budget)
    if opened.profile == AGENT:
        # They would cut off each of an agent's messages, its work included, rather than the answer.
        options = replace(options, max_tokens=None, stop=())
    schema = schema_of(request, budget)
    if schema is not None and options.tool_choice.kind in ("any", "tool"):
        raise InvalidRequest(
            "'tool_choice' forces a call, and 'response_format' an answer: Claude would give neither. Ask with "
            "'tool_choice' first, and with 'response_format' when you send the results; or use 'auto'.",
            param="tool_choice",
        )
    dialogue = dialogue_of(request.messages, media or Media(), appends=identity.appends)
    messages = dialogue.messages
    if not messages or messages[-1].role != "user":
        raise InvalidRequest(
            "The last message must be the user's, or a tool's result: Claude does not go on with a message of the "
            "assistant's. Say in a user's message how the answer should begin.",
            param="messages",
        )
    append = identity.appends and not dialogue.whole
    beside = (
        not identity.appends and len(messages) == 1 and messages[0].text().lstrip().startswith(tuple(side_requests))
    )
    turn = TurnInput(
        new=messages[-1],
        model=opened.model,
        system=dialogue.system if append else dialogue.system or "",
        history=None if append else messages[:-1],
        named=identity.conversation_id is not None,
        apart=beside,
        kept=not beside,
        profile=CHAT if beside else opened.profile,  # a title takes no tools
        schema=schema,
        options=options,
    )
    return ParsedRequest(turn, ignored)


def _check_refused(request: ChatRequest) -> None:
    extra = request.extra()
    for name, refusal in _REFUSED.items():
        if name in extra and refusal.asked(extra[name]):
            raise UnsupportedParameter(f"{name} is not offered: {refusal.advice}", param=name)


def _options(request: ChatRequest, budget: SchemaBudget) -> Options:
    effort = request.reasoning_effort
    if effort is not None and effort not in _EFFORTS:
        raise InvalidRequest(
            f"reasoning_effort: {effort[:100]!r} is none of {', '.join(map(repr, _EFFORTS))}.", param="reasoning_effort"
        )
    max_tokens, stop = _max_tokens(request), _stop(request.stop)
    tools, choice = tools_of(request, budget)
    return Options(
        tools=tools,
        tool_choice=choice,
        effort=None if effort is None else _EFFORTS[effort],
        thinking=effort != "none",
        max_tokens=max_tokens,
        stop=stop,
    )


def _max_tokens(request: ChatRequest) -> int | None:
    newer, older = request.max_completion_tokens, request.max_tokens
    if newer is not None and older is not None:
        raise InvalidRequest(
            "max_tokens and max_completion_tokens are the same; send one of them.", param="max_completion_tokens"
        )
    name, most = ("max_tokens", older) if newer is None else ("max_completion_tokens", newer)
    if most is not None and most < 1:
        raise InvalidRequest(f"{name} must be at least 1.", param=name)
    return most


def _stop(given: str | list[str] | None) -> tuple[str, ...]:
    texts = [given] if isinstance(given, str) else given or []
    if len(texts) > _MOST_STOPS:
        raise InvalidRequest(f"stop: at most {_MOST_STOPS} texts, not {len(texts)}.", param="stop")
    for text in texts:
        if not text.strip():
            raise InvalidRequest("stop: Claude takes no text that is empty or only white space.", param="stop")
        if len(text) > _LONGEST_STOP:
            raise InvalidRequest(f"stop: a text has at most {_LONGEST_STOP} characters.", param="stop")
    return tuple(sound(text, "stop") for text in texts)


def _ignored(request: ChatRequest, identity: Identity, *, strict: bool, agent: bool) -> tuple[str, ...]:
    names = [name for name in _undeclared(request, "") if name not in _REFUSED]
    if agent:
        names += [name for name in _NOT_FOR_AGENTS if getattr(request, name) is not None]
    if identity.by_session:
        names.remove("metadata")
        names += [f"metadata.{name}" for name in request.extra()["metadata"] if name != "session_id"]
    shown = [name if _PLAIN.fullmatch(name) else "(unprintable)" for name in dict.fromkeys(names)]
    if strict and shown:
        raise UnsupportedParameter(
            f"{shown[0]} has no effect {_where(shown[0])}, and [api] strict_params is on.", param=shown[0]
        )
    return tuple(shown if len(shown) <= _MOST_SHOWN else [*shown[:_MOST_SHOWN], "..."])


def _where(name: str) -> str:
    return "with the profile agent" if name in _NOT_FOR_AGENTS else "with Claude Code"


def _undeclared(value: Any, path: str) -> Iterator[str]:
    """The fields that the wire types do not declare and that say something, wherever they stand."""
    if isinstance(value, list):
        for one in value:
            yield from _undeclared(one, f"{path}[]")
    elif isinstance(value, BaseModel):
        dot = f"{path}." if path else ""
        for name, said in (value.model_extra or {}).items():
            if said is not None and (said != [] or not path):
                yield f"{dot}{name}"
        for name, field in type(value).model_fields.items():
            yield from _undeclared(getattr(value, name), f"{dot}{field.alias or name}")
