"""What a server left running is stopped by the next one, which looks for it only after an end that was not clean."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from structlog.testing import capture_logs

from claude_code_api.runtime.orphans import note_clean_end, stop_orphans
from tests.gateway import Gateway, text_of

VARIABLE = "CLAUDE_CODE_API_TEST_MARK"

Start = Callable[..., Gateway]


@pytest.fixture
def sleeper() -> Iterator[Callable[[str], subprocess.Popen[bytes]]]:
    """Start processes that carry a mark."""
    started: list[subprocess.Popen[bytes]] = []

    def start(mark: str) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen(["sleep", "60"], env={"PATH": os.environ["PATH"], VARIABLE: mark}))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_only_what_the_earlier_server_left_is_stopped(
    tmp_path: Path, sleeper: Callable[[str], subprocess.Popen[bytes]]
) -> None:
    record = tmp_path / "instance"
    record.write_text("earlier")
    left, other = sleeper("earlier"), sleeper("somebody else's")
    assert stop_orphans(record, variable=VARIABLE, instance="mine") == 1
    assert left.wait(timeout=5) == -signal.SIGKILL
    assert other.poll() is None
    assert record.read_text() == "mine"


def test_after_a_clean_end_nobody_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = tmp_path / "instance"
    stop_orphans(record, variable=VARIABLE, instance="first")
    note_clean_end(record)
    note_clean_end(record)

    def look() -> Iterator[psutil.Process]:
        raise AssertionError("every process of the machine was looked at")

    monkeypatch.setattr(psutil, "process_iter", look)
    assert stop_orphans(record, variable=VARIABLE, instance="second") == 0
    assert record.read_text() == "second"


def test_a_disk_that_takes_no_file_does_not_stop_the_start(
    tmp_path: Path, sleeper: Callable[[str], subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    record = tmp_path / "instance"
    record.write_text("earlier")
    left = sleeper("earlier")

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with capture_logs() as logs:
        assert stop_orphans(record, variable=VARIABLE, instance="mine") == 1
    assert left.wait(timeout=5) == -signal.SIGKILL
    assert [(line["event"], line["reason"]) for line in logs] == [("instance_not_recorded", "No space left on device")]


def test_a_server_says_whether_it_ended_cleanly(start_gateway: Start) -> None:
    gateway = start_gateway()
    record = gateway.data / "default" / "instance"
    text_of(gateway.ask("hello", "ended"))
    assert record.exists()
    gateway.process.send_signal(signal.SIGTERM)
    assert gateway.process.wait(timeout=60) == 0
    assert not record.exists()
    gateway.restart(signal.SIGTERM)
    gateway.process.kill()
    gateway.process.wait()
    assert record.exists()


def test_an_end_without_the_guard_is_not_a_clean_one(start_gateway: Start) -> None:
    gateway = start_gateway()
    (guard,) = [one for one in psutil.Process(gateway.process.pid).children() if "guard_child" in str(one.cmdline())]
    guard.kill()
    gateway.process.send_signal(signal.SIGTERM)
    assert gateway.process.wait(timeout=60) == 0
    assert (gateway.data / "default" / "instance").exists()
