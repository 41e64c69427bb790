"""Who watches a conversation sees everything once, or a gap; who is told of it never waits."""

from __future__ import annotations

import asyncio

import pytest

from claude_code_api.core.identity import Address
from claude_code_api.core.turn import (
    AgentCall,
    AgentResult,
    AnswerRestarted,
    AnswerStarted,
    ApprovalSettled,
    ApprovalWanted,
    ServerFailed,
    StartKind,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStarted,
    TurnCompleted,
    TurnEvent,
    TurnFailed,
    TurnStarted,
    Usage,
)
from claude_code_api.errors import ProcessDied
from claude_code_api.runtime import feed
from claude_code_api.runtime.approvals import Approval, ApprovalStatus
from claude_code_api.runtime.feed import Feeds, Happening, Watch

HERE, THERE = Address("default", "here"), Address("other", "here")


def watching(feeds: Feeds, last: int | None = None) -> Watch:
    watch = feeds.watch(HERE, last)
    watch.begin("idle", None)
    return watch


def say(feeds: Feeds, text: str) -> None:
    feeds.turn(HERE, "t1", "req_1", TextDelta(text), 0.0)


def kinds(happened: list[Happening]) -> list[str]:
    return [one.kind for one in happened]


def texts(happened: list[Happening]) -> str:
    return "".join(one.data["text"] for one in happened)


async def test_the_first_thing_to_see_is_how_things_stand() -> None:
    feeds = Feeds()
    watch = feeds.watch(HERE, None)
    watch.begin("busy", "t1")
    (first,) = await watch.more()
    assert (first.kind, first.data["state"], first.data["turn_id"]) == ("session.state", "busy", "t1")


async def test_what_happens_is_seen_in_order_with_increasing_ids() -> None:
    feeds = Feeds()
    watch = watching(feeds)
    seen = await watch.more()
    feeds.state(HERE, "busy", "t1")
    for event in (
        TurnStarted(StartKind.LIVE),
        AnswerStarted("claude"),
        ThinkingDelta("hm"),
        TextDelta("Hel"),
        AnswerRestarted(),
        TextDelta("Hello"),
        ToolCallStarted("c1", "look"),
        ToolCallDelta("c1", '{"a":'),
    ):
        feeds.turn(HERE, "t1", "req_1", event, 0.0)
    seen += await watch.more()
    feeds.turn(HERE, "t1", "req_1", TurnCompleted("tool_use", "claude", Usage(1, 2), None), 0.25)
    feeds.state(HERE, "parked", None)
    seen += await watch.more()
    assert kinds(seen) == [
        *("session.state", "session.state", "turn.started", "turn.thinking", "turn.text", "turn.restarted"),
        *("turn.text", "turn.tool_call", "turn.tool_arguments", "turn.completed", "session.state"),
    ]
    assert (seen[2].data["start"], seen[2].data["request_id"], seen[2].data["turn_id"]) == ("live", "req_1", "t1")
    assert seen[-2].data["cost_usd"] == 0.25
    assert [one.id for one in seen] == list(range(seen[0].id, seen[0].id + len(seen)))


async def test_of_what_an_agent_does_the_lines_are_seen() -> None:
    feeds = Feeds()
    watch = watching(feeds)
    await watch.more()
    for event in (
        AgentCall("c1", "Bash", {"command": "ls /secret"}, "Bash: ls"),
        AgentResult("c1", "/secret", is_error=False, line=None),
        AgentResult("c2", "/secret", is_error=True, line="Bash failed"),
    ):
        feeds.turn(HERE, "t1", "req_1", event, 0.0)
    seen = await watch.more()
    assert kinds(seen) == ["turn.activity", "turn.activity"]
    assert [dict(one.data) for one in seen] == [
        {"turn_id": "t1", "text": "Bash: ls"},
        {"turn_id": "t1", "text": "Bash failed"},
    ]


async def test_what_waits_for_approval_is_told_and_what_became_of_it() -> None:
    feeds = Feeds()
    watch = watching(feeds)
    await watch.more()
    events: list[TurnEvent] = [
        ApprovalWanted("c1", "Bash", {"command": "ls /secret"}, 1e9, "Waiting for approval: Bash: ls"),
        ApprovalSettled("c1", "expired"),
        ServerFailed("calc", "Refused."),
    ]
    for event in events:
        feeds.turn(HERE, "t1", "req_1", event, 0.0)
    approval = Approval("c2", "t1", "Bash", {}, 0.0, 1.0, ApprovalStatus.CANCELLED)
    feeds.approval_ended(HERE, approval)
    feeds.approval_ended(THERE, approval)
    seen = [(one.kind, {name: value for name, value in one.data.items() if name != "at"}) for one in await watch.more()]
    text = "Waiting for approval: Bash: ls"
    assert seen == [
        ("approval.wanted", {"turn_id": "t1", "id": "c1", "name": "Bash", "text": text, "deadline": 1e9}),
        ("approval.settled", {"turn_id": "t1", "id": "c1", "status": "expired"}),
        ("turn.server_failed", {"turn_id": "t1", "name": "calc", "message": "Refused."}),
        ("approval.settled", {"turn_id": "t1", "id": "c2", "status": "cancelled"}),
    ]


