"""The wire types of Chat Completions: what comes in. What is not declared here is accepted, and listed as ignored."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt

_MOST_MESSAGES, _MOST_PARTS = 20_000, 10_000


class _Wire(BaseModel):
    model_config = ConfigDict(extra="allow")


class ImageUrl(_Wire):
    """An image: a data URL, or one that the server fetches."""

    url: str


class InputFile(_Wire):
    """A file: base64, bare or as a data URL."""

    file_data: str | None = None
    filename: str | None = None
    file_id: str | None = None


class ContentPart(_Wire):
    """One part of a message's content."""

    type: str = Field(examples=["text"])
    text: str | None = None
    refusal: str | None = None
    image_url: ImageUrl | str | None = None
    file: InputFile | None = None


class CalledFunction(_Wire):
    """What an earlier answer called; `arguments` is JSON text."""

    name: str
    arguments: str | dict[str, Any] | None = None


class ToolCall(_Wire):
    """A call that an earlier answer made."""

    id: str
    type: str | None = None
    function: CalledFunction | None = None


class ChatMessage(_Wire):
    """One message."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | Annotated[list[ContentPart], Field(max_length=_MOST_PARTS, fail_fast=True)] | None = None
    refusal: str | None = None
    reasoning_content: Any = Field(None, description="What an earlier answer said it thought; the model has its own.")
    tool_calls: list[ToolCall] | None = Field(None, max_length=_MOST_PARTS, fail_fast=True)
    tool_call_id: str | None = None


class StreamOptions(_Wire):
    """Options of a stream."""

    include_usage: bool | None = None


class Function(_Wire):
    """A function that the model may call; `parameters` is the JSON schema of its arguments."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: StrictBool | None = None


class ToolDefinition(_Wire):
    """A tool of the client."""

    type: str = Field(examples=["function"])
    function: Function | None = None


class JsonSchema(_Wire):
    """The schema that the answer must meet."""

    name: str
    description: str | None = None
    schema_: dict[str, Any] | None = Field(None, alias="schema")
    strict: StrictBool | None = None


class ResponseFormat(_Wire):
    """What the answer's text must be: `text`, `json_object` or `json_schema`."""

    type: str = Field(examples=["json_schema"])
    json_schema: JsonSchema | None = None


class ChatRequest(_Wire):
    """A request for a chat completion; `conversation_id` is this gateway's own field."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "model": "sonnet",
                "conversation_id": "my-session-123",
                "messages": [{"role": "user", "content": "Hello! Remember the number 42."}],
            }
        },
    )

    model: str | None = None
    messages: list[ChatMessage] = Field(min_length=1, max_length=_MOST_MESSAGES, fail_fast=True)
    conversation_id: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    tools: list[ToolDefinition] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: StrictBool | None = None
    response_format: ResponseFormat | None = None
    reasoning_effort: str | None = None
    max_tokens: StrictInt | None = None
    max_completion_tokens: StrictInt | None = None
    stop: str | list[str] | None = None

    def session_id(self) -> Any:
        """What LiteLLM calls the conversation, in its metadata."""
        metadata = self.extra().get("metadata")
        return metadata.get("session_id") if isinstance(metadata, dict) else None

    def extra(self) -> dict[str, Any]:
        """The fields that are not declared here and say something."""
        return {name: value for name, value in (self.model_extra or {}).items() if value is not None}
