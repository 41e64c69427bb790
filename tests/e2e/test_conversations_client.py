"""The official OpenAI client for Python on `/v1/conversations`, over a real socket."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, cast

import openai
import pytest
from openai import OpenAI
from openai.types.conversations import Conversation
from openai.types.responses import ResponseInputItemParam

from tests.chat import Tap
from tests.conftest import Model
from tests.gateway import Gateway, eventually, text_of
from tests.images import data_url, png
from tests.items import assert_known, check_item
from tests.official import checked, listed, said, seen, system_of

Json = dict[str, Any]
Items = list[ResponseInputItemParam]


@pytest.fixture
def client(gateway: Gateway) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{gateway.url}/v1", api_key="unused", max_retries=0) as client:
        yield client


@pytest.fixture
def tap(model: Model) -> Tap:
    return Tap(model)


def items(*given: tuple[str, str]) -> Items:
    """Messages, of (role, text) pairs."""
    return cast(Items, [{"type": "message", "role": role, "content": text} for role, text in given])


def make(client: OpenAI, *given: tuple[str, str], **metadata: str) -> Conversation:
    """A conversation that begins with these messages."""
    made = client.conversations.create(items=items(*given), metadata=metadata)
    assert_known(made)
    return made


def held(client: OpenAI, name: str) -> list[tuple[str, str]]:
    """All that is said in a conversation."""
    return said(listed(client.conversations.items.list(name, order="asc")))


def ask(client: OpenAI, name: str, text: Any, **more: Any) -> tuple[str, str]:
    """Ask for a response in a conversation: its text, and how its turn started."""
    raw = client.responses.with_raw_response.create(model="sonnet", input=text, conversation=name, **more)
    response = checked(raw.parse())
    assert raw.headers["X-Conversation-ID"] == name
    return response.output_text, raw.headers["X-Session-Start"]


def spoken(body: Json) -> list[tuple[str, str]]:
    """What a request showed the model that somebody said."""
    return [one for one in seen(body) if one[0] in ("user", "assistant")]


DIALOGUE = (("user", "Remember the number 42."), ("assistant", "Noted: 42."), ("user", "And the colour blue."))


# The object


def test_a_conversation_is_made_changed_and_deleted(client: OpenAI) -> None:
    made = make(client, topic="demo")
    assert made.object == "conversation"
    assert made.metadata == {"topic": "demo"}
    assert abs(made.created_at - time.time()) < 60
    assert client.conversations.retrieve(made.id) == made
    changed = client.conversations.update(made.id, metadata={"topic": "other", "more": "1"})
    assert (changed.id, changed.metadata) == (made.id, {"topic": "other", "more": "1"})
    assert client.conversations.retrieve(made.id) == changed
    assert client.conversations.update(made.id, metadata={"only": "this"}).metadata == {"only": "this"}
    gone = client.conversations.delete(made.id)
    assert (gone.id, gone.object, gone.deleted) == (made.id, "conversation.deleted", True)
    for missing in (
        lambda: client.conversations.retrieve(made.id),
        lambda: client.conversations.delete(made.id),
        lambda: client.conversations.update(made.id, metadata={}),
        lambda: client.conversations.items.list(made.id),
        lambda: client.conversations.items.create(made.id, items=items(("user", "Hi."))),
    ):
        with pytest.raises(openai.NotFoundError) as error:
            missing()
        assert error.value.code == "conversation_not_found"


def test_a_deleted_conversation_takes_its_responses_along(client: OpenAI) -> None:
    made = make(client)
    response = client.responses.create(model="sonnet", input="Hello.", conversation=made.id)
    client.conversations.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(response.id)
    with pytest.raises(openai.NotFoundError) as unknown:
        client.responses.create(model="sonnet", input="Hello.", conversation=made.id)
    assert (unknown.value.code, unknown.value.param) == ("conversation_not_found", "conversation")


def test_what_is_wrong_is_named(client: OpenAI) -> None:
    made = make(client)
    with pytest.raises(openai.BadRequestError) as metadata:
        client.conversations.update(made.id, metadata={str(number): "x" for number in range(17)})
    assert metadata.value.param == "metadata"
    with pytest.raises(openai.BadRequestError) as many:
        client.conversations.items.create(made.id, items=items(*[("user", "Hi.")] * 21))
    assert many.value.param == "items"
    with pytest.raises(openai.BadRequestError) as kind:
        client.conversations.items.create(made.id, items=cast(Items, [{"type": "computer_call", "id": "x"}]))
    assert kind.value.param == "items[0].type"
    assert held(client, made.id) == []
    with pytest.raises(openai.NotFoundError) as item:
        client.conversations.items.retrieve("msg_none", conversation_id=made.id)
    assert item.value.code == "item_not_found"


# Items


def test_items_are_added_read_and_taken_out(client: OpenAI) -> None:
    made = make(client, *DIALOGUE)
    picture = {"type": "input_image", "image_url": data_url(png()), "detail": "auto"}
    content = [{"type": "input_text", "text": "What is it?"}, picture]
    call = {"type": "function_call", "call_id": "call_1", "name": "get_weather", "arguments": '{"city":"Paris"}'}
    output = {"type": "function_call_output", "call_id": "call_1", "output": "22 degrees"}
    given = [{"role": "user", "content": content}, call, output, {"role": "assistant", "content": "It is blue."}]
    added = client.conversations.items.create(made.id, items=cast(Items, given))
    assert (added.object, added.has_more) == ("list", False)
    assert (added.first_id, added.last_id) == (added.data[0].id, added.data[-1].id)
    told = listed(added.data)
    assert [item["type"] for item in told] == ["message", "function_call", "function_call_output", "message"]
    everything = listed(client.conversations.items.list(made.id, order="asc"))
    assert everything[len(DIALOGUE) :] == told
    assert said(everything[: len(DIALOGUE)]) == list(DIALOGUE)
    for item in everything:
        one = client.conversations.items.retrieve(item["id"], conversation_id=made.id).to_dict(mode="json")
        check_item(one)
        assert one == item
    second = everything[1]["id"]
    assert client.conversations.items.delete(second, conversation_id=made.id).id == made.id
    assert listed(client.conversations.items.list(made.id, order="asc")) == [*everything[:1], *everything[2:]]
    with pytest.raises(openai.NotFoundError):
        client.conversations.items.retrieve(second, conversation_id=made.id)
    with pytest.raises(openai.NotFoundError):
        client.conversations.items.delete(second, conversation_id=made.id)


def test_pages_follow_each_other_in_both_orders(client: OpenAI) -> None:
    texts = [f"Message {number}." for number in range(45)]
    made = make(client, *(("user", text) for text in texts[:20]))
    client.conversations.items.create(made.id, items=items(*(("user", text) for text in texts[20:40])))
    client.conversations.items.create(made.id, items=items(*(("user", text) for text in texts[40:])))
    forward = listed(client.conversations.items.list(made.id, order="asc"))
    assert [text for _, text in said(forward)] == texts
    assert listed(client.conversations.items.list(made.id)) == forward[::-1]
    pages = list(client.conversations.items.list(made.id, order="desc", limit=7).iter_pages())
    assert [len(page.data) for page in pages] == [7] * 6 + [3]
    assert [page.has_more for page in pages] == [True] * 6 + [False]
    assert listed(item for page in pages for item in page.data) == forward[::-1]
    behind = client.conversations.items.list(made.id, order="asc", after=forward[30]["id"], limit=100)
    assert listed(behind.data) == forward[31:]
    assert client.conversations.items.list(made.id, limit=45).has_more is False
    with pytest.raises(openai.BadRequestError) as limit:
        client.conversations.items.list(made.id, limit=101)
    assert limit.value.param == "limit"


def test_the_items_of_chat_turns_are_listed_too(client: OpenAI, gateway: Gateway) -> None:
    name = make(client).id
    answer = text_of(gateway.ask("Remember the number 42.", name))
    reply, _ = ask(client, name, "Which number?")
    assert held(client, name) == [
        ("user", "Remember the number 42."),
        ("assistant", answer),
        ("user", "Which number?"),
        ("assistant", reply),
    ]
    assert "42" in reply


# What the model is shown of them


def test_a_response_sees_exactly_the_items(client: OpenAI, tap: Tap) -> None:
    name = make(client, ("developer", "Talk like a pirate."), *DIALOGUE).id
    reply, start = ask(client, name, "Which number?")
    body = tap.only()
    assert spoken(body) == [*DIALOGUE, ("user", "Which number?")]
    assert "pirate" in system_of(body)
    assert "42" in reply
    assert held(client, name)[-2:] == [("user", "Which number?"), ("assistant", reply)]
    assert start != "live"


def test_what_the_user_adds_between_turns_goes_to_the_live_process(client: OpenAI, gateway: Gateway, tap: Tap) -> None:
    name = make(client).id
    ask(client, name, "Remember the number 42.")
    pid = gateway.pid(name)
    client.conversations.items.create(name, items=items(("user", "The colour is blue."), ("user", "So is the sky.")))
    tap.take()
    _, start = ask(client, name, "Well?")
    shown = [text for role, text in spoken(tap.only()) if role == "user"]
    assert shown == ["Remember the number 42.", "The colour is blue.", "So is the sky.", "Well?"]
    assert (start, gateway.pid(name)) == ("live", pid)
    kept = held(client, name)
    assert [text for role, text in kept if role == "user"] == shown


def test_what_the_assistant_is_said_to_have_said_is_seen_by_the_next_turn(client: OpenAI, tap: Tap) -> None:
    name = make(client).id
    ask(client, name, "Remember the number 42.")
    given = (("user", "Which colour?"), ("assistant", "Green."), ("developer", "Be brief."))
    client.conversations.items.create(name, items=items(*given))
    tap.take()
    _, start = ask(client, name, "Well?")
    body = tap.only()
    assert start != "live"
    assert spoken(body)[2:] == [("user", "Which colour?"), ("assistant", "Green."), ("user", "Well?")]
    assert "Be brief." in system_of(body)


def test_an_item_that_is_taken_out_is_not_seen_any_more(client: OpenAI, tap: Tap) -> None:
    name = make(client, *DIALOGUE[:2]).id
    reply, _ = ask(client, name, "Hello.")
    found = listed(client.conversations.items.list(name, order="asc"))
    client.conversations.items.delete(found[1]["id"], conversation_id=name)
    client.conversations.items.delete(found[3]["id"], conversation_id=name)
    tap.take()
    ask(client, name, "Well?")
    assert "Noted" not in str(seen(body := tap.only()))
    assert reply not in str(seen(body))
    assert [text for _, text in held(client, name)][:3] == ["Remember the number 42.", "Hello.", "Well?"]


def test_nothing_is_changed_while_a_turn_runs_and_everything_once_it_is_cancelled(client: OpenAI, tap: Tap) -> None:
    name = make(client, *DIALOGUE[:2]).id
    slow = client.responses.create(
        model="sonnet",
        input="[[offline: words 200]] [[offline: pace 0.1]]",
        conversation=name,
        background=True,
    )
    eventually(lambda: bool(tap.take()))
    first = client.conversations.items.list(name, order="asc", limit=1).data[0].id or ""
    for change in (
        lambda: client.conversations.items.create(name, items=items(("user", "Hi."))),
        lambda: client.conversations.items.delete(first, conversation_id=name),
    ):
        with pytest.raises(openai.ConflictError) as busy:
            change()
        assert busy.value.code == "conversation_in_use"
        assert busy.value.response.headers["Retry-After"]
    client.responses.cancel(slow.id)
    assert held(client, name) == list(DIALOGUE[:2])
    client.conversations.items.create(name, items=items(("user", "Hi.")))
    assert held(client, name)[-1] == ("user", "Hi.")
