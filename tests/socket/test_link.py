"""The driver of a blocking socket: it reads while it writes, and the connection's end never hides what came before."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest

from engine_pair import (
    ABORT,
    FIND,
    QUERY,
    RELEASE_RP,
    RELEASE_RQ,
    acceptor,
    command,
    data,
    echo_rq,
    echo_rsp,
    find_rq,
    requestor,
    store_rq,
    store_rsp,
)
from memory_link import content, instance
from raw_socket import HOST, PATIENCE, RawSocket, connected, nothing_leaks, scripted
from sansdimse import (
    EXPLICIT_VR_LITTLE_ENDIAN,
    Association,
    AssociationAccepted,
    AsynchronousOperationsWindow,
    Limits,
    OutcomeKind,
    Side,
    Timer,
)
from sansdimse.dataset import Instance
from sansdimse.dimse.messages import CEchoRQ, CEchoRSP, CStoreRQ, CStoreRSP
from sansdimse.peer.session import Session
from sansdimse.services.sop_classes import CT_IMAGE_STORAGE as CT
from sansdimse.ul.pdu import AAbort, AReleaseRP, AReleaseRQ
from sansdimse_files import tcp
from sansdimse_socket import AssociationLost, Link, Store, associate, serve
from sansdimse_socket.job import MOST_NESTED

MIB = 1 << 20
CONTEXTS = requestor().contexts


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    with nothing_leaks():
        yield


class Keeps:
    def __init__(self) -> None:
        self.got: list[bytes] = []

    def c_store(self, store: Store) -> int:
        self.got.append(store.read())
        return 0


def big_data_set(size: int, pdu: int = 60_000) -> bytes:
    whole = content(size)
    ends = range(0, size, pdu)
    return b"".join(data(3, whole[at : at + pdu], is_last=at + pdu >= size) for at in ends)


# ---------------------------------------------------------------- both directions


def test_it_reads_while_it_writes() -> None:
    """Both ends send far more than the sockets hold; the other reads nothing before it has written all."""
    service = Keeps()
    got: list[bytes] = []

    def script(raw: RawSocket) -> None:
        raw.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        raw.accept()
        assert isinstance(raw.said(), CStoreRQ)
        raw.send(store_rq(7), big_data_set(8 * MIB))
        got.append(raw.data_set())
        raw.send(store_rsp(1))
        response = raw.said()
        assert isinstance(response, CStoreRSP)
        assert response.message_id_being_responded_to == 7
        assert raw.said() == AReleaseRQ()
        raw.send(RELEASE_RP)

    with (
        scripted(script, receive_buffer=8192) as port,
        associate(HOST, port, contexts=CONTEXTS, service=service) as peer,
    ):
        assert peer.c_store(instance(8 * MIB)) == 0
    assert got == service.got == [content(8 * MIB)]
    assert peer.outcome is not None
    assert peer.outcome.kind is OutcomeKind.RELEASED


def test_a_server_answers_in_order_who_asks_before_reading() -> None:
    ids = range(1, 18)  # one within the window, and the sixteen above it that are kept
    with serve(HOST, 0, Keeps(), supports=CONTEXTS[:2]) as server, connected(server.port) as raw:
        raw.request()
        raw.send(b"".join(map(echo_rq, ids)), RELEASE_RQ)
        assert [raw.said().message_id_being_responded_to for _ in ids] == list(ids)
        assert raw.said() == AReleaseRP()


@pytest.mark.parametrize("maximum", [12, 64, 16384])
def test_many_small_buffers_and_partial_writes_arrive_in_order(maximum: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With so small a maximum one batch has more buffers than one call may take."""
    size = 3000 * (maximum - 6) + 2
    batches: list[int] = []
    sendmsg = socket.socket.sendmsg

    def counting(sock: socket.socket, buffers: list[Any]) -> int:
        batches.append(len(buffers))
        return sendmsg(sock, buffers)

    def script(raw: RawSocket) -> None:
        raw.accept(acceptor(maximum_length=maximum))
        while not (pdu := raw.pdu())[11] & 2:  # the command set, in fragments too
            assert pdu[11] & 1
        assert raw.data_set() == content(size)
        raw.send(store_rsp(1))
        raw.pdu()
        raw.send(RELEASE_RP)

    monkeypatch.setattr(socket.socket, "sendmsg", counting)
    with scripted(script, receive_buffer=4096) as port, associate(HOST, port, contexts=CONTEXTS) as peer:
        assert peer.c_store(instance(size)) == 0
    assert max(batches) <= tcp.IOV_MAX


