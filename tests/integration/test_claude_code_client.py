"""The real Claude Code as a client of the gateway: each line of its session on one live process."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from claude_code_api.claude.launch import find_command
from tests.anthropic_strict import message
from tests.chat import Tap
from tests.conftest import Model
from tests.gateway import Gateway
from tests.integration.test_keys import make
from tests.messages import user

MODELS = ["sonnet", "claude-sonnet-4-5"]
"""Claude Code tells the newer ones of its surroundings in messages of the role `system`, the others in reminders."""

Json = dict[str, Any]


@dataclass
class ClaudeCode:
    """The CLI, with a home of its own."""

    gateway: Gateway
    root: Path
    model: str = "sonnet"
    key: str = "unused"

    @property
    def work(self) -> Path:
        return self.root / "work"

    def run(self, words: str, *more: str) -> Json:
        """One prompt in print mode; what it says of itself at its end."""
        self.work.mkdir(exist_ok=True)
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.root),
            "CLAUDE_CONFIG_DIR": str(self.root / "config"),
            "ANTHROPIC_BASE_URL": self.gateway.url,
            "ANTHROPIC_API_KEY": self.key,
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_AUTOUPDATER": "1",
            "IS_SANDBOX": "1",
        }
        argv = [find_command(""), "-p", words, "--model", self.model, "--output-format=json", *more]
        done = subprocess.run(
            [*argv, "--permission-mode=bypassPermissions"],
            cwd=self.work,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        result: Json = json.loads(done.stdout)
        assert not result["is_error"], result
        return result


def lines_of(gateway: Gateway, session: str) -> list[Json]:
    """The conversations of a session of Claude Code's."""
    listed = gateway.http.get("/v1/sessions").json()["data"]
    return [one for one in listed if one["id"].startswith(f"{session}:")]


@pytest.mark.parametrize("name", MODELS)
def test_a_task_of_two_steps_runs_on_one_process(gateway: Gateway, tmp_path: Path, name: str) -> None:
    code = ClaudeCode(gateway, tmp_path, name)
    note = code.work / "note.txt"
    write = json.dumps({"file_path": str(note), "content": "heron\n"})
    first = code.run(f"Write it. [[offline: call Write {write}]]")
    assert note.read_text() == "heron\n"
    (line,) = lines_of(gateway, first["session_id"])
    pid = gateway.pid(line["id"])
    read = json.dumps({"file_path": str(note)})
    second = code.run(f"Read it. [[offline: call Read {read}]]", "--continue")
    assert "heron" in second["result"]
    assert second["session_id"] == first["session_id"]
    assert [one["id"] for one in lines_of(gateway, first["session_id"])] == [line["id"]]
    assert gateway.pid(line["id"]) == pid
    assert gateway.session(line["id"])["turns"] == 4


def test_calls_that_claude_code_rewrites_stay_on_the_process(gateway: Gateway, model: Model, tmp_path: Path) -> None:
    code = ClaudeCode(gateway, tmp_path)
    note = code.work / "note.txt"
    write = json.dumps({"file_path": str(note), "content": "heron  \n\n\n"})
    session = code.run(f"Write it. [[offline: call Write {write}]]")["session_id"]
    (line,) = lines_of(gateway, session)
    edit = json.dumps({"file_path": str(note), "old_string": "heron", "new_string": "crane"})
    code.run(f"Edit it. [[offline: call Edit {edit}]]", "--continue")
    listing = json.dumps({"command": f"cd {code.work} && ls"})
    tap = Tap(model)
    code.run(f"List. [[offline: call Bash {listing}]]", "--continue")
    assert [one["pid"] for one in lines_of(gateway, session)] == [line["pid"]]
    calls = [
        block["input"]
        for one in tap.take()[-1]["messages"]
        if one["role"] == "assistant"
        for block in one["content"]
        if block["type"] == "tool_use"
    ]
    assert calls == [json.loads(write), json.loads(edit), json.loads(listing)], "as the model made them"


def test_compacting_is_asked_beside_the_line(gateway: Gateway, tmp_path: Path) -> None:
    code = ClaudeCode(gateway, tmp_path)
    session = code.run("Remember the word heron.")["session_id"]
    before = lines_of(gateway, session)
    code.run("/compact", "--continue")
    assert [(one["id"], one["pid"], one["turns"]) for one in lines_of(gateway, session)] == [
        (one["id"], one["pid"], one["turns"]) for one in before
    ]


def test_with_a_key_of_the_gateways(start_gateway: Callable[..., Gateway], tmp_path: Path) -> None:
    gateway = start_gateway({"server__require_keys": True})
    code = ClaudeCode(gateway, tmp_path, key=make(gateway.data))
    assert "The tool answered" in code.run('Do it. [[offline: call Bash {"command": "echo hi"}]]')["result"]
    code.key = "wrong"
    with pytest.raises(AssertionError, match=r"401|API key"):
        code.run("Hi")


def test_a_sub_agent_and_tools_that_are_loaded_leave_the_main_line_live(gateway: Gateway, tmp_path: Path) -> None:
    code = ClaudeCode(gateway, tmp_path)
    session = code.run("Remember the word heron.")["session_id"]
    (main,) = lines_of(gateway, session)
    pid = gateway.pid(main["id"])
    task = {"description": "look", "prompt": "Remember the word fig.", "subagent_type": "general-purpose"}
    code.run(f"Ask. [[offline: call Agent {json.dumps(task)}]]", "--continue")
    code.run('Load. [[offline: call ToolSearch {"query": "select:WebFetch"}]]', "--continue")
    last = code.run("Which word did I ask you to remember?", "--continue")
    assert "heron" in last["result"]
    assert gateway.pid(main["id"]) == pid
    assert len(lines_of(gateway, session)) == 2, "the main loop's, and the sub-agent's"


def test_questions_beside_the_session_leave_it_as_it_is(gateway: Gateway, tmp_path: Path) -> None:
    code = ClaudeCode(gateway, tmp_path)
    session = code.run("Remember the word heron.")["session_id"]
    before = lines_of(gateway, session)
    headers = {"x-claude-code-session-id": session, "anthropic-version": "2023-06-01"}
    schema = {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]}
    title: Json = {
        "max_tokens": 128000,
        "system": [{"type": "text", "text": "You are naming a coding session."}],
        "messages": [user("<session>\nRemember the word heron.\n</session>\n\nWrite the title.")],
        "tools": [],
        "output_config": {"effort": "medium", "format": {"type": "json_schema", "schema": schema}},
    }
    quota: Json = {"max_tokens": 1, "messages": [user("quota")], "metadata": {"user_id": "u"}}
    for body in (title, quota):
        answer = gateway.http.post("/v1/messages?beta=true", json={"model": "sonnet", **body}, headers=headers)
        assert message(answer)["content"]
        assert "X-Conversation-ID" not in answer.headers
    after = lines_of(gateway, session)
    assert [(one["id"], one["pid"], one["turns"]) for one in after] == [
        (one["id"], one["pid"], one["turns"]) for one in before
    ]
    assert "heron" in code.run("Which word did I ask you to remember?", "--continue")["result"]
    assert gateway.pid(before[0]["id"]) == before[0]["pid"]
