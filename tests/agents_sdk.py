"""The OpenAI Agents SDK as the tests use it: what it sends is kept, and what it gets is checked on its way in."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import agents
import openai
from agents import Agent, OpenAIResponsesModel, RunConfig, Runner
from agents.result import RunResultBase
from agents.tool import FunctionTool
from openai import AsyncOpenAI
from pydantic import BaseModel

from tests.chat import Tap, shown
from tests.conftest import Model
from tests.gateway import Gateway
from tests.unit.api.openai_responses.folding import check_response, told

Json = dict[str, Any]
QUIET = RunConfig(tracing_disabled=True)
OSLO, ROME = (f'[[offline: call get_weather {{"city": "{city}"}}]]' for city in ("Oslo", "Rome"))
CALL, RESULT = ("call", "get_weather", '{"city": "Oslo"}'), ("result", "get_weather", "7 degrees in Oslo")


@agents.function_tool
def get_weather(city: str) -> str:
    """Tell the weather."""
    return f"7 degrees in {city}"


@agents.function_tool
def get_time(zone: str) -> str:
    """Tell the time."""
    return f"noon in {zone}"


@dataclass
class Exchange:
    """One request, and what came back of it but its body."""

    method: str
    path: str
    sent: Any
    headers: Any


@dataclass
class Client:
    """The SDK's client; its HTTP exchanges, and the requests that the model got."""

    sdk: AsyncOpenAI
    tap: Tap
    exchanges: list[Exchange] = field(default_factory=list)

    def responses(self, path: str = "/v1/responses") -> list[Exchange]:
        """The requests for responses."""
        return [one for one in self.exchanges if (one.method, one.path) == ("POST", path)]

    def model(self, name: str = "sonnet") -> OpenAIResponsesModel:
        return OpenAIResponsesModel(name, self.sdk)

    def agent(self, name: str = "weather", *tools: FunctionTool, model: str = "sonnet", **more: Any) -> Agent[None]:
        return Agent(name=name, instructions=f"You are {name}.", model=self.model(model), tools=[*tools], **more)

    def starts(self) -> list[str]:
        """How each response began; all are of one conversation."""
        assert len({one.headers["x-conversation-id"] for one in self.responses()}) == 1
        return [one.headers["x-session-start"] for one in self.responses()]

    @property
    def conversation(self) -> str:
        """The last response's."""
        name: str = self.responses()[-1].headers["x-conversation-id"]
        return name


@asynccontextmanager
async def connected(gateway: Gateway, model: Model) -> AsyncIterator[Client]:
    """Connect one, which checks what comes."""
    exchanges: list[Exchange] = []

    async def note(response: Any) -> None:
        content = response.request.content
        sent = json.loads(content) if content else None
        exchanges.append(Exchange(response.request.method, response.request.url.path, sent, response.headers))
        if response.request.url.path == "/v1/responses" and not (sent or {}).get("stream") and response.is_success:
            check_response(json.loads(await response.aread()))

    http = openai.DefaultAsyncHttpxClient(event_hooks={"response": [note]})
    async with AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key="unused", max_retries=0, http_client=http) as sdk:
        yield Client(sdk, Tap(model), exchanges)


def new_word() -> str:
    """What makes a conversation one that nobody else had."""
    return f"w{uuid4().hex}".translate(str.maketrans("0123456789", "ghijklmnop"))


async def ran(agent: Agent[None], said: Any, *, streamed: bool = False, **more: Any) -> RunResultBase:
    """Run an agent; what is streamed is folded, and has to be what the events of a response may be."""
    if not streamed:
        return await Runner.run(agent, said, run_config=QUIET, **more)
    running = Runner.run_streamed(agent, said, run_config=QUIET, **more)
    events: list[Json] = []
    async for event in running.stream_events():
        if event.type == "raw_response_event":
            events.append(plain(event.data))
            if events[-1]["type"] == "response.completed":
                told(events)
                events = []
    assert events == []
    return running


def plain(event: BaseModel) -> Json:
    """An event as it came: the SDK makes floats of the seconds."""
    text = event.model_dump_json(exclude_unset=True, by_alias=True)
    event_as_it_came: Json = json.loads(text, parse_float=lambda one: int(float(one)))
    return event_as_it_came


def kinds(result: RunResultBase) -> list[str]:
    return [item.type for item in result.new_items]


def again(result: RunResultBase, text: str) -> list[Any]:
    """The history, and what the user says next."""
    return [*result.to_input_list(), {"role": "user", "content": text}]


def calls(body: Json) -> list[tuple[str, ...]]:
    """The calls that a request showed the model, and their results."""
    names = {one[1]: one[2] for one in shown(body) if one[0] == "call"}
    seen = [one for one in shown(body) if one[0] in ("call", "result")]
    return [(one[0], one[2], one[3]) if one[0] == "call" else (one[0], names[one[1]], one[2]) for one in seen]
