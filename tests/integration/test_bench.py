"""`claude-code-api bench`: it measures the real things, and says when they are wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from claude_code_api.bench.seed import conversation_id, seed
from claude_code_api.store.database import sqlite_engine
from claude_code_api.store.sql import SqlStore
from claude_code_api.store.start import settle


def bench(*arguments: str, cwd: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "claude_code_api", "bench", "--json", *arguments],
        cwd=cwd,
        env={"HOME": str(cwd), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def test_conversations_come_back_with_what_they_were_told(tmp_path: Path) -> None:
    report = bench("--hibernate", "4", "--runs", "1", "--mode", "simple", cwd=tmp_path)
    (mode,) = report["modes"]
    assert (report["stored"], mode["memory"], mode["guide"]) == (None, None, [])
    alone, crowd = mode["rows"]
    assert alone["name"] == "resume, first token"
    assert [len(alone[f"{side}_samples_ms"]) for side in ("raw", "gateway")] == [1, 1]
    assert alone["limit_ms"] == pytest.approx(alone["raw_ms"] + 20, abs=0.1)
    assert crowd["name"] == "4 conversations on 2 processes, a resumed turn"
    # At most the two that still lived were not resumed.
    assert 2 <= len(crowd["gateway_samples_ms"]) <= 4
    assert crowd["limit_ms"] == pytest.approx(crowd["raw_ms"] * 1.15, abs=0.1)


def test_a_full_store_is_measured_against_an_empty_one(tmp_path: Path) -> None:
    report = bench("--stored", "1500", "--runs", "1", cwd=tmp_path)
    assert report["modes"] == []
    stored = report["stored"]
    look_up, memory, start = stored["rows"]
    assert stored["conversations"] == 1500
    assert (look_up["empty"], look_up["limit"], len(look_up["stored_samples"])) == (None, 5, 10)
    assert memory["limit"] == 300
    assert 20 < memory["stored"] < 300
    assert [len(start[f"{side}_samples"]) for side in ("empty", "stored")] == [3, 3]
    assert start["limit"] == pytest.approx(start["empty"] * 1.1, abs=0.1)


async def test_seeded_conversations_are_what_a_server_would_have_left(tmp_path: Path) -> None:
    assert list(seed(tmp_path / "data", 2001)) == [1000, 2000, 2001]
    data = tmp_path / "data" / "default"
    assert settle(data / "conversations.db") == 0
    store = SqlStore(sqlite_engine(data / "conversations.db"))
    try:
        assert await store.count() == 2001
        found = await store.load("default", conversation_id(2000))
        assert found is not None
        assert [message.role for message in found.history] == ["user", "assistant"] * 2
        assert {len(message.content[0]["text"]) for message in found.history} == {300}
        assert (found.turns, found.binding is not None) == (2, True)
        places = [path.name for path in (data / "sessions").iterdir()]
        assert (len(places), await store.known_places(places)) == (2001, set(places))
    finally:
        await store.close()
