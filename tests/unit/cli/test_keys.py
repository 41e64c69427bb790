"""What can be said to `keys create`."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import typer

from claude_code_api.cli.keys import _moment, _profiles

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("text", "then"),
    [
        ("90d", datetime(2027, 2, 21, 12, tzinfo=UTC)),
        ("12H", datetime(2026, 11, 24, tzinfo=UTC)),
        ("2026-12-31", datetime(2026, 12, 31, tzinfo=UTC)),
        ("2026-12-31T18:30", datetime(2026, 12, 31, 18, 30, tzinfo=UTC)),
        ("2026-12-31T18:30:00+02:00", datetime(2026, 12, 31, 16, 30, tzinfo=UTC)),
        ("2026-12-31T18:30:00Z", datetime(2026, 12, 31, 18, 30, tzinfo=UTC)),
    ],
)
def test_when_a_key_expires(text: str, then: datetime) -> None:
    assert _moment(text, NOW) == then.timestamp()


@pytest.mark.parametrize("text", ["", "soon", "0d", "-1d", "90", "90 days", "2026-11-23", "1999-01-01", "999999d"])
def test_what_is_no_moment_to_come_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        _moment(text, NOW)


def test_profiles() -> None:
    assert _profiles("chat, agent,chat") == ("chat", "agent")
    for text in ("", "chat,", "a b", "chat;agent"):
        with pytest.raises(typer.BadParameter):
            _profiles(text)
