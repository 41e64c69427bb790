"""What is known of skills and their versions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, delete, insert, select

from claude_code_api.managed.paging import Page
from claude_code_api.managed.skills import SkillVersion, StoredSkill
from claude_code_api.store.pages import paged
from claude_code_api.store.schema import managed_skill, managed_skill_version

_S, _V = managed_skill.c, managed_skill_version.c
_AT_ONCE = 500


def add(connection: Connection, tenant: str, skill: StoredSkill) -> None:
    """Keep a new skill with its first version."""
    connection.execute(
        insert(managed_skill).values(
            id=skill.id, tenant=tenant, display_name=skill.display_name, created_at=skill.created_at
        )
    )
    _add_version(connection, skill.newest)


def add_version(connection: Connection, tenant: str, version: SkillVersion) -> bool:
    """Keep another version; False when there is no such skill any more."""
    if connection.scalar(select(_S.id).where(_S.tenant == tenant, _S.id == version.skill_id)) is None:
        return False
    _add_version(connection, version)
    return True


def load(connection: Connection, tenant: str, skill_id: str) -> StoredSkill | None:
    """One skill, None when there is none."""
    row = connection.execute(select(managed_skill).where(_S.tenant == tenant, _S.id == skill_id)).one_or_none()
    return None if row is None else _skill_of(connection, row)


def page(connection: Connection, tenant: str, page: Page) -> list[StoredSkill]:
    """Skills, the last one made first."""
    wanted = select(managed_skill).where(_S.tenant == tenant)
    return [_skill_of(connection, row) for row in connection.execute(paged(wanted, managed_skill, page)).all()]


def version(connection: Connection, tenant: str, skill_id: str, version_id: str) -> SkillVersion | None:
    """One version, None when there is none."""
    row = connection.execute(_versions(tenant, skill_id).where(_V.id == version_id)).one_or_none()
    return None if row is None else _version_of(row)


def versions(connection: Connection, tenant: str, skill_id: str, page: Page) -> list[SkillVersion]:
    """The versions of a skill, the last one first."""
    wanted = paged(_versions(tenant, skill_id), managed_skill_version, page)
    return [_version_of(row) for row in connection.execute(wanted)]


def delete_skill(connection: Connection, tenant: str, skill_id: str) -> list[str]:
    """Forget a skill with all its versions, and return their ids."""
    ids = [row.id for row in connection.execute(_versions(tenant, skill_id))]
    connection.execute(delete(managed_skill).where(_S.tenant == tenant, _S.id == skill_id))
    return ids


def delete_version(connection: Connection, tenant: str, skill_id: str, version_id: str) -> bool:
    """Forget a version unless it is the only one; False when it is."""
    connection.execute(select(_S.id).where(_S.id == skill_id).with_for_update())  # one after another
    ids = [row.id for row in connection.execute(_versions(tenant, skill_id))]
    if ids == [version_id]:
        return False
    if version_id in ids:
        connection.execute(delete(managed_skill_version).where(_V.id == version_id))
    return True


def known_versions(connection: Connection, version_ids: Sequence[str]) -> set[str]:
    """Those of these ids that any tenant has a version of."""
    found: set[str] = set()
    for start in range(0, len(version_ids), _AT_ONCE):
        found |= set(connection.scalars(select(_V.id).where(_V.id.in_(version_ids[start : start + _AT_ONCE]))))
    return found


def _versions(tenant: str, skill_id: str) -> Select[Any]:
    joined = select(managed_skill_version).join_from(managed_skill_version, managed_skill, _V.skill_id == _S.id)
    return joined.where(_S.tenant == tenant, _S.id == skill_id)


def _add_version(connection: Connection, version: SkillVersion) -> None:
    connection.execute(
        insert(managed_skill_version).values(
            id=version.id,
            skill_id=version.skill_id,
            name=version.name,
            description=version.description,
            created_at=version.created_at,
        )
    )


def _skill_of(connection: Connection, row: Row[*tuple[Any, ...]]) -> StoredSkill:
    newest = select(managed_skill_version).where(_V.skill_id == row.id).order_by(_V.created_at.desc(), _V.id.desc())
    return StoredSkill(row.id, row.display_name, row.created_at, _version_of(connection.execute(newest.limit(1)).one()))


def _version_of(row: Row[*tuple[Any, ...]]) -> SkillVersion:
    return SkillVersion(row.id, row.skill_id, row.name, row.description, row.created_at)
