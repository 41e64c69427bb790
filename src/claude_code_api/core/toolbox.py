"""What an agent may do with tools of its own, and who has to say so first. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

from claude_code_api.errors import InvalidRequest

BUILT_IN = (
    *("Agent", "Bash", "Edit", "Glob", "Grep", "NotebookEdit"),
    *("Read", "Skill", "WebFetch", "WebSearch", "Write"),
)
"""The tools that an agent can be given, as the CLI names them."""

CLIENT_SERVER = "client"
"""The name by which the CLI knows the tools of the client: no MCP server of an agent's has it."""

Decision: TypeAlias = Literal["allow", "ask", "deny"]
"""What becomes of a call: it goes ahead, it waits for a person, it is refused."""

_SERVER = "mcp__"
_SEVERITY: tuple[Decision, ...] = ("allow", "ask", "deny")
_UNNAMED = re.compile(r"[^a-zA-Z0-9_-]")
_NAME = re.compile(r"[a-zA-Z0-9-]+(?:_[a-zA-Z0-9-]+)*")
_LONGEST_NAME, _LONGEST_PATH, _LONGEST_PART = 64, 1024, 255


@dataclass(frozen=True, slots=True)
class Permissions:
    """Which of an agent's own calls go ahead.

    `rules` go by a tool's name as the CLI has it (`Bash`, `mcp__server__tool`), or by a whole MCP server's
    (`mcp__server`); a rule for the tool comes before one for its server, and `default` is for the rest. An MCP tool may
    be named as its server has it: the CLI puts `_` for what its own names cannot have.
    """

    rules: tuple[tuple[str, Decision], ...] = ()
    default: Decision = "allow"

    @property
    def lets_all(self) -> bool:
        """Whether no call has to be asked for."""
        return self.default == "allow" and all(decision == "allow" for _, decision in self.rules)

    def of(self, tool: str) -> Decision:
        """What becomes of a call of this tool."""
        server = _SERVER + tool.removeprefix(_SERVER).partition("__")[0] if tool.startswith(_SERVER) else None
        return self._rule(tool) or (self._rule(server) if server else None) or self.default

    def _rule(self, name: str) -> Decision | None:
        """The strictest for this name: servers may have several tools that the CLI would name the same."""
        found = [decision for ruled, decision in self.rules if _as_named(ruled) == name]
        return max(found, key=_SEVERITY.index, default=None)


def is_tool(name: str) -> bool:
    """Whether a rule can be for this name: a built-in tool, an MCP server, or a tool of one."""
    server, _, tool = name.removeprefix(_SERVER).partition("__")
    is_served = name.startswith(_SERVER) and bool(_NAME.fullmatch(server)) and server != CLIENT_SERVER
    return name in BUILT_IN or (is_served and (bool(tool) or not name.endswith("_")))


def _as_named(rule: str) -> str:
    """A rule's name as the CLI has it, which goes by UTF-16: a character beyond its first plane becomes two `_`."""
    return _UNNAMED.sub(lambda found: "__" if found[0] > "\uffff" else "_", rule)


def stricter(one: Decision, other: Decision) -> Decision:
    """The stricter of two decisions."""
    return max(one, other, key=_SEVERITY.index)


EVERYTHING = Permissions()
"""No call waits for anybody."""


@dataclass(frozen=True, slots=True)
class McpServer:
    """An MCP server that an agent connects to, by streamable HTTP."""

    name: str
    url: str


@dataclass(frozen=True, slots=True)
class Skill:
    """A skill that an agent finds in its workspace: a directory with a `SKILL.md`, kept at `source` on the server."""

    name: str
    source: str


@dataclass(frozen=True, slots=True)
class PlacedFile:
    """A file that an agent finds in its workspace at `path`, relative to it; a copy of `source` on the server."""

    path: str
    source: str


@dataclass(frozen=True, slots=True)
class Toolbox:
    """What an agent is equipped with: its built-in tools as the CLI names them (None: all), MCP servers, skills, files.

    `permissions` hold for every turn that has the toolbox, whoever asks for it; what a turn itself says can only be
    stricter. A process fits a turn only with the same toolbox. Raises InvalidRequest for what cannot be carried out.
    """

    tools: tuple[str, ...] | None = None
    servers: tuple[McpServer, ...] = ()
    skills: tuple[Skill, ...] = ()
    files: tuple[PlacedFile, ...] = ()
    permissions: Permissions = EVERYTHING

    def __post_init__(self) -> None:
        for tool in self.tools or ():
            if tool not in BUILT_IN:
                raise InvalidRequest(f"There is no tool {tool!r}; there are {', '.join(BUILT_IN)}.", param="tools")
        for server in self.servers:
            _check_name("server", server.name, taken=[other.name for other in self.servers])
            _check_url(server)
        for skill in self.skills:
            _check_name("skill", skill.name, taken=[other.name for other in self.skills])
        for file in self.files:
            _check_path(file.path, taken=[other.path for other in self.files])


def _check_name(kind: str, name: str, *, taken: list[str]) -> None:
    param = f"{kind}s"
    if len(name) > _LONGEST_NAME or not _NAME.fullmatch(name) or name == CLIENT_SERVER:
        raise InvalidRequest(
            f"The {kind} cannot be named {name!r}: a name has at most {_LONGEST_NAME} letters, digits, hyphens and "
            f"single underscores between them, and {CLIENT_SERVER!r} is taken.",
            param=param,
        )
    if taken.count(name) > 1:
        raise InvalidRequest(f"Two {kind}s have the name {name!r}.", param=param)


def _check_url(server: McpServer) -> None:
    try:
        parts = urlsplit(server.url)
        is_sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_sound = False
    if not is_sound or not server.url.isprintable():
        raise InvalidRequest(
            f"The MCP server {server.name!r} needs a URL that begins with http:// or https://.", param="servers"
        )


def _check_path(path: str, *, taken: list[str]) -> None:
    parts = path.split("/")
    is_sound = len(path) <= _LONGEST_PATH and path.isprintable()
    if not is_sound or any(part in ("", ".", "..") or len(part.encode()) > _LONGEST_PART for part in parts):
        raise InvalidRequest(
            f"A file cannot be placed at {path!r}: give a path within the workspace, relative to it, such as "
            "data/table.csv.",
            param="files",
        )
    if taken.count(path) > 1:
        raise InvalidRequest(f"Two files are placed at {path!r}.", param="files")
