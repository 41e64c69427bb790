"""`/v1/sessions` for clients of Managed Agents: sessions, each of which is a conversation."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from claude_code_api.api.context import Context, Ctx
from claude_code_api.api.managed_agents.access import User
from claude_code_api.api.managed_agents.content import Reader
from claude_code_api.api.managed_agents.queries import Created, Order, PageOf, Statuses
from claude_code_api.api.managed_agents.read import ref_of
from claude_code_api.api.managed_agents.read_events import initial_events_of
from claude_code_api.api.managed_agents.read_sessions import (
    budget_of,
    changes_of,
    check_kind,
    check_vaults,
    patched,
    resource_of,
)
from claude_code_api.api.managed_agents.routing import ManagedRoute
from claude_code_api.api.managed_agents.shapes import Json, now
from claude_code_api.api.managed_agents.shapes_sessions import session_shown
from claude_code_api.api.managed_agents.wire import Version
from claude_code_api.api.managed_agents.wire_sessions import ResourceParams, SessionCreate, SessionUpdate
from claude_code_api.api.sessions import address_of
from claude_code_api.api.sse import EscapedJSON
from claude_code_api.errors import InvalidRequest, NotSupported
from claude_code_api.managed import agents, environments, files
from claude_code_api.managed import metadata as meta
from claude_code_api.managed.ids import new_id
from claude_code_api.managed.paging import cursor, place
from claude_code_api.managed.session_store import ListedSession, ManagedSession, SessionQuery
from claude_code_api.managed.sessions import NewSession

router = APIRouter(
    prefix="/v1/sessions", tags=["Managed Agents"], route_class=ManagedRoute, default_response_class=EscapedJSON
)

_NEXT, _BEFORE = "next", "prev"


@router.post("", summary="Create a session")
async def create(request: Request, body: SessionCreate, context: Ctx, caller: User) -> Json:
    """Make a conversation with an agent; with `initial_events` the agent begins at once."""
    check_vaults(body.vault_ids)
    store = context.managed.store
    agent = await agents.resolve(store, caller.tenant, ref_of(body.agent, context.models))
    environment = await environments.usable(store, caller.tenant, body.environment_id)
    new = NewSession(
        agent=agent,
        environment_id=environment.id,
        title=body.title,
        metadata=meta.checked(body.metadata or {}),
        budget=budget_of(body.budget),
        resources=await _resources(context, caller.tenant, body.resources or ()),
        events=tuple(await initial_events_of(body.initial_events or (), Reader(request, context, caller.tenant))),
    )
    return session_shown(await context.managed.sessions.create(caller.tenant, new_id("sesn"), new))


@router.get("", summary="List the sessions")
async def list_managed_sessions(
    context: Ctx,
    caller: User,
    created: Created,
    statuses: Statuses,
    agent_id: str | None = None,
    agent_version: Annotated[Version | None, Query()] = None,
    include_archived: bool = False,
    limit: Annotated[int, Query(ge=1, le=100, description="Most on a page.")] = 20,
    order: Order = "desc",
    page: PageOf = None,
    deployment_id: str | None = None,
    memory_store_id: str | None = None,
) -> Json:
    """Your conversations, those that were made in other dialects included, the last one made first."""
    for name, given in (("deployment_id", deployment_id), ("memory_store_id", memory_store_id)):
        if given is not None:
            raise NotSupported(f"{name}: there are none here to look for. Leave it out.", param=name)
    if agent_version is not None and agent_id is None:
        raise InvalidRequest("agent_version goes with an agent_id.", param="agent_version")
    moment, made_id, way = place(page, float, str, str) if page else (None, None, _NEXT)
    query = SessionQuery(
        limit=limit + 1,
        newest_first=order == "desc",
        place=None if moment is None else (moment, made_id or ""),
        backwards=way == _BEFORE,
        agent_id=agent_id,
        agent_version=agent_version,
        created=created,
        include_archived=include_archived,
        statuses=statuses,
    )
    return _listed(await context.managed.sessions.page(caller.tenant, query), query, limit)


@router.get("/{session_id}", summary="Retrieve a session")
async def retrieve(session_id: str, context: Ctx, caller: User) -> Json:
    """One session, in whichever dialect it was made."""
    return session_shown(await context.managed.sessions.get(address_of(caller, session_id)))


@router.post("/{session_id}", summary="Update a session")
async def update(session_id: str, body: SessionUpdate, context: Ctx, caller: User) -> Json:
    """Change its title, metadata or budget, or the tools of its agent; from the next turn on."""
    check_vaults(body.vault_ids)
    address = address_of(caller, session_id)
    found = await context.managed.sessions.get(address)

    def change(session: ManagedSession) -> Json:
        return changes_of(session, body, found.cost_usd)

    return session_shown(await context.managed.sessions.update(address, change, partial(patched, asked=body)))


@router.post("/{session_id}/archive", summary="Archive a session")
async def archive(session_id: str, context: Ctx, caller: User) -> Json:
    """Take nothing any more; what it holds can still be read. 409 while it is at work."""
    return session_shown(await context.managed.sessions.archive(address_of(caller, session_id)))


@router.delete("/{session_id}", summary="Delete a session")
async def delete(session_id: str, context: Ctx, caller: User) -> dict[str, Any]:
    """Stop its process and forget the conversation, its events and its workspace."""
    await context.managed.sessions.delete(address_of(caller, session_id))
    return {"id": session_id, "type": "session_deleted"}


async def _resources(context: Context, tenant: str, given: Sequence[ResourceParams]) -> tuple[Json, ...]:
    made, taken, at = [], set[str](), now()
    for number, resource in enumerate(given):
        where = f"resources.{number}."
        file_id = check_kind(resource, where)
        file = await files.found(context.managed.store, tenant, file_id, at, f"{where}file_id")
        made.append(resource_of(resource, file, taken, where, at))
    return tuple(made)


def _listed(found: Sequence[ListedSession], query: SessionQuery, limit: int) -> Json:
    has_more = len(found) > limit
    shown = list(found[-limit:] if query.backwards else found[:limit])
    goes_on = bool(shown) and (has_more or query.backwards)
    goes_back = bool(shown) and (has_more if query.backwards else query.place is not None)
    return {
        "data": [session_shown(one) for one in shown],
        "next_page": _cursor(shown[-1], _NEXT) if goes_on else None,
        "prev_page": _cursor(shown[0], _BEFORE) if goes_back else None,
    }


def _cursor(one: ListedSession, way: str) -> str:
    return cursor(one.created_at, one.conversation_id, way)
