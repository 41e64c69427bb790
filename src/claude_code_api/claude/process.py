"""One Claude Code child as an agent: what is said to it, and what its frames mean. Its actor is its only owner.

Speaks the CLI's stream-json protocol. A small control client of our own instead of the SDK's: it starts in no time,
and sends what the SDK's client does not (`client_composed`, `rewind_conversation`).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

import structlog

from claude_code_api.claude import transcript
from claude_code_api.claude.activity import Narrator
from claude_code_api.claude.child import Child
from claude_code_api.claude.control import Control, Frame
from claude_code_api.claude.frames import TurnReader
from claude_code_api.claude.knobs import UNTHOUGHT, UNTURNED, WRITES_NOTHING, knobs, thoughts, token_limit
from claude_code_api.claude.launch import Workplace
from claude_code_api.claude.life import LINE_LIMIT, Life
from claude_code_api.claude.permissions import Gate, Rules
from claude_code_api.claude.rewind import Rewinder
from claude_code_api.claude.tools import SERVER, ClientTools, declined, results_of, tools_for
from claude_code_api.core.profiles import AGENT
from claude_code_api.core.turn import Block, Options, Tool, ToolChoice, TurnCompleted, TurnEvent, TurnFailed, Usage
from claude_code_api.errors import ProcessDied, StartFailed, StartTimedOut, UpstreamError
from claude_code_api.runtime.guard import Guard
from claude_code_api.runtime.ports import Emit, Entry, Origin, Profile
from claude_code_api.runtime.tasks import Tasks

log = structlog.get_logger(__name__)

_UNDO_S = _HALT_S = 5.0
_COUNT_S = 30.0


@dataclass(frozen=True, slots=True)
class Basis:
    """What a child goes on from: its session, the entry to go on after (None for a fresh one), its cost so far.

    `size` is the transcript's, in bytes; `entries` are those of it that the store does not have yet.
    """

    session: str = field(default_factory=lambda: str(uuid.uuid4()))
    leaf: str | None = None
    cost: float = 0.0
    origin: Origin = Origin.FRESH
    size: int = 0
    entries: tuple[Entry, ...] = ()


class ClaudeProcess:
    """A live child. Made by `spawn`; ready after `initialize`."""

    def __init__(
        self, child: Child, basis: Basis, *, place: str, guard: Guard, retry_s: float, narrator: Narrator, rules: Rules
    ) -> None:
        self.place = place
        self.origin = basis.origin
        self.cli_session_id = basis.session
        self._retry_ms = retry_s * 1000
        self._cost_before = self._cost = basis.cost
        self._entries = list(basis.entries)
        self._kept = len(self._entries)
        self._tools = ClientTools()
        self._knobs, self._thoughts = UNTURNED, UNTHOUGHT
        self._held_until_listed: Callable[[], None] | None = None
        self._structured = False
        self._is_agent = False
        self._is_unfit = False
        self._narrator = narrator
        self._reader: TurnReader | None = None
        self._emit: Emit | None = None
        self._servers: dict[str, str] = {}
        self._turn_moved = asyncio.Event()
        self._truncated = asyncio.Event()
        self._tasks = Tasks()
        self._life = Life(
            child, guard, self._tasks, place=place, heard=self._heard, broken=self._give_up, over=self._over
        )
        self._control = Control(self._life.write, self._request_refused)
        self._gate = Gate(rules, narrator, respond=self._control.respond, emit=self._tell)
        self._rewinder = Rewinder(self._control)

    @classmethod
    async def spawn(
        cls,
        argv: list[str],
        basis: Basis,
        *,
        env: dict[str, str],
        secrets: dict[str, str],
        place: Workplace,
        guard: Guard,
        retry_s: float,
        rules: Rules,
    ) -> ClaudeProcess:
        """Start a child in a process group of its own. Raises StartFailed."""
        creating = Tasks().spawn(_create(argv, env, secrets, str(place.work)), "spawn")
        try:
            child = await asyncio.shield(creating)
        except asyncio.CancelledError:
            with contextlib.suppress(StartFailed):
                orphan = await creating
                orphan.kill()
                await orphan.wait()
            raise
        guard.add(child.pid)
        narrator = Narrator(place)
        return cls(child, basis, place=place.root.name, guard=guard, retry_s=retry_s, narrator=narrator, rules=rules)

    @property
    def pid(self) -> int:
        """The process id, and its group's."""
        return self._life.pid

    @property
    def alive(self) -> bool:
        """Whether it can take another turn."""
        return self._life.alive and not self._is_unfit

    @property
    def last_frame_at(self) -> float:
        """When it last said anything, on the event loop's clock."""
        return self._life.last_heard_at

    @property
    def cost_usd(self) -> float:
        """What this process has spent, turns that were cut included."""
        return self._cost - self._cost_before

    async def initialize(
        self,
        profile: Profile,
        tools: Sequence[Tool] = (),
        *,
        model: str | None = None,
        keeps: bool = True,
        timeout_s: float,
    ) -> None:
        """Do the handshake; `tools` are the client's, to which others can be added later.

        `model` replaces the one it was launched with; only before its first turn is that clean. Without `keeps` it
        writes no transcript. Raises StartFailed when the child refuses, dies or takes too long; it is not stopped.
        """
        self._tools.offered = tuple(tools)
        self._structured = profile.schema is not None
        self._is_agent = self._life.leaves_marked = profile.name == AGENT
        first: Frame = {"subtype": "initialize"}
        if tools:  # without a server there is no handshake with it, which takes longer than the rest of this one
            first["sdkMcpServers"] = [SERVER]
        if not self._is_agent:
            first["systemPrompt"] = [profile.system] if profile.system else []
        elif profile.system:
            first["appendSystemPrompt"] = profile.system
        if profile.schema is not None:
            first["jsonSchema"] = json.loads(profile.schema)
        requests = [first]
        settings: Frame = {} if model is None else {"model": model}
        if not keeps:
            settings["env"] = WRITES_NOTHING
        if settings:
            requests.append({"subtype": "apply_flag_settings", "settings": settings})
        servers = profile.toolbox.servers if profile.toolbox is not None else ()
        if servers:
            self._tools.beside = {server.name: {"type": "http", "url": server.url} for server in servers}
            requests.append(self._tools.servers())
        try:
            *_, last = await asyncio.gather(*(self._control.ask(request, timeout_s) for request in requests))
            self._servers = {server.name: str(last["errors"].get(server.name, "")) for server in servers}
        except ProcessDied as error:
            detail = self._life.complaints or error.message
            raise StartFailed(f"Claude Code did not become ready: {detail}", retry_after=5) from error
        except TimeoutError as error:
            raise StartTimedOut(
                f"Claude Code did not become ready within {timeout_s:g} s ([claude] start_seconds).", retry_after=5
            ) from error

    # Agent

    def takes(self, options: Options) -> bool:
        """Whether a turn with these options can be sent to it as it is.

        The CLI adds tools to those that it knows, and neither drops nor changes one. While calls are open, it goes on
        with the token limit that the turn began with.
        """
        if not self._tools.covered_by(self._tools_for(options)):
            return False
        return not self._tools.open or token_limit(knobs(options, None)) == token_limit(self._knobs)

    def send(self, turn: str, content: tuple[Block, ...], options: Options, emit: Emit) -> None:
        """Send a user message, word for word: no slash command, no file mention (`client_composed`).

        The results of open calls are given to those calls instead, and the CLI goes on where it stood.
        """
        answered = results_of(content) if self._tools.open else {}
        parked = self._reader
        wanted = self._tools_for(options)
        news = self._tools.offer(wanted)
        self._reader = TurnReader(
            turn,
            retry_ms=self._retry_ms,
            tools=self._tools.names if options.tools else frozenset(),
            structured=self._structured,
            answered=frozenset(answered),
            spent=parked.spent if parked is not None and answered else None,
            narrator=self._narrator if self._is_agent else None,
            servers=self._servers,
        )
        self._kept = len(self._entries)
        self._emit = emit
        self._life.last_heard_at = asyncio.get_running_loop().time()
        if options.counts:
            self._tasks.spawn(self._count(emit), f"count-{turn}")
            return
        if not answered.keys() <= self._tools.open:
            self._give_up("Claude Code no longer waits for the result of a tool call.")
            return
        self._turn(options)
        say = partial(self._answer, list(answered.values())) if answered else partial(self._say, turn, content)
        if news is None:
            say()
        else:
            self._held_until_listed = say
            self._control.tell(news)

    async def _count(self, emit: Emit) -> None:
        """Ask the CLI what its context weighs: it has the model's API count it."""
        try:
            weight = await self._control.ask({"subtype": "get_context_usage", "detail": "full"}, _COUNT_S)
            usage = Usage(input_tokens=int(weight["totalTokens"]))
            emit(TurnCompleted("end_turn", str(weight["model"]), usage, None))
        except (ProcessDied, TimeoutError, KeyError, TypeError, ValueError):
            emit(TurnFailed(UpstreamError("Claude Code could not count the tokens.", retry_after=5)))

    async def undo(self, turn: str) -> bool:
        """Interrupt the turn if it runs, and rewind the conversation to before its message.

        A context that was compacted during the turn cannot be had back here, only from the transcript: False.
        """
        self._emit = None
        self._gate.release()
        await self._rewinder.halt()
        if self._reader is None or self._reader.turn != turn or self._held_until_listed is not None:
            self._held_until_listed = None
            return self.alive  # it was never sent
        if self._reader.continues or self._reader.compacted or not await self._rewinder.one(turn):
            return False
        del self._entries[self._kept :]
        return True

    def decide(self, call: str, *, allowed: bool, message: str | None) -> bool:
        """Settle a call that waits for approval; False when none of that id does."""
        return self._gate.decide(call, allowed=allowed, message=message)

    async def halt(self, turn: str) -> bool:
        """End the turn where it stands, and keep what was said; False when it is to be undone instead.

        A message that the CLI has not begun with would only wait for its end.
        """
        reader = self._reader
        if reader is None or reader.turn != turn or self._emit is None:
            return False
        reader.halted = True
        self._gate.release()
        try:
            async with asyncio.timeout(_HALT_S):
                await self._moved_until(lambda: reader.started or reader.over)
                if not reader.over:
                    await self._control.ask({"subtype": "interrupt"}, _HALT_S)
                    await self._moved_until(lambda: reader.over)
        except (ProcessDied, TimeoutError):
            return False
        return not reader.dirty

    async def _moved_until(self, reached: Callable[[], bool]) -> None:
        while not reached():
            self._turn_moved.clear()
            await self._turn_moved.wait()

    async def rewind(self, turns: Sequence[str], taken_back: Callable[[str], None]) -> bool:
        """Take back completed turns that were sent to this process, the newest first; `taken_back` is told of each.

        False when one could not be, or `undo` came in between.
        """
        return await self._rewinder.back(turns, taken_back)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """What stands in its transcript and is not stored yet."""
        return tuple(self._entries)

    def note_stored(self, entries: int) -> None:
        """The first so many of them are stored."""
        del self._entries[:entries]

    async def stop(self, *, flush: bool) -> None:
        """Close stdin and wait for the flush, then SIGTERM, then SIGKILL to the group; returns when it is reaped.

        With calls open, SIGKILL at once: asked to end, the CLI answers them itself and asks the model once more.
        """
        if self._tools.open:
            self._life.kill()
            await self._life.gone()
        else:
            await self._life.stop(flush=flush)

    async def exited(self) -> str:
        """Wait until it is reaped; return the end of its stderr."""
        return await self._life.gone()

    # Inside

    def _over(self) -> None:
        self._control.end()
        self._gate.release()

    def _tell(self, event: TurnEvent) -> None:
        if self._emit is not None:
            self._emit(event)

    def _say(self, turn: str, content: tuple[Block, ...]) -> None:
        text_only = len(content) == 1 and content[0]["type"] == "text"
        self._life.write(
            {
                "type": "user",
                "uuid": turn,
                "client_composed": True,
                "parent_tool_use_id": None,
                "session_id": self.cli_session_id,
                "message": {"role": "user", "content": content[0]["text"] if text_only else list(content)},
            }
        )

    def _answer(self, results: Sequence[Block]) -> None:
        for result in results:
            request_id, answer = self._tools.answer(result)
            self._control.respond(request_id, {"mcp_response": answer})

    def _tools_for(self, options: Options) -> tuple[Tool, ...]:
        return tools_for(options, self._tools.offered, beside=self._structured or self._is_agent)

    def _turn(self, options: Options) -> None:
        """Turn the process's knobs, if they are not as this turn wants them."""
        choice = options.tool_choice if options.tools else ToolChoice("none")
        wanted = knobs(options, choice if self._tools.offered else None)
        if wanted != self._knobs:
            self._knobs = wanted
            self._control.tell({"subtype": "apply_flag_settings", "settings": wanted})
        if (thought := thoughts(options)) != self._thoughts:
            self._thoughts = thought
            self._control.tell(thought)
        if self._is_agent and (request := self._gate.renew(options)) is not None:
            self._control.tell(request)

    def _heard(self, line: bytes) -> bool:
        """Take a line; False when no more is to be read."""
        try:
            events = list(self._take(json.loads(line)))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            log.warning("unreadable_frame", pid=self.pid, bytes=len(line), error=type(error).__name__)
            self._give_up("Claude Code sent a frame that cannot be read.")
            return False
        for event in events:
            self._tell(event)
        return True

    def _take(self, frame: Frame) -> Iterable[TurnEvent]:
        kind = frame.get("type")
        if kind == "control_response":
            self._control.take(frame["response"])
        elif kind == "control_request":
            return self._asked(frame)
        elif kind == "control_cancel_request":
            return self._gate.withdrawn(frame["request_id"])
        elif kind == "transcript_mirror":
            self._entries += transcript.mirrored(frame, self.cli_session_id)
        else:
            if kind == "result":
                self._cost = max(self._cost, float(frame.get("total_cost_usd") or 0.0))
            if (reader := self._reader) is not None:
                events = list(self._gate.behind(reader.feed(frame)))
                self._turn_moved.set()
                if (target := reader.continuation) is not None:
                    reader.continuation = None
                    self._truncated.clear()
                    self._tasks.spawn(self._drop_continuation(reader, target), f"truncate-{reader.turn}")
                if reader.truncated is not None:
                    self._truncated.set()
                self._is_unfit = self._is_unfit or reader.dirty
                return events
        return ()

    async def _drop_continuation(self, reader: TurnReader, target: str) -> None:
        """The answer reached its token limit: end the turn there, without the words the CLI would put in to go on."""
        clean = await self._rewinder.one(target)
        self._is_unfit = self._is_unfit or not clean
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_UNDO_S):
                await self._truncated.wait()
        if self._emit is not None and self._reader is reader and reader.truncated is not None:
            self._emit(reader.truncated)
        if not clean or reader.truncated is None:
            self._life.kill()

    def _asked(self, frame: Frame) -> Iterable[TurnEvent]:
        """The CLI asks for a tool, or for leave; what is not offered it gets told so, or it would wait for ever."""
        request, identity = frame["request"], frame["request_id"]
        if request.get("subtype") == "hook_callback":
            return self._gate.asked(identity, request["input"])
        if request.get("subtype") != "mcp_message" or request.get("server_name") != SERVER:
            self._control.refuse(identity, f"{request.get('subtype')} is not available here")
            return ()
        answer, call = self._tools.take(identity, request["message"])
        if answer is not None:
            self._control.respond(identity, {"mcp_response": answer})
        if request["message"].get("method") == "tools/list" and (say := self._held_until_listed) is not None:
            self._held_until_listed = None
            say()
        if call is None or self._reader is None:
            return ()
        if not self._reader.expects(call):
            self._answer([declined(call)])
            return ()
        return self._reader.called(call)

    def _request_refused(self, why: str) -> None:
        self._give_up(f"Claude Code refused the turn's tools or options: {why}")

    def _give_up(self, why: str) -> None:
        """What the process says can no longer be followed."""
        self._tell(TurnFailed(ProcessDied(why, retry_after=1)))
        self._life.kill()


async def _create(argv: list[str], env: dict[str, str], secrets: dict[str, str], cwd: str) -> Child:
    try:
        return await Child.spawn(argv, env=env, secrets=secrets, cwd=cwd, limit=LINE_LIMIT)
    except OSError as error:
        raise StartFailed(f"Claude Code could not be started: {error}", retry_after=5) from error
