"""From a Messages request to a turn."""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import ValidationError
from starlette.datastructures import Headers

from claude_code_api.api.anthropic_messages.lines import place_of
from claude_code_api.api.anthropic_messages.parts import OWN_SIGNATURE, files_to_read, urls_to_fetch
from claude_code_api.api.anthropic_messages.translate import ParsedRequest, parse
from claude_code_api.api.anthropic_messages.wire import MessagesRequest
from claude_code_api.api.media import Image, Media
from claude_code_api.core.identity import Identity
from claude_code_api.core.models import ModelNames
from claude_code_api.core.turn import Message, Options, Tool, ToolChoice, TurnInput
from claude_code_api.errors import (
    InvalidFile,
    InvalidImage,
    InvalidRequest,
    ModelNotFound,
    ThreadsNotOffered,
    UnsupportedParameter,
)
from tests.images import png

MODELS = ModelNames(default="sonnet", aliases={})
PRODUCTS = ("X-OpenWebUI-Chat-Id", "X-Claude-Code-Session-Id", "X-Session-Id")
PNG = base64.b64encode(png(1, 1)).decode()
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
WEATHER = {"name": "get_weather", "description": "Tells the weather.", "input_schema": SCHEMA}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Oslo"}}

Json = dict[str, Any]


def user(*content: Any) -> Json:
    return {"role": "user", "content": content[0] if isinstance(content[0], str) else list(content)}


def assistant(*content: Any) -> Json:
    return {**user(*content), "role": "assistant"}


def system(text: Any, **more: Any) -> Json:
    return {"role": "system", "content": text, **more}


def text(words: str, **more: Any) -> Json:
    return {"type": "text", "text": words, **more}


def result(content: Any = "7 degrees", call: str = "toolu_1", **more: Any) -> Json:
    return {"type": "tool_result", "tool_use_id": call, "content": content, **more}


def request(*messages: Json, **more: Any) -> MessagesRequest:
    body = {"model": "sonnet", "max_tokens": 100, "messages": messages or (user("Hi"),), **more}
    return MessagesRequest.model_validate(body)


def parsed(
    *messages: Json,
    headers: Mapping[str, str] | None = None,
    media: Media | None = None,
    strict: bool = False,
    **more: Any,
) -> ParsedRequest:
    body = request(*messages, **more)
    place = place_of(body.conversation_id, Headers(headers or {}), PRODUCTS)
    return parse(body, models=MODELS, place=place, strict=strict, side_requests=("### Task:",), media=media)


def turn(*messages: Json, **more: Any) -> TurnInput:
    return parsed(*messages, **more).turn


def said(message: Message | None) -> list[Any]:
    """A message's blocks, texts as they are."""
    assert message is not None
    return [block["text"] if block["type"] == "text" else block for block in message.content]


def refused(kind: type[InvalidRequest], *messages: Json, **more: Any) -> str:
    with pytest.raises(kind) as caught:
        parsed(*messages, **more)
    assert caught.value.param is not None
    return f"{caught.value.param}: {caught.value.message}"


# The dialogue


def test_one_message() -> None:
    asked = turn()
    assert said(asked.new) == ["Hi"]
    assert (asked.history, asked.system, asked.model, asked.profile) == ((), "", "sonnet", "chat")
    assert (asked.named, asked.apart, asked.kept, asked.developer) == (False, False, True, ())


def test_a_history_with_calls_and_results() -> None:
    thought = {"type": "thinking", "thinking": "Hm.", "signature": "s"}
    asked = turn(
        user("Weather?"),
        assistant(thought, text("I look."), {**CALL, "caller": {"type": "direct"}}),
        user(result(is_error=True), text("Well?")),
        tools=[WEATHER],
    )
    assert asked.history == (
        Message("user", ({"type": "text", "text": "Weather?"},)),
        Message("assistant", (thought, {"type": "text", "text": "I look."}, CALL)),
    )
    given = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [text("7 degrees")], "is_error": True}
    assert said(asked.new) == [given, "Well?"]


