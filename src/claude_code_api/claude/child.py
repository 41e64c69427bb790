"""A child process with pipes, started as cheaply as the platform allows.

`subprocess.Popen` starts a child by vfork; the event loops' own spawn copies the server's page tables first, and stands
still meanwhile: 4 ms and more in a server of this size, for every session at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import subprocess
import threading
from asyncio.streams import FlowControlMixin
from collections.abc import Mapping, Sequence
from typing import IO, cast


class Child:
    """A running child in a process group of its own. Reaped by itself when it exits."""

    def __init__(
        self,
        popen: subprocess.Popen[bytes],
        stdin: asyncio.StreamWriter,
        stdout: asyncio.StreamReader,
        stderr: asyncio.StreamReader,
    ) -> None:
        self.pid = popen.pid
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        self._popen = popen
        self._exited = _watch(popen)

    @classmethod
    async def spawn(
        cls, argv: Sequence[str], *, env: Mapping[str, str], secrets: Mapping[str, str], cwd: str, limit: int
    ) -> Child:
        """Start a child; `limit` bounds a line of its output, in bytes. Raises OSError.

        Each of the `secrets` comes by a pipe; the variable that it goes by tells the child the descriptor.
        """
        popen = _start(argv, env, secrets, cwd)
        with contextlib.ExitStack() as undo:
            undo.callback(popen.wait)
            undo.callback(popen.kill)
            assert popen.stdin is not None
            assert popen.stdout is not None
            assert popen.stderr is not None
            loop = asyncio.get_running_loop()
            transport, protocol = await loop.connect_write_pipe(FlowControlMixin, handed_to(loop, popen.stdin))
            stdin = asyncio.StreamWriter(transport, protocol, None, loop)
            child = cls(popen, stdin, await _reader(popen.stdout, limit), await _reader(popen.stderr, limit))
            undo.pop_all()
            return child

    def kill(self) -> None:
        """Send SIGKILL; a child that is gone is left alone."""
        self._popen.kill()

    async def wait(self) -> int:
        """Wait until it is reaped; return its exit code, negative for a signal."""
        return await asyncio.shield(self._exited)


def _start(
    argv: Sequence[str], env: Mapping[str, str], secrets: Mapping[str, str], cwd: str
) -> subprocess.Popen[bytes]:
    """Half a millisecond: short enough for the event loop."""
    pipe = subprocess.PIPE
    with contextlib.ExitStack() as ours:
        descriptors = {name: _filled(secret, ours) for name, secret in secrets.items()}
        return subprocess.Popen(
            argv,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            env={**env, **{name: str(descriptor) for name, descriptor in descriptors.items()}},
            cwd=cwd,
            bufsize=0,
            start_new_session=True,
            pass_fds=tuple(descriptors.values()),
        )


def _filled(secret: str, ours: contextlib.ExitStack) -> int:
    """A pipe to read the secret from, once; our end of it goes with `ours`."""
    reading, writing = os.pipe()
    ours.callback(os.close, reading)
    with os.fdopen(writing, "wb") as pipe:
        pipe.write(secret.encode())  # far less than a pipe holds
    return reading


async def _reader(pipe: IO[bytes], limit: int) -> asyncio.StreamReader:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=limit, loop=loop)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader, loop=loop), handed_to(loop, pipe))
    return reader


def handed_to(loop: asyncio.AbstractEventLoop, pipe: IO[bytes]) -> IO[bytes]:
    """The pipe as a file that the loop may close; `pipe` itself is closed.

    uvloop closes the descriptor and then the file, when the number may already be another thread's: the database lost
    its own that way. A file for uvloop therefore closes nothing.
    """
    owns = type(loop).__module__.partition(".")[0] != "uvloop"
    with pipe:
        return cast(IO[bytes], io.FileIO(os.dup(pipe.fileno()), pipe.mode, closefd=owns))


def _watch(popen: subprocess.Popen[bytes]) -> asyncio.Future[int]:
    """A future of the exit code: by pidfd where there is one, else by a thread that waits."""
    loop = asyncio.get_running_loop()
    exited: asyncio.Future[int] = loop.create_future()
    if hasattr(os, "pidfd_open"):
        descriptor = os.pidfd_open(popen.pid)

        def reap() -> None:
            loop.remove_reader(descriptor)
            os.close(descriptor)
            exited.set_result(popen.wait())

        loop.add_reader(descriptor, reap)
    else:

        def wait() -> None:
            code = popen.wait()
            loop.call_soon_threadsafe(exited.set_result, code)

        threading.Thread(target=wait, name=f"wait-{popen.pid}", daemon=True).start()
    return exited
