"""`/v1/sessions/{conversation_id}/approvals`: the calls of an agent that wait for a person."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from claude_code_api.api.context import Ctx, Who
from claude_code_api.api.hidden import Hidden
from claude_code_api.api.sessions import address_of
from claude_code_api.api.sse import EscapedJSON
from claude_code_api.runtime.approvals import Approval

router = APIRouter(tags=["Sessions"], default_response_class=EscapedJSON)


class Decision(BaseModel):
    """What becomes of a call; with `deny`, `message` tells the model why."""

    model_config = ConfigDict(extra="forbid", strict=True)

    decision: Literal["allow", "deny"]
    message: Annotated[str, Field(max_length=10_000)] | None = None


@router.get("/v1/sessions/{conversation_id}/approvals", summary="List the approvals of a session")
async def list_approvals(conversation_id: str, context: Ctx, caller: Who) -> dict[str, Any]:
    """The calls of the session's agent that wait for a person, the oldest first."""
    waiting = await context.manager.approvals(address_of(caller, conversation_id))
    hidden = Hidden(context.sessions_root)
    return {
        "object": "list",
        "data": [_approval(approval, conversation_id, hidden) for approval in waiting],
        "first_id": waiting[0].id if waiting else None,
        "last_id": waiting[-1].id if waiting else None,
        "has_more": False,
    }


@router.get("/v1/sessions/{conversation_id}/approvals/{approval_id}", summary="Retrieve an approval")
async def get_approval(conversation_id: str, approval_id: str, context: Ctx, caller: Who) -> dict[str, Any]:
    """One that waits, or was settled a while ago and is still remembered; 404 for any other."""
    approval = await context.manager.approval(address_of(caller, conversation_id), approval_id)
    return _approval(approval, conversation_id, Hidden(context.sessions_root))


@router.post("/v1/sessions/{conversation_id}/approvals/{approval_id}", summary="Decide about an approval")
async def decide_approval(
    conversation_id: str, approval_id: str, body: Decision, context: Ctx, caller: Who
) -> dict[str, Any]:
    """Let the call be made, or not: the turn goes on. 409 when it was settled already."""
    approval = await context.manager.decide(
        address_of(caller, conversation_id), approval_id, allowed=body.decision == "allow", message=body.message
    )
    return _approval(approval, conversation_id, Hidden(context.sessions_root))


def _approval(approval: Approval, conversation_id: str, hidden: Hidden) -> dict[str, Any]:
    """An approval as the API shows it."""
    return {
        "id": approval.id,
        "object": "approval",
        "conversation_id": conversation_id,
        "turn_id": approval.turn_id,
        "status": approval.status.value,
        "name": approval.name,
        "input": hidden.of(dict(approval.input)),
        "created_at": int(approval.since),
        "expires_at": int(approval.deadline),
    }
