"""The tools of an agent: from what a client sends to what is kept and shown, with nothing left to a default. Pure.

What comes in has the wire's shape already, as plain JSON; here it is looked at for what it means.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from claude_code_api.core.toolbox import CLIENT_SERVER
from claude_code_api.errors import InvalidRequest, NotSupported

Json: TypeAlias = dict[str, Any]

BUILT_IN = ("bash", "edit", "read", "write", "glob", "grep", "web_fetch", "web_search")
"""The tools of `agent_toolset_20260401`."""
TOOLSET, MCP_TOOLSET, CUSTOM = "agent_toolset_20260401", "mcp_toolset", "custom"

_ALLOW, _ASK, _AUTO = "always_allow", "always_ask", "auto"
_MOST_TOOLS, _MOST_SERVERS, _LONGEST_URL = 256, 20, 2048
_SERVER = re.compile(r"(?!.*__)(?!_)[A-Za-z0-9_-]{1,64}(?<!_)")
_NOT_CARRIED_OUT = ("allowed_domains", "blocked_domains", "max_content_tokens", "url_sources", "user_location")
"""What `web_fetch` and `web_search` have for settings, and Claude Code has not."""


def resolved_tools(tools: Sequence[Json], where: str = "tools") -> list[Json]:
    """Tools as an agent shows them. Raises InvalidRequest or NotSupported naming the field."""
    made = [_resolved(tool, f"{where}.{index}") for index, tool in enumerate(tools)]
    _check_together(made, where)
    return made


def resolved_servers(servers: Sequence[Json], where: str = "mcp_servers") -> list[Json]:
    """MCP servers as an agent shows them. Raises InvalidRequest naming the field."""
    if len(servers) > _MOST_SERVERS:
        raise InvalidRequest(f"{where}: at most {_MOST_SERVERS} servers are taken, not {len(servers)}.", param=where)
    made: dict[str, Json] = {}
    for index, server in enumerate(servers):
        at = f"{where}.{index}"
        name = server["name"]
        if not _SERVER.fullmatch(name) or name == CLIENT_SERVER:
            raise InvalidRequest(
                f"{at}.name: Claude Code names the server's tools after it, so it takes 1 to 64 letters, digits, '-' "
                f"and single '_' inside, and {CLIENT_SERVER!r} is taken.",
                param=f"{at}.name",
            )
        if name in made:
            raise InvalidRequest(f"{at}.name: there are two servers of the name {name!r}.", param=f"{at}.name")
        made[name] = {"name": name, "type": "url", "url": _checked_url(server["url"], f"{at}.url")}
    return list(made.values())


def check_references(tools: Sequence[Json], servers: Sequence[Json], where: str = "") -> None:
    """Every MCP toolset names a server, and every server has a toolset. `where` goes before the fields' names.

    Raises InvalidRequest.
    """
    known = {server["name"] for server in servers}
    named = set()
    for index, tool in enumerate(tools):
        if tool["type"] == MCP_TOOLSET:
            name = tool["mcp_server_name"]
            named.add(name)
            if name not in known:
                at = f"{where}tools.{index}.mcp_server_name"
                raise InvalidRequest(f"{at}: {name[:100]!r} is none of the mcp_servers.", param=at)
    for index, server in enumerate(servers):
        if server["name"] not in named:
            at = f"{where}mcp_servers.{index}"
            raise InvalidRequest(
                f"{at}: nothing in tools uses the server {server['name']!r}. Add "
                f'{{"type": "{MCP_TOOLSET}", "mcp_server_name": "{server["name"]}"}}, or leave the server out.',
                param=at,
            )


def _resolved(tool: Json, where: str) -> Json:
    if tool["type"] == CUSTOM:
        return {name: tool[name] for name in ("type", "name", "description", "input_schema")}
    given = tool.get("default_config") or {}
    is_mcp = tool["type"] == MCP_TOOLSET
    default = {
        "enabled": _enabled(given, default=True),
        # What an MCP server offers can change without the agent's author, so it is asked for unless they say otherwise.
        "permission_policy": _policy(given, f"{where}.default_config", {"type": _ASK if is_mcp else _ALLOW}),
    }
    configs: dict[str, Json] = {}
    for index, config in enumerate(tool.get("configs") or ()):
        at = f"{where}.configs.{index}"
        if config["name"] in configs:
            raise InvalidRequest(f"{at}.name: {config['name'][:100]!r} is configured twice.", param=f"{at}.name")
        configs[config["name"]] = _config(config, default, at, is_mcp=is_mcp)
    made: Json = {"type": tool["type"], "default_config": default, "configs": list(configs.values())}
    if is_mcp:
        made["mcp_server_name"] = tool["mcp_server_name"]
    return made


def _config(config: Json, default: Json, where: str, *, is_mcp: bool) -> Json:
    made: Json = {
        "name": config["name"],
        "enabled": _enabled(config, default=default["enabled"]),
        "permission_policy": _policy(config, where, default["permission_policy"]),
    }
    if is_mcp:
        return made
    if (kind := config.get("type")) not in (None, config["name"]):
        raise InvalidRequest(f"{where}.type: {kind!r} is not the name, {config['name']!r}.", param=f"{where}.type")
    for name in _NOT_CARRIED_OUT:
        if config.get(name) is not None:
            raise NotSupported(
                f"{where}.{name} is not supported here: Claude Code's {config['name']} has no such setting. Leave it "
                "out, or switch the tool off and offer a custom one.",
                param=f"{where}.{name}",
            )
    made["type"] = config["name"]
    if config["name"] == "web_fetch":
        made["url_sources"] = None
    return made


def _enabled(config: Mapping[str, Any], *, default: bool) -> bool:
    given = config.get("enabled")
    return default if given is None else bool(given)


def _policy(config: Mapping[str, Any], where: str, default: Json) -> Json:
    given = config.get("permission_policy")
    if given is None:
        return dict(default)
    if given["type"] == _AUTO:
        at = f"{where}.permission_policy"
        raise NotSupported(
            f"{at}: the policy 'auto' is not supported here, where nothing judges a call by itself: say '{_ALLOW}' or "
            f"'{_ASK}'.",
            param=at,
        )
    return {"type": given["type"]}


def _check_together(tools: Sequence[Json], where: str) -> None:
    """Raise InvalidRequest for too many tools, and for what is there twice."""
    seen: set[str] = set()
    count = 0
    for index, tool in enumerate(tools):
        kind = tool["type"]
        offered = tool["name"] if kind == CUSTOM else f"{kind} {tool.get('mcp_server_name', '')}".strip()
        names = BUILT_IN if kind == TOOLSET else ()
        if twice := [name for name in (offered, *names) if name in seen]:
            raise InvalidRequest(f"{where}.{index}: {twice[0]!r} is there twice.", param=f"{where}.{index}")
        seen |= {offered, *names}
        count += len(BUILT_IN) if kind == TOOLSET else max(1, len(tool.get("configs", ())))
    if count > _MOST_TOOLS:
        raise InvalidRequest(f"{where}: these are {count} tools; at most {_MOST_TOOLS} are taken.", param=where)


def _checked_url(url: str, where: str) -> str:
    try:
        parts = urlsplit(url)
        is_http = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_http = False
    if not is_http or len(url) > _LONGEST_URL or not url.isprintable() or " " in url:
        raise InvalidRequest(f"{where} must be an http or https URL of at most {_LONGEST_URL} characters.", param=where)
    if parts.username is not None or parts.password is not None:
        raise InvalidRequest(f"{where} has a user or password in it, which every reader would see.", param=where)
    return url
