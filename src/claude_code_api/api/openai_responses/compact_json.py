"""A call's arguments as they come, written the way they will be kept. Pure.

A model writes JSON as it likes, and piece by piece; what is kept of it is the value. So that a stream says from the
start what its end will say, each piece is written as the value will be: without white space, and in one way only.
"""

from __future__ import annotations

import json
import re

_TOKEN = re.compile(
    r"""(?P<blank>[ \t\r\n]+)
    | (?P<mark>[{}\[\]:,"])
    | (?P<word>[^\s{}\[\]:,"]+)(?=[\s{}\[\]:,"])""",
    re.VERBOSE,
)
_IN_TEXT = re.compile(
    r"""(?P<plain>[^"\\\x00-\x1f\ud800-\udfff]+)
    | (?P<end>")
    | (?P<escape>\\["\\/bfnrt] | \\u(?![dD][89a-fA-F])[0-9a-fA-F]{4})
    | (?P<pair>\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})""",
    re.VERBOSE,
)
_UNFINISHED = re.compile(r"\\(?:u[0-9a-fA-F]{0,4}(?:\\(?:u[0-9a-fA-F]{0,3})?)?)?")
_EXACT = 2**53
"""Numbers up to this one are the same to everybody who reads them on the way."""
_LONGEST_WORD = 100


class Compact:
    """Takes the pieces of one JSON text and gives the same text in its compact form, as far as it is certain.

    What it cannot be certain of, and what follows, it keeps to itself.
    """

    def __init__(self) -> None:
        self._left = ""
        self._in_text = False
        self._lost = False

    def feed(self, piece: str) -> str:
        """What is known more of the compact form; perhaps nothing yet."""
        if self._lost:
            return ""
        self._left += piece
        written: list[str] = []
        at = 0
        while at < len(self._left) and not self._lost:
            found = (_IN_TEXT if self._in_text else _TOKEN).match(self._left, at)
            if found is None:
                self._lost = not self._is_unfinished(at)
                break
            written.append(self._write(found))
            at = found.end()
        self._left = self._left[at:]
        return "".join(written)

    def _write(self, found: re.Match[str]) -> str:
        kind, text = found.lastgroup, found[0]
        if kind == "blank":
            return ""
        if kind == "word":
            return self._word(text)
        if text == '"':
            self._in_text = not self._in_text
        elif kind in ("escape", "pair"):
            return json.dumps(json.loads(f'"{text}"'), ensure_ascii=False)[1:-1]
        return text

    def _word(self, text: str) -> str:
        try:
            value = json.loads(text)
        except ValueError:
            self._lost = True
            return ""
        if isinstance(value, float | int) and not abs(value) < _EXACT:
            self._lost = True
            return ""
        return json.dumps(int(value) if isinstance(value, float) and value.is_integer() else value)

    def _is_unfinished(self, at: int) -> bool:
        """Whether more may make sense of what is left; half a character does not."""
        left = self._left[at:]
        return _UNFINISHED.fullmatch(left) is not None if self._in_text else len(left) <= _LONGEST_WORD
