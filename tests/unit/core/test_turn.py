"""What is said of a turn's parts in the same words everywhere."""

from __future__ import annotations

from typing import Any

import pytest

from claude_code_api.core.turn import text_of_result


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("as it is", "as it is"),
        ([{"type": "text", "text": "one"}, {"type": "text", "text": "two"}], "one\ntwo"),
        (
            [{"type": "image", "source": {"type": "base64", "data": "aaaa"}}, {"type": "text", "text": "seen"}],
            "[image]\nseen",
        ),
        ([{"type": "tool_reference", "tool_name": "x"}], "[tool_reference]"),
        ([], ""),
        (None, ""),
    ],
)
def test_a_result_as_text(content: Any, text: str) -> None:
    assert text_of_result(content) == text
