"""The examples that need nothing but OpenAI's own clients run as they are printed."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.gateway import Gateway

ROOT = Path(__file__).parents[2]


def test_the_examples_of_anthropics_clients_run(
    start_gateway: Callable[..., Gateway], capsys: pytest.CaptureFixture[str]
) -> None:
    gateway = start_gateway()
    page = (ROOT / "docs/recipes.md").read_text()
    sections = [one for one in page.split("\n## ") if one.startswith(("Anthropic SDK", "LangChain with ChatAnthropic"))]
    first = re.findall(r"```python\n(from .*?)```", (ROOT / "docs/anthropic-messages.md").read_text(), re.S)[:1]
    examples = first + re.findall(r"```python\n(.*?)```", "".join(sections), re.S)
    assert len(examples) == 3
    for example in examples:
        exec(example.replace("http://localhost:8000", gateway.url), {})
    printed = capsys.readouterr().out
    assert printed.count("The word is heron") == 2
    assert "The number is 42" in printed
    assert "The tool answered: 7 degrees in Oslo\n" in printed
    assert printed.count("city='Oslo' degrees=7") == 2
    assert "My last answer was: The tool answered: 7 degrees in Oslo" in printed
    assert gateway.session("anthropic-sdk")["turns"] == 2


def test_the_examples_of_the_official_clients_run(
    start_gateway: Callable[..., Gateway], capsys: pytest.CaptureFixture[str]
) -> None:
    gateway = start_gateway()
    page = (ROOT / "docs/recipes.md").read_text()
    sections = [one for one in page.split("\n## ") if one.startswith(("OpenAI SDK", "OpenAI Agents SDK"))]
    examples = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text() + "".join(sections), re.S)
    assert len(examples) == 7
    names: dict[str, object] = {}  # the README's second one goes on from its first
    for example in examples:
        exec(example.replace("http://localhost:8000", gateway.url), names)
    printed = capsys.readouterr().out
    assert printed.count("The word is heron") == 3
    assert "My last answer was: The tool answered: 7 degrees in" in printed
    sessions = gateway.http.get("/v1/sessions").json()["data"]
    assert sorted((one["id"].partition("_")[0], one["turns"]) for one in sessions) == [
        ("conv", 0),  # what the session of the Agents SDK keeps
        ("conv", 1),
        ("conv", 1),
        ("conv", 2),
        ("conv", 2),
        ("conv", 2),
        ("conv", 3),
        ("my-session-123", 1),
        ("openai-sdk", 2),
    ]
