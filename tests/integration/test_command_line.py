"""`claude-code-api` as a person types it: what it prints when something is wrong, and where settings come from."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Model
from tests.gateway import Gateway


def run(*arguments: str, cwd: Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "claude_code_api", *arguments],
        cwd=cwd,
        env={"HOME": str(cwd), "PATH": "/usr/bin:/bin", "COLUMNS": "200", **(env or {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("[claude]\nmax_sessions = 3", ["no key max_sessions in [claude]", "max_concurrent_sessions"]),
        ("[clade]\nx = 3", ["no section [clade]", "claude"]),
        ("[claude]\nmax_concurrent_sessions = 0", ["max_concurrent_sessions", "greater than or equal to 1"]),
        ("[log]\nformat = 'xml'", ["[log] format", "'human' or 'json'"]),
        ("not toml", ["cannot be read"]),
    ],
)
def test_a_wrong_setting_stops_the_start(tmp_path: Path, toml: str, words: list[str]) -> None:
    (tmp_path / "claude-code-api.toml").write_text(toml)
    done = run("serve", cwd=tmp_path)
    assert done.returncode == 2
    assert "claude-code-api.toml" in done.stderr
    assert "Traceback" not in done.stderr
    assert all(word in done.stderr for word in words), done.stderr


def test_a_wrong_environment_variable_stops_the_start(tmp_path: Path) -> None:
    done = run("serve", cwd=tmp_path, env={"CLAUDE_CODE__CLAUDE__SESSION_IDLE_SECONDS": "soon"})
    assert done.returncode == 2
    assert "CLAUDE_CODE__CLAUDE__SESSION_IDLE_SECONDS" in done.stderr


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_only_loopback_can_be_bound(tmp_path: Path, host: str) -> None:
    done = run("serve", "--host", host, cwd=tmp_path)
    assert done.returncode == 2
    assert "loopback" in done.stderr


def test_a_base_url_that_is_the_gateway_itself_stops_the_start(tmp_path: Path) -> None:
    for name in ("127.0.0.1", "localhost"):
        done = run("serve", "--port", "8977", cwd=tmp_path, env={"ANTHROPIC_BASE_URL": f"http://{name}:8977"})
        assert done.returncode == 2
        assert "this gateway itself" in done.stderr


def test_a_second_server_is_kept_out_of_the_data_directory(gateway: Gateway, tmp_path: Path) -> None:
    done = run("serve", "--port", "0", "--data-dir", str(gateway.data_dir / "data"), cwd=tmp_path)
    assert done.returncode == 2
    assert "Another server uses" in done.stderr


def test_config_shows_values_and_where_they_come_from(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "local.toml").write_text("[claude]\nsession_idle_seconds = 60\nbase_url='http://u:pw@h:1'")
    environment = {"CLAUDE_CODE__CLAUDE__USE_INTERACTIVE_SESSIONS": "false", "ANTHROPIC_API_KEY": "sk-secret"}
    shown = run("config", cwd=tmp_path, env=environment).stdout
    lines = {line.split()[0]: line for line in shown.splitlines() if "." in line.split(" ")[0]}
    assert "60.0" in lines["claude.session_idle_seconds"]
    assert "config/local.toml" in lines["claude.session_idle_seconds"]
    assert "False" in lines["claude.use_interactive_sessions"]
    assert "CLAUDE_CODE__CLAUDE__USE_INTERACTIVE_SESSIONS" in lines["claude.use_interactive_sessions"]
    assert "default" in lines["claude.max_concurrent_sessions"]
    assert "ANTHROPIC_API_KEY=***" in shown
    assert "sk-secret" not in shown
    assert "pw" not in lines["claude.base_url"]


def test_serve_alone_never_picks_the_offline_model(model: Model, tmp_path: Path, start_gateway: Any) -> None:
    gateway: Gateway = start_gateway(env={"ANTHROPIC_API_KEY": ""})
    assert gateway.http.get("/health").json()["model"] == "claude"
    assert "No credentials" in gateway.log()


def test_logs_carry_ids_and_never_the_prompt(start_gateway: Any) -> None:
    gateway: Gateway = start_gateway({"log__format": "json"})
    answer = gateway.ask("a very private thought", "logged")
    lines = [line for line in gateway.log().splitlines() if '"session_created"' in line]
    assert len(lines) == 1
    assert '"conversation_id": "logged"' in lines[0]
    assert answer.headers["X-Request-ID"] in lines[0]
    assert f'"pid": {gateway.pid("logged")}' in lines[0]
    assert "private thought" not in gateway.log()
