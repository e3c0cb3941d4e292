"""A server under test: what must be so after every check is looked at, and its service counts its handlers."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from raw_socket import nothing_leaks
from sansdimse.dimse.messages import CFindRSP, CStoreRSP
from sansdimse.testing.check import Fault
from sansdimse.testing.far_end import SMALL, SOON, data_set, find_rq, limits, store_rq
from sansdimse.testing.site import (
    MATCH,
    MATCHES,
    BlockingService,
    Service,
    echoed,
    held,
    is_served,
    released,
    served,
)
from sansdimse.ul.timers import Timer
from transports_under_test import TransportMaker

MAKER = TransportMaker("socket", patience=10.0)


def test_a_site_serves_and_everything_is_over_afterwards() -> None:
    for service in (Service(), BlockingService()):
        with nothing_leaks(), served(MAKER, service) as site:
            far = site.connect()
            far.request()
            echoed(far, 1)
            far.say(store_rq(2), data_set(SMALL))
            far.hear(CStoreRSP)
            far.say(find_rq(3))
            for _ in range(MATCHES):
                far.hear(CFindRSP)
                assert far.hear(bytes) == MATCH
            assert far.hear(CFindRSP).status == 0
            released(far)
            far.wire.close()
            site.until_all_ended()
            is_served(site)
            assert site.opened == 2
        assert service.stored == [SMALL]
        assert service.begun == service.left == 1 + MATCHES
        assert len(site.notebook.ended) == 2


def test_a_handler_whose_peer_vanishes_is_counted_as_such() -> None:
    service = Service()
    with served(MAKER, service) as site:
        far = site.connect()
        far.request()
        far.say(store_rq(1))
        site.notebook.until(lambda: service.begun == 1, "it never began")
        far.wire.close()
    assert (service.begun, service.left, service.lost, service.stored) == (1, 1, 1, [])


def test_errors_reported_must_be_expected() -> None:
    class Complains(Service):
        async def c_store(self, store: Any) -> int:
            raise ZeroDivisionError

    def store(reports: int) -> None:
        with served(MAKER, Complains(), reports=reports) as site:
            far = site.connect()
            far.request()
            far.say(store_rq(1), data_set(SMALL))
            far.hear(CStoreRSP)

    store(1)
    with pytest.raises(Fault, match=r"errors were reported: \[ZeroDivisionError"):
        store(0)


def test_a_handler_that_runs_on_is_found() -> None:
    service = Service()
    with pytest.raises(Fault, match="a handler was still running"), served(MAKER, service):
        service.begun = 1


def test_an_end_told_twice_is_found() -> None:
    def tell_twice() -> None:
        with served(MAKER) as site:
            is_served(site)
            site.until_all_ended()
            site.notebook.watch(site.notebook.occurrences[-1])

    with pytest.raises(Fault, match="1 connections were opened, and the ends of 2 were told"):
        tell_twice()


def test_the_timer_that_ended_an_association_is_looked_at() -> None:
    with served(MAKER, limits=limits(artim=SOON)) as site:
        site.connect().hear_end()
        site.expect_timer(Timer.ARTIM)
        with pytest.raises(Fault, match="the deadline IDLE should have ended it, and it ended so"):
            site.expect_timer(Timer.IDLE)


def test_an_answer_must_be_to_what_was_asked() -> None:
    class Far:
        def say(self, *parts: Any) -> None: ...

        def hear(self, kind: Any) -> Any:
            return kind(message_id_being_responded_to=2, affected_sop_class_uid="1.2", status=0)

    far: Any = Far()
    echoed(far, 2)
    with pytest.raises(Fault, match="a C-ECHO got the answer to another"):
        echoed(far, 1)


def test_a_gate_that_is_never_opened_is_no_success() -> None:
    gate = threading.Event()
    maker = TransportMaker("socket", patience=0.0)
    with pytest.raises(Fault, match="held up"):
        held(maker, gate)
    gate.set()
    assert held(maker, gate)
