"""What a session's turns are asked with: its agent, and the files and skills that are on this server for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from claude_code_api.core.toolbox import PlacedFile, Toolbox
from claude_code_api.managed import skills
from claude_code_api.managed.files import Shelf
from claude_code_api.managed.mapping import Asked, asked_of
from claude_code_api.managed.session_store import ManagedSession
from claude_code_api.managed.skills import SkillStore


@dataclass(frozen=True, slots=True)
class Equipment:
    """Where files and skills lie. `resolve` finds the model that a name means."""

    store: SkillStore
    shelf: Shelf
    skills: Shelf
    resolve: Callable[[str], str]

    async def of(self, session: ManagedSession, own: Toolbox | None = None) -> Asked:
        """What a session's next turn is asked with. A file that was deleted since is not mounted any more.

        `own` is the toolbox of a conversation of another dialect, without what the session mounts.
        Raises ResourceNotFound when a skill is gone, ModelNotFound, or StoreUnavailable.
        """
        agent, tenant = session.agent, session.tenant
        files = await asyncio.to_thread(self._files, session) if session.resources else []
        placed = await skills.placed(self.store, self.skills, tenant, agent["skills"])
        return asked_of(
            agent, is_implicit=session.is_implicit, resolve=self.resolve, files=files, skills=placed, own=own
        )

    def _files(self, session: ManagedSession) -> list[PlacedFile]:
        found = []
        for one in session.resources:
            source = self.shelf.path_of(session.tenant, one["file_id"])
            if source.is_file():
                found.append(PlacedFile(one["mount_path"], str(source)))
        return found
