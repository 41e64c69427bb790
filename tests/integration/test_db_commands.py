"""`claude-code-api db`: looking after what a real server has stored, while it runs and after."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import Model
from tests.gateway import Gateway, text_of
from tests.integration.test_command_line import run

Start = Callable[..., Gateway]


def db(gateway: Gateway, *arguments: str) -> subprocess.CompletedProcess[str]:
    command, *rest = arguments
    return run("db", command, "--data-dir", str(gateway.data), *rest, cwd=gateway.data_dir)


def file_of(gateway: Gateway) -> Path:
    return gateway.data / "default" / "conversations.db"


def halt(gateway: Gateway, number: signal.Signals = signal.SIGTERM) -> None:
    gateway.process.send_signal(number)
    gateway.process.wait(timeout=60)


def refused(done: subprocess.CompletedProcess[str], *words: str, code: int = 2) -> None:
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert all(word in done.stdout + done.stderr for word in words), done.stdout + done.stderr


def lines_of(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(scope="module")
def stored(model: Model) -> Iterator[Gateway]:
    """A stopped server that has answered; its data stay. Tests that damage them copy them."""
    gateway = Gateway(model.server.url)
    text_of(gateway.ask("Remember the number 42.", "kept"))
    text_of(gateway.ask("Remember the word blue.", "kept"))
    text_of(gateway.ask("Grüße, 日本 " + "x" * 60_000, "other"))
    halt(gateway)
    yield gateway
    gateway.stop()


@pytest.fixture
def copied(stored: Gateway, tmp_path: Path) -> Path:
    """A data directory like that of the stopped server, to do anything with."""
    shutil.copytree(stored.data, tmp_path / "data")
    return tmp_path / "data"


def test_a_backup_of_a_running_server_goes_on_in_another_one(start_gateway: Start) -> None:
    first, second = start_gateway(), start_gateway()
    text_of(first.ask("Remember the number 42.", "moved"))
    file = first.data_dir / "copy.db"
    done = db(first, "backup", str(file))
    assert done.returncode == 0, done.stderr
    assert str(file) in done.stdout
    assert "stop the server" in done.stdout
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in first.data_dir.glob(".copy.db*")] == []
    text_of(first.ask("Remember the number 43.", "moved"))

    halt(second)
    place = file_of(second)
    for name in (f"{place.name}-wal", f"{place.name}-shm"):
        place.with_name(name).unlink(missing_ok=True)
    shutil.copy(file, place)
    assert "1 (will be rebuilt from the store)" in db(second, "check").stdout
    second.restart(signal.SIGTERM)
    answer = second.ask("List everything?", "moved")
    assert answer.headers["X-Session-Start"] == "resumed"
    assert text_of(answer) == "You asked me to remember: 42."


def test_a_backup_replaces_nothing_and_needs_a_directory(stored: Gateway, tmp_path: Path) -> None:
    there = tmp_path / "there.db"
    there.write_text("precious")
    refused(db(stored, "backup", str(there)), "exists already", str(there))
    assert there.read_text() == "precious"
    refused(db(stored, "backup", str(file_of(stored))), "exists already")
    refused(db(stored, "backup", str(tmp_path / "nowhere" / "b.db")), "There is no directory")


@pytest.mark.parametrize("command", ["backup", "export"])
def test_a_full_disk_leaves_no_half_file(stored: Gateway, tmp_path: Path, command: str) -> None:
    target = tmp_path / "out"
    arguments = [str(target)] if command == "backup" else ["--output", str(target)]
    limited = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (40000, 40000));"
        "from claude_code_api.cli import main; sys.argv[0] = 'claude-code-api'; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", limited, "db", command, "--data-dir", str(stored.data), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    refused(done, str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_check_of_a_sound_database(start_gateway: Start) -> None:
    gateway = start_gateway({"pool__min_size": 1, "pool__max_size": 1})
    text_of(gateway.ask("hello", "checked"))
    counts = {line[:22].strip(): line[22:] for line in db(gateway, "check").stdout.splitlines() if len(line) > 22}
    assert (counts["conversations"], counts["turns"]) == ("1", "1")
    assert int(counts["transcript entries"]) >= 2
    assert "stray directories" not in counts  # the spare's
    halt(gateway, signal.SIGKILL)
    (gateway.data / "default" / "sessions" / "stray").mkdir()
    done = db(gateway, "check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "stray directories" in done.stdout
    assert "Sound." in done.stdout


def test_check_of_a_damaged_database(copied: Path, tmp_path: Path) -> None:
    file = copied / "default" / "conversations.db"
    content = bytearray(file.read_bytes())
    content[4096 : len(content) - 4096] = os.urandom(len(content) - 8192)
    file.write_bytes(content)
    done = run("db", "check", "--data-dir", str(copied), cwd=tmp_path)
    refused(done, "problem:", "restore a backup", code=1)
    for arguments in (["backup", "b.db"], ["export"], ["export", "-o", "e.jsonl"], ["vacuum"], ["upgrade"]):
        refused(run("db", *arguments, "--data-dir", str(copied), cwd=tmp_path), str(file), "db check")
    assert not (tmp_path / "b.db").exists()
    assert not (tmp_path / "e.jsonl").exists()


def test_check_finds_rows_without_their_conversation(copied: Path, tmp_path: Path) -> None:
    with sqlite3.connect(copied / "default" / "conversations.db") as connection:
        connection.execute("DELETE FROM conversation WHERE conversation_id = 'kept'")
    connection.close()
    refused(run("db", "check", "--data-dir", str(copied), cwd=tmp_path), "2 rows of turn belong to no", code=1)


def not_a_database(file: Path) -> None:
    file.write_bytes(b"this was something else" * 500)


def newer(file: Path) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()


@pytest.mark.parametrize(("spoil", "words"), [(not_a_database, "not a database"), (newer, "newer version")])
def test_what_cannot_be_used_is_refused_and_left_alone(
    copied: Path, tmp_path: Path, spoil: Callable[[Path], None], words: str
) -> None:
    file = copied / "default" / "conversations.db"
    spoil(file)
    content = file.read_bytes()
    served = run("serve", "--port", "0", "--data-dir", str(copied), cwd=tmp_path)
    refused(served, words, str(file))
    assert "Claude Code API on" not in served.stderr
    refused(run("db", "check", "--data-dir", str(copied), cwd=tmp_path), words, code=1)
    for command in ("upgrade", "export"):
        refused(run("db", command, "--data-dir", str(copied), cwd=tmp_path), words, str(file))
    assert file.read_bytes() == content


def test_a_running_server_keeps_upgrade_and_vacuum_out(gateway: Gateway) -> None:
    for command in ("vacuum", "upgrade"):
        refused(db(gateway, command), "A server uses", "Stop it first")
    assert gateway.http.get("/health").status_code == 200


def test_vacuum_makes_a_database_smaller(copied: Path, tmp_path: Path) -> None:
    file = copied / "default" / "conversations.db"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE ballast AS SELECT randomblob(3000000)")
        connection.execute("DROP TABLE ballast")
    connection.close()
    before = file.stat().st_size
    done = run("db", "vacuum", "--data-dir", str(copied), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "before" in done.stdout
    assert file.stat().st_size < before / 4
    assert "Sound." in run("db", "check", "--data-dir", str(copied), cwd=tmp_path).stdout


def test_export_of_all(stored: Gateway) -> None:
    done = db(stored, "export")
    assert done.returncode == 0, done.stderr
    lines = lines_of(done.stdout)
    assert [(line["type"], line.get("id") or line["conversation_id"]) for line in lines] == [
        ("conversation", "kept"),
        ("turn", "kept"),
        ("turn", "kept"),
        ("conversation", "other"),
        ("turn", "other"),
    ]
    head, first, second = lines[:3]
    assert (head["turns"], first["number"], second["number"], first["status"]) == (2, 1, 2, "completed")
    assert str(head["created_at"]).endswith("+00:00")
    assert first["input"] == {"role": "user", "content": [{"type": "text", "text": "Remember the number 42."}]}
    assert "42" in json.dumps(first["output"])
    assert first["base"] is None
    assert "日本" in str(lines[4]["input"])


def test_export_of_one_to_a_file(gateway: Gateway, tmp_path: Path) -> None:
    text_of(gateway.ask("hello", "exported"))
    file = tmp_path / "one.jsonl"
    done = db(gateway, "export", "exported", "--output", str(file))
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [line["type"] for line in lines_of(file.read_text())] == ["conversation", "turn"]
    refused(db(gateway, "export", "exported", "--output", str(file)), "exists already")


def test_export_of_an_unknown_conversation(stored: Gateway, tmp_path: Path) -> None:
    refused(db(stored, "export", "no-such"), "no conversation no-such", code=1)
    refused(db(stored, "export", "no-such", "-o", str(tmp_path / "x")), "no conversation no-such", code=1)
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_has_enough_ends_the_export_quietly(stored: Gateway) -> None:
    command = f"{sys.executable} -m claude_code_api db export --data-dir {stored.data} | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""


def test_without_a_database_only_upgrade_makes_one(tmp_path: Path) -> None:
    data = str(tmp_path / "data")
    for arguments in (["check"], ["vacuum"], ["backup", "b.db"], ["export"]):
        refused(run("db", *arguments, "--data-dir", data, cwd=tmp_path), "There is no database", data)
    assert list(tmp_path.iterdir()) == []
    assert "is new" in run("db", "upgrade", "--data-dir", data, "--offline", cwd=tmp_path).stdout
    assert "up to date" in run("db", "upgrade", "--data-dir", data, "--offline", cwd=tmp_path).stdout
    assert "Sound." in run("db", "check", "--data-dir", data, "--offline", cwd=tmp_path).stdout


def test_upgrade_of_an_earlier_schema(tmp_path: Path) -> None:
    from alembic import command

    from claude_code_api.store import migrate
    from claude_code_api.store.database import sqlite_engine

    (tmp_path / "data" / "default").mkdir(parents=True)
    engine = sqlite_engine(tmp_path / "data" / "default" / "conversations.db")
    with engine.begin() as connection:
        config = migrate._config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    engine.dispose()
    data = str(tmp_path / "data")
    checked = run("db", "check", "--data-dir", data, cwd=tmp_path)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "earlier version" in checked.stdout
    refused(run("db", "export", "--data-dir", data, cwd=tmp_path), "db upgrade")
    assert run("db", "backup", "b.db", "--data-dir", data, cwd=tmp_path).returncode == 0
    assert f"from schema 0001 to {migrate.newest()}" in run("db", "upgrade", "--data-dir", data, cwd=tmp_path).stdout


@pytest.mark.parametrize("command", ["upgrade", "check", "vacuum", "backup", "export"])
def test_every_command_shows_an_example(tmp_path: Path, command: str) -> None:
    assert f"claude-code-api db {command}" in run("db", command, "--help", cwd=tmp_path).stdout
