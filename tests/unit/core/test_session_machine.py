"""Whatever happens, in whatever order: several sessions share one pool, and Hypothesis plays the world around them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from claude_code_api.core import events as ev
from claude_code_api.core.events import Refusal, StopReason
from claude_code_api.core.session import BETWEEN_TURNS, State
from tests.unit.core.world import Conversation, Settings, World

T = TypeVar("T")

names = st.sampled_from("abcd")
profiles = st.integers(0, 1)
picks = st.integers(0, 11)


def choose(candidates: Sequence[T], pick: int) -> T:
    return candidates[pick % len(candidates)]


class SharedPool(RuleBasedStateMachine):
    """Up to four conversations at once on two or three slots."""

    world = World()

    @initialize(
        size=st.integers(2, 3),
        max_waiting=st.integers(0, 3),
        max_queued_turns=st.integers(0, 3),
        interactive=st.booleans(),
        talks=st.lists(st.tuples(names, st.booleans()), max_size=5),
    )
    def begin(
        self, size: int, max_waiting: int, max_queued_turns: int, interactive: bool, talks: list[tuple[str, bool]]
    ) -> None:
        """Some conversations have had a turn already: they idle, wait for results, or hibernate for want of slots."""
        self.world = World(Settings(size, max_waiting, max_queued_turns, interactive))
        for name, parked in talks:
            self.world.submit(name)
            self.world.settle(parked=parked)

    def conversations(self) -> list[Conversation]:
        """All of them; those in the rarer states come first, and are chosen more often."""
        rare = [State.BUSY, State.PARKED, State.INTERRUPTING, State.REWINDING]
        return sorted(self.world.everyone, key=lambda one: rare.index(one.state) if one.state in rare else -1)[::-1]

    def busy(self) -> list[Conversation]:
        return [one for one in self.conversations() if one.under_way]

    def live(self) -> list[Conversation]:
        return [one for one in self.conversations() if one.process is not None and one.process.ready]

    def parked(self) -> list[Conversation]:
        return [one for one in self.world.open.values() if one.state is State.PARKED]

    def deleted(self) -> list[Conversation]:
        return [one for one in self.world.everyone if one.state in {State.CLOSING, State.CLOSED}]

    @rule(name=names, profile=profiles, steps=st.integers(0, 2), results=st.booleans())
    def a_client_asks(self, name: str, profile: int, steps: int, results: bool) -> None:
        if not self.world.draining:
            turn = self.world.submit(name, profile, results=results)
            for _ in range(steps):
                self.world.turns[turn].advance(well=True)
        elif name in self.world.open:
            turn = self.world.request(self.world.open[name], profile)
            assert self.world.answers[turn] == Refusal.DRAINING

    @rule(name=names, profiles=st.lists(profiles, min_size=2, max_size=3))
    def a_client_asks_at_once(self, name: str, profiles: list[int]) -> None:
        for profile in profiles:
            self.a_client_asks(name, profile, steps=0, results=False)

    @precondition(lambda self: self.parked())
    @rule(pick=picks, results=st.booleans(), same=st.booleans())
    def a_client_goes_on_after_calls(self, pick: int, results: bool, same: bool) -> None:
        """On the same process only with the results; with anything else on a new one."""
        conversation = choose(self.parked(), pick)
        process = conversation.process
        assert process is not None
        turn = self.world.request(conversation, process.profile if same else 1 - process.profile, results=results)
        went_on = conversation.process is process and process.turn == turn
        assert went_on == (results and same)
        assert went_on or process.stopping

    @precondition(lambda self: self.busy())
    @rule(picked=st.lists(picks, min_size=1, max_size=3), parked=st.booleans())
    def what_is_under_way_goes_well(self, picked: list[int], parked: bool) -> None:
        for pick in picked:
            if busy := self.busy():
                choose(busy, pick).advance(well=True, parked=parked)

    @precondition(lambda self: self.busy())
    @rule(picked=st.lists(picks, min_size=1, max_size=2))
    def what_is_under_way_goes_wrong(self, picked: list[int]) -> None:
        for pick in picked:
            if busy := self.busy():
                choose(busy, pick).advance(well=False)

    @precondition(lambda self: self.live())
    @rule(pick=picks)
    def a_process_exits(self, pick: int) -> None:
        choose(self.live(), pick).exits()

    @precondition(lambda self: self.world.unanswered())
    @rule(pick=picks)
    def a_turn_is_cut(self, pick: int) -> None:
        running = [process.turn for _, process in self.world.processes() if process.turn in self.world.unanswered()]
        turn = choose([turn for turn in running if turn] + self.world.unanswered(), pick)
        self.world.cut(turn)
        assert self.world.answers[turn] == Refusal.CUT

    @precondition(lambda self: self.world.timers)
    @rule(pick=picks)
    def a_wait_expires(self, pick: int) -> None:
        self.world.expire(choose(sorted(self.world.timers), pick))

    @precondition(lambda self: self.world.spared)
    @rule(pick=picks)
    def a_client_runs_its_tools_for_long(self, pick: int) -> None:
        self.world.spare_no_longer(choose(sorted(self.world.spared), pick))

    @precondition(lambda self: self.world.everyone)
    @rule(pick=picks)
    def an_idle_process_is_culled(self, pick: int) -> None:
        choose(self.world.everyone, pick).post(ev.StopWanted(StopReason.IDLE))

    @precondition(lambda self: any(one.state in BETWEEN_TURNS for one in self.world.everyone))
    @rule(pick=picks, edit=st.booleans())
    def turns_are_taken_back_or_the_history_is_edited(self, pick: int, edit: bool) -> None:
        between = [one for one in self.world.everyone if one.state in BETWEEN_TURNS]
        choose(between, pick).post(ev.EditWanted("amend") if edit else ev.RewindWanted(1))

    @precondition(lambda self: self.world.open)
    @rule(pick=picks, again=st.booleans())
    def a_conversation_is_deleted(self, pick: int, again: bool) -> None:
        self.world.delete(choose(sorted(self.world.open), pick))
        if again:
            turn = self.world.request(choose(self.deleted(), pick))
            assert self.world.answers[turn] == Refusal.DELETED

    @precondition(lambda self: self.world.open and not self.world.draining)
    @rule(chance=st.integers(0, 9))
    def the_server_drains(self, chance: int) -> None:
        if chance == 7:
            self.world.drain()

    @precondition(lambda self: self.world.everyone)
    @rule(pick=picks, kind=picks)
    def a_late_event_changes_nothing(self, pick: int, kind: int) -> None:
        conversation = choose(self.world.everyone, pick)
        session, over = conversation.session, sorted(self.world.answers)
        old = session.epoch - 1
        late: list[ev.Event] = [ev.ProcessReady(old), ev.TurnFinished(old), ev.TurnBroken(old), ev.TurnUndone(old)]
        late += [ev.UndoFailed(old), ev.ProcessExited(old), ev.StartFailed(old)]
        late += [ev.TurnCut(turn) for turn in over[:1]]
        if session.state is not State.QUEUED:
            late.append(ev.WaitExpired())
        if session.state in {State.INTERRUPTING, State.STOPPING, State.CLOSING}:
            late += [ev.TurnFinished(session.epoch), ev.TurnBroken(session.epoch)]
        before = session.state
        assert session.handle(choose(late, kind)) == []
        assert session.state is before

    @invariant()
    def every_process_has_a_slot_and_every_slot_a_process(self) -> None:
        holders = [one for one in self.world.everyone if one.has_slot]
        assert holders == [one for one, _ in self.world.processes()]
        assert len(holders) == self.world.pool.held <= self.world.settings.size

    @invariant()
    def nobody_waits_without_need(self) -> None:
        pool = self.world.pool
        leaving = [one for one, process in self.world.processes() if process.stopping]
        idle = [one for one in self.world.everyone if self.world.could_make_room(one)]
        assert not pool.waiting or pool.held == pool.size
        assert not idle or pool.waiting <= len(leaving)

    @invariant()
    def what_is_not_kept_is_forgotten_with_its_process(self) -> None:
        for one in self.world.everyone:
            if not one.session.kept:
                assert one.state is not State.HIBERNATED
                assert not one.session.resumable
                assert one.state is not State.NEW or one.key not in self.world.by_key

    @invariant()
    def who_is_parked_has_nobody_waiting_for_it(self) -> None:
        for one in self.world.everyone:
            if one.state is State.PARKED:
                assert one.process is not None
                assert one.process.calls
                assert one.process.turn is None
                assert not one.pending

    @invariant()
    def whoever_is_queued_waits_at_the_pool(self) -> None:
        queued = {one.key for one in self.world.everyone if one.state is State.QUEUED}
        assert queued == self.world.timers
        assert len(queued) == self.world.pool.waiting

    def teardown(self) -> None:
        self.world.settle()
        for key in sorted(self.world.spared):  # whoever waits for a slot waits that long at most
            self.world.spare_no_longer(key)
        self.world.settle()
        assert self.world.unanswered() == []
        self.world.drain()
        self.world.settle()
        assert self.world.pool.held == self.world.pool.waiting == 0
        assert not self.world.timers
        assert all(one.forgotten == (one.state is State.CLOSED) for one in self.world.everyone)


TestSharedPool = SharedPool.TestCase
TestSharedPool.settings = settings(max_examples=500, stateful_step_count=50, deadline=None, report_multiple_bugs=False)
