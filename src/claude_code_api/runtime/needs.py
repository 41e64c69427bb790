"""What a turn needs: a process of some kind with some context, and what is sent to it. Decides, and does nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from claude_code_api.core.conversation import as_answered, as_called, as_seen, open_calls, same_history
from claude_code_api.core.profiles import AGENT
from claude_code_api.core.turn import Block, Message, TurnInput
from claude_code_api.errors import InvalidRequest
from claude_code_api.runtime.ports import Profile
from claude_code_api.runtime.record import Record


@dataclass(frozen=True, slots=True)
class Needs:
    """What a turn needs, and what the conversation is from then on.

    `history` is what the conversation holds before the turn's message: the `context`, which a process has to hold, and
    what is `unsaid`, messages that nobody has answered, which go along with the turn's own. `is_bound`: the record's
    binding leads to that context. `replaces`: it is not what the record holds, or holds other instructions.
    `developer` are all instructions of the dialogue, `added` those that come with the turn; the profile has them behind
    `system`.
    """

    profile: Profile
    system: str
    developer: tuple[str, ...]
    added: tuple[str, ...]
    history: list[Message]
    context: list[Message]
    unsaid: list[Message]
    is_bound: bool
    replaces: bool

    def settled(self, context: list[Message]) -> Needs:
        """The same on a process with this context, which is as good as the one that was needed, or better."""
        return replace(self, history=[*context, *self.unsaid]) if self.replaces else self

    def sent(self, content: tuple[Block, ...]) -> tuple[Block, ...]:
        """What goes to the process for a message of this content. The Messages API wants results first."""
        if not self.unsaid:
            return content
        unsaid = [block for message in self.unsaid for block in message.content]
        results = [block for block in content if block["type"] == "tool_result"]
        rest = [block for block in content if block["type"] != "tool_result"]
        return (*results, *unsaid, *rest)


def needs(record: Record, asked: TurnInput) -> Needs:
    """What a turn needs of this conversation: its own history when that is as good as the one that was sent."""
    is_shown = asked.profile != AGENT and _is_agents(record)
    if asked.history is None:
        held = as_seen(record.history) if is_shown else record.history
        history = [*held, *asked.before] if asked.before else held
        developer = (*record.developer, *asked.developer)
        is_own = not is_shown
    else:
        sent = as_called(record.history, asked.history) if asked.rewrites else asked.history
        is_own = not is_shown and same_history(record.history, sent)
        history = record.history if is_own else _told_to(asked.profile, sent)
        developer = asked.developer
    system = record.system if asked.system is None else asked.system
    schema = None if asked.schema is None else json.dumps(asked.schema, separators=(",", ":"))
    toolbox = record.toolbox if asked.toolbox is None else asked.toolbox
    context = history if asked.options.counts else as_answered(history)
    known = len(record.developer)
    return Needs(
        profile=Profile(
            asked.model,
            "\n\n".join(filter(None, (system, *developer))),
            asked.profile,
            schema,
            toolbox if asked.profile == AGENT else None,
        ),
        system=system,
        developer=developer,
        added=developer[known:],
        history=history,
        context=context,
        unsaid=history[len(context) :],
        is_bound=is_own and len(context) <= len(record.history),
        replaces=history is not record.history or developer[:known] != record.developer,
    )


def _is_agents(record: Record) -> bool:
    """Whether the history holds calls of an agent's own tools: they mean nothing where there are no such tools.

    What is built from the history alone may be the copy of an earlier one, which another profile left.
    """
    return record.profile == AGENT or (record.binding is None and _has_own_calls(record.history))


def _told_to(profile: str, history: Sequence[Message]) -> list[Message]:
    """A history that came with the turn: what an agent said is in it when it was read from the store."""
    return as_seen(history) if profile != AGENT and _has_own_calls(history) else list(history)


def _has_own_calls(history: Sequence[Message]) -> bool:
    return any(block.get("internal") for message in history for block in message.content)


def content_of(new: Message, history: list[Message]) -> tuple[Block, ...]:
    """A turn's content after this history. Calls that the client passes over are told to the model as not run.

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


def _not_run(call: str) -> Block:
    said = [{"type": "text", "text": "The tool was not run: the user went on without it."}]
    return {"type": "tool_result", "tool_use_id": call, "content": said, "is_error": True}
