"""What Anthropic's official client for Python would not forgive, if it looked: it takes any JSON for any type.

Every object must have every field of its type, those that may be null included, no other, and known words where the
type lists words.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import httpx
from anthropic import BaseModel as SdkModel
from anthropic.types import Message, RawMessageStreamEvent
from anthropic.types.shared import ErrorResponse
from pydantic import BaseModel, TypeAdapter, ValidationError

Json = dict[str, Any]
T = TypeVar("T", bound=SdkModel)


def check(kind: Any, value: Any) -> Any:
    """The value, when it is exactly of that type."""
    assert list(problems(kind, value)) == []
    return value


def problems(kind: Any, value: Any, at: str = "") -> Iterator[str]:
    """What is wrong with a value of a type of the SDK's."""
    origin = get_origin(kind)
    if origin is Annotated:
        yield from problems(get_args(kind)[0], value, at)
    elif origin in (Union, UnionType):
        yield from _of_one(get_args(kind), value, at)
    elif origin is list:
        if not isinstance(value, list):
            yield f"{at} is no list: {value!r}"
            return
        for number, one in enumerate(value):
            yield from problems(get_args(kind)[0], one, f"{at}[{number}]")
    elif origin is Literal:
        if value not in get_args(kind):
            yield f"{at} is {value!r}, none of {get_args(kind)}"
    elif isinstance(kind, type) and issubclass(kind, BaseModel):
        yield from _of_model(kind, value, at)
    else:
        yield from _plain(kind, value, at)


def _of_one(kinds: tuple[Any, ...], value: Any, at: str) -> Iterator[str]:
    if value is None:
        if NoneType not in kinds:
            yield f"{at} is null"
        return
    candidates = [kind for kind in kinds if kind is not NoneType]
    if isinstance(value, dict) and "type" in value:
        candidates = [kind for kind in candidates if value["type"] in _words(kind)] or candidates
    found = [list(problems(kind, value, at)) for kind in candidates]
    yield from min(found, key=len)


def _words(kind: Any) -> tuple[Any, ...]:
    """What a model may have as its `type`; those of all members of a union."""
    if get_origin(kind) is Annotated:
        return _words(get_args(kind)[0])
    if get_origin(kind) in (Union, UnionType):
        return tuple(word for one in get_args(kind) for word in _words(one))
    field = getattr(kind, "model_fields", {}).get("type")
    return () if field is None else get_args(field.annotation)


