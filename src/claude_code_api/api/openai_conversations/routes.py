"""`/v1/conversations`: conversations as objects with items. One conversation, every dialect."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request

from claude_code_api.api.context import Context, Ctx, Who
from claude_code_api.api.fetched import fetched
from claude_code_api.api.metadata import check_metadata
from claude_code_api.api.openai_conversations.listing import Listing
from claude_code_api.api.openai_conversations.wire import ConversationRequest, ItemsRequest, MetadataRequest
from claude_code_api.api.openai_items.additions import additions_of, as_turn
from claude_code_api.api.openai_items.context import hide, referred
from claude_code_api.api.openai_items.ids import parse
from claude_code_api.api.openai_items.listing import absent, listed
from claude_code_api.api.openai_items.parts import urls_to_fetch
from claude_code_api.api.openai_items.told import Telling, items_of_turn, without
from claude_code_api.api.openai_items.wire import InputItem
from claude_code_api.api.sessions import address_of
from claude_code_api.core.identity import Address, check_id
from claude_code_api.errors import InvalidRequest
from claude_code_api.runtime.stored import Addition, StoredTurn
from claude_code_api.runtime.views import SessionView

router = APIRouter(prefix="/v1/conversations", tags=["OpenAI"])

After = Annotated[str | None, Query(description="The item that the page follows.")]
Limit = Annotated[int, Query(ge=1, le=100, description="Most items on a page.")]
Include = Annotated[list[str] | None, Query(alias="include[]", description="reasoning.encrypted_content works.")]


@router.post("", summary="Create a conversation")
async def create(
    request: Request, context: Ctx, caller: Who, body: ConversationRequest | None = None
) -> dict[str, Any]:
    """Make a conversation, perhaps with items; its first turn finds them there. 409 when the `id` is taken."""
    asked = body or ConversationRequest()
    check_metadata(asked.metadata or {})
    named = None if asked.id is None else check_id(asked.id)
    additions = await _read(request, context, caller.tenant, asked.items or [])
    view = await context.manager.revisions.make(caller.tenant, named, asked.metadata or {}, additions)
    return _conversation(view)


@router.get("/{conversation_id}", summary="Retrieve a conversation")
async def retrieve(conversation_id: str, context: Ctx, caller: Who) -> dict[str, Any]:
    """One conversation, whichever dialect made it."""
    return _conversation(await context.manager.get(address_of(caller, conversation_id)))


@router.post("/{conversation_id}", summary="Update a conversation")
async def update(conversation_id: str, body: MetadataRequest, context: Ctx, caller: Who) -> dict[str, Any]:
    """Replace its metadata."""
    address = address_of(caller, conversation_id)
    check_metadata(body.metadata or {})
    return _conversation(await context.manager.revisions.set_metadata(address, body.metadata or {}))


@router.delete("/{conversation_id}", summary="Delete a conversation")
async def delete(conversation_id: str, context: Ctx, caller: Who) -> dict[str, Any]:
    """Stop its process and forget it, with its items and responses."""
    await context.manager.delete(address_of(caller, conversation_id))
    return {"id": conversation_id, "object": "conversation.deleted", "deleted": True}


@router.post("/{conversation_id}/items", summary="Add items")
async def add_items(
    request: Request, conversation_id: str, body: ItemsRequest, context: Ctx, caller: Who, include: Include = None
) -> dict[str, Any]:
    """Add to what the conversation holds, without a turn. 409 while one runs."""
    address = address_of(caller, conversation_id)
    additions = await _read(request, context, caller.tenant, body.items)
    await context.manager.revisions.add(address, additions)
    told = _told(context, include)
    return listed([item for one in additions for item in items_of_turn(as_turn(one), told)], has_more=False)


@router.get("/{conversation_id}/items", summary="List the items")
async def list_items(
    conversation_id: str,
    context: Ctx,
    caller: Who,
    after: After = None,
    limit: Limit = 20,
    order: Annotated[Literal["asc", "desc"], Query(description="The first one first, or the last.")] = "desc",
    include: Include = None,
) -> dict[str, Any]:
    """Its items, a page at a time: `after` the `last_id` of one page comes the next."""
    listing = _listing(context, address_of(caller, conversation_id), include)
    items, has_more = await listing.page(after=after, limit=limit, newest_first=order == "desc")
    return listed(items, has_more)


@router.get("/{conversation_id}/items/{item_id}", summary="Retrieve an item")
async def retrieve_item(
    conversation_id: str, item_id: str, context: Ctx, caller: Who, include: Include = None
) -> dict[str, Any]:
    """One item."""
    return await _listing(context, address_of(caller, conversation_id), include).one(item_id)


@router.delete("/{conversation_id}/items/{item_id}", summary="Delete an item")
async def delete_item(conversation_id: str, item_id: str, context: Ctx, caller: Who) -> dict[str, Any]:
    """Take an item out of what the conversation holds. 409 while a turn runs."""
    address = address_of(caller, conversation_id)
    identity = parse(item_id) or absent(item_id)
    if identity.part == "b":
        raise InvalidRequest(
            f"The item {item_id!r} came with a whole history, and goes with it: rewind the conversation, or delete it.",
            param="item_id",
        )

    def taken_out(turn: StoredTurn) -> StoredTurn:
        return without(turn, identity) or absent(item_id)

    return _conversation(await context.manager.revisions.amend(address, identity.turn_id, taken_out))


def _told(context: Context, include: Sequence[str] | None) -> Telling:
    """What is told of an item: of thinking nothing but that there was some, unless it is asked for whole."""
    encrypted = context.reasoning_content and "reasoning.encrypted_content" in (include or ())
    return Telling(
        thinking=context.reasoning_content, encrypted=encrypted, activity=context.agent_activity, hide=hide(context)
    )


def _listing(context: Context, address: Address, include: Sequence[str] | None) -> Listing:
    return Listing(context.manager.revisions, address, _told(context, include))


async def _read(request: Request, context: Context, tenant: str, items: list[InputItem]) -> list[Addition]:
    media = await fetched(request, context, tenant, urls_to_fetch(items, "items"))
    kept = await referred(context, tenant, items)
    return additions_of(items, media, kept, new_id=lambda: str(uuid.uuid4()), now=time.time())


def _conversation(view: SessionView) -> dict[str, Any]:
    return {
        "id": view.conversation_id,
        "object": "conversation",
        "created_at": int(view.created_at),
        "metadata": dict(view.metadata),
    }
