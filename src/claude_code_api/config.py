"""The settings: one frozen tree, the only source of names, defaults, docs and environment names.

From low to high: the defaults here, a TOML file, the environment (`CLAUDE_CODE__SECTION__KEY`), command-line flags.
"""

from __future__ import annotations

import json
import os
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo

from claude_code_api.core.toolbox import BUILT_IN, is_tool
from claude_code_api.errors import ConfigError

PREFIX = "CLAUDE_CODE__"
FILE_VARIABLE = "CLAUDE_CODE_CONFIG"


def _user_dir(variable_name: str, fallback: str, environ: Mapping[str, str] = os.environ) -> Path:
    base = environ.get(variable_name)
    return (Path(base) if base else Path.home() / fallback) / "claude-code-api"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ServerSettings(_Section):
    """Where the server listens, and what it lets in."""

    host: str = Field(
        "127.0.0.1",
        description="Address to listen on. Beyond loopback only with API keys (`claude-code-api keys create`).",
    )
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    data_dir: Path = Field(
        default_factory=lambda: _user_dir("XDG_DATA_HOME", ".local/share"),
        description="Where conversations keep their files. One server at a time uses it.",
    )
    require_keys: bool = Field(
        False,
        description="Refuse every request as long as there are no API keys, on loopback as well: for servers behind a "
        "proxy.",
    )
    allowed_hosts: tuple[str, ...] = Field(
        (),
        description="Host names, beside loopback, that requests without an API key may address (such as "
        "host.docker.internal).",
    )
    allowed_origins: tuple[str, ...] = Field(
        (), description="Web origins, beside loopback, that requests may come from (such as https://chat.example)."
    )
    max_body_bytes: int = Field(32 * 2**20, ge=1024, description="Largest request body.")
    shutdown_grace_seconds: float = Field(30, ge=0, description="How long running turns may go on after SIGTERM.")
    heartbeat_seconds: float = Field(10, gt=0, description="Silence on a stream before a heartbeat is sent.")
    slow_client_seconds: float = Field(
        60, gt=0, description="How long a client may take nothing of its stream before it counts as gone."
    )


class ClaudeSettings(_Section):
    """The Claude Code processes."""

    use_interactive_sessions: bool = Field(
        True, description="Keep a conversation's process alive between requests; false starts one for each request."
    )
    max_concurrent_sessions: int = Field(20, ge=1, description="Most Claude Code processes at once.")
    max_process_memory: int = Field(
        2 * 10**9, gt=0, description="Bytes of memory beyond which a process is stopped after its turn."
    )
    max_total_memory: int = Field(
        0,
        ge=0,
        description="Bytes that all processes together may take; near it, idle ones are stopped and new ones wait. 0: "
        "four fifths of the machine's (or container's) memory.",
    )
    session_idle_seconds: float = Field(
        1800, gt=0, description="Inactivity after which a process is stopped; its conversation stays."
    )
    command: str = Field("", description="The claude executable; empty for the one bundled in claude-agent-sdk.")
    base_url: str = Field(
        "", description="An Anthropic-compatible endpoint (vLLM, Ollama, llama.cpp, LiteLLM); empty for Anthropic's."
    )
    simple: Literal["auto", "on", "off"] = Field(
        "auto",
        description="CLAUDE_CODE_SIMPLE: a clean prompt and the fastest start. auto: on, unless an OAuth token is the "
        "only credential, with which it does not work.",
    )
    timeout_seconds: float = Field(600, gt=0, description="Longest turn.")
    first_event_seconds: float = Field(120, gt=0, description="Longest wait for the model to begin its answer.")
    silence_seconds: float = Field(300, gt=0, description="Longest silence of a process within a turn.")
    start_seconds: float = Field(60, gt=0, description="Longest start of a process.")
    max_concurrent_starts: int = Field(
        default_factory=lambda: max(2, os.cpu_count() or 2), ge=1, description="Most process starts at once."
    )
    upstream_retry_seconds: float = Field(
        15, ge=0, description="How long Claude Code may retry a failing model API before the client gets the error."
    )
    slot_wait_seconds: float = Field(60, gt=0, description="Longest wait for a process when all are busy; then 429.")
    max_waiting: int = Field(100, ge=0, description="Most conversations that wait for a process; more get 429 at once.")
    max_queued_turns: int = Field(8, ge=0, description="Most turns that wait on one conversation; more get 429.")


