"""Where runs of the OpenAI Agents SDK go on: histories, previous responses, conversations, sessions, hand-offs.

A conversation stays on one process, and the model is shown what is kept of it.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import agents
import pytest
from agents import (
    ModelSettings,
    OpenAIConversationsSession,
    OpenAIResponsesCompactionSession,
)

from tests.agents_sdk import (
    CALL,
    OSLO,
    RESULT,
    Client,
    Json,
    calls,
    connected,
    get_time,
    get_weather,
    new_word,
    ran,
)
from tests.chat import offered, shown
from tests.conftest import Model
from tests.gateway import Gateway
from tests.items import assert_known, check_item

HAND_OFF = "[[offline: call transfer_to_clock {}]]"


@pytest.fixture
async def client(gateway: Gateway, model: Model) -> AsyncIterator[Client]:
    async with connected(gateway, model) as client:
        yield client


@pytest.fixture
def word() -> str:
    return new_word()


# Where a run goes on


async def how_it_goes_on(client: Client, how: str) -> Json:
    if how == "conversation":
        return {"conversation_id": (await client.sdk.conversations.create()).id}
    return {"auto_previous_response_id": True} if how == "previous response" else {}


@pytest.mark.parametrize("how", ["history", "previous response", "conversation"])
async def test_a_hand_off_goes_on_in_the_conversation(client: Client, word: str, how: str) -> None:
    forced = ModelSettings(tool_choice="required")  # the SDK takes that back once a tool was called
    clock = client.agent("clock", get_time, model_settings=forced)
    triage = client.agent("triage", get_weather, handoffs=[clock])
    more = await how_it_goes_on(client, how)
    result = await ran(triage, f'{word} at "UTC" {OSLO} {HAND_OFF}', **more)
    assert (result.last_agent.name, result.final_output) == ("clock", "The tool answered: noon in UTC")
    assert client.starts()[1:] == ["resumed", "live"]  # another system prompt takes another process
    first, second, third = client.tap.take()
    assert set(offered(first)) == {"get_weather", "transfer_to_clock"}
    assert set(offered(second)) == set(offered(third)) == {"get_time"}
    assert "You are triage." in json.dumps(first["system"])
    assert "You are triage." not in json.dumps(second["system"])
    assert "You are clock." in json.dumps(second["system"])
    handed = ("call", "transfer_to_clock", "{}"), ("result", "transfer_to_clock", '{"assistant": "clock"}')
    assert calls(second) == [CALL, handed[0], RESULT, handed[1]]
    assert calls(third)[4:] == [("call", "get_time", '{"zone": "UTC"}'), ("result", "get_time", "noon in UTC")]


async def test_a_response_goes_on_and_two_from_one_are_branches(client: Client, word: str) -> None:
    agent = client.agent("weather", get_weather)
    first = await ran(agent, f"Remember the word {word}. {OSLO}", auto_previous_response_id=True)
    assert len(client.responses()[1].sent["input"]) == 1
    begun = client.conversation
    question = "Which word did I ask you to remember?"
    for expected in ("live", None):
        branch = await ran(agent, question, previous_response_id=first.last_response_id)
        assert word in branch.final_output
        assert client.responses()[-1].sent["input"] == [{"role": "user", "content": question}]
        if expected is not None:
            assert (client.conversation, client.responses()[-1].headers["x-session-start"]) == (begun, expected)
    assert client.conversation != begun
    assert shown(client.tap.take()[-1]).count(("user", question)) == 1


async def test_a_conversation_takes_the_new_items_alone(client: Client, gateway: Gateway, word: str) -> None:
    named = (await client.sdk.conversations.create()).id
    agent = client.agent("weather", get_weather)
    await ran(agent, f"Remember the word {word}. {OSLO}", conversation_id=named)
    pid = gateway.pid(named)
    result = await ran(agent, "Which word did I ask you to remember?", conversation_id=named, streamed=True)
    assert word in result.final_output
    assert [len(one.sent["input"]) for one in client.responses()] == [1, 1, 1]
    assert (client.conversation, client.starts()[1:], gateway.pid(named)) == (named, ["live", "live"], pid)
    listed = [item async for item in client.sdk.conversations.items.list(named, order="asc")]
    assert [item.type for item in listed] == [
        "message",
        "function_call",
        "function_call_output",
        "message",
        "message",
        "message",
    ]


# Sessions


async def test_a_session_keeps_the_items_of_several_runs(client: Client, word: str) -> None:
    session = OpenAIConversationsSession(openai_client=client.sdk)
    agent = client.agent("weather", get_weather)
    for text in (
        f"Remember the word {word}. {OSLO}",
        "What did you just say?",
        "Which word did I ask you to remember?",
    ):
        result = await ran(agent, text, session=session)
    assert word in result.final_output
    assert client.starts()[1:] == ["live"] * 3
    items: Any = await session.get_items()
    assert [item.get("role", item["type"]) for item in items] == [
        *("user", "function_call", "function_call_output", "assistant"),
        *("user", "assistant") * 2,
    ]
    for item in items:
        check_item(item)
    for item in [item async for item in client.sdk.conversations.items.list(session.session_id)]:
        assert_known(item)
    assert await session.get_items(limit=2) == items[-2:]


async def test_what_is_popped_from_a_session_is_forgotten(client: Client, gateway: Gateway, word: str) -> None:
    session = OpenAIConversationsSession(openai_client=client.sdk)
    agent = client.agent("weather", get_weather)
    await ran(agent, f"Remember the word {word}. {OSLO}", session=session)
    await ran(agent, "Remember the word ostrich.", session=session)
    items: Any = await session.get_items()
    assert await session.pop_item() == items[-1]
    assert await session.pop_item() == items[-2]
    client.tap.take()
    result = await ran(agent, "Which word did I ask you to remember?", session=session)
    assert word in result.final_output
    assert "ostrich" not in json.dumps(client.tap.only()["messages"])
    other = OpenAIConversationsSession(conversation_id=session.session_id, openai_client=client.sdk)
    assert (await other.get_items())[:4] == items[:4]
    assert len(await other.get_items()) == 6
    while await session.pop_item():
        pass
    assert await other.get_items() == []


async def test_a_session_that_is_cleared_begins_anew(client: Client, gateway: Gateway, word: str) -> None:
    session = OpenAIConversationsSession(openai_client=client.sdk)
    agent = client.agent("plain")
    await ran(agent, f"Remember the word {word}.", session=session)
    before = session.session_id
    await session.clear_session()
    assert gateway.http.get(f"/v1/conversations/{before}").status_code == 404
    result = await ran(agent, f"Hello, {word}! Which number did I ask you to remember?", session=session)
    assert result.final_output == "You have not told me that."
    assert session.session_id != before


async def test_a_session_that_is_compacted(client: Client, word: str) -> None:
    session = OpenAIResponsesCompactionSession(
        word, agents.SQLiteSession(word), client=client.sdk, model="gpt-4o", should_trigger_compaction=lambda _: False
    )
    agent = client.agent("plain")
    await ran(agent, f"Remember the word {word}.", session=session)
    await session.run_compaction({"force": True})
    assert [item["type"] for item in await session.get_items() if "type" in item][-1:] == ["compaction"]
    result = await ran(agent, "Which word did I ask you to remember?", session=session)
    assert word in result.final_output
