"""Turns that are ended, taken back and branched off, on the real CLI."""

from __future__ import annotations

import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from tests.conftest import Model
from tests.gateway import Gateway, eventually, runs, text_of

Start = Callable[..., Gateway]
TOOLS = [
    {
        "type": "function",
        "function": {"name": name, "description": "Looks.", "parameters": {"type": "object", "properties": {}}},
    }
    for name in ("look", "listen")
]


def post(gateway: Gateway, name: str, what: str, body: dict[str, Any] | None = None) -> httpx.Response:
    return gateway.http.post(f"/v1/sessions/{name}/{what}", json=body)


def done(answer: httpx.Response, status: int = 200) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    told: dict[str, Any] = answer.json()
    return told


def code_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def remember(gateway: Gateway, name: str, *words: str) -> None:
    for word in words:
        text_of(gateway.ask(f"Remember the word {word}.", name))


def recall(gateway: Gateway, name: str, start: str) -> str:
    answer = gateway.ask("List everything?", name)
    assert answer.headers["X-Session-Start"] == start
    return text_of(answer).removeprefix("You asked me to remember: ")


@contextmanager
def running(gateway: Gateway, model: Model, name: str, mark: str) -> Iterator[Future[httpx.Response]]:
    """A turn that runs, slowly; at the end of the block it must be over."""
    with ThreadPoolExecutor(1) as pool:
        turn = pool.submit(gateway.ask, f"{mark} [[offline: words 200]] [[offline: pace 0.05]]", name)
        eventually(lambda: bool(model.asked(mark)), within=20)
        yield turn


# Interrupt


def test_an_interrupted_turn_leaves_nothing_behind_and_its_process_stays(gateway: Gateway, model: Model) -> None:
    remember(gateway, "cut", "kiwi")
    pid = gateway.pid("cut")
    with running(gateway, model, "cut", "cut-check") as turn:
        answer = done(post(gateway, "cut", "interrupt"))
        assert code_of(turn.result()) == (409, "turn_cancelled")
    assert (answer["interrupted"], answer["state"], answer["pid"], answer["turns"]) == (True, "idle", pid, 1)
    assert recall(gateway, "cut", "live") == "kiwi."
    assert gateway.pid("cut") == pid
    assert "cut-check" not in str(model.asked("List everything?")[-1]["messages"])


def test_a_stream_that_is_interrupted_says_so(gateway: Gateway) -> None:
    lines: list[str] = []
    answering = threading.Event()

    def read() -> None:
        body = {
            "conversation_id": "cut-stream",
            "stream": True,
            "messages": [{"role": "user", "content": "go [[offline: words 200]] [[offline: pace 0.05]]"}],
        }
        with httpx.stream("POST", f"{gateway.url}/v1/chat/completions", json=body, timeout=60) as answer:
            for line in answer.iter_lines():
                lines.append(line)
                if '"content":"' in line:
                    answering.set()

    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read)
        assert answering.wait(20)
        assert done(post(gateway, "cut-stream", "interrupt"))["interrupted"] is True
        reading.result()
    assert '"code":"turn_cancelled"' in next(line for line in reversed(lines) if line)
    assert "data: [DONE]" not in lines


def test_where_nothing_runs_nothing_is_interrupted(gateway: Gateway) -> None:
    remember(gateway, "cut-idle", "kiwi")
    assert done(post(gateway, "cut-idle", "interrupt"))["interrupted"] is False
    done(post(gateway, "cut-idle", "hibernate"))
    asleep = done(post(gateway, "cut-idle", "interrupt"))
    assert (asleep["interrupted"], asleep["state"]) == (False, "hibernated")
    assert code_of(post(gateway, "cut-unknown", "interrupt")) == (404, "conversation_not_found")
    assert post(gateway, "cut%20malformed", "interrupt").status_code == 400


def test_turns_that_wait_run_after_the_interrupted_one(gateway: Gateway, model: Model) -> None:
    with running(gateway, model, "cut-queue", "cut-queue-check") as turn, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(gateway.ask, "Remember the word plum.", "cut-queue")
        eventually(lambda: gateway.session("cut-queue")["queued_turns"] == 1)
        assert done(post(gateway, "cut-queue", "interrupt"))["interrupted"] is True
        assert code_of(turn.result()) == (409, "turn_cancelled")
        text_of(waiting.result())
    assert recall(gateway, "cut-queue", "live") == "plum."


