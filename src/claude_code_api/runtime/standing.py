"""What a live process stands on, and how a turn can go on from there. Decides, and does nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from claude_code_api.core.conversation import open_calls, same_beginning
from claude_code_api.core.turn import Block, Message
from claude_code_api.runtime.ports import Profile

_MOST_REWOUND = 50


@dataclass
class Standing:
    """A process's launch profile and what its context holds.

    `marks` tell for the turns that were sent to it how many messages there were before.
    """

    profile: Profile
    context: list[Message]
    marks: list[tuple[str, int]] = field(default_factory=list)

    def fits(self, profile: Profile, history: list[Message], content: tuple[Block, ...], *, parked: bool) -> bool:
        """Whether a message of this content can be sent here; while calls are open only their results can."""
        if profile != self.profile:
            return False
        back = self.way_back(history)
        return back is not None and (not parked or (not back and only_results(content)))

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


def only_results(content: tuple[Block, ...]) -> bool:
    """Whether a message holds nothing but results of tools, and these nothing but text.

    Of an image that a live process is given as a result, the CLI writes a file, and tells the model where that lies.
    """
    return all(block["type"] == "tool_result" and _is_text(block.get("content") or ()) for block in content)


def _is_text(content: str | Sequence[Block]) -> bool:
    return isinstance(content, str) or all(part["type"] == "text" for part in content)
