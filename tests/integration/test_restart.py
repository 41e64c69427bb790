"""Conversations outlive their server: after SIGTERM and after `kill -9`, in the middle of a turn as well."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx
import pytest

from tests.conftest import Model
from tests.gateway import Gateway, eventually, text_of

Start = Callable[..., Gateway]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_conversations_are_known_and_go_on_after_a_restart(
    start_gateway: Start, model: Model, number: signal.Signals
) -> None:
    gateway = start_gateway()
    gateway.http.post(
        "/v1/chat/completions",
        json={
            "conversation_id": "survivor",
            "messages": [
                {"role": "system", "content": "You are terse."},
                {"role": "user", "content": "Remember the number 42."},
            ],
        },
    )
    text_of(gateway.ask("Remember the word kiwi.", "survivor"))
    before = gateway.session("survivor")
    gateway.restart(number)
    (listed,) = gateway.http.get("/v1/sessions").json()["data"]
    assert (listed["id"], listed["state"], listed["turns"]) == ("survivor", "hibernated", 2)
    assert (listed["usage"], listed["created_at"]) == (before["usage"], before["created_at"])
    assert gateway.stats()["sessions"]["hibernated"] == 1
    answer = gateway.ask(f"restart-{number.name}: list everything?", "survivor")
    assert answer.headers["X-Session-Start"] == "resumed"
    assert text_of(answer) == "You asked me to remember: 42, kiwi."
    assert "You are terse." in str(model.asked(f"restart-{number.name}")[0]["system"])


class Stream:
    """A client that reads a long answer, over a connection of its own: restarting the gateway closes the gateway's."""

    def __init__(self, gateway: Gateway, name: str) -> None:
        self.answering = threading.Event()
        self.lines: list[str] = []
        self.broken: httpx.HTTPError | None = None
        self._url = f"{gateway.url}/v1/chat/completions"
        self._body = {
            "model": "sonnet",
            "stream": True,
            "conversation_id": name,
            "messages": [
                {"role": "user", "content": f"{name}-lost [[offline: words 2000]] [[offline: pace 0.05]]"},
            ],
        }

    def read(self) -> None:
        """Read to the end, whatever that is."""
        try:
            with httpx.stream("POST", self._url, json=self._body, timeout=120) as answer:
                for line in answer.iter_lines():
                    self.lines += [line] if line else []
                    if '"content":"' in line:
                        self.answering.set()
        except httpx.HTTPError as error:
            self.broken = error


@pytest.mark.timeout(600)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_restart_in_the_middle_of_ten_streams_tells_every_client_and_loses_no_conversation(
    start_gateway: Start, model: Model, number: signal.Signals
) -> None:
    gateway = start_gateway({"claude__max_concurrent_sessions": 10, "server__shutdown_grace_seconds": 0.5})
    names = [f"cut-{number.name}-{index:02}" for index in range(10)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda name: text_of(gateway.ask(f"Remember the word {name}-word.", name)), names))
    streams = [Stream(gateway, name) for name in names]
    with ThreadPoolExecutor(10) as pool:
        for stream in streams:
            pool.submit(stream.read)
        assert all(stream.answering.wait(60) for stream in streams)
        gateway.restart(number)
    for stream in streams:
        assert "data: [DONE]" not in stream.lines
        if number is signal.SIGTERM:
            assert stream.broken is None
            assert json.loads(stream.lines[-1].removeprefix("data: "))["error"]["code"] == "server_shutting_down"
        else:
            assert stream.broken is not None
            assert "error" not in stream.lines[-1]
    assert ("turns_interrupted" in gateway.log()) is (number is signal.SIGKILL)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda name: gateway.ask(f"{name}-after: list everything?", name), names))
    for name, answer in zip(names, answers, strict=True):
        assert answer.headers["X-Session-Start"] == "resumed"
        assert text_of(answer) == f"You asked me to remember: {name}-word."
        assert [role for role, _ in model.dialogue(f"{name}-after")] == ["user", "assistant", "user"]
        assert f"{name}-lost" not in str(model.asked(f"{name}-after"))


@pytest.mark.parametrize(("copy", "origin"), [(True, "copy"), (False, "history")])
def test_a_conversation_whose_files_are_gone_comes_back_from_the_store(
    start_gateway: Start, model: Model, copy: bool, origin: str
) -> None:
    gateway = start_gateway()
    text_of(gateway.ask("Remember the number 42.", "rebuilt"))
    text_of(gateway.ask("Remember the word kiwi.", "rebuilt"))
    gateway.process.kill()
    gateway.process.wait()
    shutil.rmtree(gateway.data_dir / "data" / "default" / "sessions")
    if not copy:
        database = sqlite3.connect(gateway.data_dir / "data" / "default" / "conversations.db")
        database.execute("DELETE FROM transcript_entry")
        database.commit()
        database.close()
    gateway.restart(signal.SIGKILL)
    answer = gateway.ask(f"from-{origin}: list everything?", "rebuilt")
    assert text_of(answer) == "You asked me to remember: 42, kiwi."
    assert answer.headers["X-Session-Start"] == "resumed"
    assert [role for role, _ in model.dialogue(f"from-{origin}")] == ["user", "assistant"] * 2 + ["user"]
    assert f"origin={origin}" in gateway.log()
    assert gateway.counter("rebuilt") == 1


