"""The wire types of Chat Completions: what comes in. What is not declared here is accepted, and listed as ignored."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class ImageUrl(BaseModel):
    """An image: a data URL, or one that the server fetches."""

    model_config = ConfigDict(extra="allow")

    url: str
    detail: str | None = None


class InputFile(BaseModel):
    """A file: base64, bare or as a data URL."""

    model_config = ConfigDict(extra="allow")

    file_data: str | None = None
    filename: str | None = None
    file_id: str | None = None


class ContentPart(BaseModel):
    """One part of a message's content."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(examples=["text"])
    text: str | None = None
    refusal: str | None = None
    image_url: ImageUrl | str | None = None
    file: InputFile | None = None


class ChatMessage(BaseModel):
    """One message."""

    model_config = ConfigDict(extra="allow")

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[ContentPart] | None = None


class StreamOptions(BaseModel):
    """Options of a stream."""

    model_config = ConfigDict(extra="allow")

    include_usage: bool = False


class ChatRequest(BaseModel):
    """A request for a chat completion; `conversation_id` is this gateway's own field."""

    model_config = ConfigDict(
        extra="allow",
        json_schema_extra={
            "example": {
                "model": "sonnet",
                "conversation_id": "my-session-123",
                "messages": [{"role": "user", "content": "Hello! Remember the number 42."}],
            }
        },
    )

    model: str | None = None
    messages: list[ChatMessage] = Field(min_length=1)
    conversation_id: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None

    def extra(self) -> dict[str, Any]:
        """The fields that are not declared here and say something."""
        return {name: value for name, value in (self.model_extra or {}).items() if value is not None}
