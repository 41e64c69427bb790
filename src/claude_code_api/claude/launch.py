"""How a Claude Code child is started: its argv, its environment, its directories. Pure but for finding the binary.

Text that came over the network never becomes an argument or an environment variable: a system prompt travels in the
`initialize` frame, a model name has been checked by `core/models.py`, a tool's by `core/toolbox.py`, ids are UUIDs that
we made.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from claude_code_api.claude.tools import SERVER
from claude_code_api.core.profiles import AGENT
from claude_code_api.core.toolbox import Toolbox
from claude_code_api.errors import ConfigError
from claude_code_api.runtime.ports import Profile

INSTANCE_VARIABLE = "CLAUDE_CODE_API_INSTANCE"
"""Marks every process of one server, tool grandchildren included, for the guard."""

PLACE_VARIABLE = "CLAUDE_CODE_API_PLACE"
"""Marks what an agent's commands start, in process groups of their own: all of it ends with the agent's process."""

CREDENTIALS = (
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "CLAUDE_CODE_OAUTH_TOKEN",
    "AWS_BEARER_TOKEN_BEDROCK",
    "CLAUDE_CODE_USE_BEDROCK",
    "CLAUDE_CODE_USE_VERTEX",
    "CLAUDE_CODE_USE_FOUNDRY",
)
"""Any one of these, set and not empty, means that the children can reach a model."""

PASSED = (
    *CREDENTIALS,
    "ANTHROPIC_BASE_URL",
    "ANTHROPIC_CUSTOM_HEADERS",
    # Amazon Bedrock
    "ANTHROPIC_BEDROCK_BASE_URL",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "CLAUDE_CODE_SKIP_BEDROCK_AUTH",
    # Google Vertex AI
    "ANTHROPIC_VERTEX_BASE_URL",
    "ANTHROPIC_VERTEX_PROJECT_ID",
    "CLOUD_ML_REGION",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "GOOGLE_CLOUD_PROJECT",
    "CLAUDE_CODE_SKIP_VERTEX_AUTH",
    # Microsoft Foundry
    "ANTHROPIC_FOUNDRY_API_KEY",
    "ANTHROPIC_FOUNDRY_BASE_URL",
    "ANTHROPIC_FOUNDRY_RESOURCE",
    "CLAUDE_CODE_SKIP_FOUNDRY_AUTH",
    # What a process needs to run and to reach the network at all
    "PATH",
    "LANG",
    "LC_ALL",
    "TZ",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
    "SystemRoot",
)
"""Everything that a child may see of the server's environment."""

_FIXED = {
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "DISABLE_AUTOUPDATER": "1",
    # On a refusal the CLI would put words of its own into the conversation and ask again; the caller is told instead.
    "CLAUDE_CODE_DISABLE_REFUSAL_RETRY": "1",
    # The client's tools reach the model as they are and its results whole; a call waits for as long as it takes.
    "ENABLE_TOOL_SEARCH": "false",
    "CLAUDE_CODE_MAX_MCP_DESCRIPTION_LENGTH": "1000000",
    "CLAUDE_CODE_MAX_TOOL_USE_CONCURRENCY": "256",
    "MAX_MCP_OUTPUT_TOKENS": "1000000",
    "MCP_TOOL_TIMEOUT": "2000000000",
}


KIT = "skills"
"""What the CLI calls the plugin that an agent's skills come in: it knows them as `skills:NAME`."""

_AGENT = {
    # How long the first turn waits for an MCP server, in milliseconds.
    "MCP_TIMEOUT": "10000",
    # Nothing of this machine's instructions: what an agent is told comes from its client.
    "CLAUDE_CODE_DISABLE_CLAUDE_MDS": "1",
    # A turn ends when all of its work has: what goes on behind it would answer nobody, in turns that nobody asked for.
    "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",
    "CLAUDE_CODE_DISABLE_CRON": "1",
    "CLAUDE_CODE_DISABLE_WORKFLOWS": "1",
}

