"""What a turn's reader makes of the CLI's frames."""

from __future__ import annotations

from pathlib import Path

import pytest

from claude_code_api.claude.activity import Narrator
from claude_code_api.claude.frames import TurnReader
from claude_code_api.claude.launch import Workplace
from claude_code_api.core.turn import (
    AgentCall,
    AgentResult,
    AnswerRestarted,
    AnswerStarted,
    Message,
    TextDelta,
    ThinkingDelta,
    ThinkingSigned,
    ThinkingStarted,
    TurnCompleted,
    TurnEvent,
    TurnFailed,
    Usage,
)
from claude_code_api.errors import (
    ContentRefused,
    ContextOverflow,
    GatewayError,
    InvalidImage,
    ProcessDied,
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamForbidden,
    UpstreamModelNotFound,
    UpstreamOverloaded,
    UpstreamRateLimited,
    UpstreamRejected,
)
from tests.unit.claude import frames as cli
from tests.unit.claude.frames import Frame


def read(*sent: Frame, retry_ms: float = 15_000) -> list[TurnEvent]:
    """The events of a turn that has started and of which `sent` comes."""
    reader = TurnReader(cli.TURN, retry_ms=retry_ms)
    started = (cli.lifecycle("queued"), cli.lifecycle("started"))
    return [event for frame in (*started, *sent) for event in reader.feed(frame)]


def completed(*sent: Frame) -> TurnCompleted:
    last = read(*sent, cli.result())[-1]
    assert isinstance(last, TurnCompleted)
    return last


def failure(*sent: Frame, retry_ms: float = 15_000) -> GatewayError:
    last = read(*sent, retry_ms=retry_ms)[-1]
    assert isinstance(last, TurnFailed)
    return last.error


