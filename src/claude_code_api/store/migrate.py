"""Brings a database to the schema of this version. Runs at every start; does nothing when there is nothing to do."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from claude_code_api.errors import ConfigError
from claude_code_api.store.database import reason_of, sqlite_engine

MIGRATIONS = Path(__file__).with_name("migrations")

_ROOM = 2**20
"""A disk with less room, in bytes, is full."""


def upgrade(engine: Engine) -> None:
    """Apply the migrations that are missing, all in one transaction. Raises SQLAlchemyError or CommandError."""
    with engine.begin() as connection:
        if revision(connection) != newest():
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")


def prepare(path: Path) -> None:
    """Make the database, or bring it to this version. Raises ConfigError that says what to do."""
    with usable(path) as engine:
        upgrade(engine)


@contextlib.contextmanager
def usable(path: Path) -> Iterator[Engine]:
    """An engine for work that comes before the server, on a file that may not exist yet.

    Raises ConfigError that says what to do when the directory or the database cannot be used for it.
    """
    with contextlib.ExitStack() as stack:
        try:
            path.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
            engine = sqlite_engine(path)
            stack.callback(engine.dispose)
            yield engine
        except CommandError as error:
            raise ConfigError(newer(path)) from error
        except SQLAlchemyError as error:
            reason = reason_of(error)
            raise ConfigError(f"{path} cannot be used: {reason}. {_advice(path, reason)}") from error
        except OSError as error:
            raise ConfigError(f"[server] data_dir: {path.parent} cannot be used: {error.strerror}.") from error


def _advice(path: Path, reason: str) -> str:
    # Where there is no room for its shared memory, SQLite speaks of an I/O error.
    if "full" in reason or shutil.disk_usage(path.parent).free < _ROOM:
        return "Make room on the disk and start again."
    if "locked" in reason:
        return "Another program has it open and keeps it; end that and start again."
    return "`claude-code-api db check` says more; a file made by `claude-code-api db backup` can be put in its place."


def newer(path: Path) -> str:
    """What to tell somebody whose database has a schema that this version does not know."""
    return f"{path} was written by a newer version of Claude Code API. Install that version, or restore a backup."


def revision(connection: Connection) -> str | None:
    """The schema that a database has, None for none yet."""
    return MigrationContext.configure(connection).get_current_revision()


def newest() -> str | None:
    """The schema of this version."""
    return ScriptDirectory.from_config(_config()).get_current_head()


def is_known(schema: str) -> bool:
    """Whether this version knows a schema; one that it does not know was made by a newer version."""
    return any(script.revision == schema for script in ScriptDirectory.from_config(_config()).walk_revisions())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config