_NOT_FOR_AGENTS = (
    *("Monitor", "ScheduleWakeup", "TaskStop"),  # for work in the background
    *("ListAgents", "SendMessage"),  # for other sessions on this machine
    *("EnterWorktree", "ExitWorktree"),  # they leave the conversation's directory
    "ReportFindings",  # for the CLI's own user interface
)

_BY_DESCRIPTOR = {
    "ANTHROPIC_API_KEY": "CLAUDE_CODE_API_KEY_FILE_DESCRIPTOR",
    "CLAUDE_CODE_OAUTH_TOKEN": "CLAUDE_CODE_OAUTH_TOKEN_FILE_DESCRIPTOR",
}
"""Credentials that a child also reads from a pipe: in its environment, every command of an agent would inherit them."""


_SETTINGS = {"cleanupPeriodDays": 36500}
"""The CLI deletes transcripts after 30 days by itself; here `[store] retain_days` says how long they are kept."""


_AGENT_SETTINGS = {
    # A skill tells what to do; it does nothing by itself, before anybody could be asked.
    "disableSkillShellExecution": True,
    "disableAllHooks": True,  # but for the server's own
}


@dataclass(frozen=True, slots=True)
class Workplace:
    """The directories of one conversation; the CLI binds a transcript to `work` and `config` together."""

    root: Path

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def config(self) -> Path:
        return self.root / "config"

    @property
    def work(self) -> Path:
        return self.root / "work"

    @property
    def temp(self) -> Path:
        return self.root / "temp"

    @property
    def agent_temp(self) -> Path:
        return self.root / "tmp"

    @property
    def kit(self) -> Path:
        return self.root / "kit"

    @property
    def slug(self) -> str:
        """The name that the CLI gives to what belongs to `work`."""
        return re.sub(r"[^a-zA-Z0-9]", "-", str(self.work))

    def create(self) -> None:
        """Make the directories, readable by the owner alone."""
        of_user = self.temp / f"claude-{os.getuid()}"
        for path in (self.home, self.config, self.work, self.agent_temp, self.temp, of_user):
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
        # The CLI would write each image to a directory of this name and tell the model its path: with a file in the
        # way it does neither.
        (of_user / self.slug).touch(mode=0o600)


@dataclass(frozen=True, slots=True)
class Installation:
    """Which CLI is run, and with what of the server's environment.

    `simple` starts children with CLAUDE_CODE_SIMPLE, which leaves the prompt clean and is the fastest, but does not
    work with an OAuth token. `root`: the server, and so its children, run as root.
    """

    command: str
    environment: Mapping[str, str]
    simple: bool
    root: bool = False

    def argv(self, profile: Profile, *, session: str, resume_at: str | None, kit: Path | None = None) -> list[str]:
        """The command line of a child: a fresh `session`, or one that goes on after its transcript's `resume_at`.

        The skills of its toolbox, if there are some, lie in `kit`.
        """
        is_agent = profile.name == AGENT
        settings = _SETTINGS | _AGENT_SETTINGS if is_agent else _SETTINGS
        argv = [
            self.command,
            "--print",
            "--input-format=stream-json",
            "--output-format=stream-json",
            "--verbose",
            "--include-partial-messages",
            "--strict-mcp-config",
            "--setting-sources=",
            *(_agent_tools(profile.toolbox or Toolbox(), kit) if is_agent else ("--tools=",)),
            f"--allowedTools=mcp__{SERVER}",
            "--system-prompt-snapshot=off",
            "--session-mirror",
            f"--settings={json.dumps(settings, separators=(',', ':'))}",
            f"--model={profile.model}",
        ]
        if resume_at is None:
            return [*argv, f"--session-id={session}"]
        return [*argv, f"--resume={session}", f"--resume-session-at={resume_at}"]

    def env(self, profile: Profile, place: Workplace) -> dict[str, str]:
        """The whole environment of a child, but for its `secrets`."""
        own = {"HOME": str(place.home), "CLAUDE_CONFIG_DIR": str(place.config)}
        if profile.name != AGENT:
            return {**self.environment, **own, "CLAUDE_CODE_TMPDIR": str(place.temp)}
        hidden = {"CLAUDE_CODE_SIMPLE", *_BY_DESCRIPTOR}
        shared = {name: value for name, value in self.environment.items() if name not in hidden}
        temp = str(place.agent_temp)
        own |= {PLACE_VARIABLE: place.root.name, "TMPDIR": temp, "CLAUDE_CODE_TMPDIR": temp}
        if self.root:
            own["IS_SANDBOX"] = "1"  # or the CLI refuses to bypass permissions
        return {**shared, **_AGENT, **own}

    def secrets(self, profile: Profile) -> dict[str, str]:
        """What a child is given by pipes, by the variables that name their descriptors."""
        if profile.name != AGENT:
            return {}
        return {by: self.environment[name] for name, by in _BY_DESCRIPTOR.items() if name in self.environment}


