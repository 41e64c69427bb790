"""Whatever a turn does: its stream says what its end says, and goes on from wherever it was cut off."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from claude_code_api.api.openai_items.told import output_items
from claude_code_api.api.openai_responses.compact_json import Compact
from claude_code_api.api.openai_responses.resource import Head
from claude_code_api.api.openai_responses.stream import Stream
from claude_code_api.core.turn import (
    AgentCall,
    AgentResult,
    AnswerStarted,
    Block,
    Message,
    StartKind,
    TextDelta,
    ThinkingDelta,
    ThinkingStarted,
    ToolCallDelta,
    ToolCallStarted,
    TurnCompleted,
    TurnEvent,
    TurnFailed,
    TurnStarted,
)
from claude_code_api.errors import ProcessDied
from tests.unit.api.openai_responses.folding import told
from tests.unit.api.openai_responses.scenes import (
    ENCRYPTED,
    MODEL,
    NOW,
    SUMMARY,
    TURN,
    answer,
    call,
    done,
    events_of,
    head,
    own_call,
    own_result,
    stream,
    text,
    thought,
)

WORDS = st.text(st.sampled_from('ab é\n"\\😀'), min_size=1, max_size=6)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**17), 10**17) | st.sampled_from([0.5, -1.25, 1e-7, 2.5e21]) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
ARGUMENTS = st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3)


@st.composite
def pieces(draw: st.DrawFn, whole: str) -> list[str]:
    """A text as it comes."""
    cuts = sorted(draw(st.lists(st.integers(0, len(whole)), max_size=3)))
    ends = [0, *cuts, len(whole)]
    return [whole[start:end] for start, end in pairwise(ends)]


@st.composite
def written(draw: st.DrawFn, value: Any) -> str:
    """JSON as a model may write it."""
    return json.dumps(
        value,
        ensure_ascii=draw(st.booleans()),
        separators=draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", " : ")])),
    )


@st.composite
def turns(draw: st.DrawFn) -> tuple[list[TurnEvent], TurnCompleted]:
    """What a turn tells while it runs, and its end, which agrees with that."""
    events: list[TurnEvent] = [TurnStarted(StartKind.LIVE)]
    messages: list[Message] = []
    calls = 0
    count = draw(st.integers(1, 3))
    parks = draw(st.booleans())
    for number in range(count):
        events.append(AnswerStarted(MODEL))
        blocks: list[Block] = []
        waiting: list[str] = []
        choices = ["text", "thought", "hidden", "own"] + ["call"] * (parks and number == count - 1)
        for kind in draw(st.lists(st.sampled_from(choices), min_size=1, max_size=4)):
            identity, calls = f"id_{calls}", calls + 1
            if kind == "text":
                blocks.append(text(draw(WORDS)))
                events += map(TextDelta, draw(pieces(blocks[-1]["text"])))
            elif kind == "thought":
                blocks.append(thought(draw(st.just("") | WORDS)))
                events.append(ThinkingStarted())
                events += map(ThinkingDelta, draw(pieces(blocks[-1]["thinking"])))
            elif kind == "hidden":
                blocks.append({"type": "redacted_thinking", "data": "eA=="})
                events.append(ThinkingStarted())
            elif kind == "own":
                name = draw(st.sampled_from(["Bash", "WebSearch"]))
                blocks.append(own_call(identity, name, **draw(ARGUMENTS)))
                waiting.append(identity)
                events.append(AgentCall(identity, name, blocks[-1]["input"], name))
            elif kind == "call":
                blocks.append(call(identity, **draw(ARGUMENTS)))
                events.append(ToolCallStarted(identity, "f"))
                told_as = draw(pieces(draw(written(blocks[-1]["input"]))))
                events += [ToolCallDelta(identity, piece) for piece in told_as]
        if not blocks:
            continue
        messages.append(answer(*blocks))
        for identity in draw(st.permutations(waiting)):
            content, failed = draw(WORDS), draw(st.booleans())
            messages.append(own_result(identity, content, failed=failed))
            events.append(AgentResult(identity, content, is_error=failed, line=None))
    has_calls = any(isinstance(event, ToolCallStarted) for event in events)
    other = draw(st.sampled_from(["end_turn", "max_tokens"]))
    return events, done(*messages, stop_reason="tool_use" if has_calls else other)


HEADS = st.builds(
    lambda summary, encrypted, activity: head(activity=activity, **summary, **encrypted),
    st.sampled_from([{}, SUMMARY]),
    st.sampled_from([{}, ENCRYPTED]),
    st.booleans(),
)


@settings(max_examples=150, deadline=None)
@given(turns(), HEADS, st.booleans(), st.data())
def test_a_stream_says_what_its_end_says(
    turn: tuple[list[TurnEvent], TurnCompleted], of: Head, background: bool, data: st.DataObject
) -> None:
    events, end = turn
    kept = data.draw(st.just(len(events)) | st.integers(1, len(events)), "how many events were told")
    said = events_of(stream(of=of, background=background), *events[:kept], end)
    response = told(said)
    assert response["output"] == output_items(TURN, end.messages, of.telling)


@settings(max_examples=50, deadline=None)
@given(turns(), HEADS, st.booleans())
def test_a_stream_that_was_cut_off_anywhere_goes_on_to_the_same_end(
    turn: tuple[list[TurnEvent], TurnCompleted], of: Head, background: bool
) -> None:
    events, end = turn
    whole = events_of(stream(of=of, background=background), *events, end)
    for cut in range(len(whole) + 1):
        made = Stream.restored(whole[:cut], of, clock=lambda: NOW, background=background)
        rest = [json.loads(json.dumps(event)) for event in made.of(end)]
        assert told([*whole[:cut], *rest], checked=False) == whole[-1]["response"]
        assert bool(rest) == (cut < len(whole))


@settings(max_examples=30, deadline=None)
@given(turns(), HEADS, st.booleans())
def test_a_stream_that_was_cut_off_anywhere_can_fail(
    turn: tuple[list[TurnEvent], TurnCompleted], of: Head, background: bool
) -> None:
    failed = TurnFailed(ProcessDied("Gone."))
    whole = events_of(stream(of=of, background=background), *turn[0], failed)
    for cut in range(len(whole) + 1):
        made = Stream.restored(whole[:cut], of, clock=lambda: NOW, background=background)
        rest = [json.loads(json.dumps(event)) for event in made.of(failed)]
        assert told([*whole[:cut], *rest], checked=False) == whole[-1]["response"]


@given(ARGUMENTS, st.data())
def test_arguments_are_told_from_the_start_as_they_will_be_kept(value: dict[str, Any], data: st.DataObject) -> None:
    compact = Compact()
    said = "".join(map(compact.feed, data.draw(pieces(data.draw(written(value))))))
    assert json.dumps(value, separators=(",", ":"), ensure_ascii=False).startswith(said)
