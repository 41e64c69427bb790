"""The API keys, as a running server knows them: never more than two seconds old.

All of them are read at once, so a key that is unknown here costs no read of its own, however many are tried.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from claude_code_api.core.keys import ApiKey
from claude_code_api.runtime.storage import KeyStore
from claude_code_api.runtime.tasks import Tasks

_FRESH_S = 1.0
"""From this age on they are read again, while requests go by what is known."""
_OLD_S = 2.0
"""From this age on requests wait for it."""


class Keyring:
    """Lives on one event loop, from its first use to `close`."""

    def __init__(self, store: KeyStore) -> None:
        self._store = store
        self._tasks = Tasks()
        self._known: Mapping[str, ApiKey] = {}
        self._read_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None

    async def known(self) -> Mapping[str, ApiKey]:
        """Every key by its id, revoked and expired ones included. Raises StoreUnavailable."""
        age = asyncio.get_running_loop().time() - self._read_at
        if age >= _FRESH_S:
            if self._reading is None or self._reading.done():
                self._reading = self._tasks.spawn(self._read(), "keys", detached=True)
            if age >= _OLD_S:
                await asyncio.shield(self._reading)
        return self._known

    async def _read(self) -> None:
        now = asyncio.get_running_loop().time()
        self._known = {key.id: key for key in await self._store.keys()}
        self._read_at = now

    async def close(self) -> None:
        """End."""
        await self._tasks.drain()
