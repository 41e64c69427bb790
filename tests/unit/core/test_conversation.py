"""When a client's view of the history is the conversation's own."""

from __future__ import annotations

import time
from typing import Any

import pytest

from claude_code_api.core.conversation import as_answered, as_seen, lineage, open_calls, same_history
from claude_code_api.core.turn import Message


def user(*texts: str) -> Message:
    return Message("user", tuple({"type": "text", "text": text} for text in texts))


def assistant(*blocks: str | dict[str, Any]) -> Message:
    return Message(
        "assistant", tuple({"type": "text", "text": block} if isinstance(block, str) else block for block in blocks)
    )


HELD = [user("Hello"), assistant("Hi."), user("Bye"), assistant("See you.")]


def test_the_same_messages_are_the_same() -> None:
    assert same_history(HELD, list(HELD))
    assert same_history([], [])


def test_another_text_role_or_length_is_another_history() -> None:
    assert not same_history(HELD, [user("Hello"), assistant("Ho."), *HELD[2:]])
    assert not same_history([user("Hello")], [assistant("Hello")])
    assert not same_history(HELD, HELD[:2])
    assert not same_history(HELD[:2], HELD)


def test_the_order_matters() -> None:
    assert not same_history([user("a"), assistant("b"), user("c")], [user("c"), assistant("b"), user("a")])


def test_case_and_inner_white_space_matter() -> None:
    assert not same_history([user("hello")], [user("Hello")])
    assert not same_history([user("a b")], [user("a  b")])


def test_thinking_is_not_seen_by_clients() -> None:
    thought = {"type": "thinking", "thinking": "Who is it?", "signature": "s"}
    assert same_history([user("Hello"), assistant(thought, "Hi.")], [user("Hello"), assistant("Hi.")])


def test_a_client_sees_what_was_said_to_it() -> None:
    thought = {"type": "thinking", "thinking": "Who is it?", "signature": "s"}
    own = {"type": "tool_use", "id": "1", "name": "Bash", "input": {}, "internal": True}
    call = {"type": "tool_use", "id": "2", "name": "get_time", "input": {}}
    result = Message("user", ({"type": "tool_result", "tool_use_id": "1", "content": "", "internal": True},))
    held = [user("Hello"), assistant(thought, own), result, assistant("Hi.", call)]
    assert as_seen(held) == [user("Hello"), assistant("Hi.", call)]
    assert same_history(held, as_seen(held))


def test_a_text_in_several_blocks_is_what_it_says() -> None:
    assert same_history([assistant("One ", "two")], [assistant("One two")])


def test_white_space_at_the_ends_does_not_count() -> None:
    assert same_history([user("Hello"), assistant("Hi.\n")], [user("  Hello"), assistant("Hi.")])


def test_neighbours_of_one_role_are_one_message() -> None:
    assert same_history([user("a"), assistant("b"), assistant("c")], [user("a"), assistant("b\nc")])
    assert not same_history([user("a"), assistant("b"), assistant("c")], [user("a"), assistant("bc")])


# What clients see of tools


def call(identity: str = "c1", name: str = "f", internal: bool = False, **arguments: Any) -> dict[str, Any]:
    block = {"type": "tool_use", "id": identity, "name": name, "input": arguments}
    return block | {"internal": True} if internal else block


def result(identity: str = "c1", text: Any = "42", internal: bool = False) -> dict[str, Any]:
    content = [{"type": "text", "text": text}] if isinstance(text, str) else text
    block = {"type": "tool_result", "tool_use_id": identity, "content": content}
    return block | {"internal": True} if internal else block


def results(*blocks: dict[str, Any]) -> Message:
    return Message("user", blocks)


ROUND = [user("Hi"), assistant("Let me see.", call(a=1)), results(result()), assistant("It is 42.")]


def test_calls_and_results_are_part_of_a_history() -> None:
    assert same_history(ROUND, list(ROUND))
    assert lineage(ROUND) == lineage(list(ROUND))


