"""What a turn needs of its conversation, and what is sent to the process."""

from __future__ import annotations

from typing import Any

import pytest

from claude_code_api.core.toolbox import Toolbox
from claude_code_api.core.turn import Block, Message, TurnInput
from claude_code_api.errors import InvalidRequest
from claude_code_api.runtime.needs import content_of, needs
from claude_code_api.runtime.ports import Profile
from claude_code_api.runtime.record import Record

PROFILE = Profile("sonnet", "Be kind.")


def text(said: str) -> Block:
    return {"type": "text", "text": said}


def call(identity: str) -> Block:
    return {"type": "tool_use", "id": identity, "name": "look", "input": {}}


def result(identity: str) -> Block:
    return {"type": "tool_result", "tool_use_id": identity, "content": [text("42")]}


def user(*blocks: Block | str) -> Message:
    return Message("user", tuple(text(block) if isinstance(block, str) else block for block in blocks))


def assistant(*blocks: Block | str) -> Message:
    return Message("assistant", user(*blocks).content)


HISTORY = [user("One"), assistant("1"), user("Two"), assistant("2"), user("Three"), assistant("3")]

# Calls that a client sends back as it has run them


def test_a_rewritten_call_is_the_one_that_the_conversation_holds_if_its_client_rewrites() -> None:
    made = {**call("c1"), "input": {"command": "cd /work && ls"}}
    run = {**call("c1"), "input": {"command": "ls", "background": False}}
    record = recorded()
    record.history = [user("One"), assistant(made)]
    sent = (user("One"), assistant(run))
    kept = needs(record, asked(history=sent, rewrites=True))
    assert kept.history is record.history
    assert not kept.replaces
    edited = needs(record, asked(history=sent))
    assert (edited.history, edited.replaces) == (list(sent), True)
    back = needs(record, asked(history=(*sent, user(result("c1")), assistant("Else")), rewrites=True))
    assert back.history[:2] == record.history
    other = (user("One"), assistant({**run, "id": "c2"}))
    assert needs(record, asked(history=other, rewrites=True)).history == list(other)


# The toolbox

BOX = Toolbox(tools=("Read",))


def test_an_agent_has_the_toolbox_of_its_conversation_until_a_turn_brings_another() -> None:
    record = recorded()
    assert needs(record, asked(profile="agent")).profile.toolbox is None
    record.toolbox = BOX
    kept = needs(record, asked(profile="agent"))
    assert kept.profile.toolbox == BOX
    other = needs(record, asked(profile="agent", toolbox=Toolbox()))
    assert other.profile.toolbox == Toolbox()


def test_a_chat_has_none() -> None:
    record = recorded()
    record.toolbox = BOX
    assert needs(record, asked()).profile == PROFILE


# The history


def recorded() -> Record:
    record = Record("default", "conversation")
    record.history, record.system = list(HISTORY), "Be kind."
    return record


def asked(**more: Any) -> TurnInput:
    return TurnInput(user("Four"), "sonnet", **more)


def test_a_turn_that_appends_needs_the_conversation_as_it_is() -> None:
    record = recorded()
    needed = needs(record, asked())
    assert needed.profile == PROFILE
    assert needed.history is needed.context is record.history


def test_a_whole_history_that_says_the_same_is_the_conversations_own() -> None:
    record = recorded()
    assert needs(record, asked(history=tuple(HISTORY))).history is record.history


def test_a_whole_history_that_differs_is_what_the_turn_needs() -> None:
    assert needs(recorded(), asked(history=tuple(HISTORY[:2]))).history == HISTORY[:2]
    assert needs(recorded(), asked(history=())).history == []


def test_a_system_prompt_can_be_changed_and_taken_away() -> None:
    assert needs(recorded(), asked(system="Be brief.")).profile.system == "Be brief."
    assert needs(recorded(), asked(system="")).profile.system == ""


def test_a_schema_is_part_of_the_profile() -> None:
    schema = {"type": "object", "properties": {"age": {"type": "integer"}}}
    plain, structured = needs(recorded(), asked()).profile, needs(recorded(), asked(schema=schema)).profile
    assert plain.schema is None
    assert structured.schema == '{"type":"object","properties":{"age":{"type":"integer"}}}'
    assert structured == needs(recorded(), asked(schema=dict(schema))).profile


# What is sent after calls

CALLED = [user("One"), assistant("Let me see.", call("a"), call("b"))]


