"""What an agent does with its own tools, told in one line. Pure.

The lines leave the server: they never name the directory that its conversations lie in.
"""

from __future__ import annotations

from typing import Any

from claude_code_api.claude.launch import Workplace
from claude_code_api.core.turn import Block, text_of_result

_TELLING = (
    *("command", "file_path", "notebook_path", "url", "query", "pattern"),
    *("description", "skill", "path", "prompt"),
)
"""The arguments that say what a call is about, the most telling first."""

_LONGEST = 200


class Narrator:
    """Tells of the calls in one conversation's directories."""

    def __init__(self, place: Workplace) -> None:
        work, root = str(place.work), str(place.root)
        self._hidden = ((f"{work}/", ""), (work, "."), (f"{root}/", "~/"), (root, "~"), (place.slug, "work"))

    def call(self, block: Block) -> str:
        """A call, as `Bash: ls -la`."""
        about = self._line(_essence(block.get("input") or {}))
        return f"{block['name']}: {about}" if about else str(block["name"])

    def failure(self, name: str, result: Block) -> str | None:
        """A result that was an error, as `Bash failed: Exit code 1`; None for any other."""
        if not result.get("is_error"):
            return None
        said = text_of_result(result.get("content"))
        why = self._line(said.replace("<tool_use_error>", "").replace("</tool_use_error>", ""))
        return f"{name} failed: {why}" if why else f"{name} failed"

    def _line(self, text: str) -> str:
        """The first line that says something, with the server's own directories left out."""
        for path, shown in self._hidden:
            text = text.replace(path, shown)
        lines = [words for line in text.splitlines() if (words := " ".join(line.split()))]
        first = "".join(sign for sign in lines[0] if sign.isprintable()) if lines else ""
        cut = len(first) > _LONGEST or len(lines) > 1
        return f"{first[: _LONGEST - 1]}…" if cut else first


def _essence(arguments: dict[str, Any]) -> str:
    told = (arguments.get(name) for name in _TELLING)
    return next((value for value in told if isinstance(value, str) and value.strip()), "")