@pytest.mark.parametrize(
    "other",
    [
        [user("Hi"), assistant("Let me see.", call(a=2)), *ROUND[2:]],
        [user("Hi"), assistant("Let me see.", call(a="1")), *ROUND[2:]],
        [user("Hi"), assistant("Let me see.", call("c2", a=1)), *ROUND[2:]],
        [user("Hi"), assistant("Let me see.", call(name="g", a=1)), *ROUND[2:]],
        [user("Hi"), assistant("Let me see."), *ROUND[2:]],
        [user("Hi"), assistant("Let me see.", call(a=1), call("c2")), *ROUND[2:]],
        [*ROUND[:2], results(result(text="43")), ROUND[3]],
        [*ROUND[:2], results(result("c2")), ROUND[3]],
        [*ROUND[:2], results(), ROUND[3]],
        [*ROUND[:2], Message("user", (*results(result()).content, {"type": "text", "text": "And?"})), ROUND[3]],
        ROUND[:3],
    ],
)
def test_another_call_or_result_is_another_history(other: list[Message]) -> None:
    assert not same_history(ROUND, other)
    assert not same_history(other, ROUND)
    assert lineage(ROUND) != lineage(other)


def test_arguments_are_compared_as_json() -> None:
    one = [assistant(call(a={"x": 1, "y": [2.0]}, b=None))]
    other = [assistant(call(b=None, a={"y": [2], "x": 1.0}))]
    assert same_history(one, other)
    assert lineage(one) == lineage(other)


@pytest.mark.parametrize("empty", ["", [], None, [{"type": "text", "text": ""}]])
def test_an_empty_result_is_an_empty_result(empty: Any) -> None:
    assert same_history([results(result(text=[]))], [results(result(text=empty))])


def test_a_result_is_its_text_however_it_is_parted() -> None:
    parts = [{"type": "text", "text": "4"}, {"type": "text", "text": "2"}]
    assert same_history([results(result())], [results(result(text=parts))])
    plain = {"type": "tool_result", "tool_use_id": "c1", "content": "42"}
    assert same_history([results(result())], [results(plain)])


def test_what_the_agent_did_for_itself_is_not_seen() -> None:
    held = [
        user("Hi"),
        assistant("I look.", call("own", internal=True)),
        results(result("own", internal=True)),
        assistant("Found it.", call(a=1)),
        results(result()),
    ]
    sent = [user("Hi"), assistant("I look.\n\nFound it.", call(a=1)), results(result())]
    assert same_history(held, sent)
    assert lineage(held) == lineage(sent)


def test_a_message_with_nothing_to_see_separates_nothing() -> None:
    thought = {"type": "thinking", "thinking": "Hm.", "signature": "s"}
    held = [user("a"), assistant(thought), user("b"), assistant("c")]
    assert same_history(held, [user("a"), user("b"), assistant("c")])
    assert same_history(held, [user("a\n\nb"), assistant("c")])


def test_the_assistants_white_space_may_be_reflowed_and_the_users_not() -> None:
    assert same_history([assistant("One\n\n- two  three")], [assistant(" One - two\nthree")])
    assert lineage([assistant("One\n\n- two  three")]) == lineage([assistant(" One - two\nthree")])
    assert not same_history([assistant("One two")], [assistant("Onetwo")])
    assert not same_history([user("One\ntwo")], [user("One two")])
    assert lineage([user("One\ntwo")]) != lineage([user("One two")])


def test_blocks_of_kinds_that_nobody_compares_are_not_seen() -> None:
    assert same_history([assistant("a", {"type": "redacted_thinking", "data": "x"})], [assistant("a")])


def test_a_lineage_tells_role_and_text_apart() -> None:
    told = {
        lineage([user("a")]),
        lineage([assistant("a")]),
        lineage([user("a"), assistant("b")]),
        lineage([user("a assistant 1 b")]),
        lineage([]),
    }
    assert len(told) == 5
    assert lineage([user("b")]) == lineage([user(" b ")])
    lineage([user("\ud83d")])


# Calls that wait


