"""Environments. There is one machine, this one: an environment says what is expected of it, and what is not here is
refused when the environment is made, not when a session fails for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias

from claude_code_api.errors import EnvironmentArchived, InvalidRequest, NotSupported, ResourceNotFound
from claude_code_api.managed import metadata as meta
from claude_code_api.managed.ids import ENVIRONMENT, new_id
from claude_code_api.managed.packages import MANAGERS
from claude_code_api.managed.paging import Page

Json: TypeAlias = dict[str, Any]

LOCAL = "env_local"
"""The environment of conversations that were made in another dialect. It is always there."""

CLOUD: Mapping[str, Any] = {
    "type": "cloud",
    "networking": {"type": "unrestricted"},
    "packages": {"type": "packages", **{manager: [] for manager in MANAGERS}},
}


@dataclass(frozen=True, slots=True)
class Environment:
    """An environment as it is kept; `config` is JSON as the API shows it. Times are Unix seconds."""

    id: str
    name: str
    description: str | None
    config: Mapping[str, Any]
    metadata: Mapping[str, str]
    created_at: float
    updated_at: float
    archived_at: float | None = None


class EnvironmentStore(Protocol):
    """Where environments are kept, every tenant's apart."""

    async def add_environment(self, tenant: str, environment: Environment) -> None:
        """Keep a new environment."""

    async def change_environment(
        self, tenant: str, environment_id: str, change: Callable[[Environment], Environment]
    ) -> Environment | None:
        """Change an environment, with nothing in between; None when there is none."""

    async def environment(self, tenant: str, environment_id: str) -> Environment | None:
        """One environment, None when there is none."""

    async def delete_environment(self, tenant: str, environment_id: str) -> bool:
        """Forget an environment; False when there is none."""

    async def environments(self, tenant: str, page: Page, *, archived: bool) -> list[Environment]:
        """Environments, the last one made first."""


def made(given: Mapping[str, Any], now: float) -> Environment:
    """A new environment of what a client gave; `name` is there. Raises InvalidRequest or NotSupported."""
    return Environment(
        id=new_id(ENVIRONMENT),
        name=_name(given["name"]),
        description=given.get("description"),
        config=_config(CLOUD, given.get("config")),
        metadata=meta.patched({}, given.get("metadata"), empty_deletes=True),
        created_at=now,
        updated_at=now,
    )


def changed(environment: Environment, patch: Mapping[str, Any], now: float) -> Environment:
    """An environment after a change; what the patch leaves out stays. Raises InvalidRequest or NotSupported."""
    if environment.archived_at is not None:
        raise EnvironmentArchived(
            f"The environment {environment.id!r} is archived, and stays as it is.", param="environment_id"
        )
    after = replace(
        environment,
        name=_name(patch["name"]) if patch.get("name") is not None else environment.name,
        description=patch.get("description", environment.description),
        config=_config(environment.config, patch.get("config")),
        metadata=meta.patched(environment.metadata, patch.get("metadata"), empty_deletes=True),
    )
    return environment if after == environment else replace(after, updated_at=now)


async def update(
    store: EnvironmentStore, tenant: str, environment_id: str, patch: Mapping[str, Any], now: float
) -> Environment:
    """Change an environment, all but what the patch leaves out.

    Raises ResourceNotFound, InvalidRequest or NotSupported.
    """
    return await _change(store, tenant, environment_id, lambda environment: changed(environment, patch, now))


async def archive(store: EnvironmentStore, tenant: str, environment_id: str, now: float) -> Environment:
    """Let no session be made in an environment any more. Raises ResourceNotFound or InvalidRequest."""

    def archived(environment: Environment) -> Environment:
        return environment if environment.archived_at is not None else replace(environment, archived_at=now)

    return await _change(store, tenant, environment_id, archived)


async def delete(store: EnvironmentStore, tenant: str, environment_id: str) -> None:
    """Forget an environment; its sessions stay. Raises ResourceNotFound or InvalidRequest."""
    _check_own(environment_id)
    if not await store.delete_environment(tenant, environment_id):
        raise _absent(environment_id)


async def found(store: EnvironmentStore, tenant: str, environment_id: str) -> Environment:
    """A tenant's environment. Raises ResourceNotFound."""
    if environment_id == LOCAL:
        return Environment(LOCAL, "This machine", None, CLOUD, {}, 0, 0)
    environment = await store.environment(tenant, environment_id)
    if environment is None:
        raise _absent(environment_id)
    return environment


async def usable(store: EnvironmentStore, tenant: str, environment_id: str) -> Environment:
    """An environment that a session can be made in. Raises ResourceNotFound or EnvironmentArchived."""
    environment = await found(store, tenant, environment_id)
    if environment.archived_at is not None:
        raise EnvironmentArchived(
            f"The environment {environment_id!r} is archived: no session is made in it.", param="environment_id"
        )
    return environment


async def _change(
    store: EnvironmentStore, tenant: str, environment_id: str, change: Callable[[Environment], Environment]
) -> Environment:
    _check_own(environment_id)
    after = await store.change_environment(tenant, environment_id, change)
    if after is None:
        raise _absent(environment_id)
    return after


def _config(kept: Mapping[str, Any], given: Mapping[str, Any] | None) -> Json:
    if given is None:
        return dict(kept)
    if given["type"] == "self_hosted":
        raise NotSupported(
            "config.type: 'self_hosted' is not supported here: tools run on this server. Leave config out, or use the "
            "type 'cloud'; what shall run at the client's is a custom tool.",
            param="config.type",
        )
    made = dict(kept)
    if (networking := given.get("networking")) is not None and networking["type"] != "unrestricted":
        raise NotSupported(
            "config.networking: 'limited' is not supported here: this server has no sandbox that holds agents to "
            "certain hosts. Use 'unrestricted', and limit what the whole server can reach.",
            param="config.networking",
        )
    if (packages := given.get("packages")) is not None:
        held = kept["packages"]
        made["packages"] = {
            "type": "packages",
            **{name: list(held[name] if packages.get(name) is None else packages[name]) for name in MANAGERS},
        }
    return made


def _name(name: str) -> str:
    if not name.strip():
        raise InvalidRequest("name must not be empty.", param="name")
    return name


def _check_own(environment_id: str) -> None:
    if environment_id == LOCAL:
        raise InvalidRequest(f"{LOCAL!r} is the machine itself, and stays as it is.", param="environment_id")


def _absent(environment_id: str) -> ResourceNotFound:
    return ResourceNotFound(f"There is no environment {environment_id[:100]!r}.", param="environment_id")
