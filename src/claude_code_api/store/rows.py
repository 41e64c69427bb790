"""Between rows and what the runtime works with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Row

from claude_code_api.core.toolbox import BUILT_IN, McpServer, Permissions, PlacedFile, Skill, Toolbox
from claude_code_api.core.turn import Message, Usage
from claude_code_api.runtime.ports import Binding
from claude_code_api.runtime.stored import StoredConversation, StoredTurn

RUNNING, COMPLETED, FAILED, INTERRUPTED, REWOUND = "running", "completed", "failed", "interrupted", "rewound"
"""What a turn's `status` can be."""

ADDED = "added"
"""The `start` and the `stop_reason` of what was added to a history without a turn."""

NOTHING: dict[str, Any] = {"role": "user", "content": []}
"""What stands for the input of a turn that left nothing behind, or was taken back, or never had one."""

TOKENS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "thinking_tokens")
TOTALS = (*TOKENS, "cost_usd")


def conversation_of(row: Row[Any]) -> StoredConversation:
    """A conversation's row, without what belongs to it."""
    bound = row.cli_session_id is not None and row.leaf is not None
    return StoredConversation(
        key=row.key,
        tenant=row.tenant,
        conversation_id=row.conversation_id,
        place=row.place,
        binding=Binding(row.cli_session_id, row.leaf) if bound else None,
        system=row.system,
        model=row.model,
        profile=row.profile,
        turns=row.turns,
        usage=usage_of(row),
        cost_usd=row.cost_usd,
        created_at=row.created_at,
        last_used_at=row.last_used_at,
        epoch=row.epoch,
        history=(),
        unread=None,
        metadata=row.metadata,
        toolbox=toolbox_of(row.toolbox),
        is_found=row.lineage is not None,
    )


def turn_of(row: Row[Any]) -> StoredTurn:
    """A completed turn's row."""
    return StoredTurn(
        turn_id=row.id,
        created_at=row.started_at,
        finished_at=row.finished_at,
        model=row.model,
        stop_reason=row.stop_reason,
        input=from_json([row.input])[0],
        output=from_json(row.output or ()),
        usage=usage_of(row),
        cost_usd=row.cost_usd,
        developer=tuple(row.developer or ()),
    )


def usage_of(row: Row[Any]) -> Usage:
    """What a row of either kind says of tokens."""
    return Usage(
        row.input_tokens, row.output_tokens, row.cache_read_tokens, row.cache_write_tokens, row.thinking_tokens
    )


def totals_of(usage: Usage, cost_usd: float) -> dict[str, float]:
    """What a turn adds to its conversation's totals, or weighs itself."""
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_tokens": usage.cache_read_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "thinking_tokens": usage.thinking_tokens,
        "cost_usd": cost_usd,
    }


def toolbox_to_json(toolbox: Toolbox | None) -> dict[str, Any] | None:
    """A toolbox as it is stored."""
    return None if toolbox is None else asdict(toolbox)


def toolbox_of(stored: dict[str, Any] | None) -> Toolbox | None:
    """A stored toolbox, without tools that there are no more."""
    if stored is None:
        return None
    return Toolbox(
        tools=None if stored["tools"] is None else tuple(tool for tool in stored["tools"] if tool in BUILT_IN),
        servers=tuple(McpServer(**one) for one in stored["servers"]),
        skills=tuple(Skill(**one) for one in stored["skills"]),
        files=tuple(PlacedFile(**one) for one in stored["files"]),
        permissions=_permissions_of(stored["permissions"]),
    )


def _permissions_of(stored: dict[str, Any]) -> Permissions:
    return Permissions(tuple((name, decision) for name, decision in stored["rules"]), stored["default"])


def to_json(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Messages as they are stored."""
    return [{"role": message.role, "content": list(message.content)} for message in messages]


def from_json(stored: Sequence[dict[str, Any]]) -> tuple[Message, ...]:
    """Stored messages as the runtime has them."""
    return tuple(Message(one["role"], tuple(one["content"])) for one in stored)
