"""One Claude Code child as an agent: what is said to it, and what its frames mean. Its actor is its only owner.

Speaks the CLI's stream-json protocol. A small control client of our own instead of the SDK's: it starts in no time,
and sends what the SDK's client does not (`client_composed`, `rewind_conversation`).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import structlog

from claude_code_api.claude import transcript
from claude_code_api.claude.activity import Narrator
from claude_code_api.claude.basis import Basis
from claude_code_api.claude.birth import born
from claude_code_api.claude.bridge import Bridge
from claude_code_api.claude.child import Child
from claude_code_api.claude.control import Control, Frame
from claude_code_api.claude.counting import counted
from claude_code_api.claude.frames import TurnReader
from claude_code_api.claude.halting import Halter
from claude_code_api.claude.knobs import UNTHOUGHT, UNTURNED, knobs, thoughts, token_limit
from claude_code_api.claude.launch import Workplace
from claude_code_api.claude.life import Life
from claude_code_api.claude.outgoing import handshake, user_message
from claude_code_api.claude.permissions import Gate, Rules
from claude_code_api.claude.rewind import Rewinder
from claude_code_api.claude.tools import results_of, tools_for
from claude_code_api.claude.truncation import Truncation
from claude_code_api.core.profiles import AGENT
from claude_code_api.core.toolbox import Toolbox
from claude_code_api.core.turn import Block, Options, Tool, ToolChoice, TurnCompleted, TurnEvent, TurnFailed
from claude_code_api.errors import ProcessDied, StartFailed, StartTimedOut
from claude_code_api.runtime.guard import Guard
from claude_code_api.runtime.ports import Emit, Entry, Profile
from claude_code_api.runtime.tasks import Tasks

log = structlog.get_logger(__name__)


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
        self._knobs, self._thoughts = UNTURNED, UNTHOUGHT
        self._structured = False
        self._is_agent = False
        self._is_unfit = False
        self._narrator = narrator
        self._reader: TurnReader | None = None
        self._emit: Emit | None = None
        self._servers: dict[str, str] = {}
        self._tasks = Tasks()
        self._life = Life(
            child, guard, self._tasks, place=place, heard=self._heard, broken=self._give_up, over=self._over
        )
        self._control = Control(self._life.write, self._request_refused)
        self._bridge = Bridge(self._control)
        self._tools = self._bridge.tools
        self._gate = Gate(rules, narrator, respond=self._control.respond, emit=self._tell)
        self._rewinder = Rewinder(self._control)
        self._truncation = Truncation(self._rewinder, self._tasks, self._was_truncated)
        self._halter = Halter(self._control, self._tasks)

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
        child = await born(argv, env=env, secrets=secrets, cwd=place.work, guard=guard)
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
        writes no transcript, and calls that wait for a person are denied. Raises StartFailed when the child refuses,
        dies or takes too long; it is not stopped.
        """
        self._tools.offered = tuple(tools)
        self._structured = profile.schema is not None
        self._is_agent = self._life.leaves_marked = profile.name == AGENT
        requests = handshake(profile, tools, model=model, keeps=keeps)
        toolbox = profile.toolbox or Toolbox()
        self._gate.stand(toolbox.permissions, heard=keeps)
        if servers := toolbox.servers:
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
        """Send a user message. The results of open calls are given to those, and the CLI goes on where it stood."""
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
        if answered:
            say = partial(self._bridge.answer, list(answered.values()))
        else:
            say = partial(self._life.write, user_message(turn, content, self.cli_session_id))
        self._bridge.tell(news, say)

    async def undo(self, turn: str) -> bool:
        """Interrupt the turn if it runs, and rewind the conversation to before its message.

        A context that was compacted during the turn cannot be had back here, only from the transcript: False.
        """
        self._emit = None
        await self._rewinder.halt()
        if self._bridge.drop() or self._reader is None or self._reader.turn != turn:
            return self.alive  # it was never sent
        if self._reader.continues or self._reader.compacted or not await self._rewinder.one(turn):
            return False
        del self._entries[self._kept :]
        return True

    def decide(self, call: str, *, allowed: bool, message: str | None) -> bool:
        """Settle a call that waits for approval; False when none of that id does."""
        return self._gate.decide(call, allowed=allowed, message=message)

    async def halt(self, turn: str) -> bool:
        """End the turn where it stands, and keep what was said; False when it is to be undone instead."""
        reader = self._reader
        if reader is None or reader.turn != turn or self._emit is None:
            return False
        self._gate.release()
        return await self._halter.halt(reader)

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
        self._halter.begin(options.max_cost_usd, self._cost)
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
            if frame["request"].get("subtype") == "hook_callback":
                return self._gate.asked(frame["request_id"], frame["request"]["input"])
            return self._bridge.asked(frame, self._reader)
        elif kind == "control_cancel_request":
            return self._gate.withdrawn(frame["request_id"])
        elif kind == "transcript_mirror":
            self._entries += transcript.mirrored(frame, self.cli_session_id)
        else:
            if kind == "result":
                self._cost = max(self._cost, float(frame.get("total_cost_usd") or 0.0))
            if (reader := self._reader) is not None:
                events = list(self._gate.behind(reader.feed(frame)))
                self._halter.note(frame, reader)
                self._truncation.note(reader)
                self._is_unfit = self._is_unfit or reader.dirty
                return events
        return ()

    def _was_truncated(self, reader: TurnReader, completed: TurnCompleted | None, clean: bool) -> None:
        self._is_unfit = self._is_unfit or not clean
        if completed is not None and self._reader is reader:
            self._tell(completed)
        if not clean or completed is None:
            self._life.kill()

    async def _count(self, emit: Emit) -> None:
        emit(await counted(self._control))

    def _request_refused(self, why: str) -> None:
        self._give_up(f"Claude Code refused the turn's tools or options: {why}")

    def _give_up(self, why: str) -> None:
        """What the process says can no longer be followed."""
        self._tell(TurnFailed(ProcessDied(why, retry_after=1)))
        self._life.kill()
