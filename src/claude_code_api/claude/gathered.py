"""What a turn adds to its conversation, gathered from the CLI's frames and told as its client knows it. Pure."""

from __future__ import annotations

import json
from typing import TypeAlias

from claude_code_api.claude.activity import Narrator
from claude_code_api.claude.tools import PREFIX
from claude_code_api.core.nesting import is_deep
from claude_code_api.core.turn import AgentCall, AgentResult, Block, Message, text_of_result

Doing: TypeAlias = AgentCall | AgentResult

STRUCTURED_OUTPUT = "StructuredOutput"
"""The tool by which the CLI has a model meet a schema."""


class Gathered:
    """The messages of one turn. `answered` are the calls whose results the turn brought: those are not its own gain.

    `leaf` is the uuid of the last entry; `json` the text of a structured answer so far; `missed_schema` says that an
    attempt at one was refused by the CLI. What the agent does with its own tools is told if there is a `narrator`.
    """

    def __init__(self, *, structured: bool, answered: frozenset[str], narrator: Narrator | None = None) -> None:
        self.leaf: str | None = None
        self.json = ""
        self.missed_schema = False
        self._structured = structured
        self._answered = answered
        self._narrator = narrator
        self._own_calls: dict[str, str] = {}
        self._messages: list[tuple[str, str, list[Block]]] = []

    def assistant(self, identity: str, blocks: list[Block], uuid: str) -> list[Doing]:
        """An assistant frame: one or more blocks of the message `identity`; returns what the agent does in them.

        Raises RecursionError.
        """
        blocks, doings = self._narrated([_flat(block) for block in blocks])
        self._add("assistant", identity, blocks, uuid)
        return doings

    def user(self, content: str | list[Block], uuid: str) -> tuple[set[str], list[Doing]]:
        """A user frame of the CLI's own; returns the calls whose results it holds, and those of the agent's own."""
        blocks: list[Block] = [{"type": "text", "text": content}] if isinstance(content, str) else content
        results = {block["tool_use_id"] for block in blocks if block["type"] == "tool_result"}
        if self._structured and any(
            block.get("is_error") and block["tool_use_id"] in self._attempts for block in blocks
        ):
            self.missed_schema = True
        blocks, doings = self._narrated(blocks)
        if not results & self._answered:
            self._add("user", uuid, blocks, uuid)
        return results - self._answered, doings

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
            return tuple([message for message in told if message.role == "assistant"][-1:])
        if self._structured and self.json:
            answer = Message("assistant", ({"type": "text", "text": self.json},))
            told.insert(len(told) - bool(open_calls), answer)
        return tuple(told)

    @property
    def _attempts(self) -> set[str]:
        return {
            block["id"]
            for _, _, blocks in self._messages
            for block in blocks
            if block["type"] == "tool_use" and block["name"] == STRUCTURED_OUTPUT
        }

    def _narrated(self, blocks: list[Block]) -> tuple[list[Block], list[Doing]]:
        """The blocks, with the lines that tell of the agent's own doing, and that doing itself."""
        told, doings = [], []
        for block in blocks:
            doing = self._doing(block)
            if doing is not None:
                doings.append(doing)
            told.append(block if doing is None or doing.line is None else {**block, "activity": doing.line})
        return told, doings

    def _doing(self, block: Block) -> Doing | None:
        """What the agent does with a tool of its own, if that is what the block says."""
        if self._narrator is None:
            return None
        if block["type"] == "tool_use" and block["name"] != STRUCTURED_OUTPUT and not block["name"].startswith(PREFIX):
            self._own_calls[block["id"]] = block["name"]
            return AgentCall(block["id"], block["name"], block["input"], self._narrator.call(block))
        if block["type"] == "tool_result" and (name := self._own_calls.get(block["tool_use_id"])) is not None:
            content, failed = text_of_result(block.get("content")), bool(block.get("is_error"))
            return AgentResult(block["tool_use_id"], content, failed, self._narrator.failure(name, block))
        return None

    def _add(self, role: str, identity: str, blocks: list[Block], uuid: str) -> None:
        if self._messages and self._messages[-1][:2] == (role, identity):
            self._messages[-1][2].extend(blocks)
        else:
            self._messages.append((role, identity, list(blocks)))
        self.leaf = uuid

    def _told(self, role: str, block: Block, open_calls: frozenset[str], *, refused: bool) -> Block | None:
        kind = block["type"]
        if kind == "tool_use" and block["id"] in open_calls:
            name = block["name"].removeprefix(PREFIX)
            return {"type": "tool_use", "id": block["id"], "name": name, "input": block["input"]}
        if role == "user":
            return None if block.get("tool_use_id") in self._attempts else {**block, "internal": True}
        if not self._structured:
            return {**block, "internal": True} if kind == "tool_use" else block
        if kind == "text":
            return block if refused else None
        if block.get("name") == STRUCTURED_OUTPUT:
            return None
        return {**block, "internal": True} if kind == "tool_use" else block


def _flat(block: Block) -> Block:
    """Arguments too deep for others to follow are kept as text, as they are when a client sends them."""
    if block["type"] != "tool_use" or not is_deep(block["input"]):
        return block
    return {**block, "input": {"arguments": json.dumps(block["input"], ensure_ascii=False)}}
