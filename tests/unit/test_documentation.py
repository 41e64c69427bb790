"""Nothing undocumented: every setting, endpoint, error code and command stands in the docs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

import typer
from openai.types.chat.completion_create_params import CompletionCreateParamsStreaming
from openai.types.responses.response_create_params import ResponseCreateParamsStreaming

from claude_code_api import errors
from claude_code_api.api.openai_chat.translate import parse
from claude_code_api.api.openai_chat.wire import ChatRequest
from claude_code_api.api.openai_responses import translate
from claude_code_api.api.openai_responses.wire import ResponsesRequest
from claude_code_api.app import create_app
from claude_code_api.bench import BenchFailed
from claude_code_api.cli import app
from claude_code_api.cli.config import reference
from claude_code_api.config import Settings
from claude_code_api.core.identity import Identity
from claude_code_api.core.models import ModelNames
from claude_code_api.errors import UnsupportedParameter

DOCS = Path(__file__).parents[2] / "docs"
MODELS = ModelNames(default="sonnet", aliases={})


def test_the_settings_page_is_what_the_code_says() -> None:
    assert (DOCS / "settings.md").read_text() == reference()


def test_every_endpoint_is_documented() -> None:
    page = (DOCS / "api.md").read_text() + (DOCS / "managed-agents.md").read_text()
    paths = create_app(Settings(), environ={}).openapi()["paths"]
    endpoints = [f"{method.upper()} {path}" for path, methods in paths.items() for method in methods]
    assert len(endpoints) >= 8
    assert [endpoint for endpoint in endpoints if f"`{endpoint}`" not in page] == []


def test_every_error_code_is_documented() -> None:
    page = (DOCS / "api.md").read_text()
    source = "".join(path.read_text() for path in (DOCS.parent / "src/claude_code_api/api").rglob("*.py"))
    of_commands = {errors.ConfigError.code, BenchFailed.code}  # no request gets these
    codes = {kind.code for kind in _family(errors.GatewayError)} - of_commands
    codes |= set(re.findall(r'_refusal\(\s*\d+,\s*"(\w+)"', source))
    assert len(codes) >= 20
    assert [code for code in sorted(codes) if f"`{code}`" not in page] == []


def test_every_command_is_documented() -> None:
    root = DOCS.parent
    pages = "".join(path.read_text() for path in (*DOCS.rglob("*.md"), root / "README.md", root / "CHANGELOG.md"))
    commands = list(_commands(typer.main.get_command(app), "claude-code-api"))
    assert len(commands) >= 12
    assert [command for command in commands if not re.search(rf"{command}\b", pages)] == []


def test_the_recipes_are_python_and_say_what_was_run() -> None:
    page = (DOCS / "recipes.md").read_text()
    sections = page.split("\n## ")[1:]
    assert len(sections) >= 12
    for section in sections:
        assert re.search(r"^(Run on \d{4}-\d\d-\d\d with \w|Not run: )", section, re.M), section[:40]
    examples = re.findall(r"```python\n(.*?)```", page, re.S)
    assert len(examples) >= 6
    for example in examples:
        compile(example, "recipes.md", "exec")


def _commands(command: Any, name: str) -> Iterator[str]:
    if not hasattr(command, "commands"):
        yield name
        return
    for part, inner in command.commands.items():
        yield from _commands(inner, f"{name} {part}")


def test_every_parameter_of_the_official_client_is_documented() -> None:
    page = (DOCS / "openai-chat.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| (works|ignored|refused) \|", page.split("## Messages")[0], re.M))
    known = set(get_type_hints(CompletionCreateParamsStreaming)) - {"extra_headers", "extra_body"}
    assert len(known) >= 35
    assert known - set(rows) == set()
    assert set(rows) - known == set()


def test_every_parameter_does_what_the_page_says() -> None:
    page = (DOCS / "openai-chat.md").read_text().split("## Messages")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| (works|ignored|refused) \|", page, re.M))
    declared = set(ChatRequest.model_fields) - {"conversation_id"}
    assert {name for name, here in rows.items() if here == "works"} == declared
    assert {name: _effect(name) for name in rows if name not in declared} == {
        name: (here, name) for name, here in rows.items() if here != "works"
    }


def test_every_parameter_of_responses_is_documented() -> None:
    page = (DOCS / "openai-responses.md").read_text().split("## Parameters")[1].split("## Items")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| (works|ignored|refused) \|", page, re.M))
    known = set(get_type_hints(ResponseCreateParamsStreaming)) | {"stream"}
    assert len(known) >= 30
    assert set(rows) == known
    declared = set(ResponsesRequest.model_fields) - {"conversation_id", "presence_penalty", "frequency_penalty"}
    assert {name for name, here in rows.items() if here == "works"} <= declared
    for name, here in rows.items():
        if here != "works":
            assert _effect_on_a_response(name) == (here, name)


def _effect_on_a_response(name: str) -> tuple[str, str | None]:
    value = "gold" if name in ResponsesRequest.model_fields and name not in ("temperature", "top_p") else 1
    body = ResponsesRequest.model_validate({"input": "Hi", name: value})
    try:
        request = translate.parse(body, models=MODELS, identity=Identity())
    except UnsupportedParameter as error:
        return "refused", error.param
    return "ignored", ",".join(request.ignored)


def _effect(name: str) -> tuple[str, str | None]:
    """What becomes of a request with a parameter, and the name that the client is told."""
    body = {"messages": [{"role": "user", "content": "Hi"}], name: 2}
    try:
        request = parse(ChatRequest.model_validate(body), models=MODELS)
    except UnsupportedParameter as error:
        return "refused", error.param
    return "ignored", ",".join(request.ignored)


def _family(root: type[errors.GatewayError]) -> list[type[errors.GatewayError]]:
    return [root, *(kind for child in root.__subclasses__() for kind in _family(child))]
