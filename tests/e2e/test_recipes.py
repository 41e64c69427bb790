"""The examples that need nothing but the official client run as they are printed."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.gateway import Gateway

ROOT = Path(__file__).parents[2]


def test_the_examples_of_the_official_client_run(
    start_gateway: Callable[..., Gateway], capsys: pytest.CaptureFixture[str]
) -> None:
    gateway = start_gateway()
    page = (ROOT / "docs/recipes.md").read_text()
    printed = "".join(section for section in page.split("\n## ") if section.startswith("OpenAI SDK"))
    examples = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text() + printed, re.S)
    assert len(examples) == 5
    names: dict[str, object] = {}  # the README's second one goes on from its first
    for example in examples:
        exec(example.replace("http://localhost:8000", gateway.url), names)
    assert capsys.readouterr().out.count("The word is heron") == 2
    sessions = gateway.http.get("/v1/sessions").json()["data"]
    assert sorted((one["id"].partition("_")[0], one["turns"]) for one in sessions) == [
        ("conv", 1),
        ("conv", 2),
        ("conv", 2),
        ("my-session-123", 1),
        ("openai-sdk", 2),
    ]