def test_an_ordinary_turn() -> None:
    events = read(
        cli.system("init", tools=[], model=cli.MODEL),
        cli.system("status", status="requesting"),
        cli.message_start(),
        cli.stream({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        cli.text("Hel"),
        cli.text("lo."),
        cli.assistant(cli.said("Hello."), uuid="6cfcb44e"),
        cli.stream({"type": "content_block_stop", "index": 0}),
        cli.message_delta("end_turn"),
        cli.message_stop(),
        cli.result(),
    )
    assert events == [
        AnswerStarted(cli.MODEL),
        TextDelta("Hel"),
        TextDelta("lo."),
        TurnCompleted(
            stop_reason="end_turn",
            model=cli.MODEL,
            usage=Usage(124, 46, cache_read_tokens=1000, cache_write_tokens=7, thinking_tokens=5),
            leaf="6cfcb44e",
            messages=(Message("assistant", (cli.said("Hello."),)),),
        ),
    ]


def test_thinking_is_told_apart() -> None:
    events = read(cli.message_start(), cli.thinking("Hm."), cli.text("Hi."))
    assert events[1:] == [ThinkingDelta("Hm."), TextDelta("Hi.")]


def test_every_block_of_thinking_is_told_also_one_that_nobody_can_read() -> None:
    started: list[Frame] = [
        {"type": "content_block_start", "index": index, "content_block": block}
        for index, block in enumerate(
            [
                {"type": "thinking", "thinking": "", "signature": ""},
                {"type": "redacted_thinking", "data": "x"},
                {"type": "text", "text": ""},
            ]
        )
    ]
    assert read(cli.message_start(), *map(cli.stream, started))[1:] == [ThinkingStarted(), ThinkingStarted("x")]


def test_thinking_is_signed_when_it_is_whole() -> None:
    signed = {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "s"}}
    assert read(cli.message_start(), cli.thinking("Hm."), cli.stream(signed))[1:] == [
        ThinkingDelta("Hm."),
        ThinkingSigned("s"),
    ]
    whole = {"type": "thinking", "thinking": "Hm.", "signature": "s"}
    assert read(cli.assistant(whole, identity="unstreamed"))[1:] == [
        ThinkingStarted(),
        ThinkingDelta("Hm."),
        ThinkingSigned("s"),
    ]


def test_what_the_model_has_read_is_known_when_it_begins() -> None:
    started = read(cli.message_start(input_tokens=7, cache_read_input_tokens=5))[0]
    assert isinstance(started, AnswerStarted)
    assert (started.usage.input_tokens, started.usage.cache_read_tokens) == (7, 5)


def test_which_stop_sequence_was_met() -> None:
    ending = {"stop_reason": "stop_sequence", "stop_sequence": "END"}
    met = cli.stream({"type": "message_delta", "delta": ending, "usage": {"output_tokens": 1}})
    reader = TurnReader(cli.TURN, retry_ms=15_000)
    frames = (cli.lifecycle("started"), cli.message_start(), cli.text("Hi"), met, cli.message_stop())
    events = [event for frame in (*frames, cli.result(stop_reason="stop_sequence")) for event in reader.feed(frame)]
    done = events[-1]
    assert isinstance(done, TurnCompleted)
    assert (done.stop_reason, done.stop_sequence) == ("stop_sequence", "END")
    assert completed(cli.message_start(), cli.text("Hi")).stop_sequence is None


def test_nothing_counts_before_the_turn_has_started() -> None:
    reader = TurnReader(cli.TURN, retry_ms=0)
    unasked = (cli.message_start(), cli.text("By the way"), cli.assistant(cli.said("By the way")), cli.result())
    for frame in (cli.lifecycle("started", "another"), *unasked, cli.lifecycle("queued"), *unasked):
        assert list(reader.feed(frame)) == []
    assert not reader.over
    list(reader.feed(cli.lifecycle("started")))
    assert list(reader.feed(cli.text("Hello"))) == [TextDelta("Hello")]


def test_nothing_counts_after_the_result() -> None:
    assert len(read(cli.result(), cli.text("more"), cli.result())) == 1


def test_a_sub_agent_is_not_the_answer() -> None:
    sub = {"parent_tool_use_id": "toolu_1"}
    done = completed(
        cli.message_start(),
        cli.text("Sub", **sub),
        {**cli.assistant(cli.said("Sub"), identity="msg_sub", uuid="sub"), **sub},
        {**cli.result(), **sub},
        cli.assistant(cli.said("Main")),
    )
    assert done.messages == (Message("assistant", (cli.said("Main"),)),)
    assert done.leaf == "leaf_1"


def test_the_blocks_of_one_message_come_in_frames_of_their_own() -> None:
    thought: Frame = {"type": "thinking", "thinking": "Hm.", "signature": "s"}
    done = completed(
        cli.message_start(),
        cli.assistant(thought, uuid="first"),
        cli.assistant(cli.said("Hi."), uuid="second"),
    )
    assert done.messages == (Message("assistant", (thought, cli.said("Hi."))),)
    assert done.leaf == "second"


def test_tool_results_stand_between_the_messages() -> None:
    call: Frame = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}
    answer: Frame = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "42"}
    events = read(
        cli.message_start("msg_1"),
        cli.assistant(call, identity="msg_1"),
        cli.message_stop(),
        cli.tool_results(answer),
        cli.message_start("msg_2"),
        cli.text("It is 42."),
        cli.assistant(cli.said("It is 42."), identity="msg_2", uuid="leaf_3"),
        cli.message_stop(),
        cli.result(),
    )
    done = events[-1]
    assert isinstance(done, TurnCompleted)
    assert [message.role for message in done.messages] == ["assistant", "user", "assistant"]
    assert done.leaf == "leaf_3"
    assert AnswerRestarted() not in events


def test_thinking_that_nobody_may_read_is_void_as_well() -> None:
    begun = cli.stream({"type": "content_block_start", "index": 0, "content_block": {"type": "thinking"}})
    events = read(cli.message_start(), begun, cli.message_start(), cli.text("Hello."))
    assert AnswerRestarted() in events


def test_a_stream_that_breaks_and_begins_again_voids_what_was_said() -> None:
    events = read(cli.message_start("msg_1"), cli.text("Hel"), cli.message_start("msg_2"), cli.text("Hello."))
    assert events[1:] == [TextDelta("Hel"), AnswerRestarted(), AnswerStarted(cli.MODEL), TextDelta("Hello.")]


def test_a_stream_that_breaks_is_closed_and_the_whole_answer_follows_in_one_piece() -> None:
    events = read(
        cli.message_start("msg_1"),
        cli.text("Hel"),
        cli.message_abandoned("msg_1"),
        cli.assistant(cli.said("Hello."), identity="msg_2"),
        cli.result(),
    )
    assert events[1:5] == [TextDelta("Hel"), AnswerRestarted(), AnswerStarted(cli.MODEL), TextDelta("Hello.")]
    done = events[-1]
    assert isinstance(done, TurnCompleted)
    assert done.messages == (Message("assistant", (cli.said("Hello."),)),)


