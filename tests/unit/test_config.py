"""Where settings come from, which of them wins, and what is said about a wrong one."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from claude_code_api.config import Loaded, Settings, fields, load, variable
from claude_code_api.errors import ConfigError


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No configuration file of this machine is found."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))


def loaded(
    toml: str | None = None, environ: Mapping[str, str] | None = None, flags: Mapping[str, Any] | None = None
) -> Loaded:
    file = None
    if toml is not None:
        file = Path("given.toml")
        file.write_text(toml, encoding="utf-8")
    return load(file=file, environ=environ or {}, flags=flags)


def complaint(
    toml: str | None = None, environ: Mapping[str, str] | None = None, flags: Mapping[str, Any] | None = None
) -> str:
    with pytest.raises(ConfigError) as caught:
        loaded(toml, environ, flags)
    return caught.value.message


def test_without_anything_the_defaults_hold() -> None:
    result = loaded()
    assert result.settings == Settings()
    assert result.origins == {}
    assert result.file is None
    assert result.settings.claude.use_interactive_sessions is True
    assert result.settings.server.host == "127.0.0.1"


def test_flags_win_over_the_environment_which_wins_over_the_file() -> None:
    toml = "[server]\nport = 1\nhost = 'file'\nheartbeat_seconds = 3\n"
    environ = {"CLAUDE_CODE__SERVER__PORT": "2", "CLAUDE_CODE__SERVER__HOST": "environment"}
    result = loaded(toml, environ, {"server.port": 3})
    server = result.settings.server
    assert (server.port, server.host, server.heartbeat_seconds) == (3, "environment", 3.0)
    assert result.origins == {
        "server.port": "--port",
        "server.host": "CLAUDE_CODE__SERVER__HOST",
        "server.heartbeat_seconds": "given.toml",
    }


def test_a_flag_that_is_not_given_changes_nothing() -> None:
    result = loaded(environ={"CLAUDE_CODE__SERVER__PORT": "2"}, flags={"server.port": None})
    assert result.settings.server.port == 2


@pytest.mark.parametrize(("text", "expected"), [("false", False), ("0", False), ("true", True), ("1", True)])
def test_interactive_sessions_are_switched_by_the_environment(text: str, expected: bool) -> None:
    result = loaded(environ={"CLAUDE_CODE__CLAUDE__USE_INTERACTIVE_SESSIONS": text})
    assert result.settings.claude.use_interactive_sessions is expected


def test_other_variables_of_claude_code_are_no_settings() -> None:
    environ = {"CLAUDE_CODE_OAUTH_TOKEN": "t", "CLAUDE_CODE_SIMPLE": "1", "PATH": "/bin"}
    assert loaded(environ=environ).origins == {}


def test_lists_and_tables_are_json_in_the_environment() -> None:
    environ = {
        "CLAUDE_CODE__SERVER__ALLOWED_HOSTS": '["host.docker.internal"]',
        "CLAUDE_CODE__MODELS__ALIASES": '{"gpt-5": "opus"}',
    }
    settings = loaded(environ=environ).settings
    assert settings.server.allowed_hosts == ("host.docker.internal",)
    assert settings.models.aliases == {"gpt-5": "opus"}


def test_a_list_that_is_not_json_is_explained() -> None:
    said = complaint(environ={"CLAUDE_CODE__SERVER__ALLOWED_HOSTS": "a,b"})
    assert said.startswith("CLAUDE_CODE__SERVER__ALLOWED_HOSTS: must be JSON")
    assert "'a,b'" in said


# Files


def test_a_file_is_found_in_the_working_directory() -> None:
    Path("claude-code-api.toml").write_text("[log]\nlevel = 'debug'\n")
    result = load(environ={})
    assert result.settings.log.level == "debug"
    assert result.file == Path("claude-code-api.toml")


def test_the_environment_can_name_the_file() -> None:
    Path("mine.toml").write_text("[log]\nlevel = 'error'\n")
    Path("claude-code-api.toml").write_text("[log]\nlevel = 'debug'\n")
    assert load(environ={"CLAUDE_CODE_CONFIG": "mine.toml"}).settings.log.level == "error"


def test_a_file_that_is_named_must_be_there() -> None:
    with pytest.raises(ConfigError, match=r"no configuration file missing\.toml"):
        load(file=Path("missing.toml"), environ={})


def test_a_file_that_is_no_toml_is_named() -> None:
    assert complaint("[server\nport = 1").startswith("given.toml cannot be read")


# What is said of a wrong setting: its source, its key, and what is allowed


def test_an_unknown_section() -> None:
    for said in (
        complaint("[sever]\nport = 1\n"),
        complaint(environ={"CLAUDE_CODE__SEVER__PORT": "1"}),
    ):
        assert "there is no section [sever]" in said
        assert f"Sections are: {', '.join(Settings.model_fields)}." in said
    assert complaint("[sever]\nport = 1\n").startswith("given.toml: ")


def test_an_unknown_key() -> None:
    said = complaint(environ={"CLAUDE_CODE__SERVER__PROT": "1"})
    assert said.startswith("CLAUDE_CODE__SERVER__PROT: there is no key prot in [server]. Keys are: host, port,")


def test_a_wrong_value() -> None:
    said = complaint("[log]\nlevel = 'loud'\n")
    assert said.startswith("given.toml: [log] level = 'loud'")
    assert "'debug', 'info', 'warning' or 'error'" in said
    said = complaint(flags={"server.port": 70000})
    assert said.startswith("--port: [server] port = 70000")
    assert "65535" in said


def test_settings_that_contradict_each_other() -> None:
    said = complaint(environ={"CLAUDE_CODE__POOL__MIN_SIZE": "9", "CLAUDE_CODE__POOL__MAX_SIZE": "3"})
    assert said.startswith("CLAUDE_CODE__POOL__MIN_SIZE: [pool]")
    assert "min_size must not be larger than max_size" in said


def test_the_source_named_is_the_one_whose_value_counts() -> None:
    said = complaint("[server]\nhost = 'me'\nport = 1\n", {"CLAUDE_CODE__SERVER__PORT": "many"})
    assert said.startswith("CLAUDE_CODE__SERVER__PORT: [server] port = 'many'")


def test_every_mistake_is_told_at_once() -> None:
    said = complaint("[server]\nport = -1\n[log]\ncolour = 'red'\n")
    assert len(said.splitlines()) == 2
    assert "port" in said
    assert "colour" in said


def test_a_key_outside_a_section() -> None:
    assert complaint("port = 1\n").startswith("given.toml: port stands outside a section. Sections are: server,")


# All settings


def test_every_setting_says_what_it_is_for() -> None:
    everything = list(fields())
    assert len(everything) >= 25
    assert [f"{section}.{key}" for section, key, field in everything if not (field.description or "").strip()] == []


def test_every_setting_can_be_set_by_the_variable_that_is_named_for_it() -> None:
    for section, key, field in fields():
        name = variable(section, key)
        assert re.fullmatch(r"CLAUDE_CODE__[A-Z]+__[A-Z_]+", name)
        value = field.get_default(call_default_factory=True, validated_data={})
        text = json.dumps(value) if isinstance(value, tuple | dict) else str(value)
        assert loaded(environ={name: text}).origins == {f"{section}.{key}": name}


def test_settings_cannot_be_changed_later() -> None:
    with pytest.raises(ValidationError):
        loaded().settings.server.__setattr__("port", 1)


def test_who_is_asked_for_is_a_tool() -> None:
    asks = loaded(environ={"CLAUDE_CODE__AGENT__ASK": '["Bash", "mcp__calc"]'}).settings.agent.ask
    assert asks == ("Bash", "mcp__calc")
    said = complaint(environ={"CLAUDE_CODE__AGENT__ASK": '["bash"]'})
    assert "[agent] ask" in said
    assert "'bash' is no tool of an agent's: Agent, Bash" in said
