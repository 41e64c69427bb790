"""What can be done to a conversation beside taking a turn: ending one, going back, branching off, reading it."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from claude_code_api.core.identity import Address
from claude_code_api.core.session import BETWEEN_TURNS, State
from claude_code_api.errors import ConversationExists, ConversationInUse, InvalidRequest
from claude_code_api.runtime.refusals import no_previous, not_found, too_few
from claude_code_api.runtime.registry import new_id
from claude_code_api.runtime.stored import Fork, ForkResult, StoredConversation, StoredTurns
from claude_code_api.runtime.views import SessionView, view_of_actor, view_of_stored

if TYPE_CHECKING:
    from claude_code_api.runtime.manager import SessionManager

T = TypeVar("T")

log = structlog.get_logger("claude_code_api.session")


class Revisions:
    """Lives on the manager's event loop. What is begun is brought to its end, also when its request is cancelled."""

    def __init__(self, manager: SessionManager) -> None:
        self._manager = manager

    async def _to_the_end(self, work: Coroutine[Any, Any, T]) -> T:
        task: asyncio.Task[T] = self._manager.tasks.spawn(work, "revision")
        return await asyncio.shield(task)

    async def interrupt(self, address: Address) -> tuple[SessionView, bool]:
        """End the turn that runs; whether one did. Returns when the live context is without it.

        Turns that wait go on waiting, and run next. Raises ConversationNotFound or StoreUnavailable.
        """
        actor = self._manager.live(address)
        if actor is None:
            return await self._manager.get(address), False
        interrupted = actor.interrupt()
        if interrupted:
            self._manager.stats.counts["interrupted"] += 1
            await actor.undone.wait()
        return view_of_actor(actor), interrupted

    async def rewind(self, address: Address, turns: int) -> SessionView:
        """Take back the last completed turns; returns when that is stored.

        A process goes back with them, or is stopped. Raises ConversationNotFound, ConversationInUse while a turn runs
        or waits, InvalidRequest when there are fewer turns, or StoreUnavailable.
        """
        while True:
            actor = self._manager.live(address)
            if actor is None:
                view: SessionView | None = await self._to_the_end(self._rewind_stored(address, turns))
                if view is not None:
                    return view
            elif actor.state in BETWEEN_TURNS and actor.at_rest:
                if not actor.kept:
                    raise too_few(turns)
                await asyncio.shield(actor.rewind(turns))
                return view_of_actor(actor)
            elif actor.state is State.STOPPING and actor.current is None:
                await actor.released.wait()
            else:
                raise ConversationInUse("A turn runs on this conversation; rewind it between turns.", retry_after=2)

    async def _rewind_stored(self, address: Address, turns: int) -> SessionView | None:
        """The same for one without a process; None when somebody was faster and has it in memory now."""
        async with self._manager.change(address):
            if self._manager.live(address) is not None:
                return None
            stored = await self._manager.store.summary(*address)
            if stored is None:
                raise not_found(address)
            rewound = await self._manager.store.rewind(stored.key, turns, epoch=stored.epoch)
        if rewound is None:
            raise too_few(turns)
        self._manager.stats.counts["rewound"] += 1
        self._manager.feeds.rewound(address, turns)
        log.info("session_rewound", **address._asdict(), turns=turns, in_place=False)
        return view_of_stored(rewound.left)

    async def fork(self, address: Address, conversation_id: str | None, turns: int | None) -> SessionView:
        """Make another conversation of this one's first completed turns; this one stays as it is, at work or not.

        Raises ConversationNotFound, ConversationInUse before its first turn is completed, ConversationExists when the
        id is taken, InvalidRequest when there are fewer turns, or StoreUnavailable.
        """
        self._manager.check_open()
        made = Address(address.tenant, conversation_id or new_id())
        return await self._to_the_end(self._fork(address, made, turns))

    async def _fork(self, address: Address, made: Address, turns: int | None) -> SessionView:
        source = await self._manager.store.summary(*address)
        if source is None and self._manager.live(address) is not None:
            raise ConversationInUse("Its first turn is not completed: there is nothing to fork yet.", retry_after=2)
        if source is None:
            raise not_found(address)
        match await self._copy(source, made, turns=turns):
            case ForkResult.NO_SOURCE:
                raise not_found(address)
            case ForkResult.ID_TAKEN:
                raise _exists(made)
            case ForkResult.TOO_FEW_TURNS:
                raise too_few(turns or 0)
        return await self._manager.get(made)

    async def branch(self, address: Address, turn_id: str) -> Address:
        """Make another conversation of what this one held when a turn was completed, whatever became of it since.

        Raises PreviousResponseNotFound, ShuttingDown or StoreUnavailable.
        """
        self._manager.check_open()
        made = Address(address.tenant, new_id())
        return await self._to_the_end(self._branch(address, made, turn_id))

    async def _branch(self, address: Address, made: Address, turn_id: str) -> Address:
        source = await self._manager.store.summary(*address)
        if source is None or await self._copy(source, made, until=turn_id) is not ForkResult.DONE:
            raise no_previous()
        return made

    async def _copy(
        self, source: StoredConversation, made: Address, *, turns: int | None = None, until: str | None = None
    ) -> ForkResult:
        """Make `made` of what another conversation holds, or held."""
        async with self._manager.change(made):
            if self._manager.live(made) is not None:
                return ForkResult.ID_TAKEN
            key, place = uuid.uuid4().hex, uuid.uuid4().hex[:16]
            fork = Fork(source.key, turns, key, made.conversation_id, place, time.time(), until)
            result = await self._manager.store.fork(fork)
        if result is ForkResult.DONE:
            self._manager.stats.counts["forked"] += 1
            log.info(
                "session_forked", **Address(made.tenant, source.conversation_id)._asdict(), into=made.conversation_id
            )
        return result

    async def turns(self, address: Address, *, after: str | None, limit: int) -> StoredTurns:
        """A page of the turns of a conversation's history, the first one first; `after` is the turn that it follows.

        Raises ConversationNotFound, InvalidRequest when `after` is no turn of it, or StoreUnavailable.
        """
        actor = self._manager.live(address)
        if actor is not None:
            key = actor.key
        elif (stored := await self._manager.store.summary(*address)) is not None:
            key = stored.key
        else:
            raise not_found(address)
        page = await self._manager.store.turns(key, after=after, limit=limit)
        if page is None:
            raise InvalidRequest(f"{after!r} is no turn of this conversation's history.", param="after")
        return page


def _exists(address: Address) -> ConversationExists:
    return ConversationExists(f"There is a conversation {address.conversation_id!r} already.", param="conversation_id")
