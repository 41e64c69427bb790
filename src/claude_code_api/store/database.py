"""A SQLite file and the two threads that use it.

The event loop never waits for the disk. One thread writes, so that writes never race each other; another reads, which
WAL lets happen while a write waits for a lock. Every piece of work is one transaction: it has happened entirely, or
not at all.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import structlog
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import SQLAlchemyError

from claude_code_api.errors import StoreUnavailable

T = TypeVar("T")

log = structlog.get_logger(__name__)

LOCK_WAIT_S = 5.0
FILE_NAME = "conversations.db"


def sqlite_engine(path: Path) -> Engine:
    """An engine for a SQLite file: WAL, so that readers and a backup do not stop the writer; foreign keys on."""
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": LOCK_WAIT_S})

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # the driver would begin late, and never before DDL: see _begin_now
        # What is deleted is overwritten: it must not be found in the file's free pages.
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "secure_delete=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin_now(connection: Connection) -> None:
        reading = connection.get_execution_options().get("reading", False)
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

    return engine


class Database:
    """Carries out work on an engine. Raises StoreUnavailable for what the disk or a lock refuses."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reading = engine.execution_options(reading=True)
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="store-read")
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="store-write")

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction that only reads."""
        return await self._run(self._reader, self._reading, work)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction of its own, after those that were asked for before."""
        return await self._run(self._writer, self._engine, work)

    async def close(self) -> None:
        """Finish what was asked for and let the file go."""
        await asyncio.to_thread(self._reader.shutdown)
        await asyncio.to_thread(self._writer.shutdown)
        await asyncio.to_thread(self._engine.dispose)

    async def _run(self, thread: ThreadPoolExecutor, engine: Engine, work: Callable[[Connection], T]) -> T:
        asked_at = time.monotonic()

        def in_transaction() -> T:
            if time.monotonic() - asked_at > LOCK_WAIT_S:
                raise StoreUnavailable("The store is locked at the moment; nothing was written.", retry_after=5)
            with engine.begin() as connection:
                return work(connection)

        try:
            return await asyncio.get_running_loop().run_in_executor(thread, in_transaction)
        except SQLAlchemyError as error:
            reason = reason_of(error)
            log.error("store_failed", reason=reason)
            what = next((word for word in ("locked", "full", "readonly") if word in reason), "not usable")
            raise StoreUnavailable(f"The store is {what} at the moment; nothing was written.", retry_after=5) from error


def reason_of(error: SQLAlchemyError) -> str:
    """What the database said, without the statement and its values."""
    return str(getattr(error, "orig", None) or type(error).__name__).splitlines()[0]
