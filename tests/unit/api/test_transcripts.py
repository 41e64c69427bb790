"""A transcript as people and programs get it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from claude_code_api.api.transcripts import _bytes, _json, _parts
from claude_code_api.core.turn import Message, Usage
from claude_code_api.runtime.stored import StoredTurn, StoredTurns

ROOT = "/srv/My data/sessions"


def turn(*output: Message, text: str = "Hi") -> StoredTurn:
    return StoredTurn(
        turn_id="t1",
        created_at=1_800_000_000.5,
        finished_at=1_800_000_002.9,
        model="claude",
        stop_reason="end_turn",
        input=Message("user", ({"type": "text", "text": text},)),
        output=output,
        usage=Usage(1, 2, 3, 4),
        cost_usd=0.12345678,
    )


def assistant(*blocks: dict[str, Any]) -> Message:
    return Message("assistant", blocks)


OWN = (
    assistant(
        {"type": "thinking", "thinking": "hm\nwell", "signature": "opaque"},
        {"type": "tool_use", "id": "c1", "name": "Bash", "input": {"command": "ls ☃"}, "internal": True},
    ),
    Message(
        "user",
        (
            {
                "type": "tool_result",
                "tool_use_id": "c1",
                "content": [{"type": "text", "text": "```\nfence\n```"}, {"type": "image", "source": {"type": "url"}}],
                "is_error": True,
                "internal": True,
            },
        ),
    ),
    assistant({"type": "text", "text": "Done."}),
)


def test_a_page_for_programs() -> None:
    page = StoredTurns((Message("user", ({"type": "text", "text": "before"},)),), (turn(*OWN), turn()))
    told = json.loads(_json(page, 1, ROOT))
    assert (told["object"], told["first_id"], told["last_id"], told["has_more"]) == ("list", "t1", "t1", True)
    assert told["base"] == [{"role": "user", "content": [{"type": "text", "text": "before"}]}]
    (one,) = told["data"]
    assert (one["created_at"], one["finished_at"], one["status"]) == (1_800_000_000, 1_800_000_002, "completed")
    assert (one["model"], one["stop_reason"], one["cost_usd"]) == ("claude", "end_turn", 0.123457)
    assert one["usage"]["cache_read_input_tokens"] == 3
    assert one["input"] == {"role": "user", "content": [{"type": "text", "text": "Hi"}]}
    assert [message["role"] for message in one["output"]] == ["assistant", "user", "assistant"]
    assert one["output"][0]["content"] == [{"type": "thinking", "thinking": "hm\nwell"}, OWN[0].content[1]]


def test_a_turn_for_people() -> None:
    assert "".join(_parts(turn(*OWN))) == (
        "\n## User, 2027-01-15 08:00:00 UTC\n\nHi\n"
        "\n## claude\n\n*Thinking*\n\n> hm\n> well\n"
        '\n**Own tool `Bash`** (c1)\n\n```json\n{\n  "command": "ls ☃"\n}\n```\n'
        "\n## Tools\n\n**Result** (c1, failed)\n\n````\n```\nfence\n```\n*[image, url]*\n````\n"
        "\n## claude\n\nDone.\n"
    )


@pytest.mark.parametrize(
    "block",
    [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aaaa"}},
        {"type": "redacted_thinking", "data": "opaque"},
        {"type": "something_new"},
    ],
)
def test_what_is_no_text_is_named(block: dict[str, Any]) -> None:
    said = "".join(_parts(turn(assistant(block))))
    assert f"*[{block['type']}" in said
    assert "aaaa" not in said
    assert "opaque" not in said


def test_half_a_surrogate_pair_can_be_sent() -> None:
    assert _bytes("a\ud800b") == b"a?b"
