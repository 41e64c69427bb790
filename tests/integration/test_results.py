"""What a client may send after calls: results that do not fit, other tools, and the same request again."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from dataclasses import replace

import httpx
import pytest

from claude_code_api.offline import mind
from claude_code_api.offline import server as offline_server
from tests.chat import (
    PREFIX,
    TIME,
    TOOLS,
    WEATHER,
    Json,
    Tap,
    call,
    offered,
    read,
    result,
    say,
    send,
    shown,
    tool,
    user,
)
from tests.conftest import Model
from tests.gateway import Gateway, eventually
from tests.integration.test_idempotency import _mark_undelivered

Start = Callable[..., Gateway]
BOTH = call("Rome") + call("Oslo")


# Results that do not fit


def test_results_that_do_not_fit_are_refused_and_the_calls_still_wait(gateway: Gateway) -> None:
    asked = say(gateway, BOTH, "misfit", tools=TOOLS)
    pid = gateway.pid("misfit")
    rome, oslo = asked.calls
    sun, rain = asked.results("sun", "rain")
    history = [user(BOTH), asked.message]
    misfits: list[tuple[list[Json], str]] = [
        ([sun], oslo),
        ([rain], rome),
        ([sun, rain, result("toolu_other", "x")], "toolu_other"),
        ([result("toolu_other", "x")], "toolu_other"),
        ([sun, rain, sun], rome),
        ([sun, user("Go on.")], oslo),
        ([*history, sun], oslo),
        ([*history, sun, rain, rain], oslo),
        ([*history, sun, rain, result("toolu_other", "x")], "toolu_other"),
        ([*history, user("Go on.")], rome),
    ]
    for stream in (False, True):
        for messages, named in misfits:
            refused = send(gateway, messages, conversation_id="misfit", tools=TOOLS, stream=stream)
            assert refused.status_code == 400, (messages, refused.text)
            assert refused.json()["error"]["code"] == "invalid_request"
            assert named in refused.json()["error"]["message"], messages
            session = gateway.session("misfit")
            assert (session["state"], session["pid"], session["turns"]) == ("parked", pid, 1)
    told = say(gateway, [rain, sun], "misfit", tools=TOOLS)
    assert (told.text, told.start) == ("The tool answered: sun; rain", "live")
    late = send(gateway, [sun, rain], conversation_id="misfit", tools=TOOLS)
    assert (late.status_code, rome in late.json()["error"]["message"]) == (400, True)
    assert gateway.session("misfit")["state"] == "idle"
    assert gateway.pid("misfit") == pid


@pytest.mark.parametrize("length", [50_001, 499_000])
def test_a_long_result_reaches_the_model_whole(gateway: Gateway, model: Model, length: int) -> None:
    name = f"long-{length}"
    for lost in (False, True):
        asked = say(gateway, call("Rome"), name, tools=TOOLS)
        text = "".join(f"{number:07} " for number in range(length // 8 + 1))[: length - 1] + "."
        tap = Tap(model)
        if lost:
            assert gateway.http.post(f"/v1/sessions/{name}/hibernate").status_code == 200
        told = say(gateway, asked.results(text), name, tools=TOOLS)
        assert shown(tap.only())[-1] == ("result", asked.calls[0], text)
        assert (told.text, told.start) == (f"The tool answered: {text}", "resumed" if lost else "live")


# Tools


def test_tools_that_change_between_turns_are_offered_at_once(gateway: Gateway, model: Model) -> None:
    other = tool("get_weather", "Tells the weather of a city.", city="string")
    wider = tool("get_weather", "Tells the weather of a city.", city="string", days="integer")
    # Each list, and whether the process can go on with it: the CLI adds tools, and keeps those that it has.
    lists = [([], True), ([WEATHER], True), (TOOLS, True), (TOOLS[::-1], True), ([TIME], False), (TOOLS, True)]
    lists += [([TIME, other], False), ([TIME, wider], False), ([wider], False), ([wider, TIME], True)]
    tap = Tap(model)
    say(gateway, "Remember the word kiwi.", "changing")
    pid = gateway.pid("changing")
    for number, (tools, goes_on) in enumerate(lists):
        tap.take()
        answer = say(gateway, f"Turn {number}: what word should you remember?", "changing", tools=tools)
        assert "kiwi" in answer.text
        assert described(tap.only()) == {one["function"]["name"]: one["function"] for one in tools}
        assert (gateway.pid("changing") == pid, answer.start) == (goes_on, "live" if goes_on else "resumed"), number
        pid = gateway.pid("changing")


def described(body: Json) -> dict[str, Json]:
    """The client's tools as the model is offered them, in the form in which a client says them."""
    tools = {one["name"].removeprefix(PREFIX): one for one in body["tools"] if one["name"].startswith(PREFIX)}
    return {
        name: {"name": name, "description": one["description"], "parameters": one["input_schema"]}
        for name, one in tools.items()
    }


