"""Who gets a process slot, and who has to make room.

A slot is held from the moment it is granted until its process is reaped, so processes that are stopping count. Pure:
the caller carries the decisions out.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Decision:
    """What the pool wants done now: who may start, and which idle sessions must stop to make room."""

    grant: tuple[str, ...] = ()
    evict: tuple[str, ...] = ()


@dataclass
class SlotPool:
    """Slots for at most `size` processes, and a first-come queue of at most `max_waiting` for them.

    A held slot is *idle* when its session could be stopped without harm; the least recently used one goes first.
    """

    size: int
    max_waiting: int
    _held: set[str] = field(default_factory=set)
    _idle: OrderedDict[str, None] = field(default_factory=OrderedDict)
    _leaving: set[str] = field(default_factory=set)
    _queue: OrderedDict[str, None] = field(default_factory=OrderedDict)

    @property
    def held(self) -> int:
        """Slots in use, those of stopping processes included."""
        return len(self._held)

    @property
    def waiting(self) -> int:
        """Requests for a slot that are not granted yet."""
        return len(self._queue)

    def resize(self, size: int) -> Decision:
        """Change the number of slots; idle sessions beyond it must stop."""
        self.size = size
        return self._decide()

    def request(self, key: str) -> Decision | None:
        """Queue `key` for a slot. None: the queue is full. A key that already holds or awaits one changes nothing."""
        if key in self._held or key in self._queue:
            return Decision()
        if self.held >= self.size and self.waiting >= self.max_waiting + len(self._idle) + len(self._leaving):
            return None
        self._queue[key] = None
        return self._decide()

    def cancel(self, key: str) -> Decision:
        """Take `key` out of the queue; nothing happens when it is not in it."""
        self._queue.pop(key, None)
        return Decision()

    def release(self, key: str) -> Decision:
        """The process of `key` is reaped."""
        self._held.discard(key)
        self._idle.pop(key, None)
        self._leaving.discard(key)
        return self._decide()

    def mark_idle(self, key: str) -> Decision:
        """The session of `key` has nothing to do; it becomes the most recently used of the idle ones."""
        self._idle[key] = None
        self._idle.move_to_end(key)
        return self._decide()

    def mark_busy(self, key: str) -> Decision:
        """The session of `key` works again, or is already stopping for another reason."""
        self._idle.pop(key, None)
        self._leaving.discard(key)
        return self._decide()

    def mark_leaving(self, key: str) -> Decision:
        """The session of `key` is stopping: its slot comes free by itself."""
        self._idle.pop(key, None)
        self._leaving.add(key)
        return self._decide()

    def _decide(self) -> Decision:
        grant: list[str] = []
        while self._queue and len(self._held) < self.size:
            key, _ = self._queue.popitem(last=False)
            self._held.add(key)
            grant.append(key)
        evict: list[str] = []
        while self._idle and len(self._leaving) < max(len(self._queue), len(self._held) - self.size):
            victim, _ = self._idle.popitem(last=False)
            self._leaving.add(victim)
            evict.append(victim)
        return Decision(tuple(grant), tuple(evict))
