"""The profile agent: the real CLI with its own tools, in a directory of the conversation's own."""

from __future__ import annotations

import json
import os
import signal
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.conftest import Model
from tests.gateway import Gateway, chunks_of, eventually, text_of
from tests.integration.test_keys import client, make

Start = Callable[..., Gateway]


def call(tool: str, **arguments: Any) -> str:
    """A directive to the offline model."""
    return f"[[offline: call {tool} {json.dumps(arguments)}]]"


def bash(command: str) -> str:
    return call("Bash", command=command)


def work(gateway: Gateway, text: str, conversation_id: str, **extra: Any) -> httpx.Response:
    """Ask an agent."""
    return gateway.ask(text, conversation_id, **{"model": "agent/sonnet", **extra})


def message_of(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    message: dict[str, Any] = answer.json()["choices"][0]["message"]
    return message


def running(words: str) -> list[int]:
    """The processes with these words in their command line, but for their shells."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and " ".join(process.cmdline()) == words:
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


@pytest.fixture
def nap() -> str:
    """A long sleep that no other test sleeps."""
    return f"sleep 60.{uuid.uuid4().int % 10**9:09}"


TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


# What it does, and what is told of it


def test_an_agent_works_with_its_own_tools_and_says_so_beside_the_answer(gateway: Gateway) -> None:
    directives = (
        bash("echo tested > one.txt; ls")
        + call("Write", file_path="two.txt", content="2")
        + call("Read", file_path="no")
    )
    message = message_of(work(gateway, f"Begin {directives}", "agent-whole"))
    assert "one.txt" in message["content"]
    assert "Bash:" not in message["content"]
    assert message["reasoning_content"].split("\n\n")[:3] == [
        "Bash: echo tested > one.txt; ls",
        "Write: two.txt",
        "Read: no",
    ]
    assert "Read failed: File does not exist." in message["reasoning_content"]
    assert str(gateway.data) not in message["reasoning_content"]
    session = gateway.session("agent-whole")
    assert (session["profile"], session["turns"]) == ("agent", 1)


def test_a_stream_tells_the_same(gateway: Gateway) -> None:
    body = {
        "model": "agent",
        "conversation_id": "agent-stream",
        "stream": True,
        "messages": [{"role": "user", "content": f"[[offline: text-and-calls]] {bash('echo streamed; false')}"}],
    }
    with gateway.http.stream("POST", "/v1/chat/completions", json=body) as answer:
        deltas = [chunk["choices"][0]["delta"] for chunk in chunks_of(answer.iter_lines())]
    content = "".join(delta.get("content") or "" for delta in deltas)
    reasoning = "".join(delta.get("reasoning_content") or "" for delta in deltas)
    assert reasoning == "Bash: echo streamed; false\n\nBash failed: Exit code 1…"
    assert content.count("\n\n") >= 1  # what it said before the call, and after it
    assert "Bash:" not in content
    assert "streamed" in content


def test_what_it_does_can_be_kept_to_itself(start_gateway: Start) -> None:
    gateway = start_gateway({"api__agent_activity": False})
    message = message_of(work(gateway, bash("echo quiet"), "a"))
    assert "quiet" in message["content"]
    assert "reasoning_content" not in message


def test_a_silent_command_leaves_no_stream_silent(start_gateway: Start) -> None:
    gateway = start_gateway({"server__heartbeat_seconds": 0.5})
    body = {"model": "agent", "stream": True, "messages": [{"role": "user", "content": bash("sleep 2")}]}
    with gateway.http.stream("POST", "/v1/chat/completions", json=body) as answer:
        lines = list(answer.iter_lines())
    assert len([line for line in lines if line.startswith(":")]) >= 3
    assert lines[-2] == "data: [DONE]"


def test_a_sub_agent_works_within_the_turn(gateway: Gateway) -> None:
    inner = bash("echo from-below").replace("[[", "[\\u005b").replace('"', '\\"')
    directive = (
        '[[offline: call Agent {"description": "look around", "subagent_type": "general-purpose", '
        f'"prompt": "Look. {inner}"}}]]'
    )
    message = message_of(work(gateway, directive, "agent-sub"))
    assert "from-below" in message["content"]
    assert message["reasoning_content"] == "Agent: look around"
    assert text_of(work(gateway, "What now?", "agent-sub")).endswith("You said: What now?")


def test_nothing_is_put_into_the_background_of_a_turn(gateway: Gateway) -> None:
    """It would end in a turn that nobody asked for."""
    message = message_of(work(gateway, call("Bash", command="sleep 1", run_in_background=True), "agent-background"))
    assert "unexpected parameter" in message["content"]


# Where it works


def test_a_spare_of_a_chat_is_no_agent(start_gateway: Start) -> None:
    gateway = start_gateway({"pool__min_size": 1, "pool__max_size": 1})
    eventually(lambda: gateway.stats()["pool"]["pool_available"] == 1, 20)
    answer = work(gateway, bash("echo own"), "a")
    assert answer.headers["X-Session-Start"] == "cold"
    assert "own" in text_of(answer)
    assert gateway.ask("Hi", "b").headers["X-Session-Start"] == "warm"


def test_its_files_stay_and_are_no_other_conversations(gateway: Gateway) -> None:
    work(gateway, bash("echo mine > kept.txt"), "agent-files")
    assert "mine" in text_of(work(gateway, bash("cat kept.txt"), "agent-files"))
    gateway.http.post("/v1/sessions/agent-files/hibernate")
    again = work(gateway, bash("cat kept.txt; pwd"), "agent-files")
    assert again.headers["X-Session-Start"] == "resumed"
    assert "mine" in text_of(again)
    assert "No such file" in text_of(work(gateway, bash("cat kept.txt"), "agent-other"))
    gateway.http.delete("/v1/sessions/agent-files")
    assert "No such file" in text_of(work(gateway, bash("cat kept.txt"), "agent-files"))


def test_no_command_sees_the_servers_credentials_in_its_environment(gateway: Gateway) -> None:
    look = "env; cat /proc/$PPID/environ | tr '\\0' '\\n'; cat /proc/$PPID/fd/3 /proc/self/fd/3 2>/dev/null </dev/null"
    seen = text_of(work(gateway, bash(f"{look}; true"), "agent-secrets"))
    assert "ANTHROPIC_BASE_URL" in seen
    assert "test-key" not in seen


def test_nothing_of_the_machine_is_part_of_it(start_gateway: Start, model: Model) -> None:
    gateway = start_gateway()
    hooked = gateway.data_dir / "hooked"
    hook = {"hooks": [{"type": "command", "command": f"touch {hooked}"}]}
    settings = json.dumps({"hooks": {"UserPromptSubmit": [hook], "PreToolUse": [{"matcher": "*", **hook}]}})
    servers = json.dumps({"mcpServers": {"theirs": {"command": "touch", "args": [str(hooked)]}}})

    def furnish(place: Path) -> None:
        (place / ".claude").mkdir()
        (place / ".claude" / "settings.json").write_text(settings)
        (place / ".claude" / "CLAUDE.md").write_text("OF-THE-MACHINE")
        (place / "CLAUDE.md").write_text("OF-THE-MACHINE")
        (place / ".mcp.json").write_text(servers)
        (place / ".claude.json").write_text(servers)

    def is_clean(text: str) -> None:
        text_of(work(gateway, f"{text} {bash('true')}", "a"))
        asked = model.asked(text)[0]
        assert "OF-THE-MACHINE" not in json.dumps(asked)
        assert not [tool["name"] for tool in asked["tools"] if "theirs" in tool["name"]]
        assert not hooked.exists()

    for place in (gateway.data_dir, gateway.data, gateway.data / "default" / "sessions"):
        furnish(place)
    is_clean("A clean first one")
    (its_own,) = gateway.data.glob("default/sessions/*/work")
    furnish(its_own)
    gateway.http.post("/v1/sessions/a/hibernate")
    is_clean("A clean second one")


def test_a_clients_system_prompt_comes_behind_claude_codes_own_and_can_change(gateway: Gateway, model: Model) -> None:
    def system_of(needle: str) -> str:
        return json.dumps(model.asked(needle)[0]["system"])

    def turn(prompt: str, text: str) -> None:
        messages = [{"role": "system", "content": prompt}, {"role": "user", "content": text}]
        text_of(work(gateway, "", "agent-system", messages=messages))

    turn("Speak like a pirate.", "first-with-system")
    turn("Speak like a monk.", "second-with-system")
    assert "Claude Code" in system_of("first-with-system")
    assert "Speak like a pirate." in system_of("first-with-system")
    assert "Speak like a monk." in system_of("second-with-system")
    assert "pirate" not in system_of("second-with-system")


# Beside the client's tools


def mixed(gateway: Gateway, conversation_id: str) -> dict[str, Any]:
    """An answer that ends with a call of the client's, while the agent's own was made."""
    directives = bash("echo built-in > done.txt; echo built-in") + call("get_weather", city="Rome")
    answer = work(gateway, directives, conversation_id, tools=[TOOL])
    assert answer.json()["choices"][0]["finish_reason"] == "tool_calls"
    message = message_of(answer)
    assert [one["function"]["name"] for one in message["tool_calls"]] == ["get_weather"]
    assert message["reasoning_content"] == "Bash: echo built-in > done.txt; echo built-in"
    assert gateway.session(conversation_id)["state"] == "parked"
    return message


def results(gateway: Gateway, conversation_id: str, message: dict[str, Any]) -> httpx.Response:
    result = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "Sunny."}
    return work(gateway, "", conversation_id, messages=[result], tools=[TOOL])


@pytest.mark.parametrize("end", ["nothing", "hibernate", "kill"])
def test_own_and_client_tools_in_one_answer(gateway: Gateway, end: str) -> None:
    name = f"agent-mixed-{end}"
    message = mixed(gateway, name)
    if end == "hibernate":
        gateway.http.post(f"/v1/sessions/{name}/hibernate")
    elif end == "kill":
        os.kill(gateway.pid(name), signal.SIGKILL)
        eventually(lambda: gateway.session(name)["pid"] is None)
    said = text_of(results(gateway, name, message))
    assert "Sunny." in said
    assert "built-in" in said or end != "nothing"
    assert "built-in" in text_of(work(gateway, bash("cat done.txt"), name))


def test_forbidden_client_tools_do_not_forbid_its_own(gateway: Gateway) -> None:
    text_of(work(gateway, "agent-forbid one", "agent-forbid", tools=[TOOL]))
    said = work(gateway, f"agent-forbid two {bash('echo still')}", "agent-forbid", tools=[TOOL], tool_choice="none")
    assert "still" in text_of(said)
    weather = call("get_weather", city="Rome")
    for extra in ({"tools": [TOOL], "tool_choice": "none"}, {}):
        answer = work(gateway, weather + bash("echo still"), "agent-forbid", **extra)
        assert "still" in text_of(answer)
        assert answer.json()["choices"][0]["finish_reason"] == "stop"
    assert work(gateway, weather, "agent-forbid", tools=[TOOL]).json()["choices"][0]["finish_reason"] == "tool_calls"


def test_an_answer_can_have_a_schema(gateway: Gateway) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    form = {"type": "json_schema", "json_schema": {"name": "city", "schema": schema}}
    message = message_of(work(gateway, f"Name one. {bash('echo looked')}", "agent-schema", response_format=form))
    assert set(json.loads(message["content"])) == {"city"}
    assert "Bash: echo looked" in message["reasoning_content"]
    assert "looked" in text_of(work(gateway, bash("echo looked"), "agent-schema"))


# When something goes wrong


def test_an_agent_that_dies_during_a_command_takes_it_along_and_the_next_turn_works(gateway: Gateway, nap: str) -> None:
    text_of(work(gateway, bash("echo before > kept.txt"), "agent-crash"))
    with ThreadPoolExecutor(1) as pool:
        turn = pool.submit(work, gateway, bash(f"echo during > kept.txt; {nap}"), "agent-crash")
        eventually(lambda: bool(running(nap)), 20)
        os.kill(gateway.pid("agent-crash"), signal.SIGKILL)
        answer = turn.result()
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "process_died")
    eventually(lambda: not running(nap))
    assert "during" in text_of(work(gateway, bash("cat kept.txt"), "agent-crash"))


def test_a_client_that_leaves_ends_the_command_and_the_session_goes_on(
    gateway: Gateway, model: Model, nap: str
) -> None:
    text_of(work(gateway, "Hello", "agent-gone"))
    pid = gateway.pid("agent-gone")
    body = {"model": "agent", "conversation_id": "agent-gone", "messages": [{"role": "user", "content": bash(nap)}]}
    with ThreadPoolExecutor(1) as pool:
        leaving = httpx.Client(base_url=gateway.url, timeout=3)
        turn = pool.submit(leaving.post, "/v1/chat/completions", json=body)
        eventually(lambda: bool(running(nap)), 20)
        with pytest.raises(httpx.TimeoutException):
            turn.result()
    eventually(lambda: not running(nap))
    eventually(lambda: gateway.session("agent-gone")["state"] == "idle")
    assert gateway.pid("agent-gone") == pid
    text_of(work(gateway, "And the client is back", "agent-gone"))
    assert nap not in str(model.dialogue("And the client is back"))


def test_what_a_command_leaves_running_ends_with_the_process(gateway: Gateway, nap: str) -> None:
    text_of(work(gateway, bash(f"setsid nohup {nap} > /dev/null 2>&1 & echo started"), "agent-left"))
    assert running(nap)
    text_of(work(gateway, "Between turns it goes on", "agent-left"))
    assert running(nap)
    gateway.http.post("/v1/sessions/agent-left/hibernate")
    assert not running(nap)


# As a chat, and back


def test_a_conversation_can_change_its_profile(gateway: Gateway, model: Model) -> None:
    text_of(work(gateway, f"Agent first {bash('echo made > made.txt')}", "agent-switch"))
    chat = gateway.ask("Chat second", "agent-switch", model="sonnet")
    assert chat.headers["X-Session-Start"] == "forked"
    assert gateway.session("agent-switch")["profile"] == "chat"
    assert [role for role, _ in model.dialogue("Chat second")] == ["user", "assistant", "user"]
    assert "tool_use" not in str(model.asked("Chat second")[0]["messages"])
    back = work(gateway, f"Agent third {bash('cat made.txt')}", "agent-switch")
    assert "made" in text_of(back)
    assert "Chat second" in str(model.dialogue("Chat second")[-1])


def test_a_products_question_beside_a_conversation_needs_no_agent(gateway: Gateway, model: Model) -> None:
    text_of(gateway.ask("### Task: beside-the-agent, a title", model="agent/sonnet"))
    assert not model.asked("beside-the-agent")[0].get("tools")


def test_what_cannot_work_on_an_agent_is_said(gateway: Gateway, start_gateway: Start) -> None:
    limits: dict[str, Any] = {"max_tokens": 1, "stop": ["e"]}
    answer = work(gateway, bash("echo a whole sentence"), "agent-limits", **limits)
    assert answer.headers["X-Ignored-Params"] == "max_tokens, stop"
    assert "a whole sentence" in text_of(answer)
    assert answer.json()["choices"][0]["finish_reason"] == "stop"
    refused = work(start_gateway({"api__strict_params": True}), "Hi", "a", stop=["e"])
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "stop")
    assert "profile agent" in refused.json()["error"]["message"]


# Whom it opens to


def names(http: httpx.Client) -> set[str]:
    return {model["id"] for model in http.get("/v1/models").json()["data"]}


def test_on_ones_own_machine_the_agent_is_open_and_the_server_says_so(gateway: Gateway) -> None:
    assert {"sonnet", "agent", "agent/sonnet", "agent/opus"} <= names(gateway.http)
    assert gateway.http.get("/v1/models/agent/sonnet").json()["id"] == "agent/sonnet"
    assert "agent/... are open to whoever uses this machine" in gateway.log()


@pytest.fixture
def keyed(start_gateway: Start) -> Iterator[Callable[[bool], tuple[Gateway, Callable[..., httpx.Client]]]]:
    """A server with keys, with or without the operator's word."""
    clients: list[httpx.Client] = []

    def started(allowed: bool) -> tuple[Gateway, Callable[..., httpx.Client]]:
        gateway = start_gateway({"agent__allow_unsandboxed": allowed})

        def with_key(*arguments: str) -> httpx.Client:
            clients.append(client(gateway, make(gateway.data, *arguments)))
            eventually(lambda: clients[-1].get("/v1/models").status_code == 200)
            return clients[-1]

        with_key()
        eventually(lambda: gateway.http.get("/v1/models").status_code == 401)
        return gateway, with_key

    yield started
    for one in clients:
        one.close()


def asked(http: httpx.Client, model: str, text: str = "Hi") -> httpx.Response:
    return http.post("/v1/chat/completions", json={"model": model, "messages": [{"role": "user", "content": text}]})


def test_with_keys_the_agent_is_closed(keyed: Any) -> None:
    _, with_key = keyed(False)
    http = with_key("--admin")
    refused = asked(http, "agent/sonnet")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "profile_not_available")
    assert "without a sandbox" in refused.json()["error"]["message"]
    assert "allow_unsandboxed" in refused.json()["error"]["message"]
    assert not [name for name in names(http) if name.startswith("agent")]
    assert http.get("/v1/models/agent").status_code == 403
    assert text_of(asked(http, "sonnet"))


def test_with_keys_and_the_operators_word_it_is_open_but_to_keys_for_chat(keyed: Any) -> None:
    gateway, with_key = keyed(True)
    anybody, chats, agents = with_key(), with_key("--profiles", "chat"), with_key("--profiles", "agent")
    assert "keyed" in text_of(asked(anybody, "agent/sonnet", bash("echo keyed")))
    refused = asked(chats, "agent/sonnet")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "profile_not_allowed")
    assert not [name for name in names(chats) if name.startswith("agent")]
    assert all(name.startswith("agent") for name in names(agents))
    assert asked(agents, "sonnet").status_code == 403
    gateway.restart(signal.SIGTERM)
    assert "open to whoever has an API key" in gateway.log()
