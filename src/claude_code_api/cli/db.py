"""`claude-code-api db`: look after the stored conversations. What a server would be in the way of refuses to start."""

from __future__ import annotations

import contextlib
import errno
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.filesize import decimal

from claude_code_api.cli.data import ConfigFile, DataDir, Offline, database, existing, say
from claude_code_api.cli.files import whole_file
from claude_code_api.cli.lock import is_held, lock
from claude_code_api.config import Settings
from claude_code_api.errors import ConfigError

# The store is imported by the commands themselves: it takes a while, and the other commands do without.

app = typer.Typer(help="Look after the stored conversations.", no_args_is_help=True)

_RESTORE = (
    "To restore it: stop the server, put the file in place of {path}, and remove {name}-wal and {name}-shm there."
)


@app.command("upgrade")
def upgrade(config: ConfigFile = None, data_dir: DataDir = None, offline: Offline = False) -> None:
    """Bring the database to this version, or make one. A server does this at its start by itself.

    Example: claude-code-api db upgrade
    """
    from claude_code_api.store import maintenance, migrate

    settings, path = database(config, data_dir, offline)
    with lock(settings.server.data_dir, refusal=_stop_it(settings)):
        before = maintenance.revision(path) if path.is_file() else None
        migrate.prepare(path)
        after = maintenance.revision(path)
    if before == after:
        say(f"{path} is up to date (schema {after}).")
    elif before is None:
        say(f"{path} is new (schema {after}).")
    else:
        say(f"{path} went from schema {before} to {after}.")


@app.command("check")
def check(config: ConfigFile = None, data_dir: DataDir = None, offline: Offline = False) -> None:
    """Look whether the database is sound: exit 0 when it is, 1 when not. A server may run meanwhile.

    Example: claude-code-api db check
    """
    from claude_code_api.store import maintenance

    settings, path = existing(config, data_dir, offline)
    running = is_held(settings.server.data_dir)
    report = maintenance.check(path, path.parent / "sessions")
    rows: list[tuple[str, Any]] = [
        ("database", path),
        ("size", decimal(report.size)),
        ("schema", report.revision or "none"),
        *((name, count) for name, count in report.counts.items()),
    ]
    if report.missing:
        rows.append(("without their files", f"{report.missing} (will be rebuilt from the store)"))
    if report.strays and not running:  # with a server these are its spares and first turns
        rows.append(("stray directories", f"{report.strays} (will be removed when a server starts)"))
    for name, value in rows:
        say(f"{name:<22}{value}")
    if report.problems:
        for problem in report.problems:
            say(f"problem: {problem}", style="red")
        say("Not sound. Stop the server, keep a copy of the file, and restore a backup in its place.", style="red")
        raise typer.Exit(1)
    if report.revision != report.newest:
        say(f"Of an earlier version: the next start, or `db upgrade`, brings it to schema {report.newest}.")
    say("Sound.", style="green")


@app.command("vacuum")
def vacuum(config: ConfigFile = None, data_dir: DataDir = None, offline: Offline = False) -> None:
    """Give the room that deleted conversations left back to the disk. The server must be stopped.

    Example: claude-code-api db vacuum
    """
    from claude_code_api.store import maintenance

    settings, path = existing(config, data_dir, offline)
    with lock(settings.server.data_dir, refusal=_stop_it(settings)):
        before = maintenance.size_of(path)
        maintenance.vacuum(path)
        say(f"{path}: {decimal(before)} before, {decimal(maintenance.size_of(path))} after.")


@app.command("backup")
def backup(
    file: Annotated[Path, typer.Argument(help="The file to make; it must not exist.", show_default=False)],
    config: ConfigFile = None,
    data_dir: DataDir = None,
    offline: Offline = False,
) -> None:
    """Copy the database as it is at this moment. A server may run meanwhile.

    Example: claude-code-api db backup conversations-monday.db
    """
    from claude_code_api.store import maintenance

    _, path = existing(config, data_dir, offline)
    with whole_file(file) as part:
        maintenance.backup(path, part)
    say(f"{file.absolute()}: {decimal(file.stat().st_size)}.")
    say(_RESTORE.format(path=path, name=path.name))


@app.command("export")
def export(
    conversation_id: Annotated[str | None, typer.Argument(help="Only this conversation.", show_default=False)] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A file to make, instead of stdout.")] = None,
    config: ConfigFile = None,
    data_dir: DataDir = None,
    offline: Offline = False,
) -> None:
    """Write conversations out as JSON lines: each, then its turns. A server may run meanwhile.

    Example: claude-code-api db export my-session-123 --output my-session-123.jsonl
    """
    from claude_code_api.store import maintenance

    _, path = existing(config, data_dir, offline)
    lines = maintenance.export(path, conversation_id)
    if output is None:
        with _stdout_fails_kindly():
            found = _write(lines, sys.stdout.buffer)
    else:
        with whole_file(output) as part, part.open("wb") as file:
            found = _write(lines, file)
            _refuse_none(found, conversation_id, path)
        say(f"{found} conversations in {output.absolute()}.", stderr=True)
    _refuse_none(found, conversation_id, path)


def _write(lines: Iterator[dict[str, Any]], file: Any) -> int:
    """Write each line; return how many conversations those are."""
    found = 0
    for line in lines:
        found += line["type"] == "conversation"
        file.write(json.dumps(line).encode() + b"\n")
    file.flush()
    return found


def _refuse_none(found: int, conversation_id: str | None, path: Path) -> None:
    if conversation_id is not None and not found:
        say(f"There is no conversation {conversation_id} in {path}.", "red", stderr=True)
        raise typer.Exit(1)


@contextlib.contextmanager
def _stdout_fails_kindly() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno == errno.EPIPE:
            raise  # the reader has enough: Typer ends quietly
        raise ConfigError(f"The export could not be written: {error.strerror}.") from error


def _stop_it(settings: Settings) -> str:
    return f"A server uses {settings.server.data_dir}. Stop it first, and start it again afterwards."
