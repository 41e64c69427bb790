"""What a client is told when its turn was refused, or could not be carried out."""

from __future__ import annotations

from claude_code_api.core.events import Refusal
from claude_code_api.core.identity import Address
from claude_code_api.errors import (
    CapacityExceeded,
    ConversationBusy,
    ConversationDeleted,
    ConversationNotFound,
    GatewayError,
    InvalidRequest,
    PreviousResponseNotFound,
    ProcessDied,
    ShuttingDown,
    StartFailed,
    TurnCancelled,
)


def refusal_error(why: Refusal) -> GatewayError:
    """The error for a refusal that has no more precise one of its own."""
    match why:
        case Refusal.QUEUE_FULL:
            return ConversationBusy(
                "Too many turns already wait on this conversation ([claude] max_queued_turns); send the next when one "
                "is answered.",
                retry_after=2,
            )
        case Refusal.NO_SLOT:
            return CapacityExceeded(
                "Every Claude Code process is busy. Try again, or raise [claude] max_concurrent_sessions.",
                retry_after=5,
            )
        case Refusal.DELETED:
            return ConversationDeleted("The conversation was deleted.")
        case Refusal.DRAINING:
            return ShuttingDown("The server is shutting down; send the request again.", retry_after=5)
        case Refusal.CUT:
            return TurnCancelled("The turn was interrupted.")
        case Refusal.START_FAILED:
            return StartFailed("Claude Code ended before it was ready.", retry_after=2)
        case Refusal.PROCESS_DIED:
            return ProcessDied(
                "The Claude Code process died during the turn. The conversation is as it was before it: send the "
                "request again.",
                retry_after=1,
            )


def not_found(address: Address) -> ConversationNotFound:
    """What a client is told who asks for a conversation that is not there."""
    return ConversationNotFound(f"There is no conversation {address.conversation_id!r}.", param="conversation_id")


def no_previous() -> PreviousResponseNotFound:
    """What a client is told who goes on from a response that cannot be gone on from."""
    return PreviousResponseNotFound(
        "There is no such response to go on from: it was deleted, taken back, never answered, or not stored and its "
        "process is gone.",
        param="previous_response_id",
    )


def too_few(turns: int) -> GatewayError:
    """What a client is told who wants more taken back, or copied, than there is."""
    return InvalidRequest(f"The conversation's history does not have {turns} turns.", param="turns")


def own_error(error: BaseException) -> GatewayError:
    """What a client is told of it; the log has the rest of what nobody foresaw."""
    return error if isinstance(error, GatewayError) else defect()


def defect() -> GatewayError:
    """What nobody foresaw."""
    return GatewayError("A defect of the gateway ended the turn; its log says more.")
