"""A turn's events as a session tells them, live and from the store."""

from __future__ import annotations

from typing import Any

from claude_code_api.core.toolbox import Decision, Permissions
from claude_code_api.core.turn import (
    AgentCall,
    AgentResult,
    AnswerRestarted,
    AnswerStarted,
    ApprovalSettled,
    ApprovalWanted,
    Message,
    ServerFailed,
    TextDelta,
    ThinkingStarted,
    ToolCallStarted,
    TurnCompleted,
    TurnEvent,
    TurnFailed,
    Usage,
)
from claude_code_api.errors import UpstreamOverloaded
from claude_code_api.managed.session_store import NewEvent, StoredEvent
from claude_code_api.managed.telling import Teller, Told, told_of
from claude_code_api.managed.turns import rest_of

ASKS = Permissions((("Bash", "ask"), ("mcp__docs", "deny")))


def teller(permissions: Permissions = Permissions()) -> Teller:
    return Teller("turn-1", permissions.of)


def told_by(of: Teller, *events: TurnEvent) -> Told:
    whole = Told()
    for event in events:
        one = of.feed(event)
        whole.events += one.events
        whole.previews += one.previews
        whole.wants += one.wants
        whole.settled += one.settled
    return whole


def kinds(events: list[NewEvent]) -> list[str]:
    return [event.type for event in events]


def completed(*blocks: dict[str, Any], reason: str = "end_turn", usage: Usage = Usage()) -> TurnCompleted:
    messages = (Message("assistant", blocks),) if blocks else ()
    return TurnCompleted(reason, "sonnet", usage, None, messages)


def call(name: str, **arguments: Any) -> AgentCall:
    return AgentCall("toolu_1", name, arguments, "line")


def allow(_: str) -> Decision:
    return "allow"


def test_what_is_said_in_pieces_is_one_message_with_the_id_of_its_previews() -> None:
    told = told_by(
        teller(), AnswerStarted("sonnet"), ThinkingStarted(), TextDelta("one "), TextDelta("two"), completed()
    )
    assert kinds(told.events) == [
        "span.model_request_start",
        "agent.thinking",
        "agent.message",
        "span.model_request_end",
    ]
    message = told.events[2]
    assert message.body == {"content": [{"type": "text", "text": "one two"}]}
    assert [one["type"] for one in told.previews] == ["event_start", "event_start", "event_delta", "event_delta"]
    assert told.previews[0]["event"] == {"type": "agent.thinking", "id": told.events[1].id}
    assert told.previews[1]["event"] == {"type": "agent.message", "id": message.id}
    assert {one["event_id"] for one in told.previews[2:]} == {message.id}


def test_the_requests_of_a_turn_add_up_to_the_turn() -> None:
    first, second = Usage(10, 1, 2, 3), Usage(20, 1, 4, 0)
    whole = Usage(30, 50, 6, 3)
    told = told_by(
        teller(),
        AnswerStarted("sonnet", first),
        call("Bash"),
        AgentResult("toolu_1", "done", False, None),
        AnswerStarted("sonnet", second),
        TextDelta("ok"),
        completed(usage=whole),
    )
    spans = [event.body["model_usage"] for event in told.events if event.type == "span.model_request_end"]
    assert [span["input_tokens"] for span in spans] == [10, 20]
    assert [span["output_tokens"] for span in spans] == [0, 50]
    assert sum(span["cache_read_input_tokens"] for span in spans) == whole.cache_read_tokens
    assert sum(span["cache_creation_input_tokens"] for span in spans) == whole.cache_write_tokens


def test_tools_go_by_the_names_that_clients_know() -> None:
    told = told_by(teller(), AnswerStarted("m"), call("Bash", command="ls"), AgentResult("toolu_1", "x", True, "line"))
    use, _, result = told.events[1:]
    assert use.body["name"] == "bash"
    assert use.body["evaluated_permission"] == "allow"
    assert use.call_id == "toolu_1"
    assert result.body == {"tool_use_id": use.id, "content": [{"type": "text", "text": "x"}], "is_error": True}
    other = told_by(teller(), call("TodoWrite")).events[0]
    assert (other.type, other.body["name"]) == ("agent.tool_use", "TodoWrite")
    served = told_by(teller(), call("mcp__docs__search"), AgentResult("toolu_1", "", False, None))
    assert kinds(served.events) == ["agent.mcp_tool_use", "agent.mcp_tool_result"]
    assert (served.events[0].body["mcp_server_name"], served.events[0].body["name"]) == ("docs", "search")
    assert served.events[1].body["mcp_tool_use_id"] == served.events[0].id


def test_a_call_that_has_to_be_asked_for_is_told_when_it_waits() -> None:
    of = teller(ASKS)
    assert told_by(of, AnswerStarted("m"), call("Bash", command="ls")).events[1:] == []
    wanted = told_by(of, ApprovalWanted("toolu_1", "Bash", {"command": "ls"}, 0.0, "line"))
    (use,) = [event for event in wanted.events if event.type == "agent.tool_use"]
    assert (use.body["evaluated_permission"], use.body["evaluation"]) == ("ask", {"type": "always_ask"})
    assert [(one.event_id, one.call_id, one.kind) for one in wanted.wants] == [(use.id, "toolu_1", "confirmation")]
    assert told_by(of, ApprovalSettled("toolu_1", "denied")).settled == ["toolu_1"]
    result = told_by(of, AgentResult("toolu_1", "no", True, "line")).events
    assert [event.body["tool_use_id"] for event in result] == [use.id]


