"""An association opened by a transport under test: what its conversations gave and how it ended is looked at."""

from __future__ import annotations

from typing import Any

import pytest

from raw_socket import nothing_leaks
from sansdimse.dimse.messages import CEchoRQ, CStoreRQ, CStoreRSP
from sansdimse.outcome import OutcomeKind
from sansdimse.testing.call import Call, Keeps, abort, called, echo, lost, nothing, released, store, store_much
from sansdimse.testing.check import Fault
from sansdimse.testing.far_end import LARGE, SMALL, Notebook, data_set, echo_rsp, store_rq, store_rsp
from sansdimse.ul.pdu import AAbort
from sansdimse.ul.timers import Timer
from transports_under_test import TransportMaker

MAKER = TransportMaker("socket", patience=10.0)


def test_conversations_run_one_after_the_other() -> None:
    service = Keeps()
    with nothing_leaks(), called(MAKER, echo, store, store_much, nothing, service=service) as call:
        call.far.accept(store_rq(7), data_set(SMALL))
        assert {type(call.far.said("")) for _ in range(2)} == {CEchoRQ, CStoreRSP}
        call.far.say(echo_rsp(1))
        for message_id, data in ((2, SMALL), (3, LARGE)):
            call.far.hear(CStoreRQ)
            assert call.far.hear(bytes) == data
            call.far.say(store_rsp(message_id))
        released(call.far)
        assert list(call.results()) == [0, 0, 0, None, None]
        call.expect_kind(OutcomeKind.RELEASED)
    assert service.stored == [SMALL]


def test_how_it_ended_must_be_as_expected() -> None:
    with called(MAKER, abort) as call:
        call.far.accept()
        call.far.hear(AAbort)
        call.far.wire.close()
        call.expect_kind(OutcomeKind.ABORTED)
        with pytest.raises(Fault, match="it should have ended released, and did so: aborted by us"):
            call.expect_kind(OutcomeKind.RELEASED)
        with pytest.raises(Fault, match="the deadline RELEASE should have ended it, and it ended so: aborted by us"):
            call.expect_timer(Timer.RELEASE)


def test_who_loses_its_association_is_known() -> None:
    with called(MAKER, echo) as call:
        call.far.accept()
        call.far.wire.close()
        assert [lost(result) for result in call.results()] == [True, False]


def test_errors_that_are_reported_are_found() -> None:
    class Fails:
        async def c_store(self, store: Any) -> int:
            raise ZeroDivisionError

    def fail() -> None:
        with called(MAKER, echo, service=Fails()) as call:
            call.far.accept(store_rq(7), data_set(SMALL))
            for _ in range(2):
                call.far.said("a request and an answer")
            call.far.say(echo_rsp(1))
            released(call.far)

    with pytest.raises(Fault, match=r"errors were reported: \[ZeroDivisionError"):
        fail()


class Calling:
    """A transport that says it ran what it did not."""

    def __init__(self, *results: object) -> None:
        self.wire: Any = None
        self._results = results

    def cancel(self) -> None: ...

    def results(self) -> Any:
        return self._results


def test_conversations_left_out_and_ends_not_told_are_found() -> None:
    notebook = Notebook(MAKER)
    with pytest.raises(Fault, match="3 conversations were to be run, and 1 were"):
        Call(Calling(0, None), notebook, 3).results()
    assert Call(Calling(OSError()), notebook, 3).results()
    with pytest.raises(Fault, match="an association's end was told 0 times"):
        Call(Calling(0, None), notebook, 1).outcome()
