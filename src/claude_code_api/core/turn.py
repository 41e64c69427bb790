"""The dialect-neutral turn: what goes in, what comes out while it runs, and how it ends.

Block and message shapes are the Anthropic Messages API's, as plain JSON values. Dialects translate to and from these.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, TypeAlias

from claude_code_api.core.toolbox import EVERYTHING, Permissions, Toolbox
from claude_code_api.errors import GatewayError

Role: TypeAlias = Literal["user", "assistant"]

Block: TypeAlias = dict[str, Any]
"""One content block, Messages API shape: `{"type": "text", "text": ...}` and so on.

Tools go by the names that the client gave them. What the client never saw, the agent's own tool calls and their
results, carries `"internal": True`, and as `"activity"` the line that tells of it, if there is one.
"""


def text_of_result(content: str | Sequence[Block] | None) -> str:
    """The content of a `tool_result` block as text: one part a line, what is no text by its type as `[image]`."""
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] if part["type"] == "text" else f"[{part['type']}]" for part in content or ())


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a history: `role` user or assistant, `content` its blocks in order."""

    role: Role
    content: tuple[Block, ...]

    def text(self) -> str:
        """The visible text: text blocks only, joined as they were streamed."""
        return "".join(block["text"] for block in self.content if block.get("type") == "text")


@dataclass(frozen=True, slots=True)
class Tool:
    """A function of the client that the model may call; `schema` is the JSON schema of its arguments, an object."""

    name: str
    description: str
    schema: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """Which of the client's tools the model calls: `auto` as it likes, `none`, `any` at least one, `tool` the named.

    `parallel` False allows one call at a time.
    """

    kind: Literal["auto", "none", "any", "tool"] = "auto"
    name: str | None = None
    parallel: bool = True


Effort: TypeAlias = Literal["low", "medium", "high", "xhigh", "max"]


@dataclass(frozen=True, slots=True)
class Options:
    """What a turn can change on a live process.

    `thinking` False turns thinking off; `effort` None leaves it to the model's default. `thinking_budget` bounds the
    tokens of thinking on models that can be bounded; `thinking_display` says how much of it is told. `max_tokens`
    bounds what the model says, thinking included; `stop` ends the answer before the first of these texts.
    `max_tool_calls` are the most calls that an agent may make of its own tools in this turn, those of its sub-agents
    included.

    `compacts` False: what does not fit the model's context is an error, and not replaced by a summary. `counts`:
    nothing is said to the model, and the turn ends with the tokens of its history as what it would have read.
    `permissions` say which calls of its own tools an agent makes without asking. `max_cost_usd` ends the turn where it
    stands once it has cost so much, sub-agents included, and the model would go on.
    """

    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = ToolChoice()
    effort: Effort | None = None
    thinking: bool = True
    thinking_budget: int | None = None
    thinking_display: Literal["summarized", "omitted"] | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    compacts: bool = True
    counts: bool = False
    max_tool_calls: int | None = None
    permissions: Permissions = EVERYTHING
    max_cost_usd: float | None = None


@dataclass(frozen=True, slots=True)
class TurnInput:
    """What one request asks of a conversation.

    `new` is the user's new message, or the results of the tool calls that the last answer ended with. `history` is None
    when the request appends to whatever the conversation holds; else it is the whole history before `new`, and the
    conversation is brought to exactly that. `system` is None when the request says nothing of a system prompt: the
    conversation keeps the one it has. `named` says that the request named its conversation: nobody may find that one by
    its history. `apart`: the conversation, which is not `kept`, is for this one turn and ends with it. `schema` is the
    JSON schema that the answer must meet.

    `developer` are instructions that are part of the dialogue, unlike `system`: those that are new with an appending
    request, all of them with a whole history. `before` are messages that an appending request puts between what the
    conversation holds and `new`. With `after` the request goes on from the turn of that id and from nothing later: a
    conversation that has gone on since is forked there. `kept` False: nothing of the conversation is stored.
    `toolbox` is what an agent is equipped with in this turn, None for what its conversation has.
    `rewrites`: the client sends calls back as it has run them; by their ids they are those that the conversation holds.
    """

    new: Message
    model: str
    system: str | None = None
    history: tuple[Message, ...] | None = None
    named: bool = True
    apart: bool = False
    profile: str = "chat"
    schema: dict[str, Any] | None = None
    options: Options = Options()
    developer: tuple[str, ...] = ()
    before: tuple[Message, ...] = ()
    after: str | None = None
    kept: bool = True
    toolbox: Toolbox | None = None
    rewrites: bool = False


