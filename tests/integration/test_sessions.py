"""Conversations keep their process and their context: the guide's promises, on the real CLI."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from tests.conftest import Model
from tests.gateway import Gateway, eventually, text_of


def test_the_guides_two_requests(gateway: Gateway) -> None:
    first = gateway.ask("Hello! Remember the number 42.", "my-session-123", model="claude-3-5-sonnet-20241022")
    assert first.headers["X-Session-Start"] == "cold"
    pid = gateway.pid("my-session-123")
    second = gateway.ask("What number did I ask you to remember?", "my-session-123", model="claude-3-5-sonnet-20241022")
    assert "42" in text_of(second)
    assert second.headers["X-Session-Start"] == "live"
    assert gateway.pid("my-session-123") == pid


def test_another_id_is_another_process_that_knows_nothing(gateway: Gateway) -> None:
    text_of(gateway.ask("Remember the number 4711.", "one-of-two"))
    answer = gateway.ask("What number did I ask you to remember?", "two-of-two")
    assert "4711" not in text_of(answer)
    assert gateway.pid("one-of-two") != gateway.pid("two-of-two")


def test_without_an_id_a_new_conversation_comes_back_and_can_be_continued(gateway: Gateway) -> None:
    answer = gateway.ask("Remember the word lighthouse.")
    identity = answer.json()["conversation_id"]
    assert answer.headers["X-Conversation-ID"] == identity
    again = gateway.http.post(
        "/v1/chat/completions",
        json={"messages": [{"role": "user", "content": "What word should you remember?"}]},
        headers={"X-Conversation-ID": identity},
    )
    assert "lighthouse" in text_of(again)


def test_first_requests_at_once_share_one_process_and_queue(gateway: Gateway) -> None:
    before = gateway.counter("started")
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: gateway.ask(f"Remember the word w{number}.", "burst"), range(8)))
    assert [answer.status_code for answer in answers] == [200] * 8
    assert gateway.counter("started") == before + 1
    recited = text_of(gateway.ask("List everything you remember?", "burst"))
    assert all(f"w{number}" in recited for number in range(8))


def test_more_turns_than_may_queue_are_refused_with_retry_after(gateway: Gateway) -> None:
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: gateway.ask("[[offline: delay 0.3]] go", "crowded"), range(12)))
    refused = [answer for answer in answers if answer.status_code == 429]
    assert len(refused) == 3
    assert refused[0].json()["error"]["code"] == "conversation_busy"
    assert int(refused[0].headers["Retry-After"]) >= 1


def test_an_unknown_history_is_imported_with_its_roles(gateway: Gateway, model: Model) -> None:
    messages = [
        {"role": "system", "content": "You are terse."},
        {"role": "user", "content": "My name is Ada."},
        {"role": "assistant", "content": "Hello Ada."},
        {"role": "user", "content": "import-check: What is my name?"},
    ]
    answer = gateway.http.post("/v1/chat/completions", json={"messages": messages})
    assert "Ada" in text_of(answer)
    assert answer.headers["X-Session-Start"] == "cold"
    assert model.dialogue("import-check") == [
        ("user", "My name is Ada."),
        ("assistant", "Hello Ada."),
        ("user", "import-check: What is my name?"),
    ]
    assert "You are terse." in str(model.asked("import-check")[0]["system"])


def test_a_history_that_is_known_is_not_sent_again(gateway: Gateway, model: Model) -> None:
    said = text_of(gateway.ask("Remember the number 7.", "resent"))
    pid = gateway.pid("resent")
    messages = [
        {"role": "user", "content": "Remember the number 7."},
        {"role": "assistant", "content": said},
        {"role": "user", "content": "resent-check"},
    ]
    answer = gateway.http.post("/v1/chat/completions", json={"messages": messages, "conversation_id": "resent"})
    assert answer.headers["X-Session-Start"] == "live"
    assert gateway.pid("resent") == pid
    assert [role for role, _ in model.dialogue("resent-check")] == ["user", "assistant", "user"]


def test_an_edited_history_forks_and_keeps_the_id(gateway: Gateway, model: Model) -> None:
    text_of(gateway.ask("Remember the number 1.", "edited"))
    messages = [
        {"role": "user", "content": "Remember the number 2."},
        {"role": "assistant", "content": "Two it is."},
        {"role": "user", "content": "fork-check: What number did I ask you to remember?"},
    ]
    answer = gateway.http.post("/v1/chat/completions", json={"messages": messages, "conversation_id": "edited"})
    assert answer.headers["X-Session-Start"] == "forked"
    assert "2" in text_of(answer)
    assert "number 1" not in str(model.dialogue("fork-check"))
    follow = gateway.ask("What number did I ask you to remember?", "edited")
    assert (follow.headers["X-Session-Start"], "2" in text_of(follow)) == ("live", True)


def test_a_new_system_prompt_takes_effect_and_keeps_the_context(gateway: Gateway, model: Model) -> None:
    text_of(gateway.ask("Remember the word kiwi.", "prompted"))
    answer = gateway.http.post(
        "/v1/chat/completions",
        json={
            "conversation_id": "prompted",
            "messages": [
                {"role": "developer", "content": [{"type": "text", "text": "Speak like a pirate."}]},
                {"role": "user", "content": "prompt-check: What word should you remember?"},
            ],
        },
    )
    assert "kiwi" in text_of(answer)
    assert answer.headers["X-Session-Start"] == "resumed"
    assert "Speak like a pirate." in str(model.asked("prompt-check")[0]["system"])


def test_another_model_takes_over_with_the_context(gateway: Gateway, model: Model) -> None:
    text_of(gateway.ask("Remember the word plum.", "switched"))
    answer = gateway.ask("model-check: What word should you remember?", "switched", model="haiku")
    assert "plum" in text_of(answer)
    assert "haiku" in answer.json()["model"]
    assert "haiku" in model.asked("model-check")[0]["model"]


@pytest.mark.parametrize(
    "text", ["/clear", "/compact verbatim", "@/etc/hostname", "look at @/etc/passwd please", "!ls"]
)
def test_what_was_typed_reaches_the_model_as_text(gateway: Gateway, model: Model, text: str) -> None:
    count = len(model.requests)
    text_of(gateway.ask(text, "verbatim"))
    body = model.requests[count]
    last = [message for message in body["messages"] if message["role"] == "user"][-1]["content"]
    assert (last if isinstance(last, str) else last[-1]["text"]) == text
    assert len(model.requests) == count + 1
    assert "root:" not in str(body)


def test_delete_stops_the_process_and_forgets(gateway: Gateway) -> None:
    text_of(gateway.ask("Remember the number 99.", "doomed"))
    pid = gateway.pid("doomed")
    assert gateway.http.delete("/v1/sessions/doomed").status_code == 204
    assert not psutil.pid_exists(pid)
    assert gateway.http.get("/v1/sessions/doomed").status_code == 404
    assert gateway.http.delete("/v1/sessions/doomed").status_code == 404
    answer = gateway.ask("What number did I ask you to remember?", "doomed")
    assert "99" not in text_of(answer)
    assert answer.headers["X-Session-Start"] == "cold"


def test_delete_in_the_middle_of_a_turn_answers_its_client(gateway: Gateway) -> None:
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(gateway.ask, "[[offline: hang]] please", "doomed-busy")
        eventually(lambda: any(s["id"] == "doomed-busy" and s["state"] == "busy" for s in _sessions(gateway)))
        assert gateway.http.delete("/v1/sessions/doomed-busy").status_code == 204
        answer = running.result()
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "conversation_deleted")


def test_sessions_and_stats_tell_what_there_is(gateway: Gateway) -> None:
    text_of(gateway.ask("hello", "watched"))
    text_of(gateway.ask("hello again", "watched"))
    session = gateway.session("watched")
    assert (session["state"], session["turns"], session["profile"]) == ("idle", 2, "chat")
    assert session["usage"]["output_tokens"] > 0
    assert session["usage"]["cache_read_input_tokens"] > 0
    assert session["cost_usd"] > 0
    assert session["rss_bytes"] > 50 * 2**20
    stats = gateway.stats()
    assert stats["latency"]["live"]["first_token_ms"]["p50"] > 0
    assert stats["limits"]["max_concurrent_sessions"] == 20
    assert stats["sessions"]["live"] >= 1


def test_children_see_nothing_of_the_servers_environment(start_gateway: object) -> None:
    assert callable(start_gateway)
    gateway: Gateway = start_gateway(env={"DATABASE_PASSWORD": "hunter2", "ANTHROPIC_CUSTOM_HEADERS": "x-team: blue"})
    text_of(gateway.ask("hello", "private"))
    environment = psutil.Process(gateway.pid("private")).environ()
    assert "DATABASE_PASSWORD" not in environment
    assert "hunter2" not in str(environment)
    assert environment["ANTHROPIC_CUSTOM_HEADERS"] == "x-team: blue"
    assert environment["HOME"].startswith(str(gateway.data_dir.resolve()))


def test_without_interactive_sessions_each_request_has_a_process_and_the_context_stays(start_gateway: object) -> None:
    assert callable(start_gateway)
    gateway: Gateway = start_gateway({"claude__use_interactive_sessions": False})
    text_of(gateway.ask("Remember the number 42.", "plain"))
    eventually(lambda: gateway.session("plain")["pid"] is None)
    second = gateway.ask("What number did I ask you to remember?", "plain")
    assert "42" in text_of(second)
    assert second.headers["X-Session-Start"] == "resumed"
    assert gateway.counter("started") + gateway.counter("resumed") == 2


def test_an_idle_session_is_culled_and_comes_back(start_gateway: object) -> None:
    assert callable(start_gateway)
    gateway: Gateway = start_gateway({"claude__session_idle_seconds": 0.5})
    text_of(gateway.ask("Remember the number 42.", "sleepy"))
    eventually(lambda: gateway.session("sleepy")["state"] == "hibernated")
    assert gateway.children() == []
    cost = gateway.session("sleepy")["cost_usd"]
    answer = gateway.ask("What number did I ask you to remember?", "sleepy")
    assert ("42" in text_of(answer), answer.headers["X-Session-Start"]) == (True, "resumed")
    assert gateway.session("sleepy")["cost_usd"] == pytest.approx(cost * 2, rel=0.6)
    assert gateway.counter("culled") == 1


def _sessions(gateway: Gateway) -> list[dict[str, object]]:
    sessions: list[dict[str, object]] = gateway.http.get("/v1/sessions").json()["data"]
    return sessions
