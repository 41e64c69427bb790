"""Responses in the background: accepted at once, asked for by their ids, read again from any of their events."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from claude_code_api.api.openai_items.ids import response_id, turn_of
from tests.conftest import Model
from tests.gateway import Gateway, eventually
from tests.responding import (
    WEATHER,
    begin,
    calls_of,
    cancel,
    ended,
    events,
    frames,
    get,
    output,
    respond,
    same,
    send,
    text_of,
    whole,
)
from tests.unit.api.openai_responses.folding import told

Start = Callable[..., Gateway]
SLOW = "[[offline: words 60]] [[offline: pace 0.03]]"
ENDLESS = "[[offline: words 2000]] [[offline: pace 0.05]]"


def background(gateway: Gateway, said: Any, **more: Any) -> dict[str, Any]:
    """A response in the background, as it was accepted."""
    response = respond(gateway.http, said, background=True, **more)
    assert (response["status"], response["output"], response["background"]) == ("queued", [], True)
    return response


def running(gateway: Gateway, said: str, **more: Any) -> dict[str, Any]:
    """One that says something already."""
    response = background(gateway, said, **more)
    assert events(gateway.http, response["id"], count=8)[-1]["type"] == "response.output_text.delta"
    return response


def refused(answer: Any, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text


# Its course


def test_it_is_accepted_at_once_and_asked_for_until_it_is_completed(gateway: Gateway) -> None:
    began = time.monotonic()
    accepted = background(gateway, "Remember the word plum. [[offline: delay 1.5]]")
    assert time.monotonic() - began < 1
    assert get(gateway.http, accepted["id"])["status"] in ("queued", "in_progress")
    eventually(lambda: get(gateway.http, accepted["id"])["status"] == "in_progress")
    done = ended(gateway.http, accepted["id"])
    assert (done["status"], text_of(done)) == ("completed", "I will remember: word plum.")
    came = {"status", "output", "usage", "completed_at", "model"}
    assert {name for name in accepted if accepted[name] != done[name]} == came
    follow = respond(gateway.http, "What word should you remember?", previous_response_id=done["id"])
    assert "plum" in text_of(follow)
    assert follow["conversation_id"] == accepted["conversation_id"]


def test_it_can_be_streamed_at_once(gateway: Gateway) -> None:
    streamed = begin(gateway.http, "Please think. Remember the word plum.", 1000, background=True)
    last = told(streamed)
    assert [event["type"] for event in streamed[:3]] == [
        "response.created",
        "response.queued",
        "response.in_progress",
    ]
    assert same(get(gateway.http, last["id"]), last)
    assert events(gateway.http, last["id"]) == streamed


def test_a_client_that_leaves_gets_the_rest_when_it_comes_back(gateway: Gateway) -> None:
    seen = begin(gateway.http, SLOW, 9, background=True)
    identity = seen[0]["response"]["id"]
    seen += events(gateway.http, identity, after=8, count=7)
    seen += events(gateway.http, identity, after=15)
    assert same(told(seen), get(gateway.http, identity))
    assert text_of(told(seen)).endswith("word60")
    last = len(seen) - 1
    for after in (-1, 0, 1, 8, last // 2, last - 1, last, last + 1, 10**9):
        assert events(gateway.http, identity, after=after) == seen[after + 1 :]
    assert events(gateway.http, identity) == seen
    refused(gateway.http.get(f"/v1/responses/{identity}?stream=true&starting_after=-2"), 400, "invalid_request")


def test_a_reader_who_is_ahead_waits_and_gets_no_event_twice(gateway: Gateway) -> None:
    identity = background(gateway, SLOW)["id"]
    rest = events(gateway.http, identity, after=40)
    assert [event["sequence_number"] for event in rest[:1]] == [41]
    assert rest == events(gateway.http, identity)[41:]


def test_many_readers_get_the_same(gateway: Gateway) -> None:
    identity = background(gateway, SLOW)["id"]
    with ThreadPoolExecutor(6) as pool:
        every = list(pool.map(lambda after: events(gateway.http, identity, after), [-1, -1, 0, 5, 20, 50]))
    for after, seen in zip((-1, -1, 0, 5, 20, 50), every, strict=True):
        assert seen == every[0][after + 1 :]
    assert told(every[0])["status"] == "completed"


def test_it_runs_on_when_nobody_reads(gateway: Gateway) -> None:
    identity = begin(gateway.http, f"Remember the word fig. {SLOW}", 9, background=True)[0]["response"]["id"]
    done = ended(gateway.http, identity)
    assert (done["status"], text_of(done)[-6:]) == ("completed", "word60")
    assert gateway.session(done["conversation_id"])["turns"] == 1


def test_its_events_are_written_many_at_a_time(gateway: Gateway) -> None:
    identity = background(gateway, "[[offline: words 200]] [[offline: pace 0.01]]")["id"]
    seen = events(gateway.http, identity)
    written = batches(gateway, identity)
    assert [event for batch in written for event in batch] == seen
    deltas = [event for event in seen if event["type"] == "response.output_text.delta"]
    assert len(deltas) > 100
    assert len(written) < len(deltas) / 4


def test_what_runs_in_the_foreground_has_no_events_to_come_back_to(gateway: Gateway) -> None:
    identity = respond(gateway.http, "Hello")["id"]
    refused(gateway.http.get(f"/v1/responses/{identity}?stream=true"), 400, "invalid_request")
    refused(gateway.http.post(f"/v1/responses/{identity}/cancel"), 400, "invalid_request")
    refused(send(gateway.http, "Hello", background=True, store=False), 400, "invalid_request")


# It is ended


def test_one_that_runs_is_cancelled_and_its_process_goes_on(gateway: Gateway, model: Model) -> None:
    first = respond(gateway.http, "Remember the word kept.")
    name = first["conversation_id"]
    pid = gateway.pid(name)
    identity = running(gateway, f"bg-cut {ENDLESS}", previous_response_id=first["id"])["id"]
    gone = cancel(gateway.http, identity)
    assert (gone["status"], gone["output"], gone["usage"]) == ("cancelled", [], None)
    assert cancel(gateway.http, identity) == get(gateway.http, identity) == gone
    seen = events(gateway.http, identity)
    assert told(seen) == gone
    assert [event["type"] for event in seen[-2:]] == ["error", "response.failed"]
    refused(send(gateway.http, "On", previous_response_id=identity), 400, "previous_response_not_found")
    follow = send(gateway.http, "bg-uncut: What word should you remember?", previous_response_id=first["id"])
    assert ("kept" in text_of(whole(follow)), follow.headers["X-Session-Start"]) == (True, "live")
    assert (whole(follow)["conversation_id"], gateway.pid(name)) == (name, pid)
    assert "bg-cut" not in str(model.dialogue("bg-uncut"))


def test_one_that_waits_is_cancelled_and_never_sent(gateway: Gateway, model: Model) -> None:
    first = background(gateway, f"Remember the word one. {SLOW}", conversation_id="bg-waits")
    second = background(gateway, "bg-never: remember the word two.", conversation_id="bg-waits")
    third = background(gateway, "bg-third: List everything?", conversation_id="bg-waits")
    assert get(gateway.http, second["id"])["status"] == "queued"
    gone = cancel(gateway.http, second["id"])
    assert gone["status"] == "cancelled"
    assert told(events(gateway.http, second["id"])) == gone
    assert text_of(ended(gateway.http, first["id"])).endswith("word60")
    assert text_of(ended(gateway.http, third["id"])) == "You asked me to remember: one."
    assert model.asked("bg-never") == []
    assert gateway.session("bg-waits")["turns"] == 2


def test_one_that_is_over_stays_as_it_is(gateway: Gateway) -> None:
    done = ended(gateway.http, background(gateway, "Remember the word done.")["id"])
    assert cancel(gateway.http, done["id"]) == done
    refused(gateway.http.post(f"/v1/responses/resp_{'0' * 32}/cancel"), 404, "response_not_found")


def test_one_that_runs_is_deleted_and_leaves_nothing(gateway: Gateway, model: Model) -> None:
    respond(gateway.http, "Remember the word kept.", conversation_id="bg-deleted")
    identity = running(gateway, f"bg-gone {ENDLESS}", conversation_id="bg-deleted")["id"]
    with gateway.http.stream("GET", f"/v1/responses/{identity}", params={"stream": "true"}) as read:
        coming = frames(read.iter_lines())
        assert next(coming)["type"] == "response.created"
        answer = gateway.http.delete(f"/v1/responses/{identity}")
        assert answer.json() == {"id": identity, "object": "response", "deleted": True}
        assert list(coming)[-1]["type"] == "response.failed"
    for method, path in (("GET", ""), ("GET", "?stream=true"), ("DELETE", ""), ("POST", "/cancel")):
        refused(gateway.http.request(method, f"/v1/responses/{identity}{path}"), 404, "response_not_found")
    assert batches(gateway, identity) == []
    follow = respond(gateway.http, "bg-left: What word should you remember?", conversation_id="bg-deleted")
    assert "kept" in text_of(follow)
    assert "bg-gone" not in str(model.dialogue("bg-left"))


def test_its_conversation_is_deleted_while_it_runs(gateway: Gateway) -> None:
    identity = running(gateway, ENDLESS, conversation_id="bg-no-more")["id"]
    with ThreadPoolExecutor(1) as pool:
        reader = pool.submit(events, gateway.http, identity)
        assert gateway.http.delete("/v1/conversations/bg-no-more").status_code == 200
        reader.result(timeout=10)
    refused(gateway.http.get(f"/v1/responses/{identity}"), 404, "response_not_found")


# Tools


@pytest.mark.parametrize("answers_in_the_background", [True, False])
def test_its_calls_are_answered(gateway: Gateway, answers_in_the_background: bool) -> None:
    asked = 'Go. [[offline: call get_weather {"city": "Rome"}]] [[offline: call get_weather {"city": "Oslo"}]]'
    called = ended(gateway.http, background(gateway, asked, tools=[WEATHER])["id"])
    assert called["status"] == "completed"
    calls = calls_of(called)
    assert [json.loads(call["arguments"]) for call in calls] == [{"city": "Rome"}, {"city": "Oslo"}]
    assert same(told(events(gateway.http, called["id"])), called)
    pid = gateway.pid(called["conversation_id"])
    results = [output(calls[0], "sunny"), output(calls[1], "snow")]
    more = {"tools": [WEATHER], "previous_response_id": called["id"]}
    if answers_in_the_background:
        done = ended(gateway.http, background(gateway, results, **more)["id"])
    else:
        answer = send(gateway.http, results, **more)
        assert answer.headers["X-Session-Start"] == "live"
        done = whole(answer)
    assert text_of(done) == "The tool answered: sunny; snow"
    assert gateway.pid(done["conversation_id"]) == pid


def test_a_missing_result_is_refused_at_once_and_leaves_nothing(gateway: Gateway) -> None:
    asked = 'Go. [[offline: call get_weather {"city": "Rome"}]]'
    called = ended(gateway.http, background(gateway, asked, tools=[WEATHER])["id"])
    unknown = {"type": "function_call_output", "call_id": "toolu_none", "output": "snow"}
    more = {"tools": [WEATHER], "previous_response_id": called["id"], "background": True}
    answer = send(gateway.http, [unknown], **more)
    refused(answer, 400, "invalid_request")
    assert answer.json()["error"]["param"].startswith("input")
    name = called["conversation_id"]
    eventually(lambda: stored_responses(gateway, name) == [called["id"]])
    done = respond(gateway.http, [output(calls_of(called)[0], "sunny")], **{**more, "background": False})
    assert text_of(done) == "The tool answered: sunny"


# Refused, or asked for twice


def test_a_full_queue_refuses_it_and_keeps_nothing(start_gateway: Start, model: Model) -> None:
    gateway = start_gateway({"claude__max_queued_turns": 1})
    first = running(gateway, SLOW, conversation_id="full")
    second = background(gateway, "bg-second", conversation_id="full")
    answer = send(gateway.http, "bg-full", conversation_id="full", background=True)
    refused(answer, 429, "conversation_busy")
    assert int(answer.headers["Retry-After"]) >= 1
    assert {ended(gateway.http, one["id"])["status"] for one in (first, second)} == {"completed"}
    assert model.asked("bg-full") == []
    eventually(lambda: stored_responses(gateway, "full") == [first["id"], second["id"]])


def test_no_room_refuses_it_and_keeps_nothing(start_gateway: Start, model: Model) -> None:
    gateway = start_gateway({"claude__max_concurrent_sessions": 1, "claude__max_waiting": 0})
    first = running(gateway, SLOW, conversation_id="room")
    places: tuple[dict[str, Any], ...] = ({"conversation_id": "no-room"}, {})
    for more in places:
        answer = send(gateway.http, "bg-no-room", background=True, **more)
        refused(answer, 429, "capacity_exceeded")
        assert int(answer.headers["Retry-After"]) >= 1
    assert ended(gateway.http, first["id"])["status"] == "completed"
    assert model.asked("bg-no-room") == []
    assert [one["id"] for one in gateway.http.get("/v1/sessions").json()["data"]] == ["room"]
    refused(gateway.http.get("/v1/conversations/no-room"), 404, "conversation_not_found")
    assert stored(gateway, "select conversation_id, kept from conversation") == [("room", 1)]


def test_one_key_is_one_response(gateway: Gateway, model: Model) -> None:
    key = {"Idempotency-Key": "bg-key"}
    said = f"bg-once: remember the word once. {SLOW}"
    accepted = background(gateway, said, headers=key)
    assert whole(send(gateway.http, said, background=True, headers=key))["id"] == accepted["id"]
    refused(send(gateway.http, "other", background=True, headers=key), 422, "idempotency_key_reused")
    done = ended(gateway.http, accepted["id"])
    assert whole(send(gateway.http, said, background=True, headers=key)) == done
    assert len(model.asked("bg-once")) == 1
    assert same(told(events(gateway.http, done["id"])), done)


def test_the_key_of_one_that_was_cancelled_is_free(gateway: Gateway) -> None:
    key = {"Idempotency-Key": "bg-free"}
    first = background(gateway, ENDLESS, headers=key)
    cancel(gateway.http, first["id"])
    second = background(gateway, ENDLESS, headers=key)
    assert second["id"] != first["id"]
    assert cancel(gateway.http, second["id"])["status"] == "cancelled"


def stored(gateway: Gateway, statement: str, *values: str) -> list[Any]:
    """What a statement finds on the disk."""
    database = sqlite3.connect(gateway.data / "default" / "conversations.db")
    try:
        return database.execute(statement, values).fetchall()
    finally:
        database.close()


def batches(gateway: Gateway, identity: str) -> list[list[dict[str, Any]]]:
    """A response's events, as they were written."""
    statement = "select events from response_event where turn_id = ? order by first"
    return [json.loads(events) for (events,) in stored(gateway, statement, turn_of(identity) or "")]


def stored_responses(gateway: Gateway, name: str) -> list[str]:
    """The ids of a conversation's responses, in their order."""
    statement = (
        "select turn_id from response join conversation on conversation_key = key "
        "where conversation_id = ? order by response.created_at"
    )
    return [response_id(turn) for (turn,) in stored(gateway, statement, name)]
