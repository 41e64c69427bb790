"""Environments, and what is known of files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, or_, select, update

from claude_code_api.managed.environments import Environment
from claude_code_api.managed.files import StoredFile
from claude_code_api.managed.paging import Page
from claude_code_api.store.pages import paged
from claude_code_api.store.schema import managed_environment, managed_file

_E, _F = managed_environment.c, managed_file.c
_AT_ONCE = 500


def add_environment(connection: Connection, tenant: str, environment: Environment) -> None:
    """Keep a new environment."""
    connection.execute(insert(managed_environment).values(**asdict(environment), tenant=tenant))


def change_environment(
    connection: Connection, tenant: str, environment_id: str, change: Callable[[Environment], Environment]
) -> Environment | None:
    """Change an environment; None when there is none."""
    mine = (_E.tenant == tenant, _E.id == environment_id)
    row = connection.execute(select(managed_environment).where(*mine).with_for_update()).one_or_none()
    if row is None:
        return None
    after = change(_environment_of(row))
    connection.execute(update(managed_environment).where(_E.id == environment_id).values(**asdict(after)))
    return after


def environment(connection: Connection, tenant: str, environment_id: str) -> Environment | None:
    """One environment, None when there is none."""
    mine = (_E.tenant == tenant, _E.id == environment_id)
    row = connection.execute(select(managed_environment).where(*mine)).one_or_none()
    return None if row is None else _environment_of(row)


def delete_environment(connection: Connection, tenant: str, environment_id: str) -> bool:
    """Forget an environment; False when there is none."""
    mine = (_E.tenant == tenant, _E.id == environment_id)
    return connection.execute(delete(managed_environment).where(*mine)).rowcount > 0


def environments(connection: Connection, tenant: str, page: Page, archived: bool) -> list[Environment]:
    """Environments, the last one made first."""
    wanted = select(managed_environment).where(_E.tenant == tenant)
    if not archived:
        wanted = wanted.where(_E.archived_at.is_(None))
    return [_environment_of(row) for row in connection.execute(paged(wanted, managed_environment, page))]


def add_file(connection: Connection, tenant: str, file: StoredFile) -> None:
    """Keep what is known of a file."""
    connection.execute(insert(managed_file).values(**asdict(file), tenant=tenant))


def file(connection: Connection, tenant: str, file_id: str) -> StoredFile | None:
    """One file, None when there is none."""
    row = connection.execute(select(managed_file).where(_F.tenant == tenant, _F.id == file_id)).one_or_none()
    return None if row is None else _file_of(row)


def delete_file(connection: Connection, tenant: str, file_id: str) -> bool:
    """Forget a file; False when there is none."""
    return connection.execute(delete(managed_file).where(_F.tenant == tenant, _F.id == file_id)).rowcount > 0


def files(connection: Connection, tenant: str, page: Page, now: float) -> list[StoredFile]:
    """Files that have not expired, the last one first."""
    wanted = select(managed_file).where(_F.tenant == tenant, or_(_F.expires_at.is_(None), _F.expires_at > now))
    return [_file_of(row) for row in connection.execute(paged(wanted, managed_file, page))]


def named_files(connection: Connection, tenant: str, file_ids: Sequence[str], now: float) -> list[StoredFile]:
    """Those of these files that there are and that have not expired, in the order of the ids."""
    wanted = select(managed_file).where(_F.tenant == tenant, _F.id.in_(file_ids))
    known = {row.id: _file_of(row) for row in connection.execute(wanted)}
    here = [known[file_id] for file_id in file_ids if file_id in known]
    return [one for one in here if one.expires_at is None or one.expires_at > now]


def expired_files(connection: Connection, now: float) -> list[tuple[str, StoredFile]]:
    """The files of all tenants whose time is over, with their tenants."""
    rows = connection.execute(select(managed_file).where(_F.expires_at <= now).limit(_AT_ONCE))
    return [(row.tenant, _file_of(row)) for row in rows]


def known_files(connection: Connection, file_ids: Sequence[str]) -> set[str]:
    """Those of these ids that any tenant has a file of."""
    found: set[str] = set()
    for start in range(0, len(file_ids), _AT_ONCE):
        found |= set(connection.scalars(select(_F.id).where(_F.id.in_(file_ids[start : start + _AT_ONCE]))))
    return found


def _environment_of(row: Row[Any]) -> Environment:
    return Environment(
        id=row.id,
        name=row.name,
        description=row.description,
        config=row.config,
        metadata=row.metadata,
        created_at=row.created_at,
        updated_at=row.updated_at,
        archived_at=row.archived_at,
    )


def _file_of(row: Row[Any]) -> StoredFile:
    return StoredFile(
        id=row.id,
        filename=row.filename,
        mime_type=row.mime_type,
        size_bytes=row.size_bytes,
        created_at=row.created_at,
        expires_at=row.expires_at,
    )
