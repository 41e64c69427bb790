"""The composition root: the only place that puts adapters into ports. No globals."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import structlog
from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from claude_code_api import __version__
from claude_code_api.api import approvals, auth, errors, happenings, models, operations, sessions, transcripts
from claude_code_api.api.anthropic_messages import routes as anthropic_messages
from claude_code_api.api.context import Context
from claude_code_api.api.description import Described
from claude_code_api.api.edge import Edge
from claude_code_api.api.fetch import FetchSettings, ImageFetcher
from claude_code_api.api.gate import Gate
from claude_code_api.api.managed_agents import (
    routes_agents,
    routes_environments,
    routes_events,
    routes_files,
    routes_resources,
    routes_sessions,
    routes_skills,
    routes_threads,
    unsupported,
)
from claude_code_api.api.managed_agents.context import Managed
from claude_code_api.api.openai_chat import routes as openai_chat
from claude_code_api.api.openai_conversations import routes as openai_conversations
from claude_code_api.api.openai_responses import routes as openai_responses
from claude_code_api.api.openai_responses import socket as openai_socket
from claude_code_api.claude.launch import INSTANCE_VARIABLE, Installation, installation
from claude_code_api.claude.launcher import ClaudeLauncher
from claude_code_api.claude.permissions import Rules
from claude_code_api.claude.warm import SpareSettings
from claude_code_api.config import Settings
from claude_code_api.core.models import ModelNames
from claude_code_api.core.profiles import ProfilePolicy
from claude_code_api.core.toolbox import Permissions
from claude_code_api.errors import ConfigError, ModelNotFound, StoreUnavailable
from claude_code_api.managed.equipment import Equipment
from claude_code_api.managed.files import Shelf, drop_expired
from claude_code_api.managed.sessions import Sessions
from claude_code_api.runtime.guard import Guard
from claude_code_api.runtime.janitor import Janitor, JanitorSettings
from claude_code_api.runtime.keyring import Keyring
from claude_code_api.runtime.manager import ManagerSettings, SessionManager
from claude_code_api.runtime.memory import default_ceiling
from claude_code_api.runtime.orphans import note_clean_end, stop_orphans
from claude_code_api.runtime.watchdog import Limits
from claude_code_api.store.database import FILE_NAME, sqlite_engine
from claude_code_api.store.managed import ManagedStore
from claude_code_api.store.migrate import prepare
from claude_code_api.store.sql import SqlStore
from claude_code_api.store.start import settle

log = structlog.get_logger(__name__)

_SESSIONS, _FILES, _SKILLS = "sessions", "files", "skills"
_SWEEP_BATCH = 500
_CHECKS_AT_ONCE = 2
_COUNTS_AT_ONCE = 4
"""Token counts of a tenant. Each one takes a process, and Claude Code as a client asks for dozens together."""
_EXPOSED = (
    *("X-Request-ID", "request-id", "X-Conversation-ID", "X-Session-Start", "X-Ignored-Params"),
    *("Idempotent-Replayed", "Retry-After", "x-should-retry"),
)


def create_app(
    settings: Settings,
    *,
    environ: Mapping[str, str],
    offline: tuple[str, str] | None = None,
    exposed: bool = False,
) -> FastAPI:
    """The application, on data that `prepare_data` has prepared. `offline` is the offline model's URL and key.

    `exposed` says that other machines can reach it: nobody comes in without an API key then.

    Raises ConfigError when the settings cannot be carried out.
    """
    instance = uuid.uuid4().hex
    claude = settings.claude
    cli = installation(
        command=claude.command,
        base_url=offline[0] if offline else claude.base_url,
        simple=claude.simple,
        environ=environ,
        instance=instance,
        credential=offline[1] if offline else None,
    )
    home = settings.home(offline=offline is not None)
    names = _model_names(settings, open_ended=bool(cli.environment.get("ANTHROPIC_BASE_URL")) and offline is None)

    lifespan = partial(
        _serving, settings=settings, cli=cli, names=names, home=home, instance=instance, offline=offline is not None
    )
    return _http(settings, lifespan, exposed=exposed)


@contextlib.asynccontextmanager
async def _serving(
    app: FastAPI,
    *,
    settings: Settings,
    cli: Installation,
    names: ModelNames,
    home: Path,
    instance: str,
    offline: bool,
) -> AsyncIterator[None]:
    """Everything that lives as long as the server."""
    root = home / _SESSIONS
    left = [path.name for path in root.iterdir()]
    record = home / "instance"
    if stopped := await asyncio.to_thread(stop_orphans, record, variable=INSTANCE_VARIABLE, instance=instance):
        log.warning("orphans_stopped", processes=stopped, reason="an earlier server was killed with its guard")
    store = SqlStore(sqlite_engine(home / FILE_NAME))
    guard = Guard(f"{INSTANCE_VARIABLE}={instance}")
    launcher = _launcher(settings, cli, root.resolve(), guard, names.resolve(names.default))
    manager = _manager(settings, launcher, store)
    janitor = _janitor(settings, manager, launcher)
    keys = Keyring(store)
    sweeping = manager.tasks.spawn(_sweep(root, left, store), "sweep")
    managed = store.managed()
    shelf, skills = Shelf(home / _FILES), Shelf(home / _SKILLS)
    held = await asyncio.to_thread(shelf.held), await asyncio.to_thread(skills.held)
    tidying = manager.tasks.spawn(_tidy(managed, shelf, skills, *held), "tidy")
    equipment = Equipment(managed, shelf, skills, names.resolve)
    working = Sessions(manager, store.sessions(), equipment, ask=_asked_for(settings))
    images = _images(settings)
    checks = ThreadPoolExecutor(_CHECKS_AT_ONCE, thread_name_prefix="checks")
    app.state.context = Context(
        manager=manager,
        keys=keys,
        pool=launcher.warm,
        models=names,
        profiles=ProfilePolicy(settings.agent.allow_unsandboxed),
        conversation_headers=settings.api.conversation_headers,
        side_requests=settings.api.side_requests,
        images=images,
        checks=checks,
        counting=Gate(
            _COUNTS_AT_ONCE, max_waiting=settings.claude.max_waiting, wait_s=settings.claude.slot_wait_seconds
        ),
        managed=Managed(store=managed, shelf=shelf, skills=skills, sessions=working),
        strict_params=settings.api.strict_params,
        reasoning_content=settings.api.reasoning_content,
        agent_activity=settings.api.agent_activity,
        heartbeat_s=settings.server.heartbeat_seconds,
        patience_s=settings.server.slow_client_seconds,
        sessions_root=str(root.resolve()),
        offline=offline,
    )
    manager.start()
    janitor.start()
    await working.start()
    try:
        yield
    finally:
        await janitor.stop()
        sweeping.cancel()
        tidying.cancel()
        await manager.shutdown()
        await working.close()
        await launcher.close()
        await keys.close()
        images.close()
        checks.shutdown(wait=False, cancel_futures=True)
        await store.close()
        if guard.close():
            note_clean_end(record)


def prepare_data(settings: Settings, *, offline: bool) -> None:
    """Bring the stored conversations to this version, and mark what an earlier server did not bring to an end.

    Raises ConfigError when the directory or the database cannot be used: damaged, newer, locked, the disk full.
    """
    home = settings.home(offline=offline)
    prepare(home / FILE_NAME)
    if (cut := settle(home / FILE_NAME)) > 0:
        log.warning("turns_interrupted", count=cut, reason="an earlier server ended during them")
    try:
        (home / _SESSIONS).mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"[server] data_dir: {home / _SESSIONS} cannot be used: {error.strerror}.") from error


def _http(
    settings: Settings, lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]], *, exposed: bool
) -> FastAPI:
    app = Described(
        title="Claude Code API",
        version=__version__,
        summary="Live Claude Code sessions behind the APIs that programs already speak.",
        lifespan=lifespan,
        responses=errors.DOCUMENTED,
    )
    dialects = (openai_chat, openai_responses, openai_socket, openai_conversations, anthropic_messages)
    of_sessions = (routes_sessions, routes_events, routes_resources, routes_threads)  # before our own
    managed_agents = (routes_agents, routes_environments, routes_files, routes_skills, *of_sessions, unsupported)
    for room in (*dialects, *managed_agents, models, sessions, approvals, transcripts, happenings, operations):
        app.include_router(room.router)
    errors.install(app)
    app.add_middleware(
        auth.Auth, hosts=settings.server.allowed_hosts, exposed=exposed, required=settings.server.require_keys
    )
    if settings.server.allowed_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.server.allowed_origins,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=_EXPOSED,
        )
    app.add_middleware(
        Edge,
        origins=settings.server.allowed_origins,
        max_body=settings.server.max_body_bytes,
        patience_s=settings.server.slow_client_seconds,
    )
    return app


def _images(settings: Settings) -> ImageFetcher:
    media = settings.media
    return ImageFetcher(
        FetchSettings(
            enabled=media.fetch_urls,
            ports=frozenset(media.fetch_ports),
            private=media.allow_private_addresses,
            max_bytes=media.max_bytes,
            max_total=settings.server.max_body_bytes * 3 // 4,  # as much as data URLs could carry
            max_urls=media.max_urls,
            timeout_s=media.timeout_seconds,
        )
    )


def _model_names(settings: Settings, *, open_ended: bool) -> ModelNames:
    names = ModelNames(settings.models.default, settings.models.aliases, open_ended)
    try:
        names.resolve(names.default)
    except ModelNotFound as error:
        raise ConfigError(f"[models] default: {error.message}") from error
    return names


def _asked_for(settings: Settings) -> Permissions:
    """The calls of agents that wait for a person on this server."""
    return Permissions(tuple((tool, "ask") for tool in settings.agent.ask))


def _launcher(settings: Settings, cli: Installation, root: Path, guard: Guard, spare_model: str) -> ClaudeLauncher:
    claude, pool = settings.claude, settings.pool
    return ClaudeLauncher(
        cli,
        root=root,
        guard=guard,
        start_s=claude.start_seconds,
        retry_s=claude.upstream_retry_seconds,
        concurrent_starts=claude.max_concurrent_starts,
        spare_model=spare_model,
        rules=Rules(_asked_for(settings), settings.agent.approval_seconds),
        pool=SpareSettings(
            min_size=pool.min_size,
            max_size=pool.max_size if claude.use_interactive_sessions else 0,
            max_lifetime_s=pool.max_lifetime,
            min_free=pool.min_free_memory,
        ),
    )


async def _sweep(root: Path, names: Sequence[str], store: SqlStore) -> None:
    """Remove directories that belong to no conversation: spares and first turns of a server that was killed."""
    try:
        for start in range(0, len(names), _SWEEP_BATCH):
            batch = names[start : start + _SWEEP_BATCH]
            for name in set(batch) - await store.known_places(batch):
                await asyncio.to_thread(shutil.rmtree, root / name, ignore_errors=True)
    except StoreUnavailable as error:
        log.warning("sweep_ended", reason=error.message, consequence="the next start removes what is left")


async def _tidy(
    managed: ManagedStore, shelf: Shelf, skills: Shelf, files: Sequence[Path], versions: Sequence[Path]
) -> None:
    """Of what lay there at the start, remove what nothing is known of, and the files whose time is over."""
    try:
        known = await managed.known_files([path.name for path in files])
        await asyncio.to_thread(shelf.sweep, files, known)
        known = await managed.known_skill_versions([path.name for path in versions])
        await asyncio.to_thread(skills.sweep, versions, known)
        await drop_expired(managed, shelf, time.time())
    except StoreUnavailable as error:
        log.warning("tidying_ended", reason=error.message, consequence="the next start removes what is left")


def _janitor(settings: Settings, manager: SessionManager, launcher: ClaudeLauncher) -> Janitor:
    days = settings.store.retain_days
    return Janitor(
        manager,
        launcher.warm,
        JanitorSettings(
            idle_s=settings.claude.session_idle_seconds,
            process_memory=settings.claude.max_process_memory,
            total_memory=settings.claude.max_total_memory or default_ceiling(),
            retain_s=days * 24 * 3600 if days else None,
        ),
    )


def _manager(settings: Settings, launcher: ClaudeLauncher, store: SqlStore) -> SessionManager:
    claude = settings.claude
    return SessionManager(
        launcher,
        store,
        ManagerSettings(
            max_sessions=claude.max_concurrent_sessions,
            max_waiting=claude.max_waiting,
            slot_wait_s=claude.slot_wait_seconds,
            idle_s=claude.session_idle_seconds,
            max_queued_turns=claude.max_queued_turns,
            interactive=claude.use_interactive_sessions,
            grace_s=settings.server.shutdown_grace_seconds,
            lineage=settings.api.lineage,
        ),
        Limits(
            first_event_s=claude.first_event_seconds, silence_s=claude.silence_seconds, turn_s=claude.timeout_seconds
        ),
    )