def test_blocks_of_text_stay_apart_and_what_is_marked_for_the_cache_is_the_same() -> None:
    marked = turn(user(text("One", cache_control={"type": "ephemeral"}), text("Two"), text(" ")))
    assert said(marked.new) == ["One", "Two"]
    assert marked == turn(user(text("One"), text("Two", cache_control={"type": "ephemeral", "ttl": "1h"})))


def test_thinking_goes_back_when_a_model_signed_it() -> None:
    hidden = {"type": "redacted_thinking", "data": "xyz"}
    ours = {"type": "thinking", "thinking": "Bash: ls", "signature": OWN_SIGNATURE}
    unsigned = {"type": "thinking", "thinking": "Hm.", "signature": ""}
    asked = turn(user("Hi"), assistant(hidden, ours, unsigned, text("Ho")), user("Go on"))
    assert asked.history is not None
    assert said(asked.history[1]) == [hidden, "Ho"]


@pytest.mark.parametrize(
    ("messages", "why"),
    [
        ((user("Hi"), assistant("Ho")), "messages: messages: the last one must be the user's"),
        ((assistant(CALL), user("Hi")), "messages.0: messages.0: `tool_use` ids were found without `tool_result`"),
        ((user(result()),), "messages.0.content.0: messages.0.content.0: unexpected `tool_use_id`"),
        ((assistant(CALL), user(result(call="x"))), "messages.1.content.0: messages.1.content.0: unexpected"),
        ((assistant(CALL), user(result(), result())), "each tool_use must have a single result"),
        ((assistant(CALL, CALL), user(result())), "messages.0.content.1.id"),
        ((user(text("")),), "messages.0.content: messages.0.content must not be empty"),
        (({"role": "user"},), "messages.0.content: messages.0.content: Field required"),
        ((user({"type": "text"}),), "messages.0.content.0.text: messages.0.content.0.text: Field required"),
        ((user(CALL),), "messages.0.content.0: messages.0.content.0: 'tool_use' blocks stand in messages of the a"),
        ((assistant({"type": "image"}), user("Hi")), "'image' blocks stand in messages of the user"),
        ((system("Be terse."),), "messages: messages: at least one message of the user"),
    ],
)
def test_what_is_wrong_with_messages_is_named_as_anthropic_names_it(messages: tuple[Json, ...], why: str) -> None:
    assert why in refused(InvalidRequest, *messages)


@pytest.mark.parametrize("kind", ["server_tool_use", "web_search_tool_result", "container_upload", "compaction"])
def test_blocks_of_anthropics_servers_are_refused(kind: str) -> None:
    why = refused(UnsupportedParameter, user("Hi"), assistant({"type": kind}), user("Go on"))
    assert why.startswith("messages.1.content.0: ")
    assert repr(kind) in why


# Instructions inside the dialogue


def test_a_system_message_before_the_first_answer_is_an_instruction() -> None:
    first = turn(user("Hi"), system([text("Env.", cache_control={})]), system="Be terse.")
    again = turn(user("Hi"), system("Env."), assistant("Ho"), user("Go on"), system="Be terse.")
    assert (first.system, first.developer) == ("Be terse.", ("Env.",)) == (again.system, again.developer)
    assert again.history is not None
    assert [message.role for message in again.history] == ["user", "assistant"]


def test_a_later_one_is_told_where_it_stands() -> None:
    note = "<system-reminder>\nBe terse.\n</system-reminder>"
    asked = turn(user("Hi"), assistant("Ho"), user("Go on"), system("Be terse."))
    assert said(asked.new) == ["Go on", f"\n\n{note}"]
    assert asked.developer == ()
    before = turn(user("Hi"), assistant("Ho"), system("Be terse."), user("Go on"), assistant("So"), user("And?"))
    assert before.history is not None
    assert said(before.history[2]) == [note, "\n\nGo on"]


def test_one_that_passes_is_no_instruction_that_stays() -> None:
    asked = parsed(user("Hi"), system("Soon.", clear_at="next_user_message"))
    assert asked.turn.developer == ()
    assert "Soon." in asked.turn.new.text()
    assert asked.ignored == ("messages[].clear_at",)


REMINDER = "<system-reminder>\nTokens left: 5\n</system-reminder>"