# ---------------------------------------------------------------- ends of connections


def test_what_a_peer_sent_before_it_vanished_is_read_though_writing_fails() -> None:
    gone, ready = threading.Event(), threading.Event()

    def script(raw: RawSocket) -> None:
        raw.accept()
        assert ready.wait(PATIENCE)
        raw.send(ABORT)
        raw.reset()
        gone.set()

    with scripted(script) as port, associate(HOST, port, contexts=CONTEXTS) as peer:
        ready.set()
        assert gone.wait(PATIENCE)
        with pytest.raises(AssociationLost) as lost:
            peer.c_store(instance(4 * MIB))
    assert (lost.value.outcome.kind, lost.value.outcome.by) == (OutcomeKind.ABORTED, Side.PEER)


def test_a_connection_that_is_reset_is_the_networks_end() -> None:
    def script(raw: RawSocket) -> None:
        raw.accept()
        raw.pdu()
        raw.reset()

    with (
        scripted(script) as port,
        pytest.raises(AssociationLost) as lost,
        associate(HOST, port, contexts=CONTEXTS) as p,
    ):
        p.c_echo()
    outcome = lost.value.outcome
    assert (outcome.kind, outcome.by) == (OutcomeKind.CLOSED, Side.NETWORK)
    assert outcome.error is not None
    assert "reset" in outcome.error


def test_who_closed_its_half_still_gets_its_answer() -> None:
    with serve(HOST, 0, Keeps(), supports=CONTEXTS[:2]) as server, connected(server.port) as raw:
        raw.request()
        raw.send(RELEASE_RQ)
        raw.sock.shutdown(socket.SHUT_WR)
        assert raw.said() == AReleaseRP()
        assert raw.rest() == b""


def test_a_large_answer_is_written_to_its_end_after_the_peer_closed_its_half() -> None:
    """Hundreds of responses wait in the output when the end of the stream is read."""
    with serve(HOST, 0, Keeps(), supports=CONTEXTS[:2]) as server, connected(server.port) as raw:
        raw.request()
        raw.send(*[echo_rq(1) for _ in range(10)], RELEASE_RQ)
        raw.sock.shutdown(socket.SHUT_WR)
        answers = [raw.said() for _ in range(11)]
    assert answers[-1] == AReleaseRP()


# ---------------------------------------------------------------- time


def test_a_silent_peer_is_noticed_at_the_deadline() -> None:
    over = threading.Event()

    def script(raw: RawSocket) -> None:
        raw.pdu()
        assert isinstance(raw.said(), AAbort)
        over.set()

    limits = replace(Limits(), association_response=0.05, artim=1.0)
    with (
        scripted(script) as port,
        pytest.raises(AssociationLost) as lost,
        associate(HOST, port, contexts=CONTEXTS, limits=limits),
    ):
        raise AssertionError("there is no association")
    assert lost.value.outcome.timer is Timer.ASSOCIATION_RESPONSE
    assert over.is_set()


def test_an_idle_association_is_ended_by_the_server() -> None:
    limits = replace(Limits(), idle=0.05)
    with serve(HOST, 0, Keeps(), supports=CONTEXTS[:2], limits=limits) as server, connected(server.port) as raw:
        raw.request()
        assert isinstance(raw.said(), AAbort)


SHORT, LONG = 0.05, 3600.0


