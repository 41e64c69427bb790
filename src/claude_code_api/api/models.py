"""`GET /v1/models`."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from claude_code_api.api.context import Context, Ctx, Who

router = APIRouter(tags=["OpenAI"])


@router.get("/v1/models", summary="List the models")
async def list_models(context: Ctx, caller: Who) -> dict[str, Any]:
    """The names that you may use as `model`. Full ids of Claude models work as well, behind a profile, too."""
    names = context.models.listed(context.profiles.open_to(caller))
    return {"object": "list", "data": [_model(name, context) for name in names]}


@router.get("/v1/models/{name:path}", summary="Retrieve a model")
async def get_model(name: str, context: Ctx, caller: Who) -> dict[str, Any]:
    """One model; 404 for a name that no request could use, 403 for one that yours may not."""
    context.profiles.check(context.models.open(name).profile, caller)
    return _model(name, context)


def _model(name: str, context: Context) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": int(context.since), "owned_by": "anthropic"}
