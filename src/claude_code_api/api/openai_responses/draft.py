"""What a running turn has said so far, as the messages that it will leave. Pure.

It is put together from the turn's events, so that what runs and what is stored are told as items by the same code. Of
what was told to its end only the places are kept, and then only their number: an agent may work for hours.
"""

from __future__ import annotations

from typing import Literal

from claude_code_api.core.turn import AgentCall, AgentResult, Block, Message, Role

Kind = Literal["text", "thinking"]


_PLACE: Block = {"type": "removed"}
_PLACE_OF_CALL: Block = {"type": "removed", "done": True}


class Draft:
    """The messages of a turn that runs. Each block is an item; the first `passed` ones are kept no more."""

    def __init__(self) -> None:
        self.passed = 0
        self._messages: list[tuple[Role, list[Block]]] = []
        self._unanswered: set[str] = set()
        self._grows: Kind | None = None
        self._pieces: list[str] = []

    def begin(self) -> None:
        """The model begins a message."""
        self._settle()
        self._messages.append(("assistant", []))

    def think(self) -> None:
        """The model begins a block of thinking."""
        self._add({"type": "thinking", "thinking": ""})
        self._grows = "thinking"

    def say(self, kind: Kind, text: str) -> bool:
        """More of a text, or of thinking; returns whether that is a new one."""
        is_new = kind != self._grows
        if is_new:
            self._add({"type": kind, kind: ""})
            self._grows = kind
        self._pieces.append(text)
        return is_new

    def call(self, identity: str, name: str) -> None:
        """A call of one of the client's tools; its arguments are told apart from it."""
        self._add({"type": "tool_use", "id": identity, "name": name, "input": {}})

    def own_call(self, call: AgentCall) -> None:
        """The agent calls a tool of its own."""
        block: Block = {"type": "tool_use", "id": call.id, "name": call.name, "input": call.input}
        self._add({**block, "internal": True, "activity": call.line})
        self._unanswered.add(call.id)

    def own_result(self, result: AgentResult) -> None:
        """What came of it. A text that grows meanwhile will be told behind it, as the CLI does."""
        block: Block = {"type": "tool_result", "tool_use_id": result.id, "content": result.content, "internal": True}
        self._unanswered.discard(result.id)
        growing = [self._messages[-1][1].pop()] if self._grows is not None else []
        self._messages.append(("user", [{**block, "is_error": True} if result.is_error else block]))
        if growing:
            self._messages.append(("assistant", growing))

    def take_back(self) -> None:
        """The last message is void. What the agent has done is not, nor is what led to it."""
        self._settle()
        if self._messages and self._messages[-1][0] == "assistant":
            blocks = self._messages[-1][1]
            while blocks and not (blocks[-1].get("internal") or blocks[-1] is _PLACE_OF_CALL):
                blocks.pop()

    def forget(self) -> None:
        """All but the last block, and calls that have no result yet, was told."""
        last = self._messages[-1][1][-1]
        for _, blocks in self._messages:
            blocks[:] = [block if block is last else self._place(block) for block in blocks]
        said = [message for message in self._messages if message[0] == "assistant"]
        while len(said) > 1 and all(block["type"] == "removed" for block in said[0][1]):
            self.passed += len(said.pop(0)[1])
        self._messages = said

    def _place(self, block: Block) -> Block:
        if block["type"] == "removed" or block.get("id") in self._unanswered:
            return block
        return _PLACE_OF_CALL if block.get("internal") else _PLACE

    def messages(self) -> list[Message]:
        """The messages as they stand."""
        self._write()
        return [Message(role, tuple(blocks)) for role, blocks in self._messages]

    def _add(self, block: Block) -> None:
        self._settle()
        if not self._messages or self._messages[-1][0] != "assistant":
            self._messages.append(("assistant", []))
        self._messages[-1][1].append(block)

    def _settle(self) -> None:
        self._write()
        self._grows = None
        self._pieces.clear()

    def _write(self) -> None:
        """The text that grows is put together only when somebody looks."""
        if self._grows is not None:
            self._messages[-1][1][-1][self._grows] = "".join(self._pieces)
