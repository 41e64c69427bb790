"""The wire types of the Messages API: what comes in. What is not declared here is accepted, and listed as ignored."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt

_MOST_MESSAGES, _MOST_BLOCKS, _MOST_TOOLS = 20_000, 10_000, 1_000


class _Wire(BaseModel):
    model_config = ConfigDict(extra="allow")


class Source(_Wire):
    """What an image or a document is: base64, a URL, text, an uploaded file, or blocks."""

    type: str
    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    file_id: str | None = None
    content: str | Blocks | None = None


class ContentBlock(_Wire):
    """One block of a content, of any type; `cache_control` and what an answer's blocks carry beside is accepted."""

    type: str = Field(examples=["text"])
    cache_control: Any = None
    text: str | None = None
    citations: Any = None
    source: Source | str | None = None
    title: str | None = None
    context: str | None = None
    id: str | None = None
    name: str | None = None
    input: dict[str, Any] | None = None
    caller: Any = None
    tool_use_id: str | None = None
    content: str | Blocks | None = None
    is_error: bool | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    tool_name: str | None = None
    tool: ToolChange | None = None


Blocks = Annotated[list[ContentBlock], Field(max_length=_MOST_BLOCKS, fail_fast=True)]


class Format(_Wire):
    """The JSON schema that the answer must meet."""

    type: str = Field(examples=["json_schema"])
    schema_: dict[str, Any] | None = Field(None, alias="schema")


class OutputConfig(_Wire):
    """How hard the model works, and what its answer must be."""

    effort: str | None = None
    format: Format | None = None


class InputMessage(_Wire):
    """One message. Those of the role `system` may change tools and effort, too."""

    role: Literal["user", "assistant", "system"]
    content: str | Blocks | None = None
    output_config: OutputConfig | None = None


class ToolDefinition(_Wire):
    """A tool of the client; with `defer_loading` it is offered as soon as something in the messages refers to it."""

    type: str | None = None
    name: str | None = None
    description: str | None = None
    input_schema: dict[str, Any] | None = None
    cache_control: Any = None
    defer_loading: StrictBool | None = None


class ToolChange(_Wire):
    """A tool that comes or goes in the middle: its name, or, for a new one, its definition."""

    type: str
    name: str | None = None
    tool_name: str | None = None
    definition: ToolDefinition | None = None


class ToolChoice(_Wire):
    """Which tools may be called, or must be."""

    type: str
    name: str | None = None
    disable_parallel_tool_use: StrictBool | None = None


class Thinking(_Wire):
    """Whether the model thinks, how much, and what is told of it."""

    type: str = Field(examples=["adaptive"])
    budget_tokens: StrictInt | None = None
    display: str | None = None


class CountRequest(_Wire):
    """What the model is to read."""

    model: str
    messages: list[InputMessage] = Field(min_length=1, max_length=_MOST_MESSAGES, fail_fast=True)
    system: str | Blocks | None = None
    tools: list[ToolDefinition] | None = Field(None, max_length=_MOST_TOOLS)
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    output_format: Format | None = Field(None, description="The older place of `output_config.format`.")
    cache_control: Any = None


class MessagesRequest(CountRequest):
    """A request for a message; `conversation_id` is this gateway's own field."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "model": "sonnet",
                "max_tokens": 1024,
                "messages": [{"role": "user", "content": "Hello! Remember the number 42."}],
            }
        },
    )

    max_tokens: StrictInt
    stop_sequences: list[str] | None = None
    stream: bool | None = None
    conversation_id: str | None = None

    def extra(self) -> dict[str, Any]:
        """The fields that are not declared here and say something."""
        return {name: value for name, value in (self.model_extra or {}).items() if value is not None}


Source.model_rebuild()
ContentBlock.model_rebuild()
