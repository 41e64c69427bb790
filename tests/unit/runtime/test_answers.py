"""A stored answer is replayed as it was given."""

from __future__ import annotations

import asyncio
from typing import Any

from claude_code_api.core.turn import (
    AgentCall,
    AgentResult,
    AnswerStarted,
    Message,
    StartKind,
    TextDelta,
    ThinkingDelta,
    ThinkingSigned,
    ThinkingStarted,
    ToolCallDelta,
    ToolCallStarted,
    TurnCompleted,
    TurnEvent,
    TurnStarted,
    Usage,
)
from claude_code_api.runtime.answers import Answers
from claude_code_api.runtime.stored import StoredAnswer
from claude_code_api.runtime.tasks import Tasks

OWN = {"type": "tool_use", "id": "own", "name": "Bash", "input": {}, "internal": True}
OWN_RESULT = Message("user", ({"type": "tool_result", "tool_use_id": "own", "content": "x", "internal": True},))
CALL = {"type": "tool_use", "id": "c1", "name": "f", "input": {"a": ["ä", 1]}}


THOUGHT = {"type": "thinking", "thinking": "Hm.", "signature": "s"}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


async def replayed(*messages: Message, stop_reason: str = "end_turn") -> list[TurnEvent]:
    completed = TurnCompleted(stop_reason, "claude-1", Usage(), "leaf", messages)
    stored = StoredAnswer("turn-1", "default", "conv-1", "mark", StartKind.WARM, 1.0, completed)
    store: Any = None  # a replay asks it nothing
    answers = Answers(store, Tasks(), lambda conversation, turn: None)
    async with asyncio.timeout(5):
        events = [event async for event in answers.replay(stored).stream.read()]
    assert events[0] == TurnStarted(StartKind.WARM)
    assert events[-1] == completed
    return events[1:-1]


async def test_every_message_begins_anew_and_the_agents_own_work_is_not_told() -> None:
    assert await replayed(
        Message("assistant", (THOUGHT, {"type": "redacted_thinking", "data": "x"}, text("One"), OWN)),
        OWN_RESULT,
        Message("assistant", (text("Two"), CALL, {**CALL, "id": "c2", "input": {}})),
        stop_reason="tool_use",
    ) == [
        AnswerStarted("claude-1"),
        ThinkingStarted(),
        ThinkingDelta("Hm."),
        ThinkingSigned("s"),
        ThinkingStarted("x"),
        TextDelta("One"),
        AnswerStarted("claude-1"),
        TextDelta("Two"),
        ToolCallStarted("c1", "f"),
        ToolCallDelta("c1", '{"a":["ä",1]}'),
        ToolCallStarted("c2", "f"),
        ToolCallDelta("c2", "{}"),
    ]


async def test_what_an_agent_did_is_told_again_where_it_was_told() -> None:
    failed = {"type": "tool_result", "tool_use_id": "own", "content": "no", "is_error": True, "internal": True}
    assert await replayed(
        Message("assistant", ({**OWN, "activity": "Bash: ls"},)),
        Message("user", ({**failed, "activity": "Bash failed: no"},)),
        Message("assistant", (text("Done."),)),
    ) == [
        AnswerStarted("claude-1"),
        AgentCall("own", "Bash", {}, "Bash: ls"),
        AgentResult("own", "no", True, "Bash failed: no"),
        AnswerStarted("claude-1"),
        TextDelta("Done."),
    ]


async def test_why_a_model_declined_comes_with_the_end() -> None:
    assert await replayed(Message("assistant", (text("No."),)), stop_reason="refusal") == [AnswerStarted("claude-1")]


async def test_an_answer_without_a_message_names_its_model() -> None:
    assert await replayed() == [AnswerStarted("claude-1")]
