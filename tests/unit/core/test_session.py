"""The stories that a session's state machine is made for, one by one."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from claude_code_api.core import events as ev
from claude_code_api.core.events import Effect, Refusal, StopReason
from claude_code_api.core.session import InvalidTransition, Session, State


def play(session: Session, *events: ev.Event) -> list[Effect]:
    """Hand the events in; return what the last one asks for."""
    effects: list[Effect] = []
    for event in events:
        effects = session.handle(event)
        session.validate()
    return effects


def gone(turn: str) -> ev.TurnCut:
    return ev.TurnCut(turn)


def starting() -> Session:
    session = Session()
    play(session, ev.TurnRequested("one"), ev.SlotGranted())
    return session


def busy(session: Session | None = None) -> Session:
    session = session or Session()
    play(session, ev.TurnRequested("one"), ev.SlotGranted(), ev.ProcessReady(1))
    return session


def idle() -> Session:
    session = busy()
    play(session, ev.TurnFinished(1))
    return session


def parked(session: Session | None = None) -> Session:
    session = busy(session)
    play(session, ev.TurnFinished(1, parked=True))
    return session


def stopping() -> Session:
    session = idle()
    play(session, ev.StopWanted(StopReason.IDLE))
    return session


def test_a_first_turn_gets_a_slot_then_a_process_then_is_sent() -> None:
    session = Session()
    assert play(session, ev.TurnRequested("one")) == [ev.AcquireSlot()]
    assert play(session, ev.SlotGranted()) == [ev.StartProcess(1)]
    assert play(session, ev.ProcessReady(1)) == [ev.SendTurn("one")]
    assert play(session, ev.TurnFinished(1)) == []
    assert session.state is State.IDLE


def test_the_next_turn_goes_to_the_process_that_is_there() -> None:
    assert play(idle(), ev.TurnRequested("two")) == [ev.SendTurn("two")]


def test_turns_that_wait_are_sent_in_the_order_they_came() -> None:
    session = busy()
    play(session, ev.TurnRequested("two"), ev.TurnRequested("three"))
    assert play(session, ev.TurnFinished(1)) == [ev.SendTurn("two")]
    assert play(session, ev.TurnFinished(1)) == [ev.SendTurn("three")]


def test_one_turn_more_than_may_wait_is_refused_at_once() -> None:
    session = busy(Session(max_waiting=1))
    assert play(session, ev.TurnRequested("two")) == []
    assert play(session, ev.TurnRequested("three")) == [ev.RefuseTurn("three", Refusal.QUEUE_FULL)]
    assert play(session, ev.TurnFinished(1)) == [ev.SendTurn("two")]


def test_a_turn_that_does_not_fit_gets_a_new_process() -> None:
    session = busy(Session(fits=lambda turn: turn != "other"))
    play(session, ev.TurnFinished(1))
    assert play(session, ev.TurnRequested("other")) == [ev.StopProcess(StopReason.PROFILE_CHANGED)]
    assert play(session, ev.ProcessExited(1)) == [ev.ReleaseSlot(), ev.AcquireSlot()]
    (start,) = play(session, ev.SlotGranted())
    assert isinstance(start, ev.StartProcess)
    assert start.epoch > 1


def test_without_interactive_sessions_every_turn_gets_a_process_of_its_own() -> None:
    session = busy(Session(interactive=False))
    play(session, ev.TurnRequested("two"))
    assert play(session, ev.TurnFinished(1)) == [ev.StopProcess(StopReason.ONE_SHOT)]
    assert play(session, ev.ProcessExited(1)) == [ev.ReleaseSlot(), ev.AcquireSlot()]


def test_a_conversation_hibernates_once_it_has_a_turn_to_come_back_to() -> None:
    session = stopping()
    assert play(session, ev.ProcessExited(1)) == [ev.ReleaseSlot()]
    assert session.state is State.HIBERNATED
    assert play(session, ev.TurnRequested("two")) == [ev.AcquireSlot()]


def test_a_conversation_that_nobody_keeps_has_nothing_to_come_back_to() -> None:
    session = busy(Session(kept=False))
    play(session, ev.TurnFinished(1), ev.StopWanted(StopReason.IDLE), ev.ProcessExited(1))
    assert (session.state, session.resumable) == (State.NEW, False)


def test_without_a_slot_in_time_everyone_who_waits_is_told_so() -> None:
    session = Session()
    play(session, ev.TurnRequested("one"), ev.TurnRequested("two"))
    assert play(session, ev.WaitExpired()) == [
        ev.RefuseTurn("one", Refusal.NO_SLOT),
        ev.RefuseTurn("two", Refusal.NO_SLOT),
    ]
    assert session.state is State.NEW


# Calls of the client's tools park the process


def choosy() -> Session:
    """As long as calls are open, only their results fit."""
    session = Session()
    session.fits = lambda turn: turn == "results" or not session.parked
    return session


def test_a_turn_that_ends_with_calls_parks_the_process() -> None:
    session = busy()
    assert play(session, ev.TurnFinished(1, parked=True)) == []
    assert session.state is State.PARKED


def test_the_results_go_to_the_process_that_waits_for_them() -> None:
    session = parked(choosy())
    assert play(session, ev.TurnRequested("results")) == [ev.SendTurn("results")]
    assert play(session, ev.TurnFinished(1)) == []
    assert session.state is State.IDLE


def test_the_results_may_lead_to_more_calls() -> None:
    session = parked()
    play(session, ev.TurnRequested("two"), ev.TurnFinished(1, parked=True))
    assert session.state is State.PARKED


def test_anything_but_the_results_costs_a_parked_process() -> None:
    session = parked(choosy())
    assert play(session, ev.TurnRequested("two")) == [ev.StopProcess(StopReason.PROFILE_CHANGED)]
    assert play(session, ev.ProcessExited(1)) == [ev.ReleaseSlot(), ev.AcquireSlot()]
    play(session, ev.SlotGranted())
    assert play(session, ev.ProcessReady(session.epoch)) == [ev.SendTurn("two")]


def test_a_turn_that_waited_does_not_reach_a_process_that_has_come_to_wait_itself() -> None:
    session = busy(choosy())
    play(session, ev.TurnRequested("two"))
    assert play(session, ev.TurnFinished(1, parked=True)) == [ev.StopProcess(StopReason.PROFILE_CHANGED)]


def test_a_process_that_is_started_anew_has_no_calls_open() -> None:
    session = parked()
    play(session, ev.StopWanted(StopReason.EVICTED), ev.ProcessExited(1), ev.TurnRequested("two"), ev.SlotGranted())
    play(session, gone("two"))
    play(session, ev.ProcessReady(session.epoch))
    assert session.state is State.IDLE


def test_results_that_were_never_given_leave_the_calls_open() -> None:
    session = parked()
    play(session, ev.TurnRequested("two"))
    assert play(session, ev.TurnBroken(1)) == [ev.UndoTurn("two")]
    assert play(session, ev.TurnUndone(1)) == []
    assert session.state is State.PARKED


def test_results_that_cannot_be_taken_back_cost_the_process() -> None:
    session = parked()
    play(session, ev.TurnRequested("two"), gone("two"))
    assert play(session, ev.UndoFailed(1)) == [ev.StopProcess(StopReason.DIRTY)]
    play(session, ev.ProcessExited(1))
    assert session.state is State.HIBERNATED


@pytest.mark.parametrize("reason", [StopReason.IDLE, StopReason.EVICTED, StopReason.MEMORY])
def test_a_parked_process_can_be_stopped_and_its_conversation_goes_on(reason: StopReason) -> None:
    session = parked()
    assert play(session, ev.StopWanted(reason)) == [ev.StopProcess(reason)]
    assert play(session, ev.ProcessExited(1)) == [ev.ReleaseSlot()]
    assert session.state is State.HIBERNATED
    assert play(session, ev.TurnRequested("results")) == [ev.AcquireSlot()]


def test_a_parked_process_that_exits_by_itself_is_no_loss() -> None:
    session = parked()
    assert play(session, ev.ProcessExited(1)) == [ev.ReleaseSlot()]
    assert session.state is State.HIBERNATED


def test_a_drain_stops_a_parked_process_at_once() -> None:
    session = parked()
    assert play(session, ev.Drained()) == [ev.StopProcess(StopReason.DRAINED)]
    assert play(session, ev.TurnRequested("results")) == [ev.RefuseTurn("results", Refusal.DRAINING)]


def test_a_turn_that_ends_with_calls_during_a_drain_ends_its_process() -> None:
    session = busy()
    play(session, ev.Drained())
    assert play(session, ev.TurnFinished(1, parked=True)) == [ev.StopProcess(StopReason.DRAINED)]


def test_without_interactive_sessions_nothing_parks() -> None:
    session = busy(Session(interactive=False))
    assert play(session, ev.TurnFinished(1, parked=True)) == [ev.StopProcess(StopReason.ONE_SHOT)]


def test_calls_of_a_turn_that_is_being_undone_park_nothing() -> None:
    session = busy()
    play(session, gone("one"))
    assert play(session, ev.TurnFinished(1, parked=True)) == []
    play(session, ev.TurnUndone(1))
    assert session.state is State.IDLE


# Clients leave


def test_a_client_that_leaves_while_it_waits_for_a_slot_frees_its_place() -> None:
    session = Session()
    play(session, ev.TurnRequested("one"))
    assert play(session, gone("one")) == [ev.RefuseTurn("one", Refusal.CUT), ev.CancelAcquire()]
    assert session.state is State.NEW


def test_a_client_that_leaves_the_line_does_not_hold_up_the_others() -> None:
    session = busy()
    play(session, ev.TurnRequested("two"), ev.TurnRequested("three"))
    assert play(session, gone("two")) == [ev.RefuseTurn("two", Refusal.CUT)]
    assert play(session, ev.TurnFinished(1)) == [ev.SendTurn("three")]


def test_a_client_that_leaves_during_the_start_leaves_a_warm_process() -> None:
    session = starting()
    assert play(session, gone("one")) == [ev.RefuseTurn("one", Refusal.CUT)]
    assert play(session, ev.ProcessReady(1)) == []
    assert session.state is State.IDLE


def test_a_client_that_leaves_during_its_turn_has_it_undone_and_the_process_goes_on() -> None:
    session = busy()
    play(session, ev.TurnRequested("two"))
    assert play(session, gone("one")) == [ev.RefuseTurn("one", Refusal.CUT), ev.UndoTurn("one")]
    assert play(session, ev.TurnFinished(1)) == []
    assert play(session, ev.TurnUndone(1)) == [ev.SendTurn("two")]


def test_a_turn_that_is_over_cannot_be_cut() -> None:
    session = idle()
    assert play(session, gone("one")) == []
    assert session.state is State.IDLE


# Things break


def test_a_broken_turn_is_undone() -> None:
    session = busy()
    assert play(session, ev.TurnBroken(1)) == [ev.UndoTurn("one")]
    assert play(session, ev.TurnUndone(1)) == []
    assert session.state is State.IDLE


def test_a_turn_that_cannot_be_undone_costs_its_process() -> None:
    session = busy()
    play(session, ev.TurnBroken(1))
    assert play(session, ev.UndoFailed(1)) == [ev.StopProcess(StopReason.DIRTY)]
    play(session, ev.ProcessExited(1))
    assert session.state is State.NEW


def test_a_process_that_dies_takes_one_turn_with_it_and_the_next_gets_a_new_process() -> None:
    session = busy()
    play(session, ev.TurnRequested("two"))
    assert play(session, ev.ProcessExited(1)) == [
        ev.ReleaseSlot(),
        ev.RefuseTurn("one", Refusal.PROCESS_DIED),
        ev.AcquireSlot(),
    ]


def test_a_start_that_fails_is_told_and_gives_the_slot_back() -> None:
    session = starting()
    assert play(session, ev.StartFailed(1)) == [ev.ReleaseSlot(), ev.RefuseTurn("one", Refusal.START_FAILED)]
    assert session.state is State.FAILED
    assert play(session, ev.TurnRequested("two")) == [ev.AcquireSlot()]


def test_a_slot_that_comes_too_late_goes_back() -> None:
    session = Session()
    play(session, ev.TurnRequested("one"), gone("one"))
    assert play(session, ev.SlotGranted()) == [ev.ReleaseSlot()]


def test_what_a_gone_process_still_says_is_ignored() -> None:
    session = busy()
    play(session, ev.ProcessExited(1), ev.TurnRequested("two"), ev.SlotGranted())
    for late in (ev.ProcessReady(1), ev.TurnFinished(1), ev.TurnUndone(1), ev.UndoFailed(1), ev.ProcessExited(1)):
        assert play(session, late) == []
    assert session.state is State.STARTING
    assert session.current == "two"


# Turns are taken back, or the history is edited


def rewinding() -> Session:
    session = idle()
    assert play(session, ev.RewindWanted(2)) == [ev.GoBack(2)]
    return session


def editing(session: Session | None = None) -> Session:
    session = session or idle()
    assert play(session, ev.EditWanted("add")) == [ev.Edit("add")]
    return session


def test_what_goes_back_in_place_keeps_its_process() -> None:
    session = rewinding()
    assert play(session, ev.TurnUndone(1)) == []
    assert session.state is State.IDLE


def test_turns_that_come_while_it_goes_back_wait_in_order() -> None:
    session = rewinding()
    assert play(session, ev.TurnRequested("two"), ev.TurnRequested("three")) == []
    assert play(session, ev.TurnUndone(1)) == [ev.SendTurn("two")]
    assert play(session, ev.TurnFinished(1)) == [ev.SendTurn("three")]


def test_a_process_that_cannot_go_back_is_stopped_and_the_turns_that_wait_get_the_next() -> None:
    session = rewinding()
    play(session, ev.TurnRequested("two"))
    assert play(session, ev.UndoFailed(1)) == [ev.StopProcess(StopReason.REWOUND)]
    assert play(session, ev.ProcessExited(1)) == [ev.ReleaseSlot(), ev.AcquireSlot()]
    assert session.current == "two"


def test_a_rewind_that_was_refused_leaves_the_calls_open() -> None:
    session = busy()
    play(session, ev.TurnFinished(1, parked=True), ev.RewindWanted(9))
    assert play(session, ev.TurnUndone(1)) == []
    assert session.state is State.PARKED


def test_a_process_that_goes_back_does_not_make_room() -> None:
    session = rewinding()
    assert play(session, ev.StopWanted(StopReason.EVICTED)) == []
    assert session.state is State.REWINDING


def test_a_client_that_leaves_while_it_goes_back_is_answered() -> None:
    session = rewinding()
    play(session, ev.TurnRequested("two"))
    assert play(session, gone("two")) == [ev.RefuseTurn("two", Refusal.CUT)]
    assert play(session, ev.TurnUndone(1)) == []


@pytest.mark.parametrize("event", [ev.RewindWanted(1), ev.EditWanted("add")])
@pytest.mark.parametrize("make", [busy, starting, stopping, rewinding, editing])
def test_only_between_turns_can_be_gone_back_or_edited(make: Callable[[], Session], event: ev.Event) -> None:
    with pytest.raises(InvalidTransition):
        make().handle(event)


def test_a_turn_that_comes_during_an_edit_runs_on_the_same_process_when_it_still_fits() -> None:
    session = editing()
    assert play(session, ev.TurnRequested("two")) == []
    assert play(session, ev.TurnUndone(1)) == [ev.SendTurn("two")]


def test_a_turn_that_comes_during_an_edit_gets_a_new_process_when_the_old_one_does_not_fit_any_more() -> None:
    session = editing()
    play(session, ev.TurnRequested("two"))
    assert play(session, ev.UndoFailed(1)) == [ev.StopProcess(StopReason.REWOUND)]
    assert play(session, ev.ProcessExited(1)) == [ev.ReleaseSlot(), ev.AcquireSlot()]


def test_calls_stay_open_in_an_edit_that_the_process_survives() -> None:
    session = editing(parked())
    assert play(session, ev.TurnUndone(1)) == []
    assert session.state is State.PARKED


# Somebody wants the process or the conversation gone


@pytest.mark.parametrize("state", [State.STARTING, State.BUSY])
def test_only_an_idle_process_makes_room(state: State) -> None:
    session = starting() if state is State.STARTING else busy()
    assert play(session, ev.StopWanted(StopReason.EVICTED)) == []
    assert session.state is state


def test_deleting_before_anything_ran_forgets_at_once() -> None:
    assert play(Session(), ev.Deleted()) == [ev.Forget()]


def test_deleting_in_the_line_for_a_slot_answers_and_leaves_the_line() -> None:
    session = Session()
    play(session, ev.TurnRequested("one"), ev.TurnRequested("two"))
    assert play(session, ev.Deleted()) == [
        ev.RefuseTurn("one", Refusal.DELETED),
        ev.RefuseTurn("two", Refusal.DELETED),
        ev.CancelAcquire(),
        ev.Forget(),
    ]


@pytest.mark.parametrize(
    ("make", "answered"),
    [(starting, ["one"]), (busy, ["one"]), (idle, []), (parked, []), (rewinding, []), (editing, []), (stopping, [])],
)
def test_deleting_with_a_process_waits_until_it_is_gone(make: Callable[[], Session], answered: list[str]) -> None:
    session = make()
    refusals = [ev.RefuseTurn(turn, Refusal.DELETED) for turn in answered]
    assert play(session, ev.Deleted()) == [*refusals, ev.StopProcess(StopReason.DELETED)]
    assert play(session, ev.TurnRequested("late")) == [ev.RefuseTurn("late", Refusal.DELETED)]
    assert play(session, ev.ProcessExited(1)) == [ev.ReleaseSlot(), ev.Forget()]
    assert session.state is State.CLOSED


def test_a_drain_lets_the_running_turn_finish_and_refuses_the_others() -> None:
    session = busy()
    play(session, ev.TurnRequested("two"))
    assert play(session, ev.Drained()) == [ev.RefuseTurn("two", Refusal.DRAINING)]
    assert play(session, ev.TurnRequested("three")) == [ev.RefuseTurn("three", Refusal.DRAINING)]
    assert play(session, ev.TurnFinished(1)) == [ev.StopProcess(StopReason.DRAINED)]


@pytest.mark.parametrize("make", [starting, idle])
def test_a_drain_stops_what_has_not_begun(make: Callable[[], Session]) -> None:
    session = make()
    assert play(session, ev.Drained())[-1] == ev.StopProcess(StopReason.DRAINED)


def test_what_must_not_happen_is_told_with_the_story() -> None:
    session = idle()
    with pytest.raises(InvalidTransition) as caught:
        session.handle(ev.TurnFinished(1))
    told = str(caught.value)
    assert "TurnFinished(epoch=1, parked=False) in state idle" in told
    assert "new TurnRequested -> queued | queued SlotGranted -> starting" in told


def test_a_process_that_cannot_go_back_is_replaced_and_the_turn_keeps_its_place() -> None:
    session = busy()
    play(session, ev.TurnRequested("two"))
    assert play(session, ev.ProcessUnfit(1)) == [ev.StopProcess(StopReason.DIRTY)]
    assert (session.state, session.current) == (State.STOPPING, "one")
    assert play(session, ev.ProcessExited(1)) == [ev.ReleaseSlot(), ev.AcquireSlot()]
    assert (session.state, session.current, list(session.waiting)) == (State.QUEUED, "one", ["two"])
