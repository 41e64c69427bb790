"""The transcripts, against the agent SDK's own conformance suite for a `SessionStore`."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, cast

import pytest
from claude_agent_sdk import SessionStore
from claude_agent_sdk.testing import run_session_store_conformance

from claude_code_api.errors import ConversationMoved
from claude_code_api.store.transcripts import TranscriptStore
from tests.conformance.test_store import began, opened


async def transcripts(path: Path) -> TranscriptStore:
    store = opened(path)
    await store.begin(began("a", "hi", epoch=3))
    return store.transcripts_of("a", 3)


async def test_the_sdks_conformance_suite(tmp_path: Path) -> None:
    number = itertools.count()

    async def fresh() -> SessionStore:
        return cast(SessionStore, await transcripts(tmp_path / f"{next(number)}.db"))

    await run_session_store_conformance(fresh, skip_optional=frozenset({"list_session_summaries"}))


async def test_an_entry_is_kept_once_by_its_uuid(tmp_path: Path) -> None:
    store = await transcripts(tmp_path / "store.db")
    key = {"project_key": "p", "session_id": "s"}
    entry: dict[str, Any] = {"type": "user", "uuid": "1"}
    await store.append(key, [entry, {"type": "mode"}])
    await store.append(key, [{**entry, "late": True}, {"type": "mode"}])
    assert await store.load(key) == [entry, {"type": "mode"}, {"type": "mode"}]


async def test_an_older_process_cannot_append(tmp_path: Path) -> None:
    store = opened(tmp_path / "store.db")
    await store.begin(began("a", "hi", epoch=3))
    older, gone = store.transcripts_of("a", 2), store.transcripts_of("never-was", 3)
    for refused in (older, gone):
        with pytest.raises(ConversationMoved):
            await refused.append({"project_key": "p", "session_id": "s"}, [{"type": "user"}])
    await store.close()
