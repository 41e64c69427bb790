"""`/v1/sessions/{session_id}/resources`: the files that the agent finds in its workspace."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from claude_code_api.api.context import Context, Ctx
from claude_code_api.api.managed_agents.access import User
from claude_code_api.api.managed_agents.queries import PageOf
from claude_code_api.api.managed_agents.read_sessions import check_kind, resource_of
from claude_code_api.api.managed_agents.routing import ManagedRoute
from claude_code_api.api.managed_agents.shapes import Json, now
from claude_code_api.api.managed_agents.shapes_sessions import resource_shown
from claude_code_api.api.managed_agents.wire_sessions import ResourceParams, ResourceUpdate
from claude_code_api.api.sessions import address_of
from claude_code_api.core.identity import Address
from claude_code_api.core.profiles import CHAT
from claude_code_api.errors import InvalidRequest, NotSupported, ResourceNotFound
from claude_code_api.managed import files
from claude_code_api.managed.mapping import profile_of
from claude_code_api.managed.paging import cursor, place
from claude_code_api.managed.session_store import ManagedSession

router = APIRouter(prefix="/v1/sessions/{session_id}/resources", tags=["Managed Agents"], route_class=ManagedRoute)

_MOST = 500


@router.get("", summary="List resources")
async def list_resources(
    session_id: str,
    context: Ctx,
    caller: User,
    limit: Annotated[int | None, Query(ge=1, le=1000, description="Most on a page; all by default.")] = None,
    page: PageOf = None,
) -> Json:
    """The files that are mounted, in the order in which they were added."""
    resources = await _resources(context, address_of(caller, session_id))
    first = place(page, int)[0] if page else 0
    last = len(resources) if limit is None else first + limit
    following = cursor(last) if last < len(resources) else None
    return {"data": [resource_shown(one) for one in resources[first:last]], "next_page": following}


@router.post("", summary="Add a resource")
async def add(session_id: str, body: ResourceParams, context: Ctx, caller: User) -> Json:
    """Mount another file; the agent finds it from the next turn on."""
    file_id, at = check_kind(body, ""), now()
    file = await files.found(context.managed.store, caller.tenant, file_id, at)
    made: list[Json] = []

    def added(session: ManagedSession) -> tuple[Json, ...]:
        if profile_of(session.agent) == CHAT:
            raise NotSupported("This conversation is a chat without tools: there is no agent that could find a file.")
        if len(session.resources) >= _MOST:
            raise InvalidRequest(f"A session has at most {_MOST} resources.")
        taken = {one["mount_path"] for one in session.resources}
        made[:] = [resource_of(body, file, taken, "", at)]
        return (*session.resources, *made)

    await context.managed.sessions.change_resources(address_of(caller, session_id), added)
    return resource_shown(made[0])


@router.get("/{resource_id}", summary="Retrieve a resource")
async def retrieve(session_id: str, resource_id: str, context: Ctx, caller: User) -> Json:
    """One file that is mounted."""
    resources = await _resources(context, address_of(caller, session_id))
    return resource_shown(_found(resources, resource_id))


@router.post("/{resource_id}", summary="Update a resource")
async def update(session_id: str, resource_id: str, body: ResourceUpdate, context: Ctx, caller: User) -> Json:
    """Refused: only repositories have tokens, and there are none."""
    _found(await _resources(context, address_of(caller, session_id)), resource_id)
    raise NotSupported(
        "authorization_token: only repositories have one, and they are not supported here. To replace a file, delete "
        "the resource and add another.",
        param="authorization_token",
    )


@router.delete("/{resource_id}", summary="Delete a resource")
async def delete(session_id: str, resource_id: str, context: Ctx, caller: User) -> Json:
    """Mount it no more. What lies in the workspace already stays there."""

    def left(session: ManagedSession) -> tuple[Json, ...]:
        _found(session.resources, resource_id)
        return tuple(one for one in session.resources if one["id"] != resource_id)

    await context.managed.sessions.change_resources(address_of(caller, session_id), left)
    return {"id": resource_id, "type": "session_resource_deleted"}


async def _resources(context: Context, address: Address) -> tuple[Json, ...]:
    found = (await context.managed.sessions.get(address)).session
    return () if found is None else found.resources


def _found(resources: tuple[Json, ...], resource_id: str) -> Json:
    for one in resources:
        if one["id"] == resource_id:
            return one
    raise ResourceNotFound(f"The session has no resource {resource_id[:100]!r}.", param="resource_id")