async def test_a_failed_turn_says_why() -> None:
    feeds = Feeds()
    watch = watching(feeds)
    await watch.more()
    feeds.turn(HERE, "t1", "req_1", TurnFailed(ProcessDied("It died.")), 0.0)
    (failed,) = await watch.more()
    assert (failed.kind, failed.data["code"], failed.data["message"]) == ("turn.failed", "process_died", "It died.")


async def test_nothing_is_remembered_that_nobody_watches() -> None:
    feeds = Feeds()
    say(feeds, "unheard")
    feeds.state(HERE, "busy")
    watch = watching(feeds)
    assert kinds(await watch.more()) == ["session.state"]
    feeds.turn(THERE, "t1", "req_1", TextDelta("another tenant's"), 0.0)
    say(feeds, "heard")
    assert texts(await watch.more()) == "heard"


async def test_who_comes_back_gets_what_was_missed() -> None:
    feeds = Feeds()
    watch = watching(feeds)
    say(feeds, "one ")
    last = (await watch.more() + await watch.more())[-1].id
    watch.close()
    say(feeds, "two ")
    say(feeds, "three")
    assert texts(await watching(feeds, last).more()) == "two three"
    current = watching(feeds, last + 2)
    waiting = asyncio.create_task(current.more())
    await asyncio.sleep(0)
    assert not waiting.done()
    say(feeds, "!")
    assert texts(await waiting) == "!"


@pytest.mark.parametrize("last", [0, 1, 10**17])
async def test_what_is_not_known_any_more_is_one_gap(last: int) -> None:
    feeds = Feeds()
    watch = watching(feeds, last)
    (gap,) = await watch.more()
    assert (gap.kind, gap.data["state"]) == ("gap", "idle")
    say(feeds, "on")
    (after,) = await watch.more()
    assert after.id == gap.id + 1


async def test_ids_of_a_later_feed_are_larger() -> None:
    old, new = Feeds(), Feeds()
    before = (await watching(old).more())[0].id
    await asyncio.sleep(0.001)
    watch = watching(new, before)
    (gap,) = await watch.more()
    assert gap.kind == "gap"
    assert gap.id > before


async def test_who_falls_behind_has_a_gap_and_memory_is_bounded() -> None:
    feeds = Feeds()
    slow, quick = watching(feeds), watching(feeds)
    await slow.more()
    await quick.more()
    heard = ""
    for _ in range(200):
        say(feeds, "x" * 20_000)
        heard += texts(await quick.more())
    assert len(heard) == 200 * 20_000
    assert kinds(await slow.more()) == ["gap"]
    kept = feeds._feeds[HERE]._kept
    assert sum(len(one.data.get("text", "")) for one in kept) <= feed._MOST_CHARACTERS
    for _ in range(feed._MOST_EVENTS + 10):
        feeds.state(HERE, "idle")
    assert len(kept) == feed._MOST_EVENTS


async def test_one_enormous_piece_is_still_bounded() -> None:
    feeds = Feeds()
    watch = watching(feeds)
    await watch.more()
    say(feeds, "x" * (3 * feed._MOST_CHARACTERS))
    assert len(feeds._feeds[HERE]._kept) <= feed._MOST_CHARACTERS / feed._PIECE
    assert kinds(await watch.more()) == ["gap"]


async def test_it_ends_with_the_conversation() -> None:
    feeds = Feeds()
    watch = watching(feeds)
    await watch.more()
    feeds.deleted(HERE)
    (last,) = await watch.more()
    assert last.data["state"] == "deleted"
    assert await watch.more() == []
    assert feeds._feeds == {}
    feeds.state(HERE, "busy")  # another conversation of the same id
    assert await watch.more() == []


async def test_it_ends_with_the_server_and_with_its_watcher() -> None:
    feeds = Feeds()
    watch, other = watching(feeds), watching(feeds)
    for each in (watch, other):
        await each.more()
    waiting, closed = asyncio.create_task(watch.more()), asyncio.create_task(other.more())
    await asyncio.sleep(0)
    other.close()
    other.close()
    assert await closed == []
    assert not waiting.done()
    feeds.close()
    assert await waiting == []


async def test_what_nobody_watches_any_more_is_forgotten_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "_LINGER_S", 0.02)
    feeds = Feeds()
    watch = watching(feeds)
    watch.close()
    back = watching(feeds)
    await asyncio.sleep(0.05)
    assert HERE in feeds._feeds, "somebody came back"
    back.close()
    await asyncio.sleep(0.05)
    assert feeds._feeds == {}
