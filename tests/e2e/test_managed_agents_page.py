"""The examples of docs/managed-agents.md run as they are printed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.gateway import Gateway
from tests.resources import SKILL

PAGE = Path(__file__).parents[2] / "docs" / "managed-agents.md"


def test_the_examples_run(
    gateway: Gateway, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pirate").mkdir()
    (tmp_path / "pirate" / "SKILL.md").write_text(SKILL)
    monkeypatch.chdir(tmp_path)
    quickstart, skills = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)
    names: dict[str, object] = {}
    exec(quickstart.replace("http://localhost:8000", gateway.url), names)
    assert "42" in capsys.readouterr().out
    exec(skills, names)