def test_an_interrupted_turn_gives_its_idempotency_key_free(gateway: Gateway, model: Model) -> None:
    body = {
        "conversation_id": "cut-keyed",
        "messages": [{"role": "user", "content": "cut-keyed-check [[offline: words 60]] [[offline: pace 0.05]]"}],
    }

    def ask() -> httpx.Response:
        return gateway.http.post("/v1/chat/completions", json=body, headers={"Idempotency-Key": "cut-keyed"})

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(ask)
        eventually(lambda: bool(model.asked("cut-keyed-check")), within=20)
        assert done(post(gateway, "cut-keyed", "interrupt"))["interrupted"] is True
        assert code_of(first.result()) == (409, "turn_cancelled")
    again = ask()
    assert text_of(again).endswith("word60")
    assert "Idempotent-Replayed" not in again.headers


# Fork


def test_a_fork_survives_kill_and_goes_its_own_way(start_gateway: Start, model: Model) -> None:
    gateway = start_gateway()
    system = {"role": "system", "content": "You are terse."}
    first = {"role": "user", "content": "Remember the word kiwi."}
    text_of(gateway.http.post("/v1/chat/completions", json={"conversation_id": "trunk", "messages": [system, first]}))
    remember(gateway, "trunk", "plum")
    pid = gateway.pid("trunk")
    made = done(post(gateway, "trunk", "fork", {"conversation_id": "branch"}), 201)
    assert (made["id"], made["state"], made["pid"], made["turns"]) == ("branch", "hibernated", None, 2)
    assert (made["cost_usd"], made["usage"]["output_tokens"]) == (0, 0)
    assert made["model"] == gateway.session("trunk")["model"]
    assert gateway.pid("trunk") == pid
    gateway.restart(signal.SIGKILL)
    assert gateway.session("branch") == made
    answer = gateway.ask("branch-check: list everything?", "branch")
    assert (text_of(answer), answer.headers["X-Session-Start"]) == ("You asked me to remember: kiwi, plum.", "forked")
    assert [role for role, _ in model.dialogue("branch-check")] == ["user", "assistant"] * 2 + ["user"]
    assert "You are terse." in str(model.asked("branch-check")[0]["system"])
    remember(gateway, "branch", "fig")
    assert recall(gateway, "branch", "live") == "kiwi, plum, fig."
    assert recall(gateway, "trunk", "resumed") == "kiwi, plum."
    assert gateway.counter("rebuilt") == 0
    assert gateway.http.delete("/v1/sessions/trunk").status_code == 204
    done(post(gateway, "branch", "hibernate"))
    assert recall(gateway, "branch", "resumed") == "kiwi, plum, fig."


def test_a_fork_of_the_first_turns(gateway: Gateway) -> None:
    remember(gateway, "long", "kiwi", "plum", "fig")
    made = done(post(gateway, "long", "fork", {"turns": 2}), 201)
    assert made["id"].startswith("conv_")
    assert recall(gateway, made["id"], "forked") == "kiwi, plum."
    empty = done(post(gateway, "long", "fork", {"turns": 0}), 201)
    assert (empty["turns"], recall(gateway, empty["id"], "forked")) == (0, "nothing.")


def test_a_fork_during_a_turn_has_the_completed_ones(gateway: Gateway, model: Model) -> None:
    remember(gateway, "busy-trunk", "kiwi")
    with running(gateway, model, "busy-trunk", "busy-trunk-check: remember the word plum.") as turn:
        made = done(post(gateway, "busy-trunk", "fork"), 201)
        assert recall(gateway, made["id"], "forked") == "kiwi."
        assert not turn.done()
        assert text_of(turn.result()).endswith("word200")
    assert gateway.session("busy-trunk")["turns"] == 2
    assert gateway.session(made["id"])["turns"] == 2


