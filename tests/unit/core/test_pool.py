"""Who gets a slot, and who makes room."""

from __future__ import annotations

from claude_code_api.core.pool import Decision, SlotPool

NOTHING = Decision()


def full(*keys: str, max_waiting: int = 10) -> SlotPool:
    """A pool whose slots `keys` hold, all of them busy."""
    pool = SlotPool(len(keys), max_waiting)
    for key in keys:
        assert pool.request(key) == Decision(grant=(key,))
    return pool


def test_free_slots_are_granted_at_once_and_no_more_than_there_are() -> None:
    pool = full("a", "b")
    assert pool.request("c") == NOTHING
    assert (pool.held, pool.waiting) == (2, 1)


def test_a_released_slot_goes_to_who_came_first() -> None:
    pool = full("a")
    pool.request("b")
    pool.request("c")
    assert pool.release("a") == Decision(grant=("b",))
    assert pool.release("b") == Decision(grant=("c",))


def test_a_full_queue_refuses() -> None:
    pool = full("a", max_waiting=1)
    assert pool.request("b") == NOTHING
    assert pool.request("c") is None
    assert pool.waiting == 1


def test_without_a_queue_a_free_slot_can_still_be_had() -> None:
    pool = full("a", max_waiting=0)
    assert pool.request("b") is None
    pool.release("a")
    assert pool.request("b") == Decision(grant=("b",))


def test_whoever_can_make_room_does_not_count_as_a_queue() -> None:
    pool = full("a", "b", max_waiting=0)
    pool.mark_idle("a")
    assert pool.request("c") == Decision(evict=("a",))
    assert pool.request("d") is None
    pool.mark_leaving("b")
    assert pool.request("d") == NOTHING
    assert pool.request("e") is None


def test_asking_twice_changes_nothing() -> None:
    pool = full("a", max_waiting=1)
    pool.request("b")
    assert pool.request("b") == NOTHING
    assert pool.request("a") == NOTHING
    assert (pool.held, pool.waiting) == (1, 1)


def test_whoever_leaves_the_queue_is_passed_over() -> None:
    pool = full("a")
    pool.request("b")
    pool.request("c")
    pool.cancel("b")
    assert pool.release("a") == Decision(grant=("c",))


def test_the_session_that_idles_longest_makes_room() -> None:
    pool = full("a", "b", "c")
    for key in ("b", "a", "c"):
        pool.mark_idle(key)
    assert pool.request("d") == Decision(evict=("b",))
    assert pool.request("e") == Decision(evict=("a",))


def test_being_used_again_moves_a_session_to_the_end_of_the_line() -> None:
    pool = full("a", "b")
    for key in ("a", "b"):
        pool.mark_idle(key)
    pool.mark_busy("a")
    pool.mark_idle("a")
    assert pool.request("c") == Decision(evict=("b",))


def test_each_sign_of_life_counts_as_use() -> None:
    pool = full("a", "b")
    for key in ("a", "b", "a"):
        pool.mark_idle(key)
    assert pool.request("c") == Decision(evict=("b",))


def test_nobody_is_evicted_while_nobody_waits() -> None:
    pool = full("a", "b")
    assert pool.mark_idle("a") == pool.mark_idle("b") == NOTHING


def test_a_session_that_becomes_idle_makes_room_for_who_waits_already() -> None:
    pool = full("a", "b")
    pool.request("c")
    assert pool.mark_idle("a") == Decision(evict=("a",))
    assert pool.mark_idle("b") == NOTHING


def test_one_stopping_process_is_room_enough_for_one() -> None:
    pool = full("a", "b")
    pool.mark_idle("a")
    pool.mark_leaving("b")
    assert pool.request("c") == NOTHING
    assert pool.request("d") == Decision(evict=("a",))


def test_a_stopping_process_holds_its_slot_until_it_is_reaped() -> None:
    pool = full("a")
    pool.mark_leaving("a")
    assert pool.request("b") == NOTHING
    assert pool.held == 1
    assert pool.release("a") == Decision(grant=("b",))


def test_when_the_chosen_one_gets_work_after_all_another_makes_room() -> None:
    pool = full("a", "b")
    pool.mark_idle("a")
    pool.mark_idle("b")
    assert pool.request("c") == Decision(evict=("a",))
    assert pool.mark_busy("a") == Decision(evict=("b",))
