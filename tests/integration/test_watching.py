"""Sessions as those see them who watch and read along, over a real socket."""

from __future__ import annotations

import json
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from types import TracebackType
from typing import Any

import httpx
import pytest

from tests.conftest import Model
from tests.gateway import Gateway, eventually, text_of
from tests.integration.test_keys import Guarded, ask
from tests.integration.test_revisions import calling, code_of, done, post, remember, results, running

Start = Callable[..., Gateway]


class Watcher:
    """Reads a session's events in a thread of its own; `leave` hangs up."""

    def __init__(self, gateway: Gateway, name: str, last: str | None = None) -> None:
        headers = {} if last is None else {"Last-Event-ID": last}
        self.events: list[tuple[str, str, dict[str, Any]]] = []
        self.comments = 0
        self.ended = threading.Event()
        self._client = httpx.Client(base_url=gateway.url, timeout=60)
        self._stream = self._client.stream("GET", f"/v1/sessions/{name}/events", headers=headers)
        self.answer = self._stream.__enter__()
        self._thread = threading.Thread(target=self._read, daemon=True)
        assert self.answer.status_code == 200
        self._thread.start()
        if last is None:
            self.wait_for("session.state")

    def _read(self) -> None:
        fields: dict[str, str] = {}
        try:
            for line in self.answer.iter_lines():
                if line.startswith(":"):
                    self.comments += 1
                elif line:
                    name, _, value = line.partition(": ")
                    fields[name] = value
                elif fields:
                    self.events.append((fields["id"], fields["event"], json.loads(fields["data"])))
                    fields = {}
        except (httpx.HTTPError, httpx.StreamError):
            pass
        self.ended.set()

    def wait_for(self, kind: str) -> None:
        """Until there is an event of this kind."""
        eventually(lambda: kind in self.kinds(), within=20)

    def saw(self, *states: str) -> bool:
        """Whether these are all the states it was told."""
        return self.states() == list(states)

    def kinds(self) -> list[str]:
        return [kind for _, kind, _ in self.events]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [data for _, one, data in self.events if one == kind]

    def states(self) -> list[str]:
        return [data["state"] for data in self.of("session.state")]

    def text(self) -> str:
        return "".join(data["text"] for data in self.of("turn.text"))

    def __enter__(self) -> Watcher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()

    def leave(self) -> None:
        """Hang up."""
        if not self.ended.is_set():
            self.answer.extensions["network_stream"].get_extra_info("socket").shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self.answer.close()
        self._client.close()


# Watching


def test_a_turn_is_seen_from_its_start_to_its_end(gateway: Gateway) -> None:
    remember(gateway, "seen", "kiwi")
    with Watcher(gateway, "seen") as watcher:
        assert watcher.answer.headers["content-type"].startswith("text/event-stream")
        answer = gateway.ask("[[offline: think]] hello", "seen")
        watcher.wait_for("turn.completed")
        eventually(lambda: watcher.states() == ["idle", "busy", "idle"])
        assert watcher.text() == text_of(answer)
        assert watcher.of("turn.thinking")
        (started,), (completed,) = watcher.of("turn.started"), watcher.of("turn.completed")
        assert (started["start"], started["request_id"]) == ("live", answer.headers["X-Request-ID"])
        assert (completed["turn_id"], completed["stop_reason"]) == (started["turn_id"], "end_turn")
        assert completed["usage"]["output_tokens"] > 0
        assert completed["cost_usd"] > 0
        assert watcher.of("session.state")[1]["turn_id"] == started["turn_id"]
        ids = [int(identity) for identity, _, _ in watcher.events]
        assert ids == sorted(set(ids))
        assert len(ids) > 5


def test_a_session_that_sleeps_is_silent_until_its_turn(gateway: Gateway) -> None:
    remember(gateway, "drowsy", "kiwi")
    done(post(gateway, "drowsy", "hibernate"))
    with Watcher(gateway, "drowsy") as watcher:
        time.sleep(0.3)
        assert watcher.states() == ["hibernated"]
        text_of(gateway.ask("hello", "drowsy"))
        done(post(gateway, "drowsy", "hibernate"))
        eventually(lambda: watcher.states()[-1] == "hibernated")
        assert watcher.states() == ["hibernated", "queued", "starting", "busy", "idle", "stopping", "hibernated"]
        assert watcher.of("turn.started")[0]["start"] == "resumed"


