"""The wire types of Conversations: what comes in."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from claude_code_api.api.openai_items.wire import InputItem

MOST_ITEMS = 20
"""In one request, as at OpenAI."""

Items = Annotated[list[InputItem], Field(max_length=MOST_ITEMS, fail_fast=True)]


class _Wire(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ConversationRequest(_Wire):
    """A conversation to be made; `id` is this gateway's own field, a new id without it."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "metadata": {"topic": "demo"},
                "items": [{"type": "message", "role": "user", "content": "Hello! Remember the number 42."}],
            }
        },
    )

    items: Items | None = None
    metadata: dict[str, Any] | None = None
    id: str | None = None


class MetadataRequest(_Wire):
    """New metadata of a conversation; null takes all of it away."""

    metadata: dict[str, Any] | None


class ItemsRequest(_Wire):
    """Items to be added to a conversation."""

    items: Annotated[list[InputItem], Field(min_length=1, max_length=MOST_ITEMS, fail_fast=True)]
