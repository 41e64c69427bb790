"""A turn's events on their way to a reader who may be slow."""

from __future__ import annotations

import asyncio

import pytest

from claude_code_api.core.turn import (
    AnswerRestarted,
    AnswerStarted,
    StartKind,
    TextDelta,
    ThinkingDelta,
    TurnCompleted,
    TurnEvent,
    TurnFailed,
    TurnStarted,
    Usage,
)
from claude_code_api.errors import ProcessDied
from claude_code_api.runtime.stream import TurnStream

DONE = TurnCompleted("end_turn", "sonnet", Usage(), None)
FAILED = TurnFailed(ProcessDied("gone"))


def filled(*events: TurnEvent) -> TurnStream:
    stream = TurnStream()
    for event in events:
        stream.put(event)
    return stream


async def rest_of(stream: TurnStream) -> list[TurnEvent]:
    return [event async for event in stream.read()]


async def test_events_come_in_the_order_they_were_put() -> None:
    events: list[TurnEvent] = [TurnStarted(StartKind.LIVE), AnswerStarted("sonnet"), TextDelta("Hi"), DONE]
    assert await rest_of(filled(*events)) == events


async def test_deltas_that_wait_for_their_reader_are_joined() -> None:
    stream = filled(TextDelta("a"), TextDelta("b"), TextDelta("c"), DONE)
    assert await rest_of(stream) == [TextDelta("abc"), DONE]


async def test_thinking_and_text_are_not_joined_with_each_other() -> None:
    stream = filled(ThinkingDelta("a"), ThinkingDelta("b"), TextDelta("c"), ThinkingDelta("d"), DONE)
    assert await rest_of(stream) == [ThinkingDelta("ab"), TextDelta("c"), ThinkingDelta("d"), DONE]


async def test_thinking_is_not_joined_with_what_is_said_aside() -> None:
    stream = filled(ThinkingDelta("a"), ThinkingDelta("b", aside=True), ThinkingDelta("c", aside=True), DONE)
    assert await rest_of(stream) == [ThinkingDelta("a"), ThinkingDelta("bc", aside=True), DONE]


async def test_nothing_is_joined_across_a_restart() -> None:
    events: list[TurnEvent] = [TextDelta("a"), AnswerRestarted(), TextDelta("b"), DONE]
    assert await rest_of(filled(*events)) == events


async def test_a_reader_that_keeps_up_gets_every_delta_by_itself() -> None:
    stream = TurnStream()
    reader = asyncio.create_task(rest_of(stream))
    for event in (TextDelta("a"), TextDelta("b"), DONE):
        stream.put(event)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert await reader == [TextDelta("a"), TextDelta("b"), DONE]


async def test_a_delta_that_was_read_is_not_read_again() -> None:
    stream = filled(TextDelta("a"))
    reading = stream.read()
    assert await anext(reading) == TextDelta("a")
    stream.put(TextDelta("b"))
    assert await anext(reading) == TextDelta("b")


@pytest.mark.parametrize("last", [DONE, FAILED])
async def test_the_end_ends_it_for_good(last: TurnEvent) -> None:
    stream = filled(TextDelta("a"), last, TextDelta("b"), DONE)
    reading = stream.read()
    assert [event async for event in reading] == [TextDelta("a"), last]
    assert [event async for event in reading] == []


async def test_a_reader_that_stops_waiting_loses_nothing() -> None:
    stream = TurnStream()
    reading = stream.read()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await anext(reading)
    stream.put(TextDelta("a"))
    stream.put(DONE)
    assert [event async for event in reading] == [TextDelta("a"), DONE]


async def test_every_reader_gets_the_whole_answer_whenever_it_comes() -> None:
    stream = TurnStream()
    early = asyncio.create_task(rest_of(stream))
    stream.put(TextDelta("a"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    stream.put(TextDelta("b"))
    middle = asyncio.create_task(rest_of(stream))
    stream.put(DONE)
    assert await early == [TextDelta("a"), TextDelta("b"), DONE]
    assert await middle == await rest_of(stream) == [TextDelta("ab"), DONE]


async def test_the_end_is_told_once_and_also_to_who_asks_late() -> None:
    stream, told = TurnStream(), []
    stream.on_end(lambda: told.append("early"))
    stream.put(DONE)
    stream.put(FAILED)
    stream.on_end(lambda: told.append("late"))
    assert told == ["early", "late"]


async def test_a_writer_never_waits_and_what_is_kept_is_the_answer_itself() -> None:
    stream = filled(*[TextDelta("x")] * 10_000, DONE)
    assert await rest_of(stream) == [TextDelta("x" * 10_000), DONE]
