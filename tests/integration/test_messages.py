"""The Messages API on live processes: who sends everything again stays on one, and options reach the model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.anthropic_strict import events_of, folded, message, refused
from tests.chat import Tap, offered, shown
from tests.conftest import Model
from tests.gateway import Gateway, text_of
from tests.messages import WEATHER, Json, Window, say, send, text, user, without_thinking

THINK = {"thinking": {"type": "adaptive"}}
REMINDER = "<system-reminder>\nTokens left: 5\n</system-reminder>"


def call(city: str) -> str:
    return f'[[offline: call get_weather {{"city": "{city}"}}]]'


@pytest.mark.parametrize("stream", [False, True])
def test_who_sends_everything_again_stays_on_one_process(gateway: Gateway, model: Model, stream: bool) -> None:
    chat, tap = Window(gateway, {"system": "You are terse.", "tools": [WEATHER], "stream": stream, **THINK}), Tap(model)
    first = chat.say(f"Think. messages-live-{stream}")
    assert [block["type"] for block in first.message["content"]] == ["thinking", "text"]
    assert first.message["content"][0]["signature"] == "offline"
    asked = chat.say(f"Think. {call('Oslo')}")
    assert [block["type"] for block in asked.message["content"]] == ["thinking", "tool_use"]
    assert (asked.message["stop_reason"], asked.calls[0]["input"]) == ("tool_use", {"city": "Oslo"})
    assert gateway.session(first.name)["state"] == "parked"
    answered = chat.add(asked.results("7 degrees"))
    assert answered.text == "The tool answered: 7 degrees"
    last = chat.say("What did you just say?")
    assert [one.start for one in (first, asked, answered, last)] == ["cold", "live", "live", "live"]
    assert {one.name for one in (first, asked, answered, last)} == {first.name}
    body = tap.take()[-1]
    assert [block[0] for block in shown(body)].count("thinking") >= 2
    assert [block[0] for block in shown(body) if block[0] in ("call", "result")] == ["call", "result"]


def test_thinking_may_be_dropped_and_marks_for_the_cache_may_move(gateway: Gateway) -> None:
    chat = Window(gateway, dict(THINK))
    first = chat.say("Think of messages-drop.")
    chat.messages = without_thinking(chat.messages)
    chat.messages[0] = user(text("Think of messages-drop.", cache_control={"type": "ephemeral"}))
    second = chat.say("Think again.")
    assert (second.name, second.start) == (first.name, "live")


def test_results_with_a_reminder_go_to_the_process_that_waits(gateway: Gateway, model: Model) -> None:
    chat, tap = Window(gateway, {"tools": [WEATHER]}), Tap(model)
    asked = chat.say(f"messages-reminder {call('Oslo')}")
    results = asked.results([text("7 degrees")])
    results["content"].append(text(REMINDER))
    answered = chat.add(results)
    assert (answered.name, answered.start) == (asked.name, "live")
    assert "Tokens left: 5" in str(tap.take()[-1]["messages"][-1])
    again = chat.say("Thanks.")
    assert (again.name, again.start) == (asked.name, "live")


def test_results_with_words_go_on_in_another_process(gateway: Gateway, model: Model) -> None:
    chat, tap = Window(gateway, {"tools": [WEATHER]}), Tap(model)
    asked = chat.say(f"messages-words {call('Oslo')}")
    results = asked.results("7 degrees")
    results["content"].append(text("And what is your model?"))
    answered = chat.add(results)
    assert (answered.name, answered.start) == (asked.name, "resumed")
    assert shown(tap.take()[-1])[-2:] == [
        ("result", asked.calls[0]["id"], "7 degrees"),
        ("user", "And what is your model?"),
    ]


def test_a_failed_result_is_told_as_one(gateway: Gateway, model: Model) -> None:
    chat, tap = Window(gateway, {"tools": [WEATHER]}), Tap(model)
    asked = chat.say(f"messages-failed {call('Oslo')}")
    results = asked.results("no such city")
    results["content"][0]["is_error"] = True
    chat.add(results)
    (block,) = [
        block
        for one in tap.take()[-1]["messages"]
        for block in one["content"]
        if isinstance(block, dict) and block["type"] == "tool_result"
    ]
    assert (block["is_error"], "no such city" in str(block["content"])) == (True, True)


def test_tools_that_are_loaded_later_come_to_the_live_process(gateway: Gateway, model: Model) -> None:
    search = {"name": "ToolSearch", "description": "Finds tools.", "input_schema": {"type": "object"}}
    tools = [search, {**WEATHER, "defer_loading": True}]
    chat, tap = Window(gateway, {"tools": tools}), Tap(model)
    asked = chat.say("messages-deferred [[offline: call ToolSearch]]")
    assert set(offered(tap.only())) == {"ToolSearch"}
    results = asked.results([{"type": "tool_reference", "tool_name": "get_weather"}])
    results["content"].append(text("Tool loaded."))
    answered = chat.add(results)
    assert set(offered(tap.only())) == {"ToolSearch", "get_weather"}
    assert (answered.name, answered.start) == (asked.name, "live")
    assert chat.say(call("Rome")).calls[0]["input"] == {"city": "Rome"}


def test_system_messages_are_instructions_or_stand_where_they_are(gateway: Gateway, model: Model) -> None:
    tap = Tap(model)
    chat = Window(
        gateway, {"system": "You are terse."}, [user("messages-system"), {"role": "system", "content": "Env."}]
    )
    first = chat.add()
    chat.messages[1] = {"role": "system", "content": [text("Env.", cache_control={"type": "ephemeral"})]}
    second = chat.add(user("Go on."), {"role": "system", "content": "Be brief."})
    third = chat.say("And on.")
    assert [one.start for one in (first, second, third)] == ["cold", "live", "live"]
    bodies = tap.take()
    assert all("You are terse.\n\nEnv." in str(body["system"]).replace("\\n", "\n") for body in bodies)
    assert "Be brief." in str(bodies[-1]["messages"])


def test_a_named_conversation_takes_new_messages_alone(gateway: Gateway) -> None:
    say(gateway, user("Remember the word heron."), conversation_id="messages-named", system="You are terse.")
    again = say(gateway, user("Which word did I ask you to remember?"), headers={"X-Conversation-ID": "messages-named"})
    assert (again.start, "heron" in again.text) == ("live", True)
    asked = say(gateway, user(call("Oslo")), conversation_id="messages-named", tools=[WEATHER])
    given = say(gateway, asked.results("7 degrees"), conversation_id="messages-named", tools=[WEATHER])
    assert (given.start, given.text) == ("live", "The tool answered: 7 degrees")
    assert text_of(gateway.ask("What did you just say?", "messages-named")).endswith("7 degrees")


def test_options_reach_the_model(gateway: Gateway, model: Model) -> None:
    tap = Tap(model)

    def asked(**more: Any) -> Json:
        say(gateway, user("Hi"), conversation_id="messages-options", **more)
        return tap.take()[-1]

    plain = asked()
    assert ("thinking" in plain, plain["max_tokens"]) == (False, 4096)
    shown = asked(thinking={"type": "adaptive", "display": "summarized"}, output_config={"effort": "low"})
    assert shown["thinking"] == {"type": "adaptive", "display": "summarized"}
    assert shown["output_config"]["effort"] == "low"
    later = asked(thinking={"type": "adaptive"}, stop_sequences=["END"])
    assert (later["thinking"]["display"] == "summarized", later["stop_sequences"]) == (False, ["END"])
    assert gateway.session("messages-options")["turns"] == 3


@pytest.mark.parametrize("stream", [False, True])
def test_the_words_of_thinking_can_be_left_out(gateway: Gateway, stream: bool) -> None:
    chat = Window(gateway, {"thinking": {"type": "adaptive", "display": "omitted"}, "stream": stream})
    first = chat.say(f"Think. messages-omitted-{stream}")
    assert first.message["content"][0] == {"type": "thinking", "thinking": "", "signature": "offline"}
    assert chat.say("Think again.").start == "live"


def test_a_budget_reaches_a_model_that_takes_one(gateway: Gateway, model: Model) -> None:
    tap = Tap(model)
    budget = {"type": "enabled", "budget_tokens": 2048}
    say(gateway, user("Hi"), model="claude-sonnet-4-5", thinking=budget, max_tokens=8000)
    assert tap.take()[-1]["thinking"].items() >= budget.items()


@pytest.mark.parametrize("stream", [False, True])
def test_how_an_answer_ends(gateway: Gateway, stream: bool) -> None:
    def ending(words: str, **more: Any) -> tuple[str, str | None]:
        told = say(gateway, user(words), stream=stream, **more).message
        return told["stop_reason"], told["stop_sequence"]

    assert ending("[[offline: words 50]]", max_tokens=10) == ("max_tokens", None)
    assert ending("[[offline: words 50]]", stop_sequences=["zzz", "word7 "]) == ("stop_sequence", "word7 ")
    assert ending("Hi") == ("end_turn", None)


@pytest.mark.parametrize("stream", [False, True])
def test_a_model_that_declines(gateway: Gateway, stream: bool) -> None:
    chat = Window(gateway, {"stream": stream})
    chat.say(f"messages-refusal-{stream}")
    declined = chat.say("[[offline: refuse]]")
    told = declined.message
    assert (told["stop_reason"], told["stop_details"]["type"]) == ("refusal", "refusal")
    del chat.messages[-2:]
    assert chat.say("Go on.").start == "live", "it is no part of the conversation"


def test_a_structured_answer(gateway: Gateway) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    asked = {"output_config": {"format": {"type": "json_schema", "schema": schema}}}
    for stream in (False, True):
        told = say(gateway, user('The city is "Oslo".'), stream=stream, **asked)
        assert told.text.replace(" ", "") == '{"city":"Oslo"}'
    declined = say(gateway, user("[[offline: prose]] Hi"), **asked)
    assert (declined.message["stop_reason"], bool(declined.text)) == ("refusal", True)


def test_a_retry_with_a_key_gets_the_same_message(gateway: Gateway) -> None:
    def ask(stream: bool) -> httpx.Response:
        key = {"Idempotency-Key": f"messages-once-{stream}"}
        words = user(f"Think. [[offline: words 9]] {stream}")
        return send(gateway, words, headers=key, stream=stream, stop_sequences=["word5"], **THINK)

    first, second = ask(False), ask(False)
    assert (message(first), second.headers["Idempotent-Replayed"]) == (message(second), "true")
    assert message(second)["stop_sequence"] == "word5"
    assert [block["type"] for block in message(second)["content"]] == ["thinking", "text"]
    assert folded(events_of(ask(True).text)) == folded(events_of(ask(True).text))


def test_a_stream_that_breaks_says_so(gateway: Gateway) -> None:
    response = send(gateway, user("[[offline: overloaded]] [[offline: words 30]]"), stream=True)
    events = events_of(response.text)
    assert events[-1]["type"] == "error"
    assert events[-1]["error"]["type"] == "api_error"
    assert events[-1]["request_id"] == response.headers["request-id"]


def test_a_silent_stream_pings(start_gateway: Callable[..., Gateway]) -> None:
    gateway = start_gateway({"server__heartbeat_seconds": 0.2})
    response = send(gateway, user("[[offline: delay 1.5]]"), stream=True)
    events = events_of(response.text)
    assert [event["type"] for event in events].count("ping") >= 3
    assert ": keep-alive" not in response.text


def test_counting(gateway: Gateway) -> None:
    body = {"model": "sonnet", "messages": [user("Hello.")]}

    def count(**more: Any) -> int:
        answer = gateway.http.post("/v1/messages/count_tokens?beta=true", json={**body, **more})
        assert answer.status_code == 200, answer.text
        assert set(answer.json()) == {"input_tokens"}
        tokens: int = answer.json()["input_tokens"]
        return tokens

    bare = count()
    assert 0 < bare < count(messages=[user("Hello. " * 100)])
    assert bare < count(system="You are very, very terse.") < count(system="You are terse.", tools=[WEATHER])
    refusal = gateway.http.post("/v1/messages/count_tokens", json={"model": "sonnet", "messages": []})
    assert refused(refusal, 400, "invalid_request_error").startswith("messages: ")


def test_an_agents_own_calls_are_not_the_clients(gateway: Gateway) -> None:
    ask = user('[[offline: text-and-calls]] [[offline: call Bash {"command": "echo hello"}]]')
    plain = say(gateway, ask, model="agent/sonnet")
    assert [block["type"] for block in plain.message["content"]] == ["text", "text"]
    assert plain.message["stop_reason"] == "end_turn"
    assert plain.response.headers["X-Ignored-Params"] == "max_tokens"
    for stream in (False, True):
        told = say(gateway, ask, model="agent/sonnet", stream=stream, **THINK)
        lines = [block["thinking"] for block in told.message["content"] if block["type"] == "thinking"]
        assert "Bash: echo hello" in lines
        named = {"conversation_id": told.name, "model": "agent/sonnet"}
        again = say(gateway, ask, told.turn, user("Go on."), **named)
        assert again.start == "live"


def test_errors_come_in_anthropics_envelope(gateway: Gateway) -> None:
    def posted(path: str = "/v1/messages", **more: Any) -> httpx.Response:
        return gateway.http.post(path, **more)

    body = {"model": "sonnet", "max_tokens": 10, "messages": [user("Hi")]}
    assert refused(posted(json={}), 400, "invalid_request_error") == "model: Field required."
    assert "messages.0.role" in refused(
        posted(json={**body, "messages": [{"role": "tool", "content": "x"}]}), 400, "invalid_request_error"
    )
    assert "not valid JSON" in refused(
        posted(content=b"{", headers={"content-type": "application/json"}), 400, "invalid_request_error"
    )
    assert refused(posted(content=b"x"), 415, "invalid_request_error")
    assert refused(gateway.http.get("/v1/messages"), 405, "invalid_request_error")
    assert "/v1/messages/batches here" in refused(posted("/v1/messages/batches", json=body), 404, "not_found_error")
    assert refused(posted(json=body, headers={"origin": "https://evil.example"}), 403, "permission_error")
    assert refused(posted(json=body, headers={"host": "evil.example"}), 403, "permission_error")
    assert refused(send(gateway, user("[[offline: error 403]]")), 403, "permission_error")
    overloaded = send(gateway, user("[[offline: error 529]]"))
    assert refused(overloaded, 529, "overloaded_error")
    assert int(overloaded.headers["retry-after"]) >= 1
    asked = posted(json={**body, "thread": {"type": "create"}})
    refused(asked, 400, "invalid_request_error")
    assert asked.json()["error"]["details"] == {"error_code": "thread_unsupported_request"}
    chat = posted("/v1/chat/completions", json={})
    assert set(chat.json()["error"]) == {"message", "type", "param", "code"}
    assert "request-id" not in chat.headers


def test_a_body_that_is_too_large(start_gateway: Callable[..., Gateway]) -> None:
    gateway = start_gateway({"server__max_body_bytes": 1024})
    assert "max_body_bytes" in refused(send(gateway, user("x" * 2000)), 413, "request_too_large")


def test_without_a_key_nobody_gets_in(start_gateway: Callable[..., Gateway]) -> None:
    gateway = start_gateway({"server__require_keys": True})
    response = send(gateway, user("Hi"))
    assert refused(response, 401, "authentication_error")
    assert response.headers["www-authenticate"] == "Bearer"


def test_what_a_session_asks_at_the_end_of_its_line_is_taken_back_in_place(gateway: Gateway, model: Model) -> None:
    headers = {"X-Claude-Code-Session-Id": "messages-line"}
    chat, tap = Window(gateway, {"tools": [WEATHER], "headers": headers}), Tap(model)
    first = chat.say("Remember the word heron.")
    assert first.name.startswith("messages-line:")
    aside = say(gateway, *chat.messages, user("What might the user say next?"), tools=[WEATHER], headers=headers)
    assert (aside.name, aside.start) == (first.name, "live")
    pid = gateway.pid(first.name)
    last = chat.say("Which word did I ask you to remember?")
    assert (last.name, last.start, gateway.pid(first.name)) == (first.name, "forked", pid)
    assert "What might" not in str(tap.take()[-1]["messages"])
    assert gateway.session(first.name)["turns"] == 3


def test_two_sub_agents_with_one_task_are_two_lines(gateway: Gateway) -> None:
    answers = [
        say(
            gateway,
            user("Look around."),
            tools=[WEATHER],
            headers={"X-Claude-Code-Session-Id": "messages-agents", "X-Claude-Code-Agent-Id": agent},
        )
        for agent in ("a1", "a2", "a1")
    ]
    assert [one.name == answers[0].name for one in answers] == [True, False, True]
