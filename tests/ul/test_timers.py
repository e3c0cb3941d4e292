"""The table of deadlines, held against a naive one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sansdimse.ul.timers import WAITING_FOR_PEER, Timer, TimerTable

ARTIM, IDLE, STALL, RESPONSE = Timer.ARTIM, Timer.IDLE, Timer.OUTPUT_STALL, Timer.DIMSE_RESPONSE


def test_a_timer_runs_until_it_is_stopped() -> None:
    timers = TimerTable()
    timers.start(ARTIM, 10.0, 30.0)
    assert timers.running(ARTIM)
    assert timers.earliest() == 40.0
    assert timers.expired(39.9) is None
    assert timers.expired(40.0) == (ARTIM, 0)
    assert timers.expired(40.0) == (ARTIM, 0)  # it stays
    timers.stop(ARTIM)
    timers.stop(ARTIM)
    assert not timers.running(ARTIM)
    assert timers.earliest() is None
    assert timers.expired(1e9) is None


def test_timers_of_messages_run_once_for_each_message_id() -> None:
    timers = TimerTable()
    timers.start(RESPONSE, 0.0, 5.0, 1)
    timers.start(RESPONSE, 0.0, 3.0, 2)
    assert timers.expired(9.0) == (RESPONSE, 2)
    timers.stop(RESPONSE, 2)
    assert (timers.running(RESPONSE, 1), timers.running(RESPONSE, 2)) == (True, False)
    assert timers.deadlines() == {(RESPONSE, 1): 5.0}


def test_starting_again_puts_the_deadline_off_or_forward() -> None:
    timers = TimerTable()
    timers.start(IDLE, 0.0, 10.0)
    timers.start(STALL, 0.0, 20.0)
    timers.start(IDLE, 5.0, 30.0)
    assert timers.earliest() == 20.0
    timers.start(IDLE, 5.0, 1.0)
    assert timers.earliest() == 6.0


def test_a_delay_of_none_is_never() -> None:
    timers = TimerTable()
    timers.start(IDLE, 0.0, 10.0)
    timers.start(IDLE, 1.0, None)
    timers.start_when_told(ARTIM, None)
    timers.start_on_output(RESPONSE, None, 7)
    timers.tell(2.0)
    timers.output_taken((RESPONSE, 7), 2.0)
    assert timers.deadlines() == {}


def test_of_those_that_passed_the_first_deadline_comes_first_and_of_equals_the_first_named() -> None:
    timers = TimerTable()
    timers.start(STALL, 0.0, 2.0)
    timers.start(IDLE, 0.0, 1.0)
    timers.start(RESPONSE, 0.0, 1.0, 8)
    timers.start(RESPONSE, 0.0, 1.0, 7)
    timers.start(ARTIM, 0.0, 1.0)
    for expected in [(ARTIM, 0), (IDLE, 0), (RESPONSE, 7), (RESPONSE, 8), (STALL, 0)]:
        assert timers.expired(5.0) == expected
        timers.stop(*expected)
    assert timers.expired(5.0) is None


def test_what_began_in_a_verb_starts_at_the_next_time_told() -> None:
    timers = TimerTable()
    timers.tell(1.0)
    timers.start_when_told(ARTIM, 30.0)
    assert timers.awaits_time
    assert timers.running(ARTIM)
    assert timers.earliest() is None
    timers.tell(3600.0)
    assert timers.earliest() == 3630.0
    assert not timers.awaits_time
    timers.tell(3601.0)
    assert timers.earliest() == 3630.0


def test_what_waits_for_the_time_can_be_stopped_and_overtaken() -> None:
    timers = TimerTable()
    timers.start_when_told(ARTIM, 30.0)
    timers.stop(ARTIM)
    timers.start_when_told(IDLE, 30.0)
    timers.start(IDLE, 0.0, 5.0)
    timers.tell(1.0)
    assert timers.deadlines() == {(IDLE, 0): 5.0}


def test_starting_when_told_forgets_the_deadline_before() -> None:
    timers = TimerTable()
    timers.start(ARTIM, 0.0, 1.0)
    timers.start_when_told(ARTIM, 30.0)
    assert timers.expired(2.0) is None


def test_what_waits_for_bytes_starts_when_they_are_taken_unless_stopped() -> None:
    timers = TimerTable()
    timers.start_on_output(RESPONSE, 60.0, 1)
    timers.start_on_output(RESPONSE, 60.0, 2)
    assert not timers.running(RESPONSE, 1)
    timers.stop(RESPONSE, 2)
    timers.output_taken((RESPONSE, 1), 100.0)
    timers.output_taken((RESPONSE, 2), 100.0)
    assert timers.deadlines() == {(RESPONSE, 1): 160.0}
    timers.output_taken((RESPONSE, 1), 200.0)  # once
    assert timers.earliest() == 160.0


def test_stopping_all_but_some_stops_them_in_whatever_way_they_wait() -> None:
    timers = TimerTable()
    for timer in (ARTIM, IDLE):
        timers.start(timer, 0.0, 5.0)
    timers.start(STALL, 0.0, 1.0)
    timers.start_when_told(Timer.RELEASE, 5.0)
    timers.start_on_output(RESPONSE, 5.0, 3)
    timers.stop_all_but(ARTIM)
    timers.tell(9.0)
    timers.output_taken((RESPONSE, 3), 9.0)
    assert timers.deadlines() == {(ARTIM, 0): 5.0}
    assert timers.earliest() == 5.0
    timers.stop_all_but()
    assert timers.earliest() is None


@pytest.mark.parametrize("timer", list(Timer))
def test_only_timers_that_wait_for_the_peer_stand_still(timer: Timer) -> None:
    timers = TimerTable()
    timers.start(timer, 0.0, 10.0)
    timers.stand_still(5.0)
    waits_for_peer = timer not in {Timer.CONNECT, Timer.LOCAL_ANSWER, STALL, Timer.OPERATION_ANSWER}
    assert (timer in WAITING_FOR_PEER) is waits_for_peer
    assert timers.earliest() == (15.0 if waits_for_peer else 10.0)
    assert timers.earliest(waiting_for_peer=False) == (None if waits_for_peer else 10.0)
    assert timers.expired(20.0) == (timer, 0)


def test_a_timer_started_and_stopped_for_ever_behind_another_leaves_nothing() -> None:
    timers = TimerTable()
    timers.start(RESPONSE, 0.0, 60.0, 1)
    timers.start(STALL, 0.0, 70.0)
    for moment in range(1000):
        timers.start(Timer.MESSAGE_COMPLETION, moment / 1000, 60.5)
        assert timers.earliest() == 60.0
        timers.stop(Timer.MESSAGE_COMPLETION)
        assert len(timers._of_peer) < 100
    timers.stop(RESPONSE, 1)
    assert timers.earliest() == 70.0


def test_a_copy_of_the_deadlines_is_a_copy() -> None:
    timers = TimerTable()
    timers.start(ARTIM, 0.0, 5.0)
    timers.deadlines().clear()
    assert timers.running(ARTIM)


Step = Callable[[TimerTable, dict[tuple[Timer, int], float]], None]
keys = st.tuples(st.sampled_from([ARTIM, IDLE, STALL, RESPONSE]), st.integers(0, 2))
seconds = st.integers(0, 9).map(float)


def _start(key: tuple[Timer, int], now: float, delay: float) -> Step:
    def step(timers: TimerTable, model: dict[tuple[Timer, int], float]) -> None:
        timers.start(key[0], now, delay, key[1])
        model[key] = now + delay

    return step


def _stop(key: tuple[Timer, int]) -> Step:
    def step(timers: TimerTable, model: dict[tuple[Timer, int], float]) -> None:
        timers.stop(*key)
        model.pop(key, None)

    return step


def _keep(timer: Timer) -> Step:
    def step(timers: TimerTable, model: dict[tuple[Timer, int], float]) -> None:
        timers.stop_all_but(timer)
        for key in [key for key in model if key[0] is not timer]:
            del model[key]

    return step


def _stand_still(delay: float) -> Step:
    def step(timers: TimerTable, model: dict[tuple[Timer, int], float]) -> None:
        timers.stand_still(delay)
        for key in model:
            model[key] += delay if key[0] in WAITING_FOR_PEER else 0.0

    return step


steps = st.one_of(
    st.builds(_start, keys, seconds, seconds),
    st.builds(_start, keys, seconds, seconds),
    st.builds(_stop, keys),
    st.builds(_keep, st.sampled_from([ARTIM, RESPONSE])),
    st.builds(_stand_still, seconds),
)


@settings(max_examples=200)
@given(st.lists(steps, max_size=20), seconds)
def test_the_earliest_deadline_is_always_the_earliest(script: list[Step], now: float) -> None:
    timers, model = TimerTable(), dict[tuple[Timer, int], float]()
    for step in script:
        step(timers, model)
        assert timers.deadlines() == model
        assert timers.earliest() == min(model.values(), default=None)
        ours = [deadline for (timer, _), deadline in model.items() if timer not in WAITING_FOR_PEER]
        assert timers.earliest(waiting_for_peer=False) == min(ours, default=None)
        passed = timers.expired(now)
        assert (passed is None) == all(deadline > now for deadline in model.values())
        assert passed is None or model[passed] == min(model.values())


@pytest.mark.parametrize("timer", [Timer.DIMSE_RESPONSE, Timer.OPERATION_ANSWER])
def test_timers_that_come_and_go_by_the_thousand_leave_nothing(timer: Timer) -> None:
    table = TimerTable()
    table.start(timer, 0.0, 5.0, 0)
    for number in range(1, 10_000):
        table.start(timer, float(number), 1e6, number)
        table.stop(timer, number)
    assert len(table._of_peer) + len(table._others) < 200
    assert table.earliest() == 5.0
    assert table.expired(5.0) == (timer, 0)
