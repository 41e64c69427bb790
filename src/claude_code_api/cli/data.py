"""What the commands that work on stored data share: which data, and how they speak."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from claude_code_api.config import Settings, load
from claude_code_api.errors import ConfigError

# The store is imported by the commands themselves: it takes a while, and the other commands do without.

ConfigFile = Annotated[Path | None, typer.Option("--config", help="TOML file with settings.")]
DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Where conversations keep their files.")]
Offline = Annotated[bool, typer.Option("--offline", help="The data of the offline model.")]


def database(config: Path | None, data_dir: Path | None, offline: bool) -> tuple[Settings, Path]:
    """The settings, and where the database is or would be. What is made from now on is for its owner alone."""
    from claude_code_api.store.database import FILE_NAME

    os.umask(0o077)
    settings = load(file=config, flags={"server.data_dir": data_dir}).settings
    return settings, settings.home(offline=offline) / FILE_NAME


def existing(config: Path | None, data_dir: Path | None, offline: bool) -> tuple[Settings, Path]:
    """The settings, and a database that is there and may be read."""
    settings, path = database(config, data_dir, offline)
    try:
        path.open("rb").close()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ConfigError(
            f"There is no database {path}: no server has run with this data directory"
            f"{' and the offline model' if offline else ''} yet. Is --data-dir right?"
        ) from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from error
    return settings, path


def say(text: str, style: str | None = None, *, stderr: bool = False) -> None:
    """Print a line as it is, however wide the terminal."""
    Console(stderr=stderr).print(text, style=style, markup=False, highlight=False, soft_wrap=True)