def test_calls_and_their_arguments_are_seen(gateway: Gateway) -> None:
    remember(gateway, "seen-calls", "kiwi")
    with Watcher(gateway, "seen-calls") as watcher:
        calls = calling(gateway, "seen-calls")
        watcher.wait_for("turn.completed")
        assert [data["id"] for data in watcher.of("turn.tool_call")] == calls
        assert {data["name"] for data in watcher.of("turn.tool_call")} == {"look", "listen"}
        for call in calls:
            told = "".join(data["json"] for data in watcher.of("turn.tool_arguments") if data["id"] == call)
            assert json.loads(told) == {}
        assert watcher.of("turn.completed")[0]["stop_reason"] == "tool_use"
        eventually(lambda: watcher.states()[-1] == "parked")
        text_of(results(gateway, "seen-calls", calls, "seen"))
        eventually(lambda: watcher.states()[-1] == "idle")


def test_a_turn_that_fails_or_is_interrupted_or_taken_back_is_seen(gateway: Gateway, model: Model) -> None:
    remember(gateway, "seen-cut", "kiwi")
    with Watcher(gateway, "seen-cut") as watcher:
        assert gateway.ask("[[offline: error 400]]", "seen-cut").status_code == 400
        watcher.wait_for("turn.failed")
        with running(gateway, model, "seen-cut", "seen-cut-check"):
            done(post(gateway, "seen-cut", "interrupt"))
        eventually(lambda: len(watcher.of("turn.failed")) == 2)
        assert [data["code"] for data in watcher.of("turn.failed")] == ["upstream_invalid_request", "turn_cancelled"]
        assert all(data["message"] for data in watcher.of("turn.failed"))
        done(post(gateway, "seen-cut", "rewind"))
        watcher.wait_for("session.rewound")
        assert watcher.of("session.rewound")[0]["turns"] == 1
        eventually(lambda: watcher.states()[-1] == "idle")
        assert "rewinding" in watcher.states()


def test_who_comes_back_gets_what_was_missed_once(gateway: Gateway) -> None:
    remember(gateway, "again-seen", "kiwi")
    with Watcher(gateway, "again-seen") as watcher:
        text_of(gateway.ask("hello", "again-seen"))
        eventually(lambda: watcher.states() == ["idle", "busy", "idle"])
    last = watcher.events[-1][0]
    missed = text_of(gateway.ask("Remember the word plum.", "again-seen"))
    with Watcher(gateway, "again-seen", last) as back:
        eventually(lambda: back.states() == ["busy", "idle"])
        assert back.text() == missed
        assert int(back.events[0][0]) == int(last) + 1
        assert "gap" not in back.kinds()
    middle = watcher.events[3][0]
    with Watcher(gateway, "again-seen", middle) as third:
        eventually(lambda: third.states() == ["idle", "busy", "idle"])
        assert third.events[: len(watcher.events) - 4] == watcher.events[4:]


@pytest.mark.parametrize("last", ["1", "not-a-number", "9" * 30, "99999999999999999"])
def test_what_is_not_remembered_is_one_gap_with_the_present_state(gateway: Gateway, last: str) -> None:
    remember(gateway, "gapped", "kiwi")
    with Watcher(gateway, "gapped", last) as watcher:
        watcher.wait_for("gap")
        text_of(gateway.ask("hello", "gapped"))
        watcher.wait_for("turn.completed")
        assert watcher.kinds().count("gap") == 1
        assert watcher.of("gap")[0]["state"] == "idle"


def test_a_restart_is_a_gap_for_those_who_come_back(start_gateway: Start) -> None:
    gateway = start_gateway()
    remember(gateway, "restarted", "kiwi")
    with Watcher(gateway, "restarted") as watcher:
        last = watcher.events[-1][0]
        gateway.restart(signal.SIGTERM)
        assert watcher.ended.wait(10)
    with Watcher(gateway, "restarted", last) as back:
        back.wait_for("gap")
        assert int(back.events[0][0]) > int(last)
        assert back.of("gap")[0]["state"] == "hibernated"


