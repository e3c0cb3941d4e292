"""The contract finds faults: transports of ours, each broken in one way, fail the check that names it.

That ours as they are pass every check is seen in the tests of the modules with the checks.
"""

from __future__ import annotations

import asyncio.selector_events
import select
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, NamedTuple

import pytest

import sansdimse_asyncio
import sansdimse_socket.client
import sansdimse_socket.server
from sansdimse import State
from sansdimse.peer.session import Session
from sansdimse.peer.tap import Tapped
from sansdimse.testing import ContractError, Feature, Maker, check_link, checks, link_contract
from sansdimse.testing.check import Checks, expect
from sansdimse.testing.link_calling import CALLING
from sansdimse.testing.link_cancelling import CANCELLING
from sansdimse.testing.link_ending import ENDING
from sansdimse.testing.link_serving import SERVING
from sansdimse_files.wiring import Wire as Wired
from sansdimse_files.wiring import wire
from transports_under_test import TransportMaker

Plant = Callable[[pytest.MonkeyPatch], None]
EVERYTHING: Final = [*SERVING, *ENDING, *CALLING, *CANCELLING]
NAMED: Final = {check.name: check for check in EVERYTHING}


class Broken(Tapped):
    """An engine that is driven wrongly: what stands between it and a sound driver does what the fault is."""

    def __init__(self, engine: Any) -> None:
        super().__init__(engine, lambda side, data, now: None)
        self.inner = engine


