"""What a turn adds to its conversation, gathered from the CLI's frames and told as its client knows it. Pure."""

from __future__ import annotations

from claude_code_api.claude.tools import PREFIX
from claude_code_api.core.turn import Block, Message

STRUCTURED_OUTPUT = "StructuredOutput"
"""The tool by which the CLI has a model meet a schema."""


class Gathered:
    """The messages of one turn. `answered` are the calls whose results the turn brought: those are not its own gain.

    `leaf` is the uuid of the last entry; `json` the text of a structured answer so far; `missed_schema` says that an
    attempt at one was refused by the CLI.
    """

    def __init__(self, *, structured: bool, answered: frozenset[str]) -> None:
        self.leaf: str | None = None
        self.json = ""
        self.missed_schema = False
        self._structured = structured
        self._answered = answered
        self._messages: list[tuple[str, str, list[Block]]] = []

    def assistant(self, identity: str, blocks: list[Block], uuid: str) -> None:
        """An assistant frame: one or more blocks of the message `identity`."""
        self._add("assistant", identity, blocks, uuid)

    def user(self, content: str | list[Block], uuid: str) -> set[str]:
        """A user frame of the CLI's own; returns the calls whose results it holds."""
        blocks: list[Block] = [{"type": "text", "text": content}] if isinstance(content, str) else content
        results = {block["tool_use_id"] for block in blocks if block["type"] == "tool_result"}
        if self._structured and any(
            block.get("is_error") and block["tool_use_id"] in self._attempts for block in blocks
        ):
            self.missed_schema = True
        if not results & self._answered:
            self._add("user", uuid, blocks, uuid)
        return results - self._answered

    def forget_calls(self, calls: set[str]) -> None:
        """These calls were never made whole: nobody shall see them, nor what the CLI said to them."""
        for _, _, blocks in self._messages:
            blocks[:] = [block for block in blocks if not {block.get("id"), block.get("tool_use_id")} & calls]

    def messages(self, open_calls: frozenset[str], *, refused: bool) -> tuple[Message, ...]:
        """What the conversation gained. A structured answer is its JSON text; a refusal is what was said instead."""
        told = []
        for role, _, blocks in self._messages:
            kept = [self._told(role, block, open_calls, refused=refused) for block in blocks]
            if present := tuple(block for block in kept if block is not None):
                told.append(Message("user" if role == "user" else "assistant", present))
        if refused:
            return tuple(told[-1:])
        if self._structured and self.json and not open_calls:
            told.append(Message("assistant", ({"type": "text", "text": self.json},)))
        return tuple(told)

    @property
    def _attempts(self) -> set[str]:
        return {
            block["id"]
            for _, _, blocks in self._messages
            for block in blocks
            if block["type"] == "tool_use" and block["name"] == STRUCTURED_OUTPUT
        }

    def _add(self, role: str, identity: str, blocks: list[Block], uuid: str) -> None:
        if self._messages and self._messages[-1][:2] == (role, identity):
            self._messages[-1][2].extend(blocks)
        else:
            self._messages.append((role, identity, list(blocks)))
        self.leaf = uuid

    def _told(self, role: str, block: Block, open_calls: frozenset[str], *, refused: bool) -> Block | None:
        kind = block["type"]
        if role == "user" and kind == "text" and not self._structured:
            return {**block, "internal": True}  # the CLI speaks to the model: its summary, when it compacted
        if kind == "tool_use" and block["id"] in open_calls:
            name = block["name"].removeprefix(PREFIX)
            return {"type": "tool_use", "id": block["id"], "name": name, "input": block["input"]}
        if not self._structured:
            return {**block, "internal": True} if kind in ("tool_use", "tool_result") else block
        if kind == "text":
            return block if refused else None
        if block.get("name") == STRUCTURED_OUTPUT or block.get("tool_use_id") in self._attempts:
            return None
        return {**block, "internal": True} if kind in ("tool_use", "tool_result") else block
