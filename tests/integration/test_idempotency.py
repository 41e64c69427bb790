"""A request that is sent twice is answered once: with an Idempotency-Key, and when its answer never arrived."""

from __future__ import annotations

import json
import signal
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import psutil
import pytest

from tests.conftest import Model
from tests.gateway import Gateway, chunks_of, eventually, text_of

Start = Callable[..., Gateway]

SLOW = "[[offline: words 60]] [[offline: pace 0.03]]"
ENDLESS = "[[offline: words 2000]] [[offline: pace 0.03]]"
SIXTY = " ".join(f"word{number}" for number in range(1, 61))


def body_of(text: str, conversation_id: str | None, *, stream: bool = False) -> dict[str, Any]:
    named = {} if conversation_id is None else {"conversation_id": conversation_id}
    return {"model": "sonnet", "messages": [{"role": "user", "content": text}], "stream": stream, **named}


def keyed(
    gateway: Gateway,
    key: str | bytes,
    text: str,
    conversation_id: str | None = None,
    *,
    stream: bool = False,
    seconds: float = 60,
) -> httpx.Response:
    """Send a request with an Idempotency-Key over a connection of its own, and read its whole answer."""
    return httpx.post(
        f"{gateway.url}/v1/chat/completions",
        json=body_of(text, conversation_id, stream=stream),
        headers={b"Idempotency-Key": key if isinstance(key, bytes) else key.encode()},
        timeout=seconds,
    )


def words(answer: httpx.Response) -> str:
    """The assistant's words, streamed or not; fails on a stream without an end."""
    if not answer.headers["content-type"].startswith("text/event-stream"):
        return text_of(answer)
    assert answer.text.endswith("data: [DONE]\n\n")
    chunks = list(chunks_of(iter(answer.text.splitlines())))
    assert not any("error" in chunk for chunk in chunks)
    return "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)


def error_of(answer: httpx.Response) -> tuple[int, str, str | None]:
    error = answer.json()["error"]
    return answer.status_code, error["code"], error["param"]


def identity(answer: httpx.Response) -> tuple[str, int, str, str]:
    """What a client knows an answer by: id, created, conversation, finish reason."""
    if not answer.headers["content-type"].startswith("text/event-stream"):
        last = answer.json()
    else:
        chunks = list(chunks_of(iter(answer.text.splitlines())))
        assert len({chunk["id"] for chunk in chunks}) == 1
        last = chunks[-1]
    return last["id"], last["created"], last["conversation_id"], last["choices"][0]["finish_reason"]


def test_the_same_request_again_gets_the_same_answer(gateway: Gateway, model: Model) -> None:
    first = keyed(gateway, "again-1", "again-check: hello", "again")
    second = keyed(gateway, "again-1", "again-check: hello", "again")
    assert "again-check" in text_of(first)
    assert second.content == first.content
    assert "Idempotent-Replayed" not in first.headers
    assert second.headers["Idempotent-Replayed"] == "true"
    assert second.headers["X-Conversation-ID"] == "again"
    assert len(model.asked("again-check")) == 1
    assert gateway.session("again")["turns"] == 1
    other = keyed(gateway, "again-2", "again-check: hello", "again")
    assert "Idempotent-Replayed" not in other.headers
    assert (gateway.session("again")["turns"], len(model.asked("again-check"))) == (2, 2)


def test_a_request_without_a_conversation_opens_only_one(gateway: Gateway, model: Model) -> None:
    before = gateway.counter("created")
    first, second = (keyed(gateway, "opens-1", "opens-check: hello") for _ in range(2))
    assert text_of(first)
    assert second.content == first.content
    assert second.headers["X-Conversation-ID"] == first.headers["X-Conversation-ID"]
    assert gateway.counter("created") == before + 1
    assert len(model.asked("opens-check")) == 1


def test_a_stream_again_gives_the_same_text_under_the_same_id(gateway: Gateway, model: Model) -> None:
    first, second = (keyed(gateway, "stream-1", f"stream-check {SLOW}", "streamed", stream=True) for _ in range(2))
    assert words(first) == words(second) == SIXTY
    assert identity(first) == identity(second)
    assert second.headers["Idempotent-Replayed"] == "true"
    assert len(model.asked("stream-check")) == 1
    assert gateway.session("streamed")["turns"] == 1


