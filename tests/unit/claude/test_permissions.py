"""Which calls of an agent are made, and those that wait: what the CLI is answered, and what is told."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from claude_code_api.claude.activity import Narrator
from claude_code_api.claude.launch import Workplace
from claude_code_api.claude.permissions import Gate, Rules
from claude_code_api.core.toolbox import Permissions
from claude_code_api.core.turn import AgentCall, ApprovalSettled, ApprovalWanted, Options, TextDelta, TurnEvent

ASK = Permissions((("Bash", "ask"),))


class Desk:
    """A gate, what it answered and what it told."""

    def __init__(self, rules: Rules = Rules()) -> None:
        self.answers: dict[str, Any] = {}
        self.told: list[TurnEvent] = []
        self.gate = Gate(
            rules, Narrator(Workplace(Path("/srv/one"))), respond=self.answers.__setitem__, emit=self.told.append
        )

    def turn(self, permissions: Permissions = Permissions(), most: int | None = None) -> Any:
        return self.gate.renew(Options(permissions=permissions, max_tool_calls=most))

    def call(self, identity: str, name: str = "Bash", **more: Any) -> list[TurnEvent]:
        """The agent's call is told, and then the CLI asks."""
        list(self.gate.behind([AgentCall(identity, name, {}, name)]))
        return self.ask(identity, name, **more)

    def ask(self, identity: str, name: str = "Bash", **more: Any) -> list[TurnEvent]:
        question = {"tool_name": name, "tool_use_id": identity, "tool_input": {"command": "ls"}, **more}
        return list(self.gate.asked(f"for-{identity}", question))

    def refusal(self, identity: str) -> str | None:
        """Why a call was not made, None when it was."""
        answer = self.answers.pop(f"for-{identity}")
        if not answer:
            return None
        decision = answer["hookSpecificOutput"]
        assert (decision["hookEventName"], decision["permissionDecision"]) == ("PreToolUse", "deny")
        reason: str = decision["permissionDecisionReason"]
        return reason


def test_the_cli_asks_only_while_something_depends_on_it() -> None:
    """Being asked costs each call time: turns that let everything go do not pay it."""
    desk = Desk()
    assert desk.turn() is None
    (hook,) = desk.turn(ASK)["hooks"]["PreToolUse"]
    assert (hook["timeout"], hook["onFailure"]) == (3660, "block")
    assert desk.turn(most=3) is None
    assert desk.turn() == {"subtype": "initialize", "hooks": {}}
    assert desk.turn() is None
    assert Desk(Rules(ASK)).turn() is not None


@pytest.mark.parametrize(
    ("tool", "asked"),
    [
        ("Bash", True),
        ("Agent", True),
        ("mcp__calc__add", True),
        ("StructuredOutputs", True),
        ("StructuredOutput", False),
        ("mcp__client__get_weather", False),
    ],
)
def test_neither_the_clients_tools_nor_the_answer_are_asked_for(tool: str, asked: bool) -> None:
    matcher = Desk().turn(ASK)["hooks"]["PreToolUse"][0]["matcher"]
    assert bool(re.search(matcher, tool)) is asked


def test_a_call_goes_ahead_or_is_refused_at_once() -> None:
    desk = Desk()
    desk.turn(Permissions((("Bash", "deny"),)))
    assert desk.call("a", "Read") == []
    assert desk.refusal("a") is None
    assert desk.call("b") == []
    assert desk.refusal("b") == "Bash is not permitted in this conversation: do without it."


async def test_a_call_waits_until_somebody_decides() -> None:
    desk = Desk()
    desk.turn(ASK)
    (wanted,) = desk.call("a")
    assert isinstance(wanted, ApprovalWanted)
    assert (wanted.id, wanted.name, wanted.input, wanted.line) == (
        *("a", "Bash", {"command": "ls"}),
        "Waiting for approval: Bash: ls",
    )
    assert desk.answers == {}
    assert desk.gate.decide("a", allowed=True, message=None)
    assert desk.refusal("a") is None
    assert desk.told == [ApprovalSettled("a", "allowed")]
    assert not desk.gate.decide("a", allowed=False, message=None)
    assert desk.answers == {}


