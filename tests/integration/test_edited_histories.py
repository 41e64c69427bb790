"""A message that is edited or regenerated: the model sees the edited history and nothing else, on the same process."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import pytest

from tests.chat import TOOLS, Json, Tap, Window, call, shown
from tests.conftest import Model
from tests.gateway import Gateway

Start = Callable[..., Gateway]

HEADER = "x-openwebui-chat-id"


def window(gateway: Gateway, name: str, way: str) -> Window:
    """A chat window whose product names the conversation in its own way."""
    options: Json = {"conversation_id": name} if way == "id" else {"headers": {HEADER: name}}
    return Window(gateway, options=options)


def fill(chat: Window, name: str, turns: int = 5) -> None:
    for turn in range(1, turns + 1):
        chat.say(f"{name}: remember the word w{turn}.")


def sent(messages: list[Json]) -> list[tuple[str, ...]]:
    return [(message["role"], message["content"]) for message in messages]


@pytest.mark.parametrize("way", ["id", "header"])
@pytest.mark.parametrize("lost", [False, True])
def test_the_third_of_ten_messages_is_edited_and_regenerated(
    gateway: Gateway, model: Model, way: str, lost: bool
) -> None:
    name = f"edit-{way}-{lost}"
    chat, tap = window(gateway, name, way), Tap(model)

    def check(answer: Any, start: str) -> None:
        assert shown(tap.only()) == sent(chat.messages[:-1])
        assert answer.start == start

    fill(chat, name)
    assert len(chat.messages) == 10
    original = list(chat.messages)
    pid = gateway.pid(name)
    if lost:
        assert gateway.http.post(f"/v1/sessions/{name}/hibernate").status_code == 200
    tap.take()
    check(chat.edit(2, f"{name}: remember the word plum."), "forked")
    if not lost:
        assert gateway.pid(name) == pid
    pid = gateway.pid(name)
    for _ in range(3):
        check(chat.regenerate(), "forked")
    check(chat.say("List everything?"), "live")
    assert chat.messages[-1]["content"] == "You asked me to remember: w1, plum."
    check(chat.edit(2, f"{name}: remember the word fig."), "forked")
    if way == "header":  # with an id of ours, a message without a history before it appends
        check(chat.edit(0, f"{name}: remember the word first."), "forked")
    assert gateway.pid(name) == pid or lost
    chat.messages[:] = original
    check(chat.say("List everything?"), "forked")
    assert chat.messages[-1]["content"] == "You asked me to remember: w1, w2, w3, w4, w5."
    check(chat.say("List everything?"), "live")
    assert gateway.session(name)["turns"] == 5 + 1 + 3 + 1 + 1 + (way == "header") + 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("way", ["id", "header"])
def test_an_edit_outlives_the_server(start_gateway: Start, model: Model, number: signal.Signals, way: str) -> None:
    gateway = start_gateway()
    chat, tap = window(gateway, "kept", way), Tap(model)
    fill(chat, "kept", 3)
    pid = gateway.pid("kept")
    chat.edit(2, "kept: remember the word plum.")
    chat.regenerate()
    assert gateway.pid("kept") == pid
    tap.take()
    gateway.restart(number)
    answer = chat.say("List everything?")
    assert (answer.text, answer.start) == ("You asked me to remember: w1, plum.", "resumed")
    assert shown(tap.only()) == sent(chat.messages[:-1])
    gateway.restart(number)
    chat.edit(2, "kept: remember the word last.")
    assert shown(tap.only()) == sent(chat.messages[:-1])
    gateway.restart(number)
    assert chat.say("List everything?").text == "You asked me to remember: w1, last."
    assert shown(tap.only()) == sent(chat.messages[:-1])


def test_appended_turns_go_on_from_the_edit(gateway: Gateway, model: Model) -> None:
    chat, tap = window(gateway, "edit-append", "id"), Tap(model)
    fill(chat, "edit-append")
    chat.edit(4, "edit-append: remember the word plum.")
    for lost in (False, True):
        if lost:
            assert gateway.http.post("/v1/sessions/edit-append/hibernate").status_code == 200
        tap.take()
        answer = Window(gateway, options=chat.options).say("List everything?")
        assert answer.text == "You asked me to remember: w1, w2, plum."
        assert shown(tap.only())[: len(chat.messages)] == sent(chat.messages)


@pytest.mark.parametrize("lost", [False, True])
def test_a_message_before_calls_is_edited(gateway: Gateway, model: Model, lost: bool) -> None:
    name = f"edit-calls-{lost}"
    chat = window(gateway, name, "id")
    chat.options["tools"] = TOOLS
    chat.say("Remember the word kiwi.")
    asked = chat.say(call("Rome") + call("Oslo"))
    chat.add(asked.results("sun", "rain"))
    chat.say("Remember the word plum.")
    pid = gateway.pid(name)
    if lost:
        assert gateway.http.post(f"/v1/sessions/{name}/hibernate").status_code == 200
    tap = Tap(model)
    again = chat.edit(2, call("Lima"))
    assert (again.made, again.start) == ([("get_weather", {"city": "Lima"})], "forked")
    assert shown(tap.only()) == sent(chat.messages[:-1])
    assert gateway.session(name)["state"] == "parked"
    told = chat.add(again.results("fog"))
    assert (told.text, told.start) == ("The tool answered: fog", "live")
    assert shown(tap.only())[-2:] == [
        ("call", again.calls[0], "get_weather", '{"city": "Lima"}'),
        ("result", again.calls[0], "fog"),
    ]
    # With the calls open, the message that asked for them is edited: nobody waits for those any more.
    chat.edit(2, call("Bonn"))
    assert shown(tap.only()) == [*sent(chat.messages[:2]), ("user", call("Bonn"))]
    chat.edit(2, "List everything?")
    assert shown(tap.only()) == sent(chat.messages[:-1])
    assert chat.messages[-1]["content"] == "You asked me to remember: kiwi."
    assert (gateway.pid(name) == pid) is False
