"""``associate``: how an association is opened, and that every way out of the block ends it."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from pydicom.data import get_testdata_file

from engine_pair import QUERY, RELEASE_RP, acceptor, echo_rq, echo_rsp, requestor
from memory_link import content, instance
from raw_socket import HOST, RawSocket, nothing_leaks, scripted
from sansdimse import Limits, LocalProtocolError, Outcome, OutcomeKind, Side, State, Timer
from sansdimse.dimse.messages import CEchoRQ
from sansdimse.peer.caller import LINGER
from sansdimse.peer.watch import AssociationEnded, Occurrence
from sansdimse.ul.pdu import AAbort, AAssociateRJ, AReleaseRQ, PDataTF
from sansdimse_files import contexts_for
from sansdimse_socket import AssociationLost, Echo, Peer, Store, associate, client, serve

CONTEXTS = requestor().contexts
QUICK = replace(Limits(), artim=0.05)


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    with nothing_leaks():
        yield


class Keeps:
    def __init__(self) -> None:
        self.got: list[bytes] = []

    def c_store(self, store: Store) -> int:
        self.got.append(store.read())
        return 0xB007


def polite(raw: RawSocket) -> None:
    """Accept, and answer the release."""
    raw.accept()
    assert raw.said() == AReleaseRQ()
    raw.send(RELEASE_RP)


def aborted(raw: RawSocket) -> None:
    """Accept, and see an abort and the close."""
    raw.accept()
    assert raw.said() == AAbort(0, 0)
    raw.sock.shutdown(socket.SHUT_WR)
    assert raw.rest() == b""


# ---------------------------------------------------------------- the ways out


def test_leaving_releases() -> None:
    with scripted(polite) as port, associate(HOST, port, contexts=CONTEXTS) as peer:
        assert isinstance(peer, Peer)
        assert peer.outcome is None
        assert peer.info.address == f"{HOST}:{port}"
    assert peer.outcome is not None
    assert (peer.outcome.kind, peer.outcome.by) == (OutcomeKind.RELEASED, Side.LOCAL)


@pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt(), SystemExit(3), GeneratorExit()])
def test_leaving_by_an_exception_aborts(error: BaseException) -> None:
    with scripted(aborted) as port, pytest.raises(type(error)) as raised, associate(HOST, port, contexts=CONTEXTS) as p:
        raise error
    assert raised.value is error
    assert p.outcome is not None
    assert (p.outcome.kind, p.outcome.by) == (OutcomeKind.ABORTED, Side.LOCAL)


def test_an_interrupt_in_the_middle_of_a_store_aborts() -> None:
    """It comes out of a wait: here out of what the user is told in between."""
    server_saw: list[Occurrence] = []
    with (
        serve(HOST, 0, Keeps(), supports=CONTEXTS[:2], watch=server_saw.append) as server,
        pytest.raises(KeyboardInterrupt),
        associate(HOST, server.port, contexts=CONTEXTS) as peer,
    ):
        peer.c_store(instance(4 << 20, piece=1 << 20), progress=_interrupt)
    assert peer.outcome is not None
    assert peer.outcome.kind is OutcomeKind.ABORTED
    ended = [each.statistics.outcome for each in server_saw if isinstance(each, AssociationEnded)]
    assert [(outcome.kind, outcome.by) for outcome in ended] == [(OutcomeKind.ABORTED, Side.PEER)]


def _interrupt(sent: int) -> None:
    raise KeyboardInterrupt


def test_an_interrupt_while_the_release_is_waited_for_aborts() -> None:
    def script(raw: RawSocket) -> None:
        raw.accept()
        assert raw.said() == AReleaseRQ()
        raw.send(echo_rq(1))
        assert raw.said() == AAbort(0, 0)
        raw.sock.shutdown(socket.SHUT_WR)

    def tap(side: Side, data: bytes | memoryview, now: float) -> None:
        if side is Side.PEER and data[0] == PDataTF.PDU_TYPE:
            raise KeyboardInterrupt

    with (
        scripted(script) as port,
        pytest.raises(KeyboardInterrupt),
        associate(HOST, port, contexts=CONTEXTS, tap=tap) as peer,
    ):
        pass
    assert peer.outcome is not None
    assert (peer.outcome.kind, peer.outcome.state) == (OutcomeKind.ABORTED, State.STA7)


def test_after_an_abort_it_does_not_wait_for_ever_for_the_peer_to_close() -> None:
    def script(raw: RawSocket) -> None:
        raw.accept()
        assert raw.said() == AAbort(0, 0)
        assert raw.rest() == b"", "the other end closes, though we do not"

    with (
        scripted(script) as port,
        pytest.raises(ValueError, match="mine"),
        associate(HOST, port, contexts=CONTEXTS, limits=QUICK),
    ):
        raise ValueError("mine")
    assert LINGER <= 5


@pytest.mark.parametrize("first", ["abort", "release"])
def test_the_user_may_end_it_in_the_block(first: str) -> None:
    with (
        scripted(aborted if first == "abort" else polite) as port,
        associate(HOST, port, contexts=CONTEXTS) as peer,
    ):
        outcome = peer.abort() if first == "abort" else peer.release()
        assert outcome == peer.outcome
        with pytest.raises(AssociationLost) as lost:
            peer.c_echo()
        assert lost.value.outcome == outcome


def test_the_peer_may_end_it_between_two_calls() -> None:
    def script(raw: RawSocket) -> None:
        raw.accept()
        assert isinstance(raw.said(), CEchoRQ)
        raw.send(echo_rsp(1), AAbort(0, 0))

    with scripted(script) as port, associate(HOST, port, contexts=CONTEXTS) as peer:
        assert peer.c_echo() == 0
        with pytest.raises(AssociationLost):
            peer.c_echo()
    assert peer.outcome is not None
    assert peer.outcome.by is Side.PEER


# ---------------------------------------------------------------- no association


def refused_port() -> int:
    with socket.create_server((HOST, 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def lost(port: int, host: str = HOST, **settings: Any) -> Outcome:
    with pytest.raises(AssociationLost) as raised, associate(host, port, contexts=CONTEXTS, **settings):
        raise AssertionError("there is no association")
    return raised.value.outcome


def test_a_refused_connection() -> None:
    outcome = lost(refused_port())
    assert (outcome.kind, outcome.by, outcome.state) == (OutcomeKind.CLOSED, Side.NETWORK, State.STA4)
    assert outcome.error is not None
    assert "Connection refused" in outcome.error


def test_a_rejection() -> None:
    def script(raw: RawSocket) -> None:
        raw.pdu()
        raw.send(AAssociateRJ(1, 1, 7))

    with scripted(script) as port:
        outcome = lost(port)
    assert (outcome.kind, outcome.by) == (OutcomeKind.REJECTED, Side.PEER)
    assert (outcome.result, outcome.source, outcome.reason) == (1, 1, 7)


@pytest.mark.parametrize(
    ("host", "answer"),
    [("nowhere.invalid", socket.gaierror(socket.EAI_NONAME, "Name or service not known")), ("a" * 70 + ".b", None)],
)
def test_a_host_that_has_no_address(host: str, answer: Exception | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if answer is not None:
        monkeypatch.setattr(socket, "getaddrinfo", _raising(answer))
    outcome = lost(104, host)
    assert outcome.kind is OutcomeKind.CLOSED
    assert outcome.error is not None
    assert outcome.error.startswith(host)


def _raising(error: Exception) -> Callable[..., Any]:
    def function(*args: Any, **settings: Any) -> Any:
        raise error

    return function


def addresses(*ports: int) -> Callable[..., Any]:
    def getaddrinfo(host: str, port: int, **settings: Any) -> Any:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (HOST, port)) for port in ports]

    return getaddrinfo


def test_every_address_of_a_host_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted(polite) as port:
        monkeypatch.setattr(socket, "getaddrinfo", addresses(refused_port(), refused_port(), port))
        with associate("several.example", 104, contexts=CONTEXTS) as peer:
            pass
    assert peer.outcome is not None
    assert peer.outcome.kind is OutcomeKind.RELEASED


def test_what_each_address_said_is_told_when_none_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", addresses(refused_port(), refused_port()))
    error = lost(104, "several.example").error
    assert error == "several.example port 104: Connection refused"


@pytest.fixture
def deaf_port() -> Iterator[int]:
    """Where a connection is neither accepted nor refused: its queue is full."""
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        listener.listen(0)
        address = listener.getsockname()
        waiting = []
        for _ in range(8):
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex(address)
            waiting.append(sock)
        poll = select.poll()
        poll.register(waiting[-1], select.POLLOUT)
        if poll.poll(50):
            pytest.skip("this system's queue never fills")
        yield address[1]
        for sock in waiting:
            sock.close()


def test_connecting_has_a_deadline(deaf_port: int) -> None:
    begun = time.monotonic()
    outcome = lost(deaf_port, limits=replace(Limits(), connect=0.1))
    assert (outcome.kind, outcome.timer) == (OutcomeKind.TIMED_OUT, Timer.CONNECT)
    assert time.monotonic() - begun >= 0.1


def test_an_interrupt_while_connecting_closes_the_socket(deaf_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted:
        def register(self, *args: object) -> None:
            """Nothing."""

        def poll(self, timeout: float | None) -> list[object]:
            raise KeyboardInterrupt

    polls = iter([select.poll(), Interrupted()])
    monkeypatch.setattr(client.select, "poll", lambda: next(polls))
    with pytest.raises(KeyboardInterrupt), associate(HOST, deaf_port, contexts=CONTEXTS):
        raise AssertionError("there is no association")


def test_a_source_address_is_bound() -> None:
    ports: list[int] = []

    def script(raw: RawSocket) -> None:
        ports.append(raw.sock.getpeername()[1])
        polite(raw)

    with socket.socket() as free:
        free.bind((HOST, 0))
        wanted = free.getsockname()[1]
    with scripted(script) as port, associate(HOST, port, contexts=CONTEXTS, source_address=(HOST, wanted)):
        pass
    assert ports == [wanted]
    error = lost(1, source_address=("192.0.2.1", 0)).error
    assert error is not None
    assert "Cannot assign requested address" in error


def test_what_cannot_be_proposed_is_told_before_anything_is_opened() -> None:
    with pytest.raises(LocalProtocolError), associate(HOST, 1, contexts=["no UID"]):
        raise AssertionError("there is no association")


# ---------------------------------------------------------------- serving, IPv6


def test_a_service_must_have_the_methods_for_the_roles_it_takes() -> None:
    with pytest.raises(TypeError, match="c_find"), associate(HOST, 1, contexts=[QUERY], service=object()):
        raise AssertionError("there is no association")


def test_the_peer_is_served_while_something_is_waited_for() -> None:
    class Service(Keeps):
        def c_echo(self, echo: Echo) -> None:
            asked.append(echo.request.message_id)

    asked: list[int] = []

    def script(raw: RawSocket) -> None:
        raw.accept(acceptor())
        raw.pdu()
        raw.send(echo_rq(77))
        assert raw.said().message_id_being_responded_to == 77
        raw.send(echo_rsp(1))
        raw.pdu()
        raw.send(RELEASE_RP)

    with scripted(script) as port, associate(HOST, port, contexts=CONTEXTS, service=Service()) as peer:
        assert peer.c_echo() == 0
    assert asked == [77]


def test_a_request_nobody_serves_is_refused() -> None:
    def script(raw: RawSocket) -> None:
        raw.accept(acceptor())
        raw.pdu()
        raw.send(echo_rq(77))
        assert raw.said().status == 0x0122
        raw.send(echo_rsp(1))
        raw.pdu()
        raw.send(RELEASE_RP)

    with scripted(script) as port, associate(HOST, port, contexts=CONTEXTS) as peer:
        assert peer.c_echo() == 0


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 loopback here")
def test_over_ipv6() -> None:
    service = Keeps()
    with serve("::1", 0, service, supports=CONTEXTS[:2]) as server:
        assert server.host == "::1"
        with associate("::1", server.port, contexts=CONTEXTS) as peer:
            assert peer.c_store(instance(1000)) == 0xB007
    assert service.got == [content(1000)]


def test_files_and_folders_are_sent_by_their_paths(tmp_path: Any) -> None:
    path = str(get_testdata_file("CT_small.dcm"))
    service = Keeps()
    with (
        serve(HOST, 0, service, supports=[], any_storage=True) as server,
        associate(HOST, server.port, contexts=contexts_for([path])) as peer,
    ):
        results = dict(peer.c_store_each([path, str(tmp_path / "missing")]))
    assert results[path] == 0xB007
    assert isinstance(results[str(tmp_path / "missing")], FileNotFoundError)
    with open(path, "rb") as file:
        assert file.read().endswith(service.got[0])
