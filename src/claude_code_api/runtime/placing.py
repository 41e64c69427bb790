"""Which conversation a turn goes to: the one that it names, the one that holds its history, a fork, or a new one."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from dataclasses import replace

from claude_code_api.core import events as ev
from claude_code_api.core.conversation import lineage, same_history
from claude_code_api.core.identity import Address
from claude_code_api.core.turn import TurnInput
from claude_code_api.errors import ConversationNotFound, TurnCancelled
from claude_code_api.runtime.actor import Actor
from claude_code_api.runtime.answers import Answers
from claude_code_api.runtime.host import Host, RequestMark, Turn
from claude_code_api.runtime.refusals import no_previous
from claude_code_api.runtime.registry import Registry
from claude_code_api.runtime.revisions import Revisions
from claude_code_api.runtime.stored import NewResponse
from claude_code_api.runtime.ticket import Running, Ticket

_RETRY_S = 600.0
"""How long an answer that did not arrive waits for its request to come again without an Idempotency-Key."""


class Placing:
    """Lives on one event loop. `by_lineage`: find a conversation by the history that it holds.

    Owns, for some time, which forks were made for which requests.
    """

    def __init__(self, host: Host, registry: Registry, revisions: Revisions, *, by_lineage: bool) -> None:
        self._host = host
        self._registry = registry
        self._revisions = revisions
        self._by_lineage = by_lineage
        self._answers = Answers(host.store, host.tasks, self._note_delivered)
        self._branches: OrderedDict[tuple[str, str, str], tuple[Address, float]] = OrderedDict()

    async def submit(
        self,
        tenant: str,
        conversation_id: str | None,
        asked: TurnInput,
        mark: RequestMark,
        response: NewResponse | None,
    ) -> Ticket:
        """Take a turn; `SessionManager.submit` says more."""

        async def run() -> Running:
            return await self._place(tenant, conversation_id, asked, mark, response)

        return Ticket(await run()) if mark.idempotency_key is None else await self._answers.once(tenant, mark, run)

    async def _place(
        self,
        tenant: str,
        conversation_id: str | None,
        asked: TurnInput,
        mark: RequestMark,
        response: NewResponse | None,
    ) -> Running:
        requested_at = asyncio.get_running_loop().time()
        actor = await self._actor_for(tenant, conversation_id, asked)
        if conversation_id is not None and mark.idempotency_key is None:
            if (again := await self._answered_before(actor, mark)) is not None:
                return again
            actor = await self._actor_for(tenant, conversation_id, asked)
        branches = asked.after is not None and not actor.stands_at(asked.after)
        if branches and (whole := await self._caught_up(actor, asked)) is not None:
            asked, branches = whole, False
        if branches and (again := await self._branched_before(actor, asked, mark)) is not None:
            return again
        if branches:
            actor = await self._branch(actor, asked, mark)
        turn = Turn(asked, mark, requested_at, response)
        is_made = branches or not actor.record.is_stored
        if response is not None and response.background:
            await self._accept(actor, turn, response)
        actor.request(turn)
        if turn.stream.failure is not None and is_made and actor.record.is_stored:
            await self._take_back(actor)
        elif branches and (response is None or not response.background):
            self._end_with_failure(turn, actor)
        if asked.apart:
            self._end_with(turn, actor)
        actor.placed = self._running(turn, actor)
        return actor.placed

    async def _actor_for(self, tenant: str, conversation_id: str | None, asked: TurnInput) -> Actor:
        if not asked.kept:
            return self._unstored_for(tenant, conversation_id, asked)
        if conversation_id is not None and asked.after is not None:
            found = await self._registry.find(Address(tenant, conversation_id))
            if found is None:
                raise no_previous()
            return found
        if conversation_id is not None:
            return await self._registry.find_or_make(Address(tenant, conversation_id))
        return await self._holder(tenant, asked) or self._registry.make(tenant)

    async def _holder(self, tenant: str, asked: TurnInput) -> Actor | None:
        """The settled conversation that holds the history of a request which names none."""
        if not asked.history or not self._by_lineage:
            return None
        held = lineage(asked.history)
        found = await self._host.store.find(tenant, held, system=asked.system or "")
        if found is None:
            return None
        actor = await self._registry.find_or_make(Address(tenant, found))
        record = actor.record
        if actor.settled and (record.lineage or lineage(record.history)) == held:
            return actor
        self._host.changed(actor)  # somebody else was faster: what it holds or does now is theirs
        return None

    def _unstored_for(self, tenant: str, conversation_id: str | None, asked: TurnInput) -> Actor:
        found = None
        if conversation_id is not None:
            found = self._registry.unstored(Address(tenant, conversation_id))
            if found is None:
                raise no_previous()
        elif asked.history and self._by_lineage and not asked.apart:
            held = lineage(asked.history)
            found = self._registry.unstored_holding(tenant, held, system=asked.system or "")
        return found or self._registry.make_unstored(tenant)

    async def _branch(self, actor: Actor, asked: TurnInput, mark: RequestMark) -> Actor:
        """A fork of the conversation at a turn behind which it has gone on, or is about to."""
        assert asked.after is not None
        self._host.changed(actor)  # nothing may be under way in it
        made = await self._revisions.branch(actor.record.address, asked.after)
        now = time.time()
        while self._branches and next(iter(self._branches.values()))[1] < now - _RETRY_S:
            self._branches.popitem(last=False)
        self._branches[actor.key, asked.after, mark.fingerprint] = made, now
        return await self._registry.find_or_make(made)

    async def _caught_up(self, actor: Actor, asked: TurnInput) -> TurnInput | None:
        """The request as a whole history, when it tells again what its conversation has gone on with since `after`."""
        if not asked.before or asked.after is None:
            return None
        held = await self._host.store.history_at(asked.after)
        if held is None or not actor.settled:
            return None
        history = (*held.messages, *asked.before)
        if not same_history(actor.record.history, history):
            return None
        return replace(
            asked, history=history, developer=(*held.developer, *asked.developer), before=(), after=None, named=True
        )

    async def _branched_before(self, actor: Actor, asked: TurnInput, mark: RequestMark) -> Running | None:
        """The turn of the same request on the fork that was made for it, when its answer did not arrive."""
        known = self._branches.get((actor.key, asked.after or "", mark.fingerprint))
        if known is None or mark.idempotency_key is not None:
            return None
        fork = await self._registry.find(known[0])
        return None if fork is None else await self._answered_before(fork, mark)

    async def _accept(self, actor: Actor, turn: Turn, response: NewResponse) -> None:
        """Record a response in the background. While that is written, its place in the conversation is taken."""
        actor.expect(turn)
        with contextlib.ExitStack() as undo:
            undo.callback(actor.give_up, turn, TurnCancelled("The response was not accepted."))
            await self._host.store.accept(actor.record.accepted(turn, response))
            undo.pop_all()
        actor.accepted()

    async def _take_back(self, actor: Actor) -> None:
        """What the conversation was made for was refused at once: nobody knows of it, unless it was found meanwhile."""
        async with self._registry.change(actor.record.address):
            if self._registry.get(actor.record.address) is None:
                await self._host.store.delete(actor.key)

    def _running(self, turn: Turn, actor: Actor) -> Running:
        address, notes = actor.record.address, actor.notes

        def delivered() -> None:
            self._note_in_memory(address, turn.id)
            notes.delivered(turn.id)

        return Running(
            conversation_id=address.conversation_id,
            turn_id=turn.id,
            fingerprint=turn.mark.fingerprint,
            created_at=turn.created_at,
            stream=turn.stream,
            replayed=False,
            cut=lambda error: actor.cut(turn.id, error),
            halt=lambda: actor.halt(turn.id),
            delivered=delivered,
        )

    def _end_with(self, turn: Turn, actor: Actor) -> None:
        """The conversation is for this turn, and is over with it."""

        def end() -> None:  # the actor first has to hear itself that the turn is over
            asyncio.get_running_loop().call_soon(actor.post, ev.Deleted())

        turn.stream.on_end(end)

    def _end_with_failure(self, turn: Turn, fork: Actor) -> None:
        """A fork that was made for a turn goes with it, when the turn fails and nothing else has come."""
        head = fork.record.head

        async def forget() -> None:
            if fork.settled and fork.record.head == head:
                with contextlib.suppress(ConversationNotFound):
                    await self._revisions.forget(fork.record.address)

        def end() -> None:
            if turn.stream.failure is not None:
                self._host.tasks.spawn(forget(), f"forget-{fork.key}")

        turn.stream.on_end(end)

    async def _answered_before(self, actor: Actor, mark: RequestMark) -> Running | None:
        """The turn of the same request whose client left: its answer is complete, or about to be stored."""
        placed = actor.placed
        left = placed is not None and not placed.readers and not placed.stream.ended
        if placed is not None and left and placed.fingerprint == mark.fingerprint:
            return placed
        unread = actor.record.unread
        if unread is None or unread.fingerprint != mark.fingerprint or unread.finished_at < time.time() - _RETRY_S:
            return None
        if placed is not None and placed.turn_id == unread.turn_id and placed.readers:
            return None  # its client is still reading: this is another request with the same words
        try:
            stored = await self._host.store.answer(unread.turn_id)
        finally:
            self._host.changed(actor)  # nothing may be under way in it
        return None if stored is None else self._answers.replay(stored)

    def _note_delivered(self, address: Address, turn_id: str) -> None:
        """A stored answer reached its client."""
        self._note_in_memory(address, turn_id)
        self._host.aftermath.delivered(turn_id)

    def _note_in_memory(self, address: Address, turn_id: str) -> None:
        if (actor := self._registry.get(address)) is not None:
            actor.record.note_delivered(turn_id)
