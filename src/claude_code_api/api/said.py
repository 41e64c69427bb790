"""Who said what, which calls were made and what came of them: what every dialect that sends histories settles. Pure.

Neighbours of one role are one message, as they would be at the Messages API, and the results of calls follow the calls.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, NoReturn, Protocol

from claude_code_api.api.checks import sound
from claude_code_api.core.nesting import is_deep
from claude_code_api.core.turn import Block, Message, Role
from claude_code_api.errors import InvalidRequest

_CALL_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_LONGEST_RESULT = 500_000

THOUGHT = ("thinking", "redacted_thinking")
"""The types of blocks that nobody hears."""


class Complaints(Protocol):
    """How a dialect says what is wrong with calls and results. `given` are ids, `where` is the call or the result."""

    def made_twice(self, given: str, where: str) -> InvalidRequest:
        """Two calls of one answer have one id."""
        ...

    def unanswered(self, given: list[str], where: str) -> InvalidRequest:
        """Calls have no result; `where` is the first of them."""
        ...

    def late(self, given: str, where: str) -> InvalidRequest:
        """A result for a call of the conversation does not come first."""
        ...

    def uncalled(self, given: str, where: str) -> InvalidRequest:
        """A result comes where no call waits for any."""
        ...

    def unknown(self, given: str, where: str) -> InvalidRequest:
        """A result is for none of the calls that wait."""
        ...

    def answered_twice(self, given: str, where: str) -> InvalidRequest:
        """A second result for one call."""
        ...


@dataclass(slots=True)
class _Calls:
    """The calls of one answer by their ids, as we name them and where they are, and the results that came so far."""

    names: dict[str, str] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    results: dict[str, Block] = field(default_factory=dict)


class Said:
    """Takes what was said, in order. `appends`: to a conversation that may hold the calls which first results are for.

    All raise InvalidRequest in the words of the dialect's `complaints`.
    """

    def __init__(self, complaints: Complaints, *, appends: bool) -> None:
        self.spoken: list[tuple[Role, list[Block]]] = []
        self._complaints = complaints
        self._appends = appends
        self._calls: _Calls | None = None
        self._uses: Counter[str] = Counter()
        self._apart = False

    def messages(self) -> tuple[Message, ...]:
        """What was said so far, apart from what waits for `settle`."""
        return tuple(Message(role, tuple(blocks)) for role, blocks in self.spoken)

    @property
    def has_results(self) -> bool:
        """Whether results came for the last calls: nothing of the assistant's can belong to these any more."""
        return self._calls is not None and bool(self._calls.results)

    def say(self, role: Role, content: list[Block]) -> None:
        """The next content; it belongs to the message before when that is of the same role."""
        apart, self._apart = self._apart, False
        if apart or not self.spoken or self.spoken[-1][0] != role:
            self.spoken.append((role, content))
            return
        before, first = self.spoken[-1][1], content[0]
        if first["type"] == "text" and _is_behind_text(before, first["text"]):
            content = [{**first, "text": f"\n\n{first['text']}"}, *content[1:]]
        before.extend(content)

    @property
    def has_calls(self) -> bool:
        """Whether there are calls whose results can come."""
        return self._calls is not None

    def part(self) -> None:
        """What comes next begins a message of its own."""
        self._apart = True

    def call(self, given: str, name: str, arguments: dict[str, Any], where: str) -> None:
        """The assistant calls a tool; calls between which nothing was settled are one answer's."""
        calls = self._calls = self._calls or _Calls()
        if given in calls.names:
            raise self._complaints.made_twice(given, where)
        ours = calls.names[given] = _call_id(given, self._uses[given])
        calls.places[given] = where
        self._uses[given] += 1
        self.say("assistant", [{"type": "tool_use", "id": ours, "name": name, "input": arguments}])

    def expect(self, given: str, where: str) -> None:
        """There may be a result for this call here; `result` takes it."""
        if self._appends and self._calls is None:
            if self.spoken:
                raise self._complaints.late(given, where)
            self._calls = _Calls()
        if self._calls is None:
            raise self._complaints.uncalled(given, where)
        if self._appends and not self.spoken:
            self._calls.names.setdefault(given, _call_id(given, 0))
        if given not in self._calls.names:
            raise self._complaints.unknown(given, where)
        if given in self._calls.results:
            raise self._complaints.answered_twice(given, where)

    def result(self, given: str, content: list[Block], where: str, *, is_error: bool = False) -> None:
        """The result of a call that was expected; `where` has its content. With `is_error` the call has failed."""
        assert self._calls is not None
        if (size := _size(content)) > _LONGEST_RESULT:
            raise InvalidRequest(
                f"{where} has {size} characters; a tool's result has at most {_LONGEST_RESULT}.", param=where
            )
        name = self._calls.names[given]
        result: Block = {"type": "tool_result", "tool_use_id": name, "content": content}
        self._calls.results[given] = {**result, "is_error": True} if is_error else result

    def beside(self, content: list[Block]) -> bool:
        """Let the last of the results that came end with this, which is said along with them; not when it is too long.

        Returns whether it does.
        """
        assert self._calls is not None
        last = [given for given in self._calls.names if given in self._calls.results][-1]
        result = self._calls.results[last]
        whole = [*result["content"], *content]
        if _size(whole) > _LONGEST_RESULT:
            return False
        result["content"] = whole
        return True

    def settle(self, *, open_calls: bool = False) -> None:
        """Nothing more can answer the last calls: they must have their results, and get them in the order of the calls.

        With `open_calls` they may be without any so far.
        """
        calls, self._calls = self._calls, None
        if calls is None or (open_calls and not calls.results):
            return
        if missing := [given for given in calls.names if given not in calls.results]:
            raise self._complaints.unanswered(missing, calls.places[missing[0]])
        self.say("user", [calls.results[given] for given in calls.names])


