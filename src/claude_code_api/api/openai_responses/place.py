"""Where a response goes on: the conversation that its request names, or that a response before it belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from claude_code_api.api.context import Context
from claude_code_api.api.media import Media
from claude_code_api.api.openai_items.context import referred
from claude_code_api.api.openai_items.ids import turn_of
from claude_code_api.api.openai_items.read import read
from claude_code_api.api.openai_items.wire import Input
from claude_code_api.api.openai_responses.translate import identity_of
from claude_code_api.api.openai_responses.wire import ResponsesRequest
from claude_code_api.core.identity import Address, Identity
from claude_code_api.core.turn import Message
from claude_code_api.errors import ConversationInUse, ConversationNotFound, PreviousResponseNotFound
from claude_code_api.runtime.stored import ResponseStatus, StoredHistory

_OPEN = (ResponseStatus.QUEUED, ResponseStatus.RUNNING)


@dataclass(frozen=True, slots=True)
class Place:
    """What a request names by itself, and the conversation of the response that it goes on from, if it does.

    A response that nothing is kept of goes on from a copy of a stored `history` instead.
    """

    identity: Identity
    conversation_id: str | None = None
    history: StoredHistory | None = None


@dataclass
class Unkept:
    """What one WebSocket connection remembers of a response that is not stored: the last one's conversation."""

    turn_id: str | None = None
    conversation_id: str = ""

    def note(self, turn_id: str, conversation_id: str) -> None:
        """The last response is this one."""
        self.turn_id, self.conversation_id = turn_id, conversation_id

    def forget(self) -> None:
        """What went on from it failed: the client sends the whole history again."""
        self.turn_id = None


async def place_of(
    body: ResponsesRequest, headers: Mapping[str, str], context: Context, tenant: str, unkept: Unkept
) -> Place:
    """Find it. Raises InvalidRequest, ConversationNotFound, ConversationInUse, PreviousResponseNotFound."""
    identity = identity_of(body, headers, context.conversation_headers)
    if body.previous_response_id is not None:
        return await _behind(body, body.previous_response_id, identity, context, tenant, unkept)
    if body.conversation is not None and identity.conversation_id is not None:
        await _check_there(Address(tenant, identity.conversation_id), context)
    # What is not kept has no name, whatever a product calls it.
    return Place(identity, identity.conversation_id if body.is_stored else None)


async def _check_there(address: Address, context: Context) -> None:
    """A `conversation` is made first; our own `conversation_id` is made by its first use."""
    try:
        await context.manager.get(address)
    except ConversationNotFound as error:
        raise ConversationNotFound(
            f"There is no conversation {address.conversation_id!r}. Make it with POST /v1/conversations, or send the "
            "id as 'conversation_id': that makes it by its first use.",
            param="conversation",
        ) from error


async def _behind(
    body: ResponsesRequest, given: str, identity: Identity, context: Context, tenant: str, unkept: Unkept
) -> Place:
    turn_id = turn_of(given)
    if turn_id is not None and turn_id == unkept.turn_id:
        if body.is_stored:
            raise _not_found(
                f"The response {given!r} is not stored: go on from it with 'store' false, or send the whole history."
            )
        return Place(identity, unkept.conversation_id)
    stored = None if turn_id is None else await context.manager.store.response(tenant, turn_id)
    if stored is None:
        raise _not_found(f"Previous response with id {given[:100]!r} not found.")
    if stored.status in _OPEN:
        raise ConversationInUse(
            f"The response {given!r} is not completed yet.", param="previous_response_id", retry_after=2
        )
    if stored.status is not ResponseStatus.COMPLETED:
        before = stored.settings.get("previous_response_id")
        advice = f"go on from {before!r}, as it did" if before else "send its input again"
        raise _not_found(f"The response {given!r} is {stored.status.value}, no part of the conversation: {advice}.")
    if body.is_stored:
        return Place(identity, stored.conversation_id)
    history = await context.manager.store.history_at(stored.turn_id)
    if history is None:
        raise _not_found(f"What the response {given!r} went on from was taken back.")
    return Place(identity, None, history)


async def history_of(
    context: Context, tenant: str, previous: str | None, given: Input | None, media: Media
) -> StoredHistory:
    """What a conversation holds that is not gone on with: behind a response, and what comes with the request.

    Raises InvalidRequest or PreviousResponseNotFound.
    """
    messages: tuple[Message, ...] = ()
    developer: tuple[str, ...] = ()
    if previous is not None:
        turn_id = turn_of(previous)
        stored = None if turn_id is None else await context.manager.store.response(tenant, turn_id)
        history = None if stored is None else await context.manager.store.history_at(stored.turn_id)
        if history is None:
            raise _not_found(f"Previous response with id {previous[:100]!r} not found.")
        messages, developer = history.messages, history.developer
    kept = await referred(context, tenant, given)
    said = read(given, media, appends=previous is not None, adds=True, kept=kept)
    return StoredHistory((*messages, *said.messages), (*developer, *said.developer))


def _not_found(message: str) -> PreviousResponseNotFound:
    return PreviousResponseNotFound(message, param="previous_response_id")