TWO = AsynchronousOperationsWindow(2, 1)


@pytest.mark.parametrize(
    "bounds", [(SHORT,), (LONG, SHORT), (SHORT, LONG), (LONG, SHORT, LONG), (SHORT, None), (LONG, SHORT, None, None)]
)
def test_of_several_bounds_the_nearest_counts_and_the_association_goes_on(bounds: tuple[float | None, ...]) -> None:
    def script(raw: RawSocket) -> None:
        raw.accept(acceptor(window=TWO))
        assert isinstance(raw.said(), CEchoRQ)
        assert isinstance(raw.said(), CEchoRQ)
        raw.send(echo_rsp(1), echo_rsp(2))
        raw.said()
        raw.send(RELEASE_RP)

    with scripted(script) as port, associate(HOST, port, contexts=CONTEXTS, window=TWO) as peer:
        with ExitStack() as stack:
            for seconds in bounds[:-1]:
                stack.enter_context(peer.within(seconds))
            with pytest.raises(TimeoutError, match="within the deadline"):
                peer.c_echo(deadline=bounds[-1])
        assert peer.outcome is None
        assert peer.c_echo() == 0, "no bound is left over"
    assert peer.outcome is not None
    assert peer.outcome.kind is OutcomeKind.RELEASED


def test_a_bound_that_has_passed_in_the_middle_of_a_data_set_aborts() -> None:
    def script(raw: RawSocket) -> None:
        raw.accept()
        assert isinstance(raw.said(), CStoreRQ)
        passed.wait(PATIENCE)
        while (pdu := raw.pdu())[0] == 4:
            pass
        assert pdu[0] == AAbort.PDU_TYPE
        raw.sock.shutdown(socket.SHUT_WR)

    passed = threading.Event()
    with scripted(script, receive_buffer=4096) as port, associate(HOST, port, contexts=CONTEXTS) as peer:
        with pytest.raises(TimeoutError):
            peer.c_store(instance(32 * MIB), deadline=SHORT)
        passed.set()
    assert peer.outcome is not None
    assert (peer.outcome.kind, peer.outcome.by) == (OutcomeKind.ABORTED, Side.LOCAL)


def test_what_is_given_up_and_not_answered_in_time_ends_the_association() -> None:
    def script(raw: RawSocket) -> None:
        raw.accept()
        assert isinstance(raw.said(), CEchoRQ)
        assert isinstance(raw.said(), AAbort)
        raw.sock.shutdown(socket.SHUT_WR)

    limits = replace(Limits(), cancel_drain=SHORT)
    with scripted(script) as port, associate(HOST, port, contexts=CONTEXTS, limits=limits) as peer:
        with pytest.raises(TimeoutError):
            peer.c_echo(deadline=0.0)
        with pytest.raises(AssociationLost) as lost:
            peer.c_echo()
    assert lost.value.outcome.timer is Timer.CANCEL_DRAIN


def test_requests_of_the_peer_are_not_hurried_by_who_waits_for_an_answer() -> None:
    """The handler reads a data set that comes late, in the wait of a call whose deadline passes meanwhile."""

    def script(raw: RawSocket) -> None:
        raw.accept()
        assert isinstance(raw.said(), CEchoRQ)
        raw.send(store_rq(9), data(3, b"some", is_last=False))
        assert began.wait(PATIENCE)
        threading.Event().wait(2 * deadline)  # which passes
        raw.send(data(3, b"rest"), echo_rsp(1))
        assert raw.said().status == 0
        raw.said()
        raw.send(RELEASE_RP)

    class Reads(Keeps):
        def c_store(self, store: Store) -> int:
            began.set()
            return super().c_store(store)

    began = threading.Event()
    deadline = 1.0  # long enough for the C-STORE to come before, on a busy machine too
    service = Reads()
    with scripted(script) as port, associate(HOST, port, contexts=CONTEXTS, service=service) as peer:
        assert peer.c_echo(deadline=deadline) == 0, "the answer was there when it was looked at again"
    assert service.got == [b"somerest"]


