"""Turns beside every conversation, of which nothing is kept: for what is asked of a history, and not in it."""

from __future__ import annotations

import contextlib

from fastapi import Request

from claude_code_api.api.client import ClientWatch
from claude_code_api.api.context import Context
from claude_code_api.api.mark import mark_of
from claude_code_api.core.keys import Caller
from claude_code_api.core.profiles import CHAT
from claude_code_api.core.turn import Message, Options, TurnCompleted, TurnFailed, TurnInput
from claude_code_api.errors import GatewayError
from claude_code_api.runtime.stored import StoredHistory
from claude_code_api.runtime.ticket import Ticket

NO_OPTIONS = Options()


async def ask(
    request: Request,
    context: Context,
    caller: Caller,
    history: StoredHistory,
    words: str,
    *,
    model: str | None,
    system: str,
    options: Options = NO_OPTIONS,
) -> tuple[Ticket, TurnCompleted]:
    """Ask something at the end of a history; a client that leaves ends it. Raises what the turn fails with, and for a
    token count what the gate raises."""
    opened = context.models.open(model)
    context.profiles.check(CHAT, caller)
    turn = TurnInput(
        new=Message("user", ({"type": "text", "text": words},)),
        model=opened.model,
        system=system,
        history=history.messages,
        developer=history.developer,
        named=False,
        apart=True,
        kept=False,
        options=options,
    )
    gate = context.counting.admitted(caller.tenant, request.receive) if options.counts else contextlib.nullcontext()
    async with gate:
        ticket = await context.manager.submit(caller.tenant, None, turn, await mark_of(request, None))
        try:
            async with ClientWatch(request.receive, ticket.abandon):
                async for event in ticket.events():
                    if isinstance(event, TurnFailed):
                        raise event.error
                    if isinstance(event, TurnCompleted):
                        ticket.delivered()
                        return ticket, event
        finally:
            ticket.abandon()
    raise GatewayError("The turn ended without a result.")
