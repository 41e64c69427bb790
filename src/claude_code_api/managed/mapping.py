"""From an agent, as a session keeps it, to what a turn is asked with, and from Claude Code's tools to its. Pure.

An implicit agent stands for a conversation that was made in another dialect: it asks for nothing but its model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from claude_code_api.core.profiles import AGENT, CHAT
from claude_code_api.core.toolbox import Decision, McpServer, Permissions, PlacedFile, Skill, Toolbox
from claude_code_api.core.turn import Effort, Options, Tool
from claude_code_api.managed.ids import IMPLICIT_AGENTS
from claude_code_api.managed.session_store import Json
from claude_code_api.managed.tools import CUSTOM, MCP_TOOLSET, TOOLSET

TOOLS: Mapping[str, str] = {
    "bash": "Bash",
    "edit": "Edit",
    "read": "Read",
    "write": "Write",
    "glob": "Glob",
    "grep": "Grep",
    "web_fetch": "WebFetch",
    "web_search": "WebSearch",
}
"""The tools of `agent_toolset_20260401`, and what Claude Code calls them."""

NAMES: Mapping[str, str] = {theirs: ours for ours, theirs in TOOLS.items()}

_DECISIONS: Mapping[str, Decision] = {"always_allow": "allow", "always_ask": "ask"}
_MCP = "mcp__"


@dataclass(frozen=True, slots=True)
class Asked:
    """What every turn of a session is asked with. `system` and `toolbox` None leave the conversation's own."""

    model: str
    profile: str
    system: str | None
    options: Options
    toolbox: Toolbox | None


def asked_of(
    agent: Json,
    *,
    is_implicit: bool,
    resolve: Callable[[str], str],
    files: Sequence[PlacedFile] = (),
    skills: Sequence[Skill] = (),
    own: Toolbox | None = None,
) -> Asked:
    """What an agent means for its turns. `resolve` finds the model that a name means.

    `own` is the toolbox of the conversation that an implicit agent stands for: it keeps it, and finds the files there.
    """
    model = resolve(agent["model"]["id"])
    if is_implicit:
        toolbox = own if not files else _with(own or Toolbox(), files)
        options = Options() if toolbox is None else Options(permissions=toolbox.permissions)
        return Asked(model, profile_of(agent), None, options, toolbox)
    permissions, tools = _permissions(agent["tools"]), _custom(agent["tools"])
    options = Options(tools=tools, effort=_effort(agent), permissions=permissions)
    toolbox = Toolbox(
        tools=_built_in(agent["tools"]),
        servers=tuple(McpServer(one["name"], one["url"]) for one in agent["mcp_servers"]),
        skills=tuple(skills),
        files=tuple(files),
        permissions=permissions,
    )
    return Asked(model, AGENT, _system(agent, files), options, toolbox)


def _with(toolbox: Toolbox, files: Sequence[PlacedFile]) -> Toolbox:
    placed = {one.path for one in files}
    return replace(toolbox, files=(*(one for one in toolbox.files if one.path not in placed), *files))


def profile_of(agent: Json) -> str:
    """The kind of session that an agent is, an implicit one included."""
    return CHAT if agent["id"] == IMPLICIT_AGENTS[CHAT] else AGENT


def implicit_agent(profile: str, model: str, system: str) -> Json:
    """It, as a session shows it."""
    is_chat = profile == CHAT
    return {
        "id": IMPLICIT_AGENTS[profile],
        "type": "agent",
        "version": 1,
        "name": "Chat" if is_chat else "Agent",
        "description": f"A conversation that was not begun as a session: the profile {profile}.",
        "model": {"id": model, "speed": "standard", "effort": {"type": "high"}, "inference_geo": None},
        "system": system or None,
        "tools": [] if is_chat else [_all_tools()],
        "mcp_servers": [],
        "skills": [],
        "multiagent": None,
        "execution_identity": {"type": "service_account"},
    }


def called(name: str) -> tuple[str, str | None]:
    """What a tool of Claude Code's is called in events, and the MCP server that it is of, if it is of one."""
    if name.startswith(_MCP):
        server, _, tool = name.removeprefix(_MCP).partition("__")
        return tool, server
    return NAMES.get(name, name), None


def evaluation_of(decision: Decision) -> Json | None:
    """Which policy led to a decision; None when the tool is not there to be used at all."""
    if decision == "deny":
        return None
    return {"type": "always_ask" if decision == "ask" else "always_allow"}


def _system(agent: Json, files: Sequence[PlacedFile]) -> str:
    told = [agent["system"] or ""]
    if files:
        listed = "\n".join(f"- {one.path}" for one in files)
        told.append(f"Files of the user, in your working directory:\n{listed}")
    return "\n\n".join(filter(None, told))


def _effort(agent: Json) -> Effort | None:
    effort = agent["model"].get("effort")
    return None if effort is None else effort["type"]


def _built_in(tools: Sequence[Json]) -> tuple[str, ...]:
    """Claude Code's tools that the agent has: none without a toolset."""
    return tuple(
        theirs for ours, theirs in TOOLS.items() for toolset in tools if _is_toolset(toolset) and _of(toolset, ours)[0]
    )


def _permissions(tools: Sequence[Json]) -> Permissions:
    rules: list[tuple[str, Decision]] = []
    for tool in tools:
        if _is_toolset(tool):
            rules += [(theirs, _of(tool, ours)[1]) for ours, theirs in TOOLS.items()]
        elif tool["type"] == MCP_TOOLSET:
            server = f"{_MCP}{tool['mcp_server_name']}"
            rules += [(f"{server}__{one['name']}", _decision(one)) for one in tool["configs"]]
            rules.append((server, _decision(tool["default_config"])))
    return Permissions(tuple(rules))


def _custom(tools: Sequence[Json]) -> tuple[Tool, ...]:
    return tuple(
        Tool(tool["name"], tool["description"], tool["input_schema"]) for tool in tools if tool["type"] == CUSTOM
    )


def _is_toolset(tool: Json) -> bool:
    return bool(tool["type"] == TOOLSET)


def _of(toolset: Json, name: str) -> tuple[bool, Decision]:
    """Whether a tool of a toolset is there, and what becomes of its calls."""
    config = next((one for one in toolset["configs"] if one["name"] == name), toolset["default_config"])
    return config["enabled"], _decision(config)


def _decision(config: Json) -> Decision:
    return _DECISIONS[config["permission_policy"]["type"]] if config["enabled"] else "deny"


def _all_tools() -> Json:
    return {
        "type": TOOLSET,
        "default_config": {"enabled": True, "permission_policy": {"type": "always_allow"}},
        "configs": [],
    }


def mount_path(given: str | None, filename: str) -> str:
    """Where a file lies below the agent's workspace. Paths of the hosted service's sandbox are taken as below it."""
    if given is None:
        return f"uploads/{Path(filename).name}"
    for prefix in ("/mnt/session/", "/workspace/"):
        given = given.removeprefix(prefix)
    return given
