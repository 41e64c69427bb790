"""The official OpenAI client for Python in tests: what it gets is checked strictly against its own types."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from openai import BaseModel
from openai.types.responses import Response

from tests.chat import shown
from tests.items import assert_known, check_item
from tests.unit.api.openai_responses.folding import check_response, told

Json = dict[str, Any]

OURS = {"conversation_id", "store", "presence_penalty", "frequency_penalty"}
"""What a response says beyond the client's types: one field of ours, and what only Open Responses knows."""


def plain(model: BaseModel) -> Json:
    """An object as it was sent; the client reads times as floats."""
    value = model.to_dict(mode="json")
    response = value["response"] if isinstance(value.get("response"), Mapping) else value
    assert isinstance(response, dict)
    for name in ("created_at", "completed_at"):
        if isinstance(given := response.get(name), float):
            assert given.is_integer()
            response[name] = int(given)
    return value


def checked(response: Response) -> Response:
    """The response, once it is what the types say: nothing is missing, of another type, or unknown."""
    value = plain(response)
    check_response(value)
    assert set(response.model_extra or {}) == OURS
    known = {name: one for name, one in value.items() if name not in OURS}
    if (error := known["error"]) is not None:
        known["error"] = {name: error[name] for name in ("code", "message")}
    assert_known(Response.model_validate_json(json.dumps(known), strict=True))
    for item in value["output"]:
        check_item(item, output=True)
    return response


def told_by(events: Iterable[BaseModel]) -> Response:
    """The response at the end of a stream, whose events are all checked, and say item by item what it has."""
    return checked(Response.model_validate(told([plain(event) for event in events])))


def listed(items: Iterable[BaseModel]) -> list[Json]:
    """Items, each of which is what the types of items say."""
    found = [item.to_dict(mode="json") for item in items]
    for item in found:
        check_item(item)
    return found


def said(items: Iterable[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Items in short: who said what, and of any other item its type and its call."""
    return [
        (item["role"], "".join(part.get("text", part["type"]) for part in item["content"]))
        if item["type"] == "message"
        else (item["type"], item.get("call_id", ""))
        for item in items
    ]


def seen(body: Json) -> list[tuple[str, str]]:
    """What a request showed the model, in short: who said what, and the type of anything else."""
    return [
        (one[0], one[1].strip() if one[0] in ("user", "assistant") else "") if len(one) > 1 else (one[0], "")
        for one in shown(body)
    ]


def system_of(body: Json) -> str:
    """The system prompt that a request had."""
    system = body.get("system") or ""
    return system if isinstance(system, str) else "\n".join(block["text"] for block in system)
