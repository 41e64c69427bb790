"""`make chaos`: conversations that each carry a growing list, while their processes and their server are killed.

Not part of `make test`: it runs as long as it is told to. At the end every conversation must recite its whole list,
nobody else's words in it, every acknowledged turn must be in the store exactly once, and no process may be left.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sqlite3
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx
import psutil

from tests.conftest import Model
from tests.gateway import MARK, Gateway, marked_processes


class Talk:
    """One conversation: the words it was told and that were acknowledged, and those whose fate is unknown."""

    def __init__(self, number: int) -> None:
        self.name = f"chaos-{number}"
        self.acknowledged: list[str] = []
        self.unknown: set[str] = set()

    def tell(self, chaos: Chaos) -> None:
        """Tell one more word; try again until it is acknowledged."""
        word = f"c{self.name.removeprefix('chaos-')}w{len(self.acknowledged)}"
        if self.ask(f"Remember the word {word}.", chaos, word) is not None:
            self.acknowledged.append(word)

    def ask(self, text: str, chaos: Chaos, word: str | None = None) -> str | None:
        """Ask until there is an answer; None when the time is up."""
        while not chaos.over.is_set() or word is None:
            try:
                answer = chaos.gateway.ask(text, self.name)
            except (httpx.HTTPError, RuntimeError):
                # The answer may have been completed without having arrived.
                self.unknown |= {word} if word else set()
                chaos.count["connection lost"] += 1
                time.sleep(0.2)
                continue
            if answer.status_code == 200:
                return str(answer.json()["choices"][0]["message"]["content"])
            chaos.count[f"{answer.status_code} {answer.json()['error']['code']}"] += 1
            time.sleep(0.2)
        return None


class Chaos:
    """The server, and what is done to it."""

    def __init__(self, model: Model, dice: random.Random) -> None:
        settings = {"claude__max_concurrent_sessions": 6, "pool__min_size": 2, "pool__max_size": 4}
        self.gateway = Gateway(model.server.url, settings)
        self.over = threading.Event()
        self.count: Counter[str] = Counter()
        self._dice = dice
        self.marks: set[str] = set()

    def torment(self) -> None:
        """Until the time is up, do something nasty every now and then."""
        while not self.over.wait(self._dice.uniform(0.3, 1.5)):
            self._note_mark()
            act = self._dice.choices([self._kill_child, self._freeze_child, self._kill_server], [6, 3, 1])[0]
            act()
            self.count[act.__name__.strip("_")] += 1

    def _victim(self) -> psutil.Process | None:
        children = self.gateway.children()
        return self._dice.choice(children) if children else None

    def _note_mark(self) -> None:
        for child in self.gateway.children():
            try:
                self.marks.add(child.environ()[MARK.rstrip("=")])
            except (psutil.Error, KeyError):
                continue

    def _kill_child(self) -> None:
        if (child := self._victim()) is not None:
            os.kill(child.pid, signal.SIGKILL)

    def _freeze_child(self) -> None:
        if (child := self._victim()) is not None:
            os.kill(child.pid, signal.SIGSTOP)
            time.sleep(1)
            if child.is_running():
                os.kill(child.pid, signal.SIGCONT)

    def _kill_server(self) -> None:
        self.gateway.restart(signal.SIGKILL)


def main() -> None:
    """Run, check, and say what was done."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--conversations", type=int, default=50)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    model = Model()
    with model.server:
        chaos = Chaos(model, random.Random(options.seed))
        talks = [Talk(number) for number in range(options.conversations)]
        run(chaos, talks, options.minutes * 60)
        failures = check(chaos, talks)
    print(", ".join(f"{what}: {count}" for what, count in sorted(chaos.count.items())))
    print(f"{sum(len(talk.acknowledged) for talk in talks)} turns acknowledged in {len(talks)} conversations")
    for failure in failures:
        print("FAILED", failure)
    raise SystemExit(1 if failures else 0)


def run(chaos: Chaos, talks: list[Talk], seconds: float) -> None:
    """Let everybody talk while things happen."""

    def talk_on(talk: Talk) -> None:
        while not chaos.over.is_set():
            talk.tell(chaos)
            time.sleep(0.05)

    tormentor = threading.Thread(target=chaos.torment)
    tormentor.start()
    with ThreadPoolExecutor(len(talks)) as pool:
        done = [pool.submit(talk_on, talk) for talk in talks]
        for _ in range(int(seconds)):
            time.sleep(1)
        chaos.over.set()
        tormentor.join()
        for future in done:
            future.result()


def check(chaos: Chaos, talks: list[Talk]) -> list[str]:
    """What is not as it must be."""
    with ThreadPoolExecutor(4) as pool:
        recited = list(pool.map(lambda talk: talk.ask("List everything?", chaos) or "", talks))
    failures = []
    for talk, text in zip(talks, recited, strict=True):
        words = text.removeprefix("You asked me to remember: ").rstrip(".").split(", ")
        known = [word for word in words if word not in talk.unknown]
        expected = [word for word in talk.acknowledged if word not in talk.unknown]
        if known != expected or not set(talk.acknowledged) <= set(words):
            failures.append(f"{talk.name} recites {words}, was told {talk.acknowledged}")
    failures += stored_twice_or_never(chaos, talks)
    chaos.gateway.process.send_signal(signal.SIGTERM)
    chaos.gateway.process.wait(timeout=60)
    time.sleep(2)
    failures += [f"processes {left} of a server are left" for mark in chaos.marks if (left := marked_processes(mark))]
    chaos.gateway.stop()
    return failures


def stored_twice_or_never(chaos: Chaos, talks: list[Talk]) -> list[str]:
    """Every acknowledged turn is in the store exactly once; one whose answer got lost may be there again."""
    database = sqlite3.connect(chaos.gateway.data_dir / "data" / "default" / "conversations.db")
    rows = database.execute("SELECT input FROM turn WHERE status = 'completed'").fetchall()
    database.close()
    stored = " ".join(row[0] for row in rows)
    return [
        f"{word} is stored {stored.count(f'word {word}.')} times"
        for talk in talks
        for word in talk.acknowledged
        if stored.count(f"word {word}.") != 1 and (word not in talk.unknown or f"word {word}." not in stored)
    ]


if __name__ == "__main__":
    main()
