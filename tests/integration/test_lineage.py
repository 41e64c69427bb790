"""A client that names no conversation and sends its whole history stays on one conversation."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.conftest import Model
from tests.gateway import Gateway, eventually, text_of

Start = Callable[..., Gateway]


@dataclass
class Chat:
    """What a chat window does: it keeps the messages, and sends all of them each time."""

    gateway: Gateway
    messages: list[dict[str, str]] = field(default_factory=list)

    def say(self, text: str, **extra: Any) -> httpx.Response:
        """Send the history and one more message; keep the answer."""
        self.messages.append({"role": "user", "content": text})
        answer = httpx.post(
            f"{self.gateway.url}/v1/chat/completions",
            json={"model": "sonnet", "messages": self.messages, **extra},
            timeout=60,
        )
        self.messages.append({"role": "assistant", "content": text_of(answer)})
        return answer

    def copy(self) -> Chat:
        """A second window with the same messages."""
        return Chat(self.gateway, list(self.messages))


def test_a_history_goes_on_with_its_conversation(gateway: Gateway, model: Model) -> None:
    chat = Chat(gateway, [{"role": "system", "content": "You are terse."}])
    answers = [chat.say(f"stays-{number}: remember the word w{number}.") for number in range(3)]
    assert len({answer.headers["X-Conversation-ID"] for answer in answers}) == 1
    assert [answer.headers["X-Session-Start"] for answer in answers] == ["cold", "live", "live"]
    name = answers[0].headers["X-Conversation-ID"]
    assert gateway.session(name)["turns"] == 3
    assert text_of(chat.say("List everything?")) == "You asked me to remember: w0, w1, w2."
    sent = [(message["role"], message["content"]) for message in chat.messages[1:6]]
    assert model.dialogue("stays-2:") == sent
    assert [role for role, _ in sent] == ["user", "assistant", "user", "assistant", "user"]


def test_a_history_finds_its_conversation_without_a_process(gateway: Gateway) -> None:
    chat = Chat(gateway)
    name = chat.say("asleep-1: remember the word kiwi.").headers["X-Conversation-ID"]
    assert gateway.http.post(f"/v1/sessions/{name}/hibernate").status_code == 200
    answer = chat.say("asleep-2: list everything?")
    assert text_of(answer) == "You asked me to remember: kiwi."
    assert (answer.headers["X-Conversation-ID"], answer.headers["X-Session-Start"]) == (name, "resumed")


def test_with_lineage_off_each_request_is_a_conversation(start_gateway: Start) -> None:
    chat = Chat(start_gateway({"api__lineage": False}))
    first = chat.say("off-1: remember the word kiwi.")
    second = chat.say("off-2: list everything?")
    assert text_of(second) == "You asked me to remember: kiwi."
    assert second.headers["X-Session-Start"] != "live"
    assert second.headers["X-Conversation-ID"] != first.headers["X-Conversation-ID"]


def test_an_edited_history_opens_another_conversation(gateway: Gateway) -> None:
    chat = Chat(gateway)
    name = chat.say("edited-1: remember the word kiwi.").headers["X-Conversation-ID"]
    chat.say("edited-2: remember the word plum.")
    edited = chat.copy()
    edited.messages[0] = {"role": "user", "content": "edited-1: remember the word banana."}
    branch = edited.say("edited-3: list everything?")
    assert text_of(branch) == "You asked me to remember: banana, plum."
    assert branch.headers["X-Conversation-ID"] != name
    regenerated = Chat(gateway, chat.messages[:2])
    assert regenerated.say("edited-2: remember the word pear.").headers["X-Conversation-ID"] != name
    assert gateway.session(name)["turns"] == 2
    own = chat.say("edited-4: list everything?")
    assert text_of(own) == "You asked me to remember: kiwi, plum."
    assert (own.headers["X-Conversation-ID"], own.headers["X-Session-Start"]) == (name, "live")
    again = edited.say("edited-5: list everything?")
    assert again.headers["X-Conversation-ID"] == branch.headers["X-Conversation-ID"]


def test_of_two_with_one_history_neither_is_joined(gateway: Gateway) -> None:
    twins = [Chat(gateway), Chat(gateway)]
    names = {twin.say("twins-1: remember the word kiwi.").headers["X-Conversation-ID"] for twin in twins}
    assert twins[0].messages == twins[1].messages
    third = twins[0].say("twins-2: list everything?")
    assert text_of(third) == "You asked me to remember: kiwi."
    assert len(names) == 2
    assert third.headers["X-Conversation-ID"] not in names
    assert [gateway.session(name)["turns"] for name in names] == [1, 1]


def test_a_named_conversation_is_joined_by_its_name_alone(gateway: Gateway) -> None:
    chat = Chat(gateway)
    chat.say("named-1: remember the word kiwi.", conversation_id="named-by-id")
    stranger = chat.copy().say("named-2: list everything?")
    assert text_of(stranger) == "You asked me to remember: kiwi."
    assert stranger.headers["X-Conversation-ID"] != "named-by-id"
    own = chat.say("named-3: list everything?", conversation_id="named-by-id")
    assert own.headers["X-Session-Start"] == "live"
    assert gateway.session("named-by-id")["turns"] == 2


def test_another_system_prompt_is_another_conversation_when_one_has_the_same(gateway: Gateway, model: Model) -> None:
    parrot = Chat(gateway, [{"role": "system", "content": "You are a parrot."}])
    pirate = Chat(gateway, [{"role": "system", "content": "You are a pirate."}])
    names = [chat.say("prompted-1: remember the word kiwi.").headers["X-Conversation-ID"] for chat in (parrot, pirate)]
    assert len(set(names)) == 2
    for number, (chat, name) in enumerate(zip((parrot, pirate), names, strict=True)):
        answer = chat.say(f"prompted-own-{number}: list everything?")
        assert (answer.headers["X-Conversation-ID"], answer.headers["X-Session-Start"]) == (name, "live")
        assert ("parrot" in str(model.asked(f"prompted-own-{number}:")[0]["system"])) is (number == 0)


def test_two_at_once_on_one_history_go_separate_ways(gateway: Gateway, model: Model) -> None:
    chat = Chat(gateway)
    name = chat.say("parted-1: remember the word kiwi.").headers["X-Conversation-ID"]
    other = chat.copy()
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(chat.say, "parted-slow: remember the word plum. [[offline: delay 5]]")
        eventually(lambda: bool(model.asked("parted-slow")))
        fast = other.say("parted-fast: list everything?")
        assert not slow.done()
        assert text_of(fast) == "You asked me to remember: kiwi."
        assert fast.headers["X-Conversation-ID"] != name
        assert slow.result().headers["X-Conversation-ID"] == name
    assert "parted-slow" not in str(model.asked("parted-fast"))
    own = chat.say("parted-3: list everything?")
    assert text_of(own) == "You asked me to remember: kiwi, plum."
    assert own.headers["X-Conversation-ID"] == name
    again = other.say("parted-4: list everything?")
    assert text_of(again) == "You asked me to remember: kiwi."
    assert again.headers["X-Conversation-ID"] == fast.headers["X-Conversation-ID"]


def test_a_deleted_conversation_is_not_found_by_its_history(gateway: Gateway) -> None:
    chat = Chat(gateway)
    name = chat.say("forgotten-1: remember the word kiwi.").headers["X-Conversation-ID"]
    assert gateway.http.delete(f"/v1/sessions/{name}").status_code == 204
    answer = chat.say("forgotten-2: list everything?")
    assert text_of(answer) == "You asked me to remember: kiwi."
    assert answer.headers["X-Conversation-ID"] != name
    assert gateway.http.get(f"/v1/sessions/{name}").status_code == 404
