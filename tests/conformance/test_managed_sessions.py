"""What a store of sessions must do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from claude_code_api.core.identity import Address
from claude_code_api.core.toolbox import PlacedFile, Toolbox
from claude_code_api.errors import ConversationDeleted
from claude_code_api.managed.session_store import (
    Bounds,
    EventQuery,
    ManagedSession,
    NewEvent,
    Run,
    SessionQuery,
    StoredEvent,
    Waiting,
    Writing,
)
from claude_code_api.runtime.stored import Beginning, NewConversation
from claude_code_api.store.managed_session_store import SqlSessionStore
from claude_code_api.store.sql import SqlStore
from tests.conformance.test_store import ANSWER, began, opened, take_turn

AGENT: dict[str, Any] = {"id": "agent_1", "version": 2, "name": "A"}


@pytest_asyncio.fixture
async def conversations(tmp_path: Path) -> AsyncIterator[SqlStore]:
    store = opened(tmp_path / "store.db")
    yield store
    await store.close()


@pytest_asyncio.fixture
async def store(conversations: SqlStore) -> SqlSessionStore:
    return conversations.sessions()


def session(key: str, **fields: Any) -> ManagedSession:
    return ManagedSession(key, "default", f"id-{key}", AGENT, "env_local", 1.0, 1.0, **fields)


async def make(conversations: SqlStore, key: str, *, at: float = 1.0, tenant: str = "default") -> None:
    assert await conversations.make(NewConversation(tenant, key, f"id-{key}", at, {"k": key}), ())


async def row(store: SqlSessionStore) -> ManagedSession:
    """The session of the conversation `a`."""
    found = await store.listed("default", "id-a")
    assert found is not None
    assert found.session is not None
    return found.session


def message(number: int, **more: Any) -> NewEvent:
    return NewEvent(f"sevt_{number}", "user.message", {"content": [{"type": "text", "text": f"{number} ☃"}]}, **more)


def ids(events: list[StoredEvent]) -> list[str]:
    return [event.id for event in events]


async def test_a_session_comes_back_as_it_was_written(conversations: SqlStore, store: SqlSessionStore) -> None:
    await make(conversations, "a")
    made = session(
        "a",
        is_implicit=True,
        title="T",
        budget=5,
        is_budgeted=True,
        resources=({"id": "r"},),
        status="running",
        stop_reason={"type": "end_turn"},
        waiting=(Waiting("sevt_1", "toolu_1", "result", "sevt_2"),),
        outcomes=({"outcome_id": "o"},),
        run=Run("sevt_1", ("sevt_1", "sevt_2"), 2, "turn", "o"),
        active_seconds=1.5,
        running_since=2.5,
        archived_at=3.5,
        followed=7,
        works=True,
    )
    assert await store.adopt(made) == made
    assert await row(store) == made
    assert await store.adopt(replace(made, title="Other")) == made
    assert await store.listed("other", "id-a") is None
    with pytest.raises(ConversationDeleted):
        await store.adopt(session("none"))


async def test_a_step_is_written_as_a_whole_and_what_waits_stands_behind_the_log(
    conversations: SqlStore, store: SqlSessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make(conversations, "a")
    await store.adopt(session("a"))
    queued = await store.write("a", Writing(queued=[message(1), message(2)], state={"works": True}))
    assert [event.processed_at for event in queued] == [None, None]
    assert ids(await store.queued("a")) == ["sevt_1", "sevt_2"]
    blocks = ({"type": "text", "text": "b"},)
    running = NewEvent("sevt_3", "session.status_running", call_id="toolu_1", turn_id="t", blocks=blocks)
    state = {"status": "running", "run": Run("sevt_1", ("sevt_1",))}
    monkeypatch.setattr(time, "time", lambda: 9.0)
    gained = await store.write("a", Writing(processed=["sevt_1"], events=[running], state=state))
    assert ids(gained) == ["sevt_1", "sevt_3"]
    assert [event.processed_at for event in gained] == [9.0, 9.0]
    log = await store.events("a", EventQuery(10))
    assert ids(log) == ["sevt_1", "sevt_3", "sevt_2"]
    assert log[:2] == gained
    assert log[1].blocks == blocks
    assert ids(await store.queued("a")) == ["sevt_2"]
    assert await store.ids_of_calls("a", ["toolu_1", "toolu_2"]) == {"toolu_1": "sevt_3"}
    assert ids(await store.events_of_turn("a", "t")) == ["sevt_3"]
    found = await row(store)
    assert (found.status, found.run, found.works) == ("running", Run("sevt_1", ("sevt_1",)), True)
    assert ids(await store.write("a", Writing(processed=["sevt_1"]))) == []  # it is in the log already


async def test_what_waits_keeps_a_session_at_work(conversations: SqlStore, store: SqlSessionStore) -> None:
    await make(conversations, "a")
    await store.adopt(session("a"))
    assert await store.working() == []
    await store.write("a", Writing(queued=[message(1)], state={"works": True}))
    assert await store.working() == [Address("default", "id-a")]
    assert (await store.waits("a"), await store.waits("b")) == (1, 0)
    assert not await store.rest("a")
    await store.write("a", Writing(processed=["sevt_1"]))
    assert await store.rest("a")
    assert await store.working() == []


async def test_a_log_is_read_by_pages_types_times_and_both_ways(
    conversations: SqlStore, store: SqlSessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make(conversations, "a")
    await store.adopt(session("a"))
    for number in range(6):
        kind = "agent.message" if number % 2 else "agent.thinking"
        monkeypatch.setattr(time, "time", lambda at=float(number): at)
        await store.write("a", Writing(events=[NewEvent(f"sevt_{number}", kind)]))
    first = await store.events("a", EventQuery(2))
    second = await store.events("a", EventQuery(2, after=first[-1].seq))
    assert ids([*first, *second]) == ["sevt_0", "sevt_1", "sevt_2", "sevt_3"]
    back = await store.events("a", EventQuery(2, newest_first=True))
    assert ids(back) == ["sevt_5", "sevt_4"]
    assert ids(await store.events("a", EventQuery(9, newest_first=True, after=back[-1].seq)))[0] == "sevt_3"
    assert ids(await store.events("a", EventQuery(9, types=["agent.message"]))) == ["sevt_1", "sevt_3", "sevt_5"]
    assert ids(await store.events("a", EventQuery(9, processed=Bounds(gt=1.0, lte=3.0)))) == ["sevt_2", "sevt_3"]
    assert ids(await store.events_by_id("a", ["sevt_4", "sevt_9", "sevt_1"])) == ["sevt_4", "sevt_1"]


async def test_a_log_goes_with_its_conversation(conversations: SqlStore, store: SqlSessionStore) -> None:
    await make(conversations, "a")
    await store.adopt(session("a"))
    await store.write("a", Writing(events=[message(1)]))
    await conversations.delete("a")
    assert await store.listed("default", "id-a") is None
    assert await store.events("a", EventQuery(9)) == []
    with pytest.raises(ConversationDeleted):
        await store.write("a", Writing(events=[message(2)]))
    with pytest.raises(ConversationDeleted):
        await store.write("a", Writing(queued=[message(2)], state={"works": True}))


async def test_turns_that_the_log_does_not_tell_of_are_found(conversations: SqlStore, store: SqlSessionStore) -> None:
    await take_turn(conversations, began("a", "one"))
    await take_turn(conversations, began("a", "two", is_first=False))
    await store.adopt(session("a"))
    found = await store.turns_behind("a", 0, limit=9)
    assert [(number, turn.input.text(), is_told) for number, turn, is_told in found] == [
        (1, "one", False),
        (2, "two", False),
    ]
    turn_id = found[1][1].turn_id
    await store.write("a", Writing(events=[message(1, turn_id=turn_id)]))
    assert [is_told for _, _, is_told in await store.turns_behind("a", 1, limit=9)] == [True]
    done = await store.completed_turn("a", turn_id)
    assert done is not None
    assert done.output == ANSWER
    assert await store.completed_turn("b", turn_id) is None


async def test_all_conversations_are_listed_as_sessions(conversations: SqlStore, store: SqlSessionStore) -> None:
    for number, key in enumerate("abcd"):
        await make(conversations, key, at=float(number))
    await make(conversations, "z", tenant="other")
    await store.adopt(session("b", status="running"))
    await store.adopt(replace(session("c", archived_at=1.0, status="terminated"), agent={**AGENT, "id": "agent_2"}))

    async def keys(**query: Any) -> list[str]:
        return [one.key for one in await store.sessions("default", SessionQuery(**{"limit": 9, **query}))]

    assert await keys() == ["d", "b", "a"]
    assert await keys(newest_first=False, include_archived=True) == ["a", "b", "c", "d"]
    assert await keys(limit=2, place=(3.0, "id-d")) == ["b", "a"]
    assert await keys(limit=1, place=(0.0, "id-a"), backwards=True) == ["b"]
    assert await keys(newest_first=False, limit=1, place=(3.0, "id-d"), backwards=True) == ["b"]
    assert await keys(agent_id="agent_1") == ["b"]
    assert await keys(agent_id="agent_1", agent_version=1) == []
    assert await keys(statuses=["running"]) == ["b"]
    assert await keys(statuses=["running"], busy=["id-a"]) == ["b", "a"]
    assert await keys(statuses=["idle"], busy=["id-a"]) == ["d"]
    assert await keys(statuses=["terminated"], include_archived=True) == ["c"]
    assert await keys(created=Bounds(gte=1.0, lt=3.0)) == ["b"]
    (listed,) = [one for one in await store.sessions("default", SessionQuery(9)) if one.key == "a"]
    assert (listed.session, listed.metadata, listed.conversation_id) == (None, {"k": "a"}, "id-a")
    one = await store.listed("default", "id-b")
    assert one is not None
    assert one.session is not None
    assert one.session.status == "running"
    assert await store.listed("other", "id-b") is None


async def test_steps_that_come_at_once_do_not_get_in_each_others_way(
    conversations: SqlStore, store: SqlSessionStore
) -> None:
    await make(conversations, "a")
    await store.adopt(session("a"))
    await asyncio.gather(*(store.write("a", Writing(events=[message(number)])) for number in range(20)))
    assert len(await store.events("a", EventQuery(100))) == 20


async def test_a_conversation_can_begin_with_what_it_will_be(conversations: SqlStore) -> None:
    toolbox = Toolbox(tools=("Read",), files=(PlacedFile("a", "/srv/a"),))
    begins = Beginning("agent", "sonnet", "Be brief.", toolbox)
    assert await conversations.make(NewConversation("default", "a", "id-a", 1.0, {}, begins), ())
    found = await conversations.load("default", "id-a")
    assert found is not None
    assert (found.profile, found.model, found.system, found.toolbox) == ("agent", "sonnet", "Be brief.", toolbox)
    assert found.turns == 0