def test_a_transcript_with_a_hole_is_not_gone_on_from(start_gateway: Start) -> None:
    """On a full disk the CLI leaves entries out and goes on; what is missing is only seen from the end backwards."""
    gateway = start_gateway()
    for word in ("kiwi", "plum", "fig"):
        text_of(gateway.ask(f"Remember the word {word}.", "holed"))
    assert gateway.http.post("/v1/sessions/holed/hibernate").status_code == 200
    (path,) = (gateway.data_dir / "data" / "default" / "sessions").glob("*/config/projects/*/*.jsonl")
    lines = path.read_text().splitlines(keepends=True)
    (hole,) = [number for number, line in enumerate(lines) if "word plum" in line and '"type":"user"' in line]
    path.write_text("".join(lines[:hole] + lines[hole + 1 :]))
    assert text_of(gateway.ask("List everything?", "holed")) == "You asked me to remember: kiwi, plum, fig."
    assert "transcript_incomplete" in gateway.log()


def test_a_deleted_conversation_stays_deleted(start_gateway: Start) -> None:
    gateway = start_gateway({"claude__session_idle_seconds": 0.3})
    text_of(gateway.ask("Remember the number 42.", "gone"))
    eventually(lambda: gateway.session("gone")["state"] == "hibernated")
    assert gateway.http.delete("/v1/sessions/gone").status_code == 204
    gateway.restart(signal.SIGKILL)
    assert gateway.http.get("/v1/sessions").json()["data"] == []
    assert list((gateway.data_dir / "data" / "default" / "sessions").iterdir()) == []
    assert gateway.ask("What number did I ask you to remember?", "gone").headers["X-Session-Start"] == "cold"


def test_a_database_that_cannot_be_written_is_a_503_and_recovers(start_gateway: Start) -> None:
    gateway = start_gateway()
    text_of(gateway.ask("Remember the number 42.", "locked"))
    other = sqlite3.connect(gateway.data_dir / "data" / "default" / "conversations.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    refused = gateway.ask("Remember the number 43.", "locked")
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "store_unavailable")
    assert "Retry-After" in refused.headers
    other.execute("ROLLBACK")
    other.close()
    answer = gateway.ask("List everything?", "locked")
    assert text_of(answer) == "You asked me to remember: 42."
    assert answer.headers["X-Session-Start"] == "live"


def test_every_acknowledged_turn_is_stored_exactly_once(start_gateway: Start) -> None:
    gateway = start_gateway({"claude__max_concurrent_sessions": 2})
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            list(pool.map(lambda number: text_of(gateway.ask("hello", f"counted-{number}")), range(4)))
    gateway.restart(signal.SIGKILL)
    database = sqlite3.connect(gateway.data_dir / "data" / "default" / "conversations.db")
    rows = database.execute("SELECT status, count(*) FROM turn GROUP BY status").fetchall()
    database.close()
    assert rows == [("completed", 12)]


def _is_hibernated(gateway: Gateway, name: str) -> bool:
    return bool(gateway.session(name)["state"] == "hibernated")


def test_requests_that_race_with_a_deletion_see_all_of_it_or_nothing(start_gateway: Start) -> None:
    gateway = start_gateway({"claude__session_idle_seconds": 0.3})
    for attempt in range(4):
        name = f"raced-{attempt}"
        text_of(gateway.ask("Remember the word secret.", name))
        if attempt % 2:
            eventually(partial(_is_hibernated, gateway, name))
        with ThreadPoolExecutor(4) as pool:
            deletions = [pool.submit(gateway.http.delete, f"/v1/sessions/{name}") for _ in range(3)]
            asked = pool.submit(gateway.ask, "List everything?", name)
        statuses = sorted(deletion.result().status_code for deletion in deletions)
        assert set(statuses) <= {204, 404}
        assert 204 in statuses
        if asked.result().status_code == 200 and asked.result().headers["X-Session-Start"] == "cold":
            assert "secret" not in text_of(asked.result())
        gateway.http.delete(f"/v1/sessions/{name}")
        assert gateway.http.get(f"/v1/sessions/{name}").status_code == 404