def test_a_stream_that_breaks_before_it_said_anything_is_no_loss() -> None:
    events = read(cli.message_start("msg_1"), cli.message_start("msg_2"), cli.text("Hello."))
    assert AnswerRestarted() not in events


def test_an_answer_that_was_never_streamed_is_told_once() -> None:
    events = read(cli.assistant(cli.said("Hello.")), cli.result())
    assert events[:-1] == [AnswerStarted(cli.MODEL), TextDelta("Hello.")]
    done = events[-1]
    assert isinstance(done, TurnCompleted)
    assert done.model == cli.MODEL


def test_a_streamed_answer_is_not_repeated_by_its_frame() -> None:
    events = read(cli.message_start(), cli.text("Hello."), cli.assistant(cli.said("Hello.")), cli.message_stop())
    assert [event for event in events if isinstance(event, TextDelta)] == [TextDelta("Hello.")]


def test_at_the_token_limit_the_answer_ends_and_what_the_cli_adds_does_not_count() -> None:
    reader = TurnReader(cli.TURN, retry_ms=0)
    sent = [
        cli.lifecycle("started"),
        cli.message_start("msg_1"),
        cli.text("One two"),
        cli.assistant(cli.said("One two"), identity="msg_1", uuid="last"),
        cli.message_delta("max_tokens"),
        cli.message_stop(),
    ]
    events = [event for frame in sent for event in reader.feed(frame)]
    assert reader.continuation is None
    going_on = [
        cli.synthetic("Output token limit hit. Resume directly.", "added"),
        cli.message_start("msg_2"),
        cli.text(" three"),
        cli.assistant(cli.said(" three"), identity="msg_2"),
        cli.result(is_error=True, subtype="error_during_execution", stop_reason=None),
    ]
    events += [event for frame in going_on for event in reader.feed(frame)]
    assert events == [AnswerStarted(cli.MODEL), TextDelta("One two")]
    assert reader.continuation == "added"
    assert reader.over
    assert reader.truncated is not None
    assert reader.truncated.stop_reason == "max_tokens"
    assert reader.truncated.leaf == "last"
    assert reader.truncated.messages == (Message("assistant", (cli.said("One two"),)),)


def test_a_message_of_the_cli_elsewhere_is_part_of_the_turn() -> None:
    done = completed(
        cli.message_start(),
        cli.assistant(cli.said("Hm.")),
        cli.message_delta("end_turn"),
        cli.synthetic("Go on.", "added"),
        cli.assistant(cli.said("Hi."), identity="msg_2", uuid="last"),
    )
    assert [message.role for message in done.messages] == ["assistant", "user", "assistant"]
    assert done.stop_reason == "end_turn"


def test_a_compaction_is_noticed() -> None:
    reader = TurnReader(cli.TURN, retry_ms=0)
    for frame in (cli.system("compact_boundary"), cli.lifecycle("started")):
        list(reader.feed(frame))
    assert not reader.compacted
    list(reader.feed(cli.system("compact_boundary")))
    assert reader.compacted


def test_the_summary_of_a_compaction_was_said_by_nobody() -> None:
    done = completed(
        cli.system("compact_boundary"),
        cli.synthetic("This session is being continued from a previous conversation.", "summary"),
        cli.message_start(),
        cli.assistant(cli.said("Hi.")),
        cli.message_delta("end_turn"),
    )
    assert done.compacted
    (said,) = [block for message in done.messages for block in message.content if not block.get("internal")]
    assert said == cli.said("Hi.")


# Retries


def test_bad_credentials_are_told_at_once() -> None:
    error = failure(cli.retry(401, "authentication_failed", 549))
    assert isinstance(error, UpstreamAuthFailed)
    assert error.retry_after is None


def test_a_rate_limit_is_waited_for_as_long_as_allowed() -> None:
    waits = [cli.retry(429, "rate_limit", delay) for delay in (500, 1000, 2000)]
    assert read(*waits, retry_ms=3500) == []
    error = failure(*waits, retry_ms=3499)
    assert isinstance(error, UpstreamRateLimited)
    assert error.retry_after == 2.0


def test_a_retry_that_works_is_not_noticed() -> None:
    events = read(cli.retry(529, "overloaded", 500), cli.message_start(), cli.text("Hello."))
    assert events == [AnswerStarted(cli.MODEL), TextDelta("Hello.")]


