"""What a live process stands on: which turns go on from there, and what goes back."""

from __future__ import annotations

import pytest

from claude_code_api.core.turn import Block, Message
from claude_code_api.runtime.ports import Profile
from claude_code_api.runtime.standing import Standing, only_results

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


def stood(context: list[Message] = HISTORY, first: int = 0) -> Standing:
    """A process that was sent each turn of the context from the message `first` on."""
    return Standing(PROFILE, list(context), [(f"turn{at}", at) for at in range(first, len(context), 2)])


# What fits


def test_a_turn_fits_the_profile_and_the_context_that_it_needs() -> None:
    standing = stood()
    assert standing.fits(PROFILE, standing.context, user("Four").content, parked=False)
    assert standing.fits(PROFILE, list(HISTORY), user("Four").content, parked=False)


@pytest.mark.parametrize(
    "profile",
    [
        Profile("opus", "Be kind."),
        Profile("sonnet", "Be rude."),
        Profile("sonnet", "Be kind.", "agent"),
        Profile("sonnet", "Be kind.", "chat", "{}"),
    ],
)
def test_another_profile_needs_another_process(profile: Profile) -> None:
    standing = stood()
    assert not standing.fits(profile, standing.context, user("Four").content, parked=False)


def test_another_history_needs_another_process() -> None:
    assert not stood().fits(PROFILE, [user("Eins"), assistant("1")], user("Two").content, parked=False)


def test_a_history_to_go_back_to_fits() -> None:
    assert stood().fits(PROFILE, HISTORY[:2], user("Two again").content, parked=False)


@pytest.mark.parametrize(
    ("new", "fits"),
    [
        (user(result("a")), True),
        (user(result("a"), result("b")), True),
        (user(result("a"), "and hurry"), False),
        (user("Never mind."), False),
    ],
)
def test_while_calls_are_open_only_results_fit(new: Message, fits: bool) -> None:
    standing = stood([user("One"), assistant(call("a"))])
    assert standing.fits(PROFILE, standing.context, new.content, parked=True) is fits
    assert standing.fits(PROFILE, standing.context, new.content, parked=False)


def test_while_calls_are_open_there_is_no_way_back() -> None:
    standing = stood([*HISTORY[:4], user("Three"), assistant(call("a"))])
    assert not standing.fits(PROFILE, HISTORY[:4], user("Three again").content, parked=True)
    assert not standing.fits(PROFILE, HISTORY[:4], user(result("a")).content, parked=True)


# The way back


@pytest.mark.parametrize(
    ("messages", "back"),
    [(6, []), (4, ["turn4"]), (2, ["turn4", "turn2"]), (0, ["turn4", "turn2", "turn0"]), (1, None), (5, None)],
)
def test_the_way_back_takes_the_newest_turns_first(messages: int, back: list[str] | None) -> None:
    assert stood().way_back(HISTORY[:messages]) == back


def test_nobody_goes_back_behind_what_was_sent_to_this_process() -> None:
    standing = stood(first=2)
    assert standing.way_back(HISTORY[:2]) == ["turn4", "turn2"]
    assert standing.way_back([]) is None


def test_a_history_that_is_longer_or_differs_is_not_reached_by_going_back() -> None:
    assert stood().way_back([*HISTORY, user("Four"), assistant("4")]) is None
    assert stood().way_back([user("Eins"), assistant("1")]) is None


def test_a_fresh_process_stands_on_nothing() -> None:
    assert Standing(PROFILE, []).way_back([]) == []
    assert Standing(PROFILE, []).way_back(HISTORY) is None


def test_white_space_is_no_reason_to_go_back() -> None:
    assert stood().way_back([*HISTORY[:5], assistant("3\n")]) == []


def test_a_turn_that_called_tools_goes_back_as_a_whole() -> None:
    """The results went into the turn that made the calls: they are no turn of the CLI's own."""
    context = [*HISTORY[:2], user("Two"), assistant(call("a")), user(result("a")), assistant("2")]
    standing = Standing(PROFILE, context, [("turn0", 0), ("turn2", 2)])
    assert standing.way_back(context[:2]) == ["turn2"]
    assert standing.way_back(context[:4]) is None


def test_too_long_a_way_is_not_gone() -> None:
    context = [message for number in range(60) for message in (user(f"q{number}"), assistant(f"a{number}"))]
    standing = stood(context)
    fifty = standing.way_back(context[: 2 * 10])
    assert fifty is not None
    assert len(fifty) == 50
    assert standing.way_back([]) is None


def test_going_back_forgets_what_is_taken_back() -> None:
    standing = stood()
    assert standing.after(["turn4", "turn2"]) == HISTORY[:2]
    standing.taken_back("turn4")
    standing.taken_back("turn2")
    assert standing.context == HISTORY[:2]
    assert standing.marks == [("turn0", 0)]
    assert standing.way_back(HISTORY[:2]) == []


def test_a_history_that_is_shared_is_not_changed_by_going_back() -> None:
    context = list(HISTORY)
    standing = Standing(PROFILE, context, [("turn4", 4)])
    standing.taken_back("turn4")
    assert context == HISTORY


def test_only_the_last_turn_is_taken_back() -> None:
    standing = stood()
    standing.taken_back("turn2")
    assert (len(standing.marks), standing.context) == (3, HISTORY)
    standing.taken_back("turn4")
    assert standing.marks == [("turn0", 0), ("turn2", 2)]
    Standing(PROFILE, []).taken_back("turn0")


def test_results_of_tools_and_what_precedes_them_cannot_be_taken_back() -> None:
    standing = stood()
    standing.sent("turn6", ({"type": "tool_result", "tool_use_id": "a", "content": []},))
    assert standing.marks == []
    assert standing.way_back(HISTORY[:2]) is None
    standing.sent("turn8", ({"type": "text", "text": "q"},))
    assert standing.marks == [("turn8", len(HISTORY))]


def test_only_results() -> None:
    assert only_results(user(result("a"), result("b")).content)
    assert not only_results(user(result("a"), "Hurry.").content)


def test_a_result_with_an_image_is_for_a_new_process() -> None:
    text, image = {"type": "text", "text": "42"}, {"type": "image", "source": {}}
    assert only_results((result("a") | {"content": [text]}, result("b") | {"content": "42"}))
    assert not only_results((result("a") | {"content": [text, image]},))