def test_forks_that_cannot_be(gateway: Gateway, model: Model) -> None:
    remember(gateway, "stem", "kiwi")
    remember(gateway, "taken", "plum")
    assert code_of(post(gateway, "stem", "fork", {"conversation_id": "taken"})) == (409, "conversation_exists")
    assert code_of(post(gateway, "stem", "fork", {"conversation_id": "stem"})) == (409, "conversation_exists")
    assert code_of(post(gateway, "no-stem", "fork")) == (404, "conversation_not_found")
    for body in (
        {"turns": 2},
        {"turns": -1},
        {"turns": True},
        {"turns": "1"},
        {"turns": 2**80},
        {"conversation_id": "not an id"},
        {"conversation_id": 7},
        {"other": 1},
    ):
        assert code_of(post(gateway, "stem", "fork", body)) == (400, "invalid_request"), body
    with running(gateway, model, "newborn", "newborn-check"):
        assert code_of(post(gateway, "newborn", "fork")) == (409, "conversation_in_use")
        assert code_of(post(gateway, "stem", "fork", {"conversation_id": "newborn"})) == (409, "conversation_exists")
        done(post(gateway, "newborn", "interrupt"))
    assert recall(gateway, "taken", "live") == "plum."


def test_a_fork_does_not_take_answers_or_the_place_of_its_original(gateway: Gateway, model: Model) -> None:
    body = {"messages": [{"role": "user", "content": "stub-check: remember the word kiwi."}], "conversation_id": "stub"}
    headers = {"Idempotency-Key": "stub-1"}
    said = text_of(gateway.http.post("/v1/chat/completions", json=body, headers=headers))
    done(post(gateway, "stub", "fork", {"conversation_id": "stub-fork"}), 201)
    again = gateway.http.post("/v1/chat/completions", json=body, headers=headers)
    assert (again.headers["Idempotent-Replayed"], text_of(again)) == ("true", said)
    assert len(model.asked("stub-check")) == 1
    gateway.http.delete("/v1/sessions/stub-fork")
    assert recall(gateway, "stub", "live") == "kiwi."


def test_who_is_found_by_its_history_is_still_found_after_a_fork(gateway: Gateway) -> None:
    first = {"role": "user", "content": "Remember the word lineage-kiwi."}
    answer = gateway.http.post("/v1/chat/completions", json={"messages": [first]})
    name = answer.json()["conversation_id"]
    done(post(gateway, name, "fork"), 201)
    history = [first, {"role": "assistant", "content": text_of(answer)}, {"role": "user", "content": "List all?"}]
    again = gateway.http.post("/v1/chat/completions", json={"messages": history})
    assert (again.json()["conversation_id"], again.headers["X-Session-Start"]) == (name, "live")


def test_two_forks_at_once_to_one_id_make_one(gateway: Gateway) -> None:
    remember(gateway, "pair", "kiwi")
    with ThreadPoolExecutor(5) as pool:
        forks = [pool.submit(post, gateway, "pair", "fork", {"conversation_id": "pair-fork"}) for _ in range(4)]
        asked = pool.submit(gateway.ask, "hello", "pair-fork")
    statuses = sorted(fork.result().status_code for fork in forks)
    assert statuses in ([201, 409, 409, 409], [409, 409, 409, 409])
    assert asked.result().status_code == 200
    assert asked.result().headers["X-Session-Start"] == ("forked" if statuses[0] == 201 else "cold")


# Rewind


def test_a_live_process_goes_back_in_place_and_kill_changes_nothing(start_gateway: Start, model: Model) -> None:
    gateway = start_gateway()
    remember(gateway, "back", "kiwi", "plum", "fig")
    before = gateway.session("back")
    left = done(post(gateway, "back", "rewind", {"turns": 2}))
    assert (left["turns"], left["state"], left["pid"]) == (1, "idle", before["pid"])
    assert (left["usage"], left["cost_usd"]) == (before["usage"], before["cost_usd"])
    answer = gateway.ask("back-check: list everything?", "back")
    assert (text_of(answer), answer.headers["X-Session-Start"]) == ("You asked me to remember: kiwi.", "live")
    assert [role for role, _ in model.dialogue("back-check")] == ["user", "assistant", "user"]
    assert gateway.pid("back") == before["pid"]
    done(post(gateway, "back", "rewind"))
    gateway.restart(signal.SIGKILL)
    assert gateway.session("back")["turns"] == 1
    assert recall(gateway, "back", "resumed") == "kiwi."
    remember(gateway, "back", "cherry")
    done(post(gateway, "back", "hibernate"))
    rebuilt = gateway.counter("rebuilt")
    assert recall(gateway, "back", "resumed") == "kiwi, cherry."
    assert gateway.counter("rebuilt") == rebuilt, "the transcript of after the rewind is whole"