def joined(blocks: Iterable[Block]) -> list[Block]:
    """The parts of one message with neighbouring text as one block."""
    content: list[Block] = []
    for is_text, row in groupby(blocks, key=lambda block: block["type"] == "text"):
        together = list(row)
        content += [{"type": "text", "text": "".join(one["text"] for one in together)}] if is_text else together
    return content


def arguments_of(given: str | dict[str, Any] | None, where: str) -> dict[str, Any]:
    """A call's arguments; what a model wrote that is no JSON object, or a deep one, as text: it is only sent back."""
    if isinstance(given, dict):
        given = _written(given, where)
    text = sound(given or "", where)
    if not text.strip():
        return {}
    try:
        arguments = json.loads(text, parse_constant=_not_json, parse_float=_finite)
        if "\\u" in text:
            json.dumps(arguments, ensure_ascii=False).encode()  # half a character can come escaped as well
    except (ValueError, RecursionError):
        arguments = None
    return arguments if isinstance(arguments, dict) and not is_deep(arguments) else {"arguments": text}


def _size(content: list[Block]) -> int:
    return sum(len(block["text"]) for block in content if block["type"] == "text")


def _is_behind_text(before: list[Block], text: str) -> bool:
    """Whether a text needs a blank line to stand apart from the one before it; thinking between them parts nothing."""
    heard = next((block["type"] for block in reversed(before) if block["type"] not in THOUGHT), None)
    return heard == "text" and not (before[-1]["type"] in THOUGHT and text.startswith("\n\n"))


def _call_id(given: str, uses: int) -> str:
    """The id as the Messages API takes it, the same each time; one that came before in the history gets another."""
    if not uses and _CALL_ID.fullmatch(given):
        return given
    said = f"{given}\n{uses}" if uses else given
    return f"call_{hashlib.sha256(said.encode(errors='surrogatepass')).hexdigest()[:24]}"


def _written(arguments: dict[str, Any], where: str) -> str:
    try:
        return json.dumps(arguments, ensure_ascii=False)
    except RecursionError as error:
        raise InvalidRequest(f"{where} is nested too deeply; send it as text.", param=where) from error


def _not_json(word: str) -> NoReturn:
    raise ValueError(word)


def _finite(digits: str) -> float:
    number = float(digits)
    return number if math.isfinite(number) else _not_json(digits)
