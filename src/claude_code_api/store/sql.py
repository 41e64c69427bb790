"""The runtime's Store over SQLAlchemy Core.

One thread owns the connection, so the event loop never waits for the disk and writes never race each other. Every
method is one transaction: it has happened entirely, or not at all.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import structlog
from sqlalchemy import (
    Connection,
    Engine,
    Row,
    bindparam,
    create_engine,
    delete,
    event,
    exists,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.exc import SQLAlchemyError

from claude_code_api.core.turn import Message, Usage
from claude_code_api.errors import StoreUnavailable
from claude_code_api.runtime.ports import BeganTurn, Binding, CompletedTurn, StoredConversation
from claude_code_api.store.migrate import upgrade
from claude_code_api.store.schema import conversation, turn

T = TypeVar("T")

log = structlog.get_logger(__name__)

RUNNING, COMPLETED, INTERRUPTED = "running", "completed", "interrupted"
_LOCK_WAIT_S = 5


def sqlite_engine(path: Path) -> Engine:
    """An engine for a SQLite file: WAL, so that readers and a backup do not stop the writer; foreign keys on."""
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": _LOCK_WAIT_S})

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # the driver would begin late, and never before DDL: see _begin_now
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin_now(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


class SqlStore:
    """Conversations and turns of one server."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")

    async def open(self) -> int:
        """Migrate, and mark the turns that a server left running; return how many those were."""
        await self._run(lambda: upgrade(self._engine))
        return await self._do(_interrupt_running)

    async def close(self) -> None:
        """Finish what was asked for and let the file go."""
        await self._run(self._engine.dispose)
        self._thread.shutdown()

    async def load(self, tenant: str, conversation_id: str) -> StoredConversation | None:
        """A conversation with its history, None when there is none."""
        return await self._do(partial(_load, tenant=tenant, conversation_id=conversation_id))

    async def summaries(self, tenant: str) -> list[StoredConversation]:
        """Every conversation, the oldest first, without their histories."""
        return await self._do(partial(_summaries, tenant=tenant))

    async def count(self, tenant: str) -> int:
        """How many conversations there are with a completed turn."""
        mine = select(func.count()).where(conversation.c.tenant == tenant, conversation.c.turns > 0)
        return await self._do(lambda connection: connection.scalar(mine) or 0)

    async def places(self) -> set[str]:
        """The directories that belong to conversations."""
        return await self._do(lambda connection: set(connection.scalars(select(conversation.c.place))))

    async def begin(self, began: BeganTurn) -> None:
        """Record a turn that is about to be sent, and its conversation if it is the first."""
        await self._do(partial(_begin, began=began))

    async def complete(self, completed: CompletedTurn) -> bool:
        """Record an answer; False when the conversation is gone."""
        return await self._do(partial(_complete, completed=completed))

    async def end(self, turn_id: str, *, error_code: str) -> None:
        """Record that a turn ended without an answer; a conversation that never had one goes with it."""
        await self._do(partial(_end, turn_id=turn_id, error_code=error_code))

    async def delete(self, key: str) -> None:
        """Forget a conversation and its turns."""
        await self._do(lambda connection: connection.execute(delete(conversation).where(conversation.c.key == key)))

    async def _do(self, work: Callable[[Connection], T]) -> T:
        def in_transaction() -> T:
            with self._engine.begin() as connection:
                return work(connection)

        return await self._run(in_transaction)

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except SQLAlchemyError as error:
            reason = str(getattr(error, "orig", None) or error).splitlines()[0]
            log.error("store_failed", reason=reason)
            what = next((word for word in ("locked", "full", "readonly") if word in reason), "not usable")
            raise StoreUnavailable(f"The store is {what} at the moment; nothing was written.", retry_after=5) from error


def _interrupt_running(connection: Connection) -> int:
    statement = update(turn).where(turn.c.status == RUNNING).values(status=INTERRUPTED, finished_at=time.time())
    count = connection.execute(statement).rowcount
    connection.execute(delete(conversation).where(conversation.c.turns == 0))
    return count


def _load(connection: Connection, *, tenant: str, conversation_id: str) -> StoredConversation | None:
    row = connection.execute(
        select(conversation).where(
            conversation.c.tenant == tenant, conversation.c.conversation_id == conversation_id, conversation.c.turns > 0
        )
    ).one_or_none()
    return None if row is None else _stored(row, _history(connection, row.key))


def _history(connection: Connection, key: str) -> tuple[Message, ...]:
    done = (turn.c.conversation_key == key, turn.c.status == COMPLETED)
    forked = connection.scalar(select(func.max(turn.c.number)).where(*done, turn.c.base.is_not(None)))
    rows = connection.execute(
        select(turn.c.base, turn.c.input, turn.c.output)
        .where(*done, turn.c.number >= (forked or 0))
        .order_by(turn.c.number)
    )
    history: list[Message] = []
    for base, given, answered in rows:
        history += [*_messages(base or ()), *_messages([given]), *_messages(answered or ())]
    return tuple(history)