def test_a_turn_after_a_rewind_in_place_is_resumed_from_its_transcript(start_gateway: Start) -> None:
    gateway = start_gateway()
    remember(gateway, "went", "kiwi", "plum")
    done(post(gateway, "went", "rewind"))
    remember(gateway, "went", "fig")
    gateway.restart(signal.SIGKILL)
    assert recall(gateway, "went", "resumed") == "kiwi, fig."
    assert gateway.counter("rebuilt") == 0


@pytest.mark.parametrize("wake", [False, True])
def test_a_conversation_that_slept_goes_back_too(gateway: Gateway, model: Model, wake: bool) -> None:
    name = f"asleep-{wake}"
    remember(gateway, name, "kiwi", "plum", "fig")
    done(post(gateway, name, "hibernate"))
    if wake:  # on a process that has run none of the turns that go
        remember(gateway, name, "cherry")
    pid = gateway.session(name)["pid"]
    left = done(post(gateway, name, "rewind", {"turns": 2}))
    assert left["turns"] == (2 if wake else 1)
    answer = gateway.ask(f"{name}-check: list everything?", name)
    assert text_of(answer) == f"You asked me to remember: {'kiwi, plum' if wake else 'kiwi'}."
    assert answer.headers["X-Session-Start"] == "resumed"
    assert [role for role, _ in model.dialogue(f"{name}-check")] == ["user", "assistant"] * (2 if wake else 1) + [
        "user"
    ]
    assert pid is None or not runs(pid)


def test_everything_can_be_taken_back_and_the_id_stays(start_gateway: Start, model: Model) -> None:
    gateway = start_gateway()
    system = {"role": "system", "content": "You are terse."}
    first = {"role": "user", "content": "Remember the word kiwi."}
    text_of(gateway.http.post("/v1/chat/completions", json={"conversation_id": "zero", "messages": [system, first]}))
    left = done(post(gateway, "zero", "rewind"))
    assert (left["turns"], left["state"]) == (0, "idle")
    assert code_of(post(gateway, "zero", "rewind")) == (400, "invalid_request")
    gateway.restart(signal.SIGKILL)
    assert [one["id"] for one in gateway.http.get("/v1/sessions").json()["data"]] == ["zero"]
    assert code_of(post(gateway, "zero", "rewind")) == (400, "invalid_request")
    answer = gateway.ask("zero-check: list everything?", "zero")
    assert (text_of(answer), answer.headers["X-Session-Start"]) == ("You asked me to remember: nothing.", "resumed")
    assert [role for role, _ in model.dialogue("zero-check")] == ["user"]
    assert "You are terse." in str(model.asked("zero-check")[0]["system"])


def test_rewinds_that_cannot_be(gateway: Gateway, model: Model) -> None:
    remember(gateway, "firm", "kiwi")
    pid = gateway.pid("firm")
    for body in ({"turns": 2}, {"turns": 0}, {"turns": -1}, {"turns": True}, {"turns": 2**80}, {"n": 1}):
        assert code_of(post(gateway, "firm", "rewind", body)) == (400, "invalid_request"), body
    assert code_of(post(gateway, "infirm", "rewind")) == (404, "conversation_not_found")
    with running(gateway, model, "firm", "firm-check") as turn:
        refused = post(gateway, "firm", "rewind")
        assert code_of(refused) == (409, "conversation_in_use")
        assert "Retry-After" in refused.headers
        done(post(gateway, "firm", "interrupt"))
        assert turn.result().status_code == 409
    assert recall(gateway, "firm", "live") == "kiwi."
    assert gateway.pid("firm") == pid