def test_the_stream_ends_with_the_session_and_another_of_its_id_is_another(gateway: Gateway) -> None:
    remember(gateway, "mortal", "kiwi")
    with Watcher(gateway, "mortal") as watcher:
        assert gateway.http.delete("/v1/sessions/mortal").status_code == 204
        assert watcher.ended.wait(10)
        assert watcher.states()[-1] == "deleted"
        last = watcher.events[-1][0]
    assert code_of(gateway.http.get("/v1/sessions/mortal/events")) == (404, "conversation_not_found")
    remember(gateway, "mortal", "plum")
    with Watcher(gateway, "mortal", last) as other:
        other.wait_for("gap")
    remember(gateway, "mortal-asleep", "kiwi")
    done(post(gateway, "mortal-asleep", "hibernate"))
    with Watcher(gateway, "mortal-asleep") as watcher:
        assert gateway.http.delete("/v1/sessions/mortal-asleep").status_code == 204
        assert watcher.ended.wait(10)
        assert watcher.states() == ["hibernated", "deleted"]


def test_silence_is_filled_and_a_watcher_does_not_hold_up_the_end(start_gateway: Start) -> None:
    gateway = start_gateway({"server__heartbeat_seconds": 0.1, "server__shutdown_grace_seconds": 20})
    remember(gateway, "quiet", "kiwi")
    with Watcher(gateway, "quiet") as watcher:
        eventually(lambda: watcher.comments >= 2)
        began = time.monotonic()
        gateway.process.terminate()
        assert watcher.ended.wait(10)
        gateway.process.wait(timeout=30)
        assert time.monotonic() - began < 10


def test_a_watcher_that_reads_nothing_holds_nobody_up(gateway: Gateway) -> None:
    remember(gateway, "stalled", "kiwi")
    with httpx.Client(base_url=gateway.url, timeout=60) as client, client.stream("GET", "/v1/sessions/stalled/events"):
        for _ in range(3):
            assert text_of(gateway.ask("[[offline: words 3000]]", "stalled")).endswith("word3000")
    assert gateway.session("stalled")["state"] == "idle"


def test_many_watch_and_leave(gateway: Gateway) -> None:
    remember(gateway, "crowd", "kiwi")
    watchers = [Watcher(gateway, "crowd") for _ in range(20)]
    said = text_of(gateway.ask("hello", "crowd"))
    for watcher in watchers:
        eventually(partial(watcher.saw, "idle", "busy", "idle"))
        assert watcher.text() == said
        watcher.leave()
    text_of(gateway.ask("hello", "crowd"))


# Reading


def test_a_transcript_in_pages(gateway: Gateway) -> None:
    remember(gateway, "read", "kiwi", "plum", "fig")
    done(post(gateway, "read", "rewind"))
    assert gateway.ask("[[offline: error 400]]", "read").status_code == 400
    whole = done(gateway.http.get("/v1/sessions/read/transcript"))
    assert [one["input"]["content"][0]["text"] for one in whole["data"]] == [
        "Remember the word kiwi.",
        "Remember the word plum.",
    ]
    assert (whole["has_more"], whole["base"], whole["last_id"]) == (False, [], whole["data"][1]["id"])
    first = done(gateway.http.get("/v1/sessions/read/transcript", params={"limit": 1}))
    assert (first["has_more"], first["data"]) == (True, whole["data"][:1])
    second = done(gateway.http.get("/v1/sessions/read/transcript", params={"limit": 1, "after": first["last_id"]}))
    assert (second["has_more"], second["data"]) == (False, whole["data"][1:])
    one = whole["data"][0]
    assert one["status"] == "completed"
    assert one["model"] == gateway.session("read")["model"]
    assert one["output"][0]["role"] == "assistant"
    assert one["usage"]["output_tokens"] > 0
    assert one["cost_usd"] > 0
    spent = sum(one["cost_usd"] for one in whole["data"])
    assert gateway.session("read")["cost_usd"] > spent, "what was taken back was paid for"


