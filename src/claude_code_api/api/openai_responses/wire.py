"""The wire types of Responses: what comes in. What is not declared here is accepted, and listed as ignored."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt

from claude_code_api.api.openai_items.wire import Input

Number = Annotated[float, Field(allow_inf_nan=False)]


class _Wire(BaseModel):
    model_config = ConfigDict(extra="allow")


class ConversationReference(_Wire):
    """The conversation that the response is part of."""

    id: str


class StreamOptions(_Wire):
    """Options of a stream."""

    include_obfuscation: bool | None = None


class FunctionTool(_Wire):
    """A function that the model may call; `parameters` is the JSON schema of its arguments."""

    type: str = Field(examples=["function"])
    name: str | None = None
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: StrictBool | None = None


class Tool(FunctionTool):
    """A function, or a namespace of functions, which are its `tools`."""

    tools: list[FunctionTool] | None = None


class TextFormat(_Wire):
    """What the answer's text must be: `text`, `json_object` or `json_schema`."""

    type: str = Field(examples=["json_schema"])
    name: str | None = None
    description: str | None = None
    schema_: dict[str, Any] | None = Field(None, alias="schema")
    strict: StrictBool | None = None


class Text(_Wire):
    """How the answer is written."""

    format: TextFormat | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


Summary = Literal["auto", "concise", "detailed"]


class Reasoning(_Wire):
    """How hard the model thinks, and whether its thinking is told: with any `summary` it is, as it came."""

    effort: str | None = None
    summary: Summary | None = None
    generate_summary: Summary | None = Field(None, description="The former name of `summary`.")


class ResponsesRequest(_Wire):
    """A request for a response; `conversation_id` is this gateway's own field.

    `max_tool_calls` bounds what an agent does with its own tools; the default profile has none, so there a `1` says
    that calls do not come together. `max_output_tokens` has no effect on an agent.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"model": "sonnet", "conversation": "my-session-123", "input": "Hello! Remember the number 42."}
        },
    )

    model: str | None = None
    input: Input | None = None
    instructions: str | None = None
    previous_response_id: str | None = None
    conversation: str | ConversationReference | None = None
    conversation_id: str | None = None
    store: StrictBool | None = None
    background: StrictBool | None = None
    stream: StrictBool | None = None
    stream_options: StreamOptions | None = None
    metadata: dict[str, Any] | None = None
    tools: list[Tool] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: StrictBool | None = None
    max_tool_calls: StrictInt | None = None
    text: Text | None = None
    reasoning: Reasoning | None = None
    max_output_tokens: StrictInt | None = None
    truncation: Literal["auto", "disabled"] | None = None
    include: list[str] | None = None
    temperature: Number | None = None
    top_p: Number | None = None
    presence_penalty: Number | None = None
    frequency_penalty: Number | None = None
    top_logprobs: StrictInt | None = None
    service_tier: str | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None

    @property
    def is_stored(self) -> bool:
        """Whether the response is kept; it is unless the request says otherwise."""
        return self.store is not False

    def extra(self) -> dict[str, Any]:
        """The fields that are not declared here and say something."""
        return {name: value for name, value in (self.model_extra or {}).items() if value is not None}
