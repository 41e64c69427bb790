"""Claude Managed Agents in tests, with the official SDK: every object and event is held against its types."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from anthropic import Anthropic
from anthropic.types.beta import BetaManagedAgentsSession

from tests.anthropic_strict import strict
from tests.gateway import Gateway

TOOLSET: dict[str, Any] = {"type": "agent_toolset_20260401"}
WEATHER: dict[str, Any] = {
    "type": "custom",
    "name": "get_weather",
    "description": "The weather of a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
ASKING: dict[str, Any] = {**TOOLSET, "default_config": {"permission_policy": {"type": "always_ask"}}}


def sdk(gateway: Gateway, key: str = "unused") -> Anthropic:
    """The official client, which takes nothing that is not as its types say."""
    return Anthropic(base_url=gateway.url, api_key=key, max_retries=0, _strict_response_validation=True)


def session_with(client: Anthropic, *tools: Any, **how: Any) -> BetaManagedAgentsSession:
    """A session of a new agent with these tools."""
    of_agent = {name: how.pop(name) for name in ("system", "mcp_servers", "skills") if name in how}
    model = how.pop("model", "sonnet")
    agent = client.beta.agents.create(name="Helper", model=model, tools=list(tools), **of_agent)
    return strict(client.beta.sessions.create(agent=agent.id, environment_id="env_local", **how))


def said(text: str) -> Any:
    """A message of the user."""
    return {"type": "user.message", "content": [{"type": "text", "text": text}]}


def bash(command: str) -> str:
    """A directive to the offline model: call Bash."""
    return f"[[offline: call Bash {json.dumps({'command': command})}]]"


def is_idle(event: Any) -> bool:
    """Whether an event says that the session is idle."""
    return bool(event.type == "session.status_idle")


def watch(
    client: Anthropic,
    session_id: str,
    *sent: Any,
    until: Callable[[Any], bool] = is_idle,
    deltas: Sequence[Any] = (),
) -> list[Any]:
    """Send events while watching, and return what comes up to the event that `until` picks."""
    seen: list[Any] = []
    with client.beta.sessions.events.stream(session_id, event_deltas=list(deltas)) as stream:
        if sent:
            client.beta.sessions.events.send(session_id, events=list(sent))
        for event in stream:
            seen.append(strict(event))
            if until(event):
                return seen
    raise AssertionError(f"the stream ended with {seen[-1:]}")


def answer(events: Sequence[Any]) -> str:
    """What the agent said in these events."""
    return "\n".join(block.text for event in events if event.type == "agent.message" for block in event.content)


def kinds(events: Sequence[Any]) -> list[str]:
    """The types of events."""
    return [event.type for event in events]


def of_type(events: Sequence[Any], kind: str) -> list[Any]:
    """The events of a type."""
    return [event for event in events if event.type == kind]


def told(client: Anthropic, session_id: str, **query: Any) -> list[Any]:
    """A session's log."""
    return [strict(event) for event in client.beta.sessions.events.list(session_id, **query)]
