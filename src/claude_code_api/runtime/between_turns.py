"""What can only be done while no turn of a conversation runs or waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

import structlog

from claude_code_api.core.identity import Address
from claude_code_api.core.session import BETWEEN_TURNS, State
from claude_code_api.errors import ConversationInUse
from claude_code_api.runtime.edits import Edit
from claude_code_api.runtime.refusals import not_found
from claude_code_api.runtime.views import SessionView, view_of_actor, view_of_stored

if TYPE_CHECKING:
    from claude_code_api.runtime.actor import Actor
    from claude_code_api.runtime.manager import SessionManager

log = structlog.get_logger("claude_code_api.session")


async def between_turns(
    manager: SessionManager,
    address: Address,
    live: Callable[[Actor], asyncio.Task[None]],
    stored: Callable[[], Coroutine[Any, Any, SessionView | None]],
) -> SessionView:
    """Do something on the live process, or to what is stored when there is none; to its end, once it is begun.

    `stored` returns None when somebody was faster and has the conversation in memory. Raises ConversationInUse while a
    turn runs or waits, and what the two raise.
    """
    while True:
        actor = manager.live(address)
        if actor is None:
            task: asyncio.Task[SessionView | None] = manager.tasks.spawn(stored(), "revision")
            view = await asyncio.shield(task)
            if view is not None:
                return view
        elif actor.state in BETWEEN_TURNS and actor.at_rest:
            await asyncio.shield(live(actor))
            return view_of_actor(actor)
        elif actor.state is State.STOPPING and actor.current is None:
            await actor.released.wait()
        elif actor.state is State.INTERRUPTING and actor.settled:
            await actor.undone.wait()  # its last turn was cut, and is on its way out
        else:
            raise ConversationInUse("A turn runs on this conversation; change it between turns.", retry_after=2)


async def edit_stored(manager: SessionManager, address: Address, edit: Edit) -> SessionView | None:
    """Change the history of a conversation without a process; None when somebody has it in memory now."""
    async with manager.change(address):
        if manager.live(address) is not None:
            return None
        found = await manager.store.summary(*address)
        if found is None:
            raise not_found(address)
        left = await edit.write(manager.store, found.key, found.epoch)
    manager.feeds.edited(address)
    log.info("session_edited", **address._asdict(), edit=edit.name, in_place=False)
    return view_of_stored(left)