@pytest.mark.parametrize(
    "after",
    [
        (user(result(), text(REMINDER)),),
        (user(result()), user(text(REMINDER))),
        (user(result()), system("Tokens left: 5")),
        (user(result([text("7 degrees")]), text(f" {REMINDER}\n")),),
    ],
)
def test_what_is_said_beside_results_ends_the_last_of_them(after: tuple[Json, ...]) -> None:
    """The process that waits for the results takes nothing else."""
    (block,) = turn(user("Hi"), assistant(CALL), *after).new.content
    assert [part["text"].strip() for part in block["content"]] == ["7 degrees", REMINDER]


def test_very_many_notes_beside_a_result_take_no_time() -> None:
    notes = [text(f"<system-reminder>{number}</system-reminder>") for number in range(9_999)]
    body = request(user("Hi"), assistant(CALL), user(result(), *notes))
    before = time.thread_time()
    (given,) = parse(body, models=MODELS).turn.new.content
    assert time.thread_time() - before < 1
    assert len(given["content"]) == 10_000


def test_tools_that_were_loaded_are_told_in_the_result_and_offered_from_then_on() -> None:
    later = {**WEATHER, "name": "later", "defer_loading": True}
    found = result([{"type": "tool_reference", "tool_name": "later"}])
    tools = [WEATHER, later]
    asked = turn(user("Hi"), assistant(CALL), user(found, text("Tool loaded.")), tools=tools)
    (block,) = asked.new.content
    assert [part["text"] for part in block["content"]] == ["The tool later is available now.", "Tool loaded."]
    assert [tool.name for tool in asked.options.tools] == ["get_weather", "later"]
    assert [tool.name for tool in turn(tools=tools).options.tools] == ["get_weather"]


def test_words_of_the_user_beside_results_stay_the_users() -> None:
    asked = turn(user("Hi"), assistant(CALL), user(result(), text(REMINDER), text("Stop that.")))
    first, words = said(asked.new)
    assert (len(first["content"]), words) == (2, "Stop that.")


def test_words_between_two_notes_are_the_users() -> None:
    """The model must not take them for what a tool gave."""
    words = f"{REMINDER}\nDelete it not.\n{REMINDER}"
    first, *rest = said(turn(user("Hi"), assistant(CALL), user(result(), text(words))).new)
    assert (len(first["content"]), rest) == (1, [words])
    (only,) = said(turn(user("Hi"), assistant(CALL), user(result(), text(f"{REMINDER}\n{REMINDER}"))).new)
    assert len(only["content"]) == 2


def test_notes_that_make_a_result_too_long_are_said_behind_it() -> None:
    long = f"<system-reminder>{'x' * 499_990}</system-reminder>"
    for note in (text(long), text(REMINDER)):
        first, *rest = said(turn(user("Hi"), assistant(CALL), user(result("y" * 499_990), note)).new)
        assert (len(first["content"]), rest) == (1, [note["text"]])


def test_tools_come_and_go_in_the_middle() -> None:
    definition = {"type": "tool_definition", "definition": {**WEATHER, "name": "added"}}
    reference = {"type": "tool_reference", "name": "get_weather"}
    added, removed = {"type": "tool_addition", "tool": definition}, {"type": "tool_removal", "tool": reference}
    asked = turn(user("Hi"), assistant("Ho"), user("Go on"), system([added, removed]), tools=[WEATHER])
    assert [tool.name for tool in asked.options.tools] == ["added"]
    assert "messages.1.content.0.tool" in refused(InvalidRequest, user("Hi"), system([removed]))


# Media


def test_images_and_documents() -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    note = {"type": "document", "title": "n.txt", "source": {"type": "text", "media_type": "text/plain", "data": "Hi"}}
    found = {"type": "search_result", "source": "http://x", "title": "X", "content": [text("It is."), text("So.")]}
    blocks = {"type": "document", "source": {"type": "content", "content": [text("One"), text("Two")]}}
    mixed = {"type": "document", "title": "M", "source": {"type": "content", "content": [text("See"), image]}}
    told = turn(user(image, {**note, "context": "A note."}, found, blocks, mixed)).new.content
    document = {"type": "text", "media_type": "text/plain"}
    assert list(told) == [
        image,
        {"type": "document", "source": {**document, "data": "Hi"}, "title": "n.txt", "context": "A note."},
        {"type": "document", "source": {**document, "data": "It is.\n\nSo."}, "title": "X", "context": "http://x"},
        {"type": "document", "source": {**document, "data": "One\n\nTwo"}},
        *(text("M"), text("See"), image),
    ]


