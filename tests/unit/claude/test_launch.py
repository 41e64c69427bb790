"""What a child is started with, and what it does not get to see."""

from __future__ import annotations

import json
import stat
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from claude_code_api.claude.launch import Installation, Workplace, credentials_in, find_command, installation
from claude_code_api.core.toolbox import Skill, Toolbox
from claude_code_api.errors import ConfigError
from claude_code_api.runtime.ports import Profile


def settled(
    environ: Mapping[str, str], *, simple: str = "auto", base_url: str = "", credential: str | None = None
) -> Installation:
    return installation(
        command=sys.executable,
        base_url=base_url,
        simple=simple,
        environ=environ,
        instance="instance-1",
        credential=credential,
    )


def test_a_child_sees_what_it_needs_and_nothing_else_of_the_server() -> None:
    environ = {"PATH": "/bin", "HTTPS_PROXY": "http://proxy", "ANTHROPIC_API_KEY": "key"}
    secrets = {"SECRET_TOKEN": "s3cret", "DATABASE_URL": "s3cret", "CLAUDE_CODE__SERVER__PORT": "s3cret", "HOME": "/me"}
    seen = settled({**environ, **secrets}).environment
    assert seen.items() >= environ.items()
    assert not secrets.keys() & seen.keys()
    assert "s3cret" not in seen.values()


def test_an_empty_variable_counts_as_not_set() -> None:
    assert "ANTHROPIC_AUTH_TOKEN" not in settled({"ANTHROPIC_AUTH_TOKEN": ""}).environment


def test_every_child_carries_the_mark_of_its_server() -> None:
    assert settled({}).environment["CLAUDE_CODE_API_INSTANCE"] == "instance-1"


def test_children_do_not_call_home_update_themselves_or_answer_for_the_model() -> None:
    fixed = ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "DISABLE_AUTOUPDATER", "CLAUDE_CODE_DISABLE_REFUSAL_RETRY")
    environment = settled({name: "0" for name in fixed}).environment
    assert [environment[name] for name in fixed] == ["1", "1", "1"]


@pytest.mark.parametrize(
    ("environ", "simple", "expected"),
    [
        ({"ANTHROPIC_API_KEY": "k"}, "auto", True),
        ({}, "auto", True),
        ({"CLAUDE_CODE_OAUTH_TOKEN": "t"}, "auto", False),
        ({"CLAUDE_CODE_OAUTH_TOKEN": "t", "ANTHROPIC_API_KEY": ""}, "auto", False),
        ({"CLAUDE_CODE_OAUTH_TOKEN": "t", "ANTHROPIC_API_KEY": "k"}, "auto", True),
        ({"CLAUDE_CODE_OAUTH_TOKEN": "t"}, "on", True),
        ({"ANTHROPIC_API_KEY": "k"}, "off", False),
    ],
)
def test_the_simple_mode_is_off_where_it_cannot_log_in(environ: dict[str, str], simple: str, expected: bool) -> None:
    chosen = settled(environ, simple=simple)
    assert chosen.simple is expected
    assert ("CLAUDE_CODE_SIMPLE" in chosen.environment) is expected


def test_the_simple_mode_of_the_server_is_not_inherited() -> None:
    environ = {"CLAUDE_CODE_SIMPLE": "1", "CLAUDE_CODE_OAUTH_TOKEN": "t"}
    assert "CLAUDE_CODE_SIMPLE" not in settled(environ).environment


def test_the_offline_credential_replaces_every_other_one() -> None:
    environ = {
        "ANTHROPIC_API_KEY": "real",
        "ANTHROPIC_AUTH_TOKEN": "real",
        "ANTHROPIC_BASE_URL": "https://real",
        "ANTHROPIC_FOUNDRY_API_KEY": "real",
        "CLAUDE_CODE_OAUTH_TOKEN": "real",
        "CLAUDE_CODE_USE_BEDROCK": "real",
        "AWS_SECRET_ACCESS_KEY": "real",
        "AWS_BEARER_TOKEN_BEDROCK": "real",
        "PATH": "/bin",
    }
    chosen = settled(environ, credential="offline-model", base_url="http://127.0.0.1:9")
    assert not [name for name, value in chosen.environment.items() if "real" in value]
    assert chosen.environment["ANTHROPIC_API_KEY"] == "offline-model"
    assert chosen.environment["ANTHROPIC_BASE_URL"] == "http://127.0.0.1:9"
    assert chosen.environment["PATH"] == "/bin"
    assert chosen.simple


def test_the_configured_endpoint_wins_over_the_environment() -> None:
    environ = {"ANTHROPIC_BASE_URL": "https://other"}
    assert settled(environ).environment["ANTHROPIC_BASE_URL"] == "https://other"
    assert settled(environ, base_url="http://mine").environment["ANTHROPIC_BASE_URL"] == "http://mine"


def test_credentials_are_told_by_name_only() -> None:
    environ = {"ANTHROPIC_API_KEY": "k", "ANTHROPIC_AUTH_TOKEN": "", "CLAUDE_CODE_USE_VERTEX": "1"}
    assert credentials_in(environ) == ["ANTHROPIC_API_KEY", "CLAUDE_CODE_USE_VERTEX"]


def test_no_text_from_the_network_becomes_an_argument() -> None:
    chosen = settled({})
    profile = Profile("sonnet", system="--dangerously-skip-permissions; You are a pirate")
    argv = chosen.argv(profile, session="s", resume_at=None)
    assert argv == chosen.argv(Profile("sonnet"), session="s", resume_at=None)
    assert not [argument for argument in argv if "pirate" in argument]


def test_a_value_stays_within_its_argument() -> None:
    argv = settled({}).argv(Profile("--help"), session="--help", resume_at="--help")
    assert "--help" not in argv
    assert "--model=--help" in argv


