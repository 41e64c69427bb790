"""A session whose calls wait may lose its process, its server or its files: the results still count."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.chat import TOOLS, Answer, Tap, call, say, shown, user
from tests.conftest import Model
from tests.gateway import Gateway, eventually

Start = Callable[..., Gateway]


def hibernate(gateway: Gateway, name: str) -> None:
    assert gateway.http.post(f"/v1/sessions/{name}/hibernate").status_code == 200


def kill(gateway: Gateway, name: str, number: signal.Signals = signal.SIGKILL) -> None:
    os.kill(gateway.pid(name), number)
    eventually(lambda: gateway.session(name)["state"] == "hibernated")


def remove_files(gateway: Gateway, *, and_copy: bool) -> None:
    gateway.process.kill()
    gateway.process.wait()
    shutil.rmtree(gateway.data / "default" / "sessions")
    if and_copy:
        with sqlite3.connect(gateway.data / "default" / "conversations.db") as database:
            database.execute("DELETE FROM transcript_entry")
        database.close()
    gateway.restart(signal.SIGKILL)


def write_on(gateway: Gateway, name: str) -> None:
    """What a CLI does that is asked to end with calls open: it writes results of its own into its transcript."""
    time.sleep(1)  # it writes a little later
    gateway.process.kill()
    gateway.process.wait()
    (path,) = (gateway.data / "default" / "sessions").glob("*/config/projects/*/*.jsonl")
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    calls = [entry for entry in entries if entry["type"] == "assistant"][-2:]
    asked = [entry for entry in entries if entry["type"] == "user"][-1]
    with path.open("a") as file:
        for one in calls:
            (block,) = one["message"]["content"]
            result = {"type": "tool_result", "tool_use_id": block["id"], "content": "interrupted", "is_error": True}
            message = {"role": "user", "content": [result]}
            own = {"uuid": str(uuid.uuid4()), "parentUuid": one["uuid"], "message": message}
            file.write(json.dumps({**asked, **own, "sourceToolAssistantUUID": one["uuid"]}) + "\n")
    gateway.restart(signal.SIGKILL)


LOSSES: dict[str, Callable[[Gateway, str], None]] = {
    "hibernated": hibernate,
    "culled": lambda gateway, name: eventually(lambda: gateway.session(name)["state"] == "hibernated", within=10),
    "killed": kill,
    "terminated": lambda gateway, name: kill(gateway, name, signal.SIGTERM),
    "written-on": write_on,
    "server-ended": lambda gateway, name: gateway.restart(signal.SIGTERM),
    "server-killed": lambda gateway, name: gateway.restart(signal.SIGKILL),
    "files-gone": lambda gateway, name: remove_files(gateway, and_copy=False),
    "all-but-history-gone": lambda gateway, name: remove_files(gateway, and_copy=True),
}


def park(gateway: Gateway, name: str, *, stream: bool = False) -> Answer:
    """Have two calls wait, after a turn without any."""
    say(gateway, f"{name}: remember the word kiwi.", name, tools=TOOLS)
    asked = say(gateway, f"{name} asks {call('Rome')}{call('Oslo')}", name, tools=TOOLS, stream=stream)
    assert asked.finish == "tool_calls"
    return asked


def dialogue(name: str, asked: Answer) -> list[tuple[str, ...]]:
    """What the model has seen once it has the results."""
    rome, oslo = asked.calls
    return [
        ("user", f"{name}: remember the word kiwi."),
        ("assistant", "I will remember: word kiwi."),
        ("user", f"{name} asks {call('Rome')}{call('Oslo')}"),
        ("call", rome, "get_weather", '{"city": "Rome"}'),
        ("call", oslo, "get_weather", '{"city": "Oslo"}'),
        ("result", rome, "sun"),
        ("result", oslo, "rain"),
    ]


def test_a_parked_session_is_listed_as_such(gateway: Gateway) -> None:
    asked = park(gateway, "parked-listed")
    session = gateway.session("parked-listed")
    assert (session["state"], session["turns"], session["queued_turns"]) == ("parked", 2, 0)
    listed = {one["id"]: one["state"] for one in gateway.http.get("/v1/sessions").json()["data"]}
    assert listed["parked-listed"] == "parked"
    stats = gateway.stats()["sessions"]
    assert stats["parked"] == list(listed.values()).count("parked")
    say(gateway, asked.results("sun", "rain"), "parked-listed", tools=TOOLS)
    assert gateway.session("parked-listed")["state"] == "idle"
    assert gateway.session("parked-listed")["pid"] == session["pid"]


@pytest.mark.parametrize("loss", LOSSES)
def test_results_count_whatever_became_of_the_process(start_gateway: Start, model: Model, loss: str) -> None:
    gateway = start_gateway({"claude__session_idle_seconds": 0.5} if loss == "culled" else None)
    asked = park(gateway, loss, stream=loss in ("killed", "server-killed"))
    LOSSES[loss](gateway, loss)
    tap = Tap(model)
    told = say(gateway, asked.results("sun", "rain")[::-1], loss, tools=TOOLS, stream=loss == "hibernated")
    assert (told.text, told.finish, told.start) == ("The tool answered: sun; rain", "stop", "resumed")
    first = shown(tap.only())
    assert (first[:-2], sorted(first[-2:])) == (dialogue(loss, asked)[:-2], dialogue(loss, asked)[-2:])
    again = say(gateway, "What word should you remember?", loss, tools=TOOLS)
    assert "kiwi" in again.text
    then = shown(tap.only())
    assert then == [*first, ("assistant", told.text), ("user", "What word should you remember?")]


@pytest.mark.parametrize("loss", ["hibernated", "server-killed"])
def test_a_history_that_ends_with_results_is_the_conversations_own(
    start_gateway: Start, model: Model, loss: str
) -> None:
    gateway = start_gateway()
    asked = park(gateway, loss)
    LOSSES[loss](gateway, loss)
    tap = Tap(model)
    before = [user(f"{loss}: remember the word kiwi."), {"role": "assistant", "content": "I will remember: word kiwi."}]
    messages = [*before, user(f"{loss} asks {call('Rome')}{call('Oslo')}"), asked.message]
    told = say(gateway, [*messages, *asked.results("sun", "rain")], loss, tools=TOOLS)
    assert (told.text, told.start) == ("The tool answered: sun; rain", "resumed")
    assert shown(tap.only()) == dialogue(loss, asked)


@pytest.mark.parametrize("way", ["hibernated", "server-ended", "deleted", "passed over"])
def test_a_parked_process_that_is_stopped_asks_the_model_nothing(start_gateway: Start, model: Model, way: str) -> None:
    gateway = start_gateway()
    park(gateway, "quiet")
    tap = Tap(model)
    if way == "deleted":
        assert gateway.http.delete("/v1/sessions/quiet").status_code == 204
    elif way == "passed over":
        say(gateway, "Never mind.", "quiet", tools=TOOLS)
        assert shown(tap.only())[-1] == ("user", "Never mind.")
    else:
        LOSSES[way](gateway, "quiet")
    time.sleep(1)
    assert tap.take() == []


# Messages instead of results


NOT_RUN = "The tool was not run: the user went on without it."


@pytest.mark.parametrize("loss", [None, "hibernated", "terminated", "written-on"])
def test_who_goes_on_without_the_results_has_calls_that_were_not_run(
    start_gateway: Start, model: Model, loss: str | None
) -> None:
    gateway = start_gateway()
    asked = park(gateway, "passed")
    if loss is not None:
        LOSSES[loss](gateway, "passed")
    tap = Tap(model)
    rome, oslo = asked.calls
    answer = say(gateway, "What word should you remember?", "passed", tools=TOOLS)
    passed = [("result", rome, NOT_RUN), ("result", oslo, NOT_RUN), ("user", "What word should you remember?")]
    expected = [*dialogue("passed", asked)[:-2], *passed]
    assert shown(tap.only()) == expected
    expected.append(("assistant", answer.text))
    later = LOSSES.values() if loss is None else [hibernate]
    for turn, lose in enumerate([None, *later]):
        if lose is write_on:
            continue  # no call is open any more
        if lose not in (None, LOSSES["culled"]):
            lose(gateway, "passed")
        answer = say(gateway, f"Turn {turn}.", "passed", tools=TOOLS)
        assert answer.start == ("live" if lose in (None, LOSSES["culled"]) else "resumed")
        assert shown(tap.only()) == [*expected, ("user", f"Turn {turn}.")]
        expected += [("user", f"Turn {turn}."), ("assistant", answer.text)]


def test_results_and_a_message_together_reach_the_model_together(gateway: Gateway, model: Model) -> None:
    asked = park(gateway, "both")
    tap = Tap(model)
    both = [*asked.results("sun", "rain"), user("Remember the word fig.")]
    answer = say(gateway, both, "both", tools=TOOLS)
    assert shown(tap.only()) == [*dialogue("both", asked), ("user", "Remember the word fig.")]
    hibernate(gateway, "both")
    again = say(gateway, "List everything?", "both", tools=TOOLS)
    assert again.text == "You asked me to remember: kiwi, fig."
    assert shown(tap.only())[-3:] == [
        ("user", "Remember the word fig."),
        ("assistant", answer.text),
        ("user", "List everything?"),
    ]


# Room for others


def test_a_parked_session_makes_room_after_ten_seconds_and_comes_back(start_gateway: Start, model: Model) -> None:
    gateway = start_gateway({"claude__max_concurrent_sessions": 1, "claude__slot_wait_seconds": 25})
    asked = park(gateway, "roomy")
    hibernate(gateway, "roomy")
    asked = say(gateway, [*asked.results("sun", "rain"), user(f"Again {call('Lima')}")], "roomy", tools=TOOLS)
    assert gateway.session("roomy")["state"] == "parked"
    pid = gateway.pid("roomy")
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(say, gateway, "Remember the word plum.", "other")
        eventually(lambda: gateway.stats()["sessions"]["queued"] == 1)
        assert gateway.pid("roomy") == pid
        assert "plum" in other.result().text
    assert gateway.session("roomy")["state"] == "hibernated"
    assert gateway.counter("evicted") == 1
    told = say(gateway, asked.results("fog"), "roomy", tools=TOOLS)
    assert (told.text, told.start) == ("The tool answered: fog", "resumed")
