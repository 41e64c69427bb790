"""What Codex (0.169) sends: `store: false` and all items each time, namespaces of functions, a search that nobody has.

The client itself is not installed here: docs/recipes.md says when it was run.
"""

from __future__ import annotations

from typing import Any

from tests.gateway import Gateway

Json = dict[str, Any]

TOOLS: list[Json] = [
    {"type": "function", "name": "exec_command", "strict": False, "parameters": {"type": "object", "properties": {}}},
    {
        "type": "namespace",
        "name": "multi_agent_v1",
        "description": "Sub-agents.",
        "tools": [
            {
                "type": "function",
                "name": "close_agent",
                "description": "Closes one.",
                "strict": False,
                "parameters": {"type": "object", "properties": {"target": {"type": "string"}}, "required": ["target"]},
            }
        ],
    },
    {"type": "web_search", "external_web_access": True},
]


def said(role: str, text: str) -> Json:
    return {"type": "message", "role": role, "content": [{"type": "input_text", "text": text}]}


def ask(gateway: Gateway, items: list[Json], session: str) -> tuple[Json, str]:
    body = {
        "model": "sonnet",
        "input": items,
        "tools": TOOLS,
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        "reasoning": {"summary": "auto"},
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "prompt_cache_key": session,
        "client_metadata": {"session_id": session},
    }
    answer = gateway.http.post("/v1/responses", json=body, headers={"session-id": session, "thread-id": session})
    assert answer.status_code == 200, answer.text
    ignored = answer.headers["X-Ignored-Params"].split(", ")
    assert {"tools.web_search", "client_metadata"} <= set(ignored)
    return answer.json(), answer.headers["X-Session-Start"]


def test_a_session_of_codex_stays_on_its_process(gateway: Gateway) -> None:
    call = '[[offline: call multi_agent_v1__close_agent {"target": "a1"}]]'
    items = [said("developer", "You are a coding agent."), said("user", f"Remember the number 42. {call}")]
    first, _ = ask(gateway, items, "codex-1")
    (made,) = [item for item in first["output"] if item["type"] == "function_call"]
    assert (made["namespace"], made["name"], made["arguments"]) == ("multi_agent_v1", "close_agent", '{"target":"a1"}')
    items += [*first["output"], {"type": "function_call_output", "call_id": made["call_id"], "output": "Closed."}]
    second, start = ask(gateway, items, "codex-1")
    assert (start, second["output"][-1]["content"][0]["text"]) == ("live", "The tool answered: Closed.")
    items += [*second["output"], said("user", "Which number did I ask you to remember?")]
    third, start = ask(gateway, items, "codex-1")
    assert start == "live"
    assert "42" in third["output"][-1]["content"][0]["text"]
