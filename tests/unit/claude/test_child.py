"""Whose descriptor is closed when a child's pipes are."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

import pytest
import uvloop

from claude_code_api.claude.child import handed_to


def test_uvloop_closes_no_descriptor_of_another_thread() -> None:
    reading, writing = os.pipe()
    loop = uvloop.new_event_loop()
    file = handed_to(loop, os.fdopen(reading, "rb", buffering=0))
    number = file.fileno()
    os.close(number)  # as libuv does
    others = os.dup(writing)
    assert others in (number, reading)
    os.dup2(writing, number)
    file.close()
    os.fstat(number)
    for descriptor in {number, others, writing}:
        os.close(descriptor)
    loop.close()


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_the_loop_closes_what_it_was_handed(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def hand_over_and_close(pipe: int) -> int:
        loop = asyncio.get_running_loop()
        file = handed_to(loop, os.fdopen(pipe, "rb", buffering=0))
        number = file.fileno()
        transport, _ = await loop.connect_read_pipe(asyncio.Protocol, file)
        os.fstat(number)
        transport.close()
        await asyncio.sleep(0.01)
        return number

    reading, writing = os.pipe()
    with asyncio.Runner(loop_factory=new_loop) as runner:
        number = runner.run(hand_over_and_close(reading))
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(number)
    os.close(writing)
