"""Frames as the real CLI sends them (2.1.330), as far as they matter."""

from __future__ import annotations

from typing import Any

Frame = dict[str, Any]

TURN = "56464352-da59-4e3b-8205-a726851aff85"
SESSION = "12ca24f8-2450-4b8d-ab70-dfdd6e805273"
MODEL = "claude-sonnet-5-5"


def lifecycle(state: str, turn: str = TURN) -> Frame:
    return {"type": "command_lifecycle", "command_uuid": turn, "state": state, "uuid": "u", "session_id": SESSION}


def system(subtype: str, **more: Any) -> Frame:
    return {"type": "system", "subtype": subtype, "session_id": SESSION, "uuid": "u", **more}


def retry(status: int | None, error: str, delay_ms: float) -> Frame:
    return system("api_retry", attempt=1, max_retries=10, retry_delay_ms=delay_ms, error_status=status, error=error)


def stream(event: Frame, **more: Any) -> Frame:
    return {
        "type": "stream_event",
        "event": event,
        "session_id": SESSION,
        "parent_tool_use_id": None,
        "uuid": "u",
        **more,
    }


def message_start(identity: str = "msg_1", model: str = MODEL, **usage: int) -> Frame:
    message = {"id": identity, "type": "message", "role": "assistant", "model": model, "content": [], "usage": usage}
    return stream({"type": "message_start", "message": message})


def text(text: str, **more: Any) -> Frame:
    delta = {"type": "text_delta", "text": text}
    return stream({"type": "content_block_delta", "index": 0, "delta": delta}, **more)


def call_start(call: Frame, index: int = 0) -> Frame:
    block = {**call, "input": {}}
    return stream({"type": "content_block_start", "index": index, "content_block": block})


def arguments(piece: str, index: int = 0) -> Frame:
    delta = {"type": "input_json_delta", "partial_json": piece}
    return stream({"type": "content_block_delta", "index": index, "delta": delta})


def thinking(text: str) -> Frame:
    delta = {"type": "thinking_delta", "thinking": text}
    return stream({"type": "content_block_delta", "index": 0, "delta": delta})


def message_stop() -> Frame:
    return stream({"type": "message_stop"})


def message_abandoned(identity: str = "msg_1", from_block: int = 0) -> Frame:
    lost = {"api_message_id": identity, "from_block_index": from_block}
    return stream({"type": "message_stop"}, abandoned_blocks=lost)


def assistant(*blocks: Frame, identity: str = "msg_1", uuid: str = "leaf_1", **more: Any) -> Frame:
    message = {"id": identity, "type": "message", "role": "assistant", "model": MODEL, "content": list(blocks)}
    return {
        "type": "assistant",
        "message": message,
        "parent_tool_use_id": None,
        "session_id": SESSION,
        "uuid": uuid,
        **more,
    }


def tool_results(*blocks: Frame, uuid: str = "leaf_2") -> Frame:
    message = {"role": "user", "content": list(blocks)}
    return {"type": "user", "message": message, "parent_tool_use_id": None, "session_id": SESSION, "uuid": uuid}


def message_delta(stop_reason: str, **usage: int) -> Frame:
    usage = usage or {"output_tokens": 46}
    return stream({"type": "message_delta", "delta": {"stop_reason": stop_reason}, "usage": usage})


def synthetic(text: str, uuid: str) -> Frame:
    """A message that the CLI puts into the user's mouth."""
    message = {"role": "user", "content": [{"type": "text", "text": text}]}
    return {
        "type": "user",
        "message": message,
        "isSynthetic": True,
        "parent_tool_use_id": None,
        "session_id": SESSION,
        "uuid": uuid,
    }


def said(text: str) -> Frame:
    return {"type": "text", "text": text}


def calling(identity: str, name: str = "mcp__client__weather", /, **arguments: Any) -> Frame:
    """The block of a call; the client's tools have a prefix."""
    return {"type": "tool_use", "id": identity, "name": name, "input": arguments}


def resulting(identity: str, content: Any, **more: Any) -> Frame:
    return {"type": "tool_result", "tool_use_id": identity, "content": content, **more}


def api_error(text: str, kind: str = "unknown") -> Frame:
    """How the CLI puts an API error into the conversation."""
    frame = assistant(said(text), identity="7c29d13e", uuid="synthetic", error=kind, is_api_error_message=True)
    frame["message"]["model"] = "<synthetic>"
    return frame


def result(**more: Any) -> Frame:
    usage = {
        "input_tokens": 124,
        "cache_creation_input_tokens": 7,
        "cache_read_input_tokens": 1000,
        "output_tokens": 46,
        "output_tokens_details": {"thinking_tokens": 5},
        "service_tier": "standard",
    }
    return {
        "type": "result",
        "subtype": "success",
        "is_error": False,
        "stop_reason": "end_turn",
        "result": "Hello.",
        "usage": usage,
        "total_cost_usd": 0.0007,
        "session_id": SESSION,
        "uuid": "u",
        **more,
    }


def failed(status: int | None, said: str, **more: Any) -> Frame:
    """The result of a turn that ends on an API failure; the CLI calls it a success."""
    return result(is_error=True, stop_reason="stop_sequence", api_error_status=status, result=said, **more)
