"""What a turn needs of its process."""

from __future__ import annotations

from typing import Any

from claude_code_api.core.turn import Message, TurnInput
from claude_code_api.runtime.record import Record
from claude_code_api.runtime.standing import Standing, needs


def user(text: str) -> Message:
    return Message("user", ({"type": "text", "text": text},))


def assistant(*blocks: dict[str, Any]) -> Message:
    return Message("assistant", blocks)


SAID = {"type": "text", "text": "Done."}
OWN_CALL = {"type": "tool_use", "id": "1", "name": "Bash", "input": {}, "internal": True}
OWN_RESULT = Message("user", ({"type": "tool_result", "tool_use_id": "1", "content": "x", "internal": True},))
WORKED = [user("Do it"), assistant({"type": "thinking", "thinking": "Hm."}, OWN_CALL), OWN_RESULT, assistant(SAID)]
SHOWN = [user("Do it"), assistant(SAID)]


def record(profile: str) -> Record:
    return Record("default", "a", history=list(WORKED), profile=profile)


def asked(profile: str, history: list[Message] | None = None) -> TurnInput:
    return TurnInput(user("And now?"), "opus", profile=profile, history=None if history is None else tuple(history))


def test_an_agent_goes_on_from_all_it_did() -> None:
    mine = record("agent")
    assert needs(mine, asked("agent"))[1] is mine.history
    assert needs(mine, asked("agent", SHOWN))[1] is mine.history


def test_a_chat_goes_on_from_what_an_agent_showed() -> None:
    for turn in (asked("chat"), asked("chat", SHOWN)):
        profile, history = needs(record("agent"), turn)
        assert (profile.name, history) == ("chat", SHOWN)


def test_an_agent_goes_on_from_a_chat() -> None:
    mine = record("chat")
    profile, history = needs(mine, asked("agent"))
    assert profile.name == "agent"
    assert history is mine.history


def test_another_profile_takes_another_process() -> None:
    mine = record("chat")
    standing = Standing(needs(mine, asked("chat"))[0], mine.history)
    assert standing.fits(*needs(mine, asked("chat")), user("Hi"), parked=False)
    assert not standing.fits(*needs(mine, asked("agent")), user("Hi"), parked=False)
