"""What waits for the agent: which of it comes next, and what the agent gets of it. Pure, but for `since`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from claude_code_api.core.turn import Block
from claude_code_api.managed import events as ev
from claude_code_api.managed.session_store import EventQuery, ManagedSession, SessionStore, StoredEvent, Waiting

_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Step:
    """What is done next: these events are taken out of what waits.

    `given` are the events that the turn gets, if one begins with it; `still_waiting` are the calls that wait for a
    client, when there is one left without a result. `is_wanted` False: nothing waits for what they bring.
    """

    events: tuple[StoredEvent, ...]
    given: tuple[str, ...] = ()
    still_waiting: tuple[Waiting, ...] = ()
    is_wanted: bool = True


def next_step(waiting: Sequence[StoredEvent], session: ManagedSession) -> Step | None:
    """What is done next, while no turn runs; None when there is nothing, or it has to wait for a client.

    Results, decisions and interrupts come before what the agent is told: it is told nothing while a call is open. But
    an interrupt behind what the agent is told now is meant for that: it finds it running.
    """
    results: list[StoredEvent] = []
    told = False
    for event in waiting:
        if event.type == ev.CUSTOM_RESULT:
            results.append(event)
        elif event.type == ev.CONFIRMATION or (event.type == ev.INTERRUPT and not results and not told):
            return Step((event,))
        elif event.type == ev.INTERRUPT:
            break
        else:
            told = told or not session.waiting
    if results:
        return _of_results(results, waiting, session)
    if session.waiting:
        return None
    return _of_input(waiting)


def _of_results(results: Sequence[StoredEvent], waiting: Sequence[StoredEvent], session: ManagedSession) -> Step:
    brought = {event.body["custom_tool_use_id"]: event.id for event in results}
    wanted = {one.event_id for one in session.waiting if one.kind == "result" and one.answer is None}
    if useless := tuple(event for event in results if event.body["custom_tool_use_id"] not in wanted):
        return Step(useless, is_wanted=False)
    answered = tuple(
        replace(one, answer=brought[one.event_id]) if one.event_id in brought else one for one in session.waiting
    )
    given = tuple(one.answer for one in answered if one.answer is not None)
    if len(given) < len(answered):
        return Step(tuple(results), still_waiting=answered)
    beside = _behind(waiting, results[-1])
    return Step((*results, *beside), given=(*given, *(event.id for event in beside)))


def _of_input(waiting: Sequence[StoredEvent]) -> Step | None:
    taken: list[StoredEvent] = []
    for event in waiting:
        taken.append(event)
        if event.type in (ev.USER_MESSAGE, ev.OUTCOME):
            taken += _behind(waiting, event)
            return Step(tuple(taken), given=tuple(one.id for one in taken))
    return None


def _behind(waiting: Sequence[StoredEvent], last: StoredEvent) -> list[StoredEvent]:
    """The instructions that came right behind an event."""
    found = []
    for event in waiting[[one.id for one in waiting].index(last.id) + 1 :]:
        if event.type != ev.SYSTEM_MESSAGE:
            break
        found.append(event)
    return found


def input_of(given: Sequence[StoredEvent], calls: Mapping[str, str]) -> tuple[list[Block], list[str]]:
    """The content and the instructions that a turn is asked with. `calls` has Claude Code's ids of the calls.

    What the agent is told of an outcome is not in it.
    """
    content: list[Block] = []
    developer: list[str] = []
    for event in given:
        if event.type == ev.SYSTEM_MESSAGE:
            developer.append(ev.texts(event.body["content"]))
        elif event.type == ev.CUSTOM_RESULT:
            content.append(
                {
                    "type": "tool_result",
                    "tool_use_id": calls[event.body["custom_tool_use_id"]],
                    "content": _blocks(event),
                    "is_error": bool(event.body.get("is_error")),
                }
            )
        elif event.type == ev.USER_MESSAGE:
            content += _blocks(event)
    return content, developer


def _blocks(event: StoredEvent) -> list[Block]:
    return list(event.body.get("content") or ()) if event.blocks is None else list(event.blocks)


async def since(store: SessionStore, key: str, seq: int) -> list[StoredEvent]:
    """What a log has behind a place, as far as it tells what was said and done."""
    types = (ev.MESSAGE, ev.TOOL_USE, ev.TOOL_RESULT, ev.MCP_TOOL_USE, ev.MCP_TOOL_RESULT)
    found: list[StoredEvent] = []
    while True:
        after = found[-1].seq if found else seq
        query = EventQuery(_PAGE, after=after, types=(*types, ev.CUSTOM_TOOL_USE, ev.CUSTOM_RESULT))
        page = await store.events(key, query)
        found += page
        if len(page) < _PAGE:
            return found
