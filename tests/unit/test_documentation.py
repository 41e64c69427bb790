"""Nothing undocumented: every setting, endpoint, error code and command stands in the docs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from claude_code_api import errors
from claude_code_api.app import create_app
from claude_code_api.bench import BenchFailed
from claude_code_api.cli import app
from claude_code_api.cli.config import reference
from claude_code_api.config import Settings

DOCS = Path(__file__).parents[2] / "docs"


def test_the_settings_page_is_what_the_code_says() -> None:
    assert (DOCS / "settings.md").read_text() == reference()


def test_every_endpoint_is_documented() -> None:
    page = (DOCS / "api.md").read_text()
    paths = create_app(Settings(), environ={}).openapi()["paths"]
    endpoints = [f"{method.upper()} {path}" for path, methods in paths.items() for method in methods]
    assert len(endpoints) >= 8
    assert [endpoint for endpoint in endpoints if f"`{endpoint}`" not in page] == []


def test_every_error_code_is_documented() -> None:
    page = (DOCS / "api.md").read_text()
    source = "".join(path.read_text() for path in (DOCS.parent / "src/claude_code_api/api").rglob("*.py"))
    of_commands = {errors.ConfigError.code, BenchFailed.code}  # no request gets these
    codes = {kind.code for kind in _family(errors.GatewayError)} - of_commands
    codes |= set(re.findall(r'_refusal\(\s*\d+,\s*"(\w+)"', source))
    assert len(codes) >= 20
    assert [code for code in sorted(codes) if f"`{code}`" not in page] == []


def test_every_command_is_documented() -> None:
    root = DOCS.parent
    pages = "".join(path.read_text() for path in (*DOCS.rglob("*.md"), root / "README.md", root / "CHANGELOG.md"))
    commands = list(_commands(typer.main.get_command(app), "claude-code-api"))
    assert len(commands) >= 12
    assert [command for command in commands if not re.search(rf"{command}\b", pages)] == []


def _commands(command: Any, name: str) -> Iterator[str]:
    if not hasattr(command, "commands"):
        yield name
        return
    for part, inner in command.commands.items():
        yield from _commands(inner, f"{name} {part}")


def _family(root: type[errors.GatewayError]) -> list[type[errors.GatewayError]]:
    return [root, *(kind for child in root.__subclasses__() for kind in _family(child))]
