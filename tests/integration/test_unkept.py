"""Responses with `store: false`: nothing of them is written down, and the live process is found again all the same."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.chat import Tap, shown
from tests.conftest import Model
from tests.gateway import Gateway, eventually, runs
from tests.integration.test_background import refused
from tests.integration.test_keys import client, make
from tests.responding import WEATHER, begin, calls_of, get, output, respond, send, text_of, whole

Start = Callable[..., Gateway]
Json = dict[str, Any]


def user(text: str) -> Json:
    return {"role": "user", "content": text}


def found(gateway: Gateway, *words: str) -> list[str]:
    """The files of a server that hold one of these words: its data, and all else that it and its processes write."""
    holding = []
    for folder, _, names in os.walk(gateway.data_dir):
        for name in names:
            path = Path(folder, name)
            try:
                content = path.read_bytes()
            except OSError:
                continue  # it went meanwhile
            if any(word.encode() in content for word in words) or any(word in str(path) for word in words):
                holding.append(str(path.relative_to(gateway.data_dir)))
    return holding


class Window:
    """A client that keeps the items itself, and sends all of them each time."""

    def __init__(self, http: httpx.Client, **options: Any) -> None:
        self.items: list[Json] = []
        self._http = http
        self._options = {"store": False, **options}

    def say(self, *items: Json, **more: Any) -> httpx.Response:
        """Send the history and these; keep the answer."""
        self.items += items
        answer = send(self._http, self.items, **{**self._options, **more})
        self.items += whole(answer)["output"]
        return answer


def children(gateway: Gateway) -> list[int]:
    """The processes that run."""
    return [child.pid for child in gateway.children()]


def listed(gateway: Gateway) -> list[str]:
    """The conversations that a client is told of."""
    return [one["id"] for one in gateway.http.get("/v1/sessions").json()["data"]]


def counted(gateway: Gateway) -> int:
    """How many conversations there are; what state they are in may change when another one needs a process."""
    total: int = gateway.stats()["sessions"]["total"]
    return total


# Nothing is written


def test_nothing_of_it_is_on_the_disk_at_any_time(start_gateway: Start) -> None:
    gateway = start_gateway()
    words = ("quixotic", "zephyr-answer", "toolu_", "ostrich")
    options: Json = {"tools": [WEATHER], "instructions": "Never mention an ostrich."}
    window = Window(gateway.http, **options)
    window.say(user("Remember the word quixotic."))
    assert found(gateway, *words) == []
    called = window.say(user('Go. [[offline: call get_weather {"city": "quixotic"}]]'))
    assert found(gateway, *words) == []
    answered = window.say(output(calls_of(called.json())[0], "zephyr-answer"))
    assert text_of(answered.json()) == "The tool answered: zephyr-answer"
    assert found(gateway, *words) == []
    said = "quixotic [[offline: words 400]] [[offline: pace 0.02]]"
    seen = begin(gateway.http, said, 12, store=False)
    assert found(gateway, *words, "word3 word4") == []
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(send, gateway.http, said, store=False)
        with pytest.raises(TimeoutError):
            running.result(timeout=1.5)
        assert found(gateway, *words, "word3 word4") == []
        gateway.restart(signal.SIGKILL)
        assert isinstance(running.exception(), httpx.HTTPError)
    assert found(gateway, *words, "word3 word4") == []
    refused(gateway.http.get(f"/v1/responses/{seen[0]['response']['id']}"), 404, "response_not_found")
    eventually(lambda: list((gateway.data / "default" / "sessions").iterdir()) == [], within=10)
    restarted = Window(gateway.http, **options)
    restarted.items = window.items
    assert "quixotic" in text_of(restarted.say(user("What word should you remember?")).json())
    assert found(gateway, *words) == []
    respond(gateway.http, "Remember the word ocelot.")
    assert found(gateway, "ocelot") != []  # what is stored would have been found


def test_a_spare_process_writes_nothing_of_it_either(start_gateway: Start) -> None:
    gateway = start_gateway({"pool__min_size": 1, "pool__max_size": 1})
    eventually(lambda: len(gateway.children()) == 1, within=20)
    window = Window(gateway.http)
    answer = window.say(user("Remember the word quixotic."))
    assert answer.headers["X-Session-Start"] == "warm"
    assert window.say(user("What word should you remember?")).headers["X-Session-Start"] == "live"
    assert found(gateway, "quixotic") == []


# The live process is found again


def test_a_client_that_sends_everything_goes_on_live(gateway: Gateway, model: Model) -> None:
    window = Window(gateway.http)
    before, tap = children(gateway), Tap(model)
    first = window.say(user("Remember the word unkept."))
    (pid,) = set(children(gateway)) - set(before)
    assert (first.headers["X-Session-Start"], "X-Conversation-ID" in first.headers) == ("cold", False)
    assert (first.json()["store"], first.json()["conversation_id"], first.json()["conversation"]) == (False, None, None)
    for number in range(3):
        answer = window.say(user(f"{number}: What word should you remember?"))
        assert ("unkept" in text_of(answer.json()), answer.headers["X-Session-Start"]) == (True, "live")
    texts = [item["content"] if "id" not in item else item["content"][0]["text"] for item in window.items[:-1]]
    roles = [item["role"] for item in window.items[:-1]]
    assert shown(tap.take()[-1]) == list(zip(roles, texts, strict=True))
    assert set(children(gateway)) - set(before) == {pid}
    assert get_status(gateway, first.json()["id"]) == 404
    assert first.json()["id"] not in str(listed(gateway))


def get_status(gateway: Gateway, identity: str) -> int:
    return gateway.http.get(f"/v1/responses/{identity}").status_code


def test_calls_that_wait_are_answered_on_the_live_process(gateway: Gateway) -> None:
    window, before = Window(gateway.http, tools=[WEATHER]), children(gateway)
    asked = 'Go. [[offline: call get_weather {"city": "Rome"}]] [[offline: call get_weather {"city": "Oslo"}]]'
    calls = calls_of(window.say(user(asked)).json())
    (pid,) = set(children(gateway)) - set(before)
    answer = window.say(output(calls[0], "sunny"), output(calls[1], "snow"))
    assert (text_of(answer.json()), answer.headers["X-Session-Start"]) == ("The tool answered: sunny; snow", "live")
    assert set(children(gateway)) - set(before) == {pid}


def test_it_is_in_no_list_and_has_no_name(gateway: Gateway) -> None:
    before = listed(gateway), counted(gateway)
    window = Window(gateway.http)
    first = window.say(user("Remember the word nameless.")).json()
    assert (listed(gateway), counted(gateway)) == before
    for path in ("", "/input_items", "?stream=true"):
        refused(gateway.http.get(f"/v1/responses/{first['id']}{path}"), 404, "response_not_found")
    refused(gateway.http.delete(f"/v1/responses/{first['id']}"), 404, "response_not_found")
    more: list[Json] = [{}, {"store": False}]
    for one in more:
        answer = send(gateway.http, "On", previous_response_id=first["id"], **one)
        refused(answer, 400, "previous_response_not_found")
    name = respond(gateway.http, "Hello")["conversation_id"]
    for field in ("conversation", "conversation_id"):
        refused(send(gateway.http, "On", store=False, **{field: name}), 400, "invalid_request")


def test_a_history_that_is_to_be_stored_does_not_find_it(gateway: Gateway) -> None:
    window = Window(gateway.http)
    window.say(user("Remember the word apart."))
    answer = send(gateway.http, [*window.items, user("What word should you remember?")])
    assert ("apart" in text_of(whole(answer)), answer.headers["X-Session-Start"]) == (True, "cold")
    assert window.say(user("What word should you remember?")).headers["X-Session-Start"] == "live"


def test_it_is_gone_with_its_process(start_gateway: Start) -> None:
    gateway = start_gateway({"claude__session_idle_seconds": 1.5})
    window = Window(gateway.http)
    window.say(user("Remember the word idle."))
    (pid,) = children(gateway)
    eventually(lambda: not runs(pid), within=10)
    eventually(lambda: list((gateway.data / "default" / "sessions").iterdir()) == [])
    answer = window.say(user("What word should you remember?"))
    assert ("idle" in text_of(answer.json()), answer.headers["X-Session-Start"]) == (True, "cold")
    os.kill(children(gateway)[0], signal.SIGKILL)
    eventually(lambda: gateway.stats()["sessions"]["live"] == 0)
    assert window.say(user("Once more?")).headers["X-Session-Start"] == "cold"
    assert found(gateway, "idle.") == []


def test_one_that_waits_gives_way_to_others(start_gateway: Start) -> None:
    gateway = start_gateway({"claude__max_concurrent_sessions": 1})
    window = Window(gateway.http)
    window.say(user("Remember the word evicted."))
    respond(gateway.http, "Hello")
    answer = window.say(user("What word should you remember?"))
    assert ("evicted" in text_of(answer.json()), answer.headers["X-Session-Start"]) == (True, "cold")


def test_other_tenants_never_find_it(model: Model) -> None:
    gateway = Gateway(model.server.url)
    try:
        alice = client(gateway, make(gateway.data, "--name", "alice", "--tenant", "acme"))
        colleague = client(gateway, make(gateway.data, "--name", "carol", "--tenant", "acme"))
        bob = client(gateway, make(gateway.data, "--name", "bob", "--tenant", "other"))
        eventually(lambda: bob.get("/v1/models").status_code == 200)
        window, theirs = Window(alice), Window(bob)
        window.say(user("Remember the word mine."))
        (pid,) = children(gateway)
        theirs.items = list(window.items)
        answer = theirs.say(user("What word should you remember?"))
        assert answer.headers["X-Session-Start"] == "cold"
        assert pid in children(gateway)
        window_of_colleague = Window(colleague)
        window_of_colleague.items = list(window.items)
        answer = window_of_colleague.say(user("What word should you remember?"))
        assert answer.headers["X-Session-Start"] == "live"
        assert len(children(gateway)) == 2
    finally:
        gateway.stop()


# Beside what is stored


def test_it_goes_on_from_a_stored_response_and_leaves_that_as_it_was(gateway: Gateway, model: Model) -> None:
    first = respond(gateway.http, "Remember the word stored.")
    name = first["conversation_id"]
    pid, before = gateway.pid(name), gateway.session(name)
    aside = send(
        gateway.http, "unkept-aside: What word should you remember?", store=False, previous_response_id=first["id"]
    )
    assert ("stored" in text_of(whole(aside)), "X-Conversation-ID" in aside.headers) == (True, False)
    assert [role for role, _ in model.dialogue("unkept-aside")] == ["user", "assistant", "user"]
    after = gateway.session(name)
    assert {key: after[key] for key in ("turns", "usage", "state", "pid")} == {
        key: before[key] for key in ("turns", "usage", "state", "pid")
    }
    assert get_status(gateway, aside.json()["id"]) == 404
    follow = send(gateway.http, "unkept-follow: What word should you remember?", previous_response_id=first["id"])
    assert (whole(follow)["conversation_id"], follow.headers["X-Session-Start"]) == (name, "live")
    assert gateway.pid(name) == pid
    assert "unkept-aside" not in str(model.dialogue("unkept-follow"))
    assert get(gateway.http, first["id"]) == first


def test_an_agent_writes_nothing_of_it_but_what_it_is_told_to(start_gateway: Start) -> None:
    gateway = start_gateway()
    window = Window(gateway.http, model="agent/sonnet")
    window.say(user("Remember the word quixotic."))
    bash = '[[offline: call Bash {"command": "echo made-$((6*7)) > made.txt; cat made.txt"}]]'
    answer = window.say(user(f"Work. {bash}"))
    assert "made-42" in str(answer.json()["output"])
    assert found(gateway, "quixotic", "$((6*7))") == []
    (made,) = found(gateway, "made-42")
    assert made.endswith("work/made.txt")
    assert "quixotic" in text_of(window.say(user("What word should you remember?")).json())
    gateway.restart(signal.SIGTERM)
    assert found(gateway, "quixotic", "made-42") == []


# What else a request says of its turn


@pytest.mark.parametrize("store", [True, False])
def test_without_truncation_an_overflow_is_an_error_and_the_process_stays(gateway: Gateway, store: bool) -> None:
    window, before = Window(gateway.http, store=store, truncation="disabled"), children(gateway)
    window.say(user("Remember the word small."))
    (pid,) = set(children(gateway)) - set(before)
    answer = send(
        gateway.http, [*window.items, user("Too much. [[offline: overflow]]")], store=store, truncation="disabled"
    )
    refused(answer, 400, "context_length_exceeded")
    follow = window.say(user("What word should you remember?"))
    assert ("small" in text_of(follow.json()), follow.headers["X-Session-Start"]) == (True, "live")
    assert set(children(gateway)) - set(before) == {pid}
    assert follow.json()["truncation"] == "disabled"


def test_with_truncation_a_summary_takes_the_place_of_what_was_said(gateway: Gateway, model: Model) -> None:
    first = respond(gateway.http, "Remember the word small.", truncation="auto")
    tap = Tap(model)
    more = {"previous_response_id": first["id"], "truncation": "auto"}
    refused(send(gateway.http, "Too much. [[offline: overflow]]", **more), 400, "context_length_exceeded")
    assert "CRITICAL: Respond with TEXT ONLY" in str(tap.take())
    refused(
        send(gateway.http, "Too much. [[offline: overflow]]", **{**more, "truncation": "disabled"}),
        400,
        "context_length_exceeded",
    )
    assert "CRITICAL: Respond with TEXT ONLY" not in str(tap.take())


@pytest.mark.parametrize("store", [True, False])
def test_an_agent_makes_no_more_calls_than_it_may(gateway: Gateway, store: bool) -> None:
    calls = "".join(f'[[offline: call Bash {{"command": "echo did-$(({number}+40))"}}]]' for number in range(3))
    done = respond(gateway.http, f"Work. {calls}", model="agent/sonnet", max_tool_calls=2, store=store)
    made = [item for item in done["output"] if item["type"] == "mcp_call"]
    assert ["did-40" in str(made), "did-41" in str(made), "did-42" in str(made)] == [True, True, False]
    assert (done["max_tool_calls"], done["status"]) == (2, "completed")
    assert "limit of 2 tool calls" in str(done["output"])
    refused(send(gateway.http, "Work.", model="agent/sonnet", max_tool_calls=0), 400, "invalid_request")