def test_a_call_that_failed_before_anybody_was_asked_is_told_all_the_same() -> None:
    told = told_by(teller(ASKS), call("Bash"), AgentResult("toolu_1", "bad input", True, "line"))
    assert kinds(told.events) == ["agent.tool_use", "agent.tool_result"]


def test_a_call_of_a_sub_agent_that_waits_is_told_without_its_own_event() -> None:
    told = told_by(teller(), ApprovalWanted("toolu_9", "Bash", {}, 0.0, "line"))
    assert kinds(told.events) == ["agent.tool_use"]
    assert told.wants[0].call_id == "toolu_9"


def test_a_tool_that_is_switched_off_is_denied_by_no_policy() -> None:
    (use,) = told_by(teller(ASKS), call("mcp__docs__search")).events
    assert use.body["evaluated_permission"] == "deny"
    assert "evaluation" not in use.body


def test_what_was_said_before_a_stream_broke_is_void() -> None:
    told = told_by(
        teller(),
        AnswerStarted("m"),
        TextDelta("lost"),
        AnswerRestarted(),
        AnswerStarted("m"),
        TextDelta("kept"),
        completed(),
    )
    texts = [event.body["content"][0]["text"] for event in told.events if event.type == "agent.message"]
    assert texts == ["kept"]
    assert [event.body["is_error"] for event in told.events if event.type == "span.model_request_end"] == [True, False]


def test_a_turn_that_fails_ends_its_request() -> None:
    told = told_by(teller(), AnswerStarted("m"), TextDelta("lost"), TurnFailed(UpstreamOverloaded("no")))
    assert kinds(told.events) == ["span.model_request_start", "span.model_request_end"]
    assert told.events[1].body["is_error"]


def test_open_calls_wait_for_their_results_unless_somebody_interrupted() -> None:
    block = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Paris"}}
    told = told_by(
        teller(), AnswerStarted("m"), ToolCallStarted("toolu_1", "get_weather"), completed(block, reason="tool_use")
    )
    use = told.events[-1]
    assert (use.type, use.body) == ("agent.custom_tool_use", {"name": "get_weather", "input": {"city": "Paris"}})
    assert [(one.event_id, one.kind) for one in told.wants] == [(use.id, "result")]
    halted = told_by(teller(), AnswerStarted("m"), completed(block, reason="interrupted"))
    assert halted.wants == []
    assert halted.events[-1].body["is_error"]


def test_a_server_that_fails_is_named_and_the_turn_goes_on() -> None:
    (event,) = told_by(teller(), ServerFailed("docs", "refused")).events
    assert event.body["error"] == {
        "type": "mcp_connection_failed_error",
        "mcp_server_name": "docs",
        "message": "refused",
        "retry_status": {"type": "retrying"},
    }


WORK = (
    Message(
        "assistant",
        (
            {"type": "thinking", "thinking": "hm"},
            {"type": "text", "text": "I look."},
            {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {"command": "ls"}, "internal": True},
        ),
    ),
    Message("user", ({"type": "tool_result", "tool_use_id": "toolu_1", "content": "one", "internal": True},)),
    Message("assistant", ({"type": "text", "text": "Done."},)),
)


def test_a_stored_turn_tells_what_a_live_one_does() -> None:
    live = told_by(
        teller(),
        AnswerStarted("m"),
        ThinkingStarted(),
        TextDelta("I look."),
        call("Bash", command="ls"),
        AgentResult("toolu_1", "one", False, None),
        AnswerStarted("m"),
        TextDelta("Done."),
        completed(),
    ).events
    stored = told_of(WORK, "turn-1", {}, allow)
    assert kinds(stored) == [kind for kind in kinds(live) if not kind.startswith("span.")]
    assert [event.body for event in stored if event.type == "agent.message"] == [
        event.body for event in live if event.type == "agent.message"
    ]
    assert stored[3].body["tool_use_id"] == stored[2].id


def kept(events: list[NewEvent]) -> list[StoredEvent]:
    return [
        StoredEvent(number, one.id, one.type, one.body, 0.0, 0.0, one.turn_id, one.call_id)
        for number, one in enumerate(events)
    ]


def test_of_an_answer_only_what_the_log_lacks_is_told_again() -> None:
    done = TurnCompleted("end_turn", "sonnet", Usage(5, 6), None, WORK)
    of = teller()
    live = told_by(of, AnswerStarted("m"), ThinkingStarted(), TextDelta("I look."), call("Bash", command="ls")).events
    use = live[-1]
    for known in range(len(live) + 1):
        have = kept(live[:known])
        rest = rest_of(done, "turn-1", have, allow).events
        whole = [*[event.type for event in have], *kinds(rest)]
        for kind, count in (
            ("agent.thinking", 1),
            ("agent.tool_use", 1),
            ("agent.tool_result", 1),
            ("agent.message", 2),
        ):
            assert whole.count(kind) == count, (known, whole)
        assert whole.count("span.model_request_end") == whole.count("span.model_request_start")
        if known == len(live):
            (result,) = [event for event in rest if event.type == "agent.tool_result"]
            assert result.body["tool_use_id"] == use.id


def test_calls_that_an_answer_left_open_wait_also_when_they_were_told_before() -> None:
    block = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {}}
    done = completed(block, reason="tool_use")
    first = rest_of(done, "turn-1", [], allow)
    again = rest_of(done, "turn-1", kept(first.events), allow)
    assert again.events == []
    assert again.wants == first.wants