def test_images_by_url_are_fetched_those_in_results_too() -> None:
    picture = {"type": "image", "source": {"type": "url", "url": "https://x/1.png"}}
    messages = (user("Hi"), assistant(CALL), user(result([picture]), picture))
    wanted = urls_to_fetch(request(*messages))
    assert wanted == [
        ("messages.2.content.0.content.0.source.url", "https://x/1.png"),
        ("messages.2.content.1.source.url", "https://x/1.png"),
    ]
    image = Image("image/png", PNG)
    given, shown = turn(*messages, media=Media(fetched={"https://x/1.png": image})).new.content
    assert given["content"] == [image.block()] == [shown]


def test_uploaded_files() -> None:
    picture = {"type": "image", "source": {"type": "file", "file_id": "file_1"}}
    note = {"type": "document", "title": "n.txt", "source": {"type": "file", "file_id": "file_2"}}
    asked = user(picture, note)
    assert files_to_read(request(asked)) == [
        ("messages.0.content.0.source.file_id", "file_1"),
        ("messages.0.content.1.source.file_id", "file_2"),
    ]
    files = {"file_1": PNG, "file_2": base64.b64encode(b"Hi").decode()}
    image, document = turn(asked, media=Media(files=files)).new.content
    assert image == Image("image/png", PNG).block()
    assert (document["source"]["data"], document["title"]) == ("Hi", "n.txt")
    assert len(turn(asked, media=Media(awaited=True)).new.content) == 2


def test_documents_of_text_in_results_are_read_out() -> None:
    found = {"type": "search_result", "source": "http://x", "title": "X", "content": [text("It is.")]}
    (block,) = turn(user("Hi"), assistant(CALL), user(result([found]))).new.content
    assert block["content"] == [text("X\n\nhttp://x\n\nIt is.")]


@pytest.mark.parametrize(
    ("kind", "block", "field"),
    [
        (
            InvalidImage,
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "x"}},
            "source",
        ),
        (InvalidRequest, {"type": "image", "source": {"type": "file", "file_id": "f"}}, "source.file_id"),
        (InvalidRequest, {"type": "document", "source": {"type": "file"}}, "source.file_id"),
        (UnsupportedParameter, {"type": "document", "source": {"type": "url", "url": "http://x"}}, "source.url"),
        (UnsupportedParameter, {"type": "image", "source": {"type": "tape"}}, "source.type"),
        (InvalidRequest, {"type": "image"}, "source"),
        (InvalidFile, {"type": "document", "source": {"type": "text", "data": " "}}, "source.data"),
        (InvalidFile, {"type": "document", "source": {"type": "content", "content": []}}, "source.content"),
        (InvalidRequest, {"type": "search_result", "title": "X", "content": []}, "source"),
    ],
)
def test_media_that_cannot_be_taken(kind: type[InvalidRequest], block: Json, field: str) -> None:
    assert refused(kind, user(block)).startswith(f"messages.0.content.0.{field}: ")


# Tools and options


