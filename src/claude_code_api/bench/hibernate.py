"""Conversations that come back: a resumed turn of the gateway against the raw CLI's `--resume`.

First one conversation at a time, then more conversations than processes, where each answer must also be the right one.
"""

from __future__ import annotations

import random
import re
import uuid
from collections.abc import Awaitable, Callable

from claude_code_api.bench import FIRST_TEXT, FOLLOW_UP_TEXT, BenchFailed
from claude_code_api.bench.gateway import Answer, Gateway
from claude_code_api.bench.machine import few_at_once
from claude_code_api.bench.measure import RESUME_ALLOWANCE_MS, RESUMED_RATIO, Row
from claude_code_api.bench.raw import RawCli
from claude_code_api.bench.sides import Sides

_PROCESSES = 20
_RAW_SHARE = 10
_SEED = 3
_LIST_TEXT = "List everything?"

Settle = Callable[[], Awaitable[None]]
Say = Callable[[str], None]


async def resume(sides: Sides, runs: int, say: Say, settle: Settle) -> Row:
    """Take `runs` samples of each side, in turn: a third turn's first token, the process gone after the second."""
    raw: list[float] = []
    gateway: list[float] = []
    server = await sides.gateway()
    say("hibernate: warming up")
    await _raw_resume(sides.raw(), _at_once)
    await _gateway_resume(server, _at_once)
    for number in range(1, runs + 1):
        say(f"hibernate: run {number} of {runs}, raw CLI")
        raw.append(await _raw_resume(sides.raw(), settle))
        say(f"hibernate: run {number} of {runs}, gateway")
        gateway.append(await _gateway_resume(server, settle))
    await server.stop()
    return Row("resume, first token", tuple(raw), tuple(gateway), RESUME_ALLOWANCE_MS)


async def _raw_resume(cli: RawCli, settle: Settle) -> float:
    await cli.start(FIRST_TEXT)
    await cli.follow_up(FOLLOW_UP_TEXT)
    await cli.hibernate()
    await settle()
    sample = await cli.start(FOLLOW_UP_TEXT)
    await cli.stop()
    if "42" not in cli.answer:
        raise BenchFailed(f"The raw CLI resumed without its context; it said: {cli.answer}")
    return sample.first_ms


async def _gateway_resume(server: Gateway, settle: Settle) -> float:
    name = f"resume-{uuid.uuid4().hex}"
    async with server.connection() as connection:
        await connection.chat(name, FIRST_TEXT, first=True)
        await connection.chat(name, FOLLOW_UP_TEXT, first=False)
        await connection.request("POST", f"/v1/sessions/{name}/hibernate", b"{}")
    async with server.connection() as connection:
        await settle()
        answer = await connection.ask(name, FOLLOW_UP_TEXT, first=False)
    async with server.connection() as connection:
        await connection.request("DELETE", f"/v1/sessions/{name}")
    if answer.start != "resumed" or "42" not in answer.text:
        raise BenchFailed(f"Conversation {name} was {answer.start or 'not started'}; it said: {answer.text}")
    return answer.sample.first_ms


async def crowd(sides: Sides, conversations: int, runs: int, say: Say, settle: Settle) -> Row:
    """Drive two turns of each conversation through few processes; every resumed turn's first token is a sample.

    At least two conversations. Raises BenchFailed when one of them does not know exactly what it was told.
    """
    processes = min(_PROCESSES, conversations // 2)
    server = await sides.gateway(max_concurrent_sessions=str(processes))
    clis = await _prepared(sides, max(runs, conversations // _RAW_SHARE), say)
    await _first_turns(server, conversations, say)
    raw: list[float] = []
    gateway: list[float] = []
    order = random.Random(_SEED).sample(range(conversations), conversations)
    for done, (number, due) in enumerate(zip(order, shares(len(clis), conversations), strict=True)):
        say(f"hibernate: second turns, {done} of {conversations}")
        for _ in range(due):
            await settle()
            raw.append((await clis[len(raw)].start(_LIST_TEXT)).first_ms)
            await clis[len(raw) - 1].stop()
            check(f"raw-{len(raw) - 1}", len(raw) - 1, clis[len(raw) - 1].answer)
        async with server.connection() as connection:
            await settle()
            answer = await connection.ask(_name(number), _LIST_TEXT, first=False)
        gateway += _resumed(number, answer)
    await server.stop()
    title = f"{conversations} conversations on {processes} processes, a resumed turn"
    return Row(title, tuple(raw), tuple(gateway), max_ratio=RESUMED_RATIO)


async def _prepared(sides: Sides, count: int, say: Say) -> list[RawCli]:
    """Raw conversations with one turn each, their processes gone."""
    clis = [sides.raw() for _ in range(count)]

    async def first_turn(number: int) -> None:
        say(f"hibernate: {count} raw conversations")
        await clis[number].start(_remember(number))
        await clis[number].hibernate()

    await few_at_once(first_turn, range(count))
    return clis


async def _first_turns(server: Gateway, conversations: int, say: Say) -> None:
    async def first_turn(number: int) -> None:
        say(f"hibernate: first turns, {number} of {conversations}")
        async with server.connection() as connection:
            await connection.chat(_name(number), _remember(number), first=True)

    await few_at_once(first_turn, range(conversations))


def _resumed(number: int, answer: Answer) -> list[float]:
    """The sample of a turn that was resumed; none of one whose process still lived."""
    check(_name(number), number, answer.text)
    if answer.start not in ("resumed", "live"):
        raise BenchFailed(f"Conversation {_name(number)} was {answer.start or 'not started'} instead of resumed.")
    return [answer.sample.first_ms] if answer.start == "resumed" else []


def check(name: str, number: int, said: str) -> None:
    """Raise BenchFailed unless the answer names the word of the conversation `number`, once, and no other."""
    if re.findall(r"\bw\d+\b", said) != [_word(number)]:
        raise BenchFailed(f"Conversation {name} was told {_word(number)}, and said: {said}")


def shares(count: int, among: int) -> list[int]:
    """How many of `count` samples to take before each of `among` others, so that they are spread evenly."""
    return [(place + 1) * count // among - place * count // among for place in range(among)]


def _name(number: int) -> str:
    return f"crowd-{number}"


def _word(number: int) -> str:
    return f"w{number}"


def _remember(number: int) -> str:
    return f"Remember the word {_word(number)}."


async def _at_once() -> None:
    """No wait for an idle machine, where nothing is measured."""
