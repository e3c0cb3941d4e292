"""Every client of ours with every server of ours, plain and over TLS: the same stories, the same ends.

Nothing here sleeps to wait: what must come about is waited for by events, conditions and ends of threads.
"""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from typing import Any, Final, NamedTuple

import pytest

from calling import CallBeside, Conversation, LeftBy
from raw_socket import nothing_leaks
from running import HOST, PATIENCE, TRANSPORTS, Running, running
from sansdimse import VERIFICATION, Limits, Outcome, OutcomeKind, PresentationContext, Side, State, Timer, WhenIdle
from sansdimse.admission import Budget, Refusal
from sansdimse.dataset import Instance
from sansdimse.peer.handlers import Failure
from sansdimse.peer.scu import Peer
from sansdimse.peer.session import AssociationLost
from sansdimse.peer.watch import AssociationEnded, Ending, Occurrence, OperationEnded
from sansdimse.services.sop_classes import CT_IMAGE_STORAGE, STUDY_ROOT_FIND
from sansdimse.testing.far_end import content, instance
from sansdimse.uids import IMPLICIT_VR_LITTLE_ENDIAN
from transports_under_test import tls_contexts

STORING: Final = PresentationContext(CT_IMAGE_STORAGE, (IMPLICIT_VR_LITTLE_ENDIAN,))
SUPPORTS: Final = [VERIFICATION, STORING, STUDY_ROOT_FIND]
PATIENT: Final = replace(Limits(), idle=None)
SOON: Final = 0.3
"""Seconds of a deadline that is to pass."""
MIB: Final = 1 << 20
MUCH: Final = content(16 * MIB)
"""More than the sockets and the inbox of a handler that does not read take together."""


class Client:
    """``associate`` that ran, or runs, and what its ``watch`` was told."""

    def __init__(self, pair: Pair, port: int, conversations: tuple[Conversation, ...], options: dict[str, Any]) -> None:
        self.occurrences: list[Occurrence] = []
        self.reports: list[BaseException] = []
        self._beside = CallBeside(pair.client, port, conversations, peer_of=Awaited)
        self.cancel = self._beside.cancel
        given: dict[str, Any] = {"contexts": SUPPORTS, "limits": PATIENT, **options}
        if pair.tls:
            given["tls"] = tls_contexts()[1]
        report = lambda error, where: self.reports.append(error)  # noqa: E731
        self._beside.start({"watch": self.occurrences.append, "report": report, **given})

    @property
    def results(self) -> list[Any]:
        """What each conversation gave, and ``associate`` itself at the end."""
        return list(self._beside.results())

    @property
    def outcome(self) -> Outcome:
        """How the association ended."""
        self._beside.results()
        (outcome,) = [each.statistics.outcome for each in self.occurrences if isinstance(each, AssociationEnded)]
        return outcome

    @property
    def endings(self) -> list[Ending]:
        """How the operations ended, in order."""
        return [each.outcome.ending for each in self.occurrences if isinstance(each, OperationEnded)]


class Awaited:
    """A blocking ``Peer`` for conversations that await."""

    def __init__(self, peer: Any) -> None:
        self._peer = peer

    async def c_echo(self, **options: Any) -> Any:
        return self._peer.c_echo(**options)

    async def c_store(self, *arguments: Any, **options: Any) -> Any:
        return self._peer.c_store(*arguments, **options)

    async def abort(self) -> Any:
        return self._peer.abort()


class Pair(NamedTuple):
    """Who talks to whom."""

    client: str
    server: str
    tls: bool

    @contextmanager
    def serving(self, service: object, **options: Any) -> Iterator[Running]:
        """The server, with nothing left behind of it and its clients."""
        if self.tls:
            options["tls"] = tls_contexts()[0]
        given = {"supports": SUPPORTS, "limits": PATIENT, **options}
        with nothing_leaks(), running(self.server, service, **given) as server:
            yield server

    def call(self, server: Running | Relay, *conversations: Conversation, **options: Any) -> Client:
        """A client, in a thread of its own."""
        return Client(self, server.port, conversations, options)


PAIRS: Final = [Pair(client, server, tls) for tls in (False, True) for client in TRANSPORTS for server in TRANSPORTS]


@pytest.fixture(params=PAIRS, ids=lambda pair: f"{pair.client}-{pair.server}{'-TLS' if pair.tls else ''}")
def pair(request: pytest.FixtureRequest) -> Any:
    return request.param