def test_another_request_under_a_used_key_is_refused(gateway: Gateway, model: Model) -> None:
    assert text_of(keyed(gateway, "reused-1", "reused-check: hello", "reused"))
    refused = [
        keyed(gateway, "reused-1", "reused-check: hello", "reused", stream=True),
        keyed(gateway, "reused-1", "reused-check: goodbye", "reused"),
        keyed(gateway, "reused-1", "reused-check: hello", "reused-elsewhere"),
    ]
    assert [error_of(one) for one in refused] == [(422, "idempotency_key_reused", "Idempotency-Key")] * 3
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(keyed, gateway, "reused-2", f"reused-busy {SLOW}", "reused")
        eventually(lambda: bool(model.asked("reused-busy")))
        during = keyed(gateway, "reused-2", "reused-check: something else", "reused")
        assert words(running.result()) == SIXTY
    assert error_of(during) == (422, "idempotency_key_reused", "Idempotency-Key")
    assert len(model.asked("reused-check")) == 1
    assert gateway.session("reused")["turns"] == 2


@pytest.mark.parametrize("key", [b"", b"two words", b"x" * 256, b"caf\xe9", b"tab\there"])
def test_a_malformed_key_is_refused(gateway: Gateway, key: bytes) -> None:
    assert error_of(keyed(gateway, key, "hello", "malformed"))[0::2] == (400, "Idempotency-Key")
    assert gateway.http.get("/v1/sessions/malformed").status_code == 404


@pytest.mark.parametrize("stream", [False, True])
def test_two_at_once_share_one_turn(gateway: Gateway, model: Model, stream: bool) -> None:
    name = f"shared-{stream}"
    text_of(gateway.ask("hello", name))
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(keyed, gateway, f"{name}-1", f"{name}-check {SLOW}", name, stream=stream) for _ in range(2)]
    first, second = (one.result() for one in both)
    assert words(first) == words(second) == SIXTY
    assert identity(first) == identity(second)
    assert len(model.asked(f"{name}-check")) == 1
    assert gateway.session(name)["turns"] == 2


@pytest.mark.parametrize(("leaver", "stream"), [("first", True), ("second", False)])
def test_one_of_two_leaves_and_the_other_gets_the_whole_answer(
    gateway: Gateway, model: Model, leaver: str, stream: bool
) -> None:
    name = f"left-{leaver}-{stream}"
    text_of(gateway.ask("hello", name))

    def ask(seconds: float) -> httpx.Response | None:
        try:
            with httpx.stream(
                "POST",
                f"{gateway.url}/v1/chat/completions",
                json=body_of(f"{name}-check {SLOW}", name, stream=stream),
                headers={"Idempotency-Key": f"{name}-1"},
                timeout=60 if stream else seconds,
            ) as answer:
                gone = time.monotonic() + seconds
                text = ""
                for piece in answer.iter_text():
                    text += piece
                    if time.monotonic() > gone:
                        return None
                return httpx.Response(answer.status_code, headers=answer.headers, text=text)
        except httpx.ReadTimeout:
            return None

    patience = [0.5, 60.0] if leaver == "first" else [60.0, 0.5]
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(ask, patience[0])]
        eventually(lambda: bool(model.asked(f"{name}-check")))
        asked.append(pool.submit(ask, patience[1]))
    answers = [one.result() for one in asked]
    gone, stayed = answers if leaver == "first" else reversed(answers)
    assert gone is None
    assert stayed is not None
    assert words(stayed) == SIXTY
    assert len(model.asked(f"{name}-check")) == 1
    assert gateway.session(name)["turns"] == 2