class PoolSettings(_Section):
    """Spare processes, started ahead so that new conversations answer at once. They give way to conversations."""

    min_size: int = Field(2, ge=0, description="Spares that are kept ready.")
    max_size: int = Field(8, ge=0, description="Most spares when many new conversations come; 0 turns the pool off.")
    max_lifetime: float = Field(3600, gt=0, description="Seconds after which a spare is replaced.")
    min_free_memory: int = Field(
        512 * 2**20, ge=0, description="Bytes of memory that must be available before a spare is started."
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_size > self.max_size:
            raise ValueError("min_size must not be larger than max_size")
        return self


class StoreSettings(_Section):
    """What is kept, in `data_dir`."""

    retain_days: float = Field(
        0, ge=0, description="Days without use after which a conversation is deleted for good; 0 keeps all."
    )


class ModelSettings(_Section):
    """Model names."""

    default: str = Field("sonnet", description="The model of a request that names none.")
    aliases: dict[str, str] = Field(
        default_factory=lambda: {"gpt-4o": "sonnet", "gpt-4o-mini": "haiku"},
        description="Names that clients insist on, and the models they get.",
    )


class ApiSettings(_Section):
    """How the HTTP API behaves."""

    strict_params: bool = Field(
        False, description="Refuse parameters that cannot take effect, instead of listing them in X-Ignored-Params."
    )
    lineage: bool = Field(
        True,
        description="Let a request without a conversation id that sends a history go on with the conversation that "
        "holds exactly this history.",
    )
    conversation_headers: tuple[str, ...] = Field(
        (
            "x-openwebui-chat-id",
            "x-litellm-session-id",
            "x-claude-code-session-id",
            "session-id",
            "x-session-id",
        ),
        description="Headers by which products name their conversations; the first that is there counts.",
    )
    side_requests: tuple[str, ...] = Field(
        ("### Task:",),
        description="How a product's questions beside a conversation begin (for its title, tags, follow-ups): they are "
        "answered apart, and leave nothing behind.",
    )
    reasoning_content: bool = Field(True, description="Pass the model's thinking on as reasoning_content.")
    agent_activity: bool = Field(
        True, description="Tell in reasoning_content what an agent does with its own tools; false: nowhere."
    )


class AgentSettings(_Section):
    """The profile agent, whose tools run on this machine."""

    allow_unsandboxed: bool = Field(
        False,
        description="Open the profile agent to the owners of API keys, too: they can then read and change whatever the "
        "server can. Without keys, on your own machine, it is open.",
    )
    ask: tuple[str, ...] = Field(
        (),
        description="Tools whose calls wait for a person's approval, whatever a request says: `Bash`, `Write`, "
        "`mcp__server` for all of an MCP server, `mcp__server__tool` for one of it.",
    )
    approval_seconds: float = Field(
        3600, gt=0, le=7 * 24 * 3600, description="How long a call waits for approval; then it is denied."
    )

    @field_validator("ask")
    @classmethod
    def _known(cls, tools: tuple[str, ...]) -> tuple[str, ...]:
        for tool in tools:
            if not is_tool(tool):
                raise ValueError(f"{tool!r} is no tool of an agent's: {', '.join(BUILT_IN)}, mcp__server")
        return tools


class MediaSettings(_Section):
    """Images and files in requests."""

    max_bytes: int = Field(20 * 2**20, gt=0, description="Largest image or file, decoded.")
    fetch_urls: bool = Field(True, description="Fetch images that are named by URL; false takes data URLs only.")
    fetch_ports: tuple[int, ...] = Field((80, 443), description="Ports that images are fetched from.")
    allow_private_addresses: bool = Field(
        False,
        description="Fetch from private and loopback addresses as well: who may send requests can then reach what the "
        "server reaches. Link-local addresses stay closed.",
    )
    max_urls: int = Field(20, ge=0, description="Most URLs that are fetched for a request.")
    timeout_seconds: float = Field(15, gt=0, description="Longest time that fetching a request's images may take.")


class LogSettings(_Section):
    """Logs, on stderr. Prompts and answers are never logged."""

    format: Literal["human", "json"] = Field("human", description="human or json.")
    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severity that is logged.")


class Settings(_Section):
    """All settings of a server."""

    server: ServerSettings = ServerSettings()
    claude: ClaudeSettings = ClaudeSettings()
    pool: PoolSettings = PoolSettings()
    store: StoreSettings = StoreSettings()
    models: ModelSettings = ModelSettings()
    api: ApiSettings = ApiSettings()
    agent: AgentSettings = AgentSettings()
    media: MediaSettings = MediaSettings()
    log: LogSettings = LogSettings()

    def home(self, *, offline: bool) -> Path:
        """Where conversations are kept; those of the offline model in a place of their own."""
        return self.server.data_dir / ("offline" if offline else "default")


@dataclass(frozen=True, slots=True)
class Loaded:
    """The effective settings, and for each `section.key` that is not a default, where it came from."""

    settings: Settings
    origins: Mapping[str, str]
    file: Path | None


def load(
    *, file: Path | None = None, flags: Mapping[str, Any] | None = None, environ: Mapping[str, str] = os.environ
) -> Loaded:
    """Read the settings. `flags` are `section.key` values from the command line; None values count as not given.

    Raises ConfigError that names the source, the key and what is allowed.
    """
    path = _find_file(file, environ)
    values: dict[str, dict[str, Any]] = {}
    origins: dict[str, str] = {}

    def put(section: str, key: str, value: Any, origin: str) -> None:
        values.setdefault(section, {})[key] = value
        origins[f"{section}.{key}"] = origin

    for section, key, value, origin in (*_from_file(path), *_from_environment(environ), *_from_flags(flags or {})):
        put(section, key, value, origin)
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_explain(error, origins)) from error
    return Loaded(settings, origins, path)


