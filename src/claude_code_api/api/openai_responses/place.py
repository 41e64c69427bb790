"""Where a response goes on: the conversation that its request names, and the turn in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from claude_code_api.api.context import Context
from claude_code_api.api.openai_items.ids import turn_of
from claude_code_api.api.openai_responses.wire import ResponsesRequest
from claude_code_api.core.identity import Address, Identity, check_id, identify
from claude_code_api.errors import ConversationInUse, ConversationNotFound, InvalidRequest, PreviousResponseNotFound
from claude_code_api.runtime.stored import ResponseStatus, StoredHistory


@dataclass(frozen=True, slots=True)
class Place:
    """Behind what `identity` names, or behind the turn `after` of that conversation.

    A response that nothing is kept of goes on from a copy of the `history` instead.
    """

    identity: Identity
    after: str | None = None
    history: StoredHistory | None = None


@dataclass
class Unkept:
    """What one WebSocket connection remembers of responses that are not stored: the last one, by its turn."""

    conversations: dict[str, str] = field(default_factory=dict)

    def note(self, turn_id: str, conversation_id: str) -> None:
        """The last response is this one."""
        self.conversations = {turn_id: conversation_id}

    def forget(self) -> None:
        """What went on from it failed: the client sends the whole history again."""
        self.conversations = {}


async def place_of(
    body: ResponsesRequest, headers: Mapping[str, str], context: Context, tenant: str, unkept: Unkept
) -> Place:
    """Find it. Raises InvalidRequest, ConversationNotFound, ConversationInUse or PreviousResponseNotFound."""
    named = body.conversation_named()
    identity = identify(
        body.conversation_id if named is None else named, headers, context.conversation_headers, body.session_id()
    )
    if named is not None and body.conversation_id not in (None, named):
        raise InvalidRequest(
            "conversation and conversation_id name different conversations; send one.", param="conversation"
        )
    if body.previous_response_id is not None:
        if identity.appends:
            raise InvalidRequest(
                "previous_response_id and a conversation exclude each other: the response belongs to one already. Send "
                "one of them.",
                param="previous_response_id",
            )
        return await _behind(body.previous_response_id, context, tenant, unkept, kept=body.store is not False)
    if named is not None:
        await _check_there(Address(tenant, check_id(named)), context)
    return Place(identity)


async def _check_there(address: Address, context: Context) -> None:
    """A `conversation` is made first; our own `conversation_id` is made by its first use."""
    try:
        await context.manager.get(address)
    except ConversationNotFound as error:
        raise ConversationNotFound(
            f"There is no conversation {address.conversation_id!r}. Make it with POST /v1/conversations, or send the id "
            "as conversation_id: that makes it by its first use.",
            param="conversation",
        ) from error


async def _behind(given: str, context: Context, tenant: str, unkept: Unkept, *, kept: bool) -> Place:
    turn_id = turn_of(given)
    if turn_id is not None and turn_id in unkept.conversations:
        if kept:
            raise PreviousResponseNotFound(
                f"The response {given!r} is not stored: go on from it with store false, or send the whole history.",
                param="previous_response_id",
            )
        return Place(Identity(unkept.conversations[turn_id], appends=True), after=turn_id)
    stored = None if turn_id is None else await context.manager.store.response(tenant, turn_id)
    if stored is None:
        raise PreviousResponseNotFound(
            f"Previous response with id {given[:100]!r} not found.", param="previous_response_id"
        )
    if stored.status in (ResponseStatus.QUEUED, ResponseStatus.RUNNING):
        raise ConversationInUse(
            f"The response {given!r} is not completed yet.", param="previous_response_id", retry_after=2
        )
    if stored.status is not ResponseStatus.COMPLETED:
        before = stored.settings.get("previous_response_id")
        advice = f"go on from {before!r}, which it went on from" if before else "send its input again"
        raise PreviousResponseNotFound(
            f"The response {given!r} is {stored.status.value} and no part of the conversation: {advice}.",
            param="previous_response_id",
        )
    if kept:
        return Place(Identity(stored.conversation_id, appends=True), after=turn_id)
    history = await context.manager.store.history_at(stored.turn_id)
    if history is None:
        raise PreviousResponseNotFound(
            f"What the response {given!r} went on from was taken back.", param="previous_response_id"
        )
    return Place(Identity(appends=True), history=history)