def test_a_transcript_that_cannot_be_read(gateway: Gateway) -> None:
    remember(gateway, "unread-here", "kiwi")
    path = "/v1/sessions/unread-here/transcript"
    for query in ("after=no-such-turn", "limit=0", "limit=1001", "format=pdf"):
        assert code_of(gateway.http.get(f"{path}?{query}")) == (400, "invalid_request"), query
    for query in ("", "?format=markdown"):
        answer = gateway.http.get(f"/v1/sessions/never-there/transcript{query}")
        assert code_of(answer) == (404, "conversation_not_found")


def test_a_transcript_for_people(gateway: Gateway) -> None:
    remember(gateway, "shown", *(f"word{number}" for number in range(24)))  # more than a page of the store's
    text_of(results(gateway, "shown", calling(gateway, "shown"), "seen"))
    answer = gateway.http.get("/v1/sessions/shown/transcript", params={"format": "markdown"})
    assert answer.headers["content-type"] == "text/markdown; charset=utf-8"
    assert answer.text.startswith("# Conversation shown\n\n## User, ")
    assert [f"Remember the word word{number}." in answer.text for number in range(24)] == [True] * 24
    assert "**Tool `look`**" in answer.text
    assert "**Result** (" in answer.text
    assert answer.text.index("word0.") < answer.text.index("word23.") < answer.text.index("seen")
    for told in (answer.text, gateway.http.get("/v1/sessions/shown/transcript").text):
        assert str(gateway.data_dir) not in told
        assert "system-reminder" not in told


def test_a_history_that_came_from_outside_is_what_the_transcript_begins_with(gateway: Gateway) -> None:
    messages = [
        {"role": "user", "content": "My name is Ada."},
        {"role": "assistant", "content": "Hello Ada."},
        {"role": "user", "content": "What is my name?"},
    ]
    text_of(gateway.http.post("/v1/chat/completions", json={"conversation_id": "brought", "messages": messages}))
    told = done(gateway.http.get("/v1/sessions/brought/transcript"))
    assert [message["content"][0]["text"] for message in told["base"]] == ["My name is Ada.", "Hello Ada."]
    assert len(told["data"]) == 1
    shown = gateway.http.get("/v1/sessions/brought/transcript?format=markdown").text
    assert shown.index("Hello Ada.") < shown.index("What is my name?")


def test_a_first_turn_that_runs_has_an_empty_transcript(gateway: Gateway, model: Model) -> None:
    with running(gateway, model, "opening", "opening-check"):
        told = done(gateway.http.get("/v1/sessions/opening/transcript"))
        assert (told["data"], told["first_id"], told["has_more"]) == ([], None, False)
        done(post(gateway, "opening", "interrupt"))


# Tenants


@pytest.fixture(scope="module")
def guarded(model: Model) -> Iterator[Guarded]:
    guarded = Guarded(model)
    yield guarded
    guarded.gateway.stop()


def test_another_tenants_session_can_be_neither_changed_nor_seen(guarded: Guarded) -> None:
    text_of(ask(guarded.alice, "Remember the word kiwi.", "ours"))
    before = guarded.alice.get("/v1/sessions/ours").json()
    for what in ("interrupt", "fork", "rewind"):
        answer = guarded.bob.post(f"/v1/sessions/ours/{what}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "conversation_not_found")
    for what in ("transcript", "transcript?format=markdown", "events"):
        answer = guarded.bob.get(f"/v1/sessions/ours/{what}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "conversation_not_found")
    after = guarded.alice.get("/v1/sessions/ours").json()
    assert (after["turns"], after["pid"]) == (before["turns"], before["pid"])
    assert httpx.get(f"{guarded.gateway.url}/v1/sessions/ours/events").status_code == 401


def test_forks_stay_with_their_tenant(guarded: Guarded) -> None:
    text_of(ask(guarded.alice, "Remember the word kiwi.", "stem"))
    text_of(ask(guarded.bob, "Remember the word plum.", "stem-fork"))
    made = guarded.colleague.post("/v1/sessions/stem/fork", json={"conversation_id": "stem-fork"})
    assert made.status_code == 201, "another tenant's id is not taken"
    assert "kiwi" in text_of(ask(guarded.alice, "List everything?", "stem-fork"))
    assert "plum" in text_of(ask(guarded.bob, "List everything?", "stem-fork"))
    taken = guarded.alice.post("/v1/sessions/stem/fork", json={"conversation_id": "stem-fork"})
    assert taken.status_code == 409
