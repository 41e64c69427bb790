"""One conversation driven through every dialect in turn: one process, one history."""

from __future__ import annotations

from typing import Any

import httpx

from tests.chat import Tap, shown
from tests.chat import result as chat_result
from tests.chat import tool as chat_tool
from tests.conftest import Model
from tests.gateway import Gateway
from tests.gateway import text_of as chat_text
from tests.integration.test_background import ENDLESS, SLOW, background, refused, running
from tests.responding import WEATHER, calls_of, ended, get, respond, send, text_of, whole

Json = dict[str, Any]
CHAT_WEATHER = chat_tool("get_weather", "Tells the weather.", city="string")


class Driver:
    """Drives one conversation, and keeps the history that the model has to be sent."""

    def __init__(self, gateway: Gateway, model: Model, name: str) -> None:
        self.gateway = gateway
        self.name = name
        self.said: list[tuple[str, ...]] = []
        self.starts: list[str] = []
        self.responses: list[str] = []
        self._tap = Tap(model)

    def chat(self, text: str) -> str:
        """A turn through chat completions."""
        return self._took(text, *_of_chat(self.gateway.ask(text, self.name)))

    def conversation(self, text: str) -> str:
        """A turn through responses, by the conversation."""
        return self._answered(text, send(self.gateway.http, text, conversation=self.name))

    def previous(self, text: str, back: int = 1) -> str:
        """A turn through responses, behind the last one."""
        return self._answered(text, send(self.gateway.http, text, previous_response_id=self.responses[-back]))

    def items(self, *texts: str) -> None:
        """Messages of the user, without a turn."""
        items = [{"role": "user", "content": text} for text in texts]
        answer = self.gateway.http.post(f"/v1/conversations/{self.name}/items", json={"items": items})
        assert answer.status_code == 200, answer.text
        self.said += [("user", text) for text in texts]

    def session(self, what: str, **body: Any) -> Json:
        """One of the session endpoints."""
        answer = self.gateway.http.post(f"/v1/sessions/{self.name}/{what}", json=body)
        assert answer.status_code in (200, 201), answer.text
        session: Json = answer.json()
        return session

    def listed(self) -> list[tuple[str, ...]]:
        """The history as the conversation's items say it."""
        answer = self.gateway.http.get(f"/v1/conversations/{self.name}/items", params={"order": "asc", "limit": 100})
        return [
            (item["role"], "".join(part["text"] for part in item["content"]))
            for item in answer.json()["data"]
            if item["type"] == "message"
        ]

    def transcribed(self) -> list[tuple[str, ...]]:
        """The history as the transcript says it."""
        turns = self.gateway.http.get(f"/v1/sessions/{self.name}/transcript").json()["data"]
        messages = [message for turn in turns for message in (turn["input"], *turn["output"])]
        return [
            (message["role"], block["text"])
            for message in messages
            for block in message["content"]
            if block["type"] == "text"
        ]

    def skip(self) -> None:
        """What the model was sent meanwhile belongs to others."""
        self._tap.take()

    def check(self) -> None:
        """Every way to look at it shows the history."""
        assert self.listed() == self.transcribed() == self.said

    def _answered(self, text: str, answer: httpx.Response) -> str:
        response = whole(answer)
        self.responses.append(response["id"])
        assert response["conversation_id"] == self.name
        return self._took(text, text_of(response), answer.headers["X-Session-Start"])

    def _took(self, text: str, said: str, start: str) -> str:
        self.said.append(("user", text))
        assert shown(self._tap.only()) == self.said
        self.said.append(("assistant", said))
        self.starts.append(start)
        return said


def _of_chat(answer: httpx.Response) -> tuple[str, str]:
    return chat_text(answer), answer.headers["X-Session-Start"]


