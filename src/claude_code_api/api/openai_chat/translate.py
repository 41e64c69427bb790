"""From a Chat Completions request to the dialect-neutral turn. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from claude_code_api.api.checks import sound
from claude_code_api.api.media import Media
from claude_code_api.api.openai_chat.dialogue import dialogue_of
from claude_code_api.api.openai_chat.tools import schema_of, tools_of
from claude_code_api.api.openai_chat.wire import ChatRequest
from claude_code_api.api.parameters import Refusal, check_refused, effort_of, ignored, undeclared
from claude_code_api.api.schemas import SchemaBudget
from claude_code_api.core.identity import Identity
from claude_code_api.core.models import ModelNames
from claude_code_api.core.profiles import AGENT, CHAT
from claude_code_api.core.turn import Options, TurnInput
from claude_code_api.errors import InvalidRequest

_NAMELESS = Identity()

_REFUSED: Mapping[str, Refusal] = {
    "functions": Refusal(bool, "functions are now tools; send them as 'tools'."),
    "function_call": Refusal(lambda value: value not in ("none", "auto"), "use 'tool_choice'."),
    "n": Refusal(lambda value: value != 1, "a request has one answer; send it again for another."),
    "logprobs": Refusal(bool, "Claude tells no probabilities; leave it out."),
    "top_logprobs": Refusal(bool, "Claude tells no probabilities; leave it out."),
    "audio": Refusal(lambda value: True, "answers are text; leave it out."),
    "modalities": Refusal(lambda value: value != ["text"], "answers are text; leave it out or send ['text']."),
    "web_search_options": Refusal(lambda value: True, "offer a search of your own as one of 'tools'."),
}
_MOST_STOPS = 4
_LONGEST_STOP = 1_000
_NOT_FOR_AGENTS = ("max_completion_tokens", "max_tokens", "stop")


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
    check_refused(request.extra(), _REFUSED)
    opened = models.open(request.model)
    unused = _ignored(request, identity, strict=strict, agent=opened.profile == AGENT)
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
    return ParsedRequest(turn, unused)


def _options(request: ChatRequest, budget: SchemaBudget) -> Options:
    effort = effort_of(request.reasoning_effort, "reasoning_effort")
    max_tokens, stop = _max_tokens(request), _stop(request.stop)
    tools, choice = tools_of(request, budget)
    return Options(
        tools=tools,
        tool_choice=choice,
        effort=effort,
        thinking=request.reasoning_effort != "none",
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
    names = [name for name in undeclared(request) if name not in _REFUSED]
    if agent:
        names += [name for name in _NOT_FOR_AGENTS if getattr(request, name) is not None]
    if identity.by_session:
        names.remove("metadata")
        names += [f"metadata.{name}" for name in request.extra()["metadata"] if name != "session_id"]
    return ignored(names, strict=strict, not_for_agents=_NOT_FOR_AGENTS)