@pytest.mark.parametrize("stream", [False, True])
def test_when_all_have_left_the_turn_ends_and_the_key_is_free(gateway: Gateway, model: Model, stream: bool) -> None:
    name = f"deserted-{stream}"
    text_of(gateway.ask("hello", name))

    def leave() -> None:
        with (
            pytest.raises(httpx.ReadTimeout),
            httpx.stream(
                "POST",
                f"{gateway.url}/v1/chat/completions",
                json=body_of(f"{name}-check [[offline: hang]]", name, stream=stream),
                headers={"Idempotency-Key": f"{name}-1"},
                timeout=1.0,
            ) as answer,
        ):
            answer.read()

    with ThreadPoolExecutor(2) as pool:
        for one in [pool.submit(leave) for _ in range(2)]:
            one.result()
    eventually(lambda: gateway.session(name)["state"] in ("idle", "hibernated"), within=10)
    assert len(model.asked(f"{name}-check")) == 1
    other = keyed(gateway, f"{name}-1", f"{name}-afterwards", name)
    assert f"{name}-afterwards" in words(other)
    assert "Idempotent-Replayed" not in other.headers
    assert gateway.session(name)["turns"] == 2
    assert [role for role, _ in model.dialogue(f"{name}-afterwards")] == ["user", "assistant", "user"]


def test_a_turn_that_failed_gives_its_key_free(gateway: Gateway, model: Model) -> None:
    text_of(gateway.ask("hello", "failing"))
    for _ in range(2):
        before = len(model.asked("failing-check"))
        assert keyed(gateway, "failing-1", "failing-check [[offline: error 400]]", "failing").status_code == 400
        assert len(model.asked("failing-check")) > before
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(keyed, gateway, "killed-1", f"killed-check {SLOW}", "failing") for _ in range(2)]
        eventually(lambda: bool(model.asked("killed-check")))
        time.sleep(0.3)
        psutil.Process(gateway.pid("failing")).kill()
    assert [error_of(one.result())[0] for one in both] == [502, 502]
    again = keyed(gateway, "killed-1", f"killed-check {SLOW}", "failing")
    assert words(again) == SIXTY
    assert "Idempotent-Replayed" not in again.headers
    assert len(model.asked("killed-check")) == 2
    assert keyed(gateway, "killed-1", f"killed-check {SLOW}", "failing").content == again.content
    assert gateway.session("failing")["turns"] == 2


def test_a_deleted_conversation_takes_its_answers_along(gateway: Gateway, model: Model) -> None:
    first = keyed(gateway, "purged-1", "purged-check: hello", "purged")
    assert gateway.http.delete("/v1/sessions/purged").status_code == 204
    second = keyed(gateway, "purged-1", "purged-check: hello", "purged")
    assert text_of(first)
    assert text_of(second)
    assert second.json()["id"] != first.json()["id"]
    assert "Idempotent-Replayed" not in second.headers
    assert len(model.asked("purged-check")) == 2
    other = keyed(gateway, "purged-1", "purged-check: goodbye", "purged")
    assert other.status_code == 422


def test_a_key_outlives_its_server(start_gateway: Start, model: Model) -> None:
    gateway = start_gateway()
    first = keyed(gateway, "outlives-1", "outlives-check: hello", "outlives")
    streamed = keyed(gateway, "outlives-2", "outlives-stream: hello", "outlives", stream=True)
    with ThreadPoolExecutor(1) as pool:
        cut = pool.submit(keyed, gateway, "outlives-3", f"outlives-cut {SLOW}", "outlives")
        eventually(lambda: bool(model.asked("outlives-cut")))
        gateway.restart(signal.SIGKILL)
        assert isinstance(cut.exception(), httpx.TransportError)
    second = keyed(gateway, "outlives-1", "outlives-check: hello", "outlives")
    assert (text_of(first), second.content) == (text_of(second), first.content)
    assert second.headers["Idempotent-Replayed"] == "true"
    again = keyed(gateway, "outlives-2", "outlives-stream: hello", "outlives", stream=True)
    assert (words(again), identity(again)) == (words(streamed), identity(streamed))
    assert len(model.asked("outlives-check")) == len(model.asked("outlives-stream")) == 1
    assert gateway.session("outlives")["pid"] is None
    assert gateway.session("outlives")["turns"] == 2
    refused = keyed(gateway, "outlives-1", "outlives-check: goodbye", "outlives")
    assert error_of(refused)[:2] == (422, "idempotency_key_reused")
    anew = keyed(gateway, "outlives-3", f"outlives-cut {SLOW}", "outlives")
    assert words(anew) == SIXTY
    assert "Idempotent-Replayed" not in anew.headers
    assert gateway.session("outlives")["turns"] == 3


