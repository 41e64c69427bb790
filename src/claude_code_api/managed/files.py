"""Files that clients brought: what is known of each, and where its bytes are.

The bytes lie in the data directory under names that this server made; what a client calls a file is a text like any
other.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from claude_code_api.errors import FileExpired, ResourceNotFound
from claude_code_api.managed.paging import Page

_OURS = re.compile(r"[a-z]+_[0-9a-f]{32}")
_PART = ".part"


@dataclass(frozen=True, slots=True)
class StoredFile:
    """What is known of a file. Times are Unix seconds."""

    id: str
    filename: str
    mime_type: str
    size_bytes: int
    created_at: float
    expires_at: float | None = None


class FileStore(Protocol):
    """Where it is kept what is known of files, every tenant's apart."""

    async def add_file(self, tenant: str, file: StoredFile) -> None:
        """Keep what is known of a file whose bytes are in place."""

    async def file(self, tenant: str, file_id: str) -> StoredFile | None:
        """One file, None when there is none."""

    async def delete_file(self, tenant: str, file_id: str) -> bool:
        """Forget a file; False when there is none."""

    async def files(self, tenant: str, page: Page, *, now: float) -> list[StoredFile]:
        """Files that have not expired, the last one first."""

    async def named_files(self, tenant: str, file_ids: Sequence[str], now: float) -> list[StoredFile]:
        """Those of these files that there are and that have not expired, in the order of the ids."""

    async def expired_files(self, now: float) -> list[tuple[str, StoredFile]]:
        """Files of all tenants whose time is over, with their tenants; not all at once."""

    async def known_files(self, file_ids: Sequence[str]) -> set[str]:
        """Those of these ids that any tenant has a file of."""


class Shelf:
    """A directory for what clients brought: one inside for each tenant, in that a file or a directory for each id.

    Methods block for as long as the disk takes.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def path_of(self, tenant: str, file_id: str) -> Path:
        """Where the bytes of a tenant's file are, or would be. The id must be one that this server made."""
        if not _OURS.fullmatch(file_id):
            raise absent(file_id)
        return self._root / hashlib.sha256(tenant.encode()).hexdigest()[:32] / file_id

    def begin(self, tenant: str, file_id: str) -> Path:
        """Where the bytes of a new file, or the files of a new directory, are gathered until `finish`."""
        path = self.path_of(tenant, file_id)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path.with_name(file_id + _PART)

    def finish(self, tenant: str, file_id: str) -> None:
        """Put the bytes that were gathered in place."""
        path = self.path_of(tenant, file_id)
        path.with_name(file_id + _PART).replace(path)

    def drop(self, tenant: str, file_id: str) -> None:
        """Remove the bytes, in place or not, if there are any."""
        path = self.path_of(tenant, file_id)
        _remove(path)
        _remove(path.with_name(file_id + _PART))

    def held(self) -> list[Path]:
        """Everything that lies here, finished or not."""
        return [path for tenant in self._root.glob("*") if tenant.is_dir() for path in tenant.iterdir()]

    def sweep(self, held: Iterable[Path], known: set[str]) -> None:
        """Remove those of `held` that nothing is known of: their uploads, or their deletions, were cut."""
        for path in held:
            if path.name not in known:
                _remove(path)


async def found(store: FileStore, tenant: str, file_id: str, now: float, where: str = "file_id") -> StoredFile:
    """What is known of a tenant's file. `where` is the field that names it.

    Raises ResourceNotFound, as FileExpired when its time is over.
    """
    file = await store.file(tenant, file_id)
    if file is None:
        raise absent(file_id, where)
    if file.expires_at is not None and file.expires_at <= now:
        raise FileExpired(f"{where}: the file {file_id!r} has expired.", param=where)
    return file


async def drop_expired(store: FileStore, shelf: Shelf, now: float) -> None:
    """Forget files whose time is over, of all tenants."""
    while expired := await store.expired_files(now):
        for tenant, file in expired:
            await store.delete_file(tenant, file.id)
            await asyncio.to_thread(shelf.drop, tenant, file.id)


async def delete(store: FileStore, shelf: Shelf, tenant: str, file_id: str) -> None:
    """Forget a tenant's file. Raises ResourceNotFound."""
    if not await store.delete_file(tenant, file_id):
        raise absent(file_id)
    await asyncio.to_thread(shelf.drop, tenant, file_id)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def absent(file_id: str, where: str = "file_id") -> ResourceNotFound:
    """What is raised for a file that there is not."""
    return ResourceNotFound(f"{where}: there is no file {file_id[:100]!r}.", param=where)