def test_an_endpoint_that_does_not_answer_is_an_upstream_failure() -> None:
    error = failure(cli.retry(None, "unknown", 576), retry_ms=0)
    assert type(error) is UpstreamError
    assert error.retry_after == 1.0


def test_a_turn_that_was_given_up_says_nothing_more() -> None:
    given_up = cli.retry(401, "authentication_failed", 1)
    assert len(read(given_up, given_up, cli.text("Hello."), cli.result())) == 1


# Results that are errors


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, UpstreamRejected),
        (413, UpstreamRejected),
        (401, UpstreamAuthFailed),
        (403, UpstreamForbidden),
        (404, UpstreamModelNotFound),
        (429, UpstreamRateLimited),
        (529, UpstreamOverloaded),
        (500, UpstreamError),
        (503, UpstreamError),
    ],
)
def test_each_status_is_told_apart(status: int, kind: type[UpstreamError]) -> None:
    error = failure(cli.api_error("API Error: it says why"), cli.failed(status, "API Error: it says why"))
    assert type(error) is kind
    assert isinstance(error, UpstreamError)
    assert error.status == status
    assert "it says why" in error.message


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_what_waiting_cannot_heal_has_no_retry_after(status: int) -> None:
    assert failure(cli.failed(status, "no")).retry_after is None


@pytest.mark.parametrize("status", [429, 500, 503, 529])
def test_what_waiting_may_heal_has_a_retry_after(status: int) -> None:
    assert failure(cli.failed(status, "not now")).retry_after == 5.0


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("authentication_failed", UpstreamAuthFailed),
        ("rate_limit", UpstreamRateLimited),
        ("overloaded", UpstreamOverloaded),
        ("model_not_found", UpstreamModelNotFound),
        ("unknown", UpstreamError),
    ],
)
def test_without_a_status_the_kind_of_error_counts(name: str, kind: type[UpstreamError]) -> None:
    assert type(failure(cli.api_error("API Error", name), cli.failed(None, "API Error"))) is kind


def test_the_text_of_an_error_is_not_an_answer() -> None:
    events = read(cli.api_error("API Error: 400"), cli.failed(400, "API Error: 400"))
    assert len(events) == 1
    assert isinstance(events[0], TurnFailed)


def test_a_refusal() -> None:
    refused = cli.result(is_error=True, stop_reason="refusal", api_error_status=None, result="API Error: flagged")
    error = failure(cli.api_error("API Error: flagged", "invalid_request"), refused)
    assert isinstance(error, ContentRefused)
    assert error.retry_after is None


def test_a_conversation_that_is_too_long() -> None:
    error = failure(cli.failed(400, "Prompt is too long"))
    assert isinstance(error, ContextOverflow)
    assert error.param == "messages"


def test_an_image_that_is_too_large_for_a_history_is_the_clients_to_mend() -> None:
    said = "Image base64 size (5.5MB) exceeds API limit (5MB). Please resize the image before sending."
    assert isinstance(failure(cli.failed(None, said)), InvalidImage)


def test_an_error_of_the_cli_itself() -> None:
    broken = cli.result(subtype="error_during_execution", is_error=True, result=None, errors=["out of luck"])
    error = failure(broken)
    assert isinstance(error, ProcessDied)
    assert "out of luck" in error.message


# What an agent does with tools of its own

NARRATOR = Narrator(Workplace(Path("/srv/one")))
CLIENT_CALL = {"type": "tool_use", "id": "toolu_2", "name": "mcp__client__get_time", "input": {}}


def own_call(identity: str = "toolu_1", command: str = "ls /srv/one/work") -> Frame:
    return {"type": "tool_use", "id": identity, "name": "Bash", "input": {"command": command}}


def outcome(identity: str = "toolu_1", *, is_error: bool = False, content: object = "Exit code 2") -> Frame:
    return {"type": "tool_result", "tool_use_id": identity, "content": content, "is_error": is_error}


def agents(*sent: Frame, tools: frozenset[str] = frozenset()) -> list[TurnEvent]:
    reader = TurnReader(cli.TURN, retry_ms=0, narrator=NARRATOR, tools=tools)
    return [event for frame in (cli.lifecycle("started"), *sent) for event in reader.feed(frame)]


def activities(events: list[TurnEvent]) -> list[str]:
    doings = [event for event in events if isinstance(event, AgentCall | AgentResult)]
    return [doing.line for doing in doings if doing.line is not None]


