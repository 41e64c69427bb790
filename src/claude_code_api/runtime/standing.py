"""What a live process stands on, and how a turn can go on from there. Decides, and does nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from claude_code_api.core.conversation import as_seen, open_calls, same_beginning, same_history
from claude_code_api.core.profiles import AGENT
from claude_code_api.core.turn import Block, Message, TurnInput
from claude_code_api.errors import InvalidRequest
from claude_code_api.runtime.ports import Profile
from claude_code_api.runtime.record import Record

_MOST_REWOUND = 50


@dataclass
class Standing:
    """A process's launch profile and what its context holds.

    `marks` tell for the turns that were sent to it how many messages there were before.
    """

    profile: Profile
    context: list[Message]
    marks: list[tuple[str, int]] = field(default_factory=list)

    def fits(self, profile: Profile, history: list[Message], new: Message, *, parked: bool) -> bool:
        """Whether a turn can go on from here; while calls are open only their results can."""
        if profile != self.profile:
            return False
        back = self.way_back(history)
        return back is not None and (not parked or (not back and only_results(new.content)))

    def way_back(self, history: list[Message]) -> list[str] | None:
        """The turns to take back, the newest first, so that the context is this history; None when that is no way."""
        if history is self.context:
            return []
        marks = self.marks[-_MOST_REWOUND:]
        lengths = [len(self.context), *(length for _, length in reversed(marks))]
        length = same_beginning(self.context, lengths, history)
        if length is None:
            return None
        return [turn for turn, before in reversed(marks) if before >= length] if length < len(self.context) else []

    def way_back_before(self, turn: str, length: int) -> list[str] | None:
        """The turns to take back, the newest first, to be where `turn` was sent, with so many messages before it.

        None when it was not sent to this process, or there is no way: calls would be open again that it has closed.
        """
        places = {name: number for number, (name, _) in enumerate(self.marks)}
        at = places.get(turn)
        if at is None or self.marks[at][1] != length or len(self.marks) - at > _MOST_REWOUND:
            return None
        if open_calls(self.context[:length]):
            return None
        return [name for name, _ in reversed(self.marks[at:])]

    def after(self, back: list[str]) -> list[Message]:
        """What the context will be once these turns, the newest, are taken back."""
        return self.context[: self.marks[-len(back)][1]] if back else self.context

    def taken_back(self, turn: str) -> None:
        """The turn that was sent last is no part of the context any more, or never was."""
        if self.marks and self.marks[-1][0] == turn:
            self.context = self.after([turn])
            self.marks.pop()

    def sent(self, turn: str, content: tuple[Block, ...]) -> None:
        """A turn is sent as a message of its own. One with results of tools cannot be taken back, nor what precedes."""
        if any(block["type"] == "tool_result" for block in content):
            self.marks.clear()
        else:
            self.marks.append((turn, len(self.context)))


def needs(record: Record, asked: TurnInput) -> tuple[Profile, list[Message]]:
    """The profile and the context that a turn needs; the conversation's own history when it is as good."""
    system = record.system if asked.system is None else asked.system
    schema = None if asked.schema is None else json.dumps(asked.schema, separators=(",", ":"))
    profile = Profile(asked.model, system, asked.profile, schema)
    if asked.profile != record.profile == AGENT:
        # The calls of an agent's own tools mean nothing where there are no such tools: it goes on from what was shown.
        return profile, as_seen(record.history) if asked.history is None else list(asked.history)
    history = asked.history
    if history is None or same_history(record.history, history):
        return profile, record.history
    return profile, list(history)


def content_of(new: Message, history: list[Message]) -> tuple[Block, ...]:
    """What to send after this history. Calls that the client passes over are told to the model as not run.

    Raises InvalidRequest when there are results, and they are not those of the open calls.
    """
    calls = open_calls(history)
    given = [block["tool_use_id"] for block in new.content if block["type"] == "tool_result"]
    if unknown := [call for call in given if call not in calls]:
        waiting = f"Waiting are: {', '.join(calls)}." if calls else "No call waits for a result."
        raise InvalidRequest(
            f"No tool call {', '.join(unknown)} waits for a result: this conversation's last answer made none, or it "
            f"has its result already. {waiting}",
            param="messages",
        )
    missing = [call for call in calls if call not in given]
    if given and missing:
        raise InvalidRequest(
            "Send the results of all tool calls of an answer in one request. There was none for: "
            f"{', '.join(missing)}.",
            param="messages",
        )
    return (*(_not_run(call) for call in missing), *new.content)


def only_results(content: tuple[Block, ...]) -> bool:
    """Whether a message holds nothing but results of tools, and these nothing but text.

    Of an image that a live process is given as a result, the CLI writes a file, and tells the model where that lies.
    """
    return all(block["type"] == "tool_result" and _is_text(block.get("content") or ()) for block in content)


def _is_text(content: str | Sequence[Block]) -> bool:
    return isinstance(content, str) or all(part["type"] == "text" for part in content)


def _not_run(call: str) -> Block:
    said = [{"type": "text", "text": "The tool was not run: the user went on without it."}]
    return {"type": "tool_result", "tool_use_id": call, "content": said, "is_error": True}
