"""`claude-code-api config`: the effective settings, and where each came from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer
from rich.console import Console
from rich.table import Table

from claude_code_api.claude.launch import CREDENTIALS
from claude_code_api.config import fields, load, variable


def show(config: Annotated[Path | None, typer.Option(help="TOML file with settings.")] = None) -> None:
    """Print the effective settings, with where each came from. Secrets are masked."""
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


def _masked(url: str) -> str:
    parts = urlsplit(url)
    if parts.password is None and parts.username is None:
        return url
    return url.replace(f"{parts.netloc}", f"***@{parts.hostname}{f':{parts.port}' if parts.port else ''}")
