"""What tests of Managed Agents share: the official SDK against a gateway, and a skill."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic

from tests.gateway import Gateway

SKILL = """---
name: pirate
description: >
  Speak like a pirate,
  when asked to.
---
Arr.
"""


def sdk(gateway: Gateway, key: str = "unused") -> Anthropic:
    return Anthropic(base_url=gateway.url, api_key=key, max_retries=0, _strict_response_validation=True)


def refusal(error: pytest.ExceptionInfo[anthropic.APIStatusError]) -> tuple[int, str, str]:
    """An error as a program sees it: every one has the envelope and the request's id."""
    told = error.value
    body: Any = told.body
    assert body["type"] == "error"
    assert body["request_id"] == told.request_id
    assert told.request_id
    assert told.response.headers["x-should-retry"] == "false"
    return told.status_code, body["error"]["type"], body["error"]["message"]


def skill_dir(tmp_path: Path, manifest: str = SKILL) -> Path:
    directory = tmp_path / "any-name"
    (directory / "scripts").mkdir(parents=True)
    (directory / "SKILL.md").write_text(manifest)
    (directory / "scripts" / "arr.py").write_text("print('arr')\n")
    return directory
