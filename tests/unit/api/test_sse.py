"""However a stream ends, its turn is let go of, and nothing of it goes on running."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
from starlette.types import Message

from claude_code_api.api.sse import HEARTBEAT, EventStream

SCOPE = {"type": "http"}


async def here() -> Message:
    """A client that stays."""
    await asyncio.Event().wait()
    raise AssertionError


async def gone() -> Message:
    """A client that has left."""
    return {"type": "http.disconnect"}


class Client:
    """Gets what is sent; at the message with this number, `refuse` breaks the connection, `stop_at` takes no more."""

    def __init__(self, refuse: int | None = None, stop_at: int | None = None) -> None:
        self.bodies: list[bytes] = []
        self.messages = 0
        self.told: list[str] = []
        self._refuse = refuse
        self._stop_at = stop_at

    async def send(self, message: Message) -> None:
        self.messages += 1
        if self.messages - 1 == self._stop_at:
            await asyncio.Event().wait()
        if self.messages - 1 == self._refuse:
            raise BrokenPipeError
        self.bodies.append(message.get("body", b""))

    def stream(self, frames: AsyncIterator[bytes], heartbeat_s: float = 60.0) -> EventStream:
        """A response whose turn writes down what it is told."""
        return EventStream(
            frames,
            heartbeat_s=heartbeat_s,
            patience_s=0.05,
            on_gone=lambda: self.told.append("gone"),
            on_sent=lambda: self.told.append("sent"),
            headers={},
        )


async def two() -> AsyncIterator[bytes]:
    yield b"one"
    yield b"two"


async def endless() -> AsyncIterator[bytes]:
    await asyncio.Event().wait()
    yield b""


@pytest.fixture
def others() -> Callable[[], int]:
    """How many tasks there are beside the test's own."""
    return lambda: len(asyncio.all_tasks()) - 1


async def test_a_whole_stream_was_sent_before_it_is_let_go_of(others: Callable[[], int]) -> None:
    client = Client()
    await client.stream(two())(SCOPE, here, client.send)
    assert client.bodies == [b"", b"one", b"two", b""]
    assert client.told == ["sent", "gone"]
    assert others() == 0


@pytest.mark.parametrize("number", [0, 1, 2, 3])
async def test_a_connection_that_breaks_is_no_error_of_ours(number: int, others: Callable[[], int]) -> None:
    client = Client(refuse=number)
    await client.stream(two())(SCOPE, here, client.send)
    assert client.told == ["gone"]
    assert others() == 0


async def test_a_cancelled_request_lets_go_and_stays_cancelled(others: Callable[[], int]) -> None:
    client = Client()
    request = asyncio.create_task(client.stream(endless())(SCOPE, here, client.send))
    await asyncio.sleep(0.01)
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert client.told == ["gone"]
    assert others() == 0


async def test_a_defect_in_the_frames_lets_go_and_is_not_hidden(others: Callable[[], int]) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"one"
        raise RuntimeError("a defect")

    client = Client()
    with pytest.raises(RuntimeError):
        await client.stream(broken())(SCOPE, here, client.send)
    assert client.told == ["gone"]
    assert others() == 0


async def test_a_client_that_leaves_is_noticed_while_nothing_is_sent() -> None:
    left = asyncio.Event()

    async def until_left() -> AsyncIterator[bytes]:
        await left.wait()
        for _ in ():
            yield b""

    client = Client()
    response = EventStream(
        until_left(), heartbeat_s=60.0, patience_s=60.0, on_gone=left.set, on_sent=lambda: None, headers={}
    )
    async with asyncio.timeout(5):
        await response(SCOPE, gone, client.send)


async def test_silence_is_filled_with_heartbeats() -> None:
    async def slow() -> AsyncIterator[bytes]:
        await asyncio.sleep(0.2)
        yield b"late"

    client = Client()
    await client.stream(slow(), heartbeat_s=0.05)(SCOPE, here, client.send)
    assert client.bodies[1] == HEARTBEAT
    assert client.bodies[-2:] == [b"late", b""]


async def test_a_client_that_takes_nothing_more_is_given_up() -> None:
    client = Client(stop_at=2)
    async with asyncio.timeout(5):
        await client.stream(two())(SCOPE, here, client.send)
    assert client.bodies == [b"", b"one"]
    assert client.told[:1] == ["gone"]
    assert "sent" not in client.told