class Archive:
    """Its handlers are held up as long as the test wants."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.gate = threading.Event()
        self.told = threading.Event()
        self.stored: list[bytes] = []
        self.lost: list[Outcome] = []

    def hold(self) -> None:
        """Say that a handler has begun, and wait."""
        self.begun.set()
        assert self.gate.wait(PATIENCE)

    def c_echo(self, echo: Any) -> None:
        self.hold()

    def c_store(self, store: Any) -> int:
        self.hold()
        try:
            self.stored.append(store.read())
        except AssociationLost as lost:
            self.lost.append(lost.outcome)
            self.told.set()
            raise
        return 0

    def c_find(self, find: Any) -> Iterator[bytes]:
        self.begun.set()
        while not find.cancelled:
            yield b"1234"


class Open(Archive):
    """The same, never held up."""

    def hold(self) -> None:
        self.begun.set()


async def echo(peer: Peer) -> int:
    return await peer.c_echo()


async def store(peer: Peer) -> int:
    return await peer.c_store(instance(content(5000)))


async def nothing(peer: Peer) -> None:
    """The association is opened and released."""


def ended(server: Running, number: int = 1) -> Outcome:
    """How the last of so many associations ended, for the server."""
    server.until(lambda: len(server.ended) == number)
    return server.ended[-1].outcome


# ---------------------------------------------------------------- all goes well


def test_echo(pair: Pair) -> None:
    with pair.serving(Open()) as server:
        client = pair.call(server, echo, echo)
        assert client.results == [0, 0, None]
        ours, theirs = client.outcome, ended(server)
        assert (ours.kind, ours.by, theirs.kind, theirs.by) == (
            OutcomeKind.RELEASED,
            Side.LOCAL,
            OutcomeKind.RELEASED,
            Side.PEER,
        )
        assert (ours.bytes_sent, ours.bytes_received) == (theirs.bytes_received, theirs.bytes_sent)
        assert (
            (ours.messages_sent, ours.messages_received) == (theirs.messages_received, theirs.messages_sent) == (2, 2)
        )
        assert client.endings == [each.ending for each in server.operations] == [Ending.ANSWERED] * 2
        assert not client.reports
        assert not server.reports


class Streamed:
    """Takes a data set piece by piece; a ``def``."""

    def __init__(self) -> None:
        self.first = threading.Event()
        self.data = bytearray()

    def c_store(self, store: Any) -> int:
        for piece in store:
            self.data += piece
            self.first.set()
        return 0


class AsyncStreamed(Streamed):
    """The same as an ``async def``."""

    async def c_store(self, store: Any) -> int:  # type: ignore[override]
        async for piece in store:
            self.data += piece
            self.first.set()
        return 0


@pytest.mark.parametrize("service", [Streamed, AsyncStreamed])
def test_store_is_streamed(pair: Pair, service: type[Streamed]) -> None:
    """The last piece is given only when the first has reached the handler."""
    handler = service()
    data = content(5 * MIB)

    def pieces() -> Iterator[bytes]:
        yield data[:MIB]
        assert handler.first.wait(PATIENCE)
        yield data[MIB:]

    streamed = Instance(CT_IMAGE_STORAGE, "1.2.3", IMPLICIT_VR_LITTLE_ENDIAN, len(data), pieces)

    async def store_it(peer: Peer) -> int:
        return await peer.c_store(streamed)

    with pair.serving(handler, supports=[STORING]) as server:
        client = pair.call(server, store_it, contexts=[STORING])
        assert client.results == [0, None]
        assert handler.data == data
        assert ended(server).kind is OutcomeKind.RELEASED


# ---------------------------------------------------------------- cancellation


def test_a_request_given_up_leaves_the_association_usable(pair: Pair) -> None:
    """The awaiting task is cancelled; who blocks has a deadline."""
    service = Archive()

    async def given_up(peer: Any) -> int:
        options = {"deadline": SOON} if pair.client == "socket" else {}
        try:
            return await peer.c_echo(**options)  # type: ignore[no-any-return]
        finally:
            assert service.begun.wait(PATIENCE)
            service.gate.set()

    with pair.serving(service) as server:
        client = pair.call(server, given_up, echo)
        if pair.client != "socket":
            assert service.begun.wait(PATIENCE)
            client.cancel()
        first, *rest = client.results
        assert isinstance(first, BaseException)
        assert rest == [0, None]
        assert client.endings == [Ending.DRAINED, Ending.ANSWERED]
        assert ended(server).kind is OutcomeKind.RELEASED


def test_a_query_left_early_is_cancelled(pair: Pair) -> None:
    service = Open()

    async def find(peer: Any) -> list[bytes]:
        found: list[bytes] = []
        if isinstance(peer, Awaited):
            with peer._peer.c_find(STUDY_ROOT_FIND, b"query.") as matches:
                for match in matches:
                    found.append(match)
                    if len(found) == 3:
                        break
        else:
            async with peer.c_find(STUDY_ROOT_FIND, b"query.") as matches:
                async for match in matches:
                    found.append(match)
                    if len(found) == 3:
                        break
        return found

    with pair.serving(service) as server:
        client = pair.call(server, find, echo)
        assert client.results == [[b"1234"] * 3, 0, None]
        assert client.endings == [Ending.DRAINED, Ending.ANSWERED]
        assert [each.ending for each in server.operations] == [Ending.CANCELLED, Ending.ANSWERED]
        assert ended(server).kind is OutcomeKind.RELEASED
        assert not server.reports


def test_a_data_set_given_up_ends_in_an_abort(pair: Pair) -> None:
    """There is no other way in the middle of a data set (PS3.7 9.3.1.3)."""
    service = Archive()

    async def given_up(peer: Any) -> int:
        options = {"deadline": SOON} if pair.client == "socket" else {}
        try:
            return await peer.c_store(instance(MUCH), **options)  # type: ignore[no-any-return]
        finally:
            service.gate.set()

    with pair.serving(service) as server:
        client = pair.call(server, given_up, echo)
        if pair.client != "socket":
            assert service.begun.wait(PATIENCE)
            client.cancel()
        first, second, last = client.results
        assert isinstance(first, BaseException)
        assert isinstance(second, AssociationLost)
        assert last is None
        assert (client.outcome.kind, client.outcome.by) == (OutcomeKind.ABORTED, Side.LOCAL)
        outcome = ended(server)
        assert (outcome.kind, outcome.by, outcome.outstanding) == (OutcomeKind.ABORTED, Side.PEER, 1)
        assert service.told.wait(PATIENCE)
        assert service.lost[0].kind is OutcomeKind.ABORTED


# ---------------------------------------------------------------- aborts


def test_the_client_aborts(pair: Pair) -> None:
    async def abort(peer: Peer) -> Outcome:
        return await peer.abort()

    with pair.serving(Open()) as server:
        client = pair.call(server, abort, echo)
        outcome, lost, last = client.results
        assert (outcome.kind, outcome.by, last) == (OutcomeKind.ABORTED, Side.LOCAL, None)
        assert isinstance(lost, AssociationLost)
        theirs = ended(server)
        assert (theirs.kind, theirs.by, theirs.source) == (OutcomeKind.ABORTED, Side.PEER, 0)


def test_a_source_that_fails_in_the_middle_aborts(pair: Pair) -> None:
    service = Open()

    def pieces() -> Iterator[bytes]:
        yield content(MIB)
        raise OSError("the disk is gone")

    failing = Instance(CT_IMAGE_STORAGE, "1.2.3", IMPLICIT_VR_LITTLE_ENDIAN, 2 * MIB, pieces)

    async def store_it(peer: Peer) -> int:
        return await peer.c_store(failing)

    with pair.serving(service) as server:
        client = pair.call(server, store_it)
        error, last = client.results
        assert isinstance(error, OSError)
        assert str(error) == "the disk is gone"
        assert last is None
        theirs = ended(server)
        assert (theirs.kind, theirs.by) == (OutcomeKind.ABORTED, Side.PEER)
    assert service.stored == []


def test_a_conversation_that_raises_aborts_and_raises_that(pair: Pair) -> None:
    """Leaving ``associate`` by an exception aborts it."""
    error = LeftBy("nobody foresaw this")

    async def raise_it(peer: Peer) -> None:
        raise error

    with pair.serving(Open()) as server:
        client = pair.call(server, raise_it)
        assert client.results == [error]
        theirs = ended(server)
        assert (theirs.kind, theirs.by) == (OutcomeKind.ABORTED, Side.PEER)


class Aborts:
    """Aborts from inside a handler; a ``def``."""

    def c_store(self, store: Any) -> int:
        store.abort()
        return 0


class AsyncAborts:
    """The same as an ``async def``."""

    async def c_store(self, store: Any) -> int:
        store.abort()
        return 0


@pytest.mark.parametrize("service", [Aborts, AsyncAborts])
def test_the_server_aborts(pair: Pair, service: Callable[[], object]) -> None:
    with pair.serving(service(), supports=SUPPORTS[:2]) as server:
        client = pair.call(server, store, echo)
        *lost, last = client.results
        assert [type(each) for each in lost] == [AssociationLost] * 2
        assert last is None
        assert (client.outcome.kind, client.outcome.by) == (OutcomeKind.ABORTED, Side.PEER)
        theirs = ended(server)
        assert (theirs.kind, theirs.by) == (OutcomeKind.ABORTED, Side.LOCAL)
        assert not server.reports


# ---------------------------------------------------------------- release collision


class Relay:
    """Between a client and a server; it can hold back what both say until both have said something."""

    def __init__(self, to: int) -> None:
        self._to = to
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        self.holding = threading.Event()
        self.crossed = False
        self._thread = threading.Thread(target=self._run, name="relay")
        self._thread.start()

    def close(self) -> None:
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        with closing(self._listener):
            client, _ = self._listener.accept()
        with client, socket.create_connection((HOST, self._to)) as server, suppress(ConnectionError):
            other = {client: server, server: client}
            held: dict[socket.socket, bytes] = {}
            while ready := select.select(list(other), [], [], PATIENCE)[0]:
                for sock in ready:
                    if not (data := sock.recv(1 << 16)):
                        return
                    held[sock] = held.get(sock, b"") + data
                if self.holding.is_set() and not self.crossed:
                    self.crossed = len(held) == 2
                    if not self.crossed:
                        continue
                for sock, said in held.items():
                    other[sock].sendall(said)
                held.clear()


def test_releases_collide(pair: Pair) -> None:
    """The client has done, and the server finds it idle, at the same time: both ask, both answer (PS3.8 7.2.2.7)."""
    with (
        pair.serving(Open(), limits=replace(PATIENT, idle=SOON), when_idle=WhenIdle.RELEASE) as server,
        closing(Relay(server.port)) as relay,
    ):

        async def echo_and_hold(peer: Peer) -> int:
            answer = await peer.c_echo()
            relay.holding.set()  # nothing is under way now
            return answer

        client = pair.call(relay, echo_and_hold)
        assert client.results == [0, None]
        theirs = ended(server)
        assert client.outcome.kind is theirs.kind is OutcomeKind.RELEASED
        assert relay.crossed
        assert client.outcome.state in (State.STA9, State.STA11)
        assert theirs.state in (State.STA10, State.STA12)


# ---------------------------------------------------------------- rejection


def rejected(client: Client) -> tuple[int | None, int | None, int | None]:
    """The three numbers of the A-ASSOCIATE-RJ that ``associate`` raised with."""
    (lost,) = client.results
    assert isinstance(lost, AssociationLost)
    assert (lost.outcome.kind, lost.outcome.by) == (OutcomeKind.REJECTED, Side.PEER)
    return lost.outcome.result, lost.outcome.source, lost.outcome.reason


def test_another_called_title_is_rejected(pair: Pair) -> None:
    with pair.serving(Open(), ae_title="ARCHIVE", require_called=True) as server:
        assert rejected(pair.call(server, echo, called="ANOTHER")) == (1, 1, 7)
        assert ended(server).kind is OutcomeKind.REJECTED
        assert pair.call(server, echo, called="ARCHIVE").results == [0, None]


def test_one_association_too_many_is_rejected(pair: Pair) -> None:
    service = Archive()
    with pair.serving(service, budget=Budget(associations=1)) as server:
        first = pair.call(server, echo)
        assert service.begun.wait(PATIENCE)
        assert rejected(pair.call(server, echo)) == (2, 3, 2)
        service.gate.set()
        assert first.results == [0, None]
        ended(server, 2)
        assert pair.call(server, echo).results == [0, None]


def refuses(applicant: Any) -> Refusal | bool:
    return applicant.calling_ae_title != "STRANGER" or Refusal(1, 1, 3)


async def refuses_async(applicant: Any) -> Refusal | bool:
    return refuses(applicant)


@pytest.mark.parametrize("access", [refuses, refuses_async])
def test_who_has_no_access_is_rejected(pair: Pair, access: Any) -> None:
    with pair.serving(Open(), access=access) as server:
        assert rejected(pair.call(server, echo, calling="STRANGER")) == (1, 1, 3)
        assert pair.call(server, echo, calling="FRIEND").results == [0, None]


# ---------------------------------------------------------------- timeouts


def test_a_server_that_never_answers_a_request(pair: Pair) -> None:
    service = Archive()
    with pair.serving(service) as server:
        client = pair.call(server, echo, limits=replace(PATIENT, dimse_response=SOON, artim=SOON))
        lost, last = client.results
        assert isinstance(lost, AssociationLost)
        assert last is None
        assert client.outcome.timer is Timer.DIMSE_RESPONSE
        service.gate.set()
        theirs = ended(server)
        assert theirs.by is Side.PEER
        assert theirs.kind is OutcomeKind.ABORTED


def test_a_server_that_never_answers_the_proposal(pair: Pair) -> None:
    service = Archive()

    def access(applicant: Any) -> bool:
        service.hold()
        return True

    with pair.serving(service, access=access) as server:
        client = pair.call(server, echo, limits=replace(PATIENT, association_response=SOON, artim=SOON))
        (lost,) = client.results
        assert isinstance(lost, AssociationLost)
        assert lost.outcome.timer is Timer.ASSOCIATION_RESPONSE
        service.gate.set()
        theirs = ended(server)
        assert theirs.by is Side.PEER
        assert theirs.kind is OutcomeKind.ABORTED


def test_a_client_that_is_idle_too_long(pair: Pair) -> None:
    """The source keeps the conversation waiting for something else than the peer; nothing is sent before."""
    over = threading.Event()

    def pieces() -> Iterator[bytes]:
        assert over.wait(PATIENCE)
        yield content(1000)

    slow = Instance(CT_IMAGE_STORAGE, "1.2.3", IMPLICIT_VR_LITTLE_ENDIAN, 1000, pieces)

    async def store_it(peer: Peer) -> int:
        return await peer.c_store(slow)

    with pair.serving(Open(), limits=replace(PATIENT, idle=SOON, artim=SOON)) as server:
        client = pair.call(server, store_it)
        theirs = ended(server)
        assert theirs.timer is Timer.IDLE
        over.set()
        lost, last = client.results
        assert isinstance(lost, AssociationLost)
        assert last is None
        assert (client.outcome.kind, client.outcome.by) == (OutcomeKind.ABORTED, Side.PEER)


# ---------------------------------------------------------------- errors of handlers


class Fails:
    """Fails as it is told; a ``def``."""

    def __init__(self, how: Callable[[], object]) -> None:
        self.how = how

    def c_store(self, store: Any) -> Any:
        return self.how()


class AsyncFails(Fails):
    """The same as an ``async def``."""

    async def c_store(self, store: Any) -> Any:
        await store.read()
        return self.how()


def raises() -> object:
    raise ZeroDivisionError("nobody foresaw this")


def fails() -> object:
    raise Failure(0xA700, "the disk is full")


def returns_nonsense() -> object:
    return "fine"


@pytest.mark.parametrize("service", [Fails, AsyncFails])
@pytest.mark.parametrize(
    ("how", "status", "comment", "reported"),
    [
        (raises, 0xC211, None, [ZeroDivisionError]),
        (fails, 0xA700, "the disk is full", []),
        (returns_nonsense, 0xC002, None, [TypeError]),
    ],
)
def test_a_handler_that_fails_is_a_status_and_the_association_goes_on(
    pair: Pair, service: Any, how: Callable[[], object], status: int, comment: str | None, reported: list[type]
) -> None:
    async def store_answer(peer: Peer) -> Any:
        return await peer.c_store(instance(content(5000)))

    with pair.serving(service(how), supports=SUPPORTS[:2]) as server:
        client = pair.call(server, store_answer, echo)
        answer, after, last = client.results
        assert (answer, answer.response.error_comment, after, last) == (status, comment, 0, None)
        assert ended(server).kind is OutcomeKind.RELEASED
        assert [type(error) for error, _ in server.reports] == reported
