"""Several tool calls in one answer: any order of the results, streamed or not, all on one live process."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from itertools import cycle, permutations

import psutil
import pytest

from tests.chat import TOOLS, Tap, call, say, shown
from tests.conftest import Model
from tests.gateway import Gateway, eventually

CITIES = ["Rome", "Oslo", "Lima"]


def test_fifty_times_parallel_calls_answered_in_any_order_on_one_process(gateway: Gateway, model: Model) -> None:
    orders = {count: cycle(permutations(range(count))) for count in (2, 3)}
    say(gateway, "Hello.", "parallel", tools=TOOLS)
    pid = gateway.pid("parallel")
    tap = Tap(model)
    for turn in range(50):
        count, stream = 2 + turn % 2, turn % 4 > 1
        cities = [f"{city}-{turn}" for city in CITIES[:count]]
        asked = say(gateway, "".join(map(call, cities)), "parallel", tools=TOOLS, stream=stream)
        assert asked.finish == "tool_calls"
        assert asked.made == [("get_weather", {"city": city}) for city in cities]
        assert asked.start == "live"
        tap.only()
        results = asked.results(*(f"it rains in {city}" for city in cities))
        order = next(orders[count])
        told = say(gateway, [results[at] for at in order], "parallel", tools=TOOLS, stream=not stream)
        assert told.text == "The tool answered: " + "; ".join(f"it rains in {city}" for city in cities)
        assert (told.finish, told.start) == ("stop", "live")
        seen = shown(tap.only())
        assert seen[-2 * count : -count] == [
            ("call", *one) for one in zip(asked.calls, ["get_weather"] * count, map(_arguments, cities), strict=True)
        ]
        assert sorted(seen[-count:]) == [("result", sent["tool_call_id"], sent["content"]) for sent in results]
        assert gateway.pid("parallel") == pid
    assert gateway.session("parallel")["turns"] == 101


def _arguments(city: str) -> str:
    return json.dumps({"city": city})


_COUNTING = """
import collections, gc, json, os, threading, time

def count():
    gc.collect()
    types = [type(one) for one in gc.get_objects()]
    ours = (one.__name__ for one in types if str(one.__module__).startswith("claude_code_api"))
    with open("counted.part", "w") as file:
        json.dump(collections.Counter(ours), file)
    os.replace("counted.part", "counted.json")

def watch():
    while True:
        time.sleep(0.05)
        if os.path.exists("wanted"):
            os.remove("wanted")
            count()

threading.Thread(target=watch, daemon=True).start()
from claude_code_api.cli import main
main()
"""
"""A server that writes down, when the file `wanted` appears, how many objects of ours there are, by their type."""


@pytest.fixture
def counting(model: Model) -> Iterator[Gateway]:
    gateway = Gateway(model.server.url, program=("-c", _COUNTING))
    yield gateway
    gateway.stop()


def test_fifty_parked_rounds_leave_nothing_in_the_server(counting: Gateway) -> None:
    gateway = counting

    def park(name: str) -> None:
        asked = say(gateway, call("Rome") + call("Oslo"), name, tools=TOOLS, stream=True)
        assert gateway.session(name)["state"] == "parked"
        if asleep := gateway.session(name)["turns"] % 10 == 1:
            assert gateway.http.post(f"/v1/sessions/{name}/hibernate").status_code == 200
        told = say(gateway, asked.results("sun", "rain")[::-1], name, tools=TOOLS)
        assert (told.text, told.start) == ("The tool answered: sun; rain", "resumed" if asleep else "live")

    def held() -> tuple[dict[str, int], int]:
        for name in ("rounds", "rounds-other"):
            assert gateway.http.post(f"/v1/sessions/{name}/hibernate").status_code == 200
        assert gateway.stats()["sessions"]["live"] == 0
        time.sleep(1)  # what was delivered is written a little later
        file = gateway.data_dir / "counted.json"
        file.unlink(missing_ok=True)
        (gateway.data_dir / "wanted").touch()
        eventually(file.exists)
        counts: dict[str, int] = json.loads(file.read_text())
        return counts, psutil.Process(gateway.process.pid).num_fds()

    for name in ("rounds", "rounds-other"):
        park(name)
    before, files = held()
    for turn in range(50):
        park(("rounds", "rounds-other")[turn % 2])
    after, files_after = held()
    grown = {name: count - before.get(name, 0) for name, count in after.items() if count > before.get(name, 0)}
    assert grown == {}
    assert files_after < files + 10  # connections to the database come and go
