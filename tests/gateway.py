"""A real server in a process of its own, for tests: the real CLI, the offline model, a real socket."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.servers import Server

MARK = "CLAUDE_CODE_API_INSTANCE="


class Gateway:
    """`claude-code-api serve` with settings of its own, named `section__key` as in the environment.

    Without spares unless they are asked for: most tests want to know each process. Its data lie in `data` if that is
    given; with a `program` an interpreter of its own is told to run that instead of the package.
    """

    def __init__(
        self,
        model_url: str,
        settings: dict[str, Any] | None = None,
        env: dict[str, str] | None = None,
        *,
        data: Path | None = None,
        program: Sequence[str] | None = None,
    ) -> None:
        self.data_dir = Path(tempfile.mkdtemp(prefix="cca-"))
        self.data = data or self.data_dir / "data"
        self._program = program
        chosen = {"pool__min_size": 0, "pool__max_size": 0, **(settings or {})}
        self._env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.data_dir),
            "ANTHROPIC_BASE_URL": model_url,
            "ANTHROPIC_API_KEY": "test-key",
            **{f"CLAUDE_CODE__{name.upper()}": _text(value) for name, value in chosen.items()},
            **(env or {}),
        }
        self._start()

    def _start(self) -> None:
        serve = ["serve", "--port", "0", "--data-dir", str(self.data)]
        self._log = (self.data_dir / "stderr.log").open("w+")
        self.process: Server | subprocess.Popen[bytes]
        if self._program is None:
            log = Path(self._log.name)
            self.process = Server(serve, directory=self.data_dir, environment=self._env, log=log)
        else:
            self.process = subprocess.Popen(
                [sys.executable, *self._program, *serve],
                cwd=self.data_dir,
                env=self._env,
                stdout=subprocess.DEVNULL,
                stderr=self._log,
                start_new_session=True,
            )
        try:
            self.url = self._wait_until_up()
        except BaseException:
            self.process.kill()  # nobody has it yet who could stop it
            raise
        self.http = httpx.Client(base_url=self.url, timeout=60)

    def restart(self, number: signal.Signals) -> None:
        """End the server with a signal and start another one on the same data."""
        self.http.close()
        self.process.send_signal(number)
        self.process.wait(timeout=60)
        self._log.close()
        self._start()

    def _wait_until_up(self) -> str:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.process.poll() is None:
            found = re.search(r"Claude Code API on (http://\S+)", self.log())
            if found is not None:
                try:
                    httpx.get(f"{found[1]}/health", timeout=5)
                except httpx.TransportError:
                    time.sleep(0.05)
                    continue
                return found[1]
            time.sleep(0.05)
        raise AssertionError(f"the server did not come up:\n{self.log()}")

    def log(self) -> str:
        """What it has printed so far."""
        return Path(self._log.name).read_text()

    def ask(self, text: str, conversation_id: str | None = None, **extra: Any) -> httpx.Response:
        """Send one user message."""
        body = {"model": "sonnet", "messages": [{"role": "user", "content": text}], **extra}
        if conversation_id is not None:
            body["conversation_id"] = conversation_id
        return self.http.post("/v1/chat/completions", json=body)

    def session(self, conversation_id: str) -> dict[str, Any]:
        """What /v1/sessions says of a conversation."""
        answer = self.http.get(f"/v1/sessions/{conversation_id}")
        assert answer.status_code == 200, answer.text
        session: dict[str, Any] = answer.json()
        return session

    def pid(self, conversation_id: str) -> int:
        """The conversation's live process."""
        pid = self.session(conversation_id)["pid"]
        assert isinstance(pid, int)
        return pid

    def stats(self) -> dict[str, Any]:
        """What /stats says."""
        answer = self.http.get("/stats")
        assert answer.status_code == 200, answer.text
        stats: dict[str, Any] = answer.json()
        return stats

    def counter(self, name: str) -> int:
        """One of the counters of /stats."""
        count: int = self.stats()["counters"][name]
        return count

    def children(self) -> list[psutil.Process]:
        """The live Claude Code processes of this server; not what they fork, which looks like them for a moment."""
        try:
            return [
                child
                for child in psutil.Process(self.process.pid).children()
                if "claude" in Path((child.cmdline() or [""])[0]).name and child.status() != psutil.STATUS_ZOMBIE
            ]
        except psutil.NoSuchProcess:
            return []

    def stop(self) -> None:
        """SIGTERM, wait, clean up."""
        self.http.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(timeout=60)
        self._log.close()
        shutil.rmtree(self.data_dir, ignore_errors=True)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def text_of(answer: httpx.Response) -> str:
    """The assistant's words of a whole answer."""
    assert answer.status_code == 200, f"{answer.status_code} {answer.text}"
    content: str = answer.json()["choices"][0]["message"]["content"]
    return content


def chunks_of(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """The JSON chunks of an SSE stream, without [DONE] and heartbeats."""
    for line in lines:
        if line.startswith("data: ") and line != "data: [DONE]":
            yield json.loads(line[6:])


def eventually(condition: Callable[[], bool], within: float = 5.0) -> None:
    """Wait until a condition holds; fail when it does not in time."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, f"did not become true within {within} s"
        time.sleep(0.02)


def runs(pid: int) -> bool:
    """Whether a process is there and not just waiting to be reaped."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def marked_processes(mark: str) -> list[int]:
    """Every process that carries a server's instance mark, wherever it hangs in the process tree."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and process.environ().get(MARK.rstrip("=")) == mark:
                found.append(process.pid)
        except psutil.Error:
            continue
    return found
