"""What is compared: raw CLIs and gateways of one mode, alike in everything but the gateway."""

from __future__ import annotations

import os
import sys
import uuid
from pathlib import Path

from claude_code_api.bench.gateway import Gateway
from claude_code_api.bench.machine import Processes, free_port, ready
from claude_code_api.bench.raw import RawCli
from claude_code_api.claude.launch import find_command, installation
from claude_code_api.config import variable
from claude_code_api.offline.server import API_KEY

SIMPLE = {"lean": "off", "simple": "on"}
"""The modes, and their value of `[claude] simple`."""

_KEPT = ("PATH", "LANG", "LC_ALL", "TZ", "PYTHONPATH", "LD_LIBRARY_PATH")


class Sides:
    """Makes raw CLIs and gateways in one mode, their files under `root`; both talk to the model at `url`."""

    def __init__(self, mode: str, *, command: str, instance: str, url: str, root: Path, processes: Processes) -> None:
        root.mkdir()
        self._mode = mode
        self._root = root
        self._processes = processes
        self._environ = {**environment(root), "ANTHROPIC_BASE_URL": url, "ANTHROPIC_API_KEY": API_KEY}
        self._installation = installation(
            # Absolute, because the gateway is started in another directory.
            command=str(Path(find_command(command)).absolute()),
            base_url="",
            simple=SIMPLE[mode],
            environ=self._environ,
            instance=instance,
        )

    @property
    def command(self) -> str:
        """The CLI that both sides run."""
        return self._installation.command

    def raw(self) -> RawCli:
        """A raw CLI, not yet started, with directories that are."""
        return RawCli(self._processes, self._installation, self._root / f"raw-{uuid.uuid4().hex[:16]}")

    def data_dir(self) -> Path:
        """A directory for a server's data; it does not exist yet."""
        return self._root / f"gateway-{uuid.uuid4().hex[:16]}"

    async def gateway(self, *, spares: int = 0, data: Path | None = None, **claude: str) -> Gateway:
        """A started server that keeps `spares`, on the `data` of an earlier one or on a directory of its own.

        `claude` are further settings. Raises BenchFailed.
        """
        claude |= {"simple": SIMPLE[self._mode], "command": self.command}
        settings = {variable("claude", key): value for key, value in claude.items()}
        settings |= {variable("pool", key): str(spares) for key in ("min_size", "max_size")}
        env = {**self._environ, **settings, variable("log", "level"): "warning"}
        return await Gateway.start(self._processes, env, data or self.data_dir())


async def offline_model(processes: Processes, root: Path) -> str:
    """Start the offline model as a process of its own; return its URL. Raises BenchFailed."""
    port, errors = free_port(), root / "offline.stderr"
    argv = [sys.executable, "-m", "claude_code_api.offline", str(port)]
    process = await processes.start(argv, env=environment(root), cwd=root, errors=errors)
    await ready(process, port, "offline model", errors)
    return f"http://127.0.0.1:{port}"


def environment(root: Path) -> dict[str, str]:
    """What the started Python processes need; nobody's own configuration is among it."""
    kept = {name: os.environ[name] for name in _KEPT if os.environ.get(name)}
    return {**kept, "HOME": str(root), "XDG_CONFIG_HOME": str(root), "XDG_DATA_HOME": str(root)}
