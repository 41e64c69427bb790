"""The Response object: what a request asked for, how far it is, and what came of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from claude_code_api import errors as err
from claude_code_api.api.openai_items.ids import response_id
from claude_code_api.api.openai_items.shapes import Item
from claude_code_api.api.openai_items.told import Telling, output_items
from claude_code_api.api.openai_responses.settings import UNSEEN
from claude_code_api.core.turn import Message, TurnCompleted, Usage
from claude_code_api.runtime.stored import ResponseStatus, StoredResponse

Object = dict[str, Any]

_CUT_SHORT = {
    "max_tokens": "max_output_tokens",
    "model_context_window_exceeded": "max_output_tokens",
    "refusal": "content_filter",
}
_CODES = {
    kind.code: theirs
    for theirs, kinds in {
        "rate_limit_exceeded": (err.UpstreamRateLimited, err.ConversationBusy, err.CapacityExceeded),
        "invalid_prompt": (
            *(err.InvalidRequest, err.UnsupportedParameter, err.SchemaNotTaken, err.InvalidFile, err.ModelNotFound),
            *(err.PreviousResponseNotFound, err.UpstreamRejected, err.ContextOverflow, err.ContentRefused),
        ),
        "invalid_image": (err.InvalidImage,),
        "invalid_image_url": (err.InvalidImageUrl,),
    }.items()
    for kind in kinds
}
"""Our codes as OpenAI's, whose list is closed; any other is a `server_error`."""


@dataclass(frozen=True, slots=True)
class Head:
    """What a response is, whatever becomes of it: its turn, the echo of its request, and what is told of an answer.

    `conversation_id` is None when the conversation cannot be named.
    """

    turn_id: str
    created_at: float
    settings: Mapping[str, Any]
    conversation_id: str | None
    telling: Telling

    @property
    def id(self) -> str:
        """The response's id."""
        return response_id(self.turn_id)

    @property
    def structured(self) -> bool:
        """Whether the request asked for a schema."""
        return bool(self.settings["text"]["format"]["type"] != "text")

    def refused(self, stop_reason: str) -> bool:
        """Whether the model declined to meet the schema: its text says why, and is no answer."""
        return self.structured and stop_reason == "refusal"

    def output(self, messages: Sequence[Message], stop_reason: str) -> list[Item]:
        """The items of a finished turn."""
        return output_items(self.turn_id, messages, self.telling, refused=self.refused(stop_reason))

    def pending(self, status: str) -> Object:
        """The response before its end: `queued` or `in_progress`."""
        return self._object(status)

    def ended(self, done: TurnCompleted, output: Sequence[Item], finished_at: float) -> Object:
        """The response of a turn that was completed, which may be an incomplete response."""
        came = {"model": done.model or self.settings["model"], "output": list(output), "usage": usage(done.usage)}
        reason = _CUT_SHORT.get(done.stop_reason)
        if reason is not None and not self.refused(done.stop_reason):
            return self._object("incomplete", **came, incomplete_details={"reason": reason})
        return self._object("completed", **came, completed_at=int(finished_at))

    def failed(self, code: str | None, message: str | None) -> Object:
        """The response of a turn that ended without an answer."""
        return self._object("failed", error=error(code, message))

    def cancelled(self) -> Object:
        """The response of a turn that somebody ended."""
        return self._object("cancelled")

    def _object(self, status: str, **more: Any) -> Object:
        return {
            "id": self.id,
            "object": "response",
            "created_at": int(self.created_at),
            "completed_at": None,
            "status": status,
            "error": None,
            "incomplete_details": None,
            **{name: value for name, value in self.settings.items() if name not in UNSEEN},
            "output": [],
            "usage": None,
            "conversation_id": self.conversation_id,
            **more,
        }


def stored(response: StoredResponse, telling: Telling) -> Object:
    """A response as it is kept."""
    head = head_of(response, telling)
    if response.status in (ResponseStatus.QUEUED, ResponseStatus.RUNNING):
        return head.pending(response.status.value)
    if response.status is ResponseStatus.CANCELLED:
        return head.cancelled()
    if response.turn is None:
        return head.failed(response.error_code, response.error_message)
    turn = response.turn
    done = TurnCompleted(turn.stop_reason, turn.model, turn.usage, None, turn.output)
    return head.ended(done, head.output(turn.output, turn.stop_reason), turn.finished_at)


def head_of(response: StoredResponse, telling: Telling) -> Head:
    """What a response is that was kept."""
    return Head(response.turn_id, response.created_at, response.settings, response.conversation_id, telling)


def error(code: str | None, message: str | None) -> Object:
    """A response's error. `code` is OpenAI's, ours is its `type`."""
    return {
        "code": _CODES.get(code or "", "server_error"),
        "message": message or "The turn ended without an answer.",
        "type": code,
    }


def usage(used: Usage) -> Object:
    """OpenAI's usage object; the input counts what the cache read and wrote as well."""
    return {
        "input_tokens": used.prompt_tokens,
        "input_tokens_details": {
            "cached_tokens": used.cache_read_tokens,
            "cache_write_tokens": used.cache_write_tokens,
        },
        "output_tokens": used.output_tokens,
        "output_tokens_details": {"reasoning_tokens": used.thinking_tokens},
        "total_tokens": used.prompt_tokens + used.output_tokens,
    }