def _summaries(connection: Connection, *, tenant: str) -> list[StoredConversation]:
    rows = connection.execute(
        select(conversation)
        .where(conversation.c.tenant == tenant, conversation.c.turns > 0)
        .order_by(conversation.c.created_at)
    )
    return [_stored(row, ()) for row in rows]


def _stored(row: Row[Any], history: tuple[Message, ...]) -> StoredConversation:
    bound = row.cli_session_id is not None and row.leaf is not None
    return StoredConversation(
        key=row.key,
        conversation_id=row.conversation_id,
        place=row.place,
        binding=Binding(row.cli_session_id, row.leaf) if bound else None,
        system=row.system,
        model=row.model,
        turns=row.turns,
        usage=Usage(
            row.input_tokens, row.output_tokens, row.cache_read_tokens, row.cache_write_tokens, row.thinking_tokens
        ),
        cost_usd=row.cost_usd,
        created_at=row.created_at,
        last_used_at=row.last_used_at,
        history=history,
    )


# Statements of the way of every turn are built once: building one costs more than running it.
_TOTALS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "thinking_tokens", "cost_usd")
_KNOWN = select(conversation.c.key).where(conversation.c.key == bindparam("known"))
_LAST_NUMBER = select(func.max(turn.c.number)).where(turn.c.conversation_key == bindparam("of"))
_NEW_CONVERSATION, _NEW_TURN = insert(conversation), insert(turn)
_COMPLETE_TURN = update(turn).where(turn.c.id == bindparam("turn_id"))
_COMPLETE_CONVERSATION = (
    update(conversation)
    .where(conversation.c.key == bindparam("conversation_key"))
    .values(
        {
            "turns": conversation.c.turns + 1,
            **{name: conversation.c[name] + bindparam(f"more_{name}") for name in _TOTALS},
        }
    )
)


def _begin(connection: Connection, *, began: BeganTurn) -> None:
    if connection.scalar(_KNOWN, {"known": began.key}) is None:
        # What never had an answer holds no id, also if its end could not be written.
        connection.execute(
            delete(conversation).where(
                conversation.c.tenant == began.tenant,
                conversation.c.conversation_id == began.conversation_id,
                conversation.c.turns == 0,
            )
        )
        connection.execute(
            _NEW_CONVERSATION,
            {
                "key": began.key,
                "tenant": began.tenant,
                "conversation_id": began.conversation_id,
                "place": began.place,
                "system": "",
                "model": "",
                "turns": 0,
                **dict.fromkeys(_TOTALS, 0),
                "created_at": began.created_at,
                "last_used_at": began.created_at,
            },
        )
    connection.execute(
        _NEW_TURN,
        {
            "id": began.turn_id,
            "number": (connection.scalar(_LAST_NUMBER, {"of": began.key}) or 0) + 1,
            "conversation_key": began.key,
            "request_id": began.request_id,
            "status": RUNNING,
            "start": began.start,
            "base": None if began.base is None else _json(began.base),
            "input": _json([began.input])[0],
            "model": began.model,
            "input_tokens": 0,
            "output_tokens": 0,
            "cost_usd": 0.0,
            "started_at": time.time(),
        },
    )


def _complete(connection: Connection, *, completed: CompletedTurn) -> bool:
    now = time.time()
    changed = connection.execute(
        _COMPLETE_TURN,
        {
            "turn_id": completed.turn_id,
            "status": COMPLETED,
            "output": _json(completed.output),
            "stop_reason": completed.stop_reason,
            "model": completed.model,
            "input_tokens": completed.usage.prompt_tokens,
            "output_tokens": completed.usage.output_tokens,
            "cost_usd": completed.cost_usd,
            "finished_at": now,
        },
    ).rowcount
    more = {**_tokens(completed.usage), "cost_usd": completed.cost_usd}
    connection.execute(
        _COMPLETE_CONVERSATION,
        {
            "conversation_key": completed.key,
            "cli_session_id": completed.binding.cli_session_id if completed.binding else None,
            "leaf": completed.binding.leaf if completed.binding else None,
            "system": completed.system,
            "model": completed.model,
            "last_used_at": now,
            **{f"more_{name}": value for name, value in more.items()},
        },
    )
    return changed == 1


def _end(connection: Connection, *, turn_id: str, error_code: str) -> None:
    key = connection.scalar(select(turn.c.conversation_key).where(turn.c.id == turn_id))
    connection.execute(
        update(turn)
        .where(turn.c.id == turn_id, turn.c.status == RUNNING)
        .values(status="failed", error_code=error_code, finished_at=time.time())
    )
    runs = exists().where(turn.c.conversation_key == key, turn.c.status == RUNNING)
    connection.execute(delete(conversation).where(conversation.c.key == key, conversation.c.turns == 0, ~runs))


def _tokens(usage: Usage) -> dict[str, int]:
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_tokens": usage.cache_read_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "thinking_tokens": usage.thinking_tokens,
    }


def _json(messages: Sequence[Message]) -> list[dict[str, Any]]:
    return [{"role": message.role, "content": list(message.content)} for message in messages]


def _messages(stored: Sequence[dict[str, Any]]) -> list[Message]:
    return [Message(one["role"], tuple(one["content"])) for one in stored]
