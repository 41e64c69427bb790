"""Names that the Messages API would refuse are refused here, with the place."""

from __future__ import annotations

import pytest

from claude_code_api.api.checks import checked_name
from claude_code_api.errors import InvalidRequest


def test_names() -> None:
    for name in ("f", "get_weather-2", "x" * 64):
        assert checked_name(name, "here") == name
    for name in ("", "a b", "a.b", "ä", "f\n"):
        with pytest.raises(InvalidRequest, match="does not match pattern"):
            checked_name(name, "here")
    with pytest.raises(InvalidRequest, match="maximum length 64, but got a string with length 65"):
        checked_name("x" * 65, "here")
