"""What the routes of Managed Agents need beside what all routes do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from claude_code_api.managed.agents import AgentSources
from claude_code_api.managed.environments import EnvironmentStore
from claude_code_api.managed.files import FileStore, Shelf
from claude_code_api.managed.sessions import Sessions


class Store(AgentSources, EnvironmentStore, FileStore, Protocol):
    """Where Managed Agents are kept."""


@dataclass(frozen=True, slots=True)
class Managed:
    """Where agents, environments, files and skills are kept, and the sessions.

    `shelf` has the files themselves, `skills` the skills.
    """

    store: Store
    shelf: Shelf
    skills: Shelf
    sessions: Sessions
