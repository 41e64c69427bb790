"""Transcripts as the CLI keeps them: where they lie, whether they are whole, and those that we write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from claude_code_api.claude.launch import Workplace
from claude_code_api.claude.transcript import path_of, saved_cost, write
from claude_code_api.core.turn import Message

HISTORY = (
    Message("user", ({"type": "text", "text": "Grüß dich\u2028"},)),
    Message("assistant", ({"type": "text", "text": "Hello."},)),
    Message("user", ({"type": "text", "text": '"uuid":"not-an-id"}'},)),
    Message("assistant", ({"type": "text", "text": "One "}, {"type": "text", "text": "two."})),
)


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    place = Workplace(tmp_path / "some_key.1")
    place.create()
    return place


def entries(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def test_a_transcript_lies_where_the_cli_looks_for_it(place: Workplace) -> None:
    path = path_of(place, "1234")
    assert path.name == "1234.jsonl"
    assert path.parent.parent == place.config / "projects"
    assert path.parent.name.endswith("-some-key-1-work")


def test_a_written_transcript_can_be_gone_on_from(place: Workplace) -> None:
    session, leaf = write(place, HISTORY, model="sonnet")
    assert saved_cost(place, session, leaf) == 0.0


def test_each_entry_names_the_one_before_it(place: Workplace) -> None:
    session, leaf = write(place, HISTORY, model="sonnet")
    chain = entries(path_of(place, session))
    assert [entry["parentUuid"] for entry in chain] == [None, *(entry["uuid"] for entry in chain[:-1])]
    assert chain[-1]["uuid"] == leaf
    assert len({entry["uuid"] for entry in chain}) == len(HISTORY)


def test_roles_and_texts_are_kept_word_for_word(place: Workplace) -> None:
    session, _ = write(place, HISTORY, model="sonnet")
    chain = entries(path_of(place, session))
    assert [entry["type"] for entry in chain] == ["user", "assistant", "user", "assistant"]
    assert [entry["message"]["role"] for entry in chain] == [message.role for message in HISTORY]
    assert [tuple(entry["message"]["content"]) for entry in chain] == [message.content for message in HISTORY]


def test_entries_carry_what_the_cli_expects_of_its_own(place: Workplace) -> None:
    session, _ = write(place, HISTORY, model="opus")
    for entry in entries(path_of(place, session)):
        assert entry["sessionId"] == session
        assert entry["cwd"] == str(place.work)
        assert entry["isSidechain"] is False
        assert entry["timestamp"].endswith("Z")
    answers = [entry["message"] for entry in entries(path_of(place, session)) if entry["type"] == "assistant"]
    assert {answer["model"] for answer in answers} == {"opus"}
    assert len({answer["id"] for answer in answers}) == len(answers)


def test_two_transcripts_of_one_history_do_not_meet(place: Workplace) -> None:
    assert write(place, HISTORY, model="sonnet")[0] != write(place, HISTORY, model="sonnet")[0]


def test_no_history_is_no_transcript(place: Workplace) -> None:
    with pytest.raises(ValueError, match="empty history"):
        write(place, (), model="sonnet")


def test_what_the_session_had_cost_comes_with_it(place: Workplace) -> None:
    session, leaf = write(place, HISTORY, model="sonnet")
    with path_of(place, session).open("a") as out:
        out.write('{"type":"cost-state","sessionId":"x","totalCostUSD":0.25,"totalAPIDuration":48}\n')
        out.write('{"type":"cost-state","sessionId":"x","totalCostUSD":0.5,"totalAPIDuration":96}\n')
    assert saved_cost(place, session, leaf) == 0.5


def test_a_last_turn_that_was_not_written_is_noticed(place: Workplace) -> None:
    session, _ = write(place, HISTORY, model="sonnet")
    assert saved_cost(place, session, "a-leaf-that-never-was") is None
    assert saved_cost(place, session, "not-an-id") is None


def test_being_the_parent_of_an_entry_is_not_being_there(place: Workplace) -> None:
    session, leaf = write(place, HISTORY, model="sonnet")
    path = path_of(place, session)
    lines = path.read_text().split("\n")
    parent = json.loads(lines[2])["uuid"]
    path.write_text("\n".join([*lines[:2], *lines[3:]]))
    assert saved_cost(place, session, leaf) is not None
    assert saved_cost(place, session, parent) is None


@pytest.mark.parametrize("lost", [1, 2, 40])
def test_a_last_line_that_is_cut_off_is_noticed(place: Workplace, lost: int) -> None:
    session, leaf = write(place, HISTORY, model="sonnet")
    path = path_of(place, session)
    path.write_bytes(path.read_bytes()[:-lost])
    assert saved_cost(place, session, leaf) is None


def test_a_transcript_that_is_not_there_is_no_error(place: Workplace) -> None:
    assert saved_cost(place, "1234", "leaf") is None