def _of_model(kind: type[BaseModel], value: Any, at: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{at} is no object: {value!r}"
        return
    fields = {field.alias or name: field for name, field in kind.model_fields.items()}
    for name in fields.keys() - value.keys():
        yield f"{at}.{name} is missing ({kind.__name__})"
    for name in value.keys() - fields.keys():
        yield f"{at}.{name} is nothing that {kind.__name__} has"
    for name in fields.keys() & value.keys():
        yield from problems(fields[name].annotation, value[name], f"{at}.{name}")


def _plain(kind: Any, value: Any, at: str) -> Iterator[str]:
    try:
        TypeAdapter(kind).validate_python(value, strict=kind is not datetime)
    except ValidationError as error:
        yield f"{at}: {error}"


def message(response: httpx.Response) -> Json:
    """A whole answer that is exactly a Message."""
    assert response.status_code == 200, f"{response.status_code} {response.text}"
    told: Json = check(Message, response.json())
    return told


def refused(response: httpx.Response, status: int, kind: str) -> str:
    """Why a request was refused, in Anthropic's envelope."""
    assert response.status_code == status, f"{response.status_code} {response.text}"
    body = response.json()
    assert body["error"]["type"] == kind
    assert body["request_id"] == response.headers["request-id"] == response.headers["x-request-id"]
    if kind not in ("conflict_error", "request_too_large"):  # the SDK's union of errors leaves these out
        bare = {**body, "error": {name: value for name, value in body["error"].items() if name != "details"}}
        check(ErrorResponse, bare)
    why: str = body["error"]["message"]
    return why


def events_of(text: str) -> list[Json]:
    """The events of a stream, each exactly of its type and named by it, in the order that the API has them."""
    events = []
    for frame in text.split("\n\n"):
        if not frame.strip():
            continue
        name, data = frame.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        if event["type"] not in ("ping", "error"):
            check(RawMessageStreamEvent, event)
        events.append(event)
    kinds = [event["type"] for event in events if event["type"] != "ping"]
    if kinds[-1] == "error":
        return events
    assert kinds[0] == "message_start"
    assert kinds[-2:] == ["message_delta", "message_stop"]
    _check_blocks([event for event in events if event["type"].startswith("content_block")])
    return events


def _check_blocks(events: list[Json]) -> None:
    open_block = None
    count = 0
    for event in events:
        if event["type"] == "content_block_start":
            assert (open_block, event["index"]) == (None, count)
            open_block = count
        else:
            assert event["index"] == open_block
        if event["type"] == "content_block_stop":
            open_block, count = None, count + 1
    assert open_block is None


def folded(events: list[Json]) -> Json:
    """The Message that a stream comes to."""
    told: Json = {}
    arguments: dict[int, str] = {}
    for event in events:
        match event["type"]:
            case "message_start":
                told = json.loads(json.dumps(event["message"]))
            case "content_block_start":
                told["content"].append(dict(event["content_block"]))
            case "content_block_delta":
                _add(told["content"][event["index"]], event["delta"], arguments, event["index"])
            case "content_block_stop":
                if (text := arguments.get(event["index"])) is not None:
                    told["content"][event["index"]]["input"] = json.loads(text)
            case "message_delta":
                told |= event["delta"]
                told["usage"] |= event["usage"]
    return told


def _add(block: Json, delta: Json, arguments: dict[int, str], index: int) -> None:
    match delta["type"]:
        case "text_delta":
            block["text"] += delta["text"]
        case "thinking_delta":
            block["thinking"] += delta["thinking"]
        case "signature_delta":
            block["signature"] += delta["signature"]
        case "input_json_delta":
            arguments[index] = arguments.get(index, "") + delta["partial_json"]


def strict(told: T) -> T:
    """An object that the SDK made of an answer, when it has every field that its type asks for, and none unknown.

    Types of the beta say of a field that may be null not whether it may be missing; the order of the fields does. Those
    that are always there come first, `id` and then by the alphabet, and where the alphabet begins anew are the others.
    """
    type(told).model_validate(told.to_dict(mode="python"))
    assert list(lacking(told)) == []
    return told


def lacking(told: Any, at: str = "") -> Iterator[str]:
    """What is missing, and what is unknown, wherever it stands."""
    if isinstance(told, list):
        for number, one in enumerate(told):
            yield from lacking(one, f"{at}[{number}]")
    elif isinstance(told, dict):
        for name, one in told.items():
            yield from lacking(one, f"{at}.{name}")
    elif isinstance(told, SdkModel):
        kind = type(told)
        for name in required(kind) - told.model_fields_set:
            yield f"{at}.{name} is missing ({kind.__name__})"
        for name in told.model_extra or ():
            yield f"{at}.{name} is nothing that {kind.__name__} has"
        for name in told.model_fields_set & set(kind.model_fields):
            yield from lacking(getattr(told, name), f"{at}.{name}")


def required(kind: type[SdkModel]) -> set[str]:
    """The fields that are always there, with null if need be."""
    names = list(kind.model_fields)
    ordered = names[1:] if names[:1] == ["id"] else names
    first = next((at for at in range(1, len(ordered)) if ordered[at] < ordered[at - 1]), None)
    if first is not None:
        return {*names[: len(names) - len(ordered)], *ordered[:first]}
    return {name for name in names if kind.model_fields[name].is_required()}
