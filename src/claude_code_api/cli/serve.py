"""`claude-code-api serve`."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer
import uvicorn
from rich.console import Console
from rich.panel import Panel

from claude_code_api.claude.launch import credentials_in
from claude_code_api.cli.lock import lock
from claude_code_api.config import Settings, load, unsupported_platform
from claude_code_api.errors import ConfigError
from claude_code_api.observe import logging

if TYPE_CHECKING:
    from fastapi import FastAPI

_console = Console(stderr=True)

_AFTER_OURS_S = 2.0
"""So much later than the server itself the kernel gives a slow client up."""


def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; beyond loopback only with API keys.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one.")] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file with settings.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Where conversations keep their files.")] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Use the built-in offline model, a stand-in.")] = False,
    offline_without_credentials: Annotated[
        bool,
        typer.Option("--offline-without-credentials", help="Use the offline model if no credentials are found."),
    ] = False,
) -> None:
    """Serve the API.

    Example: claude-code-api serve --port 8000
    """
    flags = {"server.host": host, "server.port": port, "server.data_dir": data_dir}
    settings = load(file=config, flags=flags).settings
    if (lacking := unsupported_platform()) is not None:
        raise ConfigError(lacking)
    os.umask(0o077)
    logging.configure(style=settings.log.format, level=settings.log.level)
    if offline_without_credentials and not offline:
        offline = not credentials_in(os.environ) and not settings.claude.base_url
    family, place = _resolve(settings)
    exposed = not _is_loopback(place)
    if exposed:
        _require_keys(settings, offline=offline)
    with _bind(settings, family, place) as listener, lock(settings.server.data_dir):
        address = f"http://{_bracketed(settings.server.host)}:{listener.getsockname()[1]}"
        if not offline:
            _refuse_loop(settings, listener.getsockname()[1])
        if offline:
            from claude_code_api.offline.server import API_KEY, OfflineModel

            with OfflineModel() as model:
                _run(settings, listener, address, offline=(model.url, API_KEY), exposed=exposed)
        else:
            _run(settings, listener, address, offline=None, exposed=exposed)


def _run(
    settings: Settings, listener: socket.socket, address: str, *, offline: tuple[str, str] | None, exposed: bool
) -> None:
    from claude_code_api.app import create_app, prepare_data

    prepare_data(settings, offline=offline is not None)
    app = create_app(settings, environ=os.environ, offline=offline, exposed=exposed)
    _tell_of_agents(settings, offline=offline is not None)
    _banner(address, offline=offline is not None)
    grace = settings.server.shutdown_grace_seconds
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=int(grace) + 5,
        ws="websockets-sansio",
        ws_max_size=settings.server.max_body_bytes,
        ws_per_message_deflate=False,  # on one machine it costs time and saves nothing
    )
    _Server(config, app).run(sockets=[listener])


class _Server(uvicorn.Server):
    """uvicorn, which tells the sessions at the first signal that the end is near, and exits with 0 after a drain."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._fastapi = app

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal drains; another Ctrl-C stops waiting (the guard then ends what is left)."""
        if self.should_exit:
            self.force_exit = self.force_exit or sig == signal.SIGINT
        elif hasattr(self._fastapi.state, "context"):
            self._fastapi.state.context.manager.begin_drain_soon()
        self.should_exit = True


def _banner(address: str, *, offline: bool) -> None:
    if offline:
        _console.print(
            Panel(
                "This is the offline model, a stand-in for trying things out. Its answers are not Claude's.\n"
                "For real ones set ANTHROPIC_API_KEY (or another credential of the README) and start again.",
                title="OFFLINE MODEL",
                style="yellow",
            )
        )
    elif not credentials_in(os.environ):
        _console.print("No credentials found in the environment: requests will fail until the server has some.")
    _console.print(
        f"Claude Code API on {address}  (docs: {address}/docs, Ctrl-C stops)", highlight=False, soft_wrap=True
    )


def _tell_of_agents(settings: Settings, *, offline: bool) -> None:
    """Say what it means that the profile agent is open, where it is."""
    has_keys = _has_keys(settings, offline=offline)
    if has_keys and not settings.agent.allow_unsandboxed:
        return
    who = "whoever has an API key" if has_keys else "whoever uses this machine"
    asking = f"asking before {', '.join(settings.agent.ask)} only" if settings.agent.ask else "without asking"
    _console.print(
        f"Models named agent/... are open to {who}: they run commands and change files here {asking}, with the rights "
        "of this server, and without a sandbox.",
        highlight=False,
        soft_wrap=True,
    )


def _has_keys(settings: Settings, *, offline: bool) -> bool:
    from claude_code_api.store.database import FILE_NAME
    from claude_code_api.store.keys import stored

    return bool(stored(settings.home(offline=offline) / FILE_NAME))


def _require_keys(settings: Settings, *, offline: bool) -> None:
    """Raises ConfigError when there are no API keys: other machines could reach the server."""
    if not _has_keys(settings, offline=offline):
        raise ConfigError(
            f"[server] host: {settings.server.host} can be reached from other machines, and anybody who reaches the "
            "server can spend your credentials. Make an API key first: `claude-code-api keys create --name NAME"
            f"{' --offline' if offline else ''}` (with the --config or --data-dir of the server). Without keys only "
            "loopback is allowed: 127.0.0.1, ::1 or localhost."
        )


def _resolve(settings: Settings) -> tuple[socket.AddressFamily, tuple[Any, ...]]:
    """The socket address to listen on, looked up once: what is checked is what is bound."""
    host, port = settings.server.host, settings.server.port
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ConfigError(f"[server] host: {host!r} is not an address of this machine: {error}") from error
    return found[0][0], found[0][4]


def _is_loopback(address: tuple[Any, ...]) -> bool:
    return ipaddress.ip_address(str(address[0]).partition("%")[0]).is_loopback


@contextlib.contextmanager
def _bind(settings: Settings, family: socket.AddressFamily, address: tuple[Any, ...]) -> Iterator[socket.socket]:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux: ends connections whose other side takes nothing any more
            seconds = settings.server.slow_client_seconds + _AFTER_OURS_S
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, min(int(seconds * 1000), 2**31 - 1))
        try:
            listener.bind(address)
        except OSError as error:
            raise ConfigError(
                f"Port {settings.server.port} on {settings.server.host} cannot be used: {error.strerror}. Choose "
                "another with --port."
            ) from error
        listener.listen(2048)
        yield listener
    finally:
        listener.close()


def _refuse_loop(settings: Settings, port: int) -> None:
    for url in (settings.claude.base_url, os.environ.get("ANTHROPIC_BASE_URL", "")):
        parts = urlsplit(url)
        if not parts.hostname or (parts.port or (443 if parts.scheme == "https" else 80)) != port:
            continue
        with contextlib.suppress(OSError):
            for *_, address in socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM):
                if _is_loopback(address):
                    raise ConfigError(f"The model's base URL {url} is this gateway itself. Point it at a model's API.")


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
