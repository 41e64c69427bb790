"""Which of an agent's calls are made, and those that wait until a person has said so.

The CLI asks before each call while a hook is set, and waits for the answer. The question costs the call 1.5 to 2.5 ms,
so the hook is set when a turn begins that needs it, and taken away again by the next one that does not: that takes no
other process. A question that nobody answers denies the call, here and in the CLI.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import reduce
from typing import Literal

from claude_code_api.claude.activity import Narrator
from claude_code_api.claude.allowance import Allowance
from claude_code_api.claude.control import Frame
from claude_code_api.claude.gathered import STRUCTURED_OUTPUT
from claude_code_api.claude.tools import PREFIX
from claude_code_api.core.toolbox import EVERYTHING, Decision, Permissions, stricter
from claude_code_api.core.turn import AgentCall, ApprovalSettled, ApprovalWanted, Options, TurnEvent

_OWN_TOOLS = f"^(?!{PREFIX}|{STRUCTURED_OUTPUT}$)"
"""A regular expression of JavaScript: neither the client's tools nor the answer itself are asked for."""

_SPARE_S = 60
"""How much longer than anybody here the CLI waits: it would say something else to the model."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds on this server, whatever a request says: which calls wait for a person, and for how many seconds."""

    ask: Permissions = EVERYTHING
    wait_s: float = 3600.0


@dataclass(slots=True)
class _Question:
    """A call that waits. `told`: those who decide know of it."""

    request_id: str
    wanted: ApprovalWanted
    deadline: asyncio.TimerHandle
    told: bool


class Gate:
    """Decides about one agent's calls. `respond` answers the CLI, `emit` tells of what happens between two frames."""

    def __init__(
        self,
        rules: Rules,
        narrator: Narrator,
        *,
        respond: Callable[[str, Frame], None],
        emit: Callable[[TurnEvent], None],
    ) -> None:
        self._rules = rules
        self._narrator = narrator
        self._respond = respond
        self._emit = emit
        self._allowance = Allowance()
        self._standing = self._permissions = EVERYTHING
        self._is_heard = True
        self._is_set = False
        self._called: set[str] = set()
        self._questions: dict[str, _Question] = {}

    def stand(self, permissions: Permissions, *, heard: bool) -> None:
        """What holds for every turn of this process, beside what the turn says. `heard`: somebody can be asked."""
        self._standing, self._is_heard = permissions, heard

    def renew(self, options: Options) -> Frame | None:
        """A turn begins. Returns the control request that makes the CLI ask, or ask no more, if one is due."""
        self.release()
        self._called.clear()
        self._allowance.renew(options.max_tool_calls)
        self._permissions = options.permissions
        before = self._is_set
        self._is_set = options.max_tool_calls is not None or not all(one.lets_all for one in self._in_force())
        if self._is_set == before:
            return None
        return {"subtype": "initialize", "hooks": {"PreToolUse": [self._hook()]} if self._is_set else {}}

    def _hook(self) -> Frame:
        longest = int(self._rules.wait_s) + _SPARE_S
        return {"matcher": _OWN_TOOLS, "hookCallbackIds": ["gate"], "timeout": longest, "onFailure": "block"}

    def asked(self, request_id: str, question: Frame) -> Iterable[TurnEvent]:
        """The CLI asks whether it may make a call; `question` is the hook's input. Returns what is to be told."""
        name, call = str(question["tool_name"]), str(question["tool_use_id"])
        decision = self._decision(name)
        refused = f"{name} is not permitted in this conversation: do without it." if decision == "deny" else None
        if decision == "ask" and not self._is_heard:
            refused = f"{name} needs a person's approval, and in a conversation that is kept nowhere nobody is asked."
        refused = refused or self._allowance.take()
        if refused is None and decision == "ask" and call in self._questions:
            refused = "Another call of the same id waits for approval: call again."
        if refused is not None:
            self._respond(request_id, _denied(refused))
        elif decision == "allow":
            self._respond(request_id, {})
        else:
            return self._hold(request_id, question, name, call)
        return ()

    def _decision(self, name: str) -> Decision:
        return reduce(stricter, (one.of(name) for one in self._in_force()))

    def _in_force(self) -> tuple[Permissions, ...]:
        return self._rules.ask, self._standing, self._permissions

    def _hold(self, request_id: str, question: Frame, name: str, call: str) -> Iterable[TurnEvent]:
        arguments = question.get("tool_input") or {}
        line = f"Waiting for approval: {self._narrator.call({'name': name, 'input': arguments})}"
        wanted = ApprovalWanted(call, name, arguments, time.time() + self._rules.wait_s, line)
        timer = asyncio.get_running_loop().call_later(self._rules.wait_s, self._expire, call)
        told = "agent_id" in question or call in self._called
        self._questions[call] = _Question(request_id, wanted, timer, told)
        return (wanted,) if told else ()

    def behind(self, events: Iterable[TurnEvent]) -> Iterable[TurnEvent]:
        """The events of a frame, and behind each call what is to be told of its waiting."""
        for event in events:
            yield event
            if isinstance(event, AgentCall):
                self._called.add(event.id)
                if (question := self._questions.get(event.id)) is not None and not question.told:
                    question.told = True
                    yield question.wanted

    def decide(self, call: str, *, allowed: bool, message: str | None) -> bool:
        """Answer the question for a call that waits; False when there is none."""
        if call not in self._questions:
            return False
        said = f" They say: {message}" if message else ""
        self._settle(call, None if allowed else f"A person denied this call.{said}", "allowed" if allowed else "denied")
        return True

    def _expire(self, call: str) -> None:
        waited = f"{self._rules.wait_s:g} s"
        why = f"This call needs a person's approval, and nobody decided within {waited}: it was not made."
        self._settle(call, why, "expired")

    def _settle(self, call: str, refused: str | None, status: Literal["allowed", "denied", "expired"]) -> None:
        question = self._questions.pop(call)
        question.deadline.cancel()
        self._respond(question.request_id, {} if refused is None else _denied(refused))
        if question.told:
            self._emit(ApprovalSettled(call, status))

    def withdrawn(self, request_id: str) -> Iterable[TurnEvent]:
        """The CLI no longer wants an answer: the call is given up."""
        for call, question in list(self._questions.items()):
            if question.request_id == request_id:
                question.deadline.cancel()
                del self._questions[call]
                return (ApprovalSettled(call, "cancelled"),) if question.told else ()
        return ()

    def release(self) -> None:
        """The turn is over, or is about to be ended: nobody answers what is still open."""
        for question in self._questions.values():
            question.deadline.cancel()
        self._questions.clear()


def _denied(why: str) -> Frame:
    decision = {"permissionDecision": "deny", "permissionDecisionReason": why}
    return {"hookSpecificOutput": {"hookEventName": "PreToolUse", **decision}}
