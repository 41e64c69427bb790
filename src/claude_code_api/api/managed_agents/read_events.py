"""From the events that a client sends to those that are kept: checked as a whole, before any of them is taken."""

from __future__ import annotations

from collections.abc import Sequence

from claude_code_api.api.checks import sound
from claude_code_api.api.managed_agents.content import Reader
from claude_code_api.api.managed_agents.shapes import Json
from claude_code_api.api.managed_agents.wire_sessions import (
    CustomToolResult,
    DefineOutcome,
    EventParams,
    RubricParams,
    SystemMessage,
    ToolConfirmation,
    ToolResult,
    UserInterrupt,
    UserMessage,
)
from claude_code_api.errors import InvalidRequest, NotSupported
from claude_code_api.managed import events as ev
from claude_code_api.managed.outcomes import DEFAULT_ITERATIONS, new_outcome_id
from claude_code_api.managed.session_store import NewEvent

_BEFORE_SYSTEM = (UserMessage, CustomToolResult)
_INITIAL = (UserMessage, DefineOutcome)


async def events_of(sent: Sequence[EventParams], reader: Reader, thread_id: str | None) -> list[NewEvent]:
    """The events as they are kept. `thread_id` is the session's. Raises InvalidRequest naming the field."""
    for number, event in enumerate(sent):
        if isinstance(event, SystemMessage):
            follows = number > 0 and isinstance(sent[number - 1], _BEFORE_SYSTEM)
            if not follows or number != len(sent) - 1:
                raise InvalidRequest(
                    f"events.{number}: a system.message is the last event of a request, right behind the user.message "
                    "or user.custom_tool_result that it goes with.",
                    param=f"events.{number}",
                )
    return [await _event(event, f"events.{number}", reader, thread_id) for number, event in enumerate(sent)]


async def initial_events_of(sent: Sequence[EventParams], reader: Reader) -> list[NewEvent]:
    """The events that a session begins with. Raises InvalidRequest naming the field."""
    for number, event in enumerate(sent):
        if not isinstance(event, _INITIAL):
            at = f"initial_events.{number}.type"
            raise InvalidRequest(
                f"{at}: a session begins with 'user.message' and 'user.define_outcome' alone.", param=at
            )
    return [await _event(event, f"initial_events.{number}", reader, None) for number, event in enumerate(sent)]


async def _event(event: EventParams, where: str, reader: Reader, thread_id: str | None) -> NewEvent:
    match event:
        case UserMessage():
            blocks = await reader.blocks(event.content, f"{where}.content")
            return ev.event(event.type, {"content": _plain(event)}, blocks=blocks)
        case CustomToolResult():
            blocks = await reader.blocks(event.content or (), f"{where}.content")
            body: Json = {"custom_tool_use_id": event.custom_tool_use_id, "content": _plain(event)}
            return ev.event(event.type, {**body, "is_error": bool(event.is_error)}, blocks=blocks)
        case SystemMessage():
            for number, block in enumerate(event.content):
                sound(block.text, f"{where}.content.{number}.text")
            return ev.event(event.type, {"content": _plain(event)})
        case UserInterrupt():
            return ev.event(event.type, _of_thread(event, where, thread_id))
        case ToolConfirmation():
            return ev.event(event.type, _confirmation(event, where))
        case DefineOutcome():
            return ev.event(event.type, await _outcome(event, where, reader))
        case ToolResult():
            raise NotSupported(
                f"{where}.type: 'user.tool_result' is not supported here: the agent's own tools run on this server. "
                "What shall run at the client's is a custom tool.",
                param=f"{where}.type",
            )


def _plain(event: UserMessage | CustomToolResult | SystemMessage) -> list[Json]:
    """Content as it was sent."""
    return [block.model_dump(exclude_unset=True) for block in event.content or ()]


def _of_thread(event: UserInterrupt, where: str, thread_id: str | None) -> Json:
    if event.session_thread_id is None:
        return {}
    if event.session_thread_id != thread_id:
        at = f"{where}.session_thread_id"
        raise InvalidRequest(
            f"{at}: the session has no thread {event.session_thread_id[:100]!r}; leave it out.", param=at
        )
    return {"session_thread_id": event.session_thread_id}


def _confirmation(event: ToolConfirmation, where: str) -> Json:
    body: Json = {"tool_use_id": event.tool_use_id, "result": event.result}
    if event.deny_message is not None:
        at = f"{where}.deny_message"
        if event.result != "deny":
            raise InvalidRequest(f"{at}: only with the result 'deny' there is something to explain.", param=at)
        body["deny_message"] = sound(event.deny_message, at)
    return body


async def _outcome(event: DefineOutcome, where: str, reader: Reader) -> Json:
    return {
        "outcome_id": new_outcome_id(),
        "description": sound(event.description, f"{where}.description"),
        "rubric": {"type": "text", "content": await _rubric(event.rubric, f"{where}.rubric", reader)},
        "max_iterations": event.max_iterations or DEFAULT_ITERATIONS,
    }


async def _rubric(rubric: RubricParams, where: str, reader: Reader) -> str:
    is_text = rubric.type == "text"
    wanted, other = ("content", "file_id") if is_text else ("file_id", "content")
    if getattr(rubric, wanted) is None:
        raise InvalidRequest(f"{where}.{wanted} is missing.", param=f"{where}.{wanted}")
    if getattr(rubric, other) is not None:
        raise InvalidRequest(f"{where}.{other} does not go with the type '{rubric.type}'.", param=f"{where}.{other}")
    if is_text:
        return sound(rubric.content or "", f"{where}.content")
    return await reader.text_of_file(rubric.file_id or "", f"{where}.file_id")
