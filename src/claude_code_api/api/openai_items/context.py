"""What the dialects with items need of the rest of the server: items that are referred to, images that are named."""

from __future__ import annotations

from claude_code_api.api.context import Context
from claude_code_api.api.hidden import Hidden
from claude_code_api.api.openai_items.ids import parse
from claude_code_api.api.openai_items.read import Items, references
from claude_code_api.api.openai_items.shapes import Hide
from claude_code_api.api.openai_items.told import Telling, items_of_turn
from claude_code_api.api.openai_items.wire import Input


def hide(context: Context) -> Hide:
    """What hides the server's own directories in what is told."""
    return Hidden(context.sessions_root).of


async def referred(context: Context, tenant: str, given: Input | None) -> Items:
    """The tenant's items that a request refers to by their ids, whole, as far as there are such."""
    known = [identity for one in references(given) if (identity := parse(one)) is not None]
    if not known:
        return {}
    turns = await context.manager.store.find_turns(tenant, list({identity.turn_id: None for identity in known}))
    whole = Telling(thinking=True, encrypted=True, activity=True, hide=hide(context))
    return {item["id"]: item for turn in turns for item in items_of_turn(turn, whole)}
