"""One client that watches a session: its events as they come, until the session is deleted or the server ends."""

from __future__ import annotations

import time

from claude_code_api.errors import GatewayError
from claude_code_api.managed import events as ev
from claude_code_api.managed.follow import follow
from claude_code_api.managed.log import Follower, Log
from claude_code_api.managed.session_store import StoredEvent
from claude_code_api.managed.standing import thread_id_of
from claude_code_api.managed.telling import Preview
from claude_code_api.runtime.feed import Watch
from claude_code_api.runtime.tasks import Tasks

_DELETED = "session.deleted"


class Watching:
    """Follows the log, and, by the conversation's feed, what comes to it in other dialects."""

    def __init__(self, log: Log, watch: Watch, follower: Follower, tasks: Tasks) -> None:
        self._log = log
        self._watch = watch
        self._follower = follower
        tasks.spawn(self._attend(), f"watch-{log.key}", detached=True)

    async def more(self) -> list[StoredEvent | Preview]:
        """What came since the last time, as soon as there is something; nothing at the end."""
        return await self._follower.more()

    def close(self) -> None:
        """Watch no more."""
        self._follower.close()
        self._watch.close()

    async def _attend(self) -> None:
        try:
            while happened := await self._watch.more():
                kinds = {one.kind for one in happened}
                if any(one.data.get("state") == "deleted" for one in happened):
                    self._log.gone = True
                    deleted = ev.event(_DELETED)
                    now = time.time()
                    self._follower.put(StoredEvent(0, deleted.id, deleted.type, {}, now, now))
                    return
                if kinds & {"turn.completed", "gap"} and self._log.session.run is None:
                    await follow(self._log, thread_id_of(self._log.key))
        except GatewayError:
            pass  # it is deleted, or the log cannot be read now: the next turn brings it up to date
        finally:
            self.close()
