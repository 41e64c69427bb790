"""A session as long as somebody works on it or watches it: its row, its log, and those who follow it.

Owns the order of what is written. What is passed on to those who follow is on the disk before, but for previews.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from claude_code_api.core.identity import Address
from claude_code_api.core.toolbox import Toolbox
from claude_code_api.errors import ConversationDeleted
from claude_code_api.managed.session_store import ManagedSession, NewEvent, SessionStore, StoredEvent, Writing
from claude_code_api.managed.telling import Preview, delta, start

_MOST_BEHIND = 10_000
"""Events that a follower may be behind; one that is further behind has to begin again."""


class Moved(Exception):
    """The session went on meanwhile: what was to be written no longer fits it."""


class Log:
    """One session's. Lives on one event loop; the only one of its session at a time.

    `gone` once it was deleted; `runs` counts the turns that began in it here. Who makes new values of its fields of the
    old ones, and needs time for it, holds `changing` meanwhile.
    """

    def __init__(self, session: ManagedSession, store: SessionStore) -> None:
        self.session = session
        self.store = store
        self.gone = False
        self.runs = 0
        self.changing = asyncio.Lock()
        self._writing = asyncio.Lock()
        self._followers: set[Follower] = set()
        self._preview: tuple[Preview, str, str] | None = None

    @property
    def address(self) -> Address:
        """Where its conversation is found."""
        return Address(self.session.tenant, self.session.session_id)

    @property
    def key(self) -> str:
        """Its conversation's internal id."""
        return self.session.key

    async def write(
        self,
        events: Sequence[NewEvent] = (),
        *,
        processed: Sequence[str] = (),
        queued: Sequence[NewEvent] = (),
        check: Callable[[ManagedSession], None] | None = None,
        toolbox: Toolbox | None = None,
        **state: Any,
    ) -> list[StoredEvent]:
        """Write one step, and pass on what the log gained. Returns that, and what waits from now on.

        `state` are fields of the session and their new values, or functions that make these of the session as it is
        just before. `check` sees that, too, and refuses the step by raising. `toolbox` is the conversation's from now
        on. Raises ConversationDeleted, and StoreUnavailable: nothing is written then.
        """
        async with self._writing:
            if check is not None:
                check(self.session)
            state = {name: value(self.session) if callable(value) else value for name, value in state.items()}
            writing = Writing(processed=processed, events=events, queued=queued, state=state, toolbox=toolbox)
            try:
                written = await self.store.write(self.key, writing)
            except ConversationDeleted:
                self.gone = True
                raise
            self.session = replace(self.session, **state)
            for event in written:
                if event.processed_at is not None:
                    self._pass_on(event)
            return written

    def preview(self, preview: Preview) -> None:
        """Pass on what is not kept."""
        if preview["type"] == "event_start":
            self._preview = (preview, preview["event"]["id"], "")
        elif self._preview is not None:
            opened, event_id, said = self._preview
            self._preview = (opened, event_id, said + preview["delta"]["content"]["text"])
        for follower in tuple(self._followers):  # one that is too far behind leaves
            follower.put(preview)

    def follow(self, previews: Sequence[str]) -> Follower:
        """What the log gains from now on, and previews of these types of events. Close it when done."""
        follower = Follower(self, frozenset(previews))
        self._followers.add(follower)
        if self._preview is not None:
            opened, event_id, said = self._preview
            follower.put(start(opened["event"]["type"], event_id))
            if said:
                follower.put(delta(event_id, said))
        return follower

    def left(self, follower: Follower) -> None:
        """Somebody follows no more."""
        self._followers.discard(follower)

    def _pass_on(self, event: StoredEvent) -> None:
        if self._preview is not None and (event.id == self._preview[1] or event.type == "span.model_request_end"):
            self._preview = None
        for follower in tuple(self._followers):  # one that is too far behind leaves
            follower.put(event)


class Follower:
    """One follower's way through what a log gains. A read that is cancelled loses nothing."""

    def __init__(self, log: Log, previews: frozenset[str]) -> None:
        self.log = log
        self._previews = previews
        self._previewed: set[str] = set()
        self._gained: deque[StoredEvent | Preview] = deque()
        self._changed = asyncio.Event()
        self._ended = False

    def put(self, gained: StoredEvent | Preview) -> None:
        """Something was gained; previews that nobody asked for are left out."""
        if isinstance(gained, Mapping) and not self._wants(gained):
            return
        if len(self._gained) >= _MOST_BEHIND:
            self.close()
            return
        self._gained.append(gained)
        self._changed.set()

    def _wants(self, preview: Preview) -> bool:
        if preview["type"] == "event_delta":
            return preview["event_id"] in self._previewed
        if preview["event"]["type"] not in self._previews:
            return False
        self._previewed = {preview["event"]["id"]}
        return True

    async def more(self) -> list[StoredEvent | Preview]:
        """What was gained since the last time, as soon as there is something; nothing at the end."""
        while not self._gained and not self._ended:
            self._changed.clear()
            await self._changed.wait()
        gained = list(self._gained)
        self._gained.clear()
        return gained

    def end(self) -> None:
        """Nothing comes any more; what came is still read."""
        self._ended = True
        self._changed.set()

    def close(self) -> None:
        """Follow no more."""
        self.log.left(self)
        self.end()
