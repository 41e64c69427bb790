"""The conversations that are in memory: finds them, loads them, makes them.

Loading a conversation and changing what is stored of it exclude each other.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Iterator

from claude_code_api.core.identity import Address
from claude_code_api.errors import ShuttingDown
from claude_code_api.runtime.actor import Actor
from claude_code_api.runtime.host import Host
from claude_code_api.runtime.stored import StoredConversation


class Registry:
    """Lives on one event loop. `by_key` has all actors by their internal ids, those of deleted conversations included.

    A conversation that is stored nowhere has an address that no client can name; only `unstored` finds it.
    """

    def __init__(self, host: Host, *, interactive: bool, max_waiting: int) -> None:
        self.by_key: dict[str, Actor] = {}
        self._host = host
        self._interactive = interactive
        self._max_waiting = max_waiting
        self._actors: dict[Address, Actor] = {}
        self._unstored: dict[Address, Actor] = {}
        self._loading: dict[Address, asyncio.Event] = {}
        self._changing: dict[Address, asyncio.Event] = {}
        self._closed = False

    def close(self) -> None:
        """Make and find nothing any more."""
        self._closed = True

    def check_open(self) -> None:
        """Raise ShuttingDown when the server drains."""
        if self._closed:
            raise ShuttingDown("The server is shutting down; send the request again.", retry_after=5)

    def __iter__(self) -> Iterator[Actor]:
        """All actors."""
        return iter(list(self.by_key.values()))

    def get(self, address: Address) -> Actor | None:
        """The conversation, when it is in memory."""
        return self._actors.get(address)

    def of(self, tenant: str) -> list[Actor]:
        """A tenant's conversations in memory, without those that are stored nowhere."""
        return [actor for address, actor in self._actors.items() if address.tenant == tenant]

    async def find(self, address: Address) -> Actor | None:
        """The conversation, loaded if it has to be; None when there is none.

        Raises ShuttingDown or StoreUnavailable.
        """
        while (loading := self._loading.get(address)) is not None:
            await loading.wait()
        if address not in self._actors:
            self._loading[address] = loaded = asyncio.Event()
            try:
                stored = await self._load(address)
            finally:
                del self._loading[address]
                loaded.set()
            if stored is not None:
                return self._add(address, stored)
        self.check_open()
        return self._actors.get(address)

    async def find_or_make(self, address: Address) -> Actor:
        """The conversation, a new one when there is none. Raises ShuttingDown or StoreUnavailable."""
        return await self.find(address) or self._add(address, None)

    def make(self, tenant: str) -> Actor:
        """A new conversation. Raises ShuttingDown."""
        return self._add(Address(tenant, new_id()), None)

    async def _load(self, address: Address) -> StoredConversation | None:
        """What is stored. What is read while it changes is stale: neither begins before the other has ended."""
        while (change := self._changing.get(address)) is not None:
            await change.wait()
        stored = await self._host.store.load(*address)
        return None if stored is None else self._host.aftermath.brought_up(stored)

    @contextlib.asynccontextmanager
    async def change(self, address: Address) -> AsyncIterator[None]:
        """Change what is stored of a conversation, one at a time. Whoever is about to load it waits."""
        while (other := self._changing.get(address) or self._loading.get(address)) is not None:
            await other.wait()
        self._changing[address] = done = asyncio.Event()
        try:
            yield
        finally:
            del self._changing[address]
            done.set()

    # Those that are stored nowhere

    def unstored(self, address: Address) -> Actor | None:
        """The one of this address."""
        return self._unstored.get(address)

    def unstored_holding(self, tenant: str, held: str, *, system: str) -> Actor | None:
        """One of a tenant's that holds the history of this lineage and is settled, better one with this prompt."""
        found = [
            actor
            for address, actor in self._unstored.items()
            if address.tenant == tenant and actor.record.lineage == held and actor.settled
        ]
        return min(found, key=lambda actor: actor.record.system != system, default=None)

    def make_unstored(self, tenant: str) -> Actor:
        """A new one. Raises ShuttingDown."""
        return self._add(Address(tenant, f"~{uuid.uuid4().hex}"), None, in_memory=True)

    # Coming and going

    def _add(self, address: Address, stored: StoredConversation | None, *, in_memory: bool = False) -> Actor:
        self.check_open()
        actor = Actor(
            address,
            self._host,
            stored,
            interactive=self._interactive,
            max_waiting=self._max_waiting,
            in_memory=in_memory,
        )
        self.by_key[actor.key] = actor
        (self._unstored if in_memory else self._actors)[address] = actor
        self._host.stats.counts["created"] += stored is None
        return actor

    def release(self, address: Address) -> None:
        """The conversation is being deleted: its id is free."""
        self._actors.pop(address, None)

    def drop(self, actor: Actor) -> bool:
        """Nothing is under way in it. False when it was dropped before."""
        if self.by_key.pop(actor.key, None) is None:
            return False
        address = actor.record.address
        for actors in (self._actors, self._unstored):
            if actors.get(address) is actor:
                del actors[address]
        return True


def new_id() -> str:
    """An id for a conversation that nobody named."""
    return f"conv_{uuid.uuid4().hex}"