def test_every_dialect_goes_on_on_one_process_with_one_history(gateway: Gateway, model: Model) -> None:
    drive = Driver(gateway, model, "mixed")
    drive.chat("Remember the word one.")
    pid = gateway.pid("mixed")
    drive.conversation("Remember the word two.")
    drive.previous("Remember the word three.")
    drive.items("Remember the word four.")
    drive.check()
    drive.chat("Remember the word five.")
    drive.conversation("Remember the word six.")
    drive.items("Remember the word seven.", "Remember the word eight.")
    drive.conversation("Remember the word nine.")
    drive.previous("Remember the word ten.")
    everything = "You asked me to remember: one, two, three, four, five, six, seven, eight, nine, ten."
    assert drive.chat("List everything?") == everything
    assert drive.starts == ["cold", *["live"] * 7]
    assert gateway.pid("mixed") == pid
    drive.check()
    assert gateway.session("mixed")["turns"] == 8
    assert [get(gateway.http, one)["status"] for one in drive.responses] == ["completed"] * 5


def test_it_sleeps_in_between_and_goes_on(gateway: Gateway, model: Model) -> None:
    drive = Driver(gateway, model, "mixed-asleep")
    drive.chat("Remember the word one.")
    drive.session("hibernate")
    drive.conversation("Remember the word two.")
    drive.items("Remember the word three.")
    drive.session("hibernate")
    drive.conversation("Remember the word four.")
    drive.session("hibernate")
    drive.previous("Remember the word five.")
    drive.session("hibernate")
    drive.items("Remember the word six.")
    assert drive.chat("List everything?") == "You asked me to remember: one, two, three, four, five, six."
    assert drive.starts == ["cold", *["resumed"] * 4]
    drive.check()


def test_what_is_interrupted_is_no_part_of_it(gateway: Gateway, model: Model) -> None:
    drive = Driver(gateway, model, "mixed-cut")
    drive.chat("Remember the word one.")
    pid = gateway.pid("mixed-cut")
    cut = running(gateway, f"mixed-lost {ENDLESS}", conversation="mixed-cut")
    drive.skip()
    assert drive.session("interrupt")["interrupted"] is True
    assert ended(gateway.http, cut["id"])["status"] == "cancelled"
    drive.chat("Remember the word two.")
    drive.conversation("Remember the word three.")
    assert (drive.starts, gateway.pid("mixed-cut")) == (["cold", "live", "live"], pid)
    drive.check()


def test_a_turn_waits_for_that_of_another_dialect(gateway: Gateway) -> None:
    first = background(gateway, f"Remember the word one. {SLOW}", conversation_id="mixed-wait")
    refused(gateway.http.post("/v1/sessions/mixed-wait/rewind", json={}), 409, "conversation_in_use")
    items = {"items": [{"role": "user", "content": "Remember the word no."}]}
    refused(gateway.http.post("/v1/conversations/mixed-wait/items", json=items), 409, "conversation_in_use")
    answer = send(gateway.http, "On", previous_response_id=first["id"])
    refused(answer, 409, "conversation_in_use")
    assert int(answer.headers["Retry-After"]) >= 1
    answer = gateway.ask("List everything?", "mixed-wait")
    assert (chat_text(answer), answer.headers["X-Session-Start"]) == ("You asked me to remember: one.", "live")


def test_a_call_of_one_dialect_is_answered_in_the_other(gateway: Gateway, model: Model) -> None:
    asked = 'Go. [[offline: call get_weather {"city": "Rome"}]]'
    tap = Tap(model)
    called = respond(gateway.http, asked, tools=[WEATHER], conversation_id="mixed-calls")
    pid = gateway.pid("mixed-calls")
    (call,) = calls_of(called)
    results = [chat_result(call["call_id"], "sunny")]
    body = {"model": "sonnet", "messages": results, "tools": [CHAT_WEATHER], "conversation_id": "mixed-calls"}
    answer = gateway.http.post("/v1/chat/completions", json=body)
    assert (chat_text(answer), answer.headers["X-Session-Start"]) == ("The tool answered: sunny", "live")
    body = {"model": "sonnet", "tools": [CHAT_WEATHER], "conversation_id": "mixed-calls"}
    answer = gateway.http.post(
        "/v1/chat/completions",
        json={**body, "messages": [{"role": "user", "content": asked}]},
    )
    (made,) = answer.json()["choices"][0]["message"]["tool_calls"]
    final = send(
        gateway.http,
        [{"type": "function_call_output", "call_id": made["id"], "output": "rain"}],
        tools=[WEATHER],
        conversation="mixed-calls",
    )
    assert (text_of(whole(final)), final.headers["X-Session-Start"]) == ("The tool answered: rain", "live")
    assert gateway.pid("mixed-calls") == pid
    arguments = '{"city": "Rome"}'
    assert shown(tap.take()[-1]) == [
        ("user", asked),
        ("call", call["call_id"], "get_weather", arguments),
        ("result", call["call_id"], "sunny"),
        ("assistant", "The tool answered: sunny"),
        ("user", asked),
        ("call", made["id"], "get_weather", arguments),
        ("result", made["id"], "rain"),
    ]
    kinds = [
        item["type"]
        for item in gateway.http.get("/v1/conversations/mixed-calls/items?order=asc").json()["data"]
        if item["type"] != "message"
    ]
    assert kinds == ["function_call", "function_call_output"] * 2


