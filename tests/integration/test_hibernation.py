"""A process can go at any time between turns, for a person, for memory or for age; the conversation is what stays."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.conftest import Model
from tests.gateway import Gateway, eventually, runs, text_of

Start = Callable[..., Gateway]


def hibernate(gateway: Gateway, name: str) -> httpx.Response:
    return gateway.http.post(f"/v1/sessions/{name}/hibernate")


def code_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


# On request


def test_hibernate_frees_the_process_and_keeps_the_conversation(gateway: Gateway) -> None:
    text_of(gateway.ask("Remember the number 42.", "bed"))
    text_of(gateway.ask("Remember the number 43.", "bed-neighbour"))
    pid, neighbour = gateway.pid("bed"), gateway.pid("bed-neighbour")
    before = gateway.counter("hibernated")
    answer = hibernate(gateway, "bed")
    assert answer.status_code == 200
    session = answer.json()
    assert (session["id"], session["state"], session["pid"], session["turns"]) == ("bed", "hibernated", None, 1)
    assert not psutil.pid_exists(pid)
    assert gateway.session("bed") == session
    assert gateway.counter("hibernated") == before + 1
    assert gateway.pid("bed-neighbour") == neighbour
    assert gateway.ask("hello", "bed-neighbour").headers["X-Session-Start"] == "live"
    again = gateway.ask("What number did I ask you to remember?", "bed")
    assert ("42" in text_of(again), again.headers["X-Session-Start"]) == (True, "resumed")


def test_hibernate_twice_is_fine(gateway: Gateway) -> None:
    text_of(gateway.ask("Remember the number 42.", "bed-twice"))
    before = gateway.counter("hibernated")
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: hibernate(gateway, "bed-twice"), range(2)))
    third = hibernate(gateway, "bed-twice")
    assert [(one.status_code, one.json()["pid"]) for one in (*both, third)] == [(200, None)] * 3
    assert gateway.counter("hibernated") == before + 1


def test_hibernate_of_an_unknown_conversation_is_404(gateway: Gateway) -> None:
    answer = hibernate(gateway, "bed-unknown")
    assert code_of(answer) == (404, "conversation_not_found")
    assert hibernate(gateway, "bed%20malformed").status_code == 400


def test_hibernate_during_a_turn_is_refused_and_the_turn_goes_on(gateway: Gateway, model: Model) -> None:
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(gateway.ask, "bed-busy-check [[offline: words 60]] [[offline: pace 0.03]]", "bed-busy")
        eventually(lambda: bool(model.asked("bed-busy-check")))
        refused = hibernate(gateway, "bed-busy")
        assert not running.done()
        assert text_of(running.result()).endswith("word60")
    assert code_of(refused) == (409, "conversation_in_use")
    assert "Retry-After" in refused.headers
    assert hibernate(gateway, "bed-busy").status_code == 200


def test_a_turn_that_meets_a_hibernation_is_answered(gateway: Gateway) -> None:
    text_of(gateway.ask("Remember the number 42.", "bed-raced"))
    for attempt in range(3):
        with ThreadPoolExecutor(2) as pool:
            slept = pool.submit(hibernate, gateway, "bed-raced")
            asked = pool.submit(gateway.ask, f"Attempt {attempt}: what number did I ask you to remember?", "bed-raced")
        assert slept.result().status_code in (200, 409)
        assert "42" in text_of(asked.result())
    assert gateway.session("bed-raced")["turns"] == 4


# For memory


def test_a_process_that_is_too_large_is_stopped_after_its_turn(start_gateway: Start) -> None:
    gateway = start_gateway({"claude__max_process_memory": 1000, "claude__session_idle_seconds": 10})
    answer = gateway.ask("Remember the number 42. [[offline: words 60]] [[offline: pace 0.05]]", "large")
    assert text_of(answer).endswith("word60")
    eventually(lambda: gateway.session("large")["pid"] is None, within=8)
    assert gateway.children() == []
    assert (gateway.counter("too_large"), gateway.counter("culled")) == (1, 0)
    again = gateway.ask("What number did I ask you to remember?", "large")
    assert ("42" in text_of(again), again.headers["X-Session-Start"]) == (True, "resumed")
    eventually(lambda: gateway.counter("too_large") == 2, within=8)


def test_little_memory_bounds_the_processes_and_everybody_is_answered(start_gateway: Start) -> None:
    gateway = start_gateway({"claude__max_total_memory": 400 * 10**6, "claude__session_idle_seconds": 10})

    def limit() -> int:
        count: int = gateway.stats()["limits"]["processes_for_memory"]
        return count

    eventually(lambda: limit() < 3)
    assert gateway.stats()["limits"]["max_concurrent_sessions"] == 20
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda n: gateway.ask(f"Remember the number {n}00.", f"tight-{n}"), range(1, 4)))
    assert [answer.status_code for answer in answers] == [200] * 3
    eventually(lambda: len(gateway.children()) <= limit() < 3, within=8)
    for number in range(1, 4):
        again = gateway.ask("What number did I ask you to remember?", f"tight-{number}")
        assert f"{number}00" in text_of(again)
    eventually(lambda: len(gateway.children()) <= limit() < 3, within=8)
    assert gateway.counter("evicted") >= 1
    assert gateway.counter("failed") == 0


# For age


def _rows(path: Path, conversation_key: str) -> dict[str, int]:
    columns = {"conversation": "key", "turn": "conversation_key", "transcript_entry": "conversation_key"}
    database = sqlite3.connect(path)
    found = {
        table: database.execute(f"SELECT count(*) FROM {table} WHERE {column} = ?", (conversation_key,)).fetchone()[0]
        for table, column in columns.items()
    }
    database.close()
    return found


def test_a_conversation_that_was_not_used_for_long_is_deleted_for_good(start_gateway: Start) -> None:
    gateway = start_gateway({"store__retain_days": 1})
    path = gateway.data / "default" / "conversations.db"
    headers = {"Idempotency-Key": "aged-1"}
    body = {"conversation_id": "aged", "messages": [{"role": "user", "content": "Remember the number 42."}]}
    text_of(gateway.http.post("/v1/chat/completions", json=body, headers=headers))
    text_of(gateway.ask("Remember the number 43.", "fresh"))
    database = sqlite3.connect(path)
    places = dict(database.execute("SELECT conversation_id, place FROM conversation"))
    keys = dict(database.execute("SELECT conversation_id, key FROM conversation"))
    directories = {name: gateway.data / "default" / "sessions" / place for name, place in places.items()}
    assert all(directory.is_dir() for directory in directories.values())
    assert all(count >= 1 for count in _rows(path, keys["aged"]).values())
    gateway.process.kill()
    gateway.process.wait()
    day_ago = time.time() - 25 * 3600
    with database:
        database.execute("UPDATE conversation SET last_used_at = ? WHERE conversation_id = 'aged'", (day_ago,))
    database.close()
    gateway.restart(signal.SIGKILL)
    eventually(lambda: gateway.http.get("/v1/sessions/aged").status_code == 404)
    eventually(lambda: not directories["aged"].exists())
    assert set(_rows(path, keys["aged"]).values()) == {0}
    assert all(count >= 1 for count in _rows(path, keys["fresh"]).values())
    assert "43" in text_of(gateway.ask("What number did I ask you to remember?", "fresh"))
    anew = gateway.http.post("/v1/chat/completions", json=body, headers=headers)
    assert (text_of(anew) != "", anew.headers["X-Session-Start"]) == (True, "cold")
    assert "Idempotent-Replayed" not in anew.headers


# Left behind


def test_what_a_server_left_behind_with_its_guard_is_stopped_by_the_next(start_gateway: Start) -> None:
    gateway = start_gateway()
    text_of(gateway.ask("Remember the number 42.", "orphan"))
    pid = gateway.pid("orphan")
    try:
        (guard,) = [
            child
            for child in psutil.Process(gateway.process.pid).children()
            if any(part.endswith("guard_child.py") for part in child.cmdline())
        ]
        os.kill(pid, signal.SIGSTOP)  # one that runs may end by itself 2 s after its pipes were closed
        guard.kill()
        gateway.process.kill()
        gateway.process.wait()
        assert runs(pid)
        gateway.restart(signal.SIGKILL)
        eventually(lambda: not runs(pid))
        assert "orphans_stopped" in gateway.log()
        answer = gateway.ask("What number did I ask you to remember?", "orphan")
        assert ("42" in text_of(answer), answer.headers["X-Session-Start"]) == (True, "resumed")
        assert gateway.pid("orphan") != pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


# Pages


def _pages(gateway: Gateway, limit: int) -> list[list[dict[str, Any]]]:
    pages: list[list[dict[str, Any]]] = []
    after: dict[str, str] = {}
    while True:
        page = gateway.http.get("/v1/sessions", params={"limit": limit, **after}).json()
        pages.append(page["data"])
        assert page["first_id"] == page["data"][0]["id"]
        assert page["last_id"] == page["data"][-1]["id"]
        if not page["has_more"]:
            return pages
        after = {"after": page["last_id"]}


def test_sessions_come_in_pages_newest_first(start_gateway: Start) -> None:
    gateway = start_gateway()
    empty = gateway.http.get("/v1/sessions").json()
    assert empty == {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}
    for number in range(5):
        text_of(gateway.ask("hello", f"paged-{number}"))
    for number in (0, 3):
        assert hibernate(gateway, f"paged-{number}").status_code == 200
    newest = [f"paged-{number}" for number in reversed(range(5))]
    for limit, sizes in ((2, [2, 2, 1]), (5, [5]), (1, [1] * 5), (1000, [5])):
        pages = _pages(gateway, limit)
        assert [len(page) for page in pages] == sizes
        assert [session["id"] for page in pages for session in page] == newest
    states = {session["id"]: session["state"] for page in _pages(gateway, 2) for session in page}
    assert states == {f"paged-{number}": "hibernated" if number in (0, 3) else "idle" for number in range(5)}
    past = gateway.http.get("/v1/sessions", params={"after": "paged-0"}).json()
    assert (past["data"], past["has_more"]) == ([], False)
    unknown = gateway.http.get("/v1/sessions", params={"after": "paged-9"})
    assert code_of(unknown) == (404, "conversation_not_found")
    gateway.restart(signal.SIGKILL)
    assert [session["id"] for page in _pages(gateway, 2) for session in page] == newest


@pytest.mark.parametrize("limit", ["0", "-1", "1001", "many"])
def test_a_page_of_an_impossible_size_is_refused(gateway: Gateway, limit: str) -> None:
    refused = gateway.http.get("/v1/sessions", params={"limit": limit})
    assert refused.status_code == 400
    assert "limit" in refused.json()["error"]["param"]
    assert "limit" in refused.json()["error"]["message"]
