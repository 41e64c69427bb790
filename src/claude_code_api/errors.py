"""Every failure that a caller can meet, as one tree of typed errors.

Owns what went wrong, in words for the person who has to act on it. Must not know HTTP: `api/errors.py` alone turns
these into statuses and envelopes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class GatewayError(Exception):
    """The root. `code` is stable and machine-readable; `param` names the request field at fault; `retry_after` is in
    seconds, and None means that waiting alone changes nothing. `details` are for programs, where a dialect has them."""

    code = "internal_error"
    details: Mapping[str, Any] | None = None

    def __init__(self, message: str, *, param: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after = retry_after


class ConfigError(GatewayError):
    """The settings or the command line are wrong; the server does not start."""

    code = "config_error"


class InvalidRequest(GatewayError):
    """The request cannot be understood; `param` names the field."""

    code = "invalid_request"


class UnsupportedParameter(InvalidRequest):
    """The field is known, and what it asks for is not offered."""

    code = "unsupported_parameter"


class ThreadsNotOffered(UnsupportedParameter):
    """The server is to keep a thread of messages; the official SDK goes on without one when it is told so."""

    code = "thread_unsupported_request"
    details: Mapping[str, Any] | None = {"error_code": "thread_unsupported_request"}


class InvalidImage(InvalidRequest):
    """An image that is damaged, too large, of another type than it says, or of one that Claude cannot see."""

    code = "invalid_image"


class InvalidImageUrl(InvalidRequest):
    """An image that could not be fetched from its URL, or may not be."""

    code = "invalid_image_url"


class InvalidFile(InvalidRequest):
    """A file that is damaged, too large, or of a type that Claude cannot read."""

    code = "invalid_file"


class SchemaNotTaken(InvalidRequest):
    """Claude Code cannot compile the JSON schema that the answer is to meet."""

    code = "invalid_json_schema"


class ModelNotFound(InvalidRequest):
    """No such model here."""

    code = "model_not_found"


class InvalidApiKey(GatewayError):
    """No API key came with the request, or one that opens nothing (any more)."""

    code = "invalid_api_key"


class ProfileNotAllowed(GatewayError):
    """The API key is not for this kind of session."""

    code = "profile_not_allowed"


class ProfileNotAvailable(GatewayError):
    """This kind of session is not open on this server."""

    code = "profile_not_available"


class AdminOnly(GatewayError):
    """What was asked for shows or does more than one tenant's affairs."""

    code = "admin_only"


class HostNotAllowed(GatewayError):
    """The request names the server by a name that is not its own."""

    code = "host_not_allowed"


class OriginNotAllowed(GatewayError):
    """The request comes from a web page that is not served."""

    code = "origin_not_allowed"


class ConversationNotFound(GatewayError):
    """No such conversation of this caller."""

    code = "conversation_not_found"


class ResponseNotFound(GatewayError):
    """No such response of this caller: it was deleted, taken back with its turn, or never stored."""

    code = "response_not_found"


class PreviousResponseNotFound(InvalidRequest):
    """The response that the request wants to go on from is not there, or has no answer to go on from."""

    code = "previous_response_not_found"


class ConnectionExpired(InvalidRequest):
    """A WebSocket has lasted as long as one may."""

    code = "websocket_connection_limit_reached"


class ItemNotFound(GatewayError):
    """No such item of this caller."""

    code = "item_not_found"


class NotSupported(UnsupportedParameter):
    """What the hosted service does, and this server does not."""

    code = "not_supported"
    details: Mapping[str, Any] | None = {"error_code": "not_supported"}


class InvalidMetadata(InvalidRequest):
    """Metadata with too many keys, or with one, or a value, that is too long."""

    code = "invalid_metadata"
    details: Mapping[str, Any] | None = {"error_code": "invalid_metadata"}


class ResourceNotFound(GatewayError):
    """No such agent, environment, file or skill of this caller."""

    code = "resource_not_found"


class FileExpired(ResourceNotFound):
    """The file was kept for as long as its upload asked for."""

    code = "file_expired"
    details: Mapping[str, Any] | None = {"error_code": "file_expired"}


