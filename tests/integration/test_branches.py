"""Branches: what a response behind an earlier one leaves behind, and what it does not."""

from __future__ import annotations

from typing import Any

from tests.gateway import Gateway, eventually
from tests.responding import WEATHER, send, whole

Json = dict[str, Any]


def respond(gateway: Gateway, given: Any, **more: Any) -> Json:
    answer = send(gateway.http, given, **more)
    return {**whole(answer), "start": answer.headers["X-Session-Start"]}


def sessions(gateway: Gateway) -> set[str]:
    return {one["id"] for one in gateway.http.get("/v1/sessions?limit=1000").json()["data"]}


def test_a_branch_that_fails_leaves_no_conversation(gateway: Gateway) -> None:
    first = respond(gateway, "Remember the number 1.")
    respond(gateway, "Remember the number 2.", previous_response_id=first["id"])
    before = sessions(gateway)
    for wrong in ("Go on [[offline: error 400]]", [{"type": "function_call_output", "call_id": "no", "output": "x"}]):
        body = {"model": "sonnet", "input": wrong, "previous_response_id": first["id"]}
        assert gateway.http.post("/v1/responses", json=body).status_code == 400
    eventually(lambda: sessions(gateway) == before)
    branch = respond(gateway, "Which number?", previous_response_id=first["id"])
    assert branch["conversation_id"] not in before
    assert "1" in branch["output"][-1]["content"][0]["text"]


def test_what_is_told_again_behind_an_earlier_response_is_no_branch(gateway: Gateway) -> None:
    """As the Vercel AI SDK does in several steps: each behind the same response, with everything since."""
    first = respond(gateway, "Hello, branch of steps.")
    asked = [{"role": "user", "content": 'Look. [[offline: call get_weather {"city": "Rome"}]]'}]
    step = respond(gateway, asked, previous_response_id=first["id"], tools=[WEATHER])
    (call,) = [item for item in step["output"] if item["type"] == "function_call"]
    output = {"type": "function_call_output", "call_id": call["call_id"], "output": "Sunny in Rome."}
    done = respond(gateway, [*asked, call, output], previous_response_id=first["id"], tools=[WEATHER])
    assert "Sunny in Rome." in done["output"][-1]["content"][0]["text"]
    assert (done["start"], done["conversation_id"]) == ("live", first["conversation_id"])


def test_a_conversation_with_a_name_is_not_found_by_its_history(gateway: Gateway) -> None:
    first = respond(gateway, "Remember the word heron.", conversation_id="mine-alone")
    second = respond(gateway, "And the word otter.", previous_response_id=first["id"])
    history = [
        {"role": "user", "content": "Remember the word heron."},
        {"role": "assistant", "content": first["output"][-1]["content"]},
        {"role": "user", "content": "And the word otter."},
        {"role": "assistant", "content": second["output"][-1]["content"]},
        {"role": "user", "content": "Which words?"},
    ]
    other = respond(gateway, history)
    assert second["conversation_id"] == "mine-alone"
    assert other["conversation_id"] != "mine-alone"
