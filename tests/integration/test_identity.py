"""Products name their conversations in their own ways; what they ask beside one is answered apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from tests.chat import Json, Tap, Window, read, say, send, shown, user
from tests.conftest import Model
from tests.gateway import Gateway, eventually
from tests.integration.test_keys import Guarded

Start = Callable[..., Gateway]


def _in_header(header: str, name: str) -> Json:
    return {"headers": {header: name}}


WAYS: dict[str, Callable[[str], Json]] = {
    **{
        header: partial(_in_header, header)
        for header in (
            "X-OpenWebUI-Chat-Id",
            "x-litellm-session-id",
            "x-claude-code-session-id",
            "session-id",
            "X-Session-Id",
        )
    },
    "metadata": lambda name: {"metadata": {"session_id": name}},
}
CHAT = "x-openwebui-chat-id"
TITLE = """### Task:
Generate a concise, 3-5 word title with an emoji summarizing the chat history.
### Chat History:
<chat_history>
USER: Remember the word kiwi.
ASSISTANT: I will remember: word kiwi.
</chat_history>"""
TAGS = TITLE.replace("a concise, 3-5 word title with an emoji", "1-3 broad tags")


def sessions(gateway: Gateway) -> set[str]:
    return {one["id"] for one in gateway.http.get("/v1/sessions?limit=1000").json()["data"]}


@pytest.mark.parametrize("way", WAYS)
def test_a_products_conversation_goes_on(gateway: Gateway, model: Model, way: str) -> None:
    name = f"product-{way}"
    chat, tap = Window(gateway, options=WAYS[way](name)), Tap(model)
    answers = [chat.say(f"{way}: remember the word w{turn}.") for turn in range(2)]
    pid = gateway.pid(name)
    answers.append(chat.say("List everything?"))
    assert answers[-1].text == "You asked me to remember: w0, w1."
    assert gateway.http.post(f"/v1/sessions/{name}/hibernate").status_code == 200
    answers.append(chat.say("List everything?"))
    assert [answer.name for answer in answers] == [name] * 4
    assert [answer.start for answer in answers] == ["cold", "live", "live", "resumed"]
    assert len(tap.take()) == 4
    assert gateway.pid(name) != pid
    assert gateway.session(name)["turns"] == 4


@pytest.mark.parametrize("way", ["X-Session-Id", "metadata"])
def test_a_product_sends_the_whole_history(gateway: Gateway, model: Model, way: str) -> None:
    name = f"afresh-{way}"
    say(gateway, "Remember the word kiwi.", **WAYS[way](name))
    tap = Tap(model)
    answer = say(gateway, "What word should you remember?", **WAYS[way](name))
    assert (answer.name, answer.start) == (name, "forked")
    assert shown(tap.only()) == [("user", "What word should you remember?")]


@pytest.mark.parametrize("given", ["chat/17 of Ada", "a" * 300, "..", '{"id": 1}'])
@pytest.mark.parametrize("way", ["X-OpenWebUI-Chat-Id", "metadata"])
def test_an_odd_id_is_an_id(gateway: Gateway, way: str, given: str) -> None:
    chat = Window(gateway, options=WAYS[way](f"{given}{way if given != '..' else ''}"))
    first, second = chat.say("Remember the word kiwi."), chat.say("What word should you remember?")
    assert first.name.startswith("sha256:")
    assert second.name == first.name
    assert "kiwi" in second.text
    assert second.start == "live" or given == ".."
    assert gateway.session(first.name)["state"] == "idle"
    other = say(gateway, "What word should you remember?", **WAYS[way](given + "!"))
    assert other.name != first.name


@pytest.mark.parametrize("more", [{"metadata": {"session_id": ""}}, {"metadata": {"session_id": 7}}, {"metadata": {}}])
def test_no_id_is_no_id(gateway: Gateway, more: Json) -> None:
    names = {say(gateway, "Hello.", headers={"x-session-id": ""}, **more).name for _ in range(2)}
    assert len(names) == 2
    assert all(name.startswith("conv_") for name in names)


def test_of_several_names_the_most_particular_counts(gateway: Gateway) -> None:
    headers = {CHAT: "rank-chat", "x-litellm-session-id": "rank-lite", "session-id": "rank-codex", "x-session-id": "r"}
    body: Json = {"metadata": {"session_id": "rank-metadata"}}

    def name(**more: Any) -> str:
        return read(send(gateway, [user("Hello.")], headers=headers, **body, **more)).name

    assert name(conversation_id="rank-own") == "rank-own"
    headers["X-Conversation-ID"] = "rank-header"
    assert name() == "rank-header"
    refused = send(gateway, [user("Hello.")], headers=headers, conversation_id="rank-own")
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "conversation_id")
    del headers["X-Conversation-ID"]
    for header, expected in list(headers.items()):
        assert name() == expected
        del headers[header]
    assert name() == "rank-metadata"


# Beside a conversation


def test_side_requests_leave_no_trace(gateway: Gateway, model: Model) -> None:
    chat, tap = Window(gateway, options={"headers": {CHAT: "beside"}}), Tap(model)
    chat.say("Remember the word kiwi.")
    pid, listed = gateway.pid("beside"), sessions(gateway)
    places = gateway.data / "default" / "sessions"
    directories = set(places.iterdir())
    for text in (TITLE, TAGS):
        for stream in (False, True):
            tap.take()
            answer = say(gateway, text, headers={CHAT: "beside"}, stream=stream)
            assert answer.finish == "stop"
            assert answer.nameless
            assert shown(tap.only()) == [("user", text)]
    eventually(lambda: sessions(gateway) == listed)
    eventually(lambda: set(places.iterdir()) == directories)
    tap.take()
    again = chat.say("What word should you remember?")
    assert (again.start, gateway.pid("beside")) == ("live", pid)
    assert shown(tap.only()) == [(one["role"], one["content"]) for one in chat.messages[:-1]]
    assert gateway.session("beside")["turns"] == 2


def test_side_requests_do_not_wait_for_the_conversations_turn(gateway: Gateway, model: Model) -> None:
    chat = Window(gateway, options={"headers": {CHAT: "beside-busy"}})
    chat.say("Remember the word kiwi.")
    pid = gateway.pid("beside-busy")
    with ThreadPoolExecutor(3) as pool:
        slow = pool.submit(chat.say, "beside-slow [[offline: words 150]] [[offline: pace 0.05]]")
        eventually(lambda: bool(model.asked("beside-slow")))
        beside = [pool.submit(say, gateway, text, headers={CHAT: "beside-busy"}) for text in (TITLE, TAGS)]
        assert all(one.result().finish == "stop" for one in beside)
        assert not slow.done()
        assert slow.result().text.endswith("word150")
    assert "kiwi" in chat.say("What word should you remember?").text
    assert (gateway.pid("beside-busy"), gateway.session("beside-busy")["turns"]) == (pid, 3)


def test_who_names_a_conversation_asks_it_whatever_the_words(gateway: Gateway) -> None:
    say(gateway, TITLE, "beside-named")
    assert gateway.session("beside-named")["turns"] == 1


# Several


def test_first_requests_of_one_product_id_share_one_process(gateway: Gateway) -> None:
    before = gateway.counter("started") + gateway.counter("resumed")
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda n: say(gateway, f"Remember the word w{n}.", headers={CHAT: "rush"}), range(6)))
    assert {answer.name for answer in answers} == {"rush"}
    assert [answer.text for answer in answers] == [f"I will remember: word w{number}." for number in range(6)]
    assert gateway.counter("started") + gateway.counter("resumed") == before + 1
    assert gateway.session("rush")["turns"] == 6


@pytest.fixture(scope="module")
def guarded(model: Model) -> Iterator[Guarded]:
    guarded = Guarded(model)
    yield guarded
    guarded.gateway.stop()


def test_tenants_never_meet_by_history_or_by_a_products_id(guarded: Guarded, model: Model) -> None:
    def ask(http: Any, messages: list[Json], **headers: str) -> Any:
        return read(http.post("/v1/chat/completions", json={"messages": messages}, headers=headers))

    first = ask(guarded.alice, [user("Remember the word kiwi.")])
    history = [user("Remember the word kiwi."), first.message, user("List everything?")]
    stranger = ask(guarded.bob, history)
    assert stranger.name != first.name
    assert stranger.start != "live"
    own = ask(guarded.colleague, history)  # another key of the same tenant
    assert (own.name, own.start) == (first.name, "live")
    tap = Tap(model)
    for http, word in ((guarded.alice, "plum"), (guarded.bob, "fig")):
        ask(http, [user(f"Remember the word {word}.")], **{CHAT: "shared-id"})
        tap.take()
        messages = [user(f"Remember the word {word}."), user("hello")]
        assert ask(http, messages, **{CHAT: "shared-id"}).name == "shared-id"
        assert word in str(shown(tap.only()))
        assert guarded.alice.get("/v1/sessions/shared-id").json()["turns"] == 2
    assert guarded.bob.get("/v1/sessions/shared-id").json()["turns"] == 2
    assert guarded.bob.get(f"/v1/sessions/{first.name}").status_code == 404
