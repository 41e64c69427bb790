"""The gateway: a `claude-code-api serve` process, driven over HTTP/1.1 like any client would.

The client is the standard library's streams: an HTTP library's own time would be counted as the gateway's.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from claude_code_api.bench import MODEL, SYSTEM, BenchFailed
from claude_code_api.bench.machine import Processes, free_port, ready
from claude_code_api.bench.measure import Sample

_TURN_S, _SPARES_S = 90.0, 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a turn took, how it got its process (`X-Session-Start`), and what was said."""

    sample: Sample
    start: str
    text: str


class Connection:
    """One keep-alive connection to the gateway; one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str) -> None:
        self._reader = reader
        self._writer = writer
        self._host = host

    async def chat(self, conversation: str, text: str, *, first: bool) -> Sample:
        """Ask, and return only what it took."""
        return (await self.ask(conversation, text, first=first)).sample

    async def ask(self, conversation: str, text: str, *, first: bool) -> Answer:
        """Ask, streaming; the clock runs from just before the request is written until `[DONE]`.

        `first` sends the system prompt as well. Raises BenchFailed for anything but an answer.
        """
        said = [{"role": "user", "content": text}]
        if first:
            said.insert(0, {"role": "system", "content": SYSTEM})
        body = {"model": MODEL, "stream": True, "conversation_id": conversation, "messages": said}
        started = time.perf_counter()
        first_at: float | None = None
        ended: float | None = None
        said_back: list[str] = []
        try:
            async with asyncio.timeout(_TURN_S):
                status, headers = await self._send("POST", "/v1/chat/completions", json.dumps(body).encode())
                async for event in self._events(status, headers):
                    if event == b"[DONE]":
                        ended = time.perf_counter()
                    elif piece := _text(json.loads(event)):
                        first_at = first_at or time.perf_counter()
                        said_back.append(piece)
        except (TimeoutError, OSError, EOFError) as error:
            raise BenchFailed(f"The gateway did not answer: {error!r}") from error
        if first_at is None or ended is None:
            raise BenchFailed("The gateway's stream ended without text, or without [DONE].")
        sample = Sample((first_at - started) * 1000, (ended - started) * 1000)
        return Answer(sample, headers.get("x-session-start", ""), "".join(said_back))

    async def request(self, method: str, path: str, body: bytes = b"") -> bytes:
        """Send a request, its body JSON if it has one; return the answer's. Raises BenchFailed for an error."""
        status, headers = await self._send(method, path, body)
        return await self._whole(status, headers)

    async def _events(self, status: int, headers: Mapping[str, str]) -> AsyncIterator[bytes]:
        """The data of the stream's events, read to the end: the connection is then ready for the next request."""
        if status != 200:
            await self._whole(status, headers)
        buffer = b""
        async for piece in self._body(status, headers):
            *frames, buffer = (buffer + piece).split(b"\n\n")
            for frame in frames:
                if frame.startswith(b"data: "):
                    yield frame[6:]

    async def _whole(self, status: int, headers: Mapping[str, str]) -> bytes:
        content = b"".join([piece async for piece in self._body(status, headers)])
        if status >= 400:
            raise BenchFailed(f"The gateway answered HTTP {status}: {content.decode(errors='replace')[:1000]}")
        return content

    async def _send(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, str]]:
        head = f"{method} {path} HTTP/1.1\r\nHost: {self._host}\r\nContent-Length: {len(body)}\r\n"
        if body:
            head += "Content-Type: application/json\r\n"
        self._writer.write(f"{head}\r\n".encode() + body)
        status = int((await self._reader.readuntil(b"\r\n")).split()[1])
        headers: dict[str, str] = {}
        while (line := (await self._reader.readuntil(b"\r\n")).strip()) != b"":
            name, _, value = line.decode().partition(":")
            headers[name.strip().lower()] = value.strip().lower()
        return status, headers

    async def _body(self, status: int, headers: Mapping[str, str]) -> AsyncIterator[bytes]:
        if headers.get("transfer-encoding") == "chunked":
            while (size := int((await self._reader.readuntil(b"\r\n")).partition(b";")[0], 16)) > 0:
                yield (await self._reader.readexactly(size + 2))[:-2]
            await self._reader.readuntil(b"\r\n")
        elif status != 204:
            yield await self._reader.readexactly(int(headers.get("content-length", "0")))


def _text(event: dict[str, Any]) -> str:
    if "error" in event:
        raise BenchFailed(f"The gateway's stream failed: {event['error']}")
    return "".join(choice["delta"].get("content") or "" for choice in event["choices"])


class Gateway:
    """One `serve` process with a data directory of its own.

    `start_ms` is what it took from just before the spawn until `/health` was answered.
    """

    def __init__(self, processes: Processes, process: asyncio.subprocess.Process, port: int) -> None:
        self.start_ms = 0.0
        self._processes = processes
        self._process = process
        self._port = port

    @classmethod
    async def start(cls, processes: Processes, env: Mapping[str, str], root: Path) -> Gateway:
        """Start a server that keeps its data under `root`, and wait until it listens. Raises BenchFailed."""
        port, errors = free_port(), root.with_suffix(".stderr")
        argv = [sys.executable, "-m", "claude_code_api", "serve", "--port", str(port), "--data-dir", str(root)]
        started = time.perf_counter()
        process = await processes.start(argv, env=env, cwd=root.parent, errors=errors)
        await ready(process, port, "gateway", errors)
        gateway = cls(processes, process, port)
        async with gateway.connection() as connection:
            await connection.request("GET", "/health")
        gateway.start_ms = (time.perf_counter() - started) * 1000
        return gateway

    @property
    def pid(self) -> int:
        """The server's process id."""
        return self._process.pid

    async def spares(self, count: int) -> None:
        """Wait until `count` spares are ready. Raises BenchFailed when they are not within 60 s."""
        deadline = asyncio.get_running_loop().time() + _SPARES_S
        while asyncio.get_running_loop().time() < deadline:
            async with self.connection() as connection:
                if json.loads(await connection.request("GET", "/stats"))["pool"]["pool_available"] >= count:
                    return
            await asyncio.sleep(0.1)
        raise BenchFailed(f"The gateway did not get {count} spares ready within {_SPARES_S:g} s.")

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """An open connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            yield Connection(reader, writer, f"127.0.0.1:{self._port}")
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def stop(self) -> None:
        """Stop the server and its children; returns when they are gone."""
        await self._processes.stop(self._process)
