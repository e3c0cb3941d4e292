"""``serve``: who is let in, how it ends, and that nothing is left of anybody."""

from __future__ import annotations

import errno
import os
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from engine_pair import ABORT, RELEASE_RQ, data, echo_rq, requestor, store_rq
from raw_socket import HOST, PATIENCE, RawSocket, connected, nothing_leaks
from sansdimse import AsynchronousOperationsWindow, Outcome, OutcomeKind, Side
from sansdimse.admission import OVER_BUDGET, Budget
from sansdimse.peer import host as host_module
from sansdimse.peer.host import Host
from sansdimse.peer.watch import AssociationEnded, Occurrence, Statistics
from sansdimse.ul.pdu import AAbort, AAssociateAC, AAssociateRJ, AReleaseRP
from sansdimse_socket import AssociationLost, Server, Store, associate, serve
from sansdimse_socket import server as server_module

SUPPORTS = requestor().contexts[:2]


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    with nothing_leaks():
        yield


class Gate:
    """Handlers wait until the test lets them on."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self.on = threading.Event()
        self.lost: list[AssociationLost] = []

    def c_echo(self, echo: object) -> int:
        self.entered.release()
        assert self.on.wait(PATIENCE)
        return 0

    def c_store(self, store: Store) -> int:
        self.entered.release()
        try:
            store.read()
        except AssociationLost as error:
            self.lost.append(error)
            raise
        return 0

    def wait_entered(self) -> None:
        assert self.entered.acquire(timeout=PATIENCE)


class Ends:
    """A ``watch`` for the ends of associations."""

    def __init__(self) -> None:
        self.told: list[Statistics] = []
        self._came = threading.Semaphore(0)

    def __call__(self, occurrence: Occurrence) -> None:
        if isinstance(occurrence, AssociationEnded):
            self.told.append(occurrence.statistics)
            self._came.release()

    def wait(self) -> Outcome:
        assert self._came.acquire(timeout=PATIENCE)
        return self.told[-1].outcome


class Reports(list[tuple[BaseException, str]]):
    def __call__(self, error: BaseException, where: str) -> None:
        self.append((error, where))


def established(raw: RawSocket) -> RawSocket:
    assert isinstance(raw.request(), AAssociateAC)
    return raw


def released(raw: RawSocket) -> None:
    raw.send(RELEASE_RQ)
    assert raw.said() == AReleaseRP()


# ---------------------------------------------------------------- associations and their ends


def test_each_end_is_told_once_with_what_is_known() -> None:
    ends = Ends()
    with serve(HOST, 0, Gate(), supports=SUPPORTS, watch=ends) as server:
        assert server.host == HOST
        with connected(server.port) as raw:
            established(raw)
            released(raw)
            address = "{}:{}".format(*raw.sock.getsockname())
        outcome = ends.wait()
        assert (outcome.kind, outcome.by) == (OutcomeKind.RELEASED, Side.PEER)
        (told,) = ends.told
        assert (told.address, told.calling_ae_title, told.called_ae_title) == (address, "ME", "YOU")
        with connected(server.port) as raw:
            established(raw).send(ABORT)
        assert ends.wait().kind is OutcomeKind.ABORTED
        with connected(server.port):
            pass
        assert ends.wait().kind is OutcomeKind.CLOSED
    assert len(ends.told) == 3


def test_associations_are_counted_while_they_are() -> None:
    ends = Ends()
    with serve(HOST, 0, Gate(), supports=SUPPORTS, watch=ends) as server:
        assert server.associations == 0
        with connected(server.port) as one, connected(server.port) as other:
            established(one)
            assert server.associations == 1
            established(other)
            assert server.associations == 2
            released(one)
            one.sock.close()
            ends.wait()
            _until(lambda: server.associations == 1)  # the thread may still be about to forget it
            released(other)
    assert server.associations == 0


def _until(condition: Any) -> None:
    """Let other threads run until it is so."""
    for _ in range(10_000):
        if condition():
            return
        threading.Event().wait(0.001)
    raise AssertionError("it never became so")


def test_above_the_budget_an_association_is_rejected_and_not_met_with_silence() -> None:
    with serve(HOST, 0, Gate(), supports=SUPPORTS, budget=Budget(associations=1)) as server:
        with connected(server.port) as one:
            established(one)
            with connected(server.port) as other:
                assert other.request() == OVER_BUDGET
            released(one)
        _until(lambda: server.associations == 0)
        with connected(server.port) as again:
            released(established(again))


def test_above_the_budget_of_silent_connections_the_oldest_goes() -> None:
    with (
        serve(HOST, 0, Gate(), supports=SUPPORTS, budget=Budget(pending=1)) as server,
        connected(server.port) as first,
        connected(server.port) as second,
    ):
        assert first.rest() == b""
        released(established(second))


def test_a_rejection_is_told_with_its_reason() -> None:
    rules: list[tuple[dict[str, Any], int]] = [
        ({"ae_title": "OTHER", "require_called": True}, 7),
        ({"allowed_calling": ["FRIEND"]}, 3),
    ]
    for rule, reason in rules:
        with serve(HOST, 0, Gate(), supports=SUPPORTS, **rule) as server, connected(server.port) as raw:
            assert raw.request() == AAssociateRJ(1, 1, reason)


def test_several_associations_are_served_at_once() -> None:
    gate = Gate()
    with (
        serve(HOST, 0, gate, supports=SUPPORTS) as server,
        connected(server.port) as one,
        connected(server.port) as other,
    ):
        for raw in (one, other):
            established(raw).send(echo_rq(1))
            gate.wait_entered()
        gate.on.set()
        for raw in (one, other):
            assert raw.said().status == 0
            released(raw)


def test_a_window_is_agreed_to() -> None:
    asked = AsynchronousOperationsWindow(9, 9)
    with (
        serve(HOST, 0, Gate(), supports=SUPPORTS, window=AsynchronousOperationsWindow(3, 2)) as server,
        associate(HOST, server.port, contexts=SUPPORTS, window=asked) as peer,
    ):
        assert peer.info.agreement.invoke_window == 3


# ---------------------------------------------------------------- a handler and its peer


def test_a_peer_that_vanishes_in_the_middle_of_a_store_is_noticed_by_the_handler() -> None:
    gate, ends, reports = Gate(), Ends(), Reports()
    with serve(HOST, 0, gate, supports=SUPPORTS, watch=ends, report=reports) as server:
        with connected(server.port) as raw:
            established(raw).send(store_rq(1), data(3, b"some", is_last=False))
            gate.wait_entered()
        outcome = ends.wait()
    assert outcome.outstanding == 1
    assert len(gate.lost) == 1
    assert not reports


def test_what_a_handler_raises_is_reported_once_and_answered() -> None:
    class Raises:
        def c_store(self, store: Store) -> int:
            raise ZeroDivisionError

    reports = Reports()
    with serve(HOST, 0, Raises(), supports=SUPPORTS, report=reports) as server, connected(server.port) as raw:
        established(raw).send(store_rq(1), data(3, b"data"))
        assert raw.said().status == 0xC211
        released(raw)
    assert [(type(error), where) for error, where in reports] == [(ZeroDivisionError, "C-STORE 1")]


def test_an_error_of_who_watches_is_reported_and_ends_nothing() -> None:
    def watch(occurrence: Occurrence) -> None:
        raise KeyError(type(occurrence).__name__)

    reports = Reports()
    with serve(HOST, 0, Gate(), supports=SUPPORTS, watch=watch, report=reports) as server:
        for _ in range(2):
            with connected(server.port) as raw:
                released(established(raw))
    assert Counter((type(error), error.args[0], where) for error, where in reports) == {
        (KeyError, told, "watch"): 2 for told in ("AssociationEstablished", "AssociationEnded")
    }


# ---------------------------------------------------------------- closing


def test_closing_lets_associations_end() -> None:
    gate, ends = Gate(), Ends()
    with serve(HOST, 0, gate, supports=SUPPORTS, watch=ends) as server, connected(server.port) as raw:
        established(raw).send(echo_rq(1))
        gate.wait_entered()
        closing = threading.Thread(target=server.close, args=(PATIENCE,))
        closing.start()
        _until(lambda: server._listener.fileno() == -1)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((HOST, server.port))
        gate.on.set()
        assert raw.said().status == 0
        released(raw)
        raw.sock.close()
        closing.join(PATIENCE)
        assert not closing.is_alive()
    assert ends.wait().kind is OutcomeKind.RELEASED


def test_who_has_not_asked_yet_is_cut_when_it_closes() -> None:
    with serve(HOST, 0, Gate(), supports=SUPPORTS) as server, connected(server.port) as raw:
        _until(lambda: bool(server.pending))
        server.close(3600.0)
        assert raw.rest() == b""


def test_after_the_grace_associations_are_aborted() -> None:
    gate, ends = Gate(), Ends()
    with serve(HOST, 0, gate, supports=SUPPORTS, watch=ends, grace=0.0) as server, connected(server.port) as raw:
        established(raw).send(store_rq(1), data(3, b"some", is_last=False))
        gate.wait_entered()
        closing = threading.Thread(target=server.close, args=(0.0,))
        closing.start()
        assert raw.said() == AAbort(0, 0)
        raw.sock.close()
        closing.join(PATIENCE)
        assert not closing.is_alive()
    outcome = ends.wait()
    assert (outcome.kind, outcome.by) == (OutcomeKind.ABORTED, Side.LOCAL)
    assert len(gate.lost) == 1, "its handler has learnt of it"


def test_a_peer_that_does_not_close_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_module, "ABORT_GRACE", 0.1)
    with connected_to(grace=0.0) as (server, raw):
        established(raw)
        server.close(0.0)
        assert raw.said() == AAbort(0, 0)
        assert raw.rest() == b""


class connected_to:  # noqa: N801 - a context manager
    """A server and a raw client, which outlives it."""

    def __init__(self, **settings: Any) -> None:
        self._serve = serve(HOST, 0, Gate(), supports=SUPPORTS, **settings)

    def __enter__(self) -> tuple[Server, RawSocket]:
        self.server = self._serve.__enter__()
        self._connected = connected(self.server.port)
        return self.server, self._connected.__enter__()

    def __exit__(self, *error: Any) -> None:
        self._serve.__exit__(*error)
        self._connected.__exit__(*error)


def test_a_handler_that_never_returns_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_module, "ABORT_GRACE", 0.05)
    gate, reports = Gate(), Reports()
    with serve(HOST, 0, gate, supports=SUPPORTS, report=reports) as server, connected(server.port) as raw:
        established(raw).send(echo_rq(1))
        gate.wait_entered()
        (left,) = server._host.connections
        server.close(0.0)
        assert [type(error) for error, _ in reports] == [TimeoutError]
        assert server.wait_closed(0.0)
        gate.on.set()
        left.thread.join(PATIENCE)
        assert not left.thread.is_alive()


def test_closing_twice_and_at_once_is_closing() -> None:
    with serve(HOST, 0, Gate(), supports=SUPPORTS) as server:
        assert not server.wait_closed(0.0)
        closing = [threading.Thread(target=server.close) for _ in range(4)]
        for thread in closing:
            thread.start()
        for thread in closing:
            thread.join(PATIENCE)
            assert not thread.is_alive()
        assert server.wait_closed(0.0)
        server.close()


def test_who_waits_for_the_close_is_let_on() -> None:
    with serve(HOST, 0, Gate(), supports=SUPPORTS) as server:
        waiting = threading.Thread(target=server.wait_closed)
        waiting.start()
    waiting.join(PATIENCE)
    assert not waiting.is_alive()


def test_an_exception_in_the_block_does_not_wait_for_the_grace() -> None:
    serving = serve(HOST, 0, Gate(), supports=SUPPORTS, grace=3600.0)
    server = serving.__enter__()
    with connected(server.port) as raw:
        established(raw)
        error = ZeroDivisionError()
        leaving = threading.Thread(target=lambda: serving.__exit__(ZeroDivisionError, error, None))
        leaving.start()
        assert raw.said() == AAbort(0, 0)
        raw.sock.close()
        leaving.join(PATIENCE)
        assert not leaving.is_alive()
    assert server.wait_closed(0.0)


# ---------------------------------------------------------------- when the system refuses


def test_an_address_that_is_taken_is_told() -> None:
    with (
        serve(HOST, 0, Gate(), supports=SUPPORTS) as server,
        pytest.raises(OSError, match="in use"),
        serve(HOST, server.port, Gate(), supports=SUPPORTS),
    ):
        raise AssertionError("it listens")


def test_a_service_without_the_method_is_told_before_it_listens() -> None:
    with pytest.raises(TypeError, match="c_store"), serve(HOST, 0, object(), supports=SUPPORTS):
        raise AssertionError("it listens")


def test_without_threads_left_a_connection_is_closed_and_the_server_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    reports = Reports()
    start = threading.Thread.start

    def cannot(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with serve(HOST, 0, Gate(), supports=SUPPORTS, report=reports) as server:
        monkeypatch.setattr(threading.Thread, "start", cannot)
        with connected(server.port) as raw:
            assert raw.rest() == b""
        monkeypatch.setattr(threading.Thread, "start", start)
        with connected(server.port) as raw:
            released(established(raw))
    assert [str(error) for error, _ in reports] == ["can't start new thread"]


class Listener:
    """A listening socket whose first accepts fail."""

    def __init__(self, *errors: OSError) -> None:
        self._sock = socket.create_server((HOST, 0))
        self._errors = list(errors)

    def accept(self) -> Any:
        if self._errors:
            raise self._errors.pop(0)
        return self._sock.accept()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


def listening(listener: Listener, reports: Reports) -> Server:
    sock: Any = listener
    lock = threading.Lock()
    return Server(sock, Host(Gate(), supports=SUPPORTS, report=reports, lock=lock), lock, None)


@pytest.mark.parametrize(
    ("error", "reported"),
    [
        (BlockingIOError(), 0),
        (ConnectionAbortedError(), 0),
        (OSError(errno.EMFILE, os.strerror(errno.EMFILE)), 1),
    ],
)
def test_what_fails_in_accepting_is_no_end(error: OSError, reported: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "_ACCEPT_PAUSE", 10)
    reports = Reports()
    server = listening(Listener(error), reports)
    with connected(server.port) as raw:
        released(established(raw))
    server.close()
    assert len(reports) == reported


def test_a_server_that_cannot_accept_still_closes() -> None:
    reports = Reports()
    server = listening(Listener(*[OSError(errno.EMFILE, "full")] * 1000), reports)
    with connected(server.port):
        _until(lambda: bool(reports))
        server.close(0.0)
    assert server.wait_closed(0.0)