def test_an_answer_that_never_arrived_is_given_to_the_retry(start_gateway: Start, model: Model) -> None:
    gateway = start_gateway()
    names = ["unread", "unread-other", "read"]
    first = {name: gateway.ask(f"{name}-check. Remember the word {name}-word.", name) for name in names}
    assert all(text_of(answer) for answer in first.values())
    _mark_undelivered(gateway, "unread", "unread-other")
    gateway.restart(signal.SIGKILL)
    second = {name: gateway.ask(f"{name}-check. Remember the word {name}-word.", name) for name in ("unread", "read")}
    assert second["unread"].content == first["unread"].content
    assert second["unread"].headers["Idempotent-Replayed"] == "true"
    assert (len(model.asked("unread-check.")), gateway.session("unread")["turns"]) == (1, 1)
    assert "Idempotent-Replayed" not in second["read"].headers
    assert second["read"].headers["X-Session-Start"] == "resumed"
    assert (len(model.asked("the word read-word.")), gateway.session("read")["turns"]) == (2, 2)
    other = gateway.ask("List everything?", "unread-other")
    assert text_of(other) == "You asked me to remember: unread-other-word."
    assert "Idempotent-Replayed" not in other.headers
    assert gateway.session("unread-other")["turns"] == 2
    third = gateway.ask("unread-check. Remember the word unread-word.", "unread")
    assert "Idempotent-Replayed" not in third.headers
    assert (len(model.asked("unread-check.")), gateway.session("unread")["turns"]) == (2, 2)


def test_a_stream_that_never_arrived_is_given_to_the_retry(start_gateway: Start, model: Model) -> None:
    gateway = start_gateway()

    def ask() -> httpx.Response:
        body = body_of("unseen-check. Remember the word kiwi.", "unseen", stream=True)
        return gateway.http.post("/v1/chat/completions", content=json.dumps(body), headers=_JSON)

    first = ask()
    _mark_undelivered(gateway, "unseen")
    gateway.restart(signal.SIGKILL)
    second = ask()
    assert (words(second), identity(second)) == (words(first), identity(first))
    assert second.headers["Idempotent-Replayed"] == "true"
    assert len(model.asked("unseen-check.")) == 1


_JSON = {"content-type": "application/json"}


def _mark_undelivered(gateway: Gateway, *names: str) -> None:
    """Stop the server, once it has stored what was delivered, and take that back for these conversations."""
    path = gateway.data / "default" / "conversations.db"

    def pending() -> int:
        with sqlite3.connect(path) as database:
            count: int = database.execute("SELECT count(*) FROM turn WHERE NOT delivered").fetchone()[0]
        database.close()
        return count

    eventually(lambda: pending() == 0)
    gateway.process.kill()
    gateway.process.wait()
    with sqlite3.connect(path) as database:
        for name in names:
            database.execute(
                "UPDATE turn SET delivered = 0 WHERE conversation_key IN "
                "(SELECT key FROM conversation WHERE conversation_id = ?)",
                (name,),
            )
    database.close()


def test_a_key_of_its_own_says_that_it_is_another_request(start_gateway: Start, model: Model) -> None:
    gateway = start_gateway()
    text = "keyed-check. Remember the word kiwi."
    text_of(gateway.ask(text, "keyed"))
    _mark_undelivered(gateway, "keyed")
    gateway.restart(signal.SIGKILL)
    body = json.dumps(body_of(text, "keyed"))
    for replayed in (None, "true"):
        answer = gateway.http.post("/v1/chat/completions", content=body, headers={**_JSON, "Idempotency-Key": "own"})
        assert answer.headers.get("Idempotent-Replayed") == replayed
    assert (len(model.asked("keyed-check.")), gateway.session("keyed")["turns"]) == (2, 2)
