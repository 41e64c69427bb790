"""`claude-code-api keys`: API keys. A server that runs follows within two seconds; its lock is not taken."""

from __future__ import annotations

import re
import secrets
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from claude_code_api.cli.data import ConfigFile, DataDir, Offline, database, existing, say
from claude_code_api.cli.lock import lock
from claude_code_api.core.keys import DEFAULT_TENANT, ID_BYTES, SECRET_BYTES, ApiKey, digest_of, id_of, written

app = typer.Typer(help="Make, list and revoke the API keys that requests must come with.", no_args_is_help=True)

_TENANT = re.compile(r"[A-Za-z0-9._:\-]{1,64}")
_PROFILE = re.compile(r"[A-Za-z0-9._\-]{1,64}")
_SPAN = re.compile(r"([1-9][0-9]{0,4})([dh])")
_SPAN_S = {"d": 24 * 3600.0, "h": 3600.0}
_MOST_NAME = 100
_PIPE_WIDTH = 400


@app.command("create")
def create(
    name: Annotated[str, typer.Option(help="Whose or what for, for your own lists.", show_default=False)],
    tenant: Annotated[
        str, typer.Option(help="Keys of one tenant share their conversations, and see no others.")
    ] = DEFAULT_TENANT,
    expires: Annotated[
        str | None, typer.Option(help="When it ends: 90d, 12h, or a date or time (ISO, UTC). Never, if left out.")
    ] = None,
    profiles: Annotated[
        str | None, typer.Option(help="The only profiles it is for, such as chat,agent. All, if left out.")
    ] = None,
    admin: Annotated[bool, typer.Option("--admin", help="Let it see what all tenants do, as in /stats.")] = False,
    config: ConfigFile = None,
    data_dir: DataDir = None,
    offline: Offline = False,
) -> None:
    """Make an API key and print it: this once, for only a digest is kept. From the first one on, requests need one.

    Example: claude-code-api keys create --name alice --expires 90d
    """
    from claude_code_api.store import keys

    now = time.time()
    if not name.strip() or len(name) > _MOST_NAME or not name.isprintable():
        raise typer.BadParameter(f"1 to {_MOST_NAME} printable characters", param_hint="--name")
    if not _TENANT.fullmatch(tenant):
        raise typer.BadParameter("1 to 64 letters, digits and . _ : -", param_hint="--tenant")
    ends = None if expires is None else _moment(expires, now)
    only = None if profiles is None else _profiles(profiles)
    path = _up_to_date(config, data_dir, offline)
    text = written(secrets.token_bytes(ID_BYTES), secrets.token_bytes(SECRET_BYTES))
    key = ApiKey(id_of(text) or "", digest_of(text), tenant, name, only, admin, now, ends, None)
    first = not keys.stored(path)
    keys.add(path, key)
    say(text)
    say(
        f"This is the only time the key is shown. Its id is {key.id}, its tenant {tenant}; "
        f"{'it does not expire' if ends is None else f'it expires on {_date(ends)} UTC'}.",
        stderr=True,
    )
    if first:
        say("It is the first one: from now on, requests without a key get a 401.", stderr=True)


@app.command("list")
def show(config: ConfigFile = None, data_dir: DataDir = None, offline: Offline = False) -> None:
    """List the API keys, those that are revoked or expired included. The keys themselves are nowhere.

    Example: claude-code-api keys list
    """
    from claude_code_api.store import keys

    now = time.time()
    _, path = existing(config, data_dir, offline)
    known = keys.stored(path)
    if not known:
        say(f"There are no API keys in {path}: everybody on this machine may send requests.")
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("id", no_wrap=True)
    for heading in ("name", "tenant", "profiles", "admin", "created", "expires", ""):
        table.add_column(heading)
    for key in known:
        table.add_row(
            key.id,
            key.name,
            key.tenant,
            "all" if key.profiles is None else ", ".join(key.profiles),
            "yes" if key.is_admin else "no",
            _date(key.created_at),
            "never" if key.expires_at is None else _date(key.expires_at),
            key.standing(now),
        )
    Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH).print(table, markup=False, highlight=False)


@app.command("revoke")
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The id of the key, from `keys list`.")],
    delete: Annotated[bool, typer.Option("--delete", help="Remove the key from the list as well.")] = False,
    config: ConfigFile = None,
    data_dir: DataDir = None,
    offline: Offline = False,
) -> None:
    """Let a key open nothing any more. What it has under way is finished; its tenant's conversations stay.

    Example: claude-code-api keys revoke 3f9c0a1b2c3d
    """
    from claude_code_api.store import keys

    _, path = existing(config, data_dir, offline)
    wanted = id_of(key_id) or key_id  # a whole key is understood, and not printed
    found = next((key for key in keys.stored(path) if key.id == wanted), None)
    if found is None:
        say(f"There is no such API key in {path}; `claude-code-api keys list` shows their ids.", "red", stderr=True)
        raise typer.Exit(1)
    if not delete:
        keys.revoke(path, found.id, time.time())
        say(f"The key {found.id} ({found.name}) opens nothing any more.")
        return
    left = keys.forget(path, found.id)
    say(f"The key {found.id} ({found.name}) is gone.")
    if not left:
        say(
            "It was the last one: everybody on this machine may send requests again, as the tenant "
            f"{DEFAULT_TENANT}. A server that other machines can reach refuses them until there is a key.",
            "yellow",
        )


def _up_to_date(config: Path | None, data_dir: Path | None, offline: bool) -> Path:
    """A database of this version: made, or brought there if no server of an earlier version uses it."""
    from claude_code_api.store import maintenance, migrate

    settings, path = database(config, data_dir, offline)
    before = maintenance.revision(path) if path.is_file() else None
    if before is None:
        migrate.prepare(path)
    elif before != migrate.newest():
        refusal = f"A server of an earlier version uses {settings.server.data_dir}. Start it again with this version."
        with lock(settings.server.data_dir, refusal=refusal):
            migrate.prepare(path)
    return path


def _moment(text: str, now: float) -> float:
    """`90d` or an ISO date or time, UTC unless it says otherwise, in Unix seconds. Raises typer.BadParameter."""
    span = _SPAN.fullmatch(text.strip().lower())
    if span is not None:
        return now + int(span[1]) * _SPAN_S[span[2]]
    try:
        moment = datetime.fromisoformat(text.strip())
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter("such as 90d, 12h, 2030-12-31 or 2030-12-31T18:00", param_hint="--expires") from error
    if seconds <= now:
        raise typer.BadParameter(f"{_date(seconds)} UTC is over", param_hint="--expires")
    return seconds


def _profiles(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    if not all(_PROFILE.fullmatch(name) for name in names):
        raise typer.BadParameter("names with commas between them, such as chat,agent", param_hint="--profiles")
    return names


def _date(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}"
