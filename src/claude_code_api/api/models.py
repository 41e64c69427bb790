"""`GET /v1/models`, as OpenAI's clients or as Anthropic's read it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request

from claude_code_api.api.context import Context, Ctx, Who
from claude_code_api.api.errors import answers_anthropic
from claude_code_api.core.models import ALIASES
from claude_code_api.errors import InvalidRequest

Stage = Literal["active", "deprecated", "retired"]
_STAGE: Stage = "active"
"""Where in its life every model is that is listed here."""

router = APIRouter(tags=["OpenAI", "Anthropic"])


@router.get("/v1/models", summary="List the models")
async def list_models(
    request: Request,
    context: Ctx,
    caller: Who,
    limit: Annotated[int, Query(ge=1, le=1000, description="Anthropic's clients only, as the cursors.")] = 20,
    after_id: str | None = None,
    before_id: str | None = None,
    lifecycle: Annotated[list[Stage] | None, Query(alias="lifecycle[]")] = None,
) -> dict[str, Any]:
    """The names that you may use as `model`. Full ids of Claude models work as well, behind a profile, too.

    A client that sends `anthropic-version` gets pages in Anthropic's shape.
    """
    names = context.models.listed(context.profiles.open_to(caller))
    if answers_anthropic(request.scope):
        if lifecycle and _STAGE not in lifecycle:
            names = []
        return _page(names, context, limit=limit, after=after_id, before=before_id)
    return {"object": "list", "data": [_model(name, context) for name in names]}


@router.get("/v1/models/{name:path}", summary="Retrieve a model")
async def get_model(request: Request, name: str, context: Ctx, caller: Who) -> dict[str, Any]:
    """One model; 404 for a name that no request could use, 403 for one that yours may not."""
    context.profiles.check(context.models.open(name).profile, caller)
    return _info(name, context) if answers_anthropic(request.scope) else _model(name, context)


def _model(name: str, context: Context) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": int(context.since), "owned_by": "anthropic"}


def _page(
    names: Sequence[str], context: Context, *, limit: int, after: str | None, before: str | None
) -> dict[str, Any]:
    start = 0 if after is None else _place(names, after, "after_id") + 1
    end = len(names) if before is None else _place(names, before, "before_id")
    if after is None and before is not None:
        start = max(0, end - limit)
        has_more = start > 0
    else:
        has_more = end - start > limit
    shown = names[start:end][:limit]
    return {
        "data": [_info(name, context) for name in shown],
        "has_more": has_more,
        "first_id": shown[0] if shown else None,
        "last_id": shown[-1] if shown else None,
    }


def _place(names: Sequence[str], name: str, where: str) -> int:
    if name not in names:
        raise InvalidRequest(f"{where}: {name[:100]!r} is none of the models.", param=where)
    return names.index(name)


def _info(name: str, context: Context) -> dict[str, Any]:
    """A model as Anthropic's clients read it. What it can do is the model's own affair: its API alone knows."""
    model = context.models.open(name).model
    return {
        "id": name,
        "type": "model",
        "display_name": name,
        "created_at": datetime.fromtimestamp(int(context.since), UTC).isoformat().replace("+00:00", "Z"),
        "lifecycle": _STAGE,
        "line": next((line for line in ALIASES if line in model), None),
        "capabilities": None,
        "deprecated_at": None,
        "retires_at": None,
        "max_input_tokens": None,
        "max_tokens": None,
    }