def test_calls_without_a_result_are_open_in_their_order() -> None:
    assert open_calls([]) == ()
    assert open_calls(ROUND) == ()
    assert open_calls(ROUND[:2]) == ("c1",)
    assert open_calls(ROUND[:3]) == ()
    assert open_calls([user("Hi"), assistant(call("a"), call("b"))]) == ("a", "b")
    assert open_calls([user("Hi"), assistant(call("a")), assistant("and", call("b"))]) == ("a", "b")
    assert open_calls([user("Hi"), assistant(call("a"), call("b")), results(result("b"))]) == ("a",)


def test_the_agents_own_calls_are_never_open() -> None:
    history = [
        *ROUND,
        user("More"),
        assistant(call("a"), call("own", internal=True)),
        results(result("own", internal=True)),
        assistant(call("b")),
    ]
    assert open_calls(history) == ("a", "b")
    assert open_calls([user("Hi"), assistant(call("own", internal=True))]) == ()


def test_calls_of_earlier_turns_are_not_looked_at() -> None:
    assert open_calls([user("Hi"), assistant(call("old")), user("Never mind"), assistant("Well.")]) == ()


# What nobody has answered


def test_a_history_that_ends_with_an_answer_is_answered() -> None:
    for history in ([], HELD, ROUND, ROUND[:2]):
        assert as_answered(history) is history


def test_the_users_messages_at_the_end_are_not_answered() -> None:
    assert as_answered([*HELD, user("And?"), user(), user("Well?")]) == HELD
    assert as_answered([user("Hello")]) == []
    assert as_answered([*HELD[:2], user("Bye"), *HELD[2:]]) == [*HELD[:2], user("Bye"), *HELD[2:]]


def test_results_belong_to_the_answer_that_called() -> None:
    assert as_answered(ROUND[:3]) == ROUND[:3]
    assert as_answered([*ROUND[:3], user("Hurry.")]) == ROUND[:3]
    assert as_answered([*ROUND[:2], user("Hurry.")]) == ROUND[:2]


def test_what_the_agents_side_said_belongs_to_its_answer() -> None:
    said = Message("user", ({"type": "text", "text": "It was cut short.", "internal": True},))
    history = [*HELD, said]
    assert as_answered(history) is history
    assert as_answered([*history, user("And?")]) == history


# Images and documents


def image(data: str, media_type: str = "image/png") -> dict[str, Any]:
    return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}}


def document(data: str, title: str = "a.txt") -> dict[str, Any]:
    return {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": data}, "title": title}


def shown(*blocks: str | dict[str, Any]) -> list[Message]:
    return [Message("user", assistant(*blocks).content), assistant("I see.")]


LOOK = shown("Look:", image("AAAA"), document("words"))


def test_the_same_images_and_documents_are_the_same() -> None:
    again = shown("Look:", image("".join(["AA", "AA"])), document("wo" + "rds"))
    assert same_history(LOOK, again)
    assert lineage(LOOK) == lineage(again)


@pytest.mark.parametrize(
    "other",
    [
        shown("Look:"),
        shown("Look:", image("AAAB"), document("words")),
        shown("Look:", image("AAAA", "image/gif"), document("words")),
        shown("Look:", image("AAAA"), document("swords")),
        shown("Look:", image("AAAA"), document("words", "b.txt")),
        shown("Look:", document("words"), image("AAAA")),
        shown(image("AAAA"), "Look:", document("words")),
        shown("Look:", image("AAAA"), image("AAAA"), document("words")),
        shown("Look:", image("AAAA")),
    ],
)
def test_other_images_or_documents_are_another_history(other: list[Message]) -> None:
    assert not same_history(LOOK, other)
    assert lineage(LOOK) != lineage(other)


def test_a_message_of_very_many_documents_takes_no_time() -> None:
    words = {"type": "text", "text": "See:"}
    history = [Message("user", (words, *[document("words")] * 10_000))]
    before = time.thread_time()
    lineage(history)
    assert time.thread_time() - before < 1