def fields() -> Iterator[tuple[str, str, FieldInfo]]:
    """Every setting: section, key, and pydantic's description of it."""
    for section, info in Settings.model_fields.items():
        assert isinstance(info.annotation, type)
        for key, field in info.annotation.model_fields.items():
            yield section, key, field


def variable(section: str, key: str) -> str:
    """The environment variable of a setting."""
    return f"{PREFIX}{section}__{key}".upper()


def _find_file(given: Path | None, environ: Mapping[str, str]) -> Path | None:
    named = given or (Path(environ[FILE_VARIABLE]) if environ.get(FILE_VARIABLE) else None)
    if named is not None:
        if not named.is_file():
            raise ConfigError(f"There is no configuration file {named}.")
        return named
    candidates = (
        Path("claude-code-api.toml"),
        Path("config/local.toml"),
        _user_dir("XDG_CONFIG_HOME", ".config", environ) / "config.toml",
    )
    return next((path for path in candidates if path.is_file()), None)


_Item = tuple[str, str, Any, str]


def _from_file(path: Path | None) -> Iterator[_Item]:
    if path is None:
        return
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    for section, keys in tree.items():
        if not isinstance(keys, dict):
            raise ConfigError(f"{path}: {section} stands outside a section. Sections are: {_names(Settings)}.")
        for key, value in keys.items():
            yield section, key, value, str(path)


def _from_environment(environ: Mapping[str, str]) -> Iterator[_Item]:
    for name, text in environ.items():
        if not name.upper().startswith(PREFIX):
            continue
        section, _, key = name[len(PREFIX) :].lower().partition("__")
        if not key:
            raise ConfigError(f"{name}: a setting is {PREFIX}SECTION__KEY. Sections are: {_names(Settings)}.")
        yield section, key, _parse(section, key, text, name), name


def _parse(section: str, key: str, text: str, name: str) -> Any:
    """Lists and tables are JSON in the environment; the rest is left to pydantic."""
    info = next((field for one, two, field in fields() if (one, two) == (section, key)), None)
    if info is None or not any(word in str(info.annotation) for word in ("tuple", "dict")):
        return text
    try:
        return json.loads(text)
    except ValueError as error:
        raise ConfigError(f'{name}: must be JSON, such as ["a"] or {{"a": "b"}}; got {text!r}.') from error


def _from_flags(flags: Mapping[str, Any]) -> Iterator[_Item]:
    for name, value in flags.items():
        if value is not None:
            section, _, key = name.partition(".")
            yield section, key, value, f"--{key.replace('_', '-')}"


def _names(model: type[BaseModel]) -> str:
    return ", ".join(model.model_fields)


def _explain(error: ValidationError, origins: Mapping[str, str]) -> str:
    lines = []
    for problem in error.errors():
        where = [str(part) for part in problem["loc"]]
        section, key = where[0], where[1] if len(where) > 1 else ""
        origin = origins.get(f"{section}.{key}") or next(
            (place for name, place in origins.items() if name.startswith(f"{section}.")), "the settings"
        )
        if problem["type"] == "extra_forbidden":
            known = Settings.model_fields.get(section)
            if known is None:
                lines.append(f"{origin}: there is no section [{section}]. Sections are: {_names(Settings)}.")
            else:
                assert isinstance(known.annotation, type)
                lines.append(f"{origin}: there is no key {key} in [{section}]. Keys are: {_names(known.annotation)}.")
        else:
            what = f"[{section}] {'.'.join(where[1:])} = {problem['input']!r}" if key else f"[{section}]"
            lines.append(f"{origin}: {what}: {problem['msg'].removeprefix('Value error, ')}.")
    return "\n".join(lines)


def unsupported_platform() -> str | None:
    """What this platform lacks, as a sentence to print at start; None where all works."""
    if sys.platform == "win32":
        return "Windows has no process groups: run the server under WSL."
    return None
