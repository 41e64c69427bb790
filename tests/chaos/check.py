"""What must be true when it is over."""

from __future__ import annotations

import re
import sqlite3
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.chaos.talk import Talk
from tests.chaos.tally import Tally
from tests.chaos.torment import Torment
from tests.gateway import marked_processes

_RECITE_S = 600
_GONE_S = 20


def check(torment: Torment, talks: Sequence[Talk], refused: Tally) -> list[str]:
    """End the server; return what is not as it must be, a line each."""
    until = time.monotonic() + _RECITE_S
    with ThreadPoolExecutor(4) as pool:
        recited = list(pool.map(lambda talk: talk.recite(until), talks))
    failures = [line for talk, words in zip(talks, recited, strict=True) if (line := _wrong(talk, words)) is not None]
    torment.end()
    failures += _stored(torment.gateway.data / "default" / "conversations.db", talks)
    # Nothing that is done here excuses a 500: it is what the gateway answers to a defect of its own.
    failures += [f"clients were answered {line}" for line in refused.beginning_with("500")]
    return [*torment.failures, *failures, *_stray(torment.marks)]


def _wrong(talk: Talk, words: list[str] | None) -> str | None:
    """How a list differs from what was told. A word whose fate is unknown may be there, also twice."""
    if words is None:
        return f"{talk.name} did not recite its list within {_RECITE_S} s"
    missing = [word for word in talk.acknowledged if word not in words]
    foreign = [word for word in words if word not in talk.acknowledged and word not in talk.unknown]
    twice = [word for word, count in Counter(words).items() if count > 1 and word not in talk.unknown]
    if missing or foreign or twice:
        wrong = f"lacks {_named(missing)}; knows {_named(foreign)} that it was not told; has {_named(twice)} twice"
        return f"{talk.name} was told {len(talk.acknowledged)} words: {wrong}"
    known = [word for word in words if word not in talk.unknown]
    if known != [word for word in talk.acknowledged if word not in talk.unknown]:
        return f"{talk.name} recites in another order than it was told: {', '.join(known)}"
    return None


def _named(words: list[str]) -> str:
    """How many, and which, in few words."""
    which = words if len(words) < 4 else [words[0], "...", words[-1]]
    return f"{len(words)} ({' '.join(which)})" if words else "none"


def _stored(path: Path, talks: Sequence[Talk]) -> list[str]:
    """Every acknowledged turn is in the store exactly once; one whose answer got lost may be there again."""
    database = sqlite3.connect(path)
    (sound,) = database.execute("PRAGMA integrity_check").fetchone()
    rows = database.execute("SELECT input FROM turn WHERE status = 'completed'").fetchall()
    running = database.execute("SELECT count(*) FROM turn WHERE status = 'running'").fetchone()[0]
    database.close()
    stored = Counter(word for (given,) in rows for word in re.findall(r"Remember the word (\w+)\.", given))
    failures = [
        f"{word} is stored {stored[word]} times"
        for talk in talks
        for word in talk.acknowledged
        if stored[word] != 1 and (word not in talk.unknown or stored[word] == 0)
    ]
    if sound != "ok":
        failures.append(f"the database is not sound: {sound}")
    if running:
        failures.append(f"{running} turns are stored as running, and the server has ended")
    return failures


def _stray(marks: set[str]) -> list[str]:
    """Processes of any of the servers, once the guards had time to end them."""
    until = time.monotonic() + _GONE_S
    while (left := {mark: pids for mark in marks if (pids := marked_processes(mark))}) and time.monotonic() < until:
        time.sleep(0.5)
    return [f"the processes {pids} of a server are left" for pids in left.values()]
