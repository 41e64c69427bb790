"""What is told of an agent's own tools, and what is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from claude_code_api.claude.activity import Narrator
from claude_code_api.claude.launch import Workplace

PLACE = Path("/srv/data/default/sessions/0123456789abcdef")
NARRATOR = Narrator(Workplace(PLACE))


def told(name: str, **arguments: Any) -> str:
    return NARRATOR.call({"type": "tool_use", "id": "1", "name": name, "input": arguments})


def failed(content: Any, *, is_error: bool = True) -> str | None:
    return NARRATOR.failure("Bash", {"type": "tool_result", "content": content, "is_error": is_error})


@pytest.mark.parametrize(
    ("line", "name", "arguments"),
    [
        ("Bash: ls -la", "Bash", {"command": "ls -la", "description": "Lists files"}),
        ("Read: notes.txt", "Read", {"file_path": f"{PLACE}/work/notes.txt", "limit": 3}),
        ("Read: /etc/hosts", "Read", {"file_path": "/etc/hosts"}),
        ("WebFetch: https://example.com", "WebFetch", {"prompt": "Sum up.", "url": "https://example.com"}),
        ("Agent: look around", "Agent", {"prompt": "A long one", "description": "look around"}),
        ("TodoWrite", "TodoWrite", {"todos": [{"content": "x"}]}),
        ("New: now", "New", {"pattern": "", "query": "now"}),
        ("Odd", "Odd", {"command": 5, "path": None}),
    ],
)
def test_a_call_is_its_tool_and_what_it_is_about(line: str, name: str, arguments: dict[str, Any]) -> None:
    assert told(name, **arguments) == line


def test_no_line_names_the_servers_directories() -> None:
    for path in (PLACE / "work", PLACE / "work" / "a", PLACE / "home" / "b", PLACE / "config" / "c", PLACE):
        assert "/srv/data" not in told("Bash", command=f"cat {path} {path}; cd {path} && ls '{path}'")
    assert (
        told("Bash", command=f"cd {PLACE}/work && cat {PLACE}/work/a.txt {PLACE}/home/b")
        == "Bash: cd . && cat a.txt ~/home/b"
    )
    own = "/tmp/claude-0/-srv-data-default-sessions-0123456789abcdef-work/1.txt"
    assert "srv" not in told("Read", file_path=own)


def test_a_line_is_one_line_and_no_longer_than_it_needs_to_be() -> None:
    assert told("Bash", command="\n\n  first\tone \nsecond") == "Bash: first one…"
    assert len(told("Bash", command="x" * 10_000)) < 220
    assert told("Bash", command="echo \x1b[31mred\x00") == "Bash: echo [31mred"


def test_a_failure_is_told_shortly_and_a_success_is_not() -> None:
    assert failed("Exit code 1\nls: no such file") == "Bash failed: Exit code 1…"
    assert failed([{"type": "text", "text": f"{PLACE}/work/a is missing"}]) == "Bash failed: a is missing"
    assert failed("<tool_use_error>No.</tool_use_error>") == "Bash failed: No."
    assert failed(None) == "Bash failed"
    assert failed("Done.", is_error=False) is None