class ResourceArchived(InvalidRequest):
    """What is archived is not changed, and nothing new is made with it."""

    code = "resource_archived"


class EnvironmentArchived(ResourceArchived):
    """The same of an environment."""

    code = "environment_archived"
    details: Mapping[str, Any] | None = {"error_code": "environment_archived"}


class VersionConflict(GatewayError):
    """The agent was changed since the version that the request goes by."""

    code = "version_conflict"


class ConversationExists(GatewayError):
    """The id for a new conversation is taken."""

    code = "conversation_exists"


class ConversationDeleted(GatewayError):
    """The conversation was deleted while this turn waited or ran."""

    code = "conversation_deleted"


class ConversationBusy(GatewayError):
    """Too many turns already wait on this one conversation."""

    code = "conversation_busy"


class ConversationInUse(GatewayError):
    """What was asked for can only be done between turns, and one runs."""

    code = "conversation_in_use"


class ConversationMoved(GatewayError):
    """A newer process has the conversation: what an older one still writes is refused."""

    code = "conversation_moved"


class ApprovalNotFound(GatewayError):
    """No such call waits for approval on this conversation, or has waited a while ago."""

    code = "approval_not_found"


class ApprovalDecided(GatewayError):
    """The call no longer waits for approval: it was decided before, or its time or its turn is over."""

    code = "approval_decided"


class IdempotencyKeyReused(GatewayError):
    """The Idempotency-Key came before, with another request."""

    code = "idempotency_key_reused"


class CapacityExceeded(GatewayError):
    """Every process slot is busy, and none came free in time."""

    code = "capacity_exceeded"


class ShuttingDown(GatewayError):
    """The server drains: it finishes what runs and takes nothing new."""

    code = "server_shutting_down"


class StoreUnavailable(GatewayError):
    """The store cannot be read or written: disk full, database locked. Nothing was half-written."""

    code = "store_unavailable"


class TurnCancelled(GatewayError):
    """Somebody interrupted the turn, or its client left."""

    code = "turn_cancelled"


class TurnTimeout(GatewayError):
    """A watchdog ended the turn: no first event, silence, or the wall clock."""

    code = "turn_timeout"


class StartFailed(GatewayError):
    """No Claude Code process could be started."""

    code = "process_start_failed"


class StartTimedOut(StartFailed):
    """A process was started and was not ready in time."""

    code = "process_start_timeout"


class ProcessDied(GatewayError):
    """The Claude Code process ended in the middle of the turn."""

    code = "process_died"


class UpstreamError(GatewayError):
    """The model's API refused or failed. `status` is what it answered, None when there was no answer at all."""

    code = "upstream_error"

    def __init__(
        self, message: str, *, status: int | None = None, param: str | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(message, param=param, retry_after=retry_after)
        self.status = status


class UpstreamAuthFailed(UpstreamError):
    """The credentials that the server hands to Claude Code were not accepted."""

    code = "upstream_authentication_failed"


class UpstreamForbidden(UpstreamError):
    """The credentials are known, and may not do this."""

    code = "upstream_permission_denied"


class UpstreamModelNotFound(UpstreamError):
    """The model's API does not know the model, or the account may not use it."""

    code = "model_not_found"


class UpstreamRateLimited(UpstreamError):
    """The account's rate or usage limit is reached."""

    code = "rate_limit_exceeded"


class UpstreamOverloaded(UpstreamError):
    """The model's API has too much to do."""

    code = "upstream_overloaded"


class UpstreamRejected(UpstreamError):
    """The model's API found the request invalid."""

    code = "upstream_invalid_request"


class ContextOverflow(UpstreamError):
    """The conversation no longer fits the model's context window."""

    code = "context_length_exceeded"


class ContentRefused(UpstreamError):
    """The model declined to answer."""

    code = "content_filter"


class UpstreamInterrupted(UpstreamError):
    """The model's stream broke after part of the answer had been passed on."""

    code = "upstream_stream_interrupted"


class SchemaNotMet(UpstreamError):
    """The model tried several times, and none of its answers met the JSON schema."""

    code = "schema_not_met"
