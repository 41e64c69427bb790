"""The wire types of items: what comes in. What is not declared here is accepted, and listed as ignored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

_MOST_ITEMS, _MOST_PARTS = 20_000, 10_000


class _Wire(BaseModel):
    model_config = ConfigDict(extra="allow")


class InputPart(_Wire):
    """One part of a message's content, or of what a function gave."""

    type: str = Field(examples=["input_text"])
    text: str | None = None
    refusal: str | None = None
    image_url: str | None = Field(None, description="A data URL, or one that the server fetches.")
    file_data: str | None = Field(None, description="Base64, bare or as a data URL.")
    filename: str | None = None
    file_id: str | None = None
    file_url: str | None = None

    @model_validator(mode="after")
    def _without_default(self) -> InputPart:
        """The detail that every image has unless it says otherwise is not told as ignored."""
        if self.model_extra is not None and self.model_extra.get("detail") == "auto":
            del self.model_extra["detail"]
        return self


Parts: TypeAlias = Annotated[list[InputPart], Field(max_length=_MOST_PARTS, fail_fast=True)]


class _Item(_Wire):
    id: str | None = Field(None, description="Its id where it was told; only references need one.")
    status: Any = None


class MessageItem(_Item):
    """What somebody said."""

    type: Literal["message"] | None = None
    role: Literal["user", "assistant", "system", "developer"]
    content: str | Parts


class CallItem(_Item):
    """A call that an earlier answer made; `arguments` is JSON text."""

    type: Literal["function_call"]
    call_id: str
    name: str
    namespace: str | None = None
    arguments: str | dict[str, Any] | None = None


class OutputItem(_Item):
    """What a function gave."""

    type: Literal["function_call_output"]
    call_id: str
    output: str | Parts


class ReasoningItem(_Item):
    """What an earlier answer thought."""

    type: Literal["reasoning"]
    summary: Any = None
    content: Any = None
    encrypted_content: str | None = None


class CompactionItem(_Item):
    """What `/v1/responses/compact` made of a conversation."""

    type: Literal["compaction"]
    encrypted_content: str


class ActivityItem(_Item):
    """What an agent did with tools of its own."""

    type: Literal["mcp_call", "web_search_call"]
    action: Any = None
    server_label: Any = None
    name: Any = None
    arguments: Any = None
    output: Any = None
    error: Any = None
    approval_request_id: Any = None


class ReferenceItem(_Wire):
    """An item that is kept, by its id."""

    type: Literal["item_reference"] | None = None
    id: str


class OtherItem(_Wire):
    """An item of a type that is not offered."""

    type: Any = None


def _kind(value: Any) -> str:
    """Which of these an item is."""
    if not isinstance(value, Mapping):
        return type(value).__name__ if isinstance(value, _Wire) else "MessageItem"
    kind = value.get("type")
    if kind is None and "role" not in value and "id" in value:
        return "ReferenceItem"
    if kind is None:
        return "MessageItem"
    return _KINDS.get(kind, "OtherItem") if isinstance(kind, str) else "OtherItem"


_KINDS = {
    "message": "MessageItem",
    "function_call": "CallItem",
    "function_call_output": "OutputItem",
    "reasoning": "ReasoningItem",
    "compaction": "CompactionItem",
    "mcp_call": "ActivityItem",
    "web_search_call": "ActivityItem",
    "item_reference": "ReferenceItem",
}

InputItem: TypeAlias = Annotated[
    Annotated[MessageItem, Tag("MessageItem")]
    | Annotated[CallItem, Tag("CallItem")]
    | Annotated[OutputItem, Tag("OutputItem")]
    | Annotated[ReasoningItem, Tag("ReasoningItem")]
    | Annotated[CompactionItem, Tag("CompactionItem")]
    | Annotated[ActivityItem, Tag("ActivityItem")]
    | Annotated[ReferenceItem, Tag("ReferenceItem")]
    | Annotated[OtherItem, Tag("OtherItem")],
    Discriminator(_kind),
]

InputItems: TypeAlias = Annotated[list[InputItem], Field(max_length=_MOST_ITEMS, fail_fast=True)]
"""What a request brings, in order."""

Input: TypeAlias = str | InputItems
