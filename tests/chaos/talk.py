"""The clients: each tells its conversation one word after another, and does not give up."""

from __future__ import annotations

import random
import threading
import time

import httpx

from tests.chaos.tally import Tally
from tests.chaos.torment import Torment

_AGAIN_S = 0.2
_SILENCE_S = 60
_IN_A_ROW = 40


class Talk:
    """One conversation: the words it was told and that were acknowledged, and those whose fate is unknown."""

    def __init__(self, number: int, torment: Torment, refused: Tally, dice: random.Random) -> None:
        self.name = f"chaos-{number}"
        self.acknowledged: list[str] = []
        self.unknown: set[str] = set()
        self._number = number
        self._torment = torment
        self._refused = refused
        self._dice = dice

    def go_on(self, over: threading.Event) -> None:
        """Until it is over, tell some words in a row, then be silent: so turns meet processes of every age.

        If everybody talked all the time, each would lose its process to another one after every word.
        """
        while not over.wait(self._dice.uniform(0, _SILENCE_S)):
            for _ in range(self._dice.randint(1, _IN_A_ROW)):
                word = f"c{self._number}w{len(self.acknowledged)}"
                if self._tell(word, over):
                    self.acknowledged.append(word)
                time.sleep(0.05)

    def _tell(self, word: str, over: threading.Event) -> bool:
        """Try until it is acknowledged, or all is over."""
        while not over.is_set():
            try:
                if self._ask(f"Remember the word {word}.") is not None:
                    return True
            except (httpx.HTTPError, RuntimeError):
                # The answer may have been completed without having arrived.
                self.unknown.add(word)
                self._refused.add("connection lost")
            time.sleep(_AGAIN_S)
        return False

    def recite(self, until: float) -> list[str] | None:
        """Everything it knows; None when there was no answer until a time of the monotonic clock."""
        while time.monotonic() < until:
            try:
                text = self._ask("List everything?")
            except httpx.HTTPError:
                text = None
            if text is not None:
                said = text.removeprefix("You asked me to remember: ").rstrip(".")
                return [] if said == "nothing" else said.split(", ")
            time.sleep(_AGAIN_S)
        return None

    def _ask(self, text: str) -> str | None:
        answer = self._torment.gateway.ask(text, self.name)
        if answer.status_code == 200:
            return str(answer.json()["choices"][0]["message"]["content"])
        try:
            code = answer.json()["error"]["code"]
        except (ValueError, KeyError, TypeError):
            code = f"without an error code: {answer.text[:80]!r}"
        self._refused.add(f"{answer.status_code} {code}")
        return None
