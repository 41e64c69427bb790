"""From a Messages request to the dialect-neutral turn. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import get_args

from claude_code_api.api.anthropic_messages.dialogue import Dialogue, dialogue_of
from claude_code_api.api.anthropic_messages.lines import Place
from claude_code_api.api.anthropic_messages.parts import required
from claude_code_api.api.anthropic_messages.tools import schema_of, tools_of
from claude_code_api.api.anthropic_messages.unused import unused
from claude_code_api.api.anthropic_messages.wire import Blocks, CountRequest, MessagesRequest
from claude_code_api.api.checks import sound
from claude_code_api.api.media import Media
from claude_code_api.api.parameters import Refusal, check_refused, effort_of, ignored
from claude_code_api.api.schemas import SchemaBudget
from claude_code_api.core.identity import Identity
from claude_code_api.core.models import ModelNames
from claude_code_api.core.profiles import AGENT, CHAT
from claude_code_api.core.turn import Effort, Options, TurnInput
from claude_code_api.errors import InvalidRequest, ThreadsNotOffered

_NAMELESS = Place(Identity())
_HERE = "it is a feature of Anthropic's servers"
_REFUSED: Mapping[str, Refusal] = {
    "container": Refusal(lambda value: True, f"{_HERE}; a model 'agent/...' has a directory of its own."),
    "mcp_servers": Refusal(bool, f"{_HERE}; offer what you need of them as 'tools'."),
    "compaction": Refusal(lambda value: True, "Claude Code compacts by itself; leave it out."),
    "fallback_credit_token": Refusal(lambda value: True, f"{_HERE}; leave it out."),
    "fallbacks": Refusal(lambda value: value not in ([], "default"), f"{_HERE}; send the request again."),
    "billing_policy": Refusal(
        lambda value: not isinstance(value, dict) or value.get("bill_to", "self") != "self", f"{_HERE}; leave it out."
    ),
}
_MOST_STOPS = 64
_LONGEST_STOP = 1_000
_LEAST_BUDGET = 1_024
_EFFORTS = get_args(Effort)
_NOT_FOR_AGENTS = ("max_tokens", "stop_sequences")
_BILLING = "x-anthropic-billing-header:"
"""How a block of Claude Code's system prompt begins that is for Anthropic's servers and not for the model."""


@dataclass(frozen=True, slots=True)
class ParsedRequest:
    """A request as the runtime takes it, and the fields that have no effect.

    `conversation_id` is the one that it names, None for a turn apart. `thinking`: the model's blocks of thinking are
    told, their words unless they are `omitted`.
    """

    turn: TurnInput
    conversation_id: str | None
    ignored: tuple[str, ...]
    thinking: bool
    omitted: bool


def parse(
    request: MessagesRequest,
    *,
    models: ModelNames,
    place: Place = _NAMELESS,
    strict: bool = False,
    side_requests: Sequence[str] = (),
    media: Media | None = None,
) -> ParsedRequest:
    """Translate a request. `side_requests`: how questions beside a conversation begin.

    `media` has the images that the request names by URL.

    Raises InvalidRequest or UnsupportedParameter naming the field.
    """
    _check_fields(request)
    opened = models.open(request.model)
    is_agent = opened.profile == AGENT
    unused = _ignored(request, strict=strict, agent=is_agent)
    budget = SchemaBudget()
    options = _options(request, budget, agent=is_agent)
    schema = schema_of(request, budget)
    if schema is not None and options.tool_choice.kind in ("any", "tool"):
        raise InvalidRequest(
            "tool_choice forces a call, and output_config.format an answer: Claude would give neither. Ask with "
            "tool_choice first, and with the format when you send the results; or use 'auto'.",
            param="tool_choice",
        )
    dialogue = dialogue_of(request.messages, media or Media(), appends=place.identity.appends)
    messages = dialogue.messages
    _check_end(dialogue)
    identity = place.of(messages)
    append = identity.appends and not dialogue.whole
    is_single = not identity.appends and len(messages) == 1
    beside = place.is_beside(request, whole=dialogue.whole) or (
        is_single and messages[0].text().lstrip().startswith(tuple(side_requests))
    )
    system = system_of(request)
    turn = TurnInput(
        new=messages[-1],
        model=opened.model,
        system=system if append else system or "",
        history=None if append else messages[:-1],
        named=identity.conversation_id is not None,
        apart=beside,
        kept=not beside,
        profile=CHAT if beside else opened.profile,
        schema=schema,
        options=options,
        developer=dialogue.developer,
        rewrites=place.session is not None,
    )
    thinking = request.thinking
    return ParsedRequest(
        turn,
        None if beside else identity.conversation_id,
        unused,
        thinking=thinking is not None and thinking.type != "disabled",
        omitted=thinking is not None and thinking.display == "omitted",
    )


def system_of(request: CountRequest) -> str | None:
    """The system prompt; None when the request has none. Raises InvalidRequest."""
    return None if request.system is None else _joined(request.system)


def _joined(system: str | Blocks) -> str:
    if isinstance(system, str):
        return sound(system, "system")
    texts = []
    for number, block in enumerate(system):
        at = f"system.{number}"
        if block.type != "text":
            raise InvalidRequest(f"{at}.type: a system prompt is made of text blocks.", param=f"{at}.type")
        texts.append(required(block.text, f"{at}.text"))
    return "\n\n".join(text for text in texts if text.strip() and not text.startswith(_BILLING))


def _check_fields(request: MessagesRequest) -> None:
    extra = request.extra()
    if extra.get("thread") is not None:
        raise ThreadsNotOffered("thread: this server keeps no threads; send the whole history.", param="thread")
    check_refused(extra, _REFUSED)
    if request.max_tokens < 1:
        raise InvalidRequest("max_tokens: must be at least 1; there is no cache to fill here.", param="max_tokens")


def _check_end(dialogue: Dialogue) -> None:
    messages = dialogue.messages
    if not messages:
        raise InvalidRequest("messages: at least one message of the user is required.", param="messages")
    if messages[-1].role != "user":
        raise InvalidRequest(
            "messages: the last one must be the user's, or hold tools' results: Claude does not go on with a message "
            "of the assistant's (prefill). Say in a user's message how the answer should begin.",
            param="messages",
        )


def _options(request: MessagesRequest, budget: SchemaBudget, *, agent: bool) -> Options:
    tools, choice = tools_of(request, budget)
    options = Options(
        tools=tools,
        tool_choice=choice,
        effort=_effort(request),
        max_tokens=request.max_tokens,
        stop=_stop(request.stop_sequences or []),
    )
    if agent:
        # They would cut off each of an agent's messages, its work included, rather than the answer.
        options = replace(options, max_tokens=None, stop=())
    return _thinking(request, options, agent=agent)


def _effort(request: CountRequest) -> Effort | None:
    """The effort of the newest message that says one, else the request's."""
    configs = [(f"messages.{index}", message.output_config) for index, message in enumerate(request.messages)]
    for where, config in (*reversed(configs), ("", request.output_config)):
        if config is not None and config.effort is not None:
            at = f"{where}.output_config.effort".lstrip(".")
            if config.effort not in _EFFORTS:
                raise InvalidRequest(f"{at}: must be one of {', '.join(map(repr, _EFFORTS))}.", param=at)
            return effort_of(config.effort, at)
    return None


