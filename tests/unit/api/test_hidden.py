"""Where a conversation's directory lies is not told."""

from __future__ import annotations

from typing import Any

import pytest

from claude_code_api.api.hidden import Hidden

ROOT = "/srv/My data/sessions"


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        (f"{ROOT}/0123456789abcdef/work/a.txt", "/workspace/a.txt"),
        (f"cat '{ROOT}/0123456789abcdef/work'", "cat '/workspace'"),
        (f"{ROOT}/0123456789abcdef/config/x", "/workspace/config/x"),
        ({"path": [f"{ROOT}/ab/work"], "n": 1}, {"path": ["/workspace"], "n": 1}),
        ("/srv/elsewhere", "/srv/elsewhere"),
    ],
)
def test_where_the_directory_lies_is_not_shown(told: Any, shown: Any) -> None:
    assert Hidden(ROOT).of(told) == shown
