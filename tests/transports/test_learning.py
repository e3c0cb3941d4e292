"""A handler that blocks learns, while it computes, that nobody waits for its answer any more: on every transport."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any, Final

import pytest

from engine_pair import (
    ABORT,
    CT,
    FIND,
    QUERY,
    RELEASE_RQ,
    command,
    data,
    echo_rq,
    find_rq,
    requestor,
    store_rq,
)
from raw_socket import connected, nothing_leaks
from running import PATIENCE, TRANSPORTS, running
from sansdimse import VERIFICATION, Limits
from sansdimse.dimse.messages import CCancelRQ, CFindRSP
from sansdimse.ul.pdu import AAssociateAC

REQUESTS: Final = {"c_echo": echo_rq(), "c_store": store_rq() + data(3, b"all of it."), "c_find": find_rq()}
SUPPORTS: Final = [VERIFICATION, CT, FIND]
PATIENT: Final = replace(Limits(), idle=None, artim=1.0)


class Computes:
    """Its handlers compute until nobody waits for what they find."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.learnt = threading.Event()

    def _compute(self, conversation: Any) -> None:
        assert not conversation.cancelled
        assert conversation.request.message_id == 1
        self.begun.set()
        pause = threading.Event()
        for _ in range(int(PATIENCE / 0.01)):
            if conversation.cancelled:
                self.learnt.set()
                return
            pause.wait(0.01)  # what it computes

    def c_echo(self, echo: Any) -> None:
        self._compute(echo)

    def c_store(self, store: Any) -> int:
        self._compute(store)
        return 0

    def c_find(self, find: Any) -> list[bytes]:
        self._compute(find)
        return []


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("service", REQUESTS)
@pytest.mark.parametrize("end", ["abort", "abort behind a release", "close", "cancel"])
def test_it_learns_of_the_end(transport: str, service: str, end: str) -> None:
    if end == "cancel" and service != "c_find":
        pytest.skip("there is no C-CANCEL for it")
    computes = Computes()
    with nothing_leaks(), running(transport, computes, supports=SUPPORTS, limits=PATIENT) as server:
        with connected(server.port) as raw:
            assert isinstance(raw.request(requestor(QUERY)), AAssociateAC)
            raw.send(REQUESTS[service])
            assert computes.begun.wait(PATIENCE)
            if end == "cancel":
                raw.send(command(7, CCancelRQ(message_id_being_responded_to=1)))
                answer = raw.said()
                assert isinstance(answer, CFindRSP)
                assert answer.status == 0xFE00
            elif end != "close":
                raw.send(*([RELEASE_RQ] if end != "abort" else []), ABORT)
        assert computes.learnt.wait(PATIENCE)
        server.until(lambda: server.ended)
    assert not server.reports