async def test_a_denied_call_says_why() -> None:
    desk = Desk()
    desk.turn(ASK)
    desk.call("a")
    desk.call("b")
    desk.gate.decide("b", allowed=False, message="Too late today.")
    desk.gate.decide("a", allowed=False, message=None)
    assert desk.refusal("b") == "A person denied this call. They say: Too late today."
    assert desk.refusal("a") == "A person denied this call."
    assert desk.told == [ApprovalSettled(one, "denied") for one in ("b", "a")]


async def test_nobody_decides_in_time() -> None:
    desk = Desk(Rules(wait_s=0.01))
    desk.turn(ASK)
    desk.call("a")
    async with asyncio.timeout(5):
        while not desk.told:
            await asyncio.sleep(0.005)
    assert desk.told == [ApprovalSettled("a", "expired")]
    assert "nobody decided within 0.01 s" in (desk.refusal("a") or "")
    assert not desk.gate.decide("a", allowed=True, message=None)


async def test_the_waiting_is_told_behind_the_call() -> None:
    desk = Desk()
    desk.turn(ASK)
    assert desk.ask("a") == []
    said, call = TextDelta("Hm."), AgentCall("a", "Bash", {}, "Bash: ls")
    events = list(desk.gate.behind([said, call]))
    assert events[:2] == [said, call]
    assert isinstance(events[2], ApprovalWanted)
    assert list(desk.gate.behind([call])) == [call]


async def test_what_a_sub_agent_calls_is_told_at_once() -> None:
    desk = Desk()
    desk.turn(ASK)
    assert [type(event) for event in desk.ask("a", agent_id="sub")] == [ApprovalWanted]


async def test_the_servers_rules_hold_whatever_a_turn_says() -> None:
    desk = Desk(Rules(ASK))
    desk.turn(Permissions((("Bash", "allow"), ("Read", "deny"))))
    assert desk.call("a") != []
    desk.call("b", "Read")
    assert "not permitted" in (desk.refusal("b") or "")
    desk.turn(Permissions((("Bash", "deny"),)))
    desk.call("c")
    assert "not permitted" in (desk.refusal("c") or "")


async def test_what_the_conversation_asks_for_holds_whatever_a_turn_says() -> None:
    desk = Desk()
    desk.gate.stand(Permissions((("Bash", "ask"), ("Write", "deny"))), heard=True)
    assert desk.turn() is not None
    assert len(desk.call("one")) == 1
    desk.call("two", "Write")
    assert "not permitted" in (desk.refusal("two") or "")
    desk.turn(Permissions((("Bash", "deny"),)))
    desk.call("three")
    assert "not permitted" in (desk.refusal("three") or "")


async def test_where_nobody_could_be_asked_a_call_is_denied_at_once() -> None:
    desk = Desk(Rules(ASK))
    desk.gate.stand(Permissions(), heard=False)
    desk.turn()
    assert desk.call("a") == []
    assert "kept nowhere" in (desk.refusal("a") or "")


async def test_beyond_the_limit_nobody_is_asked() -> None:
    desk = Desk()
    desk.turn(ASK, most=1)
    assert desk.call("a") != []
    assert desk.call("b") == []
    assert "limit of 1 tool calls" in (desk.refusal("b") or "")


async def test_two_calls_of_one_id_are_not_taken_for_one() -> None:
    desk = Desk()
    desk.turn(ASK)
    desk.call("a")
    assert list(desk.gate.asked("other", {"tool_name": "Bash", "tool_use_id": "a", "tool_input": {}})) == []
    assert "same id" in str(desk.answers.pop("other"))
    assert desk.gate.decide("a", allowed=True, message=None)
    assert desk.refusal("a") is None


async def test_a_question_that_the_cli_withdraws_is_settled() -> None:
    desk = Desk()
    desk.turn(ASK)
    desk.call("a")
    assert list(desk.gate.withdrawn("for-other")) == []
    assert list(desk.gate.withdrawn("for-a")) == [ApprovalSettled("a", "cancelled")]
    assert desk.answers == {}
    assert not desk.gate.decide("a", allowed=True, message=None)


async def test_what_waits_is_over_with_its_turn() -> None:
    desk = Desk(Rules(wait_s=0.01))
    desk.turn(ASK)
    desk.call("a")
    desk.gate.release()
    await asyncio.sleep(0.03)
    assert (desk.told, desk.answers) == ([], {})
    desk.call("b")
    desk.turn(ASK)
    await asyncio.sleep(0.03)
    assert (desk.told, desk.answers) == ([], {})
