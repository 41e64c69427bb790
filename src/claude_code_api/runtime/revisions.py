"""What can be done to a conversation beside taking a turn: ending one, going back, branching off, reading it.

And making one before its first turn, and changing what its history holds.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Coroutine, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from claude_code_api.core.identity import Address
from claude_code_api.errors import ConversationExists, ConversationInUse, InvalidRequest
from claude_code_api.runtime.between_turns import between_turns, edit_stored
from claude_code_api.runtime.edits import Edit, adding, amending
from claude_code_api.runtime.refusals import no_previous, not_found, too_few
from claude_code_api.runtime.registry import new_id
from claude_code_api.runtime.stored import (
    Addition,
    Beginning,
    Change,
    Fork,
    ForkResult,
    NewConversation,
    StoredConversation,
    StoredTurns,
)
from claude_code_api.runtime.views import SessionView, view_of_actor, view_of_stored

if TYPE_CHECKING:
    from claude_code_api.runtime.actor import Actor
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

        def live(actor: Actor) -> asyncio.Task[None]:
            if not actor.kept:
                raise too_few(turns)
            return actor.rewind(turns)

        return await between_turns(self._manager, address, live, partial(self._rewind_stored, address, turns))

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

    async def forget(self, address: Address) -> None:
        """Forget a conversation. Raises ConversationNotFound or StoreUnavailable."""
        await self._manager.delete(address)

    async def turns(
        self, address: Address, *, after: str | None, limit: int, newest_first: bool = False
    ) -> StoredTurns:
        """A page of the turns of a conversation's history, the first one first, or the last.

        `after` is the turn that the page follows.

        Raises ConversationNotFound, InvalidRequest when `after` is no turn of it, or StoreUnavailable.
        """
        key = await self._key_of(address)
        page = await self._manager.store.turns(key, after=after, limit=limit, newest_first=newest_first)
        if page is None:
            raise InvalidRequest(f"{after!r} is no turn of this conversation's history.", param="after")
        return page

    async def turn(self, address: Address, turn_id: str) -> StoredTurns | None:
        """One turn of a conversation, also of a history that it no longer has; None when there is no such turn.

        Raises ConversationNotFound or StoreUnavailable.
        """
        return await self._manager.store.turn(await self._key_of(address), turn_id)

    async def _key_of(self, address: Address) -> str:
        actor = self._manager.live(address)
        if actor is not None:
            return actor.key
        stored = await self._manager.store.summary(*address)
        if stored is None:
            raise not_found(address)
        return stored.key

    async def make(
        self,
        tenant: str,
        conversation_id: str | None,
        metadata: Mapping[str, str],
        additions: Sequence[Addition],
        beginning: Beginning | None = None,
    ) -> SessionView:
        """Make a conversation before its first turn, with this in its history; returns when that is stored.

        Raises ConversationExists when the id is taken, ShuttingDown or StoreUnavailable.
        """
        self._manager.check_open()
        made = Address(tenant, conversation_id or new_id())
        return await self._to_the_end(self._make(made, metadata, additions, beginning))

    async def _make(
        self,
        made: Address,
        metadata: Mapping[str, str],
        additions: Sequence[Addition],
        beginning: Beginning | None,
    ) -> SessionView:
        async with self._manager.change(made):
            new = NewConversation(
                tenant=made.tenant,
                key=uuid.uuid4().hex,
                conversation_id=made.conversation_id,
                created_at=time.time(),
                metadata=metadata,
                beginning=beginning,
            )
            if self._manager.live(made) is not None or not await self._manager.store.make(new, additions):
                raise _exists(made)
        self._manager.stats.counts["created"] += 1
        log.info("session_made", **made._asdict(), additions=len(additions))
        return await self._manager.get(made)

    async def add(self, address: Address, additions: Sequence[Addition]) -> SessionView:
        """Add to a conversation's history without a turn; returns when that is stored.

        Raises ConversationNotFound, ConversationInUse while a turn runs or waits, or StoreUnavailable.
        """
        return await self._edit(address, adding(additions))

    async def amend(self, address: Address, turn_id: str, change: Change) -> SessionView:
        """Change what a turn of a conversation's history holds; returns when that is stored.

        Raises ItemNotFound when it has no such turn, what `change` raises, and what `add` raises.
        """
        return await self._edit(address, amending(turn_id, change))

    async def _edit(self, address: Address, edit: Edit) -> SessionView:
        def live(actor: Actor) -> asyncio.Task[None]:
            if not actor.kept:
                raise not_found(address)
            return actor.edit(edit)

        return await between_turns(self._manager, address, live, partial(edit_stored, self._manager, address, edit))

    async def set_metadata(self, address: Address, metadata: Mapping[str, str]) -> SessionView:
        """Replace a conversation's metadata, also while a turn runs; returns when that is stored.

        Raises ConversationNotFound or StoreUnavailable.
        """
        await self._to_the_end(self._set_metadata(address, metadata))
        return await self._manager.get(address)

    async def _set_metadata(self, address: Address, metadata: Mapping[str, str]) -> None:
        async with self._manager.change(address):
            key = await self._key_of(address)
            if not await self._manager.store.set_metadata(key, metadata):
                raise not_found(address)
            if (actor := self._manager.live(address)) is not None:
                actor.record.metadata = metadata


def _exists(address: Address) -> ConversationExists:
    return ConversationExists(f"There is a conversation {address.conversation_id!r} already.", param="conversation_id")