def test_tools_and_the_choice_among_them() -> None:
    asked = turn(tools=[{**WEATHER, "type": "custom", "cache_control": {"type": "ephemeral"}}])
    assert asked.options.tools == (Tool("get_weather", "Tells the weather.", SCHEMA),)
    choices = {
        "auto": ToolChoice(),
        "any": ToolChoice("any"),
        "none": ToolChoice("none"),
    }
    for kind, choice in choices.items():
        assert turn(tools=[WEATHER], tool_choice={"type": kind}).options.tool_choice == choice
    one = {"type": "tool", "name": "get_weather", "disable_parallel_tool_use": True}
    assert turn(tools=[WEATHER], tool_choice=one).options.tool_choice == ToolChoice("tool", "get_weather", False)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (
            {"tools": [{"type": "bash_20250124", "name": "bash"}]},
            "tools.0.type: tools.0.type: 'bash_20250124' is a tool of",
        ),
        (
            {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
            "'web_search_20250305' runs on Anthropic's",
        ),
        ({"tools": [{"type": "mcp_toolset"}]}, "tools.0.type"),
        ({"tools": [{"name": "x"}]}, "tools.0.input_schema: tools.0.input_schema: Field required"),
        ({"tools": [{**WEATHER, "name": "a b"}]}, "tools.0.name: tools.0.name: a tool's name has"),
        ({"tools": [WEATHER, WEATHER]}, "tools.1.name: tools.1.name: Tool names must be unique"),
        ({"tools": [{**WEATHER, "input_schema": {"type": "array"}}]}, "tools.0.input_schema: Invalid schema for"),
        ({"tool_choice": {"type": "any"}}, "tool_choice: tool_choice: may only be specified while providing tools"),
        ({"tools": [WEATHER], "tool_choice": {"type": "tool", "name": "x"}}, "tool_choice.name"),
        ({"tools": [WEATHER], "tool_choice": {"type": "all"}}, "tool_choice.type"),
        ({"output_config": {"effort": "huge"}}, "output_config.effort"),
        ({"output_config": {"format": {"type": "xml"}}}, "output_config.format.type"),
        ({"output_config": {"format": {"type": "json_schema"}}}, "output_config.format.schema"),
        ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
        ({"thinking": {"type": "enabled", "budget_tokens": 10}}, "thinking.budget_tokens"),
        ({"thinking": {"type": "deep"}}, "thinking.type"),
        ({"thinking": {"type": "adaptive", "display": "all"}}, "thinking.display"),
        ({"stop_sequences": [" "]}, "stop_sequences"),
        ({"stop_sequences": ["x" * 1001]}, "stop_sequences"),
        ({"stop_sequences": ["x"] * 65}, "stop_sequences"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"system": [{"type": "image"}]}, "system.0.type"),
        ({"container": "c"}, "container"),
        ({"mcp_servers": [{"type": "url"}]}, "mcp_servers"),
        ({"compaction": {}}, "compaction"),
    ],
)
def test_what_is_not_offered_is_refused_by_name(more: Json, why: str) -> None:
    assert why in refused(InvalidRequest, **more)


def test_a_forced_call_and_a_schema_exclude_each_other_and_so_do_it_and_thinking() -> None:
    forced: Json = {"tools": [WEATHER], "tool_choice": {"type": "any"}}
    assert "tool_choice" in refused(
        InvalidRequest, **forced, output_config={"format": {"type": "json_schema", "schema": SCHEMA}}
    )
    assert "thinking" in refused(InvalidRequest, **forced, thinking={"type": "enabled", "budget_tokens": 2000})
    assert turn(**forced, thinking={"type": "adaptive"}).options.thinking


def test_threads_are_refused_so_that_the_client_goes_on_without() -> None:
    refused(ThreadsNotOffered, thread={"type": "create"})
    assert turn(thread=None) == turn()


def test_options() -> None:
    asked = turn(
        stop_sequences=["END"],
        thinking={"type": "enabled", "budget_tokens": 2048, "display": "omitted"},
        output_config={"effort": "max"},
    )
    assert asked.options == Options(
        effort="max", max_tokens=100, stop=("END",), thinking_budget=2048, thinking_display="omitted"
    )


def test_a_chat_thinks_when_it_is_asked_to() -> None:
    assert (turn().options.thinking, parsed().thinking) == (False, False)
    off = parsed(thinking={"type": "disabled"})
    assert (off.turn.options.thinking, off.thinking) == (False, False)
    on = parsed(thinking={"type": "adaptive"})
    assert (on.turn.options.thinking, on.thinking) == (True, True)
    agent = parsed(model="agent/sonnet")
    assert (agent.turn.options.thinking, agent.thinking) == (True, False)


def test_the_effort_of_the_newest_message_counts() -> None:
    first, second = (system("", output_config={"effort": effort}) for effort in ("low", "high"))
    asked = turn(user("Hi"), first, assistant("Ho"), user("Go on"), second, output_config={"effort": "max"})
    assert asked.options.effort == "high"
    assert "messages.1.output_config.effort" in refused(
        InvalidRequest, user("Hi"), system("", output_config={"effort": "x"})
    )


