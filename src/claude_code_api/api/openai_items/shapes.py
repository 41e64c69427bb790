"""How items and their parts look, each of them completed. A stream begins with the same ones. Pure."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any, Literal

from claude_code_api.api.openai_items.packed import packed_thought
from claude_code_api.core.turn import Block

Item = dict[str, Any]
Hide = Callable[[Any], Any]

_SERVER = "claude_code"
_WEB = {"WebSearch": ("search", "query"), "WebFetch": ("open_page", "url")}


def message(identity: str, role: str, content: list[Item]) -> Item:
    """A message of its parts."""
    return {"id": identity, "type": "message", "status": "completed", "role": role, "content": content}


def output_text(text: str) -> Item:
    """What the assistant said."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def refusal(text: str) -> Item:
    """Why the assistant did not answer."""
    return {"type": "refusal", "refusal": text}


def input_text(text: str) -> Item:
    """What somebody else said."""
    return {"type": "input_text", "text": text}


def shown(block: Block) -> Item:
    """What a user shows or a tool gives, as the part that it came as."""
    if block["type"] == "text":
        return input_text(block["text"])
    source = block["source"]
    data = source["data"]
    if source["type"] == "text":
        data = base64.b64encode(data.encode()).decode()
    url = f"data:{source['media_type']};base64,{data}"
    if block["type"] == "image":
        return {"type": "input_image", "image_url": url, "detail": "auto"}
    named = {"filename": block["title"]} if "title" in block else {}
    return {"type": "input_file", "file_data": url, **named}


def reasoning(identity: str, text: str | None, block: Block | None) -> Item:
    """What the model thought; `block` is for the client to send back."""
    summary = [{"type": "summary_text", "text": text}] if text else []
    item: Item = {"id": identity, "type": "reasoning", "summary": summary, "status": "completed"}
    return item if block is None else {**item, "encrypted_content": packed_thought(block)}


def function_call(identity: str, call_id: str, name: str, arguments: str, namespace: str | None = None) -> Item:
    """A call of a client's tool, which may be in a namespace."""
    call = {
        "id": identity,
        "type": "function_call",
        "status": "completed",
        "call_id": call_id,
        "name": name,
        "arguments": arguments,
    }
    return call if namespace is None else {**call, "namespace": namespace}


def function_call_output(identity: str, result: Block) -> Item:
    """What a client's tool gave: text, or parts when there is more than that."""
    content = result.get("content") or ""
    output: str | list[Item] = content
    if not isinstance(content, str):
        is_text = all(part["type"] == "text" for part in content)
        output = "".join(part["text"] for part in content) if is_text else [shown(part) for part in content]
    return {
        "id": identity,
        "type": "function_call_output",
        "status": "completed",
        "call_id": result["tool_use_id"],
        "output": output,
    }


def agent_prefix(name: str) -> Literal["ws", "mcp"]:
    """What the id of an agent's call of this tool begins with."""
    return "ws" if name in _WEB else "mcp"


def agent_call(identity: str, name: str, given: Item, result: str | None, *, failed: bool, hide: Hide) -> Item:
    """What an agent did with a tool of its own. `result` is None when it is not known what came of it."""
    given = hide(given)
    status = "incomplete" if result is None else "failed" if failed else "completed"
    if name in _WEB:
        action, field = _WEB[name]
        looked = {"type": action, field: str(given.get(field, ""))}
        return {"id": identity, "type": "web_search_call", "status": status, "action": looked}
    server, tool = _SERVER, name
    if name.startswith("mcp__") and name.count("__") > 1:
        _, server, tool = name.split("__", 2)
    text = None if result is None else hide(result)
    return {
        "id": identity,
        "type": "mcp_call",
        "status": status,
        "approval_request_id": None,
        "server_label": server,
        "name": tool,
        "arguments": json_text(given),
        "output": None if failed else text,
        "error": {"type": "mcp_tool_execution_error", "content": [{"type": "text", "text": text}]} if failed else None,
    }


def json_text(value: Any) -> str:
    """A call's arguments, as a model would have written them."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
