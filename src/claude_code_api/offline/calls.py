"""Which tools the offline model calls: what the text and its directives ask for, within `tool_choice`. Pure."""

from __future__ import annotations

import re
from typing import Any

from claude_code_api.offline.arguments import example_of, wrong_for
from claude_code_api.offline.dialogue import (
    STRUCTURED_OUTPUT,
    Body,
    attempts_at_output,
    is_structured_output,
    new_results,
    speaks_anew,
)
from claude_code_api.offline.directives import Directives

_INNER = frozenset({STRUCTURED_OUTPUT, "DeferredToolPlaceholder"})
"""What the CLI offers for itself alone."""

_WORD = re.compile(r"[a-z]+")
_VERBS = frozenset({"create", "delete", "fetch", "lookup", "remember", "search", "update", "write"})

_SERVER = re.compile(r"mcp__.+?__(?=.)")

Planned = tuple[Body, dict[str, Any] | None]
"""A tool, and the arguments if they are spelled out."""


def tool_calls(body: Body, text: str, directives: Directives) -> list[Body]:
    """The `tool_use` blocks of the answer; `text` is what the user last said, without directives."""
    choice = body.get("tool_choice") or {}
    planned = _planned(body, text, directives, choice)
    if choice.get("disable_parallel_tool_use"):
        planned = planned[:1]
    spoiled = attempts_at_output(body) < directives.bad_output
    calls = []
    for number, (tool, arguments) in enumerate(planned):
        if arguments is None:
            arguments = example_of({"type": "object", **tool["input_schema"]}, text, number)
            if spoiled and tool["name"] == STRUCTURED_OUTPUT:
                arguments = wrong_for(tool["input_schema"], arguments)
        id_ = f"toolu_offline_{len(body['messages'])}_{number}"
        calls.append({"type": "tool_use", "id": id_, "name": tool["name"], "input": arguments})
    return calls


def refusal(body: Body) -> str | None:
    """Why the Messages API would not take these `stop_sequences` or this `tool_choice`, in its words."""
    if any(not sequence.strip() for sequence in body.get("stop_sequences") or ()):
        return "stop_sequences: each stop sequence must contain non-whitespace"
    choice = body.get("tool_choice") or {}
    if choice.get("type") not in ("any", "tool"):
        return None
    tools = body.get("tools") or []
    if not tools:
        return "tool_choice: tool_choice may only be specified while providing tools"
    if choice["type"] == "tool" and choice.get("name") not in [tool["name"] for tool in tools]:
        return f"tool_choice: Tool '{choice.get('name')}' not found in provided tools"
    if (body.get("thinking") or {}).get("type") == "enabled":
        return "Thinking may not be enabled when tool_choice forces tool use."
    return None


def missing_tools(body: Body, directives: Directives) -> list[str]:
    """The tools that a new message spells out calls of, and that are not offered."""
    if not speaks_anew(body):
        return []
    return [call.tool for call in directives.call if _find(_usable(body), call.tool) is None]


def plain_name(name: str) -> str:
    """A tool's name as its owner knows it, without the CLI's `mcp__server__`."""
    return _SERVER.sub("", name, count=1) if name.startswith("mcp__") else name


def _planned(body: Body, text: str, directives: Directives, choice: Body) -> list[Planned]:
    kind = choice.get("type", "auto")
    tools = _usable(body)
    if kind == "none":
        return []
    if kind == "tool":
        tools = [tool for tool in tools if tool["name"] == choice.get("name")]
    # A directive is spent when its results have come; what the client forces is not.
    if speaks_anew(body) and (directed := _directed(tools, directives)):
        return directed
    if kind == "auto":
        return [(tool, None) for tool in _volunteered(body, tools, text, directives)]
    wished = _wished(tools, text) if kind == "any" else []
    return [(tool, None) for tool in wished or (_client_tools(tools) or tools)[:1]]


def _directed(tools: list[Body], directives: Directives) -> list[Planned]:
    found = [(_find(tools, call.tool), call.arguments) for call in directives.call]
    planned = [(tool, arguments) for tool, arguments in found if tool is not None]
    if client := _client_tools(tools):
        planned += [(client[number % len(client)], None) for number in range(directives.calls)]
    return planned


def _volunteered(body: Body, tools: list[Body], text: str, directives: Directives) -> list[Body]:
    """What it calls when it is free to: StructuredOutput to end a turn, else what the text asks for."""
    if directives.prose:
        tools = [tool for tool in tools if tool["name"] != STRUCTURED_OUTPUT]
    results = new_results(body)
    if not results:
        return _wished(tools, text)
    given = [result for result in results if is_structured_output(body, result) and not result.get("is_error")]
    return [] if given else [tool for tool in tools if tool["name"] == STRUCTURED_OUTPUT]


def _wished(tools: list[Body], text: str) -> list[Body]:
    """The tools that the text asks for, once each or, with one tool and several calls, twice."""
    if structured := [tool for tool in tools if tool["name"] == STRUCTURED_OUTPUT]:
        return structured
    asked = text.lower()
    chosen = [tool for tool in tools if plain_name(tool["name"]).lower() in asked]
    if not chosen:
        chosen = [
            tool for tool in tools if tool["name"].startswith("mcp__") and _subjects(tool) & set(_WORD.findall(asked))
        ]
    if not chosen and re.search(r"\b(call|use) (a|the|both|two)? ?tools?\b", asked):
        chosen = _client_tools(tools)
    if not re.search(r"\b(both|two|parallel|each)\b", asked):
        return chosen[:1]
    return chosen * 2 if len(chosen) == 1 else chosen


def _subjects(tool: Body) -> set[str]:
    """The words of a tool's name that say what it is about: `weather` of `get_weather`."""
    return {word for word in _WORD.findall(plain_name(tool["name"]).lower()) if len(word) > 4} - _VERBS


def _usable(body: Body) -> list[Body]:
    """The offered tools whose calls are for the client to carry out."""
    return [tool for tool in body.get("tools") or () if "input_schema" in tool]


def _client_tools(tools: list[Body]) -> list[Body]:
    """The tools of the CLI's user: where there are MCP tools, the CLI's own are not among them."""
    bridged = [tool for tool in tools if tool["name"].startswith("mcp__")]
    return bridged or [tool for tool in tools if tool["name"] not in _INNER]


def _find(tools: list[Body], name: str) -> Body | None:
    exact = [tool for tool in tools if tool["name"] == name]
    return next(iter(exact or [tool for tool in tools if plain_name(tool["name"]) == name]), None)
