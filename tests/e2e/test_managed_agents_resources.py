"""Agents, environments, files and skills with the official Anthropic SDK, over a real socket."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anthropic
import httpx
import pytest
from anthropic import Anthropic
from anthropic.lib import files_from_dir

from tests.anthropic_strict import strict
from tests.conftest import Model, Starts
from tests.gateway import Gateway, eventually
from tests.integration.test_keys import make
from tests.resources import SKILL, refusal, sdk, skill_dir

TOOLS: list[Any] = [
    {
        "type": "agent_toolset_20260401",
        "default_config": {"permission_policy": {"type": "always_ask"}},
        "configs": [{"name": "read", "permission_policy": {"type": "always_allow"}}, {"name": "web_fetch"}],
    },
    {"type": "mcp_toolset", "mcp_server_name": "docs", "configs": [{"name": "search", "enabled": False}]},
    {
        "type": "custom",
        "name": "get_weather",
        "description": "The weather of a city.",
        "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
]
SERVERS: list[Any] = [{"type": "url", "name": "docs", "url": "https://docs.example/mcp"}]


@pytest.fixture
def client(gateway: Gateway) -> Iterator[Anthropic]:
    with sdk(gateway) as client:
        yield client


def test_an_agent_is_kept_with_everything_that_was_left_to_a_default(client: Anthropic) -> None:
    made = strict(
        client.beta.agents.create(
            name="Helper", model="sonnet", system="Be brief.", tools=TOOLS, mcp_servers=SERVERS, metadata={"a": "b"}
        )
    )
    assert strict(client.beta.agents.retrieve(made.id)) == made
    assert (made.version, made.name, made.description, made.system) == (1, "Helper", None, "Be brief.")
    assert made.model.to_dict() == {
        "id": "sonnet",
        "effort": {"type": "high"},
        "speed": "standard",
        "inference_geo": None,
    }
    ask, allow = {"type": "always_ask"}, {"type": "always_allow"}
    toolset, mcp, custom = (tool.to_dict() for tool in made.tools)
    assert toolset["default_config"] == {"enabled": True, "permission_policy": ask}
    assert toolset["configs"] == [
        {"name": "read", "type": "read", "enabled": True, "permission_policy": allow},
        {"name": "web_fetch", "type": "web_fetch", "enabled": True, "permission_policy": ask, "url_sources": None},
    ]
    assert mcp["default_config"] == {"enabled": True, "permission_policy": ask}
    assert mcp["configs"] == [{"name": "search", "enabled": False, "permission_policy": ask}]
    assert custom == TOOLS[2]
    assert (made.execution_identity.type, made.multiagent, made.skills) == ("service_account", None, [])


def test_a_change_makes_the_next_version_and_the_earlier_ones_stay(client: Anthropic) -> None:
    model: Any = {"id": "opus", "effort": "max"}
    first = client.beta.agents.create(name="One", model=model, tools=TOOLS, mcp_servers=SERVERS, metadata={"a": "1"})
    second = strict(
        client.beta.agents.update(first.id, version=1, model="haiku", system="New.", metadata={"a": None, "b": "2"})
    )
    assert (second.version, second.system, second.metadata, second.name) == (2, "New.", {"b": "2"}, "One")
    assert (second.model.id, second.model.effort) == ("haiku", first.model.effort)
    assert second.tools == first.tools
    assert second.updated_at > first.updated_at
    assert second.created_at == first.created_at
    assert strict(client.beta.agents.retrieve(first.id, version=1)) == first
    same = client.beta.agents.update(first.id, system="New.")
    assert same == second
    third = client.beta.agents.update(first.id, tools=None, mcp_servers=[], system="")
    assert (third.version, third.tools, third.mcp_servers, third.system) == (3, [], [], None)
    versions = client.beta.agents.versions.list(first.id, limit=2)
    assert [one.version for one in versions.data] == [3, 2]
    assert [strict(one).version for one in versions] == [3, 2, 1]


def test_a_change_that_goes_by_an_old_version_is_refused_and_not_tried_again(gateway: Gateway) -> None:
    with sdk(gateway).with_options(max_retries=2) as client:
        agent = client.beta.agents.create(name="One", model="sonnet")
        client.beta.agents.update(agent.id, version=1, name="Two")
        with pytest.raises(anthropic.ConflictError) as error:
            client.beta.agents.update(agent.id, version=1, name="Three")
        assert refusal(error)[:2] == (409, "conflict_error")
        assert error.value.request.headers["x-stainless-retry-count"] == "0"
        assert client.beta.agents.retrieve(agent.id).name == "Two"


def test_changes_at_once_all_count(gateway: Gateway) -> None:
    with sdk(gateway) as client, ThreadPoolExecutor(6) as threads:
        agent = client.beta.agents.create(name="One", model="sonnet")

        def change(number: int) -> int:
            return client.beta.agents.update(agent.id, metadata={str(number): "done"}).version

        assert sorted(threads.map(change, range(6))) == [2, 3, 4, 5, 6, 7]
        assert set(client.beta.agents.retrieve(agent.id).metadata) == set("012345")


def test_an_archived_agent_stays_as_it_is(client: Anthropic) -> None:
    agent = client.beta.agents.create(name="Old", model="sonnet")
    archived = strict(client.beta.agents.archive(agent.id))
    assert archived.archived_at is not None
    assert client.beta.agents.archive(agent.id) == archived
    with pytest.raises(anthropic.BadRequestError, match="is archived"):
        client.beta.agents.update(agent.id, name="New")
    assert agent.id not in {one.id for one in client.beta.agents.list(limit=100)}
    assert agent.id in {one.id for one in client.beta.agents.list(limit=100, include_archived=True)}


def test_lists_go_page_by_page_and_by_time(client: Anthropic) -> None:
    made = [client.beta.agents.create(name=f"Agent {number}", model="sonnet") for number in range(5)]
    page = client.beta.agents.list(limit=2, created_at_gte=made[0].created_at, created_at_lte=made[3].created_at)
    assert [one.id for one in page.data] == [made[3].id, made[2].id]
    assert page.next_page is not None
    assert page.next_page.startswith("page_")
    assert [strict(one).id for one in page] == [made[number].id for number in (3, 2, 1, 0)]
    with pytest.raises(anthropic.BadRequestError, match="next_page"):
        client.beta.agents.list(page="page_nonsense")
    with pytest.raises(anthropic.BadRequestError, match="limit"):
        client.beta.agents.list(limit=101)
    with pytest.raises(anthropic.BadRequestError, match=r"created_at\[gte\]: "):
        client.beta.agents.list(extra_query={"created_at[gte]": "yesterday"})


TOOLSET: dict[str, Any] = {"type": "agent_toolset_20260401"}


@pytest.mark.parametrize(
    ("more", "words", "code"),
    [
        ({"name": " "}, "^name must not be empty", None),
        ({"model": "gpt 99"}, "^The model 'gpt 99' is not known", None),
        ({"model": {"id": "sonnet", "speed": "fast"}}, "^model.speed: 'fast' is not supported", "not_supported"),
        ({"model": {"id": "sonnet", "inference_geo": "us"}}, "^model.inference_geo is not", "not_supported"),
        ({"model": {"id": "sonnet", "effort": "huge"}}, "^model.effort: Input should be 'low'", None),
        ({"multiagent": {"type": "coordinator", "agents": ["a"]}}, "^multiagent is not", "not_supported"),
        ({"execution_identity": {"type": "aws_role", "role_arn": "x"}}, "^execution_identity: 'aws", "not_supported"),
        ({"tools": [{"type": "bash_20250124", "name": "bash"}]}, "^tools.0.type: 'bash_20250124'", "not_supported"),
        ({"tools": [TOOLSET, TOOLSET]}, "^tools.1: 'agent_toolset_20260401' is there twice", None),
        (
            {"tools": [{**TOOLSET, "configs": [{"name": "bash", "permission_policy": {"type": "auto"}}]}]},
            "^tools.0.configs.0.permission_policy: the policy 'auto'",
            "not_supported",
        ),
        (
            {"tools": [{**TOOLSET, "configs": [{"name": "web_fetch", "allowed_domains": ["a.example"]}]}]},
            "^tools.0.configs.0.allowed_domains is not supported",
            "not_supported",
        ),
        ({"tools": [{**TOOLSET, "configs": [{"name": "fly"}]}]}, "^tools.0.configs.0.name: Input should be", None),
        ({"tools": [{**TOOLSET, "speed": 1}]}, "^tools.0.speed: Extra inputs", None),
        ({"tools": [{**TOOLS[2], "name": "bash"}, TOOLSET]}, "^tools.1: 'bash' is there twice", None),
        ({"tools": [{**TOOLS[2], "name": "a b"}]}, "tools.0.name", None),
        ({"tools": [{**TOOLS[2], "input_schema": {"type": "array"}}]}, "Invalid schema for function", None),
        ({"tools": [TOOLS[1]]}, "^tools.0.mcp_server_name: 'docs' is none", None),
        ({"mcp_servers": SERVERS}, "^mcp_servers.0: nothing in tools uses", None),
        ({"tools": [TOOLS[1]], "mcp_servers": SERVERS * 2}, "^mcp_servers.1.name: there are two", None),
        ({"mcp_servers": [{**SERVERS[0], "name": "a__b"}]}, "^mcp_servers.0.name: Claude Code names", None),
        ({"mcp_servers": [{**SERVERS[0], "url": "file:///etc"}]}, "^mcp_servers.0.url must be an http", None),
        ({"skills": [{"type": "anthropic", "skill_id": "xlsx"}]}, "^skills.0: Anthropic's own", "not_supported"),
        ({"skills": [{"type": "custom", "skill_id": "skill_x"}]}, "^skills.0: There is no skill", None),
        ({"metadata": {"k": "v" * 513}}, "^metadata.k has more than 512", "invalid_metadata"),
        ({"metadata": {str(number): "" for number in range(17)}}, "^metadata has 17 keys", "invalid_metadata"),
        ({"system": "x" * 100_001}, "^system: String should have at most 100000", None),
        ({"metadata": {"half \ud800": ""}}, "^metadata contain half of a surrogate", "invalid_metadata"),
        ({"system": "half \ud800"}, "^system contains half of a surrogate", None),
    ],
)
def test_what_cannot_be_carried_out_is_refused_by_name(
    gateway: Gateway, more: dict[str, Any], words: str, code: str | None
) -> None:
    body = json.dumps({"name": "A", "model": "sonnet", **more})
    answer = gateway.http.post("/v1/agents", content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 404), answer.text
    told = answer.json()["error"]
    assert told["type"] == ("invalid_request_error" if answer.status_code == 400 else "not_found_error")
    assert re.search(words, told["message"]), told["message"]
    assert (told.get("details") or {}).get("error_code") == code


def test_an_environment_is_this_machine(client: Anthropic) -> None:
    made = strict(client.beta.environments.create(name="Here"))
    assert made.config.type == "cloud"
    assert made.config.networking.type == "unrestricted"
    assert made.config.packages.pip == []
    assert strict(client.beta.environments.retrieve(made.id)) == made
    changed = strict(
        client.beta.environments.update(
            made.id,
            name="There",
            description="",
            metadata={"a": "b"},
            config={"type": "cloud", "packages": {"pip": ["pip"]}},
        )
    )
    assert (changed.name, changed.description, changed.metadata) == ("There", "", {"a": "b"})
    assert changed.config.type == "cloud"
    assert changed.config.packages.pip == ["pip"]
    kept = client.beta.environments.update(made.id, metadata={"a": ""}, description=None)
    assert (kept.name, kept.description, kept.metadata, kept.config) == ("There", None, {}, changed.config)
    assert made.id in {one.id for one in client.beta.environments.list(limit=100)}
    archived = strict(client.beta.environments.archive(made.id))
    assert archived.archived_at is not None
    assert made.id not in {one.id for one in client.beta.environments.list(limit=100)}
    with pytest.raises(anthropic.BadRequestError) as error:
        client.beta.environments.update(made.id, name="Back")
    assert error.value.error_code == "environment_archived"
    assert strict(client.beta.environments.delete(made.id)).type == "environment_deleted"
    with pytest.raises(anthropic.NotFoundError) as gone:
        client.beta.environments.retrieve(made.id)
    assert refusal(gone)[:2] == (404, "not_found_error")
    assert strict(client.beta.environments.retrieve("env_local")).name == "This machine"


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"type": "self_hosted"}, "^config.type: 'self_hosted' is not supported"),
        ({"type": "cloud", "networking": {"type": "limited", "allowed_hosts": []}}, "^config.networking: 'limited'"),
        ({"type": "cloud", "packages": {"pip": ["no-such-package-here"]}}, "^config.packages.pip.0: the server does"),
        ({"type": "cloud", "packages": {"pip": ["pip==0.0.1"]}}, "^config.packages.pip.0: of the pip package 'pip'"),
        ({"type": "cloud", "packages": {"pip": ["pip>=1"]}}, "^config.packages.pip.0: 'pip>=1' is no package's name"),
        ({"type": "cloud", "packages": {"apt": ["; rm -rf /"]}}, "^config.packages.apt.0: '; rm -rf /' is no"),
        ({"type": "cloud", "packages": {"npm": ["--help"]}}, "^config.packages.npm.0: the server does not have"),
    ],
)
def test_what_this_machine_is_not_or_has_not_is_refused(client: Anthropic, config: Any, words: str) -> None:
    with pytest.raises(anthropic.BadRequestError) as error:
        client.beta.environments.create(name="E", config=config)
    status, kind, message = refusal(error)
    assert (status, kind) == (400, "invalid_request_error")
    assert re.search(words, message), message


def test_what_is_not_offered_says_what_to_do_instead(client: Anthropic) -> None:
    asks: list[Any] = [
        client.beta.vaults.list,
        lambda: client.beta.vaults.create(display_name="V"),
        client.beta.memory_stores.list,
        client.beta.deployments.list,
        client.beta.deployment_runs.list,
        client.beta.dreams.list,
        lambda: client.beta.environments.work.stats("env_local"),
    ]
    for ask in asks:
        with pytest.raises(anthropic.BadRequestError) as error:
            ask()
        assert refusal(error)[:2] == (400, "invalid_request_error")
        assert error.value.error_code == "not_supported"
        assert "not supported here: " in refusal(error)[2]


def test_nothing_is_lost_when_the_server_is_killed(start_gateway: Starts) -> None:
    gateway = start_gateway()
    with sdk(gateway) as client:
        agent = client.beta.agents.create(name="A", model="sonnet")
        environment = client.beta.environments.create(name="E")
        file = client.beta.files.upload(file=("a.txt", b"kept"))
        skill = client.beta.skills.create(files=[("s/SKILL.md", SKILL.encode())])
    (directory,) = (path.parent for path in gateway.data.rglob(file.id))
    stray = directory / f"file_{'0' * 32}.part"
    stray.write_bytes(b"half")
    gateway.restart(signal.SIGKILL)
    with sdk(gateway) as client:
        assert client.beta.agents.retrieve(agent.id) == agent
        assert client.beta.environments.retrieve(environment.id) == environment
        assert client.beta.skills.retrieve(skill.id) == skill
        eventually(lambda: not stray.exists())
        assert client.beta.files.download(file.id).read() == b"kept"


def test_tenants_see_nothing_of_each_other(model: Model, tmp_path: Path) -> None:
    gateway = Gateway(model.server.url, {"agent__allow_unsandboxed": True})
    try:
        key = {name: make(gateway.data, "--name", name, "--tenant", name) for name in ("alice", "bob")}
        chat = make(gateway.data, "--name", "chat", "--tenant", "alice", "--profiles", "chat")
        anybody = anthropic.Anthropic(base_url=gateway.url, api_key="wrong", max_retries=0)
        eventually(lambda: httpx.get(f"{gateway.url}/v1/models").status_code == 401)
        with pytest.raises(anthropic.AuthenticationError) as unknown:
            anybody.beta.agents.list()
        assert refusal(unknown)[:2] == (401, "authentication_error")
        alice, bob = sdk(gateway, key["alice"]), sdk(gateway, key["bob"])
        agent = alice.beta.agents.create(name="A", model="sonnet")
        environment = alice.beta.environments.create(name="E")
        file = alice.beta.files.upload(file=("a.txt", b"mine"))
        skill = alice.beta.skills.create(files=files_from_dir(skill_dir(tmp_path)))
        version = skill.latest_version_id
        calls: list[Any] = [
            lambda: bob.beta.agents.retrieve(agent.id),
            lambda: bob.beta.agents.retrieve(agent.id, version=1),
            lambda: bob.beta.agents.update(agent.id, name="B"),
            lambda: bob.beta.agents.archive(agent.id),
            lambda: bob.beta.agents.versions.list(agent.id),
            lambda: bob.beta.environments.retrieve(environment.id),
            lambda: bob.beta.environments.update(environment.id, name="B"),
            lambda: bob.beta.environments.archive(environment.id),
            lambda: bob.beta.environments.delete(environment.id),
            lambda: bob.beta.files.retrieve_metadata(file.id),
            lambda: bob.beta.files.download(file.id),
            lambda: bob.beta.files.delete(file.id),
            lambda: bob.beta.skills.retrieve(skill.id),
            lambda: bob.beta.skills.delete(skill.id),
            lambda: bob.beta.skills.versions.list(skill.id),
            lambda: bob.beta.skills.versions.create(skill.id, files=[("s/SKILL.md", SKILL.encode())]),
            lambda: bob.beta.skills.versions.retrieve(version, skill_id=skill.id),
            lambda: bob.beta.skills.versions.download(version, skill_id=skill.id),
            lambda: bob.beta.skills.versions.delete(version, skill_id=skill.id),
            lambda: bob.beta.agents.create(name="B", model="sonnet", skills=[{"type": "custom", "skill_id": skill.id}]),
        ]
        for call in calls:
            with pytest.raises(anthropic.NotFoundError):
                call()
        assert bob.beta.files.list(ids=[file.id]).data == []
        assert bob.beta.agents.list().data == []
        assert bob.beta.environments.list().data == []
        assert bob.beta.files.list().data == []
        assert bob.beta.skills.list().data == []
        assert alice.beta.agents.retrieve(agent.id) == agent
        assert alice.beta.files.download(file.id).read() == b"mine"
        for refused in (lambda: sdk(gateway, chat).beta.agents.list(), lambda: sdk(gateway, chat).beta.skills.list()):
            with pytest.raises(anthropic.PermissionDeniedError) as error:
                refused()
            assert refusal(error)[:2] == (403, "permission_error")
    finally:
        gateway.stop()


def test_with_keys_agents_open_when_the_operator_says_so(model: Model) -> None:
    gateway = Gateway(model.server.url)
    try:
        key = make(gateway.data, "--name", "alice")
        eventually(lambda: httpx.get(f"{gateway.url}/v1/models").status_code == 401)
        with pytest.raises(anthropic.PermissionDeniedError, match="allow_unsandboxed"):
            sdk(gateway, key).beta.environments.create(name="E")
        assert sdk(gateway, key).beta.files.list().data == []
    finally:
        gateway.stop()


@pytest.mark.parametrize(
    ("method", "path", "body", "named"),
    [
        ("GET", "/v1/agents/agent_x?version=1000000000000000000000", None, "version"),
        ("POST", "/v1/sessions", {"agent": {"type": "agent", "id": "a", "version": 10**30}}, "version"),
        ("POST", "/v1/agents", {"name": "x\ud800", "model": "sonnet"}, "name"),
        ("POST", "/v1/environments", {"name": "x", "description": "\udfff"}, "description"),
        (
            "POST",
            "/v1/agents",
            {
                "name": "x",
                "model": "sonnet",
                "tools": [{"type": "mcp_toolset", "mcp_server_name": "m"}],
                "mcp_servers": [{"type": "url", "name": "m", "url": "http://host:0/"}],
            },
            "mcp_servers.0.url",
        ),
    ],
)
def test_what_cannot_be_kept_or_looked_for_is_refused(
    gateway: Gateway, method: str, path: str, body: Any, named: str
) -> None:
    headers = {"anthropic-beta": "managed-agents-2026-04-01", "content-type": "application/json"}
    answer = gateway.http.request(method, path, content=json.dumps(body) if body else None, headers=headers)
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error"), answer.text
    assert named in answer.json()["error"]["message"]


def test_a_list_takes_the_ends_of_the_calendar(gateway: Gateway) -> None:
    for moment in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"):
        assert gateway.http.get("/v1/agents", params={"created_at[gte]": moment}).status_code == 200
