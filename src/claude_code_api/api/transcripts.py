"""`/v1/sessions/{conversation_id}/transcript`: what was said, turn by turn, for programs or for people."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from starlette.responses import Response, StreamingResponse

from claude_code_api.api.context import Context, Ctx, Who
from claude_code_api.api.hidden import Hidden
from claude_code_api.api.sessions import address_of, usage_of
from claude_code_api.core.identity import Address
from claude_code_api.core.turn import Block, Message
from claude_code_api.runtime.stored import StoredTurn, StoredTurns

router = APIRouter(tags=["Sessions"])

_PAGE = 20
"""Turns that are in memory at once while a whole transcript is written out."""


@router.get(
    "/v1/sessions/{conversation_id}/transcript",
    summary="Read a session",
    responses={200: {"content": {"application/json": {}, "text/markdown": {}}}},
    response_class=Response,
)
async def transcript(
    conversation_id: str,
    context: Ctx,
    caller: Who,
    format: Annotated[Literal["json", "markdown"], Query(description="For programs, or for people.")] = "json",
    after: Annotated[str | None, Query(description="The turn that the page follows; JSON only.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="Most turns on a page; JSON only.")] = 100,
) -> Response:
    """The completed turns of the conversation's history, the first one first; as Markdown all of them.

    Blocks have the shapes of Anthropic's Messages API. Those marked `internal` are the agent's own tool calls and their
    results, which no client was shown.
    """
    address = address_of(caller, conversation_id)
    if format == "markdown":
        first = await context.manager.revisions.turns(address, after=None, limit=_PAGE)
        return StreamingResponse(
            _markdown(context, address, first),
            media_type="text/markdown; charset=utf-8",
            headers={"X-Content-Type-Options": "nosniff"},
        )
    page = await context.manager.revisions.turns(address, after=after, limit=limit + 1)
    body = await asyncio.to_thread(_json, page, limit, context.sessions_root)  # a long conversation takes a while
    return Response(body, media_type="application/json")


def _json(page: StoredTurns, limit: int, root: str) -> str:
    hidden = Hidden(root)
    data = [hidden.of(_turn(turn)) for turn in page.turns[:limit]]
    told = {
        "object": "list",
        "base": [hidden.of(_message(message)) for message in page.base],
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": len(page.turns) > limit,
    }
    return json.dumps(told, separators=(",", ":"))


def _turn(turn: StoredTurn) -> dict[str, Any]:
    return {
        "id": turn.turn_id,
        "object": "session.turn",
        "created_at": int(turn.created_at),
        "finished_at": int(turn.finished_at),
        "status": "completed",
        "model": turn.model,
        "stop_reason": turn.stop_reason,
        "input": _message(turn.input),
        "output": [_message(message) for message in turn.output],
        "usage": usage_of(turn.usage),
        "cost_usd": round(turn.cost_usd, 6),
    }


def _message(message: Message) -> dict[str, Any]:
    return {"role": message.role, "content": [_shown(block) for block in message.content]}


def _shown(block: Block) -> Block:
    """Without what only the model's API can read."""
    if block.get("type") not in ("thinking", "redacted_thinking"):
        return block
    return {name: value for name, value in block.items() if name not in ("signature", "data")}


# Markdown


async def _markdown(context: Context, address: Address, page: StoredTurns) -> AsyncIterator[bytes]:
    hidden = Hidden(context.sessions_root)
    yield f"# Conversation {address.conversation_id}\n".encode()
    for message in page.base:
        yield _bytes(hidden.of("".join(_part(message, "User" if message.role == "user" else "Assistant"))))
    while page.turns:
        for turn in page.turns:
            yield _bytes(hidden.of("".join(_parts(turn))))
        page = await context.manager.revisions.turns(address, after=page.turns[-1].turn_id, limit=_PAGE)


def _bytes(text: str) -> bytes:
    return text.encode(errors="replace")  # JSON can hold half a surrogate pair, UTF-8 cannot


def _parts(turn: StoredTurn) -> Iterator[str]:
    asked = datetime.fromtimestamp(turn.created_at, UTC)
    yield from _part(turn.input, f"User, {asked:%Y-%m-%d %H:%M:%S} UTC")
    for message in turn.output:
        yield from _part(message, turn.model if message.role == "assistant" else "Tools")


def _part(message: Message, title: str) -> Iterator[str]:
    yield f"\n## {title}\n"
    for block in message.content:
        yield f"\n{_WRITTEN.get(block.get('type', ''), _other)(block).strip()}\n"


def _text(block: Block) -> str:
    return str(block["text"])


def _thinking(block: Block) -> str:
    lines = str(block.get("thinking") or "(hidden)").splitlines()
    return "*Thinking*\n\n" + "\n".join(f"> {line}".rstrip() for line in lines)


def _call(block: Block) -> str:
    arguments = json.dumps(block["input"], indent=2, ensure_ascii=False)
    return f"**{_whose(block)} `{block['name']}`** ({block['id']})\n\n{_fenced(arguments, 'json')}"


def _whose(block: Block) -> str:
    return "Own tool" if block.get("internal") else "Tool"


def _result(block: Block) -> str:
    content = block.get("content") or ""
    if not isinstance(content, str):
        content = "\n".join(part["text"] if part.get("type") == "text" else _other(part) for part in content)
    failed = ", failed" if block.get("is_error") else ""
    return f"**Result** ({block['tool_use_id']}{failed})\n\n{_fenced(content)}"


def _other(block: Mapping[str, Any]) -> str:
    source = block.get("source") or {}
    kind = source.get("media_type") or source.get("type")
    return f"*[{block.get('type')}{f', {kind}' if kind else ''}]*"


def _fenced(text: str, language: str = "") -> str:
    """A code block that ends where the text does, whatever is in it."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


_WRITTEN: Mapping[str, Callable[[Block], str]] = {
    "text": _text,
    "thinking": _thinking,
    "tool_use": _call,
    "tool_result": _result,
}
