"""Folds a response's events back into what they say, by the rules that clients go by, and strictly.

Every event is checked against the official SDK's type of it, and against the Open Responses specification's where that
knows what it holds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, get_args

import openresponses_types.types as spec
from openai import omit
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types import responses as sdk
from openai.types.responses.response_stream_event import ResponseStreamEvent
from pydantic import BaseModel

Object = dict[str, Any]

_IN_SPEC = ("message", "function_call", "reasoning")
_ENDS = ("response.completed", "response.incomplete", "response.failed")
_EMPTY: Mapping[str, Object] = {
    "message": {"content": []},
    "reasoning": {"summary": []},
    "function_call": {"arguments": ""},
    "mcp_call": {"arguments": "", "output": None, "error": None},
    "web_search_call": {},
}


def _sdk_models() -> dict[str, type[BaseModel]]:
    union = get_args(ResponseStreamEvent)[0]
    return {get_args(model.model_fields["type"].annotation)[0]: model for model in get_args(union)}


def _spec_models() -> dict[str, type[BaseModel]]:
    found = {}
    for name, model in vars(spec).items():
        if name.endswith("StreamingEvent") and (kind := model.model_fields["type"].annotation) is not None:
            found[next(iter(kind)).value] = model
    return found


SDK, SPEC = _sdk_models(), _spec_models()


def check_response(response: Object) -> None:
    """The response is what the SDK and the specification say a response is."""
    text = json.dumps(response, allow_nan=False)
    sdk.Response.model_validate_json(text, strict=True)
    if _is_in_spec(response):
        spec.ResponseResource.model_validate_json(text, strict=True)


def _is_in_spec(response: Object) -> bool:
    """What an agent did is no item of the specification; a schema in the echo is null in the types made of it."""
    is_plain = response["text"]["format"]["type"] != "json_schema"
    return is_plain and all(item["type"] in _IN_SPEC for item in response["output"])


def check_event(event: Object) -> None:
    """The event is what the SDK and the specification say it is."""
    text = json.dumps(event, allow_nan=False)
    kind = event["type"]
    SDK[kind].model_validate_json(text, strict=True)
    if "response" in event:
        check_response(event["response"])
    if kind not in SPEC or not _is_in_spec(event.get("response", {"text": {"format": {"type": ""}}, "output": []})):
        return
    if event.get("item", {"type": "message"})["type"] in _IN_SPEC:
        SPEC[kind].model_validate_json(text, strict=True)


class Folded:
    """What events said. `items` are those that were told, in their order; `end` is the last event's response."""

    def __init__(self) -> None:
        self.items: list[Object] = []
        self.done: list[int] = []
        self.end: Object | None = None
        self.error: Object | None = None
        self._kinds: list[str] = []
        self._open_parts: dict[tuple[int, int], Object] = {}
        self._final: dict[tuple[int, str], str] = {}

    def take(self, event: Object) -> None:
        """Take the next event."""
        kind = event["type"]
        assert event["sequence_number"] == len(self._kinds)
        assert self.end is None, f"{kind} behind the end"
        self._kinds.append(kind)
        if "response" in event:
            self._lifecycle(kind, event["response"])
        elif kind == "error":
            assert self.error is None
            self.error = event["error"]
            assert {name: event[name] for name in ("code", "message", "param")} == {
                name: event["error"][name] for name in ("code", "message", "param")
            }
        elif kind == "response.output_item.added":
            self._added(event["output_index"], event["item"])
        elif kind == "response.output_item.done":
            self._done(event["output_index"], event["item"])
        else:
            self._within(kind, event)

    def _lifecycle(self, kind: str, response: Object) -> None:
        status = kind.removeprefix("response.")
        before = self._kinds[:-1]
        if kind == "response.created":
            assert before == []
            assert response["status"] in ("in_progress", "queued")
        elif kind == "response.queued":
            assert before == ["response.created"]
            assert response["status"] == "queued"
        elif kind == "response.in_progress":
            assert before in (["response.created"], ["response.created", "response.queued"])
            assert response["status"] == "in_progress"
        else:
            assert kind in _ENDS
            assert response["status"] == status or (status, response["status"]) == ("failed", "cancelled")
            self.end = response
        if kind not in _ENDS:
            assert (response["output"], response["usage"], response["completed_at"]) == ([], None, None)
        if kind in ("response.completed", "response.incomplete"):
            assert sorted(self.done) == list(range(len(self.items))), "an item is not done"
        if kind == "response.failed":
            assert self.error is not None

    def _added(self, index: int, item: Object) -> None:
        assert "response.in_progress" in self._kinds
        assert index == len(self.items)
        assert item["id"] not in [one["id"] for one in self.items]
        assert {name: item[name] for name in _EMPTY[item["type"]]} == _EMPTY[item["type"]]
        assert item["status"] == "in_progress"
        assert item.get("encrypted_content") is None
        self.items.append(json.loads(json.dumps(item)))

    def _done(self, index: int, item: Object) -> None:
        held = self.items[index]
        assert index not in self.done
        assert held["id"] == item["id"]
        assert item["status"] != "in_progress"
        assert not [where for where in self._open_parts if where[0] == index], "a part is not done"
        for name in ("content", "summary"):
            assert held.get(name) == item.get(name)
        if "arguments" in item:
            assert held["arguments"] == item["arguments"] == self._final[index, "arguments"]
        if item["type"] == "mcp_call" and item["status"] != "incomplete":
            assert self._final[index, "came out"] == item["status"]
        if item["type"] == "web_search_call":
            assert (index, "searching") in self._final
        self.done.append(index)
        self.items[index] = item

    def _within(self, kind: str, event: Object) -> None:
        index = event["output_index"]
        item = self.items[index]
        assert item["id"] == event["item_id"]
        assert index not in self.done, f"{kind} behind the item's end"
        what, step = kind.removeprefix("response.").rsplit(".", 1)
        if what in ("content_part", "reasoning_summary_part"):
            self._part(index, step, event)
        elif what in ("output_text", "refusal", "reasoning_summary_text"):
            self._text(index, "refusal" if what == "refusal" else "text", step, event)
        elif what in ("function_call_arguments", "mcp_call_arguments"):
            assert item["type"] == what.removesuffix("_arguments")
            assert (index, "arguments") not in self._final
            if step == "delta":
                assert event["delta"]
                item["arguments"] += event["delta"]
            else:
                assert event["arguments"] == item["arguments"]
                assert event.get("name", item["name"]) == item["name"]
                self._final[index, "arguments"] = item["arguments"]
        else:
            assert what == item["type"]
            assert step in ("in_progress", "searching", "completed", "failed")
            assert (index, step) not in self._final
            self._final[index, step] = step
            if step in ("completed", "failed"):
                self._final[index, "came out"] = step

    def _part(self, index: int, step: str, event: Object) -> None:
        name, number = _place(event)
        parts = self.items[index][name]
        if step == "added":
            assert number == len(parts)
            assert not [where for where in self._open_parts if where[0] == index], "a part before is not done"
            assert event["part"].get("text", event["part"].get("refusal")) == ""
            parts.append(dict(event["part"]))
            self._open_parts[index, number] = parts[-1]
        else:
            assert event["part"] == self._open_parts.pop((index, number))
            assert (index, f"text {number}") in self._final

    def _text(self, index: int, field: str, step: str, event: Object) -> None:
        number = _place(event)[1]
        part = self._open_parts[index, number]
        assert (index, f"text {number}") not in self._final
        if step == "delta":
            assert event["delta"]
            part[field] += event["delta"]
        else:
            assert event[field] == part[field]
            self._final[index, f"text {number}"] = part[field]