def _thinking(request: MessagesRequest, options: Options, *, agent: bool) -> Options:
    """Without `thinking` a chat does not think, and an agent does as it likes, unheard."""
    asked = request.thinking
    if asked is None:
        return replace(options, thinking=agent)
    if asked.type == "disabled":
        return replace(options, thinking=False)
    if asked.type not in ("enabled", "adaptive", "between_tools"):
        raise InvalidRequest(
            "thinking.type: must be one of 'enabled', 'adaptive', 'between_tools' and 'disabled'.",
            param="thinking.type",
        )
    if asked.type == "enabled" and (asked.budget_tokens is None or asked.budget_tokens < _LEAST_BUDGET):
        raise InvalidRequest(
            f"thinking.budget_tokens: must be at least {_LEAST_BUDGET}.", param="thinking.budget_tokens"
        )
    if asked.type == "enabled" and options.tool_choice.kind in ("any", "tool"):
        raise InvalidRequest("thinking: may not be enabled when tool_choice forces tool use.", param="thinking")
    display = asked.display
    if display not in (None, "summarized", "omitted", "updates"):
        raise InvalidRequest("thinking.display: must be 'summarized' or 'omitted'.", param="thinking.display")
    return replace(
        options,
        thinking_budget=asked.budget_tokens if asked.type == "enabled" else None,
        thinking_display="summarized" if display == "summarized" else "omitted" if display == "omitted" else None,
    )


def _stop(texts: Sequence[str]) -> tuple[str, ...]:
    where = "stop_sequences"
    if len(texts) > _MOST_STOPS:
        raise InvalidRequest(f"{where}: at most {_MOST_STOPS} texts, not {len(texts)}.", param=where)
    for text in texts:
        if not text.strip():
            raise InvalidRequest(f"{where}: each stop sequence must contain non-whitespace.", param=where)
        if len(text) > _LONGEST_STOP:
            raise InvalidRequest(f"{where}: a text has at most {_LONGEST_STOP} characters.", param=where)
    return tuple(sound(text, where) for text in texts)


def _ignored(request: MessagesRequest, *, strict: bool, agent: bool) -> tuple[str, ...]:
    names = [name for name in unused(request) if name not in _REFUSED]
    if agent and request.stop_sequences:
        names.append("stop_sequences")
    told = ignored(names, strict=strict, not_for_agents=_NOT_FOR_AGENTS)
    return (*told, "max_tokens") if agent else told  # every request has it: what is strict does not refuse them all