def test_tools_may_change_while_calls_wait(gateway: Gateway, model: Model) -> None:
    tap = Tap(model)
    for tools, start in (([WEATHER, TIME], "live"), ([WEATHER], "resumed"), ([TIME], "resumed")):
        asked = say(gateway, BOTH, "swapped", tools=[WEATHER] if start == "live" else TOOLS)
        tap.take()
        told = say(gateway, asked.results("sun", "rain"), "swapped", tools=tools)
        assert (told.text, told.start) == ("The tool answered: sun; rain", start)
        assert sorted(offered(tap.only())) == sorted(one["function"]["name"] for one in tools)


@pytest.mark.parametrize("lost", [False, True])
def test_without_tools_the_old_ones_are_known_and_not_called(gateway: Gateway, model: Model, lost: bool) -> None:
    name = f"toolless-{lost}"
    asked = say(gateway, BOTH, name, tools=TOOLS)
    say(gateway, asked.results("sun", "rain"), name, tools=TOOLS)
    pid = gateway.pid(name)
    if lost:
        assert gateway.http.post(f"/v1/sessions/{name}/hibernate").status_code == 200
    tap = Tap(model)
    answer = say(gateway, f"Now {call('Lima')}", name)
    assert (answer.finish, answer.calls) == ("stop", [])
    body = tap.only()
    assert "get_weather" in offered(body)
    assert body["tool_choice"] == {"type": "none"}
    assert (gateway.pid(name) == pid) is not lost
    again = say(gateway, f"Now {call('Lima')}", name, tools=TOOLS)
    assert again.finish == "tool_calls"
    assert "tool_choice" not in tap.only()


@pytest.mark.parametrize("lost", [False, True])
def test_results_may_come_without_tools(gateway: Gateway, lost: bool) -> None:
    name = f"bare-{lost}"
    asked = say(gateway, BOTH, name, tools=TOOLS)
    if lost:
        assert gateway.http.post(f"/v1/sessions/{name}/hibernate").status_code == 200
    told = say(gateway, asked.results("sun", "rain"), name)
    assert (told.text, told.start) == ("The tool answered: sun; rain", "resumed" if lost else "live")


def test_a_hundred_and_twenty_eight_tools(gateway: Gateway, model: Model) -> None:
    tools = [
        tool(f"tool_{number:03}_{'x' * 40}", f"Does {number}. {'y' * 1000}", city="string") for number in range(128)
    ]
    names = [one["function"]["name"] for one in tools]
    tap = Tap(model)
    every = "".join(f"[[offline: call {name} {{}}]]" for name in names)
    asked = say(gateway, every, "many", tools=tools)
    assert offered(tap.only()) == {one["function"]["name"]: one["function"]["description"] for one in tools}
    assert [name for name, _ in asked.made] == names
    told = say(gateway, asked.results(*names), "many", tools=tools)
    assert told.text == "The tool answered: " + "; ".join(names)
    assert told.start == "live"


def unknown_beside(body: Json, **known: object) -> object:
    """What a model says that calls a tool which nobody offered, beside those that it was asked to call."""
    reply = _answer(body)
    if reply.stop_reason != "tool_use":
        return reply
    unknown = {"type": "tool_use", "id": f"{reply.blocks[0]['id']}_unknown", "name": "nonsense", "input": {"a": 1}}
    return replace(reply, blocks=[unknown, *reply.blocks])