def test_without_open_calls_a_message_goes_as_it_is() -> None:
    new = user("Four", "and more")
    assert content_of(new, HISTORY) == new.content
    assert content_of(new, []) == new.content


def test_all_results_go_as_they_are_in_any_order() -> None:
    new = user(result("b"), result("a"))
    assert content_of(new, CALLED) == new.content


def test_what_is_said_beside_the_results_goes_with_them() -> None:
    new = user(result("a"), result("b"), "Hurry.")
    assert content_of(new, CALLED) == new.content


def test_calls_that_are_passed_over_were_not_run() -> None:
    first, second, said = content_of(user("Never mind."), CALLED)
    assert [first["tool_use_id"], second["tool_use_id"]] == ["a", "b"]
    assert first["type"] == "tool_result"
    assert first["is_error"] is True
    assert "not run" in first["content"][0]["text"]
    assert said == text("Never mind.")


def test_results_that_are_missing_are_asked_for() -> None:
    with pytest.raises(InvalidRequest, match=r"There was none for: b\.$") as caught:
        content_of(user(result("a")), CALLED)
    assert caught.value.param == "messages"


def test_results_of_calls_that_nobody_made_are_refused() -> None:
    with pytest.raises(InvalidRequest, match=r"No tool call x, y waits .* Waiting are: a, b\.") as caught:
        content_of(user(result("a"), result("x"), result("y")), CALLED)
    assert caught.value.param == "messages"


@pytest.mark.parametrize("history", [[], HISTORY, [*CALLED, user(result("a"), result("b")), assistant("Fine.")]])
def test_results_without_open_calls_are_refused(history: list[Message]) -> None:
    with pytest.raises(InvalidRequest, match=r"No call waits for a result\."):
        content_of(user(result("a")), history)


def test_the_agents_own_calls_wait_for_nobody() -> None:
    own: Block = {**call("own"), "internal": True}
    assert content_of(user("Two"), [user("One"), assistant(own)]) == user("Two").content


# Chat and agent

SAID = {"type": "text", "text": "Done."}
OWN_CALL = {"type": "tool_use", "id": "1", "name": "Bash", "input": {}, "internal": True}
OWN_RESULT = Message("user", ({"type": "tool_result", "tool_use_id": "1", "content": "x", "internal": True},))
WORKED = [user("Do it"), assistant({"type": "thinking", "thinking": "Hm."}, OWN_CALL), OWN_RESULT, assistant(SAID)]
SHOWN = [user("Do it"), assistant(SAID)]


def conversation(profile: str) -> Record:
    return Record("default", "a", history=list(WORKED), profile=profile)


def turn_of(profile: str, history: list[Message] | None = None) -> TurnInput:
    return TurnInput(user("And now?"), "opus", profile=profile, history=None if history is None else tuple(history))


def test_an_agent_goes_on_from_all_it_did() -> None:
    mine = conversation("agent")
    assert needs(mine, turn_of("agent")).history is mine.history
    assert needs(mine, turn_of("agent", SHOWN)).history is mine.history


def test_a_chat_goes_on_from_what_an_agent_showed() -> None:
    for turn in (turn_of("chat"), turn_of("chat", SHOWN)):
        needed = needs(conversation("agent"), turn)
        assert (needed.profile.name, needed.history, needed.is_bound) == ("chat", SHOWN, False)


def test_an_agent_goes_on_from_a_chat() -> None:
    mine = conversation("chat")
    needed = needs(mine, turn_of("agent"))
    assert needed.profile.name == "agent"
    assert needed.history is mine.history


# Instructions of the dialogue


def instructed(*developer: str) -> Record:
    record = recorded()
    record.developer = developer
    return record


def test_a_process_is_told_the_system_prompt_and_all_instructions() -> None:
    needed = needs(instructed("Use metres."), asked(system="Be brief.", developer=("", "Say please.")))
    assert needed.profile.system == "Be brief.\n\nUse metres.\n\nSay please."
    assert (needed.system, needed.developer) == ("Be brief.", ("Use metres.", "", "Say please."))
    assert needs(instructed("Use metres."), asked(system="")).profile.system == "Use metres."


def test_a_request_that_appends_brings_instructions_along() -> None:
    needed = needs(instructed("Use metres."), asked(developer=("Say please.",)))
    assert (needed.added, needed.replaces, needed.is_bound) == (("Say please.",), False, True)
    assert needs(instructed("Use metres."), asked()).added == ()