def _agent_tools(toolbox: Toolbox, kit: Path | None) -> list[str]:
    """An agent's own tools. The CLI asks nobody before one is used: the gateway does, where it has to be."""
    tools = toolbox.tools
    if tools is not None and toolbox.skills:
        tools = (*tools, "Skill")
    return [
        f"--tools={'default' if tools is None else ','.join(tools)}",
        f"--disallowedTools={','.join(_NOT_FOR_AGENTS)}",
        "--permission-mode=bypassPermissions",
        *([f"--plugin-dir-no-mcp={kit}"] if toolbox.skills else ()),
    ]


def installation(
    *,
    command: str,
    base_url: str,
    simple: str,
    environ: Mapping[str, str],
    instance: str,
    credential: str | None = None,
) -> Installation:
    """Settle which CLI to run and what its children see.

    `simple` is auto, on or off; auto means on unless an OAuth token is the only credential. `credential` replaces every
    credential of the environment (the offline model's). Raises ConfigError when there is no such command.
    """
    passed = {name: environ[name] for name in PASSED if environ.get(name)}
    if credential is not None:
        passed = {
            name: value
            for name, value in passed.items()
            if not name.startswith(("ANTHROPIC_", "CLAUDE_", "AWS_", "GOOGLE_", "CLOUD_ML_"))
        }
        passed["ANTHROPIC_API_KEY"] = credential
    if base_url:
        passed["ANTHROPIC_BASE_URL"] = base_url
    oauth_only = "CLAUDE_CODE_OAUTH_TOKEN" in passed and not passed.keys() & (
        set(CREDENTIALS) - {"CLAUDE_CODE_OAUTH_TOKEN"}
    )
    use_simple = simple == "on" or (simple == "auto" and not oauth_only)
    environment = {**passed, **_FIXED, INSTANCE_VARIABLE: instance}
    if use_simple:
        environment["CLAUDE_CODE_SIMPLE"] = "1"
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    return Installation(find_command(command), environment, use_simple, root)


def credentials_in(environ: Mapping[str, str]) -> list[str]:
    """The names of the credential variables that are set."""
    return [name for name in CREDENTIALS if environ.get(name)]


def find_command(command: str) -> str:
    """The CLI to run: `command` when given, else the one bundled in `claude-agent-sdk`. Raises ConfigError."""
    if command:
        found = shutil.which(command)
        if found is None:
            raise ConfigError(
                f"[claude] command: there is no executable {command!r}. Leave it empty for the bundled CLI."
            )
        return found
    spec = importlib.util.find_spec("claude_agent_sdk")
    if spec is not None and spec.origin is not None:
        name = "claude.exe" if os.name == "nt" else "claude"
        bundled = Path(spec.origin).parent / "_bundled" / name
        if bundled.is_file():
            return str(bundled)
    raise ConfigError(
        "The Claude Code CLI that claude-agent-sdk bundles is missing on this platform; install the CLI and name it in "
        "[claude] command."
    )
