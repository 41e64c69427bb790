"""`/v1/agents`: agents and their versions."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query

from claude_code_api.api.context import Context, Ctx
from claude_code_api.api.managed_agents.access import User
from claude_code_api.api.managed_agents.read import definition_of
from claude_code_api.api.managed_agents.shapes import agent_shown, now, seconds_of
from claude_code_api.api.managed_agents.wire import AgentCreate, AgentUpdate, Version
from claude_code_api.core.keys import Caller
from claude_code_api.managed import agents
from claude_code_api.managed.paging import cursor, page_of, place, shown
from claude_code_api.managed.skills import resolved_skills

router = APIRouter(prefix="/v1/agents", tags=["Managed Agents"])

Limit = Annotated[int, Query(ge=1, le=100, description="Most on a page.")]
PageOf = Annotated[str | None, Query(alias="page", description="The `next_page` of the page before.")]


@router.post("", summary="Create an agent")
async def create(body: AgentCreate, context: Ctx, caller: User) -> dict[str, Any]:
    """Keep a model, a system prompt and tools under an id, as version 1."""
    agent = agents.made(await _definition(body, context, caller), now())
    await context.managed.store.add_agent(caller.tenant, agent)
    return agent_shown(agent)


@router.get("", summary="List the agents")
async def list_agents(
    context: Ctx,
    caller: User,
    include_archived: bool = False,
    limit: Limit = 20,
    page: PageOf = None,
    since: Annotated[datetime | None, Query(alias="created_at[gte]")] = None,
    until: Annotated[datetime | None, Query(alias="created_at[lte]")] = None,
) -> dict[str, Any]:
    """Your agents at their newest versions, the last one made first."""
    found = await context.managed.store.agents(
        caller.tenant,
        page_of(page, limit),
        archived=include_archived,
        since=seconds_of(since),
        until=seconds_of(until),
    )
    return shown(found, limit, agent_shown, lambda agent: cursor(agent.created_at, agent.id))


@router.get("/{agent_id}", summary="Retrieve an agent")
async def retrieve(
    agent_id: str, context: Ctx, caller: User, version: Annotated[Version | None, Query()] = None
) -> dict[str, Any]:
    """One agent at one of its versions, the newest by default."""
    return agent_shown(await agents.found(context.managed.store, caller.tenant, agent_id, version))


@router.post("/{agent_id}", summary="Update an agent")
async def update(agent_id: str, body: AgentUpdate, context: Ctx, caller: User) -> dict[str, Any]:
    """Make its next version. 409 when `version` is not the newest; what changes nothing makes no version."""
    patch = await _definition(body, context, caller)
    return agent_shown(
        await agents.update(context.managed.store, caller.tenant, agent_id, patch, version=body.version, now=now())
    )


@router.post("/{agent_id}/archive", summary="Archive an agent")
async def archive(agent_id: str, context: Ctx, caller: User) -> dict[str, Any]:
    """Let no session be made of it any more, for good. Sessions that have it go on."""
    return agent_shown(await agents.archive(context.managed.store, caller.tenant, agent_id, now()))


@router.get("/{agent_id}/versions", summary="List an agent's versions")
async def versions(agent_id: str, context: Ctx, caller: User, limit: Limit = 20, page: PageOf = None) -> dict[str, Any]:
    """All that it was, the newest first."""
    store = context.managed.store
    await agents.found(store, caller.tenant, agent_id)
    before = place(page, int)[0] if page else None
    found = await store.agent_versions(caller.tenant, agent_id, before=before, limit=limit + 1)
    return shown(found, limit, agent_shown, lambda agent: cursor(agent.version))


async def _definition(body: AgentCreate | AgentUpdate, context: Context, caller: Caller) -> dict[str, Any]:
    given = definition_of(body, context.models)
    if "skills" in given:
        given["skills"] = await resolved_skills(context.managed.store, caller.tenant, given["skills"])
    return given
