"""What becomes of an agent: defaults filled in, patches, versions, and what a session takes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from claude_code_api.errors import (
    InvalidMetadata,
    InvalidRequest,
    NotSupported,
    ResourceArchived,
    ResourceNotFound,
    VersionConflict,
)
from claude_code_api.managed import agents
from claude_code_api.managed.agents import Agent, AgentRef
from claude_code_api.managed.metadata import patched
from claude_code_api.managed.paging import Page
from claude_code_api.managed.skills import SkillVersion, StoredSkill, resolved_skills
from claude_code_api.managed.tools import resolved_servers, resolved_tools

MODEL = {"id": "sonnet", "speed": "standard", "inference_geo": None}
GIVEN: Mapping[str, Any] = {"name": "One", "model": MODEL}
TOOLSET = "agent_toolset_20260401"
MCP = {"type": "mcp_toolset", "mcp_server_name": "docs"}
SERVER = {"type": "url", "name": "docs", "url": "https://docs.example/mcp"}


class Books:
    """Agents and one skill, in memory."""

    def __init__(self, *kept: Agent) -> None:
        self.kept = {(agent.id, agent.version): agent for agent in kept}
        self.others: list[Agent] = []

    async def agent(self, tenant: str, agent_id: str, version: int | None = None) -> Agent | None:
        versions = [number for name, number in self.kept if name == agent_id]
        return self.kept.get((agent_id, version or max(versions, default=0)))

    async def add_agent_version(self, tenant: str, agent: Agent) -> bool:
        if self.others:
            other = self.others.pop()
            self.kept[other.id, other.version] = other
        if (agent.id, agent.version) in self.kept:
            return False
        self.kept[agent.id, agent.version] = agent
        return True

    async def skill(self, tenant: str, skill_id: str) -> StoredSkill | None:
        newest = SkillVersion("skillver_2", "skill_1", "pirate", "Arr.", 2)
        return StoredSkill("skill_1", "Pirate", 1, newest) if skill_id == "skill_1" else None

    async def skill_version(self, tenant: str, skill_id: str, version_id: str) -> SkillVersion | None:
        return SkillVersion(version_id, skill_id, "pirate", "Arr.", 1) if version_id == "skillver_1" else None

    async def add_agent(self, tenant: str, agent: Agent) -> None:
        raise NotImplementedError

    async def archive_agent(self, tenant: str, agent_id: str, now: float) -> None:
        raise NotImplementedError

    async def agents(
        self, tenant: str, page: Page, *, archived: bool, since: float | None, until: float | None
    ) -> list[Agent]:
        raise NotImplementedError

    async def agent_versions(self, tenant: str, agent_id: str, *, before: int | None, limit: int) -> list[Agent]:
        raise NotImplementedError

    async def add_skill(self, tenant: str, skill: StoredSkill) -> None:
        raise NotImplementedError

    async def add_skill_version(self, tenant: str, version: SkillVersion) -> bool:
        raise NotImplementedError

    async def skills(self, tenant: str, page: Page) -> list[StoredSkill]:
        raise NotImplementedError

    async def skill_versions(self, tenant: str, skill_id: str, page: Page) -> list[SkillVersion]:
        raise NotImplementedError

    async def delete_skill(self, tenant: str, skill_id: str) -> list[str]:
        raise NotImplementedError

    async def delete_skill_version(self, tenant: str, skill_id: str, version_id: str) -> bool:
        raise NotImplementedError

    async def known_skill_versions(self, version_ids: Any) -> set[str]:
        raise NotImplementedError


def test_a_tool_set_says_of_each_tool_what_goes_for_it() -> None:
    ask, allow = {"type": "always_ask"}, {"type": "always_allow"}
    configs = [{"name": "bash", "enabled": None}, {"name": "read", "permission_policy": allow}]
    tools = resolved_tools(
        [
            {"type": TOOLSET, "default_config": {"enabled": False, "permission_policy": ask}, "configs": configs},
            {**MCP, "default_config": None},
        ]
    )
    assert tools == [
        {
            "type": TOOLSET,
            "default_config": {"enabled": False, "permission_policy": ask},
            "configs": [
                {"name": "bash", "type": "bash", "enabled": False, "permission_policy": ask},
                {"name": "read", "type": "read", "enabled": False, "permission_policy": allow},
            ],
        },
        {**MCP, "default_config": {"enabled": True, "permission_policy": ask}, "configs": []},
    ]
    assert resolved_tools([{"type": TOOLSET}]) == [
        {"type": TOOLSET, "default_config": {"enabled": True, "permission_policy": allow}, "configs": []}
    ]


@pytest.mark.parametrize(
    ("tools", "param"),
    [
        ([{"type": TOOLSET, "configs": [{"name": "bash"}, {"name": "bash"}]}], "tools.0.configs.1.name"),
        ([{"type": TOOLSET, "configs": [{"name": "bash", "type": "read"}]}], "tools.0.configs.0.type"),
        ([MCP, MCP], "tools.1"),
        ([{**MCP, "mcp_server_name": str(number)} for number in range(257)], "tools"),
    ],
)
def test_tools_that_contradict_each_other_are_refused(tools: list[dict[str, Any]], param: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        resolved_tools(tools)
    assert error.value.param == param


@pytest.mark.parametrize("name", ["", "a b", "a__b", "_a", "a_", "client", "x" * 65, "é"])
def test_a_server_whose_tools_could_not_be_told_apart_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        resolved_servers([{**SERVER, "name": name}])
    assert error.value.param == "mcp_servers.0.name"


@pytest.mark.parametrize(
    "url",
    ["", "docs", "ftp://a/", "http://", "http://a b/", "http://a:x/", "http://u:p@a/", "http://a/\n", "http://[/"],
)
def test_a_server_is_reached_by_http_alone(url: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        resolved_servers([{**SERVER, "url": url}])
    assert error.value.param == "mcp_servers.0.url"


def test_a_new_agent_has_everything() -> None:
    agent = agents.made(GIVEN, 5.0)
    assert (agent.version, agent.created_at, agent.updated_at, agent.archived_at) == (1, 5.0, 5.0, None)
    assert agent.definition == {
        "name": "One",
        "model": {**MODEL, "effort": {"type": "high"}},
        "description": None,
        "system": None,
        "tools": [],
        "mcp_servers": [],
        "skills": [],
        "multiagent": None,
        "execution_identity": {"type": "service_account"},
        "metadata": {},
    }


def test_a_patch_replaces_fields_and_merges_metadata_alone() -> None:
    first = agents.made({**GIVEN, "system": "S", "metadata": {"a": "1", "b": "2"}}, 1.0)
    second = agents.changed(first, {"metadata": {"a": None, "c": "3"}, "description": "D"}, 2.0)
    assert (second.version, second.created_at, second.updated_at) == (2, 1.0, 2.0)
    assert second.definition == {**first.definition, "description": "D", "metadata": {"b": "2", "c": "3"}}
    assert first.definition["metadata"] == {"a": "1", "b": "2"}
    assert agents.changed(second, {"description": "D", "metadata": None}, 3.0) is second


def test_another_model_keeps_the_effort_unless_it_brings_one() -> None:
    agent = agents.made({**GIVEN, "model": {**MODEL, "effort": {"type": "max"}}}, 1.0)
    kept = agents.changed(agent, {"model": {**MODEL, "id": "opus"}}, 2.0)
    assert kept.definition["model"] == {**MODEL, "id": "opus", "effort": {"type": "max"}}
    low = agents.changed(agent, {"model": {**MODEL, "effort": {"type": "low"}}}, 2.0)
    assert low.definition["model"]["effort"] == {"type": "low"}


def test_what_does_not_fit_together_after_a_patch_is_refused() -> None:
    agent = agents.made({**GIVEN, "tools": resolved_tools([MCP]), "mcp_servers": resolved_servers([SERVER])}, 1.0)
    with pytest.raises(InvalidRequest) as unused:
        agents.changed(agent, {"tools": []}, 2.0)
    assert unused.value.param == "mcp_servers.0"
    with pytest.raises(InvalidRequest) as unknown:
        agents.changed(agent, {"mcp_servers": []}, 2.0)
    assert unknown.value.param == "tools.0.mcp_server_name"
    assert agents.changed(agent, {"tools": [], "mcp_servers": []}, 2.0).version == 2


async def test_an_update_without_a_version_wins_over_another_one_with_nothing_lost() -> None:
    first = agents.made(GIVEN, 1.0)
    books = Books(first)
    books.others = [agents.changed(first, {"system": "theirs"}, 2.0)]
    done = await agents.update(books, "t", first.id, {"description": "mine"}, version=None, now=3.0)
    assert (done.version, done.definition["system"], done.definition["description"]) == (3, "theirs", "mine")


async def test_an_update_with_a_version_is_refused_when_another_one_came_first() -> None:
    first = agents.made(GIVEN, 1.0)
    books = Books(first)
    books.others = [agents.changed(first, {"system": "theirs"}, 2.0)]
    with pytest.raises(VersionConflict) as conflict:
        await agents.update(books, "t", first.id, {"description": "mine"}, version=1, now=3.0)
    assert "at version 2, not 1" in conflict.value.message


async def test_a_session_takes_a_copy_with_its_own_parts() -> None:
    agent = agents.made({**GIVEN, "system": "S", "metadata": {"a": "b"}}, 1.0)
    books = Books(agent, agents.changed(agent, {"system": "T"}, 2.0))
    taken = await agents.resolve(books, "t", AgentRef(agent.id))
    assert (taken["version"], taken["system"], taken["type"]) == (2, "T", "agent")
    assert {"metadata", "created_at", "updated_at", "archived_at"} & set(taken) == set()
    overrides = {
        "system": None,
        "model": {**MODEL, "id": "haiku"},
        "skills": [{"type": "custom", "skill_id": "skill_1"}],
    }
    other = await agents.resolve(books, "t", AgentRef(agent.id, 1, overrides))
    assert (other["version"], other["system"], other["name"]) == (1, None, "One")
    assert other["model"] == {**MODEL, "id": "haiku", "effort": {"type": "high"}}
    assert other["skills"] == [{"type": "custom", "skill_id": "skill_1", "version": "skillver_2"}]
    with pytest.raises(InvalidRequest) as error:
        await agents.resolve(books, "t", AgentRef(agent.id, None, {"mcp_servers": resolved_servers([SERVER])}))
    assert error.value.param == "agent.mcp_servers.0"


@pytest.mark.parametrize(("ref", "param"), [(AgentRef("agent_x"), "agent_id"), (AgentRef("agent_1", 7), "version")])
async def test_an_agent_that_is_not_there_is_not_found(ref: AgentRef, param: str) -> None:
    with pytest.raises(ResourceNotFound) as error:
        await agents.resolve(Books(replace(agents.made(GIVEN, 1.0), id="agent_1")), "t", ref)
    assert error.value.param == param


async def test_no_session_is_made_of_an_archived_agent() -> None:
    agent = replace(agents.made(GIVEN, 1.0), archived_at=2.0)
    with pytest.raises(ResourceArchived):
        await agents.resolve(Books(agent), "t", AgentRef(agent.id))


async def test_skills_are_kept_at_a_version() -> None:
    named = {"type": "custom", "skill_id": "skill_1"}
    for version, kept in ((None, "skillver_2"), ("latest", "skillver_2"), ("skillver_1", "skillver_1")):
        made = await resolved_skills(Books(), "t", [{**named, "version": version}])
        assert made == [{**named, "version": kept}]
    for skills, kind in (
        ([{"type": "anthropic", "skill_id": "xlsx"}], NotSupported),
        ([{**named, "version": "skillver_9"}], ResourceNotFound),
        ([{**named, "skill_id": "skill_9"}], ResourceNotFound),
        ([named, {**named, "version": "skillver_1"}], InvalidRequest),
    ):
        with pytest.raises(kind) as error:
            await resolved_skills(Books(), "t", skills)
        assert error.value.param == f"skills.{len(skills) - 1}"


def test_metadata_have_limits_after_the_patch() -> None:
    full = {str(number): "" for number in range(16)}
    assert patched(full, {"0": None, "new": "x"}) == {**{k: v for k, v in full.items() if k != "0"}, "new": "x"}
    for patch in ({"new": ""}, {"0": "x" * 513}, {"": "x"}, {"x" * 65: ""}, {"0": "\ud800"}):
        with pytest.raises(InvalidMetadata):
            patched(full, patch)
    assert patched({"a": "1"}, {"a": ""}) == {"a": ""}
    assert patched({"a": "1"}, {"a": ""}, empty_deletes=True) == {}
