"""A client that sends its whole history each time costs what the CLI itself costs: one process, one message a turn."""

from __future__ import annotations

from pathlib import Path

import pytest

from claude_code_api.bench import SYSTEM
from claude_code_api.bench.machine import processes
from claude_code_api.bench.sides import Sides
from claude_code_api.offline import dialogue
from claude_code_api.offline import server as offline_server
from claude_code_api.offline.tokens import count_tokens
from tests.chat import TOOLS, Answer, Json, Tap, Window, call, shown
from tests.conftest import Model
from tests.gateway import Gateway

TURNS = 40


def text_of_turn(turn: int) -> str:
    return f"Turn {turn}: remember the word w{turn}. " + "It is a word among many. " * 10


def prompt(body: Json) -> int:
    """What the model reads for a request, as the offline model counts it."""
    return count_tokens([body.get("system"), body.get("tools"), body["messages"]])


def sent(messages: list[Json]) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in messages if message["role"] != "system"]


async def raw_prompts(model: Model, root: Path) -> list[int]:
    """What the model reads each turn of the bare CLI."""
    tap = Tap(model)
    async with processes("stateless") as started:
        sides = Sides(
            "simple", command="", instance="stateless", url=model.server.url, root=root / "raw", processes=started
        )
        cli = sides.raw()
        await cli.start(text_of_turn(1))
        for turn in range(2, TURNS + 1):
            await cli.follow_up(text_of_turn(turn))
        await cli.stop()
    return [prompt(body) for body in tap.take()]


async def test_forty_turns_cost_no_more_than_the_bare_clis(gateway: Gateway, model: Model, tmp_path: Path) -> None:
    raw = await raw_prompts(model, tmp_path)
    assert len(raw) == TURNS
    chat, tap = Window(gateway, [{"role": "system", "content": SYSTEM}]), Tap(model)
    pids, names, ours = set(), set(), []
    for turn in range(1, TURNS + 1):
        answer = chat.say(text_of_turn(turn), stream=bool(turn % 2))
        body = tap.only()
        assert shown(body) == sent(chat.messages[:-1])
        ours.append(prompt(body))
        names.add(answer.name)
        pids.add(gateway.pid(answer.name))
        assert answer.start == ("live" if turn > 1 else "cold")
    assert (len(pids), len(names)) == (1, 1)
    assert gateway.session(answer.name)["turns"] == TURNS
    assert all(one <= other for one, other in zip(ours, raw, strict=True)), list(zip(ours, raw, strict=True))


def test_calls_in_between_change_nothing(gateway: Gateway, model: Model) -> None:
    chat, tap = Window(gateway, options={"tools": TOOLS}), Tap(model)
    answers: list[Answer] = []
    for turn in range(8):
        asked = chat.say(f"Turn {turn}. {call('Rome')}{call(f'Oslo {turn}')}", stream=bool(turn % 2))
        tap.only()
        answers += [asked, chat.add(asked.results("sun", f"rain {turn}"), stream=not turn % 2)]
        assert answers[-1].text == f"The tool answered: sun; rain {turn}"
        assert [block[0] for block in shown(tap.only())][-5:] == ["user", "call", "call", "result", "result"]
        answers.append(chat.say(f"Turn {turn}: thanks."))
        tap.only()
    assert len({answer.name for answer in answers}) == 1
    assert [answer.start for answer in answers] == ["cold"] + ["live"] * (len(answers) - 1)
    assert len(shown(model.requests[-1])) == 8 * 7 + 7


def test_a_prompt_with_the_time_of_day_is_one_conversation(gateway: Gateway, model: Model) -> None:
    chat, tap = Window(gateway, [{}]), Tap(model)
    answers = []
    for turn in range(6):
        chat.messages[0] = {"role": "system", "content": f"You are terse. It is 10:{turn // 2:02}."}
        answers.append(chat.say(f"time-{turn}: remember the word w{turn}."))
        body = tap.only()
        assert f"It is 10:{turn // 2:02}." in str(body["system"])
        assert shown(body) == sent(chat.messages[:-1])
    assert len({answer.name for answer in answers}) == 1
    assert [answer.start for answer in answers] == ["cold", "live", "resumed", "live", "resumed", "live"]
    assert gateway.session(answers[0].name)["turns"] == 6


def test_a_conversation_that_the_cli_compacted_is_still_found(
    gateway: Gateway, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = ["it is full now"] * 2

    def last_text(body: Json) -> str:
        text = _last_text(body)
        if full and full[0] in text:
            full.pop()
            return "[[offline: overflow]]"
        return text

    monkeypatch.setattr(offline_server, "last_text", last_text)
    chat, tap = Window(gateway), Tap(model)
    for turn in range(6):
        name = chat.say(f"compacted-{turn}: remember the word w{turn}.").name
    pid = gateway.pid(name)
    tap.take()
    answer = chat.say("compacted: it is full now.")
    assert not full
    summarised, answered = tap.take()[-2:]
    assert "CRITICAL: Respond with TEXT ONLY" in str(shown(summarised)[-1])
    assert shown(answered)[-1] == ("user", "compacted: it is full now.")
    assert (answer.name, gateway.pid(name)) == (name, pid)
    for turn in range(3):
        answer = chat.say(f"after-{turn}: remember the word x{turn}.")
        assert (answer.name, answer.start) == (name, "live")
        assert len(shown(tap.only())) < len(chat.messages)
    assert gateway.pid(name) == pid
    regenerated = chat.regenerate(conversation_id=name)
    assert regenerated.start == "forked"
    assert chat.edit(12, "Instead: it is not full.", conversation_id=name).start == "forked"
    tap.take()
    assert chat.edit(4, "Remember the word fig.", conversation_id=name).start == "forked"
    assert shown(tap.only()) == sent(chat.messages[:-1])
    assert gateway.http.post(f"/v1/sessions/{name}/hibernate").status_code == 200
    answer = Window(gateway, options={"conversation_id": name}).say("What word should you remember?")
    assert (answer.start, "fig" in answer.text) == ("resumed", True)


_last_text = dialogue.last_text