def test_a_rewind_takes_responses_away(gateway: Gateway, model: Model) -> None:
    drive = Driver(gateway, model, "mixed-back")
    drive.chat("Remember the word one.")
    drive.conversation("Remember the word two.")
    drive.previous("Remember the word three.")
    drive.chat("Remember the word four.")
    drive.session("rewind", turns=2)
    del drive.said[-4:]
    kept, gone = drive.responses
    assert get(gateway.http, kept)["status"] == "completed"
    for method, path in (("GET", ""), ("GET", "/input_items"), ("DELETE", "")):
        refused(gateway.http.request(method, f"/v1/responses/{gone}{path}"), 404, "response_not_found")
    refused(send(gateway.http, "On", previous_response_id=gone), 400, "previous_response_not_found")
    refused(send(gateway.http, "On", previous_response_id=gone, store=False), 400, "previous_response_not_found")
    drive.responses.pop()
    drive.previous("List everything?")
    assert drive.said[-1] == ("assistant", "You asked me to remember: one, two.")
    assert drive.starts == ["cold", *["live"] * 4]
    drive.check()


def test_a_fork_keeps_what_the_other_goes_back_from(gateway: Gateway, model: Model) -> None:
    drive = Driver(gateway, model, "mixed-fork")
    drive.chat("Remember the word one.")
    drive.conversation("Remember the word two.")
    drive.session("fork", conversation_id="mixed-forked")
    drive.previous("Remember the word three.")
    drive.session("rewind", turns=2)
    forked = Driver(gateway, model, "mixed-forked")
    forked.said = drive.said[:4]
    forked.check()
    assert forked.conversation("List everything?") == "You asked me to remember: one, two."
    assert forked.chat("List everything?") == "You asked me to remember: one, two."
    del drive.said[2:]
    drive.skip()
    assert drive.chat("List everything?") == "You asked me to remember: one."
    assert (forked.starts, drive.starts[-1]) == (["forked", "live"], "live")
    assert gateway.pid("mixed-forked") != gateway.pid("mixed-fork")
    for one in (drive, forked):
        one.check()


def test_two_responses_from_one_are_two_branches(gateway: Gateway, model: Model) -> None:
    drive = Driver(gateway, model, "mixed-branch")
    drive.chat("Remember the word trunk.")
    drive.conversation("Remember the word first.")
    drive.chat("Remember the word later.")
    branch = send(gateway.http, "branched: List everything?", previous_response_id=drive.responses[0])
    assert text_of(whole(branch)) == "You asked me to remember: trunk, first."
    name = branch.json()["conversation_id"]
    assert (name != "mixed-branch", branch.headers["X-Session-Start"]) == (True, "forked")
    assert [role for role, _ in model.dialogue("branched")] == ["user", "assistant", "user", "assistant", "user"]
    drive.skip()
    assert drive.chat("List everything?") == "You asked me to remember: trunk, first, later."
    assert drive.starts[-1] == "live"
    drive.check()
    assert gateway.ask("List everything?", name).headers["X-Session-Start"] == "live"