def _place(event: Object) -> tuple[str, int]:
    if "summary_index" in event:
        return "summary", event["summary_index"]
    return "content", event["content_index"]


def folded(events: Sequence[Mapping[str, Any]], *, checked: bool = True) -> Folded:
    """Fold all events, each of which is `checked` by its type."""
    result = Folded()
    for event in events:
        if checked:
            check_event(dict(event))
        result.take(dict(event))
    return result


def told(events: Sequence[Mapping[str, Any]], *, checked: bool = True) -> Object:
    """The final response of a whole stream, whose items are what was told item by item; the SDK says so, too."""
    result = folded(events, checked=checked)
    assert result.end is not None
    if result.end["status"] in ("completed", "incomplete"):
        whole = [item for item in result.items if item in result.end["output"]]
        assert whole == result.end["output"]
        assert all(item["status"] == "incomplete" for item in result.items if item not in result.end["output"])
    if result.end["status"] == "completed":
        state: ResponseStreamState[object] = ResponseStreamState(input_tools=omit, text_format=omit)
        for event in events:
            one: Any = SDK[event["type"]].model_validate(event)
            state.handle_event(one)
        assert state._completed_response is not None
        output = [item.model_dump(mode="json", exclude_unset=True) for item in state._completed_response.output]
        assert [item["id"] for item in output] == [item["id"] for item in result.end["output"]]
    return result.end