@pytest.mark.parametrize(
    ("sent", "added"),
    [
        (("Use metres.",), ()),
        (("Use metres.", "Say please."), ("Say please.",)),
    ],
)
def test_a_whole_history_with_the_instructions_that_are_known_goes_on(
    sent: tuple[str, ...], added: tuple[str, ...]
) -> None:
    needed = needs(instructed("Use metres."), asked(history=tuple(HISTORY), developer=sent))
    assert (needed.developer, needed.added, needed.replaces) == (sent, added, False)


@pytest.mark.parametrize("sent", [(), ("Use feet.",), ("Say please.", "Use metres.")])
def test_a_whole_history_with_other_instructions_replaces_them_all(sent: tuple[str, ...]) -> None:
    record = instructed("Use metres.")
    needed = needs(record, asked(history=tuple(HISTORY), developer=sent))
    assert (needed.developer, needed.replaces) == (sent, True)
    assert needed.history is record.history, "what was said is as it was, with all that it holds"
    assert needed.is_bound


def test_another_history_brings_its_own_instructions() -> None:
    needed = needs(instructed("Use metres."), asked(history=tuple(HISTORY[:2]), developer=("Use metres.",)))
    assert (needed.developer, needed.replaces, needed.is_bound) == (("Use metres.",), True, False)


# What nobody has answered


def test_messages_without_an_answer_go_along_with_the_next_one() -> None:
    record = recorded()
    record.history += [user("Wait."), user("And", "listen.")]
    needed = needs(record, asked())
    assert (needed.history, needed.context) == (record.history, HISTORY)
    assert (needed.replaces, needed.is_bound) == (False, True)
    assert needed.sent(user("Four").content) == user("Wait.", "And", "listen.", "Four").content


def test_results_go_first_and_what_nobody_has_answered_behind_them() -> None:
    record = Record("default", "conversation", history=[user("One"), assistant(call("a")), user("Hurry.")])
    needed = needs(record, asked())
    assert needed.context == record.history[:2]
    assert needed.sent(user(result("a"), "Well?").content) == user(result("a"), "Hurry.", "Well?").content
    assert needs(recorded(), asked()).sent(user("Well?", result("a")).content) == user("Well?", result("a")).content


def test_messages_come_between_what_is_held_and_the_new_one() -> None:
    record = recorded()
    needed = needs(record, asked(before=(user("Three and a half"), assistant("3.5"))))
    assert needed.history == needed.context == [*HISTORY, user("Three and a half"), assistant("3.5")]
    assert (needed.replaces, needed.is_bound) == (True, False)
    assert record.history == HISTORY


def test_the_users_messages_between_leave_the_process_where_it_is() -> None:
    record = recorded()
    record.history.append(user("Wait."))
    needed = needs(record, asked(before=(user("Listen."),)))
    assert (needed.history, needed.context) == ([*HISTORY, user("Wait."), user("Listen.")], HISTORY)
    assert (needed.replaces, needed.is_bound) == (True, True)


def test_a_process_with_the_same_history_knows_it_better() -> None:
    """It went back to there itself, and has what was thought."""
    thought = [HISTORY[0], assistant({"type": "thinking", "thinking": "Hm."}, "1")]
    record = recorded()
    needed = needs(record, asked(history=(*HISTORY[:2], user("Wait."))))
    assert needed.settled(thought).history == [*thought, user("Wait.")]
    own = needs(record, asked())
    assert own.settled(list(HISTORY)).history is record.history


def test_a_copy_of_what_an_agent_did_is_shown_to_a_chat_as_its_client_saw_it() -> None:
    record = recorded()
    record.history[1:2] = [assistant(OWN_CALL), OWN_RESULT, assistant("1")]
    needed = needs(record, asked())
    assert (needed.history, needed.replaces, needed.is_bound) == (HISTORY, True, False)
    assert needs(record, asked(profile="agent")).history is record.history


def test_an_agents_history_that_comes_with_a_turn_is_shown_to_a_chat_as_its_client_saw_it() -> None:
    given = (user("One"), assistant(OWN_CALL), OWN_RESULT, assistant("1"))
    record = Record("default", "conversation")
    assert needs(record, asked(history=given)).history == HISTORY[:2]
    assert needs(record, asked(history=given, profile="agent")).history == list(given)
