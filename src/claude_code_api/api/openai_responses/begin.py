"""From a request for a response to a turn that runs: what HTTP and WebSockets share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from claude_code_api.api.context import Context
from claude_code_api.api.media import Media
from claude_code_api.api.openai_items.context import hide, referred
from claude_code_api.api.openai_items.parts import urls_to_fetch
from claude_code_api.api.openai_items.told import Telling
from claude_code_api.api.openai_responses.place import Place, Unkept, place_of
from claude_code_api.api.openai_responses.progress import Event
from claude_code_api.api.openai_responses.resource import Head
from claude_code_api.api.openai_responses.settings import telling_of
from claude_code_api.api.openai_responses.stream import LOST, Stream
from claude_code_api.api.openai_responses.translate import ParsedRequest, parse
from claude_code_api.api.openai_responses.wire import ResponsesRequest
from claude_code_api.core.keys import Caller
from claude_code_api.core.profiles import AGENT
from claude_code_api.core.turn import TurnCompleted, TurnEvent, TurnFailed
from claude_code_api.errors import GatewayError, SchemaNotTaken
from claude_code_api.runtime.host import RequestMark
from claude_code_api.runtime.stored import NewResponse
from claude_code_api.runtime.ticket import Ticket

_LONG = 100
"""Items, from which on a request is not translated on the event loop."""

Fetch = Callable[[list[tuple[str, str]]], Awaitable[Media]]
"""Fetches images, which are named by the field and the URL."""

Mark = Callable[[str | None], Awaitable[RequestMark]]
"""What identifies the request, for the conversation that it is for."""


@dataclass
class Begun:
    """A response under way. `headers` say of it what its object does not."""

    ticket: Ticket
    head: Head
    headers: dict[str, str]
    background: bool
    completed: bool = False

    async def told(self, events: AsyncIterator[TurnEvent]) -> AsyncIterator[Event]:
        """The semantic events of these events of its turn, to the last one."""
        stream = Stream(self.head, clock=time.time, background=self.background)
        for one in stream.begin():
            yield one
        async for event in events:
            if isinstance(event, TurnFailed):
                event = TurnFailed(named(event.error))
            elif self.ticket.replayed and not isinstance(event, TurnCompleted):
                continue  # what is stored says it all
            self.completed = self.completed or isinstance(event, TurnCompleted)
            for one in stream.of(event):
                yield one
            if stream.over:
                if not isinstance(event, TurnCompleted | TurnFailed):
                    self.ticket.cut(LOST)
                return

    def answered(self, done: TurnCompleted) -> dict[str, Any]:
        """The whole response."""
        return self.head.ended(done, self.head.output(done.messages, done.stop_reason), time.time())


async def begin(
    context: Context,
    caller: Caller,
    headers: Mapping[str, str],
    body: ResponsesRequest,
    *,
    mark: Mark,
    fetch: Fetch,
    unkept: Unkept | None = None,
) -> Begun:
    """Translate a request and submit it. `unkept` is what its connection remembers, if it has one.

    Raises what is wrong with it, and what the manager raises.
    """
    context.profiles.check(context.models.open(body.model).profile, caller)
    place = await place_of(body, headers, context, caller.tenant, unkept or Unkept())
    parsed = await _parsed(body, context, caller.tenant, place, fetch)
    turn = parsed.turn
    if place.history is not None:
        turn = replace(
            turn,
            history=(*place.history.messages, *turn.before),
            developer=(*place.history.developer, *turn.developer),
            before=(),
            after=None,
        )
    if unkept is None and not turn.kept and turn.profile == AGENT:
        turn = replace(turn, apart=True)  # nobody could find it again
    response = NewResponse(parsed.settings, body.background is True) if turn.kept else None
    conversation_id = place.conversation_id
    ticket = await context.manager.submit(caller.tenant, conversation_id, turn, await mark(conversation_id), response)
    shown = {"X-Conversation-ID": ticket.conversation_id} if turn.kept else {}
    if ticket.replayed:
        shown["Idempotent-Replayed"] = "true"
    if parsed.ignored:
        shown["X-Ignored-Params"] = ", ".join(parsed.ignored)
    head = Head(
        ticket.turn_id,
        ticket.created_at,
        parsed.settings,
        shown.get("X-Conversation-ID"),
        telling(context, parsed.settings),
    )
    return Begun(ticket, head, shown, body.background is True)


def named(error: GatewayError) -> GatewayError:
    """The error of a turn with the field of this dialect that it is about."""
    if isinstance(error, SchemaNotTaken):
        error.param = "text.format.schema"
    elif error.param == "messages":
        error.param = "input"
    return error


def telling(context: Context, settings: Mapping[str, Any]) -> Telling:
    """What is told of an answer to a request with these settings."""
    return telling_of(settings, thinking=context.reasoning_content, activity=context.agent_activity, hide=hide(context))


async def _parsed(body: ResponsesRequest, context: Context, tenant: str, place: Place, fetch: Fetch) -> ParsedRequest:
    """Translate the body, and then once more with the images that it names by URL: what is wrong is told before."""
    kept = await referred(context, tenant, body.input)

    def parsed(media: Media) -> ParsedRequest:
        return parse(
            body,
            models=context.models,
            identity=place.identity,
            strict=context.strict_params,
            media=media,
            kept=kept,
        )

    is_long = isinstance(body.input, list) and len(body.input) > _LONG
    if is_long or body.tools or body.text is not None:  # long histories and large schemas take a while
        first = await asyncio.get_running_loop().run_in_executor(context.checks, parsed, context.images.awaited)
    else:
        first = parsed(context.images.awaited)
    wanted = urls_to_fetch(body.input)
    return parsed(await fetch(wanted)) if wanted else first
