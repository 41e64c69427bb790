"""Regular expressions in schemas: they are JavaScript's, in its strict (Unicode) mode. Pure.

Claude Code compiles them so, and drops a schema with one that it cannot compile. Nothing is ever matched here.
"""

from __future__ import annotations

import re

_SYNTAX = frozenset("^$\\.*+?()[]{}|/")
_GROUP = re.compile(r"\((?:\?(?::|(?P<look>=|!|<=|<!)|<(?P<name>[A-Za-z_$][\w$]*)>))?")
_REPEATED = re.compile(r"[*+?]|\{(?P<least>\d+)(?:(?P<comma>,)(?P<most>\d*))?\}")
_ESCAPE = re.compile(
    r"""\\(?:
      (?P<set>[dDwWsS] | [pP]\{[A-Za-z_]+(?:=[A-Za-z0-9_]+)?\})
    | (?P<control>[fnrtv]) | (?P<null>0(?!\d)) | c(?P<letter>[A-Za-z])
    | x(?P<x>[0-9A-Fa-f]{2}) | u(?P<u>[0-9A-Fa-f]{4}) | u\{0*(?P<point>[0-9A-Fa-f]{1,6})\}
    | (?P<edge>[bB]) | (?P<number>[1-9]\d*) | k<(?P<name>[A-Za-z_$][\w$]*)>
    | (?P<itself>[^A-Za-z0-9])
    )""",
    re.VERBOSE | re.ASCII,
)
_CONTROLS = {"f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def javascript(pattern: str) -> str:
    """The pattern as JavaScript takes it, without backslashes that mean nothing. Raises ValueError saying why not."""
    return _Reader(pattern).read()


class _Reader:
    """Reads a pattern once, from left to right."""

    def __init__(self, pattern: str) -> None:
        self._text = pattern
        self._at = 0
        self._read: list[str] = []
        self._open: list[bool] = []
        self._groups = 0
        self._names: set[str] = set()
        self._numbers_used: set[int] = set()
        self._names_used: set[str] = set()

    def read(self) -> str:
        """The whole pattern."""
        repeatable = False
        while self._at < len(self._text):
            char = self._text[self._at]
            if char == "\\":
                repeatable = self._escape()
            elif char == "[":
                self._class()
                repeatable = True
            elif char == "(":
                self._group()
                repeatable = False
            elif char == ")":
                if not self._open:
                    raise ValueError("a ')' closes nothing")
                repeatable = not self._open.pop()
                self._take(1)
            elif char in "*+?{":
                self._repetition(repeatable=repeatable)
                repeatable = False
            elif char in "]}":
                raise ValueError(f"{char!r} must be written '\\{char}'")
            else:
                repeatable = char not in "^$|"
                self._take(1)
        if self._open:
            raise ValueError("a '(' is not closed")
        if max(self._numbers_used, default=0) > self._groups or not self._names_used <= self._names:
            raise ValueError("it refers to a group that is not there")
        return "".join(self._read)

    def _take(self, length: int) -> None:
        self._read.append(self._text[self._at : self._at + length])
        self._at += length

    def _group(self) -> None:
        found = _GROUP.match(self._text, self._at)
        assert found is not None
        if found[0] == "(" and self._text.startswith("(?", self._at):
            raise ValueError(f"{self._text[self._at : self._at + 4]!r} is not JavaScript's")
        if (name := found["name"]) is not None:
            if name in self._names:
                raise ValueError(f"there are two groups {name!r}")
            self._names.add(name)
        self._groups += found[0] == "(" or name is not None
        self._open.append(found["look"] is not None)
        self._take(len(found[0]))

    def _repetition(self, *, repeatable: bool) -> None:
        found = _REPEATED.match(self._text, self._at)
        if found is None:
            raise ValueError("'{' must be written '\\{'")
        if not repeatable:
            raise ValueError(f"there is nothing that {found[0]!r} could repeat")
        if found["most"] and int(found["most"]) < int(found["least"]):
            raise ValueError(f"{found[0]!r} asks for more than it allows")
        self._take(len(found[0]))
        if self._text.startswith("?", self._at):
            self._take(1)

    def _escape(self) -> bool:
        """Whether what is escaped can be repeated."""
        found = self._escaped()
        if found["number"] is not None:
            self._numbers_used.add(int(found["number"][:9]))
        if found["name"] is not None:
            self._names_used.add(found["name"])
        self._put(found, _SYNTAX)
        return found["edge"] is None

    def _escaped(self) -> re.Match[str]:
        found = _ESCAPE.match(self._text, self._at)
        if found is None or (found["point"] is not None and int(found["point"], 16) > 0x10FFFF):
            raise ValueError(f"{self._text[self._at : self._at + 2]!r} is not JavaScript's")
        return found

    def _put(self, found: re.Match[str], escaped: frozenset[str]) -> None:
        needless = found["itself"] is not None and found["itself"] not in escaped
        self._read.append(found["itself"] if needless else found[0])
        self._at += len(found[0])

    def _class(self) -> None:
        self._take(2 if self._text.startswith("[^", self._at) else 1)
        while True:
            if self._at >= len(self._text):
                raise ValueError("a '[' is not closed")
            if self._text[self._at] == "]":
                self._take(1)
                return
            first = self._member()
            if not self._text.startswith("-", self._at) or self._text.startswith("-]", self._at):
                continue
            self._take(1)
            if self._at >= len(self._text):
                raise ValueError("a '[' is not closed")
            last = self._member()
            if first is None or last is None or first > last:
                raise ValueError("a range in [...] goes backwards, or has an end that is not one character")

    def _member(self) -> int | None:
        """The code of the class's next character; None for a set such as `\\d`."""
        char = self._text[self._at]
        if char != "\\":
            self._take(1)
            return ord(char)
        found = self._escaped()
        if found["number"] is not None or found["name"] is not None or found["edge"] == "B":
            raise ValueError(f"{found[0]!r} cannot stand in [...]")
        self._put(found, _SYNTAX | {"-"})
        return _code(found)


def _code(found: re.Match[str]) -> int | None:
    for name in ("x", "u", "point"):
        if found[name] is not None:
            return int(found[name], 16)
    if found["set"] is not None:
        return None
    if found["letter"] is not None:
        return ord(found["letter"]) % 32
    if found["control"] is not None:
        return ord(_CONTROLS[found["control"]])
    return ord(found["itself"]) if found["itself"] is not None else 8 if found["edge"] else 0