def test_a_schema_of_the_answer_at_its_newer_or_its_older_place() -> None:
    asked = {"type": "json_schema", "schema": SCHEMA}
    assert turn(output_config={"format": asked}).schema == turn(output_format=asked).schema == SCHEMA
    assert "output_format" in refused(InvalidRequest, output_config={"format": asked}, output_format=asked)


def test_an_agent_is_not_cut_short() -> None:
    asked = parsed(model="agent/sonnet", stop_sequences=["END"])
    assert (asked.turn.profile, asked.turn.options.max_tokens, asked.turn.options.stop) == ("agent", None, ())
    assert asked.ignored == ("stop_sequences", "max_tokens")
    assert parsed(model="agent/sonnet", strict=True).ignored == ("max_tokens",)
    with pytest.raises(UnsupportedParameter):
        parsed(model="agent/sonnet", stop_sequences=["END"], strict=True)


def test_what_has_no_effect_is_listed() -> None:
    tool = {**WEATHER, "strict": True, "eager_input_streaming": True, "input_examples": [{}]}
    asked = parsed(temperature=1, top_k=5, metadata={"user_id": "u"}, service_tier="auto", tools=[tool])
    assert set(asked.ignored) == {
        *("temperature", "top_k", "metadata", "service_tier"),
        *("tools[].strict", "tools[].eager_input_streaming", "tools[].input_examples"),
    }
    with pytest.raises(UnsupportedParameter):
        parsed(temperature=1, strict=True)


def test_what_has_an_effect_elsewhere_is_listed_where_it_has_none() -> None:
    note = {"type": "document", "source": {"type": "text", "data": "Hi"}}
    cited, bare = ({**note, "citations": {"enabled": enabled}} for enabled in (True, False))
    call = {**CALL, "toolset_name": "weather"}
    schema = {"format": {"type": "json_schema", "schema": SCHEMA}}
    asked = parsed(
        *(user("Hi"), assistant(call), user(result([cited]))),
        system("Go on.", output_config=schema),
        thinking={"type": "adaptive", "budget_tokens": 2000},
    )
    assert set(asked.ignored) == {
        *("thinking.budget_tokens", "messages[].output_config.format", "messages[].content[].toolset_name"),
        "messages[].content[].content[].citations",
    }
    assert parsed(user(cited)).ignored == ("messages[].content[].citations",)
    assert parsed(user(bare), thinking={"type": "enabled", "budget_tokens": 2000}).ignored == ()


def test_what_the_api_requires_is_required() -> None:
    for name in ("model", "max_tokens", "messages"):
        body: Json = {"model": "sonnet", "max_tokens": 1, "messages": [user("Hi")]}
        del body[name]
        with pytest.raises(ValidationError):
            MessagesRequest.model_validate(body)
    with pytest.raises(ModelNotFound):
        parsed(model="gpt-5")


def test_what_claude_code_tells_anthropics_servers_is_no_prompt() -> None:
    blocks = [text("x-anthropic-billing-header: cc_version=1;"), text("You are terse.", cache_control={}), text("So.")]
    assert turn(system=blocks).system == "You are terse.\n\nSo."


# Which conversation


def test_an_id_of_ours_appends() -> None:
    asked = parsed(user("Hi"), conversation_id="c1")
    assert (asked.conversation_id, asked.turn.history, asked.turn.system) == ("c1", None, None)
    assert parsed(user("Hi"), headers={"x-conversation-id": "c1"}).conversation_id == "c1"
    given = parsed(user(result()), conversation_id="c1").turn
    assert given.new.content[0]["tool_use_id"] == "toolu_1"
    whole = parsed(user("Hi"), assistant("Ho"), user("Go on"), conversation_id="c1")
    assert whole.turn.history is not None
    assert parsed(user("Hi"), headers={"x-openwebui-chat-id": "w1"}).conversation_id == "w1"


def line(*messages: Json, agent: str = "", **more: Any) -> str | None:
    headers = {"x-claude-code-session-id": "s1", "x-claude-code-agent-id": agent}
    return parsed(*messages, headers=headers, tools=[WEATHER], **more).conversation_id


