"""Spares: new conversations answer at once, and spares never get in anybody's way."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from tests.conftest import Model
from tests.gateway import Gateway, eventually, text_of

Start = Callable[..., Gateway]


def pool(gateway: Gateway) -> dict[str, Any]:
    described: dict[str, Any] = gateway.stats()["pool"]
    return described


def wait_for_spares(gateway: Gateway, count: int) -> None:
    eventually(lambda: pool(gateway)["pool_available"] == count, within=15)


def test_a_new_conversation_adopts_a_spare_with_its_own_prompt_and_model(start_gateway: Start, model: Model) -> None:
    gateway = start_gateway({"pool__min_size": 1, "pool__max_size": 1})
    wait_for_spares(gateway, 1)
    (spare,) = gateway.children()
    body = {
        "model": "haiku",
        "conversation_id": "adopter",
        "messages": [
            {"role": "system", "content": "You are a parrot."},
            {"role": "user", "content": "warm-check: remember the word kiwi"},
        ],
    }
    answer = gateway.http.post("/v1/chat/completions", json=body)
    assert "kiwi" in text_of(answer)
    assert answer.headers["X-Session-Start"] == "warm"
    assert gateway.pid("adopter") == spare.pid
    (request,) = model.asked("warm-check")
    assert "haiku" in request["model"]
    assert "You are a parrot." in str(request["system"])
    assert model.dialogue("warm-check") == [("user", "warm-check: remember the word kiwi")]


def test_an_adopted_conversation_hibernates_and_comes_back_like_any_other(start_gateway: Start) -> None:
    gateway = start_gateway({"pool__min_size": 1, "pool__max_size": 1, "claude__session_idle_seconds": 0.5})
    wait_for_spares(gateway, 1)
    first = gateway.ask("Remember the number 42.", "sleeper")
    eventually(lambda: gateway.session("sleeper")["state"] == "hibernated")
    second = gateway.ask("What number did I ask you to remember?", "sleeper")
    assert [answer.headers["X-Session-Start"] for answer in (first, second)] == ["warm", "resumed"]
    assert "42" in text_of(second)


def test_spares_give_way_and_never_count_against_conversations(start_gateway: Start) -> None:
    gateway = start_gateway(
        {"pool__min_size": 3, "pool__max_size": 3, "claude__max_concurrent_sessions": 3},
    )
    wait_for_spares(gateway, 3)
    most = 0
    messages = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "ho"},
        {"role": "user", "content": "An imported history never fits a spare."},
    ]
    with ThreadPoolExecutor(3) as threads:
        done = [
            threads.submit(httpx.post, f"{gateway.url}/v1/chat/completions", json={"messages": messages}, timeout=30)
            for _ in range(3)
        ]
        while not all(future.done() for future in done):
            most = max(most, len(gateway.children()))
    assert [future.result().headers["X-Session-Start"] for future in done] == ["cold"] * 3
    assert most <= 3
    assert pool(gateway)["pool_size"] == 0


def test_the_last_slot_is_warm_too(start_gateway: Start) -> None:
    gateway = start_gateway({"pool__min_size": 1, "pool__max_size": 1, "claude__max_concurrent_sessions": 1})
    for number in range(2):
        wait_for_spares(gateway, 1)
        answer = gateway.ask("hello", f"only-{number}")
        assert answer.headers["X-Session-Start"] == "warm"
        assert len(gateway.children()) == 1
        assert gateway.http.delete(f"/v1/sessions/only-{number}").status_code == 204


def test_a_burst_uses_every_spare_and_the_rest_start_cold(start_gateway: Start) -> None:
    gateway = start_gateway({"pool__min_size": 3, "pool__max_size": 3})
    wait_for_spares(gateway, 3)
    with ThreadPoolExecutor(5) as threads:
        answers = list(threads.map(lambda number: gateway.ask("hello", f"burst-{number}"), range(5)))
    assert sorted(answer.headers["X-Session-Start"] for answer in answers) == ["cold"] * 2 + ["warm"] * 3
    assert len({gateway.pid(f"burst-{number}") for number in range(5)}) == 5
    wait_for_spares(gateway, 3)


def test_a_spare_that_died_costs_nothing_but_time_and_is_replaced(start_gateway: Start) -> None:
    gateway = start_gateway({"pool__min_size": 2, "pool__max_size": 2})
    wait_for_spares(gateway, 2)
    for child in gateway.children():
        os.kill(child.pid, signal.SIGKILL)
    answer = gateway.ask("Remember the number 42.", "unlucky")
    assert "42" in text_of(answer)
    wait_for_spares(gateway, 2)
    assert pool(gateway)["lost"] >= 1


def test_an_old_spare_is_replaced(start_gateway: Start) -> None:
    gateway = start_gateway({"pool__min_size": 1, "pool__max_size": 1, "pool__max_lifetime": 1})
    wait_for_spares(gateway, 1)
    (first,) = gateway.children()
    eventually(lambda: pool(gateway)["expired"] >= 1 and pool(gateway)["pool_available"] == 1, within=10)
    assert first.pid not in [child.pid for child in gateway.children()]


def test_a_shutdown_takes_the_spares_along(start_gateway: Start) -> None:
    gateway = start_gateway({"pool__min_size": 2, "pool__max_size": 2})
    wait_for_spares(gateway, 2)
    spares = gateway.children()
    began = time.monotonic()
    gateway.process.send_signal(signal.SIGTERM)
    gateway.process.wait(timeout=20)
    assert time.monotonic() - began < 5
    assert not any(spare.is_running() for spare in spares)
