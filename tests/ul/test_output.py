"""The queue of output: order, accounts, and the timers that its leaving starts."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sansdimse.ul.output import Output
from sansdimse.ul.timers import Timer, TimerTable

STALL = Timer.OUTPUT_STALL
KIB = 1024


@pytest.fixture(name="timers")
def _timers() -> TimerTable:
    return TimerTable()


@pytest.fixture(name="output")
def _output(timers: TimerTable) -> Output:
    return Output(timers, 60.0)


def test_what_is_taken_counts_as_unsent_until_the_next_take(output: Output) -> None:
    assert (output.bytes_unsent, output.bytes_sent) == (0, 0)
    output.add([b"ab", b"c"])
    assert (output.bytes_unsent, output.bytes_sent) == (3, 0)
    assert output.take(0.0) == [b"ab", b"c"]
    assert (output.bytes_unsent, output.bytes_sent) == (3, 3)
    output.add([b"d"])
    assert output.bytes_unsent == 4
    assert output.take(1.0) == [b"d"]
    assert (output.bytes_unsent, output.bytes_sent) == (1, 4)
    assert output.take(2.0) == []
    assert (output.bytes_unsent, output.bytes_sent) == (0, 4)


def test_a_peer_that_takes_nothing_has_a_deadline_from_each_take(output: Output, timers: TimerTable) -> None:
    output.add([b"ab"])
    assert not timers.running(STALL)  # nobody was given anything yet
    output.take(10.0)
    assert timers.deadlines() == {(STALL, 0): 70.0}
    output.add([b"cd"])
    assert timers.earliest() == 70.0
    output.take(20.0)
    assert timers.earliest() == 80.0
    output.take(30.0)
    assert not timers.running(STALL)


def test_no_stall_limit_is_no_deadline(timers: TimerTable) -> None:
    output = Output(timers, None)
    output.add([b"ab"])
    output.take(10.0)
    assert timers.earliest() is None


def test_buffers_are_handed_on_as_they_are(output: Output) -> None:
    payload = memoryview(b"payload")
    output.add([b"header", payload])
    assert output.take(0.0)[1] is payload


def test_a_timer_starts_when_everything_queued_before_it_is_taken(output: Output, timers: TimerTable) -> None:
    big = bytes(256 * KIB)
    output.add([big])
    output.then_start(Timer.RELEASE, 30.0)
    output.add([b"later"])
    output.then_start(Timer.DIMSE_RESPONSE, 60.0, 7)
    assert output.take(100.0) == [big]
    assert not timers.running(Timer.RELEASE)
    assert output.take(200.0) == [b"later"]
    assert timers.deadlines() == {
        (Timer.RELEASE, 0): 230.0,
        (Timer.DIMSE_RESPONSE, 7): 260.0,
        (STALL, 0): 260.0,
    }


def test_a_timer_without_bytes_starts_at_the_next_take_and_a_stopped_one_never(
    output: Output, timers: TimerTable
) -> None:
    output.then_start(Timer.RELEASE, 30.0)
    output.then_start(Timer.ARTIM, 30.0)
    output.then_start(Timer.IDLE, None)
    timers.stop(Timer.ARTIM)
    assert output.take(5.0) == []
    assert timers.deadlines() == {(Timer.RELEASE, 0): 35.0}


def test_dropping_forgets_what_is_queued_and_what_was_given(output: Output) -> None:
    output.add([bytes(256 * KIB)])
    output.add([b"x"])
    output.take(0.0)
    output.drop()
    assert output.bytes_unsent == 0
    assert output.take(1.0) == []
    assert output.bytes_sent == 256 * KIB


def test_one_take_is_what_one_write_can_take(output: Output) -> None:
    for _ in range(5):
        output.add([bytes(100 * KIB)])
    assert [len(buffer) // KIB for buffer in output.take(0.0)] == [100, 100, 100]
    assert [len(buffer) // KIB for buffer in output.take(0.0)] == [100, 100]
    for _ in range(600):
        output.add([b"h", b"p"])
    assert len(output.take(0.0)) == 512
    assert len(output.take(0.0)) == 512
    assert len(output.take(0.0)) == 176


def test_pdus_are_counted_when_they_are_given(output: Output) -> None:
    output.add([b"one"])
    output.add([b"five ", b"in one"], 5)
    output.then_start(Timer.RELEASE, 30.0)
    assert output.pdus_sent == 0
    output.take(0.0)
    assert output.pdus_sent == 6
    output.add([b"never"])
    output.drop()
    output.take(1.0)
    assert output.pdus_sent == 6


pdus = st.lists(st.binary(min_size=1, max_size=8), min_size=1, max_size=3)


@settings(max_examples=200)
@given(st.lists(pdus | st.none(), max_size=30))
def test_whatever_the_order_of_adding_and_taking_the_bytes_are_the_same(script: list[list[bytes] | None]) -> None:
    timers = TimerTable()
    output = Output(timers, 60.0)
    added, taken = b"", b""
    for now, step in enumerate(script):
        if step is None:
            batch = b"".join(output.take(float(now)))
            taken += batch
            assert output.bytes_unsent == len(added) - len(taken) + len(batch)
            assert timers.running(STALL) == bool(batch)
        else:
            output.add(step)
            added += b"".join(step)
        assert added.startswith(taken)
        assert output.bytes_sent == len(taken)
        assert output.totals() == (len(added), len([each for each in script[: now + 1] if each is not None]))
    assert taken + b"".join(output.take(99.0)) == added
    assert output.pdus_sent == len([step for step in script if step is not None])