def test_a_conversation_without_a_completed_turn_has_none_to_take_back(gateway: Gateway, model: Model) -> None:
    with running(gateway, model, "unborn", "unborn-check"):
        done(post(gateway, "unborn", "interrupt"))
    assert gateway.session("unborn")["state"] == "idle"
    assert code_of(post(gateway, "unborn", "rewind")) == (400, "invalid_request")


def test_what_was_taken_back_is_asked_anew(gateway: Gateway, model: Model) -> None:
    body = {"messages": [{"role": "user", "content": "anew-check: hello"}], "conversation_id": "anew"}
    headers = {"Idempotency-Key": "anew-1"}
    first = gateway.http.post("/v1/chat/completions", json=body, headers=headers)
    text_of(first)
    done(post(gateway, "anew", "rewind"))
    again = gateway.http.post("/v1/chat/completions", json=body, headers=headers)
    assert "Idempotent-Replayed" not in again.headers
    assert again.json()["id"] != first.json()["id"]
    assert len(model.asked("anew-check")) == 2


def test_an_answer_that_never_arrived_and_was_taken_back_is_not_had_by_a_retry(gateway: Gateway, model: Model) -> None:
    remember(gateway, "lost", "kiwi")
    body = {"conversation_id": "lost", "messages": [{"role": "user", "content": "lost-check: remember the word plum."}]}
    text_of(gateway.http.post("/v1/chat/completions", json=body))
    database = sqlite3.connect(gateway.data / "default" / "conversations.db")

    def unread() -> bool:
        found = database.execute("SELECT delivered FROM turn WHERE input LIKE '%lost-check%'").fetchone()
        return bool(found == (1,))

    eventually(unread)  # as if it had not arrived
    done(post(gateway, "lost", "hibernate"))
    database.execute("UPDATE turn SET delivered = 0 WHERE input LIKE '%lost-check%'")
    database.commit()
    database.close()
    done(post(gateway, "lost", "rewind"))
    text_of(gateway.http.post("/v1/chat/completions", json=body))
    assert len(model.asked("lost-check")) == 2
    assert gateway.session("lost")["turns"] == 2


