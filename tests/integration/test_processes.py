"""The limit on processes, and that none is ever left behind."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import psutil
import pytest

from tests.gateway import MARK, Gateway, eventually, marked_processes, runs, text_of

Start = Callable[..., Gateway]


def test_the_least_recently_used_idle_session_makes_room_and_comes_back(start_gateway: Start) -> None:
    gateway = start_gateway({"claude__max_concurrent_sessions": 2})
    for name in ("first", "second", "third"):
        text_of(gateway.ask(f"Remember the word {name}-word.", name))
    assert gateway.session("first")["state"] == "hibernated"
    assert gateway.session("second")["pid"] is not None
    answer = gateway.ask("What word should you remember?", "first")
    assert ("first-word" in text_of(answer), answer.headers["X-Session-Start"]) == (True, "resumed")
    assert gateway.session("second")["state"] == "hibernated"
    assert gateway.counter("evicted") == 2


def test_when_all_are_busy_a_request_waits_and_is_then_refused(start_gateway: Start) -> None:
    gateway = start_gateway({"claude__max_concurrent_sessions": 1, "claude__slot_wait_seconds": 1})
    with ThreadPoolExecutor(1) as pool:
        busy = pool.submit(gateway.ask, "[[offline: words 60]] [[offline: pace 0.05]]", "busy")
        eventually(lambda: len(gateway.children()) == 1)
        answer = gateway.ask("hello", "waiting")
        assert (answer.status_code, answer.json()["error"]["code"]) == (429, "capacity_exceeded")
        assert int(answer.headers["Retry-After"]) >= 1
        assert text_of(busy.result()).endswith("word60")
    text_of(gateway.ask("hello", "waiting"))


def test_a_full_queue_refuses_at_once(start_gateway: Start) -> None:
    gateway = start_gateway({"claude__max_concurrent_sessions": 1, "claude__max_waiting": 1})
    with ThreadPoolExecutor(2) as pool:
        pool.submit(gateway.ask, "[[offline: words 60]] [[offline: pace 0.05]]", "busy")
        eventually(lambda: len(gateway.children()) == 1)
        pool.submit(gateway.ask, "hello", "waiting")
        eventually(lambda: gateway.stats()["sessions"]["queued"] == 1)
        began = time.monotonic()
        assert gateway.ask("hello", "refused").status_code == 429
        assert time.monotonic() - began < 1


def test_fifteen_conversations_on_five_processes(start_gateway: Start) -> None:
    gateway = start_gateway({"claude__max_concurrent_sessions": 5})
    most, done = 0, threading.Event()

    def sample() -> None:
        nonlocal most
        while not done.wait(0.02):
            most = max(most, len(gateway.children()))

    def converse(number: int) -> bool:
        name = f"fifteen-{number}"
        text_of(gateway.ask(f"Remember the number {1000 + number}.", name))
        text_of(gateway.ask(f"Remember the word w{number}x.", name))
        recited = text_of(gateway.ask("List everything you remember?", name))
        return recited == f"You asked me to remember: {1000 + number}, w{number}x."

    sampler = threading.Thread(target=sample)
    sampler.start()
    with ThreadPoolExecutor(8) as pool:
        right = list(pool.map(converse, range(15)))
    done.set()
    sampler.join()
    assert all(right)
    assert most == 5
    children = gateway.children()
    gateway.process.send_signal(signal.SIGTERM)
    gateway.process.wait(timeout=20)
    assert not any(child.is_running() for child in children)


@pytest.mark.skipif(not os.path.isdir("/proc"), reason="finds processes by their environment; runs where /proc is")  # noqa: PTH112
def test_kill_9_of_the_server_in_mid_turn_leaves_no_process(start_gateway: Start) -> None:
    gateway = start_gateway()
    names = [f"orphan-{number}" for number in range(3)]
    for name in names:
        text_of(gateway.ask("hello", name))

    def hang(name: str) -> None:
        with pytest.raises(httpx.HTTPError):
            gateway.ask("[[offline: hang]]", name)

    threads = [threading.Thread(target=hang, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    eventually(lambda: all(gateway.session(name)["state"] == "busy" for name in names))
    mark = psutil.Process(gateway.pid(names[0])).environ()[MARK.rstrip("=")]
    assert len(marked_processes(mark)) == 3
    guards = [
        child for child in psutil.Process(gateway.process.pid).children() if "guard_child" in str(child.cmdline())
    ]
    gateway.process.kill()
    gateway.process.wait()
    eventually(lambda: marked_processes(mark) == [], within=2.0)
    eventually(lambda: not any(runs(guard.pid) for guard in guards), within=2.0)
    for thread in threads:
        thread.join()