# ---------------------------------------------------------------- the connection


def pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server((HOST, 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        theirs, _ = listener.accept()
    return ours, theirs


def linked() -> tuple[Link, Session, socket.socket, socket.socket]:
    engine = Association(requestor(), now=time.monotonic())
    link = Link(engine)
    session = link.session = Session(engine, link)
    return link, session, *pair()


def test_options_are_set_and_it_never_blocks() -> None:
    link, _, ours, theirs = linked()
    with theirs:
        link.opened(ours)
        assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert ours.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert ours.gettimeout() == 0.0
        link.close()
        assert ours.fileno() == -1
        link.close()


def test_acknowledgements_go_at_once_in_the_middle_of_a_pdu(monkeypatch: pytest.MonkeyPatch) -> None:
    if tcp._QUICKACK is None:
        pytest.skip("this system has no TCP_QUICKACK")
    asked: list[int] = []
    setsockopt = socket.socket.setsockopt

    def noting(sock: socket.socket, level: int, option: int, value: Any) -> None:
        if option == tcp._QUICKACK:
            asked.append(value)
        setsockopt(sock, level, option, value)

    monkeypatch.setattr(socket.socket, "setsockopt", noting)
    with serve(HOST, 0, Keeps(), supports=CONTEXTS[:2]) as server, connected(server.port) as raw:
        raw.request()
        raw.send(echo_rq(1))
        raw.said()
        whole = len(asked)
        raw.send(echo_rq(2)[:12])
        deadline = time.monotonic() + PATIENCE
        while len(asked) == whole and time.monotonic() < deadline:
            threading.Event().wait(0.001)
        assert asked[whole:] == [1]
        raw.send(echo_rq(2)[12:])
        assert raw.said().message_id_being_responded_to == 2


def test_what_waits_on_a_connection_that_never_opened_is_told() -> None:
    engine = Association(requestor(), now=time.monotonic())
    link = Link(engine)
    link.session = Session(engine, link)
    with pytest.raises(RuntimeError, match="never opened"):
        link.drive(lambda: False)
    link.close()


def test_a_conversation_that_never_began_is_closed_with_the_link() -> None:
    ran: list[int] = []

    async def conversation() -> None:
        ran.append(1)

    link, _, ours, theirs = linked()
    with ours, theirs:
        jobs = [link.spawn(conversation()) for _ in range(2)]
        jobs[0].cancel()
        jobs[0].cancel()
        jobs[0].run()
        link.close()
        jobs[1].run()
    assert ran == []


def test_an_async_handler_may_await_its_conversation() -> None:
    class Service:
        async def c_store(self, store: Any) -> int:
            return 0 if await store.read() == b"data" else 0xC123

    with serve(HOST, 0, Service(), supports=CONTEXTS[:2]) as server, connected(server.port) as raw:
        raw.request()
        raw.send(store_rq(1), data(3, b"data"))
        assert raw.said().status == 0


def test_a_handler_that_awaits_a_loop_is_reported_and_its_request_answered() -> None:
    class Service:
        async def c_echo(self, echo: Any) -> None:
            await asyncio.sleep(0)

        def c_store(self, store: Store) -> int:
            return 0

    reports: list[tuple[BaseException, str]] = []
    with (
        serve(HOST, 0, Service(), supports=CONTEXTS[:2], report=lambda *told: reports.append(told)) as server,
        connected(server.port) as raw,
    ):
        raw.request()
        raw.send(echo_rq(1))
        assert raw.said().status == 0x0110
        raw.send(store_rq(2), data(3, b"data"))
        assert raw.said().status == 0
        raw.send(RELEASE_RQ)
        assert raw.said() == AReleaseRP()
    ((error, _),) = reports
    assert "event loop" in str(error)


def test_a_tap_sees_every_byte_of_both_sides_in_order() -> None:
    seen: dict[Side, bytearray] = {Side.LOCAL: bytearray(), Side.PEER: bytearray()}
    passed = bytearray()

    def script(raw: RawSocket) -> None:
        raw.accept()
        raw.pdu()
        raw.send(command(1, CEchoRSP(message_id_being_responded_to=1, affected_sop_class_uid="1.2", status=0)))
        passed.extend(raw.pdu())
        raw.send(RELEASE_RP)

    def tap(side: Side, piece: bytes | memoryview, now: float) -> None:
        assert now <= time.monotonic()
        seen[side] += piece

    with scripted(script) as port, associate(HOST, port, contexts=CONTEXTS, tap=tap) as peer:
        assert peer.c_echo() == 0
    assert peer.outcome is not None
    assert len(seen[Side.LOCAL]) == peer.outcome.bytes_sent
    assert len(seen[Side.PEER]) == peer.outcome.bytes_received
    assert seen[Side.LOCAL].endswith(passed)
    assert AssociationAccepted.__doc__


def test_a_refusal_is_heard_while_the_peer_still_takes_everything() -> None:
    """A peer that answers early and reads on: the rest of the data set is not sent (PS3.7 9.3.1.3)."""

    class Refuses:
        def c_store(self, store: Store) -> int:
            next(iter(store))
            return 0xA700

    sent = 0

    def count(so_far: int) -> None:
        nonlocal sent
        sent = so_far

    length = 64 << 20
    big = Instance(CT, "1.2.3", EXPLICIT_VR_LITTLE_ENDIAN, length, lambda: iter([bytes(1 << 18)] * (length >> 18)))
    with (
        serve("127.0.0.1", 0, Refuses(), supports=[CT]) as server,
        associate("127.0.0.1", server.port, contexts=[CT]) as peer,
    ):
        assert peer.c_store(big, progress=count) == 0xA700
    assert sent < length // 4


def test_who_asks_much_at_once_and_reads_late_is_answered_to_the_last() -> None:
    begun = threading.Event()
    running: list[int] = []
    most: set[int] = set()

    class Finds:
        def c_find(self, find: Any) -> Iterator[bytes]:
            running.append(find.request.message_id)
            most.add(len(running))
            if len(most) == MOST_NESTED:
                begun.set()
            yield bytes(MIB)
            running.remove(find.request.message_id)

    asked, window = 100, AsynchronousOperationsWindow(100, 1)
    with serve(HOST, 0, Finds(), supports=[FIND], window=window) as server, connected(server.port) as raw:
        raw.request(requestor(QUERY, window=window))
        raw.send(*map(find_rq, range(1, asked + 1)))
        assert begun.wait(PATIENCE)
        statuses: Counter[int] = Counter()
        while statuses[0] < asked:
            response = raw.said()
            statuses[response.status] += 1
            if response.has_data_set:
                assert len(raw.data_set()) == MIB
    assert statuses == {0: asked, 0xFF00: asked}
    assert max(most) == MOST_NESTED, "one in the wait of another, but not as deep as Python goes"


def test_a_thread_that_waits_where_another_does_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class Busy:
        def __getattr__(self, name: str) -> Any:
            return lambda *args: None

        def poll(self, timeout: object) -> Any:
            raise RuntimeError("concurrent poll() invocation")

    def script(raw: RawSocket) -> None:
        raw.accept()
        assert isinstance(raw.said(), CEchoRQ)
        raw.send(echo_rsp(1))
        assert raw.said() == AReleaseRQ()
        raw.send(RELEASE_RP)

    with scripted(script) as port, associate(HOST, port, contexts=CONTEXTS) as peer, monkeypatch.context() as patch:
        patch.setattr(peer._peer.session.link, "_poll", Busy())
        with pytest.raises(RuntimeError, match="another thread waits on this association"):
            peer.c_echo()
    assert peer.outcome is not None
    assert peer.outcome.clean
