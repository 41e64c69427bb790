"""The wire types of sessions and of the events that are sent to them. What is not declared here is refused by name."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import ConfigDict, Field

from claude_code_api.api.managed_agents.wire import AgentChoice, Servers, Tools, Wire
from claude_code_api.managed.outcomes import MOST_ITERATIONS

_MOST_EVENTS, _MOST_INITIAL, _MOST_BLOCKS, _MOST_RESOURCES = 100, 50, 500, 500
_LONGEST_RUBRIC, _LONGEST_TITLE = 262_144, 1024

# Content


class TextParams(Wire):
    """Words."""

    type: Literal["text"]
    text: str


class SourceParams(Wire):
    """Where an image or a document is from; which fields go with which type is looked at later."""

    type: Literal["base64", "url", "file", "text"]
    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    file_id: str | None = None


class ImageParams(Wire):
    """A picture."""

    type: Literal["image"]
    source: SourceParams


class DocumentParams(Wire):
    """A PDF or a text."""

    type: Literal["document"]
    source: SourceParams
    title: str | None = None
    context: str | None = None


class SearchResultParams(Wire):
    """What a search of the client's found."""

    type: Literal["search_result"]
    source: str
    title: str
    content: list[TextParams]
    citations: dict[str, Any]


class RedactedParams(Wire):
    """What was withheld; answers may have it, and nobody can send it."""

    type: Literal["redacted"]


Said: TypeAlias = Annotated[TextParams | ImageParams | DocumentParams | RedactedParams, Field(discriminator="type")]
Given: TypeAlias = Annotated[
    TextParams | ImageParams | DocumentParams | SearchResultParams, Field(discriminator="type")
]

# Events


class UserMessage(Wire):
    """What the user says."""

    type: Literal["user.message"]
    content: Annotated[list[Said], Field(min_length=1, max_length=_MOST_BLOCKS)]


class UserInterrupt(Wire):
    """Stop, and keep what was said."""

    type: Literal["user.interrupt"]
    session_thread_id: str | None = None


class ToolConfirmation(Wire):
    """Whether a call that waits is made."""

    type: Literal["user.tool_confirmation"]
    tool_use_id: str
    result: Literal["allow", "deny"]
    deny_message: Annotated[str, Field(max_length=10_000)] | None = None


class CustomToolResult(Wire):
    """What a custom tool gave."""

    type: Literal["user.custom_tool_result"]
    custom_tool_use_id: str
    content: Annotated[list[Given], Field(max_length=_MOST_BLOCKS)] | None = None
    is_error: bool | None = None


class ToolResult(Wire):
    """What one of the agent's own tools gave at the client's; refused by name."""

    type: Literal["user.tool_result"]
    tool_use_id: Any = None
    content: Any = None
    is_error: Any = None


class RubricParams(Wire):
    """How an outcome is graded; a file is read when it is sent."""

    type: Literal["text", "file"]
    content: Annotated[str, Field(min_length=1, max_length=_LONGEST_RUBRIC)] | None = None
    file_id: str | None = None


class DefineOutcome(Wire):
    """What the agent is to achieve."""

    type: Literal["user.define_outcome"]
    description: Annotated[str, Field(min_length=1)]
    rubric: RubricParams
    max_iterations: Annotated[int, Field(ge=1, le=MOST_ITERATIONS)] | None = None


class SystemMessage(Wire):
    """Instructions from now on."""

    type: Literal["system.message"]
    content: Annotated[list[TextParams], Field(min_length=1, max_length=_MOST_BLOCKS)]


EventParams: TypeAlias = Annotated[
    UserMessage | UserInterrupt | ToolConfirmation | CustomToolResult | ToolResult | DefineOutcome | SystemMessage,
    Field(discriminator="type"),
]


class SendEvents(Wire):
    """Events, in order."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"events": [{"type": "user.message", "content": [{"type": "text", "text": "Hello!"}]}]}
        }
    )

    events: Annotated[list[EventParams], Field(min_length=1, max_length=_MOST_EVENTS)]


# Sessions


class ResourceParams(Wire):
    """What a session finds in its workspace; all but files is refused by name."""

    type: Literal["file", "github_repository", "memory_store"]
    file_id: str | None = None
    mount_path: str | None = None
    url: Any = None
    authorization_token: Any = None
    checkout: Any = None
    memory_store_id: Any = None
    access: Any = None
    instructions: Any = None


class AmountParams(Wire):
    """Money in minor units, as a decimal string."""

    amount: Annotated[str, Field(pattern=r"^(0|[1-9][0-9]{0,11})$")]
    currency: Literal["USD"]


class BudgetParams(Wire):
    """What a session may cost."""

    type: Literal["limit"]
    max_list_cost: AmountParams


_Title: TypeAlias = Annotated[str, Field(max_length=_LONGEST_TITLE)]


class SessionCreate(Wire):
    """A new session."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"agent": "agent_011CZkYpogX7uDKUyvBTophP", "environment_id": "env_local"}}
    )

    agent: AgentChoice
    environment_id: str
    title: _Title | None = None
    metadata: dict[str, str] | None = None
    budget: BudgetParams | None = None
    resources: Annotated[list[ResourceParams], Field(max_length=_MOST_RESOURCES)] | None = None
    initial_events: Annotated[list[EventParams], Field(max_length=_MOST_INITIAL)] | None = None
    vault_ids: list[str] | None = None


class SessionAgentParams(Wire):
    """What can change of a session's agent."""

    tools: Tools | None = None
    mcp_servers: Servers | None = None


class SessionUpdate(Wire):
    """What is to become of a session's fields; those that are left out stay."""

    title: _Title | None = None
    metadata: dict[str, str | None] | None = None
    budget: BudgetParams | None = None
    agent: SessionAgentParams | None = None
    vault_ids: list[str] | None = None


class ResourceUpdate(Wire):
    """A new token for a repository; refused."""

    authorization_token: Any = None