def test_a_session_of_claude_codes_has_lines() -> None:
    main = line(user("Hi"), system("Env."))
    assert main is not None
    assert main.startswith("s1:")
    marked = user(text("Hi", cache_control={"type": "ephemeral"}))
    assert line(marked, system("Env."), assistant("Ho"), user("Go on")) == main
    assert line(user("Hi"), system="Another prompt.") == main
    assert len({main, line(user("Something else")), line(user("Hi"), agent="a1"), line(user("Hi"), agent="a2")}) == 4


def test_what_a_session_asks_beside_its_lines_is_apart() -> None:
    headers = {"x-claude-code-session-id": "s1"}
    title = parsed(user("<session>Hi</session>"), headers=headers)
    assert (title.conversation_id, title.turn.apart, title.turn.kept) == (None, True, False)
    bare = parsed(user("Hi"), assistant("Ho"), user("Go on"), headers=headers)
    assert (bare.conversation_id is None, bare.turn.apart) == (False, False)
    hook = parsed(
        *(user("Hi"), assistant("Ho"), user("Based on the conversation transcript above, has it stopped?")),
        headers=headers,
        output_config={"format": {"type": "json_schema", "schema": SCHEMA}},
    )
    assert (hook.conversation_id, hook.turn.apart, hook.turn.kept) == (None, True, False)
    task = parsed(user("### Task: a title"))
    assert (task.turn.apart, task.turn.kept) == (True, False)


def test_what_is_asked_at_the_end_of_a_line_and_not_to_be_cached_is_apart() -> None:
    headers = {"x-claude-code-session-id": "s1"}
    mark = {"cache_control": {"type": "ephemeral"}}
    asked = [user("Hi"), assistant(text("Ho", **mark)), user("This is a side question")]
    beside = parsed(*asked, headers=headers, tools=[WEATHER])
    assert (beside.conversation_id, beside.turn.apart, beside.turn.kept) == (None, True, False)
    assert beside.turn.history == (Message("user", (text("Hi"),)), Message("assistant", (text("Ho"),)))
    assert beside.turn.options.tools == (Tool("get_weather", "Tells the weather.", SCHEMA),)
    for line in (
        [user("Hi"), assistant("Ho"), user(text("Go on", **mark))],
        [user("Hi"), assistant("Ho"), user("Go on")],
        [user("Hi"), assistant("Ho"), user(text("Go on", **mark)), system("It is late.")],
    ):
        assert parsed(*line, headers=headers, tools=[WEATHER]).turn.apart is False
    assert parsed(*asked, tools=[WEATHER]).turn.apart is False, "no session of Claude Code's"


def test_claude_code_sends_calls_back_as_it_has_run_them() -> None:
    messages = (user("Hi"), assistant(CALL), user(result()))
    assert parsed(*messages, headers={"x-claude-code-session-id": "s1"}, tools=[WEATHER]).turn.rewrites
    assert not parsed(*messages, tools=[WEATHER]).turn.rewrites


def test_a_header_that_the_operator_took_out_names_nothing() -> None:
    body = request(user("Hi"), tools=[WEATHER])
    place = place_of(None, {"x-claude-code-session-id": "s1"}, ("X-Session-Id",))
    assert parse(body, models=MODELS, place=place).conversation_id is None
    assert place.identity == Identity()


def test_a_header_behind_claude_codes_own_takes_nothing_of_its_session_away() -> None:
    session = {"x-claude-code-session-id": "s1", "x-session-id": "proxy"}
    assert parsed(user("Hi"), headers=session, tools=[WEATHER]).conversation_id == line(user("Hi"))
    title = parsed(user("<session>Hi</session>"), headers=session)
    assert (title.conversation_id, title.turn.apart) == (None, True)
    before = parsed(user("Hi"), headers={**session, "x-openwebui-chat-id": "w1"}, tools=[WEATHER])
    assert (before.conversation_id, before.turn.rewrites) == ("w1", False)
    assert parsed(user("Hi"), headers={"x-session-id": "proxy"}).conversation_id == "proxy"
