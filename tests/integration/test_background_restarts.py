"""Responses in the background when the server ends: killed or asked to, early, in the middle, or a moment too late."""

from __future__ import annotations

import json
import signal
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from claude_code_api.api.openai_items.ids import turn_of
from tests.conftest import Model
from tests.gateway import Gateway, eventually
from tests.integration.test_background import ENDLESS, SLOW, background, batches, refused, running, stored
from tests.responding import begin, cancel, ended, events, get, respond, same, send, text_of, whole
from tests.unit.api.openai_responses.folding import told

Start = Callable[..., Gateway]


def read_till_it_breaks(url: str, identity: str, seen: list[dict[str, Any]]) -> None:
    """Read the events as a client does whose server is killed."""
    with httpx.stream("GET", f"{url}/v1/responses/{identity}", params={"stream": "true"}) as answer:
        for line in answer.iter_lines():
            if line.startswith("data: "):
                seen.append(json.loads(line[6:]))


def test_a_killed_server_fails_it_and_the_conversation_goes_on(start_gateway: Start, model: Model) -> None:
    gateway = start_gateway()
    first = respond(gateway.http, "Remember the word kept.", instructions="You are terse.")
    respond(gateway.http, "Remember the word too.", conversation_id="kill-named")
    by_response = running(gateway, f"kill-lost {ENDLESS}", previous_response_id=first["id"])["id"]
    by_name = running(gateway, f"kill-lost {ENDLESS}", conversation="kill-named")["id"]
    new = running(gateway, f"kill-lost {ENDLESS}", conversation_id="kill-new")["id"]
    seen: list[dict[str, Any]] = []
    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(read_till_it_breaks, gateway.url, by_response, seen)
        eventually(lambda: len(seen) > 12)
        gateway.restart(signal.SIGKILL)
        assert isinstance(reader.exception(timeout=10), httpx.HTTPError)
    for identity in (by_response, by_name, new):
        failed = get(gateway.http, identity)
        assert (failed["status"], failed["output"], failed["usage"]) == ("failed", [], None)
        assert (failed["error"]["code"], failed["error"]["type"]) == ("server_error", "server_restarted")
        assert "sent again" in failed["error"]["message"]
        assert told(events(gateway.http, identity)) == failed
        assert cancel(gateway.http, identity) == failed
    assert "response.output_text.delta" in [event["type"] for event in seen]
    rest = events(gateway.http, by_response, after=seen[-1]["sequence_number"])
    assert told(seen + rest) == get(gateway.http, by_response)
    assert [event["type"] for event in rest[-2:]] == ["error", "response.failed"]
    assert rest[-2]["code"] == "server_restarted"
    assert rest[-2]["error"]["type"] == "server_error"
    last = rest[-1]["sequence_number"]
    for after in (0, 7, last - 1, last, last + 5):
        assert events(gateway.http, by_response, after=after) == (seen + rest)[after + 1 :]
    refused(send(gateway.http, "On", previous_response_id=by_response), 400, "previous_response_not_found")
    more = {"instructions": "You are terse.", "previous_response_id": first["id"]}
    follow = send(gateway.http, "kill-after: What word should you remember?", **more)
    assert follow.headers["X-Session-Start"] == "resumed"
    assert "kept" in text_of(whole(follow))
    assert [role for role, _ in model.dialogue("kill-after")] == ["user", "assistant", "user"]
    assert "You are terse." in str(model.asked("kill-after")[0]["system"])
    follow = send(gateway.http, "kill-named-after: What word should you remember?", conversation="kill-named")
    assert follow.headers["X-Session-Start"] == "resumed"
    assert "too" in text_of(whole(follow))
    assert [role for role, _ in model.dialogue("kill-named-after")] == ["user", "assistant", "user"]
    respond(gateway.http, "kill-new-after", conversation="kill-new")
    assert model.dialogue("kill-new-after") == [("user", "kill-new-after")]


def test_what_a_killed_server_had_begun_can_be_asked_for_again(start_gateway: Start, model: Model) -> None:
    gateway = start_gateway()
    key = {"Idempotency-Key": "kill-key"}
    said = "kill-twice: remember the word twice."
    lost = background(gateway, f"{said} {ENDLESS}", headers=key)
    eventually(lambda: len(model.asked("kill-twice")) == 1)
    gateway.restart(signal.SIGKILL)
    again = background(gateway, f"{said} {ENDLESS}", headers=key)
    assert again["id"] != lost["id"]
    assert cancel(gateway.http, again["id"])["status"] == "cancelled"


