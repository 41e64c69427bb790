"""From items to what was said."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from claude_code_api.api.media import Image, Media
from claude_code_api.api.openai_items.packed import compaction_item, packed_thought, summary_of, thought_of
from claude_code_api.api.openai_items.parts import urls_to_fetch
from claude_code_api.api.openai_items.read import Read, read, references
from claude_code_api.api.openai_items.wire import Input
from claude_code_api.core.turn import Block, Message
from claude_code_api.errors import GatewayError, InvalidFile, InvalidImage, InvalidRequest, UnsupportedParameter
from tests.images import PDF, base64_of, data_url, png
from tests.items import check_item

PNG = data_url(png())
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": base64_of(png())}}
URL = "https://pics.example/a.png"
THOUGHT = {"type": "thinking", "thinking": "Hm.", "signature": "signed"}
HI = {"role": "user", "content": "Hi"}
BYE = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Bye"}]}
HEX = "0123abcd456789ef0123456789abcdef"


class Body(BaseModel):
    """A request, as far as it is looked at here."""

    input: Input | None = None


def wire(given: Any) -> Any:
    return Body.model_validate({"input": given}).input


def said(*items: Any, media: Media | None = None, named: bool = False, **more: Any) -> Read:
    return read(wire(list(items)), media or Media(), appends=named, **more)


def refused(*items: Any, named: bool = False, **more: Any) -> GatewayError:
    with pytest.raises(InvalidRequest) as caught:
        said(*items, named=named, **more)
    caught.value.message.encode()
    return caught.value


def text(words: str) -> Block:
    return {"type": "text", "text": words}


def user(*blocks: Any) -> Message:
    return Message("user", tuple(text(one) if isinstance(one, str) else one for one in blocks))


def assistant(*blocks: Any) -> Message:
    return Message("assistant", tuple(text(one) if isinstance(one, str) else one for one in blocks))


def answer(words: str) -> dict[str, Any]:
    parts = [{"type": "output_text", "text": words, "annotations": [], "logprobs": []}]
    return {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": parts}


def call(identity: str, name: str = "f", arguments: Any = "{}") -> dict[str, Any]:
    return {"type": "function_call", "call_id": identity, "name": name, "arguments": arguments}


def output(identity: str, given: Any = "42") -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": identity, "output": given}


def used(identity: str, **arguments: Any) -> Block:
    return {"type": "tool_use", "id": identity, "name": "f", "input": arguments}


def gave(identity: str, *content: Any) -> Block:
    blocks = [text(one) if isinstance(one, str) else one for one in content or ("42",)]
    return {"type": "tool_result", "tool_use_id": identity, "content": blocks}


def thought(block: Block) -> dict[str, Any]:
    return {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": packed_thought(block)}


# Who says what


def test_a_text_is_the_users_message() -> None:
    assert read("Hi", Media(), appends=False) == Read((), (user("Hi"),), whole=False)


@pytest.mark.parametrize(
    ("given", "message"),
    [(None, "input is missing."), ("", "input must not be empty."), (" ", "input must not be empty."), ([], None)],
)
def test_there_must_be_something_to_answer(given: Any, message: str | None) -> None:
    with pytest.raises(InvalidRequest, match=message) as caught:
        read(given, Media(), appends=True)
    assert caught.value.param == "input"


def test_a_history_is_whole() -> None:
    found = said(HI, answer("Hello"), BYE)
    assert found == Read((), (user("Hi"), assistant("Hello"), user("Bye")), whole=True)
    assert said({"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}, BYE) == found


def test_instructions_are_apart() -> None:
    found = said(
        {"role": "system", "content": "Be kind"},
        HI,
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Be brief"}]},
        BYE,
    )
    assert found == Read(("Be kind", "Be brief"), (user("Hi", "\n\nBye"),), whole=False)


def test_instructions_alone_are_a_way_to_ask() -> None:
    assert said({"role": "developer", "content": "Tell a joke"}) == Read((), (user("Tell a joke"),), whole=False)


def test_neighbours_of_one_role_are_one_message() -> None:
    found = said(HI, BYE, answer("One"), answer("Two"), call("a"), output("a"), HI)
    assert found.messages == (
        user("Hi", "\n\nBye"),
        assistant("One", "\n\nTwo", used("a")),
        user(gave("a"), "Hi"),
    )


def test_a_refusal_is_what_was_said() -> None:
    declined = {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}
    assert said(HI, declined, BYE).messages[1] == assistant("No.")


@pytest.mark.parametrize("items", [[HI, answer("Hello")], [HI, call("a"), output("a"), answer("42")], [answer("x")]])
def test_the_last_word_is_the_users(items: list[Any]) -> None:
    error = refused(*items)
    assert error.param == "input"
    assert "last item" in error.message


# What users show


def test_images_and_files_stand_where_they_were() -> None:
    parts = [
        {"type": "input_text", "text": "one "},
        {"type": "text", "text": "two"},
        {"type": "input_image", "image_url": PNG, "detail": "auto"},
        {"type": "input_file", "file_data": data_url(PDF, "application/pdf"), "filename": "a.pdf"},
        {"type": "input_file", "file_data": base64_of(b"x,y")},
    ]
    (message,) = said({"role": "user", "content": parts}).messages
    assert message.content[:2] == (text("one two"), IMAGE)
    assert [(block["source"]["type"], block.get("title")) for block in message.content[2:]] == [
        ("base64", "a.pdf"),
        ("text", None),
    ]


def test_images_by_url_are_what_was_fetched() -> None:
    shown = {"type": "input_image", "image_url": URL}
    items = [HI, {"role": "user", "content": [shown]}, call("a"), output("a", [{"type": "input_text"}, shown])]
    theirs = {"role": "assistant", "content": [shown]}
    assert urls_to_fetch(wire([*items, theirs, {"role": "user", "content": [{**shown, "image_url": PNG}]}])) == [
        ("input[1].content[0].image_url", URL),
        ("input[3].output[1].image_url", URL),
    ]
    assert urls_to_fetch("https://pics.example/a.png") == []
    media = Media(fetched={URL: Image("image/png", base64_of(png()))})
    assert said({"role": "user", "content": [shown]}, media=media).messages == (user(IMAGE),)


AT = "input[1].content[0]"


@pytest.mark.parametrize(
    ("part", "param", "kind"),
    [
        ({"type": "input_image"}, f"{AT}.image_url", InvalidRequest),
        ({"type": "input_image", "image_url": "data:image/png;base64,AAAA"}, f"{AT}.image_url", InvalidImage),
        ({"type": "input_image", "file_id": "file-1"}, f"{AT}.file_id", UnsupportedParameter),
        ({"type": "input_file", "file_id": "file-1"}, f"{AT}.file_id", UnsupportedParameter),
        ({"type": "input_file", "file_url": URL}, f"{AT}.file_url", UnsupportedParameter),
        ({"type": "input_file", "filename": "a"}, f"{AT}.file_data", InvalidRequest),
        ({"type": "input_file", "file_data": "AAAA"}, f"{AT}.file_data", InvalidFile),
        ({"type": "input_file", "file_data": PNG}, f"{AT}.file_data", InvalidFile),
        ({"type": "input_file", "file_data": "eA==", "filename": "n" * 256}, f"{AT}.filename", InvalidRequest),
        ({"type": "input_text"}, f"{AT}.text", InvalidRequest),
        ({"type": "input_text", "text": "\ud83d"}, f"{AT}.text", InvalidRequest),
        ({"type": "refusal", "refusal": "no"}, AT, UnsupportedParameter),
        ({"type": "input_audio", "input_audio": {}}, AT, UnsupportedParameter),
        ({"type": "input_video", "video_url": "x"}, AT, UnsupportedParameter),
        ({"type": "input_text", "text": " "}, "input[1].content", InvalidRequest),
    ],
)
def test_parts_that_cannot_be_taken_are_named(part: dict[str, Any], param: str, kind: type[InvalidRequest]) -> None:
    error = refused(HI, {"role": "user", "content": [part]})
    assert error.param == param
    assert type(error) is kind
    assert "image_url part" not in error.message


@pytest.mark.parametrize("role", ["system", "developer", "assistant"])
def test_only_users_show_things(role: str) -> None:
    error = refused({"role": role, "content": [{"type": "input_image", "image_url": PNG}]}, HI)
    assert isinstance(error, UnsupportedParameter)
    assert error.param == "input[0].content[0]"


# Calls


def test_calls_are_answered_in_their_order() -> None:
    found = said(HI, answer("Let me see."), call("a", arguments='{"x":1}'), call("b"), output("b", "2"), output("a"))
    assert found.messages == (
        user("Hi"),
        assistant("Let me see.", used("a", x=1), used("b")),
        user(gave("a"), gave("b", "2")),
    )


def test_calls_one_after_another_are_rounds() -> None:
    found = said(HI, call("a"), output("a"), call("b"), output("b"))
    assert found.whole
    assert found.messages[1:] == (assistant(used("a")), user(gave("a")), assistant(used("b")), user(gave("b")))


def test_what_was_said_behind_a_call_belongs_to_its_message() -> None:
    found = said(HI, call("a"), answer("One moment."), output("a"))
    assert found.messages[1:] == (assistant(used("a"), "One moment."), user(gave("a")))


def test_an_output_has_text_and_images() -> None:
    parts = [
        {"type": "input_text", "text": "4"},
        {"type": "input_text", "text": "2"},
        {"type": "input_image", "image_url": PNG},
        {"type": "input_file", "file_data": base64_of(b"x,y"), "filename": "b.csv"},
    ]
    found = said(HI, call("a"), output("a", parts))
    assert found.messages[2] == user(gave("a", "42", IMAGE, "b.csv\n\nx,y"))
    assert said(HI, call("a"), output("a", "")).messages[2].content[0]["content"] == []
    error = refused(HI, call("a"), output("a", [{"type": "input_file", "file_data": base64_of(PDF)}]))
    assert error.param == "input[2].output[0]"


def test_outputs_append_to_a_conversation_that_holds_their_calls() -> None:
    found = said(output("b", "2"), output("a"), BYE, named=True)
    assert found == Read((), (user(gave("b", "2"), gave("a"), "Bye"),), whole=False)


def test_outputs_that_come_late_are_told_where_they_belong() -> None:
    assert "come before anything else" in refused(HI, output("a"), named=True).message


def test_what_is_appended_may_go_on_with_calls_of_its_own() -> None:
    found = said(output("a"), answer("Well."), call("b"), output("b"), BYE, named=True)
    assert found.messages == (
        user(gave("a")),
        assistant("Well.", used("b")),
        user(gave("b"), "Bye"),
    )


@pytest.mark.parametrize(
    ("items", "missing", "param"),
    [
        ([HI, call("a"), call("b"), output("a")], "b", "input[2].call_id"),
        ([HI, call("a"), call("b")], "a, b", "input[1].call_id"),
        ([HI, call("a"), BYE], "a", "input[1].call_id"),
        ([HI, call("a"), call("b"), output("b"), answer("x"), BYE], "a", "input[1].call_id"),
    ],
)
def test_every_call_must_be_answered(items: list[Any], missing: str, param: str) -> None:
    error = refused(*items)
    assert error.message == f"No tool output found for function call {missing}."
    assert error.param == param


@pytest.mark.parametrize(
    ("items", "named", "param"),
    [
        ([output("a")], False, "input[0].call_id"),
        ([HI, call("a"), output("x")], False, "input[2].call_id"),
        ([HI, call("a"), output("a"), output("a")], False, "input[3].call_id"),
        ([HI, call("a"), output("a"), BYE, output("a")], False, "input[4].call_id"),
        ([HI, call("a"), call("a"), output("a")], False, "input[2].call_id"),
        ([output("a"), output("a")], True, "input[1].call_id"),
        ([HI, output("a")], True, "input[1].call_id"),
        ([HI, call("a"), output("x")], True, "input[2].call_id"),
        ([HI, call("\ud83d")], False, "input[1].call_id"),
        ([HI, call("a", "no dots.")], False, "input[1].name"),
        ([HI, call("a", arguments="\ud83d")], False, "input[1].arguments"),
        ([HI, call("a"), output("a", "x" * 500_001)], False, "input[2].output"),
        ([HI, call("a"), output("a", "\ud83d")], False, "input[2].output"),
    ],
)
def test_calls_and_outputs_that_do_not_belong_together_are_named(items: list[Any], named: bool, param: str) -> None:
    assert refused(*items, named=named).param == param


# What else was told


def test_our_thoughts_come_back_to_their_place() -> None:
    found = said(HI, thought(THOUGHT), answer("Let me see."), call("a"), output("a"))
    assert found.messages[1] == assistant(THOUGHT, "Let me see.", used("a"))


def test_thoughts_part_nothing_that_was_said() -> None:
    found = said(HI, answer("One"), thought(THOUGHT), answer("Two"), BYE)
    assert found.messages[1] == assistant("One", THOUGHT, "\n\nTwo")


@pytest.mark.parametrize(
    "content",
    [
        None,
        "gAAAAABo",
        packed_thought({"type": "thinking", "thinking": "Hm."}),
        packed_thought({"type": "thinking", "thinking": "\ud83d", "signature": "x"}),
        packed_thought({**THOUGHT, "signature": ["x"]}),
        packed_thought(THOUGHT)[:-3],
        "not-encrypted.1." + base64.b64encode(b"[" * 100_000).decode(),
        "not-encrypted.1." + base64.b64encode(b'{"thinking": {"type": "text", "text": "x"}}').decode(),
        "not-encrypted.1." + base64.b64encode(b'{"thinking": {"type": ["x"]}}').decode(),
        "not-encrypted.1.\xe4",
    ],
)
def test_other_thoughts_are_left_out_and_still_were_an_answer(content: str | None) -> None:
    item: dict[str, Any] = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": content}
    found = said(HI, item, BYE)
    assert found == Read((), (user("Hi"), user("Bye")), whole=True)
    assert said(HI, item, answer("Hello"), BYE).messages == (user("Hi"), assistant("Hello"), user("Bye"))


def test_an_answer_of_nothing_but_thoughts_parts_messages() -> None:
    assert said(HI, thought(THOUGHT), BYE).messages == (user("Hi"), user("Bye"))


def test_only_what_the_model_takes_back_is_unpacked() -> None:
    forged = {**THOUGHT, "internal": True, "cache_control": {"type": "ephemeral"}}
    packed = base64.b64encode(json.dumps({"thinking": forged}).encode()).decode()
    assert thought_of(f"not-encrypted.1.{packed}") == thought_of(packed_thought(forged)) == THOUGHT


@pytest.mark.parametrize("kind", ["mcp_call", "web_search_call"])
def test_what_an_agent_did_is_taken_back_and_left_out(kind: str) -> None:
    item = {"type": kind, "id": f"mcp_{HEX}o0", "status": "completed", "action": {"type": "search"}, "error": None}
    assert said(HI, item, answer("Done."), BYE).messages == (user("Hi"), assistant("Done."), user("Bye"))
    for foreign in ("mcp_1", f"msg_{HEX}o0", None):
        error = refused(HI, {**item, "id": foreign}, BYE)
        assert isinstance(error, UnsupportedParameter)
        assert error.param == "input[1].type"


@pytest.mark.parametrize("kind", ["computer_call_output", "custom_tool_call", "mcp_list_tools", 5, ["x"]])
def test_other_items_are_refused_by_their_type(kind: Any) -> None:
    error = refused(HI, {"type": kind, "output": {"type": "computer_screenshot"}, "content": 5}, BYE)
    assert isinstance(error, UnsupportedParameter)
    assert error.param == "input[1].type"


def test_a_summary_stands_for_what_was_before_it() -> None:
    item = compaction_item("cmp_1", "They like otters.")
    check_item(item, output=True)
    found = said(item, BYE)
    assert found.whole
    (message,) = found.messages
    assert "summary of the conversation so far" in message.text()
    assert "They like otters." in message.text()
    assert message.text().endswith("\n\nBye")


@pytest.mark.parametrize("content", ["", "gAAAAABo", packed_thought(THOUGHT), "not-encrypted.1."])
def test_a_summary_of_somebody_else_cannot_be_read(content: str) -> None:
    assert summary_of(content) is None
    assert refused({"type": "compaction", "encrypted_content": content}, BYE).param == "input[0].encrypted_content"


def test_a_summary_says_that_it_is_no_secret() -> None:
    content = compaction_item("cmp_1", "They like otters.")["encrypted_content"]
    head, _, packed = content.rpartition(".")
    assert head == "not-encrypted.1"
    assert json.loads(base64.b64decode(packed)) == {"summary": "They like otters."}


# References


def test_references_are_what_they_refer_to() -> None:
    kept = {"msg_1": answer("Hello"), "fc_1": {**call("a"), "id": "fc_1", "status": "completed"}}
    items = [HI, {"type": "item_reference", "id": "msg_1"}, {"id": "fc_1"}, output("a")]
    assert references(wire([*items, {"id": "fc_1"}])) == ["msg_1", "fc_1"]
    assert references("msg_1") == []
    assert said(*items, kept=kept) == said(HI, answer("Hello"), call("a"), output("a"))


def test_a_reference_to_nothing_is_named() -> None:
    error = refused(HI, {"type": "item_reference", "id": "msg_1"}, BYE, kept={"msg_2": answer("x")})
    assert error.param == "input[1].id"
    assert "'msg_1'" in error.message
    assert "store" in error.message


# What is added to a conversation


def test_what_is_added_stays_as_it_came() -> None:
    shown = {"role": "user", "content": [{"type": "input_image", "image_url": PNG}]}
    found = said(shown, shown, BYE, answer("One"), answer("Two"), adds=True)
    assert found.messages == (user(IMAGE), user(IMAGE), user("Bye"), assistant("One"), assistant("Two"))


def test_calls_that_are_added_may_wait() -> None:
    found = said(HI, answer("Let me see."), call("a"), call("b"), adds=True)
    assert found.messages[1] == assistant("Let me see.", used("a"), used("b"))
    assert said(output("a"), output("b"), BYE, adds=True, named=True).messages == (user(gave("a"), gave("b"), "Bye"),)
    assert refused(HI, call("a"), call("b"), output("a"), adds=True).param == "input[2].call_id"
    assert refused(HI, call("a"), BYE, adds=True).param == "input[1].call_id"


def test_nothing_and_instructions_can_be_added() -> None:
    assert said(adds=True) == Read((), (), whole=False)
    assert said({"role": "developer", "content": "Be kind"}, adds=True) == Read(("Be kind",), (), whole=False)


def test_the_field_is_the_one_of_the_request() -> None:
    assert refused(HI, output("a"), adds=True, field="items").param == "items[1].call_id"


# The wire


@pytest.mark.parametrize(
    ("items", "place"),
    [
        ([{"role": "tool", "content": "x"}], "role"),
        ([{"role": "user"}], "content"),
        ([{"type": "function_call", "name": "f"}], "call_id"),
        ([{"type": "function_call_output", "call_id": "a"}], "output"),
        ([{"type": "compaction"}], "encrypted_content"),
        ([{"type": "item_reference"}], "id"),
        ([HI] * 20_001, None),
        ([{"role": "user", "content": [{"type": "input_text", "text": "x"}] * 10_001}], None),
    ],
)
def test_what_is_no_item_is_not_read(items: Any, place: str | None) -> None:
    with pytest.raises(ValidationError) as caught:
        wire(items)
    assert place is None or any(error["loc"][-1] == place for error in caught.value.errors())


def test_what_we_tell_by_default_is_not_unknown() -> None:
    shown = {"type": "input_image", "image_url": PNG, "detail": "auto"}
    first, second = wire([{"role": "user", "content": [shown, {**shown, "detail": "high"}]}])[0].content
    assert first.model_extra == {}
    assert second.model_extra == {"detail": "high"}


def test_a_long_history_is_read_in_no_time() -> None:
    thoughts = [thought(THOUGHT)] * 10_000
    items = wire([HI, *thoughts, *[answer("x")] * 5_000, *[call("a"), output("a")] * 1_000])
    began = time.perf_counter()
    assert len(read(items, Media(), appends=False).messages) == 2_001
    assert time.perf_counter() - began < 1
