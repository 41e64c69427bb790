"""The OpenAI Agents SDK on `/v1/responses`: tools, answers of a type, our own agent, WebSockets, failures.

A run stays on one process, and the model is shown what the SDK sent.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import agents
import openai
import pytest
from agents import (
    Agent,
    ModelSettings,
    OpenAIChatCompletionsModel,
    Runner,
    responses_websocket_session,
)
from openai.types.responses import ResponseFunctionToolCall
from openai.types.shared import Reasoning
from pydantic import BaseModel

from tests.agents_sdk import (
    OSLO,
    QUIET,
    ROME,
    Client,
    Json,
    again,
    calls,
    connected,
    get_weather,
    kinds,
    new_word,
    plain,
    ran,
)
from tests.chat import offered
from tests.conftest import Model
from tests.gateway import Gateway
from tests.items import check_item
from tests.unit.api.openai_responses.folding import told


class Weather(BaseModel):
    city: str
    degrees: int


@pytest.fixture
async def client(gateway: Gateway, model: Model) -> AsyncIterator[Client]:
    async with connected(gateway, model) as client:
        yield client


@pytest.fixture
def word() -> str:
    return new_word()


# Tools


@pytest.mark.parametrize("streamed", [False, True])
async def test_tools_are_called_on_one_process(client: Client, word: str, streamed: bool) -> None:
    agent = client.agent("weather", get_weather)
    result = await ran(agent, f"{word} {OSLO}{ROME}", streamed=streamed)
    assert result.final_output == "The tool answered: 7 degrees in Oslo; 7 degrees in Rome"
    assert kinds(result) == [*["tool_call_item"] * 2, *["tool_call_output_item"] * 2, "message_output_item"]
    first, second = client.tap.take()
    assert offered(first) == offered(second) == {"get_weather": "Tell the weather."}
    assert [one[0] for one in calls(second)] == ["call", "call", "result", "result"]
    more = await ran(agent, again(result, "What did you just say?"), streamed=streamed)
    assert more.final_output == f"My last answer was: {result.final_output}"
    assert client.starts()[1:] == ["live", "live"]
    for response in [*result.raw_responses, *more.raw_responses]:
        assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens > 0
        for item in response.output:
            check_item(item.to_dict(mode="json"), output=True)


@pytest.mark.parametrize("streamed", [False, True])
async def test_thinking_is_a_reasoning_item_and_goes_back(client: Client, word: str, streamed: bool) -> None:
    settings = ModelSettings(reasoning=Reasoning(effort="high", summary="auto"))
    agent = client.agent("weather", get_weather, model_settings=settings)
    result = await ran(agent, f"{word} [[offline: think]] {OSLO}", streamed=streamed)
    assert kinds(result) == ["reasoning_item", "tool_call_item", "tool_call_output_item", *kinds(result)[3:]]
    thought = result.raw_responses[0].output[0].to_dict()
    assert word in json.dumps(thought["summary"])
    more = await ran(agent, again(result, "What is your effort?"), streamed=streamed)
    assert more.final_output == "My effort is high."
    assert client.starts()[1:] == ["live", "live"]


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_answer_is_of_its_type_and_comes_after_calls(client: Client, word: str, streamed: bool) -> None:
    agent = client.agent("weather", get_weather, output_type=Weather)
    result = await ran(agent, f'{word}: it is 7 degrees in "Oslo". {OSLO}', streamed=streamed)
    assert result.final_output == Weather(city="Oslo", degrees=7)
    assert kinds(result) == ["tool_call_item", "tool_call_output_item", "message_output_item"]
    assert client.starts()[1:] == ["live"]


async def test_an_agent_is_a_tool_of_another(client: Client, word: str) -> None:
    inner = client.agent("inner", get_weather)
    tool = inner.as_tool("ask_inner", "Ask it.", run_config=QUIET)
    inner_says = json.dumps({"input": f"{word} weather of Oslo"})
    result = await ran(client.agent("outer", tool), f"{word} [[offline: call ask_inner {inner_says}]]")
    assert "7 degrees in" in result.final_output
    by_conversation: dict[str, list[str]] = {}
    for one in client.responses():
        by_conversation.setdefault(one.headers["x-conversation-id"], []).append(one.headers["x-session-start"])
    assert [starts[1:] for starts in by_conversation.values()] == [["live"], ["live"]]


async def test_a_call_waits_for_the_users_leave(client: Client, word: str) -> None:
    @agents.function_tool(needs_approval=True)
    def sell(share: str) -> str:
        """Sell it."""
        return f"sold {share}"

    agent = client.agent("broker", sell)
    asked = await Runner.run(agent, f'{word} [[offline: call sell {{"share": "X"}}]]', run_config=QUIET)
    state = asked.to_state()
    (waiting,) = asked.interruptions
    state.approve(waiting)
    result = await Runner.run(agent, state, run_config=QUIET)
    assert result.final_output == "The tool answered: sold X"
    assert client.starts()[1:] == ["live"]


async def test_nothing_is_kept_without_store_and_the_process_goes_on(client: Client, word: str) -> None:
    settings = ModelSettings(
        store=False, response_include=["reasoning.encrypted_content"], reasoning=Reasoning(summary="auto")
    )
    agent = client.agent("weather", get_weather, model_settings=settings)
    result = await ran(agent, f"{word} [[offline: think]] {OSLO}")
    assert "7 degrees" in result.final_output
    await ran(agent, again(result, "And what more?"))
    assert [one.headers["x-session-start"] for one in client.responses()][1:] == ["live", "live"]
    assert [one for one in client.tap.take()[-1]["messages"] if '"thinking"' in json.dumps(one["content"])]
    with pytest.raises(openai.NotFoundError):
        await client.sdk.responses.retrieve(result.last_response_id or "")


async def test_the_chat_model_does_the_same(client: Client, word: str) -> None:
    model = OpenAIChatCompletionsModel("sonnet", client.sdk)
    agent: Agent[None] = Agent(name="chat", instructions="Be brief.", model=model, tools=[get_weather])
    for streamed in (False, True):
        client.exchanges.clear()
        result = await Runner.run(agent, f"{word} {streamed} {OSLO}", run_config=QUIET)
        await Runner.run(agent, again(result, "What did you just say?"), run_config=QUIET)
        made = client.responses("/v1/chat/completions")
        assert [one.headers["x-session-start"] for one in made][1:] == ["live", "live"]
        assert len({one.headers["x-conversation-id"] for one in made}) == 1


# An agent of ours


@pytest.mark.parametrize("streamed", [False, True])
async def test_what_our_agent_does_itself_is_told_and_not_done_again(client: Client, word: str, streamed: bool) -> None:
    done: list[str] = []

    @agents.function_tool(name_override="Bash")
    def bash(command: str) -> str:
        """Run it."""
        done.append(command)
        return "from the client"

    agent = client.agent("own", bash, model="agent/sonnet")
    text = f'{word} [[offline: call Bash {{"command": "echo {word}"}}]]'
    result = await ran(agent, text, streamed=streamed, auto_previous_response_id=True)
    assert kinds(result) == ["tool_call_item", "message_output_item"]
    item = result.raw_responses[0].output[0]
    assert not isinstance(item, ResponseFunctionToolCall)
    call = item.to_dict(mode="json")
    check_item(call, output=True)
    assert (call["type"], call["name"], call["output"]) == ("mcp_call", "Bash", word)
    assert (result.final_output, done) == (f"The tool answered: {word}", [])
    assert len(client.responses()) == 1
    last, question = result.last_response_id, "What did you just say?"
    more = await ran(agent, question, streamed=streamed, previous_response_id=last)
    assert more.final_output == f"My last answer was: {result.final_output}"
    assert client.starts()[1:] == ["live"]
    begun = client.conversation
    history = await ran(agent, again(result, question), streamed=streamed)
    assert history.final_output == more.final_output
    assert client.conversation != begun  # an agent with its files is not found by words


# WebSockets


async def test_a_websocket_session_stays_on_one_process(client: Client, gateway: Gateway, word: str) -> None:
    def sessions() -> dict[str, Json]:
        return {one["id"]: one for one in gateway.http.get("/v1/sessions").json()["data"]}

    before = sessions()
    agent: Agent[None] = Agent(name="weather", instructions="Be brief.", model="sonnet", tools=[get_weather])
    async with responses_websocket_session(api_key="unused", base_url=f"{gateway.url}/v1") as socket:
        first = await socket.run(agent, f"Remember the word {word}. {OSLO}{ROME}", auto_previous_response_id=True)
        (made,) = sessions().keys() - before.keys()
        pid = gateway.pid(made)
        running = socket.run_streamed(agent, "What did you just say?", previous_response_id=first.last_response_id)
        events = [event.data async for event in running.stream_events() if event.type == "raw_response_event"]
        told([plain(event) for event in events])
        question = "Which word did I ask you to remember?"
        last = await socket.run(agent, question, previous_response_id=running.last_response_id)
    assert first.final_output == "The tool answered: 7 degrees in Oslo; 7 degrees in Rome"
    assert running.final_output == f"My last answer was: {first.final_output}"
    assert word in last.final_output
    assert (sessions().keys() - before.keys(), gateway.pid(made)) == ({made}, pid)
    assert gateway.session(made)["turns"] == 4


# Failures


async def test_a_model_that_is_not_there_is_said_to_be_so(client: Client, gateway: Gateway) -> None:
    with pytest.raises(openai.NotFoundError, match="gpt 17"):
        await ran(client.agent(model="gpt 17"), "Hello.")
    with pytest.raises(openai.NotFoundError, match="gpt 17"):
        await ran(client.agent(model="gpt 17"), "Hello.", streamed=True)
    async with responses_websocket_session(api_key="unused", base_url=f"{gateway.url}/v1") as socket:
        lost: Agent[None] = Agent(name="lost", model="gpt 17")
        with pytest.raises(Exception, match="gpt 17"):
            await socket.run(lost, "Hello.")
        found = await socket.run(Agent(name="found", model="sonnet"), "Remember the word heron.")
        assert "heron" in found.final_output


async def test_an_answer_that_breaks_fails_the_run(client: Client, word: str) -> None:
    with pytest.raises(Exception, match="broke in the middle"):
        await ran(client.agent(), f"{word} [[offline: words 40]] [[offline: overloaded]]", streamed=True)


async def test_an_answer_that_is_cut_fails_the_run(client: Client, word: str) -> None:
    agent = client.agent(model_settings=ModelSettings(max_tokens=5))
    with pytest.raises(Exception, match="max_output_tokens"):
        await ran(agent, f"{word} [[offline: words 40]]")
