"""The client's tools as an MCP server inside this process, and the calls that wait for the client.

The CLI asks over its control protocol what tools there are, and calls them; a call is answered when the client's result
comes, a moment or an hour later, and the CLI stands still until then. Pure: takes the CLI's messages, returns answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from claude_code_api.core.toolbox import CLIENT_SERVER
from claude_code_api.core.turn import Block, Message, Options, Tool

SERVER = CLIENT_SERVER
PREFIX = f"mcp__{SERVER}__"
"""What the CLI puts before the name of a tool; no client ever sees it."""

_RESULT_LIMIT = 500_000
"""Characters, the most that the CLI takes: it puts a longer result into a file and tells the model so."""

Rpc = dict[str, Any]

_OURS: Rpc = {SERVER: {"type": "sdk", "name": SERVER}}
_LIST_CHANGED: Rpc = {
    "subtype": "mcp_message",
    "server_name": SERVER,
    "message": {"jsonrpc": "2.0", "method": "notifications/tools/list_changed"},
}
"""After this control request, and when the server appears, the CLI asks for the tools."""


class ClientTools:
    """The tools that the CLI knows of, and its open calls. Others can be added to `offered`, and none be taken away.

    `beside` are the MCP servers that an agent has beside this one, as the CLI is told of them.
    """

    def __init__(self) -> None:
        self.offered: tuple[Tool, ...] = ()
        self.beside: dict[str, Rpc] = {}
        self._open: dict[str, tuple[str, Any]] = {}

    @property
    def names(self) -> frozenset[str]:
        """The tools' names as the CLI has them."""
        return frozenset(PREFIX + tool.name for tool in self.offered)

    @property
    def open(self) -> frozenset[str]:
        """The ids of the calls that wait."""
        return frozenset(self._open)

    def covered_by(self, tools: Iterable[Tool]) -> bool:
        """Whether these are what the CLI knows of, and perhaps more."""
        named = {tool.name: tool for tool in tools}
        return all(named.get(tool.name) == tool for tool in self.offered)

    def offer(self, tools: tuple[Tool, ...]) -> Rpc | None:
        """Know these tools from now on; returns the control request that tells the CLI of what is new, if any is."""
        before, self.offered = self.offered, tools
        if len(before) == len(tools):
            return None
        return _LIST_CHANGED if before else self.servers()

    def servers(self) -> Rpc:
        """The control request that tells the CLI of all servers: those that it leaves out would go."""
        return {"subtype": "mcp_set_servers", "servers": {**self.beside, **(_OURS if self.offered else {})}}

    def take(self, request_id: str, message: Rpc) -> tuple[Rpc | None, str | None]:
        """Take a JSON-RPC message. Returns the answer, None for a call that waits now, and that call's id."""
        method, number = message.get("method"), message.get("id")
        if method == "tools/call":
            call = str(message["params"]["_meta"]["claudecode/toolUseId"])
            self._open[call] = (request_id, number)
            return None, call
        if method == "notifications/cancelled":
            cancelled = message["params"]["requestId"]
            self._open = {call: one for call, one in self._open.items() if one[1] != cancelled}
        if number is None:
            return {"jsonrpc": "2.0", "result": {}}, None
        return {"jsonrpc": "2.0", "id": number, "result": self._result(method, message)}, None

    def answer(self, result: Block) -> tuple[str, Rpc]:
        """The answer to the open call that a `tool_result` block is for, and the control request it belongs to."""
        request_id, number = self._open.pop(result["tool_use_id"])
        outcome = {"content": result.get("content") or [], "isError": bool(result.get("is_error"))}
        return request_id, {"jsonrpc": "2.0", "id": number, "result": outcome}

    def _result(self, method: str | None, message: Rpc) -> Rpc:
        if method == "initialize":
            return {
                "protocolVersion": message["params"]["protocolVersion"],
                "capabilities": {"tools": {"listChanged": True}},
                "serverInfo": {"name": SERVER, "version": "1"},
            }
        if method == "tools/list":
            return {"tools": [_described(tool) for tool in self.offered]}
        return {}


def _described(tool: Tool) -> Rpc:
    return {
        "name": tool.name,
        "description": tool.description,
        "inputSchema": {"type": "object", **tool.schema},
        "annotations": {"readOnlyHint": True},  # without it, calls of one answer come one after another
        "_meta": {"anthropic/maxResultSizeChars": _RESULT_LIMIT, "anthropic/alwaysLoad": True},
    }


def tools_for(options: Options, known: tuple[Tool, ...], *, beside: bool) -> tuple[Tool, ...]:
    """The tools that the CLI has to know of for a turn, when it knows of some already.

    Those that this turn may not call stay known, because the history may hold calls of them, and are forbidden. But to
    forbid every tool would forbid those that the CLI has `beside` the client's, an agent's or the one that makes a
    structured answer: there they must not be known at all.
    """
    if options.tools and (options.tool_choice.kind != "none" or not beside):
        return options.tools
    return () if beside else known


def stubs(history: Iterable[Message]) -> tuple[Tool, ...]:
    """Tools for the calls that a history holds: the Messages API wants to know the tools of all it is shown."""
    names = {
        block["name"]: None
        for message in history
        for block in message.content
        if block["type"] == "tool_use" and not block.get("internal")
    }
    return tuple(Tool(name, "Not available any more.", {"properties": {}}) for name in names)


def to_cli(block: Block) -> Block:
    """A block of ours as a transcript of the CLI has it."""
    if block.get("internal"):
        return {key: value for key, value in block.items() if key not in ("internal", "activity")}
    if block["type"] == "tool_use":
        return {**block, "name": PREFIX + block["name"]}
    return block


def declined(call: str) -> Block:
    """The result of a call that no client will ever hear of."""
    said = [{"type": "text", "text": "This tool can be used in the answer to the user only."}]
    return {"type": "tool_result", "tool_use_id": call, "content": said, "is_error": True}


def results_of(content: Iterable[Block]) -> Mapping[str, Block]:
    """The tool results in a message, by the call they are for."""
    return {block["tool_use_id"]: block for block in content if block["type"] == "tool_result"}
