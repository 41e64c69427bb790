"""The API keys, as a running server knows them: read again as soon as what it knows is a second old.

All of them are read at once, so a key that is unknown here costs no read of its own, however many are tried.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from claude_code_api.core.keys import ApiKey
from claude_code_api.runtime.ports import KeyStore

_FRESH_S = 1.0


class Keyring:
    """Lives on one event loop."""

    def __init__(self, store: KeyStore) -> None:
        self._store = store
        self._known: Mapping[str, ApiKey] = {}
        self._fresh_until = 0.0
        self._reading = asyncio.Lock()

    async def known(self) -> Mapping[str, ApiKey]:
        """Every key by its id, revoked and expired ones included. Raises StoreUnavailable."""
        loop = asyncio.get_running_loop()
        if loop.time() >= self._fresh_until:
            async with self._reading:
                if (now := loop.time()) >= self._fresh_until:
                    self._known = {key.id: key for key in await self._store.keys()}
                    self._fresh_until = now + _FRESH_S
        return self._known
