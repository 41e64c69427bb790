"""Transcripts as the CLI keeps them: where they lie, whether they are whole, and those that we write."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from claude_code_api.claude import transcript
from claude_code_api.claude.launch import Workplace
from claude_code_api.claude.transcript import cut_after, imported, mirrored, path_of, saved_cost
from claude_code_api.core.turn import Message
from claude_code_api.runtime.ports import Entry

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


def write(place: Workplace, history: tuple[Message, ...], *, model: str) -> tuple[str, str]:
    """Write an imported transcript; return its session and its last entry."""
    session = str(uuid.uuid4())
    lines = imported(place, session, history, model=model)
    transcript.write(place, session, lines)
    return session, str(lines[-1].line["uuid"])


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


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_a_gap_anywhere_before_the_last_entry_is_noticed(place: Workplace, missing: int) -> None:
    session, leaf = write(place, HISTORY, model="sonnet")
    path = path_of(place, session)
    lines = path.read_text().split("\n")
    path.write_text("\n".join([*lines[:missing], *lines[missing + 1 :]]))
    assert saved_cost(place, session, leaf) is None


def test_a_line_that_is_torn_in_the_middle_is_a_gap(place: Workplace) -> None:
    session, leaf = write(place, HISTORY, model="sonnet")
    path = path_of(place, session)
    lines = path.read_text().split("\n")
    path.write_text("\n".join([lines[0], lines[1][:40] + lines[2], *lines[3:]]))
    assert saved_cost(place, session, leaf) is None


def test_what_stands_before_a_compaction_need_not_be_there(place: Workplace) -> None:
    session, leaf = write(place, HISTORY, model="sonnet")
    path = path_of(place, session)
    lines = [json.loads(line) for line in path.read_text().split("\n") if line]
    lines[2]["parentUuid"] = None
    path.write_text("".join(json.dumps(line) + "\n" for line in lines[2:]))
    assert saved_cost(place, session, leaf) == 0.0


def test_a_mirrored_frame_names_subagents_and_leaves_the_input_queue_out() -> None:
    lines = [{"type": "queue-operation"}, {"type": "user", "uuid": "1"}]
    assert mirrored({"filePath": "/c/projects/p/abc.jsonl", "entries": lines}, "abc") == [Entry("", lines[1])]
    path = "/c/projects/p/abc/subagents/agent-1.jsonl"
    assert mirrored({"filePath": path, "entries": lines}, "abc") == [Entry("subagents/agent-1", lines[1])]


def test_a_copy_comes_back_as_it_was_subagents_included(place: Workplace) -> None:
    copy = [*imported(place, "abc", HISTORY, model="sonnet"), Entry("subagents/agent-1", {"type": "user", "uuid": "s"})]
    transcript.write(place, "abc", copy)
    assert entries(path_of(place, "abc")) == [entry.line for entry in copy[:-1]]
    assert entries(path_of(place, "abc").with_suffix("") / "subagents/agent-1.jsonl") == [copy[-1].line]


@pytest.mark.parametrize("lost", [1, 2, 40])
def test_a_last_line_that_is_cut_off_is_noticed(place: Workplace, lost: int) -> None:
    session, leaf = write(place, HISTORY, model="sonnet")
    path = path_of(place, session)
    path.write_bytes(path.read_bytes()[:-lost])
    assert saved_cost(place, session, leaf) is None


def test_a_transcript_that_is_not_there_is_no_error(place: Workplace) -> None:
    assert saved_cost(place, "1234", "leaf") is None


# Calls of tools


CALLED = (
    Message("user", ({"type": "text", "text": "Hi"},)),
    Message(
        "assistant",
        (
            {"type": "tool_use", "id": "own", "name": "Bash", "input": {"command": "ls"}, "internal": True},
            {"type": "tool_use", "id": "a", "name": "weather", "input": {"city": "Rome"}},
        ),
    ),
    Message("user", ({"type": "tool_result", "tool_use_id": "own", "content": "x", "internal": True},)),
    Message("user", ({"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": "22"}]},)),
)


def test_calls_are_written_as_the_cli_would_have_made_them(place: Workplace) -> None:
    history, (_, answer, own_result, result) = CALLED, imported(place, "abc", CALLED, model="sonnet")
    assert answer.line["message"]["content"] == [
        {"type": "tool_use", "id": "own", "name": "Bash", "input": {"command": "ls"}},
        {"type": "tool_use", "id": "a", "name": "mcp__client__weather", "input": {"city": "Rome"}},
    ]
    assert own_result.line["message"]["content"] == [{"type": "tool_result", "tool_use_id": "own", "content": "x"}]
    assert result.line["message"]["content"] == list(history[3].content)
    assert history[1].content[1]["name"] == "weather"


# What stands behind the last completed turn


def behind(place: Workplace, session: str, *lines: str) -> Path:
    """The transcript, after more lines were written."""
    path = path_of(place, session)
    with path.open("a", encoding="utf-8") as out:
        out.write("".join(lines))
    return path


def entry(uuid: str, parent: str, text: str = "interrupted") -> str:
    """A line as the CLI writes it, which leaves U+2028 as it is."""
    message = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": text}]}
    line = {"type": "user", "uuid": uuid, "parentUuid": parent, "message": message}
    return json.dumps(line, ensure_ascii=False) + "\n"


def test_what_a_stopped_cli_wrote_behind_the_last_turn_is_cut_off(place: Workplace) -> None:
    session, leaf = write(place, HISTORY, model="sonnet")
    before = path_of(place, session).read_bytes()
    path = behind(place, session, entry("x", leaf), entry("y", "x"))
    cut_after(place, session, leaf)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_the_costs_and_other_notes_stay(place: Workplace) -> None:
    session, leaf = write(place, HISTORY, model="sonnet")
    cost = '{"type":"cost-state","totalCostUSD":0.25}\n'
    note = '{"type":"summary","leafUuid":"x"}\n'
    before = path_of(place, session).read_text(encoding="utf-8")
    path = behind(place, session, entry("x", leaf), cost, entry("y", "x"), note)
    cut_after(place, session, leaf)
    assert path.read_text(encoding="utf-8") == before + cost + note
    assert saved_cost(place, session, leaf) == 0.25


def test_an_entry_in_the_middle_can_be_gone_back_to(place: Workplace) -> None:
    session, _ = write(place, HISTORY, model="sonnet")
    path = path_of(place, session)
    second = entries(path)[1]["uuid"]
    cut_after(place, session, second)
    assert [one["uuid"] for one in entries(path)][-1] == second
    assert len(entries(path)) == 2


def test_with_nothing_behind_the_last_turn_the_file_is_left_alone(place: Workplace) -> None:
    session, leaf = write(place, HISTORY, model="sonnet")
    path = behind(place, session, '{"type":"cost-state","totalCostUSD":0.25}\n')
    before = path.stat()
    cut_after(place, session, leaf)
    after = path.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_separators_that_are_no_line_ends_for_the_cli_are_none_here(place: Workplace) -> None:
    session, leaf = write(place, HISTORY, model="sonnet")
    before = path_of(place, session).read_bytes()
    path = behind(place, session, entry("x", leaf, "one\u2028two\u2029three\x85four"))
    assert saved_cost(place, session, leaf) == 0.0
    cut_after(place, session, leaf)
    assert path.read_bytes() == before
    assert "\u2028".encode() in before


def test_a_last_line_that_is_cut_off_behind_the_last_turn_goes_with_it(place: Workplace) -> None:
    """The CLI would write on in the same line."""
    session, leaf = write(place, HISTORY, model="sonnet")
    path = behind(place, session, entry("x", leaf)[:-20])
    cut_after(place, session, leaf)
    assert path.read_text(encoding="utf-8").endswith("\n")


def call(identity: str) -> dict[str, Any]:
    return {"type": "tool_use", "id": identity, "name": "look", "input": {}}


def result(identity: str) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": identity, "content": [{"type": "text", "text": "Found."}]}


def test_what_lost_its_other_half_is_made_whole(place: Workplace) -> None:
    history = (
        Message("user", (result("gone"), {"type": "text", "text": "Look."})),
        Message("assistant", (call("a"), call("b"))),
        Message("user", (result("b"),)),
        Message("user", (result("other"),)),
        Message("assistant", ({"type": "text", "text": "Done."}, call("open"))),
    )
    lines = imported(place, "s", history, model="sonnet")
    told = [(one.line["message"]["role"], one.line["message"]["content"]) for one in lines]
    assert [
        [block.get("tool_use_id") or block.get("id") or block["text"] for block in content] for _, content in told
    ] == [
        ["Look."],
        ["a", "b"],
        ["a"],
        ["b"],
        ["Done.", "open"],
    ]
    assert told[2][1][0]["content"][0]["text"] == "The result was removed."
