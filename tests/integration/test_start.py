"""A server whose data cannot be used does not start, and says what to do: exit code 2, no banner, no traceback."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
from pathlib import Path

import pytest

from claude_code_api.errors import ConfigError
from claude_code_api.store.migrate import prepare, usable
from tests.chaos.disk import small_disk
from tests.integration.test_command_line import run


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A database as a server left it that was killed during a turn, in the data directory `data`."""
    path = tmp_path / "data" / "default" / "conversations.db"
    prepare(path)
    leave_a_turn(path)
    return path


def leave_a_turn(path: Path) -> None:
    """Store a turn that is still running."""
    with sqlite3.connect(path) as connection:
        for table, own in (("conversation", {"key": "k"}), ("turn", {"conversation_key": "k", "status": "running"})):
            columns = {row[1]: row for row in connection.execute(f"PRAGMA table_info({table})")}
            values = {name: 0 for name, row in columns.items() if row[3]} | own
            names = ", ".join(f'"{name}"' for name in values)
            marks = ", ".join("?" for _ in values)
            connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(values.values()))
    connection.close()


def serve(data: Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Start a server that is expected not to start."""
    return run("serve", "--port", "0", "--data-dir", str(data), cwd=cwd)


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """Check that it did not, and said these words."""
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "Claude Code API on" not in done.stderr
    assert all(word in done.stderr for word in words), done.stderr


def test_a_database_that_another_program_keeps(database: Path, tmp_path: Path) -> None:
    other = sqlite3.connect(database, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    refused(serve(tmp_path / "data", tmp_path), str(database), "locked", "Another program")
    other.close()


def test_a_database_that_refuses_to_be_written(database: Path, tmp_path: Path) -> None:
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TRIGGER no BEFORE UPDATE ON turn BEGIN SELECT RAISE(FAIL, 'not today'); END")
    connection.close()
    refused(serve(tmp_path / "data", tmp_path), str(database), "not today", "db check")


def test_a_database_that_finds_no_room(tmp_path: Path) -> None:
    path = tmp_path / "conversations.db"
    prepare(path)
    with pytest.raises(ConfigError, match="Make room on the disk"):
        write_too_much(path)


def write_too_much(path: Path) -> None:
    """Write more than SQLite may."""
    with usable(path) as engine, engine.begin() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1")
        connection.exec_driver_sql("CREATE TABLE ballast AS SELECT zeroblob(10000000)")


def test_a_directory_that_cannot_be_made(database: Path, tmp_path: Path) -> None:
    (database.parent / "sessions").write_text("a file is in the way")
    refused(serve(tmp_path / "data", tmp_path), str(database.parent / "sessions"), "cannot be used")


@pytest.mark.parametrize("known", [True, False], ids=["known", "new"])
def test_a_full_disk(database: Path, tmp_path: Path, known: bool) -> None:
    with small_disk(tmp_path / "disk", 4) as disk:
        if disk is None:
            pytest.skip("a disk that can be filled needs a tmpfs, which cannot be mounted here")
        data = disk.path / "data"
        if known:
            shutil.copytree(tmp_path / "data", data)
        else:
            data.mkdir()
        fill(disk.path / "filler")
        refused(serve(data, tmp_path), str(data), "Make room on the disk")


def fill(path: Path) -> None:
    """Leave no room on the disk."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            os.write(file.fileno(), bytes(4096))
