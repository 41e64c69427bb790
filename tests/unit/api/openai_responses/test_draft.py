"""What a running turn has said so far."""

from __future__ import annotations

from claude_code_api.api.openai_responses.draft import Draft
from claude_code_api.core.turn import AgentCall, AgentResult, Message

CALL = AgentCall("own", "Bash", {"command": "ls"}, "Bash: ls")
RESULT = AgentResult("own", "x" * 1000, is_error=False, line=None)


def test_an_agent_that_works_for_hours_leaves_only_numbers_behind() -> None:
    draft = Draft()
    for _ in range(100):
        draft.begin()
        draft.think()
        draft.say("text", "Let me see.")
        draft.forget()
        draft.own_call(CALL)
        draft.forget()
        draft.own_result(RESULT)
    draft.begin()
    draft.say("text", "Done.")
    draft.forget()
    assert draft.messages() == [Message("assistant", ({"type": "text", "text": "Done."},))]
    assert draft.passed == 300


def test_a_call_that_has_no_result_yet_is_kept() -> None:
    draft = Draft()
    draft.own_call(CALL)
    draft.say("text", "Mean")
    draft.forget()
    assert draft.messages()[0].content[0]["id"] == "own"