def driven_by(broken: type[Broken]) -> Plant:
    """The blocking transport with this around each engine."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        def wired(engine: Any, *args: Any, **options: Any) -> Wired:
            line = wire(engine, *args, **options)
            return Wired(broken(line.engine), line.certificate)

        patch.setattr(sansdimse_socket.server, "wire", wired)
        patch.setattr(sansdimse_socket.client, "wire", wired)

    return plant


class IgnoresTime(Broken):
    def next_timeout(self) -> float | None:
        return None


class FeedsTwice(Broken):
    def receive_data(self, data: bytes, now: float) -> None:
        self.inner.receive_data(data, now)
        self.inner.receive_data(data, now)


class TakesOnePduARead(Broken):
    def receive_data(self, data: bytes, now: float) -> None:
        self.inner.receive_data(data[: 6 + int.from_bytes(data[2:6], "big")], now)


class NeverTellsTheEnd(Broken):
    ended = False

    def receive_eof(self, now: float, error: str | None = None) -> None:
        self.ended = True

    def data_to_send(self, now: float) -> list[bytes | memoryview]:
        if self.ended and self.inner.state is State.STA13:  # the server closes, and the test with it
            self.inner.receive_eof(now)
        return super().data_to_send(now)


class ClosesInSta13(Broken):
    def next_timeout(self) -> float | None:
        return 0.0 if self.inner.state is State.STA13 and not self.inner.bytes_unsent else self.inner.next_timeout()

    def handle_timeout(self, now: float) -> None:
        if self.inner.state is State.STA13:
            self.inner.receive_eof(now)
        else:
            self.inner.handle_timeout(now)


class WritesNothingAfterTheEnd(Broken):
    ended = False

    def receive_eof(self, now: float, error: str | None = None) -> None:
        self.ended = True
        self.inner.receive_eof(now, error)

    def data_to_send(self, now: float) -> list[bytes | memoryview]:
        data = self.inner.data_to_send(now)
        return [] if self.ended else data


def reads_to_the_end_before_it_writes(patch: pytest.MonkeyPatch) -> None:
    driven_by(WritesNothingAfterTheEnd)(patch)
    link = sansdimse_socket.Link
    read = link._read

    def read_all(self: Any) -> None:
        read(self)
        while not self._eof and select.select([self._sock], [], [], 0.2)[0]:
            read(self)

    patch.setattr(link, "_read", read_all)


def stops_reading_while_it_writes(patch: pytest.MonkeyPatch) -> None:
    link = sansdimse_socket.Link
    events = link._events
    patch.setattr(link, "_events", lambda self: events(self) & (select.POLLOUT if self._unwritten else ~0))


def believes_that_all_was_written(patch: pytest.MonkeyPatch) -> None:
    sendmsg = socket.socket.sendmsg

    def hopeful(sock: socket.socket, buffers: list[Any]) -> int:
        sendmsg(sock, buffers)
        return sum(map(len, buffers))

    patch.setattr(socket.socket, "sendmsg", hopeful)


def ignores_stalled(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Session, "stalled", False)


def serves_one_after_the_other(patch: pytest.MonkeyPatch) -> None:
    server = sansdimse_socket.server.Server
    start = server._start

    def at_once(self: Any, connection: Any) -> None:
        connection.thread.start = connection.thread.run
        start(self, connection)
        connection.thread = threading.Thread(target=lambda: None)
        connection.thread.start()

    patch.setattr(server, "_start", at_once)


def swallows_cancellation(patch: pytest.MonkeyPatch) -> None:
    class Deaf(asyncio.Event):
        async def wait(self) -> Any:
            while not self.is_set():
                with suppress(asyncio.CancelledError):
                    await super().wait()

    patch.setattr(sansdimse_asyncio.Link, "signal", lambda self: Deaf())


def waits_for_who_takes_nothing(patch: pytest.MonkeyPatch) -> None:
    transport = asyncio.selector_events._SelectorSocketTransport  # type: ignore[attr-defined]
    patch.setattr(transport, "abort", transport.close)


class Planted(NamedTuple):
    """A fault, in which transport, and the check that must find it with which words."""

    plant: Plant
    check: str
    words: str
    transport: str = "socket"
    tls: bool = False


PLANTED: Final = {
    "ignores next_timeout": Planted(driven_by(IgnoresTime), "artim_before_the_request", "nothing came where the end"),
    "ignores it, calling": Planted(driven_by(IgnoresTime), "deadline_of_an_answer", "nothing came where AAbort"),
    "feeds data twice": Planted(driven_by(FeedsTwice), "early_data", "AAssociateAC should have come, and AAbort did"),
    "takes one PDU a read": Planted(driven_by(TakesOnePduARead), "early_data", "nothing came"),
    "the same, calling": Planted(driven_by(TakesOnePduARead), "early_data_behind_the_answer", "nothing came"),
    "never tells EOF": Planted(driven_by(NeverTellsTheEnd), "peer_that_vanishes", "AssociationEnded was never told"),
    "closes in Sta13": Planted(driven_by(ClosesInSta13), "sta13_is_not_closed", "its end came"),
    "closes in Sta13, calling": Planted(driven_by(ClosesInSta13), "artim_after_an_abort", "its end came"),
    "drops the tail of a partial write": Planted(believes_that_all_was_written, "both_send", "bytes"),
    "the same, to a slow reader": Planted(believes_that_all_was_written, "slow_reader", "bytes"),
    "the same, as a requestor": Planted(believes_that_all_was_written, "both_ends_send", "bytes"),
    "stops reading while it writes": Planted(stops_reading_while_it_writes, "both_send", "it reads no more"),
    "the same, calling side": Planted(stops_reading_while_it_writes, "both_ends_send", "it reads no more"),
    "does not half-close": Planted(reads_to_the_end_before_it_writes, "half_close", "AReleaseRP should have come"),
    "ignores stalled": Planted(ignores_stalled, "back_pressure", "that no handler has taken", "asyncio"),
    "one after the other": Planted(serves_one_after_the_other, "silence_in_the_handshake", "was not taken", tls=True),
    "swallows cancellation": Planted(swallows_cancellation, "cancelled_while_it_waits", "went on", "asyncio"),
    "waits to close": Planted(waits_for_who_takes_nothing, "acceptor_that_never_reads", "never left", "asyncio"),
}


@pytest.mark.parametrize("fault", PLANTED)
def test_a_transport_with_a_fault_fails_the_check_that_names_it(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    planted = PLANTED[fault]
    maker = TransportMaker(planted.transport, tls=planted.tls, patience=1.5)
    monkeypatch.setattr("sansdimse.peer.host.ABORT_GRACE", 0.5)
    planted.plant(monkeypatch)
    with pytest.raises(ContractError) as raised:
        NAMED[planted.check](maker)
    (failure,) = raised.value.failures
    assert failure.check == planted.check
    assert planted.words in failure.why


# ---------------------------------------------------------------- the function itself


class Sentences(Maker):
    """No transport at all: its checks look at nothing but it."""

    name = "sentences"
    features = frozenset({Feature.CALLS})

    def __init__(self, secured: Maker | None = None) -> None:
        self._secured = secured

    def serving(self, service: object, **options: Any) -> Any:
        raise NotImplementedError

    def secured(self) -> Maker | None:
        return self._secured

    def event(self) -> Any:
        raise NotImplementedError


class Only(Sentences):
    """The same, with TLS, and without ``associate``."""

    name = "sentences with TLS"
    features = frozenset({Feature.TLS})


@pytest.fixture
def lists(monkeypatch: pytest.MonkeyPatch) -> tuple[Checks, Checks]:
    serving, calling = Checks(), Checks()
    monkeypatch.setattr(link_contract, "ENDING", Checks())
    monkeypatch.setattr(link_contract, "CANCELLING", Checks())
    monkeypatch.setattr(link_contract, "SERVING", serving)
    monkeypatch.setattr(link_contract, "CALLING", calling)

    @serving.needing()
    def first(maker: Maker) -> None:
        """It has a name."""
        expect(maker.name, "it has none")

    @serving.needing(Feature.TLS)
    def second(maker: Maker) -> None:
        """It has TLS."""

    @calling.needing()
    def third(maker: Maker) -> None:
        """It calls."""

    return serving, calling


def test_a_sound_transport_gets_the_list_of_what_it_passed(lists: tuple[Checks, Checks]) -> None:
    assert check_link(Sentences(Only())) == [
        "sentences: first",
        "sentences: third",
        "sentences with TLS: first",
        "sentences with TLS: second",
    ]
    assert check_link(Sentences()) == ["sentences: first", "sentences: third"]


def test_checks_are_those_that_the_transport_has_the_features_for(lists: tuple[Checks, Checks]) -> None:
    assert [str(check) for check in checks(Sentences())] == ["first", "third"]
    assert [str(check) for check in checks(Only())] == ["first", "second"]


def test_all_that_fails_is_told_at_once(lists: tuple[Checks, Checks]) -> None:
    @lists[0].needing()
    def fourth(maker: Maker) -> None:
        """It holds."""
        expect(maker.features & {Feature.TLS}, "it does not hold")

    @lists[1].needing()
    def fifth(maker: Maker) -> None:
        """It can be
        added up."""
        raise ZeroDivisionError("by zero")

    with pytest.raises(ContractError) as raised:
        check_link(Sentences(Only()))
    assert [(each.check, each.why) for each in raised.value.failures] == [
        ("fourth", "it does not hold"),
        ("fifth", "ZeroDivisionError: by zero"),
    ]
    assert "fifth: ZeroDivisionError: by zero\n    the contract: It can be added up." in str(raised.value)
    assert isinstance(raised.value, AssertionError)


def test_every_check_has_its_own_name() -> None:
    assert len(NAMED) == len(EVERYTHING)