def test_a_call_of_an_agents_own_is_told_when_it_is_whole_and_when_it_failed() -> None:
    sent = [cli.message_start(), cli.assistant(own_call()), cli.tool_results(outcome(is_error=True))]
    assert activities(agents(*sent[:1])) == []
    assert activities(agents(*sent[:2])) == ["Bash: ls ."]
    assert activities(agents(*sent)) == ["Bash: ls .", "Bash failed: Exit code 2"]
    assert activities(agents(*sent[:2], cli.tool_results(outcome()))) == ["Bash: ls ."]


def test_a_call_of_an_agents_own_and_its_result_are_told_whole() -> None:
    parts = [{"type": "text", "text": "one"}, {"type": "image", "source": {}}]
    sent = [cli.message_start(), cli.assistant(own_call())]
    call = AgentCall("toolu_1", "Bash", {"command": "ls /srv/one/work"}, "Bash: ls .")
    assert agents(*sent)[1:] == [call]
    assert agents(*sent, cli.tool_results(outcome(content=parts)))[2:] == [
        AgentResult("toolu_1", "one\n[image]", is_error=False, line=None)
    ]
    assert agents(*sent, cli.tool_results(outcome(is_error=True)))[2:] == [
        AgentResult("toolu_1", "Exit code 2", is_error=True, line="Bash failed: Exit code 2")
    ]


def test_a_result_that_says_neither_that_it_failed_nor_anything_is_a_success() -> None:
    result = cli.tool_results({"type": "tool_result", "tool_use_id": "toolu_1"})
    told = agents(cli.message_start(), cli.assistant(own_call()), result)
    assert told[-1] == AgentResult("toolu_1", "", is_error=False, line=None)


def test_arguments_that_are_too_deep_are_told_as_they_are_kept() -> None:
    deep: object = "x"
    for _ in range(200):
        deep = [deep]
    call = own_call() | {"input": {"command": deep}}
    events = agents(cli.message_start(), cli.assistant(call), cli.result())
    (told,) = [event for event in events if isinstance(event, AgentCall)]
    assert list(told.input) == ["arguments"]
    assert isinstance(done := events[-1], TurnCompleted)
    assert done.messages[0].content[0]["input"] == told.input


def test_a_result_of_the_clients_tool_is_not_the_agents_doing() -> None:
    tools = frozenset({"mcp__client__get_time"})
    sent = (cli.message_start(), cli.assistant(CLIENT_CALL), cli.tool_results(outcome("toolu_2", is_error=True)))
    assert not [event for event in agents(*sent, tools=tools) if isinstance(event, AgentCall | AgentResult)]


def test_the_line_stands_beside_the_block() -> None:
    events = agents(
        cli.message_start(), cli.assistant(own_call()), cli.tool_results(outcome(is_error=True)), cli.result()
    )
    assert isinstance(done := events[-1], TurnCompleted)
    assert [block["activity"] for message in done.messages for block in message.content] == [
        "Bash: ls .",
        "Bash failed: Exit code 2",
    ]
    assert all(block["internal"] for message in done.messages for block in message.content)


def test_what_came_in_one_piece_is_told_too() -> None:
    assert activities(agents(cli.assistant(own_call(), identity="unstreamed"))) == ["Bash: ls ."]


def test_the_clients_tools_are_no_activity() -> None:
    tools = frozenset({"mcp__client__get_time"})
    assert activities(agents(cli.message_start(), cli.assistant(CLIENT_CALL), tools=tools)) == []
    assert activities(agents(cli.message_start(), cli.assistant(CLIENT_CALL))) == []


def test_a_sub_agents_calls_are_not_told() -> None:
    inner = cli.assistant(own_call()) | {"parent_tool_use_id": "toolu_0"}
    assert activities(agents(cli.message_start(), inner)) == []


def test_without_a_narrator_nothing_is_told() -> None:
    events = read(cli.message_start(), cli.assistant(own_call()), cli.tool_results(outcome(is_error=True)))
    assert activities(events) == []


def test_a_turn_that_nobody_asked_for_is_not_told() -> None:
    """Work in the background that ends between turns makes the CLI take one of its own."""
    own = [cli.message_start(), cli.assistant(own_call()), cli.tool_results(outcome()), cli.result()]
    reader = TurnReader(cli.TURN, retry_ms=0, narrator=NARRATOR)
    assert [event for frame in own for event in reader.feed(frame)] == []
    assert not reader.over
