"""From a conversation's messages to items."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from claude_code_api.api.openai_items.ids import ItemId, parse
from claude_code_api.api.openai_items.packed import thought_of
from claude_code_api.api.openai_items.told import Telling, items_of_base, items_of_turn, output_items, without
from claude_code_api.core.turn import Block, Message, Usage
from claude_code_api.runtime.stored import StoredTurn
from tests.images import PDF, base64_of, data_url, png
from tests.items import check_item

TURN = "0123abcd-4567-89ef-0123-456789abcdef"
HEX = "0123abcd456789ef0123456789abcdef"
ALL = Telling(thinking=True, encrypted=True, activity=True, hide=lambda value: value)
BARE = Telling(thinking=False, encrypted=False, activity=False, hide=lambda value: value)
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": base64_of(png())}}
THOUGHT = {"type": "thinking", "thinking": "Hm.", "signature": "signed"}


def text(said: str) -> Block:
    return {"type": "text", "text": said}


def user(*blocks: Block) -> Message:
    return Message("user", blocks)


def assistant(*blocks: Block) -> Message:
    return Message("assistant", blocks)


def used(identity: str, name: str = "f", internal: bool = False, **arguments: Any) -> Block:
    block = {"type": "tool_use", "id": identity, "name": name, "input": arguments}
    return {**block, "internal": True, "activity": "does"} if internal else block


def gave(identity: str, *content: Block, internal: bool = False, **more: Any) -> Block:
    block = {"type": "tool_result", "tool_use_id": identity, "content": list(content), **more}
    return {**block, "internal": True} if internal else block


def turn(*output: Message, given: Message | None = None, developer: tuple[str, ...] = ()) -> StoredTurn:
    return StoredTurn(TURN, 1.0, 2.0, "claude", "end_turn", given or user(text("Hi")), output, Usage(), 0.0, developer)


def told(*messages: Message, telling: Telling = ALL, refused: bool = False) -> list[dict[str, Any]]:
    items = output_items(TURN, messages, telling, refused=refused)
    for item in items:
        if item.get("role") != "user":
            check_item(item, output=True)
    return items


def test_an_answer_is_a_message() -> None:
    assert told(assistant(text("Hel"), text("lo"))) == [
        {
            "id": f"msg_{HEX}o0",
            "type": "message",
            "status": "completed",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "Hello", "annotations": [], "logprobs": []}],
        }
    ]


def test_why_the_model_declined_is_a_refusal() -> None:
    (item,) = told(assistant(text("I will not.")), refused=True)
    assert item["content"] == [{"type": "refusal", "refusal": "I will not."}]


def test_a_turn_is_told_in_its_order() -> None:
    asked = user(gave("c0", text("42")), text("And?"), IMAGE)
    items = items_of_turn(turn(assistant(text("Well.")), given=asked, developer=("Be kind", "Be brief")), ALL)
    for item in items:
        check_item(item)
    assert [(item["id"], item.get("role")) for item in items] == [
        (f"msg_{HEX}d0", "developer"),
        (f"msg_{HEX}d1", "developer"),
        (f"fco_{HEX}i0", None),
        (f"msg_{HEX}i1", "user"),
        (f"msg_{HEX}o0", "assistant"),
    ]
    assert items[0]["content"] == [{"type": "input_text", "text": "Be kind"}]
    assert items[2] == {
        "id": f"fco_{HEX}i0",
        "type": "function_call_output",
        "status": "completed",
        "call_id": "c0",
        "output": "42",
    }
    assert items[3]["content"] == [
        {"type": "input_text", "text": "And?"},
        {"type": "input_image", "image_url": data_url(png()), "detail": "auto"},
    ]


def test_what_came_before_the_first_turn_has_the_ids_of_that_turn() -> None:
    items = items_of_base(TURN, (user(text("Hi")), assistant(text("Hello"))), ALL)
    assert [item["id"] for item in items] == [f"msg_{HEX}b0", f"msg_{HEX}b1"]


def test_files_are_told_as_they_came() -> None:
    pdf = {
        "type": "document",
        "source": {"type": "base64", "media_type": "application/pdf", "data": base64_of(PDF)},
        "title": "a.pdf",
    }
    plain = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "fünf"}}
    (item,) = items_of_turn(turn(given=user(pdf, plain)), ALL)
    check_item(item)
    assert item["content"] == [
        {"type": "input_file", "file_data": data_url(PDF, "application/pdf"), "filename": "a.pdf"},
        {"type": "input_file", "file_data": data_url("fünf".encode(), "text/plain")},
    ]


def test_messages_that_were_put_together_are_told_as_they_came() -> None:
    items = items_of_turn(turn(given=user(text("One"), text("\n\nTwo"), IMAGE, text("Three"))), ALL)
    assert [[part.get("text") for part in item["content"]] for item in items] == [["One"], ["Two", None, "Three"]]


def test_calls_and_what_they_gave() -> None:
    messages = (
        assistant(text("Let me see."), used("c1", city="Köln"), used("c2")),
        user(gave("c1", text("4"), text("2")), gave("c2", text("see"), IMAGE)),
    )
    _, first, second, result, other = told(*messages)
    assert first == {
        "id": f"fc_{HEX}o1",
        "type": "function_call",
        "status": "completed",
        "call_id": "c1",
        "name": "f",
        "arguments": '{"city":"Köln"}',
    }
    assert second["arguments"] == "{}"
    assert result["output"] == "42"
    assert [part["type"] for part in other["output"]] == ["input_text", "input_image"]


# Thinking


def test_thoughts_are_told_one_by_one() -> None:
    hidden = {"type": "redacted_thinking", "data": "opaque"}
    silent = {"type": "thinking", "thinking": "", "signature": "signed"}
    items = told(assistant(THOUGHT, hidden, silent, text("Yes.")))
    assert [item["id"] for item in items] == [*(f"rs_{HEX}o{n}" for n in range(3)), f"msg_{HEX}o3"]
    assert [item["summary"] for item in items[:3]] == [[{"type": "summary_text", "text": "Hm."}], [], []]
    assert [thought_of(item["encrypted_content"]) for item in items[:3]] == [THOUGHT, hidden, silent]
    assert not any("content" in item for item in items[:3])


def test_thoughts_are_not_told_where_they_may_not_be() -> None:
    (item,) = told(assistant(THOUGHT), telling=BARE)
    assert item == {"id": f"rs_{HEX}o0", "type": "reasoning", "summary": [], "status": "completed"}


# An agent's own work


def agent(name: str, *content: Block, is_error: bool = False, **arguments: Any) -> dict[str, Any]:
    messages = (
        assistant(used("c1", name, internal=True, **arguments)),
        user(text("A note of the CLI") | {"internal": True}, gave("c1", *content, internal=True, is_error=is_error)),
        assistant(text("Done.")),
    )
    item, done = told(*messages)
    assert done["id"] == f"msg_{HEX}o1"
    return item


def test_a_tool_of_the_agent_is_an_mcp_call() -> None:
    assert agent("Bash", text("a"), {"type": "image"}, text("b"), command="ls") == {
        "id": f"mcp_{HEX}o0",
        "type": "mcp_call",
        "status": "completed",
        "approval_request_id": None,
        "server_label": "claude_code",
        "name": "Bash",
        "arguments": '{"command":"ls"}',
        "output": "a\n[image]\nb",
        "error": None,
    }


@pytest.mark.parametrize(
    ("name", "server", "tool"),
    [
        ("mcp__docs__search__all", "docs", "search__all"),
        ("mcp__docs", "claude_code", "mcp__docs"),
        ("Read", "claude_code", "Read"),
    ],
)
def test_tools_of_a_server_have_its_name(name: str, server: str, tool: str) -> None:
    item = agent(name)
    assert (item["server_label"], item["name"]) == (server, tool)


def test_a_call_that_failed_says_why() -> None:
    item = agent("Bash", text("no such file"), is_error=True)
    assert (item["status"], item["output"]) == ("failed", None)
    assert item["error"] == {
        "type": "mcp_tool_execution_error",
        "content": [{"type": "text", "text": "no such file"}],
    }


def test_a_call_whose_end_is_not_known_is_incomplete() -> None:
    (item,) = told(assistant(used("c1", "Bash", internal=True)))
    assert (item["status"], item["output"], item["error"]) == ("incomplete", None, None)


@pytest.mark.parametrize(
    ("name", "arguments", "action"),
    [
        ("WebSearch", {"query": "otters"}, {"type": "search", "query": "otters"}),
        ("WebFetch", {"url": "https://a.example", "prompt": "?"}, {"type": "open_page", "url": "https://a.example"}),
        ("WebSearch", {}, {"type": "search", "query": ""}),
    ],
)
def test_the_web_is_looked_at_with_items_of_its_own(name: str, arguments: Any, action: Any) -> None:
    item = agent(name, text("found"), **arguments)
    assert item == {"id": f"ws_{HEX}o0", "type": "web_search_call", "status": "completed", "action": action}


def test_calls_that_the_cli_answered_itself_are_not_told() -> None:
    messages = (
        assistant({"type": "tool_use", "id": "c1", "name": "mcp__client__f", "input": {}, "internal": True}),
        user(gave("c1", text("No such tool"), internal=True, is_error=True)),
        assistant(text("Done.")),
    )
    (done,) = told(*messages)
    assert done["id"] == f"msg_{HEX}o0"


def test_the_servers_directories_are_hidden() -> None:
    def hide(value: Any) -> Any:
        return json.loads(json.dumps(value).replace("/srv/secret", "/workspace"))

    messages = (
        assistant(used("c1", "Read", internal=True, path="/srv/secret/a")),
        user(gave("c1", text("/srv/secret/a is empty"), internal=True)),
    )
    (item,) = told(*messages, telling=replace(ALL, hide=hide))
    assert "secret" not in json.dumps(item)
    assert item["output"] == "/workspace/a is empty"


def test_ids_do_not_depend_on_what_is_shown() -> None:
    messages = (
        assistant(THOUGHT, used("c1", "Bash", internal=True)),
        user(gave("c1", internal=True)),
        assistant(text("Done."), {"type": "removed"}, used("c2")),
    )
    assert [item["id"] for item in told(*messages)] == [
        f"rs_{HEX}o0",
        f"mcp_{HEX}o1",
        f"msg_{HEX}o2",
        f"fc_{HEX}o4",
    ]
    assert [item["id"] for item in told(*messages, telling=BARE)] == [f"rs_{HEX}o0", f"msg_{HEX}o2", f"fc_{HEX}o4"]


# Taking items out

WORK = turn(
    assistant(THOUGHT, text("Let "), text("me see."), used("c1", "Bash", internal=True)),
    user(gave("c1", text("x"), internal=True)),
    assistant(text("Done."), used("c2")),
    given=user(gave("c0", text("42")), text("One"), text("\n\nTwo"), IMAGE),
    developer=("Be kind", "Be brief"),
)


@pytest.mark.parametrize("item", items_of_turn(WORK, ALL), ids=lambda item: str(item["id"])[-3:])
def test_without_an_item_the_others_are_what_they_were(item: dict[str, Any]) -> None:
    identity = parse(item["id"])
    assert identity is not None
    left = without(WORK, identity)
    assert left is not None
    assert items_of_turn(left, ALL) == [one for one in items_of_turn(WORK, ALL) if one["id"] != item["id"]]
    assert without(left, identity) is None


def test_what_is_taken_out_leaves_one_block() -> None:
    left = without(WORK, ItemId("msg", TURN, "o", 1))
    assert left is not None
    assert left.output[0].content == (THOUGHT, {"type": "removed"}, WORK.output[0].content[3])
    assert left.output[1:] == WORK.output[1:]
    assert without(WORK, ItemId("msg", TURN, "d", 0)) == replace(WORK, developer=("", "Be brief"))


@pytest.mark.parametrize(
    "item",
    [
        ItemId("msg", TURN, "o", 0),
        ItemId("msg", TURN, "o", 5),
        ItemId("", TURN, "o", 5),
        ItemId("msg", TURN, "d", 2),
        ItemId("fc", TURN, "d", 0),
        ItemId("msg", TURN, "b", 0),
        ItemId("msg", "11111111-1111-1111-1111-111111111111", "o", 1),
    ],
)
def test_what_is_not_there_cannot_be_taken_out(item: ItemId) -> None:
    assert without(WORK, item) is None


def test_without_every_item_nothing_is_told() -> None:
    left = WORK
    for item in items_of_turn(WORK, ALL):
        identity = parse(item["id"])
        assert identity is not None
        left = without(left, identity) or left
    assert items_of_turn(left, ALL) == []
