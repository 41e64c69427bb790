"""What single frames of the CLI say: tokens, blocks that came in one piece, MCP servers that are not there. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from claude_code_api.claude.control import Frame
from claude_code_api.core.turn import ServerFailed, Usage


def usage_of(usage: Frame) -> Usage:
    """The tokens of a `usage` object of the Messages API."""
    details = usage.get("output_tokens_details") or {}
    return Usage(
        input_tokens=int(usage.get("input_tokens") or 0),
        output_tokens=int(usage.get("output_tokens") or 0),
        cache_read_tokens=int(usage.get("cache_read_input_tokens") or 0),
        cache_write_tokens=int(usage.get("cache_creation_input_tokens") or 0),
        thinking_tokens=int(details.get("thinking_tokens") or 0),
    )


def deltas_of(block: Frame) -> list[Frame]:
    """A block that came in one piece, as the deltas that it would have been."""
    match block["type"]:
        case "text":
            return [{"type": "text_delta", "text": block["text"]}]
        case "thinking":
            signed = {"type": "signature_delta", "signature": block.get("signature") or ""}
            return [{"type": "thinking_delta", "thinking": block["thinking"]}, signed]
        case "tool_use":
            return [{"type": "input_json_delta", "partial_json": json.dumps(block["input"])}]
    return []


def unreached(init: Frame, servers: Mapping[str, str]) -> Iterator[ServerFailed]:
    """Those of an agent's MCP servers whose tools are not there. `servers` tell why, where that is known."""
    states = {server["name"]: server["status"] for server in init.get("mcp_servers") or ()}
    for name, why in servers.items():
        if (state := states.get(name)) != "connected":
            yield ServerFailed(name, why or f"It is not connected ({state or 'unknown'}).")
