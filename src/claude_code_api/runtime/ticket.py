"""What a request holds of its turn: it can read the answer, say that it arrived, or leave. Never a process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from claude_code_api.errors import GatewayError
from claude_code_api.runtime.stream import Reading, TurnStream


@dataclass
class Running:
    """A turn as its readers share it. `cut` ends it; `halt` does, too, and keeps what was said. `delivered` says that
    its answer arrived somewhere.

    `replayed` says that it is over and comes from the store. `created_at` is in Unix seconds.
    """

    conversation_id: str
    turn_id: str
    fingerprint: str
    created_at: float
    stream: TurnStream
    replayed: bool
    cut: Callable[[GatewayError | None], None]
    halt: Callable[[], bool]
    delivered: Callable[[], None]
    readers: int = field(default=0, init=False)


class Ticket:
    """One request's share in a turn."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._left = False
        running.readers += 1

    @property
    def conversation_id(self) -> str:
        """Which conversation the turn went to."""
        return self._running.conversation_id

    @property
    def turn_id(self) -> str:
        """The turn's id, the same for everybody who reads it, now and later."""
        return self._running.turn_id

    @property
    def created_at(self) -> float:
        """When the turn was asked for, in Unix seconds."""
        return self._running.created_at

    @property
    def replayed(self) -> bool:
        """Whether the answer had been given before."""
        return self._running.replayed

    @property
    def failure(self) -> GatewayError | None:
        """Why the turn failed, once it has: a refusal may be there at once."""
        return self._running.stream.failure

    def events(self) -> Reading:
        """The turn's events from the first one on, up to TurnCompleted or TurnFailed."""
        return self._running.stream.read()

    def cut(self, error: GatewayError | None = None) -> None:
        """End the turn now, because of `error`, whoever else reads it, unless its answer is complete."""
        self._running.cut(error)

    def halt(self) -> bool:
        """End the turn where it stands, whoever else reads it: it completes as `interrupted` with what was said.

        One that waits does so as soon as it begins. False when it is over, or its answer is complete.
        """
        return self._running.halt()

    def delivered(self) -> None:
        """The whole answer was sent to a client that was there."""
        if not self._left:
            self._left = True
            self._running.readers -= 1
            self._running.delivered()

    def abandon(self) -> None:
        """The client left: when it was the last one, the turn ends and the session stays."""
        if not self._left:
            self._left = True
            self._running.readers -= 1
            if not self._running.readers:
                self._running.cut(None)