class StartKind(StrEnum):
    """How a turn got its process, as `X-Session-Start` and `/stats` report it."""

    LIVE = "live"
    WARM = "warm"
    COLD = "cold"
    RESUMED = "resumed"
    FORKED = "forked"


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one turn, all its API calls together. `input_tokens` excludes what the cache read or wrote."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    thinking_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cache_read_tokens + other.cache_read_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
            self.thinking_tokens + other.thinking_tokens,
        )

    def __sub__(self, other: Usage) -> Usage:
        """What is left of this when `other` was reported before."""
        return Usage(
            max(0, self.input_tokens - other.input_tokens),
            max(0, self.output_tokens - other.output_tokens),
            max(0, self.cache_read_tokens - other.cache_read_tokens),
            max(0, self.cache_write_tokens - other.cache_write_tokens),
            max(0, self.thinking_tokens - other.thinking_tokens),
        )

    @property
    def prompt_tokens(self) -> int:
        """Everything the model read, cached or not."""
        return self.input_tokens + self.cache_read_tokens + self.cache_write_tokens


@dataclass(frozen=True, slots=True)
class AnswerStarted:
    """The model begins a message; `model` is the one that answers, `usage` what it has read for it."""

    model: str
    usage: Usage = field(default=Usage(), compare=False)


@dataclass(frozen=True, slots=True)
class TextDelta:
    """More of the answer's text."""

    text: str


@dataclass(frozen=True, slots=True)
class ThinkingStarted:
    """The model begins a block of thinking; there may be nothing to read in it.

    `data` is what stands, encrypted, for thinking that nobody may read; there is nothing else in such a block.
    """

    data: str | None = None


@dataclass(frozen=True, slots=True)
class ThinkingDelta:
    """More of the model's thinking. What it says `aside`, around a structured answer, stays in no message."""

    text: str
    aside: bool = False


@dataclass(frozen=True, slots=True)
class ThinkingSigned:
    """The block of thinking is whole; with this `signature` the model's API takes it back."""

    signature: str


@dataclass(frozen=True, slots=True)
class ToolCallStarted:
    """The model calls one of the client's tools; its arguments follow."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """More of a call's arguments: a piece of JSON text."""

    id: str
    json: str


@dataclass(frozen=True, slots=True)
class AgentCall:
    """The agent calls a tool of its own; `line` tells of it in one readable line.

    What its sub-agents call is told nowhere.
    """

    id: str
    name: str
    input: dict[str, Any]
    line: str


@dataclass(frozen=True, slots=True)
class AgentResult:
    """The call of that id has ended; `content` is its result as text. `line` tells that it failed, None otherwise.

    A call that was denied has ended, too: it failed.
    """

    id: str
    content: str
    is_error: bool
    line: str | None


@dataclass(frozen=True, slots=True)
class ApprovalWanted:
    """The agent's call of that id waits for a person, until `deadline` (Unix seconds): then it is denied.

    It comes behind its AgentCall, or, for a call of a sub-agent, without one. `line` tells of the waiting.
    """

    id: str
    name: str
    input: dict[str, Any]
    deadline: float
    line: str


@dataclass(frozen=True, slots=True)
class ApprovalSettled:
    """The call of that id no longer waits: a person decided, nobody did in time, or Claude Code gave the call up.

    None comes when its turn ends.
    """

    id: str
    status: Literal["allowed", "denied", "expired", "cancelled"]


@dataclass(frozen=True, slots=True)
class ServerFailed:
    """An MCP server of the agent's toolbox cannot be used in this turn: its tools are not there."""

    name: str
    message: str


@dataclass(frozen=True, slots=True)
class AnswerRestarted:
    """The model's stream broke and the CLI asks again: what came since the last complete message is void."""


@dataclass(frozen=True, slots=True)
class TurnStarted:
    """The turn went to its process."""

    start: StartKind


@dataclass(frozen=True, slots=True)
class TurnCompleted:
    """The turn is over and part of the conversation.

    `stop_reason` is the Messages API's: with `tool_use` the calls of the last message wait for the client's results;
    with `refusal` the model declined to meet the schema, and says why in its text. `interrupted` and `budget_reached`
    are ours: the turn was halted, and what was said and done until then is all. `messages` is what the conversation
    gained after the user's message (assistant messages, tool results between them); `leaf` names its last entry in the
    CLI's transcript, None when the transcript does not hold the turn as it is told here. `compacted`: the model's
    context was replaced by a summary on the way. `stop_sequence` is the text of `Options.stop` that the answer met.
    """

    stop_reason: str
    model: str
    usage: Usage
    leaf: str | None
    messages: tuple[Message, ...] = field(default=())
    compacted: bool = False
    stop_sequence: str | None = None


@dataclass(frozen=True, slots=True)
class TurnFailed:
    """The turn ended without an answer; the conversation is as it was before it."""

    error: GatewayError


TurnEvent: TypeAlias = (
    TurnStarted
    | AnswerStarted
    | TextDelta
    | ThinkingStarted
    | ThinkingDelta
    | ThinkingSigned
    | ToolCallStarted
    | ToolCallDelta
    | AgentCall
    | AgentResult
    | ApprovalWanted
    | ApprovalSettled
    | ServerFailed
    | AnswerRestarted
    | TurnCompleted
    | TurnFailed
)
