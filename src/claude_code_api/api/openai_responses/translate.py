"""From a Responses request to the dialect-neutral turn. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from claude_code_api.api.checks import sound
from claude_code_api.api.media import Media
from claude_code_api.api.metadata import check_metadata
from claude_code_api.api.openai_items.ids import turn_of
from claude_code_api.api.openai_items.read import Items, read
from claude_code_api.api.openai_responses.settings import INCLUDED, settings_of, truncation
from claude_code_api.api.openai_responses.tools import schema_of, tools_of, unused_tools
from claude_code_api.api.openai_responses.wire import ResponsesRequest
from claude_code_api.api.parameters import Refusal, check_refused, effort_of, ignored, undeclared
from claude_code_api.api.schemas import SchemaBudget
from claude_code_api.core.identity import Identity, check_id, identify
from claude_code_api.core.models import ModelNames
from claude_code_api.core.profiles import AGENT
from claude_code_api.core.turn import Options, TurnInput
from claude_code_api.errors import InvalidRequest, PreviousResponseNotFound, UnsupportedParameter

_NO_LOGPROBS = "Claude tells no probabilities; leave it out."
_REFUSED: Mapping[str, Refusal] = {
    "prompt": Refusal(lambda value: True, "send what the template says as 'instructions' and 'input'."),
}
_LOGPROBS = "message.output_text.logprobs"
_SAMPLING = ("temperature", "top_p", "presence_penalty", "frequency_penalty")
_NAMES = ("user", "safety_identifier", "prompt_cache_key")
_TIERS = ("auto", "default")
_NOT_FOR_AGENTS = ("max_output_tokens",)


@dataclass(frozen=True, slots=True)
class ParsedRequest:
    """A request as the runtime takes it, the echo of it, and the fields that have no effect.

    `conversation_id` is the one that the turn is for, None when it names none.
    """

    turn: TurnInput
    settings: dict[str, Any]
    ignored: tuple[str, ...]
    conversation_id: str | None


def identity_of(request: ResponsesRequest, headers: Mapping[str, str], products: Sequence[str]) -> Identity:
    """The conversation that a request names by itself; a response that it goes on from names one, too.

    Raises InvalidRequest when it names more than one.
    """
    named, ours = request.conversation, request.conversation_id
    if named is not None:
        named = named if isinstance(named, str) else named.id
        try:
            check_id(named)
        except InvalidRequest as error:
            error.param = "conversation"
            raise
        if ours is not None and ours != named:
            raise InvalidRequest(
                "conversation and conversation_id name different conversations; send one.", param="conversation"
            )
    identity = identify(ours if named is None else named, headers, products)
    if request.previous_response_id is None:
        return identity
    if identity.appends:
        raise InvalidRequest(
            "previous_response_id and a conversation both say where to go on; send one of them.",
            param="previous_response_id",
        )
    return Identity()


def parse(
    request: ResponsesRequest,
    *,
    models: ModelNames,
    identity: Identity,
    strict: bool = False,
    media: Media | None = None,
    kept: Items | None = None,
) -> ParsedRequest:
    """Translate a request for the conversation that it names.

    `media` has the images that the request names by URL, `kept` the items that it refers to.

    Raises InvalidRequest or UnsupportedParameter naming the field.
    """
    _check_refused(request)
    _check_storage(request, identity)
    opened = models.open(request.model)
    is_agent = opened.profile == AGENT
    unused = ignored(_unused(request, agent=is_agent), strict=strict, not_for_agents=_NOT_FOR_AGENTS)
    budget = SchemaBudget()
    options = _options(request, budget, agent=is_agent)
    schema = schema_of(request, budget)
    if schema is not None and options.tool_choice.kind in ("any", "tool"):
        raise InvalidRequest(
            "'tool_choice' forces a call, and 'text.format' an answer: Claude would give neither. Ask with "
            "'tool_choice' first, and with 'text.format' when you send the results; or use 'auto'.",
            param="tool_choice",
        )
    after = _after(request)
    appends = identity.appends or after is not None
    said = read(request.input, media or Media(), appends=appends, kept=kept)
    *before, new = said.messages
    conversation_id = identity.conversation_id if request.is_stored else None
    turn = TurnInput(
        new=new,
        model=opened.model,
        system=sound(request.instructions or "", "instructions"),
        history=None if appends else tuple(before),
        named=conversation_id is not None,
        profile=opened.profile,
        schema=schema,
        options=options,
        developer=said.developer,
        before=tuple(before) if appends else (),
        after=after,
        kept=request.is_stored,
    )
    named = conversation_id if identity.appends else None
    return ParsedRequest(turn, settings_of(request, opened.model, named), unused, conversation_id)


# What is refused


def _check_refused(request: ResponsesRequest) -> None:
    check_refused(request.extra(), _REFUSED)
    if request.top_logprobs:
        raise UnsupportedParameter(f"top_logprobs is not offered: {_NO_LOGPROBS}", param="top_logprobs")
    if _LOGPROBS in (request.include or ()):
        raise UnsupportedParameter(f"include: {_LOGPROBS!r} is not offered: {_NO_LOGPROBS}", param="include")


def _check_storage(request: ResponsesRequest, identity: Identity) -> None:
    check_metadata(request.metadata or {})
    for name in _NAMES:
        sound(getattr(request, name) or "", name)
    if request.is_stored:
        return
    if request.background:
        raise InvalidRequest(
            "A response in the background is asked for by its id, so it has to be stored: leave out 'store'.",
            param="store",
        )
    if identity.appends:
        raise InvalidRequest(
            "A conversation keeps what is said in it: leave out 'store', or the conversation.", param="store"
        )


# What has no effect


def _unused(request: ResponsesRequest, *, agent: bool) -> Iterator[str]:
    yield from (name for name in undeclared(request) if name not in _REFUSED)
    yield from (name for name in (*_SAMPLING, *_NAMES) if getattr(request, name) is not None)
    if request.service_tier not in (None, *_TIERS):
        yield "service_tier"
    if request.text is not None and request.text.verbosity is not None:
        yield "text.verbosity"
    if request.stream_options is not None and request.stream_options.include_obfuscation:
        yield "stream_options.include_obfuscation"
    yield from (f"include.{name}" for name in request.include or () if name not in INCLUDED)
    if agent:
        yield from (name for name in _NOT_FOR_AGENTS if getattr(request, name) is not None)
    else:
        yield from unused_tools(request)


# What the turn is


def _after(request: ResponsesRequest) -> str | None:
    """The turn that the request goes on from."""
    given = request.previous_response_id
    if given is None:
        return None
    if (turn := turn_of(given)) is None:
        raise PreviousResponseNotFound(
            f"Previous response with id {given[:100]!r} not found.", param="previous_response_id"
        )
    return turn


def _options(request: ResponsesRequest, budget: SchemaBudget, *, agent: bool) -> Options:
    asked = None if request.reasoning is None else request.reasoning.effort
    effort = effort_of(asked, "reasoning.effort")
    most_calls = _at_least_one(request, "max_tool_calls")
    most_tokens = _at_least_one(request, "max_output_tokens")
    tools, choice = tools_of(request, budget)
    if most_calls == 1 and tools and not agent:
        choice = replace(choice, parallel=False)
    return Options(
        tools=tools,
        tool_choice=choice,
        effort=effort,
        thinking=asked != "none",
        # It would cut off each of an agent's messages, its work included, rather than the answer.
        max_tokens=None if agent else most_tokens,
        max_tool_calls=most_calls if agent else None,
        compacts=truncation(request) == "auto",
    )


def _at_least_one(request: ResponsesRequest, name: str) -> int | None:
    most: int | None = getattr(request, name)
    if most is not None and most < 1:
        raise InvalidRequest(f"{name} must be at least 1.", param=name)
    return most
