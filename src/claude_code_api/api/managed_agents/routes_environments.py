"""`/v1/environments`: what is expected of the machine that agents run on, which is this one."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Query

from claude_code_api.api.context import Ctx
from claude_code_api.api.managed_agents.access import User
from claude_code_api.api.managed_agents.read import environment_of
from claude_code_api.api.managed_agents.shapes import environment_shown, now
from claude_code_api.api.managed_agents.wire import EnvironmentCreate, EnvironmentUpdate
from claude_code_api.managed import environments
from claude_code_api.managed.packages import check_packages
from claude_code_api.managed.paging import cursor, page_of, shown

router = APIRouter(prefix="/v1/environments", tags=["Managed Agents"])


@router.post("", summary="Create an environment")
async def create(body: EnvironmentCreate, context: Ctx, caller: User) -> dict[str, Any]:
    """Say what agents need of this machine; 400 when it does not have that."""
    environment = environments.made(given := environment_of(body), now())
    await _check(given)
    await context.managed.store.add_environment(caller.tenant, environment)
    return environment_shown(environment)


@router.get("", summary="List the environments")
async def list_environments(
    context: Ctx,
    caller: User,
    include_archived: bool = False,
    limit: Annotated[int, Query(ge=1, le=100, description="Most on a page.")] = 20,
    page: Annotated[str | None, Query(description="The `next_page` of the page before.")] = None,
) -> dict[str, Any]:
    """Your environments, the last one made first."""
    found = await context.managed.store.environments(caller.tenant, page_of(page, limit), archived=include_archived)
    return shown(found, limit, environment_shown, lambda one: cursor(one.created_at, one.id))


@router.get("/{environment_id}", summary="Retrieve an environment")
async def retrieve(environment_id: str, context: Ctx, caller: User) -> dict[str, Any]:
    """One environment."""
    return environment_shown(await environments.found(context.managed.store, caller.tenant, environment_id))


@router.post("/{environment_id}", summary="Update an environment")
async def update(environment_id: str, body: EnvironmentUpdate, context: Ctx, caller: User) -> dict[str, Any]:
    """Change it; what is left out stays."""
    patch, store = environment_of(body), context.managed.store
    environments.changed(await environments.found(store, caller.tenant, environment_id), patch, now())
    await _check(patch)
    return environment_shown(await environments.update(store, caller.tenant, environment_id, patch, now()))


@router.post("/{environment_id}/archive", summary="Archive an environment")
async def archive(environment_id: str, context: Ctx, caller: User) -> dict[str, Any]:
    """Let no session be made in it any more, for good."""
    return environment_shown(await environments.archive(context.managed.store, caller.tenant, environment_id, now()))


@router.delete("/{environment_id}", summary="Delete an environment")
async def delete(environment_id: str, context: Ctx, caller: User) -> dict[str, Any]:
    """Forget it; sessions that were made in it stay."""
    await environments.delete(context.managed.store, caller.tenant, environment_id)
    return {"id": environment_id, "type": "environment_deleted"}


async def _check(given: dict[str, Any]) -> None:
    """Look for the packages that were named."""
    config = given.get("config") or {}
    packages = {name: named for name, named in (config.get("packages") or {}).items() if isinstance(named, list)}
    if any(packages.values()):
        await asyncio.to_thread(check_packages, packages)
