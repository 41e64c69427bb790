"""`claude-code-api config`: the effective settings, and where each came from."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer
from pydantic.fields import FieldInfo
from rich.console import Console
from rich.table import Table

from claude_code_api.claude.launch import CREDENTIALS
from claude_code_api.config import Settings, fields, load, variable


def show(
    config: Annotated[Path | None, typer.Option(help="TOML file with settings.")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the reference of all settings.")] = False,
) -> None:
    """Print the effective settings, with where each came from. Secrets are masked."""
    if markdown:
        typer.echo(reference(), nl=False)
        return
    loaded = load(file=config)
    console = Console()
    console.print(f"Configuration file: {loaded.file or 'none found'}", highlight=False, soft_wrap=True)
    table = Table("setting", "value", "from", "environment variable", box=None, pad_edge=False)
    for section, key, _ in fields():
        value = getattr(getattr(loaded.settings, section), key)
        shown = _masked(value) if key == "base_url" else value
        table.add_row(
            f"{section}.{key}", str(shown), loaded.origins.get(f"{section}.{key}", "default"), variable(section, key)
        )
    console.print(table)
    found = ", ".join(f"{name}=***" for name in CREDENTIALS if os.environ.get(name))
    console.print(f"Credentials in the environment: {found or 'none'}", highlight=False, soft_wrap=True)


def reference() -> str:
    """The reference page of all settings, from their definitions."""
    lines = [
        "# Settings",
        "",
        "Printed by `claude-code-api config --markdown`. From low to high: these defaults, a TOML file, the",
        "environment, command-line flags. Lists and tables are JSON in the environment.",
    ]
    section = ""
    for name, key, field in fields():
        if name != section:
            section = name
            title = (Settings.model_fields[name].annotation or object).__doc__ or ""
            lines += [
                "",
                f"## [{name}]",
                "",
                title,
                "",
                "| key | default | meaning | environment |",
                "|---|---|---|---|",
            ]
        lines.append(f"| `{key}` | {_default(key, field)} | {field.description} | `{variable(name, key)}` |")
    return "\n".join(lines) + "\n"


def _default(key: str, field: FieldInfo) -> str:
    """The default as TOML writes it; what depends on the machine is described."""
    by_machine = {"data_dir": "`~/.local/share/claude-code-api`", "max_concurrent_starts": "CPU cores, at least 2"}
    if key in by_machine:
        return by_machine[key]
    value = field.get_default(call_default_factory=True, validated_data={})
    if isinstance(value, dict):
        return "`{" + ", ".join(f"{name} = {json.dumps(item)}" for name, item in value.items()) + "}`"
    return f"`{json.dumps(value)}`"


def _masked(url: str) -> str:
    parts = urlsplit(url)
    if parts.password is None and parts.username is None:
        return url
    return url.replace(f"{parts.netloc}", f"***@{parts.hostname}{f':{parts.port}' if parts.port else ''}")