def test_a_conversation_begins_fresh_or_goes_on_after_its_last_turn() -> None:
    fresh = settled({}).argv(Profile("opus"), session="1234", resume_at=None)
    resumed = settled({}).argv(Profile("opus"), session="1234", resume_at="5678")
    assert fresh[0] == resumed[0] == sys.executable
    assert "--session-id=1234" in fresh
    assert not [argument for argument in fresh if argument.startswith("--resume")]
    assert resumed[-2:] == ["--resume=1234", "--resume-session-at=5678"]
    assert "--session-id=1234" not in resumed


def test_a_chat_child_has_no_tools_and_reads_no_settings_of_the_machine() -> None:
    argv = settled({}).argv(Profile("opus"), session="1", resume_at=None)
    assert {"--tools=", "--setting-sources=", "--strict-mcp-config"} <= set(argv)


def test_a_child_lives_in_directories_of_its_own(tmp_path: Path) -> None:
    place = Workplace(tmp_path / "key")
    place.create()
    place.create()
    environment = settled({"HOME": "/me", "CLAUDE_CONFIG_DIR": "/mine"}).env(Profile("opus"), place)
    assert environment["HOME"] == str(place.home)
    assert environment["CLAUDE_CONFIG_DIR"] == str(place.config)
    assert environment["CLAUDE_CODE_TMPDIR"] == str(place.temp)
    for path in (place.home, place.config, place.work, place.temp):
        assert path.is_relative_to(tmp_path / "key")
        assert stat.S_IMODE(path.stat().st_mode) == 0o700


def test_a_command_that_is_not_there_is_told_at_start() -> None:
    with pytest.raises(ConfigError, match="no executable 'no-such-claude'"):
        find_command("no-such-claude")


def test_without_a_command_the_bundled_one_is_run() -> None:
    assert Path(find_command("")).parent.name == "_bundled"


# An agent

AGENT = Profile("opus", name="agent")
WHOLE = {
    "PATH": "/bin",
    "ANTHROPIC_API_KEY": "key",
    "CLAUDE_CODE_OAUTH_TOKEN": "token",
    "ANTHROPIC_BASE_URL": "http://m",
}


def test_an_agent_has_its_tools_and_asks_nobody() -> None:
    argv = settled({}).argv(AGENT, session="1", resume_at=None)
    assert {
        "--tools=default",
        "--permission-mode=bypassPermissions",
        "--setting-sources=",
        "--strict-mcp-config",
    } <= set(argv)
    assert "--tools=" not in argv
    assert not [
        argument for argument in settled({}).argv(Profile("opus"), session="1", resume_at=None) if "bypass" in argument
    ]


def test_an_agent_is_launched_with_its_toolbox(tmp_path: Path) -> None:
    def argv(toolbox: Toolbox) -> set[str]:
        return set(settled({}).argv(replace(AGENT, toolbox=toolbox), session="1", resume_at=None, kit=tmp_path))

    assert "--tools=Read,Bash" in argv(Toolbox(tools=("Read", "Bash")))
    assert "--tools=" in argv(Toolbox(tools=()))
    assert "--tools=default" in argv(Toolbox())
    assert not any("plugin" in argument for argument in argv(Toolbox()))
    skilled = argv(Toolbox(tools=("Read",), skills=(Skill("tides", "/kept"),)))
    assert {"--tools=Read,Skill", f"--plugin-dir-no-mcp={tmp_path}"} <= skilled


def test_what_an_agent_reads_does_nothing_by_itself() -> None:
    (settings,) = [
        json.loads(argument.removeprefix("--settings="))
        for argument in settled({}).argv(AGENT, session="1", resume_at=None)
        if argument.startswith("--settings=")
    ]
    assert settings["disableSkillShellExecution"] is settings["disableAllHooks"] is True


def test_an_agents_credentials_are_not_in_its_environment(tmp_path: Path) -> None:
    chosen, place = settled(WHOLE), Workplace(tmp_path / "place")
    environment, secrets = chosen.env(AGENT, place), chosen.secrets(AGENT)
    assert not {"key", "token"} & set(environment.values())
    assert secrets == {
        "CLAUDE_CODE_API_KEY_FILE_DESCRIPTOR": "key",
        "CLAUDE_CODE_OAUTH_TOKEN_FILE_DESCRIPTOR": "token",
    }
    assert environment["ANTHROPIC_BASE_URL"] == "http://m"
    assert chosen.secrets(Profile("opus")) == {}
    assert chosen.env(Profile("opus"), place)["ANTHROPIC_API_KEY"] == "key"


def test_an_agent_is_not_simple_and_keeps_to_its_place(tmp_path: Path) -> None:
    chosen, place = settled(WHOLE, simple="on"), Workplace(tmp_path / "place")
    environment = chosen.env(AGENT, place)
    assert "CLAUDE_CODE_SIMPLE" in chosen.env(Profile("opus"), place)
    assert "CLAUDE_CODE_SIMPLE" not in environment
    assert environment["HOME"] == str(place.home)
    assert environment["TMPDIR"] == environment["CLAUDE_CODE_TMPDIR"] == str(place.agent_temp)
    assert environment["CLAUDE_CODE_API_PLACE"] == "place"
    assert environment["CLAUDE_CODE_DISABLE_BACKGROUND_TASKS"] == "1"


@pytest.mark.parametrize("root", [True, False])
def test_only_root_has_to_say_that_it_may(tmp_path: Path, root: bool) -> None:
    chosen = replace(settled(WHOLE), root=root)
    assert ("IS_SANDBOX" in chosen.env(AGENT, Workplace(tmp_path))) is root
    assert "IS_SANDBOX" not in chosen.env(Profile("opus"), Workplace(tmp_path))
