"""LangChain's client for Anthropic."""

from __future__ import annotations

from typing import Any

from langchain_anthropic import ChatAnthropic
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.tools import tool
from pydantic import BaseModel

from tests.gateway import Gateway


class Weather(BaseModel):
    """The weather in a city."""

    city: str
    degrees: int


@tool
def get_weather(city: str) -> str:
    """Tell the weather in a city."""
    return f"7 degrees in {city}"


def chat(gateway: Gateway, **more: Any) -> ChatAnthropic:
    return ChatAnthropic(**{"model": "sonnet", "base_url": gateway.url, "api_key": "unused", **more})


def test_calls_and_what_follows_stay_on_one_process(gateway: Gateway) -> None:
    before = gateway.counter("created"), gateway.counter("reused")
    llm = chat(gateway).bind_tools([get_weather])
    messages: list[BaseMessage] = [HumanMessage("Call get_weather for Bergen.")]
    asked = llm.invoke(messages)
    assert isinstance(asked, AIMessage)
    messages += [asked, get_weather.invoke(asked.tool_calls[0])]
    messages += [llm.invoke(messages), HumanMessage("What did you just say?")]
    said = "".join(str(chunk.text) for chunk in llm.stream(messages))
    assert said == "My last answer was: The tool answered: 7 degrees in Bergen"
    assert (gateway.counter("created"), gateway.counter("reused")) == (before[0] + 1, before[1] + 2)


def test_a_stream_counts_tokens_once(gateway: Gateway) -> None:
    llm = chat(gateway)
    whole = llm.invoke("Say hello.").usage_metadata
    chunks = list(llm.stream("Say hello."))
    total = chunks[0]
    for chunk in chunks[1:]:
        total += chunk
    assert whole is not None
    assert total.usage_metadata is not None
    counts = [(one["input_tokens"], one["output_tokens"]) for one in (whole, total.usage_metadata)]
    assert counts[0] == counts[1]


def test_structured_answers(gateway: Gateway) -> None:
    for method in ("function_calling", "json_schema"):
        llm = chat(gateway).with_structured_output(Weather, method=method)
        assert llm.invoke('It is 7 degrees in "Oslo".') == Weather(city="Oslo", degrees=7)


def test_thinking_comes_and_goes_back(gateway: Gateway) -> None:
    llm = chat(gateway, thinking={"type": "adaptive"})
    before = gateway.counter("reused")
    first = llm.invoke("Think of langchain.")
    assert [block["type"] for block in first.content if isinstance(block, dict)] == ["thinking", "text"]
    llm.invoke([HumanMessage("Think of langchain."), first, HumanMessage("Go on.")])
    assert gateway.counter("reused") == before + 1
