"""Whether items are what the clients' own types say: nothing is missing, nothing of another type, nothing unknown."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import openresponses_types as open_responses
from openai.types.conversations import ConversationItem
from openai.types.responses import ResponseItem, ResponseOutputItem
from pydantic import BaseModel, TypeAdapter

_OUTPUT: TypeAdapter[Any] = TypeAdapter(ResponseOutputItem)
_KEPT: tuple[TypeAdapter[Any], ...] = (TypeAdapter(ResponseItem), TypeAdapter(ConversationItem))
_OPEN: Mapping[str, type[BaseModel]] = {
    "message": open_responses.Message,
    "function_call": open_responses.FunctionCall,
    "function_call_output": open_responses.FunctionCallOutput,
    "reasoning": open_responses.ReasoningBody,
    "compaction": open_responses.CompactionBody,
}
_OPENAI_ONLY = {("reasoning", "status"), ("input_file", "file_data")}
"""Fields (by the type of what has them) that OpenAI's types know, and those of Open Responses do not."""


def check_item(item: Mapping[str, Any], *, output: bool = False) -> None:
    """Assert that an item is one as it is listed; with `output` also one of a response's output."""
    for adapter in (*_KEPT, _OUTPUT) if output else _KEPT:
        assert_known(adapter.validate_json(json.dumps(item), strict=True))
    if (model := _OPEN.get(item["type"])) is not None:
        known = json.loads(json.dumps(item), object_pairs_hook=_open)
        told = model.model_validate_json(json.dumps(known), strict=True).model_dump(mode="json", exclude_unset=True)
        assert told == known


def assert_known(value: Any) -> None:
    """Assert that no model in a value was given fields that it does not have."""
    unknown = [f"{type(model).__name__}.{name}" for model in _models(value) for name in model.model_extra or {}]
    assert not unknown, unknown


def _open(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    kind = dict(pairs).get("type")
    return {name: value for name, value in pairs if (kind, name) not in _OPENAI_ONLY}


def _models(value: Any) -> Iterator[BaseModel]:
    if isinstance(value, BaseModel):
        yield value
        for one in vars(value).values():
            yield from _models(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _models(one)
    elif isinstance(value, dict):
        for one in value.values():
            yield from _models(one)
