"""Managed Agents: every endpoint and event that the official SDK knows stands in the docs, and does what they say."""

from __future__ import annotations

import inspect
import re
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

from anthropic import Anthropic, BaseModel
from anthropic.types.beta.sessions import (
    BetaManagedAgentsEventParams,
    BetaManagedAgentsSessionEvent,
    BetaManagedAgentsStreamSessionEvents,
)
from starlette.routing import BaseRoute, Match

from claude_code_api.api.managed_agents.unsupported import UNSUPPORTED
from claude_code_api.app import create_app
from claude_code_api.config import Settings

PAGE = Path(__file__).parents[2] / "docs" / "managed-agents.md"
RESOURCES = (
    *("agents", "environments", "sessions", "files", "skills"),
    *("vaults", "memory_stores", "deployments", "deployment_runs", "dreams"),
)
_CALL = re.compile(r"self\._(get|post|delete|get_api_list)\(\s*(?:path_template\(\s*)?\"(/v1/[^\"?]*)\"")


def sdk_endpoints() -> dict[str, str]:
    """The endpoints that the SDK calls, `METHOD /path`, and its methods for them."""
    found: dict[str, str] = {}
    for name in RESOURCES:
        _gather(getattr(Anthropic(api_key="unused").beta, name), name, found)
    return found


def _gather(resource: Any, name: str, found: dict[str, str]) -> None:
    for attribute, member in vars(type(resource)).items():
        if isinstance(member, cached_property):
            if not attribute.startswith("with_"):
                _gather(getattr(resource, attribute), f"{name}.{attribute}", found)
        elif inspect.isfunction(member) and (call := _CALL.search(inspect.getsource(member))):
            method = "GET" if call[1] == "get_api_list" else call[1].upper()
            found[f"{method} {call[2]}"] = f"{name}.{attribute}"


def rows(heading: str) -> dict[str, tuple[str, ...]]:
    """The rows of the table below a heading, by their first cell."""
    section = PAGE.read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if "| `" in line]
    table = {cell[0].strip("`"): tuple(cell[1:]) for cell in cells if cell[0].startswith("`")}
    assert len(table) == len(cells)
    return table


def test_every_endpoint_of_the_sdk_is_listed_with_its_method() -> None:
    known = sdk_endpoints()
    assert len(known) >= 90
    assert {endpoint: row[0].strip("`") for endpoint, row in rows("Endpoints").items()} == known


def test_every_endpoint_is_here_or_says_that_it_is_not() -> None:
    listed = rows("Endpoints")
    refused = {endpoint for feature in UNSUPPORTED for endpoint in feature.endpoints}
    assert refused <= {endpoint for endpoint, row in listed.items() if row[1] == "refused"}
    assert {row[1] for row in listed.values()} == {"works", "refused"}
    routes = create_app(Settings(), environ={}).routes
    assert [endpoint for endpoint in listed if not any(_serves(route, endpoint) for route in routes)] == []


def _serves(route: BaseRoute, endpoint: str) -> bool:
    method, path = endpoint.split()
    headers = [(b"anthropic-beta", b"managed-agents-2026-04-01")]
    scope = {"type": "http", "method": method, "path": re.sub(r"\{\w+\}", "x", path), "headers": headers}
    return route.matches(scope)[0] == Match.FULL


def test_what_to_do_instead_stands_in_the_docs() -> None:
    page = " ".join(PAGE.read_text().split())
    for feature in UNSUPPORTED:
        assert feature.advice.replace("`", "") in page.replace("`", ""), feature.what


def types_in(union: Any) -> set[str]:
    """The `type`s of an union's members."""
    if get_origin(union) is Annotated:
        union = get_args(union)[0]
    found: set[str] = set()
    for member in get_args(union):
        is_model = inspect.isclass(member) and issubclass(member, BaseModel)
        kind = member.model_fields["type"].annotation if is_model else inspect.get_annotations(member)["type"]
        found |= set(re.findall(r"'([a-z_.]+)'|\"([a-z_.]+)\"", str(kind))[0])
    return found - {""}


def test_every_event_of_the_sdk_is_listed() -> None:
    listed = rows("Events")
    sent, told = types_in(BetaManagedAgentsEventParams), types_in(BetaManagedAgentsSessionEvent)
    streamed = types_in(BetaManagedAgentsStreamSessionEvents)
    assert len(told) >= 40
    assert len(sent) >= 7
    assert set(listed) == sent | told | streamed
    assert {row[0] for row in listed.values()} == {"works", "refused", "never"}
    assert {kind for kind in listed if listed[kind][0] == "refused"} <= sent
