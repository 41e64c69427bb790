"""`GET /v1/models`."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from claude_code_api.api.context import Context, Ctx

router = APIRouter(tags=["OpenAI"])


@router.get("/v1/models", summary="List the models")
async def list_models(context: Ctx) -> dict[str, Any]:
    """The names to use as `model`. Full ids of Claude models work as well."""
    return {"object": "list", "data": [_model(name, context) for name in context.models.listed()]}


@router.get("/v1/models/{name:path}", summary="Retrieve a model")
async def get_model(name: str, context: Ctx) -> dict[str, Any]:
    """One model; 404 for a name that a request could not use."""
    context.models.resolve(name)
    return _model(name, context)


def _model(name: str, context: Context) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": int(context.since), "owned_by": "anthropic"}