def test_a_database_that_cannot_be_written_leaves_the_conversation_as_it_is(start_gateway: Start) -> None:
    gateway = start_gateway()
    remember(gateway, "stuck", "kiwi", "plum")
    pid = gateway.pid("stuck")
    other = sqlite3.connect(gateway.data / "default" / "conversations.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with ThreadPoolExecutor(1) as pool:
        rewinding = pool.submit(post, gateway, "stuck", "rewind")
        eventually(lambda: gateway.session("stuck")["state"] == "rewinding")
        assert code_of(post(gateway, "stuck", "rewind")) == (409, "conversation_in_use")
        assert code_of(post(gateway, "stuck", "hibernate")) == (409, "conversation_in_use")
        assert code_of(rewinding.result()) == (503, "store_unavailable")
    assert code_of(post(gateway, "stuck", "fork")) == (503, "store_unavailable")
    other.execute("ROLLBACK")
    other.close()
    assert (gateway.session("stuck")["state"], gateway.pid("stuck")) == ("idle", pid)
    assert recall(gateway, "stuck", "live") == "kiwi, plum."


def test_a_turn_that_meets_a_rewind_runs_before_or_after_it(gateway: Gateway, model: Model) -> None:
    remember(gateway, "met", "kiwi")
    for attempt in range(4):
        with ThreadPoolExecutor(2) as pool:
            went = pool.submit(post, gateway, "met", "rewind")
            asked = pool.submit(gateway.ask, f"met-{attempt}: remember the word w{attempt}.", "met")
        text_of(asked.result())
        if went.result().status_code == 200:
            history = model.dialogue(f"met-{attempt}")
            turns = gateway.session("met")["turns"]
            assert (len(history) == 2 * turns - 1) or (len(history) == 2 * turns + 1), "after it, or before it"
        else:
            assert code_of(went.result()) == (409, "conversation_in_use")
        remember(gateway, "met", "more")


def test_an_edited_history_is_taken_back_to_what_it_was_before_the_edit_came(gateway: Gateway, model: Model) -> None:
    remember(gateway, "amended", "kiwi", "plum")
    pid = gateway.pid("amended")
    said = {"role": "assistant", "content": "You asked me to remember: kiwi."}
    history = [{"role": "user", "content": "Remember the word kiwi."}, said]
    first = gateway.http.get("/v1/sessions/amended/transcript").json()["data"][0]
    said["content"] = first["output"][0]["content"][0]["text"]
    body = {"conversation_id": "amended", "messages": [*history, {"role": "user", "content": "Remember the word fig."}]}
    edited = gateway.http.post("/v1/chat/completions", json=body)
    assert edited.headers["X-Session-Start"] == "forked"
    left = done(post(gateway, "amended", "rewind"))
    assert (left["pid"], left["state"]) == (pid, "idle")
    assert recall(gateway, "amended", "live") == "kiwi."
    assert gateway.pid("amended") == pid
    done(post(gateway, "amended", "rewind"))
    assert code_of(post(gateway, "amended", "rewind")) == (400, "invalid_request")


# Rewind among tool calls


def calling(gateway: Gateway, name: str) -> list[str]:
    answer = gateway.ask("[[offline: calls 2]]", name, tools=TOOLS)
    return [call["id"] for call in answer.json()["choices"][0]["message"]["tool_calls"]]


def results(gateway: Gateway, name: str, calls: list[str], said: str) -> httpx.Response:
    messages = [{"role": "tool", "tool_call_id": call, "content": said} for call in calls]
    body = {"conversation_id": name, "messages": messages, "tools": TOOLS}
    return gateway.http.post("/v1/chat/completions", json=body)


def test_open_calls_are_taken_back(gateway: Gateway) -> None:
    remember(gateway, "hook", "kiwi")
    calls = calling(gateway, "hook")
    pid = gateway.pid("hook")
    assert gateway.session("hook")["state"] == "parked"
    assert done(post(gateway, "hook", "rewind"))["turns"] == 1
    eventually(lambda: not runs(pid))
    assert recall(gateway, "hook", "resumed") == "kiwi."
    assert code_of(results(gateway, "hook", calls, "late")) == (400, "invalid_request")


@pytest.mark.parametrize("asleep", [False, True])
def test_between_calls_and_their_results_the_calls_are_open_again(gateway: Gateway, asleep: bool) -> None:
    name = f"line-{asleep}"
    calls = calling(gateway, name)
    assert "first" in text_of(results(gateway, name, calls, "first"))
    assert code_of(results(gateway, name, calls, "again")) == (400, "invalid_request")
    if asleep:
        done(post(gateway, name, "hibernate"))
    assert done(post(gateway, name, "rewind"))["turns"] == 1
    answer = results(gateway, name, calls, "second")
    assert text_of(answer) == "The tool answered: second; second"
    assert answer.headers["X-Session-Start"] == "resumed"


def test_behind_calls_and_their_results_a_live_process_goes_back_in_place(gateway: Gateway) -> None:
    remember(gateway, "far", "kiwi")
    text_of(results(gateway, "far", calling(gateway, "far"), "seen"))
    remember(gateway, "far", "plum")
    pid = gateway.pid("far")
    left = done(post(gateway, "far", "rewind"))
    assert (left["pid"], left["state"]) == (pid, "idle")
    left = done(post(gateway, "far", "rewind", {"turns": 2}))
    assert (left["pid"], left["turns"]) == (pid, 1)
    assert recall(gateway, "far", "live") == "kiwi."
    assert gateway.pid("far") == pid


def test_a_fork_with_open_calls_takes_their_results(gateway: Gateway) -> None:
    calls = calling(gateway, "twig")
    made = done(post(gateway, "twig", "fork"), 201)["id"]
    assert text_of(results(gateway, made, calls, "fork's")) == "The tool answered: fork's; fork's"
    assert text_of(results(gateway, "twig", calls, "own")) == "The tool answered: own; own"
