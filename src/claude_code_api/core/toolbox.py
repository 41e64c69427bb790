"""What an agent may do with tools of its own, and who has to say so first. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Decision: TypeAlias = Literal["allow", "ask", "deny"]
"""What becomes of a call: it goes ahead, it waits for a person, it is refused."""

_SERVER = "mcp__"


@dataclass(frozen=True, slots=True)
class Permissions:
    """Which of an agent's own calls go ahead.

    `rules` go by a tool's name as the CLI has it (`Bash`, `mcp__server__tool`), or by a whole MCP server's
    (`mcp__server`); a rule for the tool comes before one for its server, and `default` is for the rest.
    """

    rules: tuple[tuple[str, Decision], ...] = ()
    default: Decision = "allow"

    @property
    def lets_all(self) -> bool:
        """Whether no call has to be asked for."""
        return self.default == "allow" and all(decision == "allow" for _, decision in self.rules)

    def of(self, tool: str) -> Decision:
        """What becomes of a call of this tool."""
        known = dict(self.rules)
        server = _SERVER + tool.removeprefix(_SERVER).partition("__")[0] if tool.startswith(_SERVER) else None
        return known.get(tool) or known.get(server or "") or self.default


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

    A process fits a turn only with the same toolbox.
    """

    tools: tuple[str, ...] | None = None
    servers: tuple[McpServer, ...] = ()
    skills: tuple[Skill, ...] = ()
    files: tuple[PlacedFile, ...] = ()