_answer = mind.answer


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_of_an_unknown_tool_is_no_business_of_the_clients(
    gateway: Gateway, model: Model, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    name = f"unknown-{stream}"
    monkeypatch.setattr(offline_server, "answer", unknown_beside)
    asked = say(gateway, BOTH, name, tools=TOOLS, stream=stream)
    assert asked.made == [("get_weather", {"city": "Rome"}), ("get_weather", {"city": "Oslo"})]
    tap = Tap(model)
    told = say(gateway, asked.results("sun", "rain"), name, tools=TOOLS, stream=stream)
    assert told.text.endswith("sun; rain")
    assert told.start == "live"
    live = shown(tap.only())
    assert gateway.http.post(f"/v1/sessions/{name}/hibernate").status_code == 200
    say(gateway, "Go on.", name, tools=TOOLS)
    assert [block[:2] for block in shown(tap.only())[: len(live)]] == [block[:2] for block in live]
    messages = [user(BOTH), asked.message, *asked.results("sun", "rain"), told.message, user("And now?")]
    assert say(gateway, messages[:4] + messages[4:], name, tools=TOOLS).finish == "stop"


# Again


@pytest.mark.parametrize("stream", [False, True])
def test_who_left_during_the_answer_sends_the_results_again(
    gateway: Gateway, model: Model, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    name = f"left-results-{stream}"
    say(gateway, "Remember the word kiwi.", name, tools=TOOLS)
    asked = say(gateway, f"{BOTH}[[offline: words 100]]", name, tools=TOOLS)
    tap = Tap(model)
    monkeypatch.setattr(offline_server, "last_text", lambda body: "[[offline: pace 0.05]]")
    body = {"model": "sonnet", "conversation_id": name, "tools": TOOLS, "stream": stream}
    body["messages"] = asked.results("sun", "rain")
    with httpx.Client(base_url=gateway.url, timeout=0.8) as client:
        if stream:
            with client.stream("POST", "/v1/chat/completions", json=body) as answer:
                assert any("word9" in line for line in answer.iter_lines())
        else:
            with pytest.raises(httpx.ReadTimeout):
                client.post("/v1/chat/completions", json=body)
    eventually(lambda: gateway.session(name)["state"] in ("hibernated", "idle", "parked"), within=10)
    assert gateway.session(name)["turns"] == 2
    monkeypatch.undo()
    first = shown(tap.only())
    told = say(gateway, asked.results("sun", "rain"), name, tools=TOOLS)
    assert told.text.endswith("word100")
    assert shown(tap.only()) == first
    assert "kiwi" in say(gateway, "What word should you remember?", name, tools=TOOLS).text


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_with_calls_can_be_had_again_with_its_key(start_gateway: Start, model: Model, stream: bool) -> None:
    gateway = start_gateway()
    key = {"Idempotency-Key": "calls-1"}

    def ask() -> httpx.Response:
        text = f"[[offline: text-and-calls]]{BOTH}"
        return send(gateway, [user(text)], headers=key, conversation_id="keyed", tools=TOOLS, stream=stream)

    tap = Tap(model)
    first = ask()
    again = ask()
    assert len(tap.take()) == 1
    gateway.restart(signal.SIGKILL)
    tap = Tap(model)  # the parked process may have asked once more before the guard ended it
    restarted = ask()
    for one in (again, restarted):
        assert one.headers["Idempotent-Replayed"] == "true"
        assert (read(one).text, read(one).made, read(one).calls) == (
            read(first).text,
            read(first).made,
            read(first).calls,
        )
        assert stream or one.content == first.content
    assert tap.take() == []
    told = say(gateway, read(restarted).results("sun", "rain"), "keyed", tools=TOOLS, headers={"Idempotency-Key": "2"})
    assert told.text == "The tool answered: sun; rain"
    assert read(ask()).calls == read(first).calls


@pytest.mark.parametrize("stream", [False, True])
def test_calls_that_never_arrived_are_given_to_the_retry(start_gateway: Start, model: Model, stream: bool) -> None:
    gateway = start_gateway()
    body = json.dumps(
        {"messages": [user(BOTH)], "model": "sonnet", "conversation_id": "unseen", "tools": TOOLS, "stream": stream}
    )

    def ask() -> httpx.Response:
        headers = {"content-type": "application/json"}
        return httpx.post(f"{gateway.url}/v1/chat/completions", content=body, headers=headers, timeout=60)

    first = ask()
    _mark_undelivered(gateway, "unseen")
    gateway.restart(signal.SIGKILL)
    tap = Tap(model)
    again = ask()
    assert again.headers["Idempotent-Replayed"] == "true"
    assert (read(again).made, read(again).calls) == (read(first).made, read(first).calls)
    assert tap.take() == []
    told = say(gateway, read(again).results("sun", "rain"), "unseen", tools=TOOLS)
    assert told.text == "The tool answered: sun; rain"
    third = ask()  # its answer was delivered: this is another request with the same words
    assert "Idempotent-Replayed" not in third.headers
    assert gateway.session("unseen")["turns"] == 3