def test_one_that_was_still_waiting_is_failed_and_never_sent(start_gateway: Start, model: Model) -> None:
    gateway = start_gateway({"claude__max_concurrent_sessions": 1})
    first = running(gateway, ENDLESS, conversation_id="wait-one")
    behind = background(gateway, "wait-behind", conversation_id="wait-one")
    elsewhere = background(gateway, "wait-elsewhere", conversation_id="wait-two")
    unnamed = begin(gateway.http, "wait-unnamed", 2, background=True)
    assert [event["type"] for event in unnamed] == ["response.created", "response.queued"]
    assert get(gateway.http, elsewhere["id"])["status"] == "queued"
    gateway.restart(signal.SIGKILL)
    for identity in (first["id"], behind["id"], elsewhere["id"], unnamed[0]["response"]["id"]):
        failed = get(gateway.http, identity)
        assert (failed["status"], failed["error"]["type"]) == ("failed", "server_restarted")
        assert told(events(gateway.http, identity)) == failed
    assert model.asked("wait-behind") + model.asked("wait-elsewhere") + model.asked("wait-unnamed") == []
    assert text_of(respond(gateway.http, "Remember the word two.", conversation="wait-two")).endswith("two.")


@pytest.mark.parametrize("missing", ["nothing", "the last batch", "the second half", "everything"])
def test_events_that_were_not_written_any_more_follow_from_the_answer(start_gateway: Start, missing: str) -> None:
    gateway = start_gateway()
    tool = 'Please think. [[offline: text-and-calls]] [[offline: call get_weather {"city": "Rome"}]]'
    weather = {"type": "function", "name": "get_weather", "parameters": {"type": "object"}}
    asked = background(gateway, f"{tool} [[offline: pace 0.02]]", tools=[weather], reasoning={"summary": "auto"})
    done = ended(gateway.http, asked["id"])
    gateway.process.kill()
    gateway.process.wait()
    before = [event for batch in batches(gateway, done["id"]) for event in batch]
    with sqlite3.connect(gateway.data / "default" / "conversations.db") as database:
        rows = [first for (first,) in database.execute(_FIRSTS, (turn_of(done["id"]),))]
        begins = {"the last batch": rows[-1], "the second half": rows[len(rows) // 2], "everything": 0}
        database.execute(
            "delete from response_event where turn_id = ? and first >= ?",
            (turn_of(done["id"]), begins.get(missing, 10**9)),
        )
    gateway.restart(signal.SIGKILL)
    assert get(gateway.http, done["id"]) == done
    left = sum(len(batch) for batch in batches(gateway, done["id"]))
    seen = events(gateway.http, done["id"])
    assert seen[:left] == before[:left]
    assert same(told(seen), done)
    assert [item["type"] for item in done["output"]] == ["reasoning", "message", "function_call"]
    for after in (0, left - 2, left - 1, left, len(seen) - 1, len(seen) + 3):
        assert events(gateway.http, done["id"], after=max(-1, after)) == seen[max(-1, after) + 1 :]


_FIRSTS = "select first from response_event where turn_id = ? order by first"


def test_a_server_that_is_killed_right_behind_the_answer_has_it_whole(start_gateway: Start) -> None:
    gateway = start_gateway()
    identities = [background(gateway, "Say it. [[offline: words 30]]")["id"] for _ in range(4)]
    ended(gateway.http, identities[-1])
    gateway.restart(signal.SIGKILL)
    for identity in identities:
        kept = get(gateway.http, identity)
        assert kept["status"] in ("completed", "failed")
        assert same(told(events(gateway.http, identity)), kept)
    assert text_of(get(gateway.http, identities[-1])).endswith("word30")


def test_a_server_that_is_asked_to_end_says_so(start_gateway: Start, model: Model) -> None:
    gateway = start_gateway({"server__shutdown_grace_seconds": 0.5})
    respond(gateway.http, "Remember the word kept.", conversation_id="term")
    identity = running(gateway, f"term-lost {ENDLESS}", conversation_id="term")["id"]
    behind = background(gateway, "term-behind", conversation_id="term")["id"]
    with ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(events, httpx.Client(base_url=gateway.url), one) for one in (identity, behind)]
        eventually(lambda: len(batches(gateway, identity)) > 3)
        gateway.restart(signal.SIGTERM)
        seen = [reader.result(timeout=10) for reader in readers]
    for one, read in zip((identity, behind), seen, strict=True):
        failed = get(gateway.http, one)
        assert (failed["status"], failed["error"]["type"]) == ("failed", "server_shutting_down")
        assert told(read) == failed
        assert events(gateway.http, one) == read
    assert model.asked("term-behind") == []
    assert "turns_interrupted" not in gateway.log()
    follow = send(gateway.http, "term-after: What word should you remember?", conversation="term")
    assert ("kept" in text_of(whole(follow)), follow.headers["X-Session-Start"]) == (True, "resumed")
    assert "term-lost" not in str(model.dialogue("term-after"))


def test_a_server_that_is_asked_to_end_lets_it_finish_in_time(start_gateway: Start) -> None:
    gateway = start_gateway()
    identity = running(gateway, SLOW)["id"]
    gateway.restart(signal.SIGTERM)
    done = get(gateway.http, identity)
    assert (done["status"], text_of(done)[-6:]) == ("completed", "word60")
    assert same(told(events(gateway.http, identity)), done)
    assert stored(gateway, "select count(*) from response where status <> 'completed'") == [(0,)]
