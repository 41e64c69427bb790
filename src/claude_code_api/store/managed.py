"""What Managed Agents keep, over SQLAlchemy Core: agents, environments, files and skills."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from claude_code_api.managed.agents import Agent
from claude_code_api.managed.environments import Environment
from claude_code_api.managed.files import StoredFile
from claude_code_api.managed.paging import Page
from claude_code_api.managed.skills import SkillVersion, StoredSkill
from claude_code_api.store import managed_agents, managed_places, managed_skills
from claude_code_api.store.database import Database


class ManagedStore:
    """Agents, environments, files and skills in the database of the conversations."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # Agents

    async def add_agent(self, tenant: str, agent: Agent) -> None:
        """Keep a new agent."""
        await self._database.write(lambda connection: managed_agents.add(connection, tenant, agent))

    async def agent(self, tenant: str, agent_id: str, version: int | None = None) -> Agent | None:
        """One version, the newest without a number; None when there is none."""
        return await self._database.read(lambda connection: managed_agents.load(connection, tenant, agent_id, version))

    async def add_agent_version(self, tenant: str, agent: Agent) -> bool:
        """Keep the version that follows the newest one; False when that is another one by now, or archived."""
        return await self._database.write(lambda connection: managed_agents.add_version(connection, tenant, agent))

    async def archive_agent(self, tenant: str, agent_id: str, now: float) -> None:
        """Mark an agent as archived, unless it is."""
        await self._database.write(lambda connection: managed_agents.archive(connection, tenant, agent_id, now))

    async def agents(
        self, tenant: str, page: Page, *, archived: bool, since: float | None, until: float | None
    ) -> list[Agent]:
        """The newest versions of agents, the last one made first; both bounds of `created_at` are included."""
        return await self._database.read(
            lambda connection: managed_agents.page(connection, tenant, page, archived, since, until)
        )

    async def agent_versions(self, tenant: str, agent_id: str, *, before: int | None, limit: int) -> list[Agent]:
        """The versions of an agent, the newest first."""
        return await self._database.read(
            lambda connection: managed_agents.versions(connection, tenant, agent_id, before, limit)
        )

    # Environments

    async def add_environment(self, tenant: str, environment: Environment) -> None:
        """Keep a new environment."""
        await self._database.write(lambda connection: managed_places.add_environment(connection, tenant, environment))

    async def change_environment(
        self, tenant: str, environment_id: str, change: Callable[[Environment], Environment]
    ) -> Environment | None:
        """Change an environment, with nothing in between; None when there is none."""
        return await self._database.write(
            lambda connection: managed_places.change_environment(connection, tenant, environment_id, change)
        )

    async def environment(self, tenant: str, environment_id: str) -> Environment | None:
        """One environment, None when there is none."""
        return await self._database.read(
            lambda connection: managed_places.environment(connection, tenant, environment_id)
        )

    async def delete_environment(self, tenant: str, environment_id: str) -> bool:
        """Forget an environment; False when there is none."""
        return await self._database.write(
            lambda connection: managed_places.delete_environment(connection, tenant, environment_id)
        )

    async def environments(self, tenant: str, page: Page, *, archived: bool) -> list[Environment]:
        """Environments, the last one made first."""
        return await self._database.read(
            lambda connection: managed_places.environments(connection, tenant, page, archived)
        )

    # Files

    async def add_file(self, tenant: str, file: StoredFile) -> None:
        """Keep what is known of a file whose bytes are in place."""
        await self._database.write(lambda connection: managed_places.add_file(connection, tenant, file))

    async def file(self, tenant: str, file_id: str) -> StoredFile | None:
        """One file, None when there is none."""
        return await self._database.read(lambda connection: managed_places.file(connection, tenant, file_id))

    async def delete_file(self, tenant: str, file_id: str) -> bool:
        """Forget a file; False when there is none."""
        return await self._database.write(lambda connection: managed_places.delete_file(connection, tenant, file_id))

    async def files(self, tenant: str, page: Page, *, now: float) -> list[StoredFile]:
        """Files that have not expired, the last one first."""
        return await self._database.read(lambda connection: managed_places.files(connection, tenant, page, now))

    async def named_files(self, tenant: str, file_ids: Sequence[str], now: float) -> list[StoredFile]:
        """Those of these files that there are and that have not expired, in the order of the ids."""
        return await self._database.read(
            lambda connection: managed_places.named_files(connection, tenant, file_ids, now)
        )

    async def expired_files(self, now: float) -> list[tuple[str, StoredFile]]:
        """Files of all tenants whose time is over, with their tenants; not all at once."""
        return await self._database.read(lambda connection: managed_places.expired_files(connection, now))

    async def known_files(self, file_ids: Sequence[str]) -> set[str]:
        """Those of these ids that any tenant has a file of."""
        return await self._database.read(lambda connection: managed_places.known_files(connection, file_ids))

    # Skills

    async def add_skill(self, tenant: str, skill: StoredSkill) -> None:
        """Keep a new skill whose first version is in place."""
        await self._database.write(lambda connection: managed_skills.add(connection, tenant, skill))

    async def add_skill_version(self, tenant: str, version: SkillVersion) -> bool:
        """Keep another version; False when there is no such skill any more."""
        return await self._database.write(lambda connection: managed_skills.add_version(connection, tenant, version))

    async def skill(self, tenant: str, skill_id: str) -> StoredSkill | None:
        """One skill, None when there is none."""
        return await self._database.read(lambda connection: managed_skills.load(connection, tenant, skill_id))

    async def skills(self, tenant: str, page: Page) -> list[StoredSkill]:
        """Skills, the last one made first."""
        return await self._database.read(lambda connection: managed_skills.page(connection, tenant, page))

    async def skill_version(self, tenant: str, skill_id: str, version_id: str) -> SkillVersion | None:
        """One version, None when there is none."""
        return await self._database.read(
            lambda connection: managed_skills.version(connection, tenant, skill_id, version_id)
        )

    async def skill_versions(self, tenant: str, skill_id: str, page: Page) -> list[SkillVersion]:
        """The versions of a skill, the last one first."""
        return await self._database.read(lambda connection: managed_skills.versions(connection, tenant, skill_id, page))

    async def delete_skill(self, tenant: str, skill_id: str) -> list[str]:
        """Forget a skill with all its versions, and return their ids; none when there is no such skill."""
        return await self._database.write(lambda connection: managed_skills.delete_skill(connection, tenant, skill_id))

    async def delete_skill_version(self, tenant: str, skill_id: str, version_id: str) -> bool:
        """Forget a version unless it is the only one; False when it is."""
        return await self._database.write(
            lambda connection: managed_skills.delete_version(connection, tenant, skill_id, version_id)
        )

    async def known_skill_versions(self, version_ids: Sequence[str]) -> set[str]:
        """Those of these ids that any tenant has a version of."""
        return await self._database.read(lambda connection: managed_skills.known_versions(connection, version_ids))
