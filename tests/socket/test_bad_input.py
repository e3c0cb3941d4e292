"""Bad input over real sockets, each with its standard answer and none with a hang, a dead thread or a traceback.

Every test of the server ends with the same questions: are its threads and descriptors what they were, is a good
client served, was nothing reported, is no file half done?
"""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from archive import HOST, Archive, Running, archive, until
from sansdimse import (
    NEED_DATA,
    SUCCESS,
    VERIFICATION,
    Association,
    AssociationRequested,
    AsynchronousOperationsWindow,
    Code,
    Limits,
    LocalProtocolError,
    OutcomeKind,
    PresentationContext,
    Requestor,
    Side,
    State,
    TimedOut,
    Timer,
)
from sansdimse.admission import Budget
from sansdimse.dataset import Instance
from sansdimse.dimse.command import decode_command, encode_command
from sansdimse.dimse.messages import NO_DATA_SET, CEchoRQ, CEchoRSP, CStoreRQ, CStoreRSP, Element, UnknownCommand
from sansdimse.ul.negotiation import answer, propose
from sansdimse.ul.parties import Acceptor
from sansdimse.ul.pdu import AAssociateAC, AAssociateRQ, decode_pdu
from sansdimse_socket import AssociationLost, Echo, Failure, Peer, Store, associate

CT: Final = "1.2.840.10008.5.1.4.1.1.2"
IMPLICIT: Final = "1.2.840.10008.1.2"
EXPLICIT: Final = "1.2.840.10008.1.2.1"

BRIEF: Final = replace(
    Limits(),
    connect=0.5,
    artim=0.3,
    association_response=0.3,
    local_answer=2.0,
    dimse_response=0.4,
    pdu_completion=0.3,
    message_completion=0.3,
    output_stall=0.4,
    release=0.3,
)

USER_ABORT: Final = bytes.fromhex("0700 00000004 0000 00 00")
RELEASE_RQ: Final = bytes.fromhex("0500 00000004 00000000")
RELEASE_RP: Final = bytes.fromhex("0600 00000004 00000000")


def provider_abort(reason: int) -> bytes:
    """PS3.8 9.3.8, source 2."""
    return bytes.fromhex("0700 00000004 0000 02") + bytes([reason])


def rejection(result: int, source: int, reason: int) -> bytes:
    """PS3.8 9.3.4."""
    return bytes.fromhex("0300 00000004 00") + bytes([result, source, reason])


def proposal(*contexts: PresentationContext | str, **options: Any) -> bytes:
    return propose(Requestor("BAD", "SANSDIMSE", contexts or [VERIFICATION, CT], **options)).encode()


def pdu(pdu_type: int, body: bytes, length: int | None = None) -> bytes:
    return struct.pack(">BBI", pdu_type, 0, len(body) if length is None else length) + body


def pdv(context_id: int, control: int, data: bytes, length: int | None = None) -> bytes:
    """A P-DATA-TF with one PDV; ``length`` is what the PDV claims."""
    return pdu(4, struct.pack(">IBB", len(data) + 2 if length is None else length, context_id, control) + data)


def command(message: Any, context_id: int = 1) -> bytes:
    return pdv(context_id, 3, encode_command(message))


def data(piece: bytes, *, last: bool = True, context_id: int = 3) -> bytes:
    return pdv(context_id, 2 if last else 0, piece)


def echo_rq(message_id: int = 1) -> CEchoRQ:
    return CEchoRQ(message_id=message_id, affected_sop_class_uid=VERIFICATION)


def store_rq(message_id: int = 1, uid: str = "1.2.3") -> CStoreRQ:
    return CStoreRQ(message_id=message_id, affected_sop_class_uid=CT, affected_sop_instance_uid=uid)


def store_with_uid(raw: bytes) -> UnknownCommand:
    """C-STORE 7, element by element, with an instance UID that nobody would encode."""
    elements = {0x0002: CT.encode() + b"\0", 0x0700: b"\0\0", 0x0800: b"\1\0", 0x1000: raw}
    return UnknownCommand(1, 7, tuple(Element(tag, value) for tag, value in elements.items()))


DATA_SET: Final = bytes.fromhex("0800 6000 02000000") + b"CT"
EXPLICIT_CT: Final = bytes.fromhex("0800 6000") + b"CS" + b"\2\0" + b"CT"


class Raw:
    """A peer made of bytes."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        sock.settimeout(20)

    @classmethod
    def to(cls, running: Running) -> Raw:
        return cls(socket.create_connection((HOST, running.server.port)))

    def send(self, *parts: bytes) -> None:
        self.sock.sendall(b"".join(parts))

    def exactly(self, size: int) -> bytes:
        received = b""
        while len(received) < size and (chunk := self.sock.recv(size - len(received))):
            received += chunk
        return received

    def pdu(self) -> bytes:
        """The next PDU, or what there is of it."""
        header = self.exactly(6)
        return header + self.exactly(int.from_bytes(header[2:], "big") if len(header) == 6 else 0)

    def rest(self) -> bytes:
        """All until the other end closes."""
        received = b""
        while chunk := self.sock.recv(65536):
            received += chunk
        return received

    def associate(self, rq: bytes | None = None) -> AAssociateAC:
        self.send(proposal() if rq is None else rq)
        received = self.pdu()
        decoded = decode_pdu(received[0], received[6:])
        assert isinstance(decoded, AAssociateAC)
        return decoded

    def response(self) -> Any:
        """The next P-DATA-TF as the response that it is."""
        received = self.pdu()
        assert received[0] == 4, received.hex(" ")
        return decode_command(received[12:]).message

    def echo(self, message_id: int = 99) -> None:
        self.send(command(echo_rq(message_id)))
        response = self.response()
        assert (response.message_id_being_responded_to, response.status) == (message_id, SUCCESS)

    def release(self) -> None:
        self.send(RELEASE_RQ)
        assert self.pdu() == RELEASE_RP
        self.close()

    def reset(self) -> None:
        """Close with RST instead of FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self) -> None:
        self.sock.close()

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def resources() -> tuple[int, int]:
    return threading.active_count(), len(os.listdir("/proc/self/fd"))


def back_at(before: tuple[int, int]) -> bool:
    """Nothing more than there was. Less may be: what tests before this one left idle goes when it likes."""
    return all(now <= was for now, was in zip(resources(), before, strict=True))


@contextmanager
def unshaken(folder: Path, service: object | None = None, **options: Any) -> Iterator[Running]:
    """A server that is as it was when the test is done with it."""
    before_all = resources()
    with archive(folder, service, **{"limits": BRIEF, **options}) as running:
        before = resources()
        yield running
        until(lambda: back_at(before), f"threads and descriptors back at {before}")
        with associate(HOST, running.server.port, contexts=[VERIFICATION]) as peer:
            assert peer.c_echo() == SUCCESS
        until(lambda: back_at(before), f"threads and descriptors back at {before}")
        assert running.server.associations == 0
    until(lambda: back_at(before_all), f"threads and descriptors back at {before_all}")


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    with unshaken(tmp_path / "stored") as running:
        yield running
        assert running.files() == []


# ---------------------------------------------------------------- before the association (Sta2)


def item(item_type: int, content: bytes, length: int | None = None) -> bytes:
    return struct.pack(">BBH", item_type, 0, len(content) if length is None else length) + content


FIXED_FIELDS: Final = proposal()[6:74]

NOT_A_REQUEST: Final = {
    "http": b"GET / HTTP/1.1\r\nHost: pacs\r\n\r\n",
    "tls hello": bytes.fromhex("160301 00c8 010000c4 0303") + bytes(190),
    "hl7": b"\x0bMSH|^~\\&|A|B\r\x1c\r",
    "zeros": bytes(64),
    "request of 4 GiB": bytes.fromhex("0100 ffffffff"),
    "request above the limit": struct.pack(">BBI", 1, 0, BRIEF.associate_pdu + 1),
    "data of 4 GiB": bytes.fromhex("0400 ffffffff"),
    "data": command(echo_rq()),
    "release": RELEASE_RQ,
    "release response": RELEASE_RP,
    "acceptance": pdu(2, proposal()[6:]),
    "fixed fields cut short": pdu(1, FIXED_FIELDS[:40]),
    "item longer than its PDU": pdu(1, FIXED_FIELDS + item(0x10, b"1.2.840.10008.3.1.1.1", 500)),
    "sub-item longer than its item": pdu(
        1, FIXED_FIELDS + item(0x10, b"1.2.840.10008.3.1.1.1") + item(0x20, b"\1\0\0\0" + item(0x30, b"1.2", 90))
    ),
    "user information that lies": pdu(1, FIXED_FIELDS + item(0x50, item(0x51, b"\0\0\x40\0", 4000))),
}


@pytest.mark.parametrize("name", NOT_A_REQUEST)
def test_what_is_no_request_is_aborted_as_by_the_user(running: Running, name: str) -> None:
    with Raw.to(running) as raw:
        raw.send(NOT_A_REQUEST[name])
        assert raw.rest() == USER_ABORT  # AA-1; then ARTIM closes, since this peer does not
    ended, outcome = running.end()
    assert (outcome.kind, outcome.by, outcome.state) == (OutcomeKind.ABORTED, Side.LOCAL, State.STA2)
    assert outcome.cause is not None
    assert ended.calling_ae_title == ended.called_ae_title == ""


@pytest.mark.parametrize("sent", [b"", b"\1\0\0", proposal()[:-1]], ids=["nothing", "3 bytes", "half a request"])
def test_who_falls_silent_before_a_request_is_closed_by_artim(running: Running, sent: bytes) -> None:
    with Raw.to(running) as raw:
        raw.send(sent)
        assert raw.rest() == b""  # AA-2
    _, outcome = running.end()
    assert (outcome.kind, outcome.timer) == (OutcomeKind.TIMED_OUT, Timer.ARTIM)


@pytest.mark.parametrize("leave", [Raw.close, Raw.reset], ids=["closes", "resets"])
@pytest.mark.parametrize("sent", [b"", b"\1\0\0", proposal()[:-1]], ids=["nothing", "3 bytes", "half a request"])
def test_who_leaves_before_a_request_leaves_nothing(
    running: Running, sent: bytes, leave: Callable[[Raw], None]
) -> None:
    raw = Raw.to(running)
    raw.send(sent)
    leave(raw)
    _, outcome = running.end()
    assert outcome.kind is OutcomeKind.CLOSED


def test_an_abort_before_the_request_closes(running: Running) -> None:
    with Raw.to(running) as raw:
        raw.send(USER_ABORT)
        assert raw.rest() == b""  # AA-2
    _, outcome = running.end()
    assert (outcome.kind, outcome.by) == (OutcomeKind.ABORTED, Side.PEER)


# ---------------------------------------------------------------- the proposal


def request_with(*contexts: bytes) -> bytes:
    user = item(0x50, item(0x51, b"\0\0\x40\0") + item(0x52, b"1.2.3"))
    return pdu(1, FIXED_FIELDS + item(0x10, b"1.2.840.10008.3.1.1.1") + b"".join(contexts) + user)


def context(context_id: int, abstract: str | None = VERIFICATION, *transfer: str) -> bytes:
    items = item(0x30, abstract.encode()) if abstract is not None else b""
    return item(0x20, bytes([context_id, 0, 0, 0]) + items + b"".join(item(0x40, uid.encode()) for uid in transfer))


GOOD: Final = context(1, VERIFICATION, IMPLICIT)


@pytest.mark.parametrize(
    ("odd", "results", "code"),
    [
        (context(2, CT, IMPLICIT), [(1, 0), (2, 0)], Code.CONTEXT_ID_EVEN),
        (context(0, CT, IMPLICIT), [(1, 0), (0, 2)], Code.CONTEXT_ID_ZERO),
        (context(1, CT, EXPLICIT), [(1, 0)], Code.CONTEXT_ID_REPEATED),
        (context(3, CT), [(1, 0), (3, 4)], Code.CONTEXT_WITHOUT_TRANSFER_SYNTAX),
        (context(3, None, IMPLICIT), [(1, 0), (3, 3)], Code.CONTEXT_WITHOUT_ABSTRACT_SYNTAX),
    ],
    ids=["even", "zero", "duplicate", "no transfer syntax", "no abstract syntax"],
)
def test_an_odd_context_is_judged_by_itself(
    running: Running, odd: bytes, results: list[tuple[int, int]], code: Code
) -> None:
    with Raw.to(running) as raw:
        accepted = raw.associate(request_with(GOOD, odd))
        assert [(each.context_id, each.result) for each in accepted.presentation_contexts] == results
        raw.echo()
        raw.release()
    ended, outcome = running.end()
    assert outcome.kind is OutcomeKind.RELEASED
    assert code in {deviation.code for deviation in ended.deviations}


@pytest.mark.parametrize(
    ("request_pdu", "answered"),
    [
        (request_with(), rejection(1, 1, 1)),
        (request_with(context(0, VERIFICATION, IMPLICIT), context(3, VERIFICATION)), rejection(1, 1, 1)),
        (request_with(GOOD).replace(b"1.2.840.10008.3.1.1.1", b"1.2.840.10008.3.1.1.9"), rejection(1, 1, 2)),
        (proposal(maximum_length=8).replace(b"\x51\0\0\4\0\0\0\x08", b"\x51\0\0\4\0\0\0\x04"), rejection(1, 1, 1)),
        (b"\1\0" + request_with(GOOD)[2:6] + b"\0\2" + request_with(GOOD)[8:], rejection(1, 2, 2)),
    ],
    ids=["no context", "only malformed contexts", "application context", "maximum length 4", "protocol version 2"],
)
def test_a_proposal_that_cannot_be_accepted_is_rejected(running: Running, request_pdu: bytes, answered: bytes) -> None:
    with Raw.to(running) as raw:
        raw.send(request_pdu)
        assert raw.rest() == answered  # AE-6 or AE-8; then ARTIM closes
    _, outcome = running.end()
    assert (outcome.kind, outcome.by) == (OutcomeKind.REJECTED, Side.LOCAL)


# ---------------------------------------------------------------- on the association (Sta6)

AGAINST_THE_PROTOCOL: Final = {
    "a second request": (proposal(), provider_abort(2)),
    "an acceptance": (pdu(2, proposal()[6:]), provider_abort(2)),
    "a rejection": (rejection(1, 1, 1), provider_abort(2)),
    "a release response": (RELEASE_RP, provider_abort(2)),
    "an unknown PDU": (pdu(9, b"\0\0\0\0"), provider_abort(1)),
    "HTTP": (b"GET / HTTP/1.1\r\n\r\n", provider_abort(1)),
    "data of 4 GiB": (bytes.fromhex("0400 ffffffff"), provider_abort(6)),
    "a P-DATA-TF without PDV": (pdu(4, b""), provider_abort(6)),
    "a PDV longer than its PDU": (pdv(1, 3, b"abcd", 1000), provider_abort(6)),
    "a PDV of length 0": (pdv(1, 3, b"abcd", 0), provider_abort(6)),
    "a context that was not accepted": (pdv(7, 3, encode_command(echo_rq())), provider_abort(6)),
    "a data set before its command": (data(DATA_SET), USER_ABORT),
    "a data set nobody announced": (command(echo_rq()) + data(DATA_SET, context_id=1), USER_ABORT),
    "a command that is none": (pdv(1, 3, b"\xff" * 40), USER_ABORT),
    "a command in the middle of a data set": (
        command(store_rq(), 3) + data(DATA_SET, last=False) + command(echo_rq(2)),
        USER_ABORT,
    ),
    "a data set on another context": (command(store_rq(), 3) + data(DATA_SET, context_id=1), USER_ABORT),
}


@pytest.mark.parametrize("name", AGAINST_THE_PROTOCOL)
def test_what_breaks_the_protocol_is_aborted(running: Running, name: str) -> None:
    sent, answered = AGAINST_THE_PROTOCOL[name]
    with Raw.to(running) as raw:
        raw.associate()
        raw.send(sent)
        assert raw.rest()[-10:] == answered
    _, outcome = running.end()
    assert (outcome.kind, outcome.by) == (OutcomeKind.ABORTED, Side.LOCAL)
    assert outcome.cause is not None


@pytest.mark.parametrize(
    ("sent", "timer"),
    [
        (command(echo_rq())[:-1], Timer.PDU_COMPLETION),
        (b"\4\0\0", Timer.PDU_COMPLETION),
        (proposal()[:100], Timer.PDU_COMPLETION),
        (pdv(1, 1, encode_command(echo_rq())), Timer.MESSAGE_COMPLETION),
        (command(store_rq(), 3), Timer.MESSAGE_COMPLETION),
        (command(store_rq(), 3) + data(DATA_SET, last=False), Timer.MESSAGE_COMPLETION),
    ],
    ids=["half a PDU", "half a header", "half a request", "half a command", "no data set", "half a data set"],
)
def test_who_falls_silent_in_the_middle_is_aborted_when_the_deadline_passes(
    running: Running, sent: bytes, timer: Timer
) -> None:
    with Raw.to(running) as raw:
        raw.associate()
        raw.send(sent)
        assert raw.rest() == USER_ABORT
    _, outcome = running.end()
    assert (outcome.kind, outcome.timer) == (OutcomeKind.TIMED_OUT, timer)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (command(echo_rq())[:-1], command(echo_rq())[-1:]),
        (command(echo_rq())[:-1], command(echo_rq())[-1:] + command(echo_rq(2))[:-1]),
        (command(store_rq(), 3), data(DATA_SET)),
        (command(store_rq(), 3), data(DATA_SET, last=False)),
    ],
    ids=["the rest of a PDU", "the rest of a PDU and half another", "a data set", "the first fragment"],
)
def test_what_is_told_at_the_deadline_came_in_time(first: bytes, second: bytes) -> None:
    engine = Association(Acceptor("SANSDIMSE", [VERIFICATION, CT], limits=BRIEF), now=0.0)
    engine.transport_opened(0.0)
    engine.receive_data(proposal(), 0.0)
    assert isinstance(engine.next_event(), AssociationRequested)
    engine.accept()
    engine.data_to_send(0.0)
    engine.data_to_send(0.0)
    engine.receive_data(first, 1.0)
    while engine.next_event() is not NEED_DATA:
        pass
    deadline = engine.next_timeout()
    assert deadline is not None
    engine.receive_data(second, deadline)  # a busy machine reads late, and looks at the clock once
    engine.handle_timeout(deadline)
    while (event := engine.next_event()) is not NEED_DATA:
        assert not isinstance(event, TimedOut)
    assert engine.state is State.STA6


def test_a_response_to_nothing_is_noted_and_changes_nothing(running: Running) -> None:
    with Raw.to(running) as raw:
        raw.associate()
        raw.send(command(CEchoRSP(message_id_being_responded_to=5, affected_sop_class_uid=VERIFICATION, status=0)))
        raw.echo()
        raw.release()
    ended, outcome = running.end()
    assert outcome.kind is OutcomeKind.RELEASED
    assert Code.RESPONSE_UNSOLICITED in {deviation.code for deviation in ended.deviations}


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (command(store_rq(7), 1) + data(DATA_SET, context_id=1), 0x0122),
        (
            command(UnknownCommand(0x0666, 7, (Element(0x0800, NO_DATA_SET.to_bytes(2, "little")),))),
            0x0211,
        ),
        (command(store_with_uid(b"1." * 80), 3) + data(DATA_SET), 0x0117),
        (command(store_with_uid(b""), 3) + data(DATA_SET), 0x0212),
    ],
    ids=["C-STORE on the Verification context", "unknown command", "long UID", "empty UID"],
)
def test_a_request_nobody_can_serve_gets_its_status(running: Running, sent: bytes, status: int) -> None:
    with Raw.to(running) as raw:
        raw.associate()
        raw.send(sent)
        response = raw.response()
        if isinstance(response, UnknownCommand):
            values = {element.tag: element.value for element in response.elements}
            assert (values[0x0120], values[0x0900]) == (struct.pack("<H", 7), struct.pack("<H", status))
        else:
            assert (response.message_id_being_responded_to, response.status) == (7, status)
        raw.echo()
        raw.release()


# ---------------------------------------------------------------- instances that do not arrive


def abort(raw: Raw) -> None:
    raw.send(USER_ABORT)
    assert raw.rest() == b""


@pytest.mark.parametrize(
    ("leave", "in_pdu"),
    [(Raw.close, False), (Raw.close, True), (Raw.reset, False), (Raw.reset, True), (abort, False)],
)
def test_a_connection_lost_in_the_middle_of_a_data_set_leaves_no_file(
    running: Running, leave: Callable[[Raw], None], in_pdu: bool
) -> None:
    raw = Raw.to(running)
    raw.associate()
    raw.send(command(store_rq(), 3), data(DATA_SET * 5000, last=False))
    until(lambda: [path.suffix for path in running.files()] == [".part"], "the temporary file")
    raw.send(data(DATA_SET * 5000)[: 20_000 if in_pdu else 0])
    leave(raw)
    raw.close()
    _, outcome = running.end()
    assert outcome.kind in (OutcomeKind.CLOSED, OutcomeKind.ABORTED)
    assert outcome.outstanding == 1
    assert running.files() == []


FULL_DISK: Final = """
import resource, sys
from pathlib import Path
from archive import archive
folder = Path(sys.argv[1])
with archive(folder) as running:
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    print(running.server.port, flush=True)
    sys.stdin.read()
"""


def test_a_full_disk_is_a700_and_nothing_is_left(tmp_path: Path) -> None:
    folder = tmp_path / "stored"
    search = os.pathsep.join(path for path in sys.path if path)
    with subprocess.Popen(
        [sys.executable, "-c", FULL_DISK, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": search},
    ) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with associate(HOST, port, contexts=[VERIFICATION, CT]) as peer:
            answers = [
                peer.c_store(instance(size, uid)) for uid, size in (("1.2.1", 1000), ("1.2.2", 600_000), ("1.2.3", 50))
            ]
            assert [int(status) for status in answers] == [0, 0xA700, 0]
            assert answers[1].response.error_comment
            assert peer.c_echo() == SUCCESS
        _, said = process.communicate(timeout=20)
    assert (process.returncode, said) == (0, b"")
    assert sorted(path.name for path in folder.iterdir()) == ["1.2.1.dcm", "1.2.3.dcm"]


def instance(size: int, uid: str = "1.2.3", syntax: str = EXPLICIT) -> Instance:
    piece = bytes(size)
    return Instance(CT, uid, syntax, size, lambda: iter([piece]))


# ---------------------------------------------------------------- handlers that misbehave


class Misbehaving:
    """Its C-STORE does what the test says."""

    def __init__(self, do: Callable[[Store], Any]) -> None:
        self.do = do

    def c_store(self, store: Store) -> Any:
        return self.do(store)


def fail(error: BaseException) -> Any:
    raise error


@pytest.mark.parametrize(
    ("do", "status", "reported"),
    [
        (lambda _: fail(ZeroDivisionError("oops")), 0xC211, ["ZeroDivisionError"]),
        (lambda _: "done", 0xC002, ["TypeError"]),
        (lambda _: None, 0xC002, ["TypeError"]),
        (lambda _: True, 0xC002, ["TypeError"]),
        (lambda _: 0x12345, 0xC002, ["TypeError"]),
        (lambda _: 0xFF00, 0xC002, ["LocalProtocolError"]),
        (lambda _: fail(Failure(0xA900, "no\nthanks \\ é" + "x" * 100)), 0xA900, []),
        (lambda _: 0xB000, 0xB000, []),
    ],
    ids=["raises", "text", "nothing", "truth", "too large", "pending", "failure", "warning"],
)
@pytest.mark.parametrize("size", [2, 1_000_000])
def test_a_handlers_fault_is_a_status_and_a_report(
    tmp_path: Path, do: Callable[[Store], Any], status: int, reported: list[str], size: int
) -> None:
    with unshaken(tmp_path / "stored", Misbehaving(do)) as running:
        with associate(HOST, running.server.port, contexts=[VERIFICATION, CT]) as peer:
            bad = Instance(CT, "1.2.3", EXPLICIT, size, lambda: iter([b"\xff" * size]))
            answered = peer.c_store(bad)
            assert answered == status
            assert peer.c_echo() == SUCCESS
        assert running.reported() == reported


def test_a_data_set_that_the_handler_wants_decoded_and_cannot_be_is_c210(tmp_path: Path) -> None:
    bad = Instance(CT, "1.2.3", EXPLICIT, 1000, lambda: iter([b"\xff" * 1000]))
    good = Instance(CT, "1.2.3", EXPLICIT, len(EXPLICIT_CT), lambda: iter([EXPLICIT_CT]))
    with (
        unshaken(tmp_path / "stored", Misbehaving(lambda store: (store.dataset(), SUCCESS)[1])) as running,
        associate(HOST, running.server.port, contexts=[VERIFICATION, CT]) as peer,
    ):
        assert [int(peer.c_store(each)) for each in (bad, good)] == [0xC210, SUCCESS]
        peer.release()


def aborting(store: Store) -> int:
    store.abort()
    return SUCCESS


def test_a_handler_that_aborts_aborts(tmp_path: Path) -> None:
    with unshaken(tmp_path / "stored", Misbehaving(aborting)) as running:
        with Raw.to(running) as raw:
            raw.associate()
            raw.send(command(store_rq(), 3), data(DATA_SET))
            assert raw.rest() == USER_ABORT
        _, outcome = running.end()
        assert (outcome.kind, outcome.by, outcome.cause) == (OutcomeKind.ABORTED, Side.LOCAL, None)


def test_a_c_echo_handler_that_raises_answers_success_all_the_same(tmp_path: Path) -> None:
    class Broken(Archive):
        def c_echo(self, echo: Echo) -> int:
            if echo.association.calling_ae_title == "BAD":
                return 1 // 0
            return SUCCESS

    with unshaken(tmp_path / "stored", Broken(tmp_path / "stored")) as running:
        with Raw.to(running) as raw:
            raw.associate()
            raw.echo(1)
            raw.release()
        running.end()
        assert running.reported() == ["ZeroDivisionError"]


# ---------------------------------------------------------------- too many, too slow, too long


def test_beyond_the_association_budget_a_request_is_rejected(tmp_path: Path) -> None:
    with unshaken(tmp_path / "stored", budget=Budget(associations=2)) as running:
        first, second = Raw.to(running), Raw.to(running)
        first.associate()
        second.associate()
        with Raw.to(running) as third:
            third.send(proposal())
            assert third.rest() == rejection(2, 3, 2)
        first.echo()
        first.release()
        until(lambda: running.server.associations == 1)
        with Raw.to(running) as fourth:
            fourth.associate()
            fourth.release()
        second.echo()
        second.release()


def test_beyond_the_pending_budget_the_oldest_makes_room(tmp_path: Path) -> None:
    limits = replace(BRIEF, artim=20.0)
    with unshaken(tmp_path / "stored", budget=Budget(pending=2), limits=limits) as running:
        first, second = Raw.to(running), Raw.to(running)
        with Raw.to(running) as third:
            assert first.rest() == b""
            third.associate()  # no longer pending
            third.release()
        second.associate()
        second.release()
        first.close()


def test_a_peer_that_never_reads_is_given_up(tmp_path: Path) -> None:
    window = AsynchronousOperationsWindow(500, 1)
    with unshaken(tmp_path / "stored", window=window) as running:
        running.server._listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)  # what it accepts inherits it
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect((HOST, running.server.port))
        with Raw(sock) as raw:
            raw.associate(proposal(VERIFICATION, window=window))
            raw.send(*[command(echo_rq(message_id)) for message_id in range(1, 500)])
            _, outcome = running.end()
        assert (outcome.kind, outcome.timer) == (OutcomeKind.TIMED_OUT, Timer.OUTPUT_STALL)


@pytest.mark.parametrize("ends", [RELEASE_RQ, USER_ABORT], ids=["release", "abort"])
def test_a_peer_that_never_closes_is_closed(running: Running, ends: bytes) -> None:
    with Raw.to(running) as raw:
        raw.associate()
        raw.send(ends)
        assert raw.rest() == (RELEASE_RP if ends == RELEASE_RQ else b"")  # ARTIM, where the peer should close
    running.end()


def test_a_reset_on_an_idle_association_ends_it(running: Running) -> None:
    raw = Raw.to(running)
    raw.associate()
    raw.reset()
    _, outcome = running.end()
    assert (outcome.kind, outcome.by) == (OutcomeKind.CLOSED, Side.NETWORK)
    assert outcome.error


def test_a_store_that_runs_at_shutdown_finishes_within_the_grace(tmp_path: Path) -> None:
    with archive(tmp_path / "stored", limits=BRIEF) as running, Raw.to(running) as raw:
        raw.associate()
        raw.send(command(store_rq(), 3), data(DATA_SET, last=False))
        until(running.files, "the temporary file")
        closing = threading.Thread(target=running.server.close, args=(20,))
        closing.start()
        until(lambda: running.server._host.closing)
        raw.send(data(DATA_SET))
        assert raw.response().status == SUCCESS
        raw.release()
        closing.join()
        assert [path.name for path in running.files()] == ["1.2.3.dcm"]
        assert running.end()[1].kind is OutcomeKind.RELEASED
        with pytest.raises(ConnectionRefusedError):
            Raw.to(running)


def test_a_store_that_runs_longer_than_the_grace_is_aborted(tmp_path: Path) -> None:
    with archive(tmp_path / "stored", limits=replace(BRIEF, message_completion=20.0)) as running:
        with Raw.to(running) as raw:
            raw.associate()
            raw.send(command(store_rq(), 3), data(DATA_SET, last=False))
            until(running.files, "the temporary file")
            running.server.close(0.1)
            assert raw.rest() == USER_ABORT
        assert running.files() == []
        _, outcome = running.end()
        assert (outcome.kind, outcome.by, outcome.outstanding) == (OutcomeKind.ABORTED, Side.LOCAL, 1)


# ---------------------------------------------------------------- the peer we called


class FakeServer:
    """Accepts one connection and does with it what the script says."""

    def __init__(self, script: Callable[[Raw], object]) -> None:
        self.listener = socket.create_server((HOST, 0))
        self.port = self.listener.getsockname()[1]
        self.script = script
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self.run)

    def run(self) -> None:
        sock, _ = self.listener.accept()
        with Raw(sock) as raw:
            try:
                self.script(raw)
            except BaseException as error:
                self.error = error

    def __enter__(self) -> FakeServer:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.thread.join()
        self.listener.close()
        assert self.error is None


def accept(raw: Raw, change: Callable[[bytes], bytes] = bytes, supports: str = CT) -> None:
    """Take the request and accept it."""
    received = raw.pdu()
    asked = decode_pdu(received[0], received[6:])
    assert isinstance(asked, AAssociateRQ)
    answered = answer(Acceptor("FAKE", [VERIFICATION, supports], maximum_length=16384), asked)
    raw.send(change(answered.encode()))


def connect(server: FakeServer) -> AbstractContextManager[Peer]:
    return associate(HOST, server.port, contexts=[VERIFICATION, CT], limits=BRIEF)


def lost(port: int, use: Callable[[Peer], object] = Peer.c_echo, **options: Any) -> AssociationLost:
    """The error that this use of this server ends with; nothing of ours is left behind."""
    before = resources()
    with (
        pytest.raises(AssociationLost) as caught,
        associate(HOST, port, contexts=[VERIFICATION, CT], **{"limits": BRIEF, **options}) as peer,
    ):
        use(peer)
    until(lambda: back_at(before), "the end of our threads and descriptors")
    return caught.value


def free_port() -> int:
    with socket.create_server((HOST, 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def test_nobody_listens() -> None:
    error = lost(free_port())
    assert (error.outcome.kind, error.outcome.by) == (OutcomeKind.CLOSED, Side.NETWORK)
    assert "refused" in str(error)


def test_the_host_has_no_address() -> None:
    with pytest.raises(AssociationLost) as caught, associate("a" * 64, 104, contexts=[VERIFICATION], limits=BRIEF):
        pass
    assert (caught.value.outcome.kind, caught.value.outcome.by) == (OutcomeKind.CLOSED, Side.NETWORK)
    assert caught.value.outcome.error


def test_the_connection_does_not_come_about() -> None:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]  # Linux lets backlog + 1 in, and does not answer the others
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex((HOST, port))
        error = lost(port)
        for filler in fillers:
            filler.close()
    assert (error.outcome.kind, error.outcome.timer) == (OutcomeKind.TIMED_OUT, Timer.CONNECT)


def answers(*sent: bytes) -> Callable[[Raw], object]:
    def script(raw: Raw) -> None:
        raw.pdu()
        raw.send(*sent)
        with suppress(ConnectionError):
            raw.rest()

    return script


def test_it_rejects_us() -> None:
    with FakeServer(answers(rejection(1, 1, 7))) as server:
        error = lost(server.port)
    outcome = error.outcome
    assert (outcome.kind, outcome.by, outcome.state) == (OutcomeKind.REJECTED, Side.PEER, State.STA5)
    assert (outcome.result, outcome.source, outcome.reason) == (1, 1, 7)
    assert "called AE title not recognized" in str(error)


def test_it_aborts_at_once() -> None:
    with FakeServer(answers(provider_abort(0))) as server:
        outcome = lost(server.port).outcome
    assert (outcome.kind, outcome.by, outcome.source, outcome.reason) == (OutcomeKind.ABORTED, Side.PEER, 2, 0)


@pytest.mark.parametrize("leave", [Raw.close, Raw.reset])
def test_it_closes_at_once(leave: Callable[[Raw], None]) -> None:
    def script(raw: Raw) -> None:
        raw.pdu()
        leave(raw)

    with FakeServer(script) as server:
        outcome = lost(server.port).outcome
    assert (outcome.kind, outcome.state) == (OutcomeKind.CLOSED, State.STA5)


def test_it_says_nothing() -> None:
    received = []

    def script(raw: Raw) -> None:
        raw.pdu()
        received.append(raw.rest())

    with FakeServer(script) as server:
        outcome = lost(server.port).outcome
    assert (outcome.kind, outcome.timer) == (OutcomeKind.TIMED_OUT, Timer.ASSOCIATION_RESPONSE)
    assert received == [USER_ABORT]


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", 1),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", 1),
        (bytes.fromhex("0200 ffffffff"), 6),
        (pdu(2, b"\0\1\0\0"), 6),
        (proposal(), 2),
        (RELEASE_RP, 2),
        (command(echo_rq()), 2),
    ],
    ids=["ssh", "http", "4 GiB", "cut short", "a request", "a release response", "data"],
)
def test_it_sends_no_answer_but_something_else(sent: bytes, reason: int) -> None:
    received = []

    def script(raw: Raw) -> None:
        raw.pdu()
        raw.send(sent)
        received.append(raw.rest())

    with FakeServer(script) as server:
        outcome = lost(server.port).outcome
    assert (outcome.kind, outcome.by, outcome.cause is None) == (OutcomeKind.ABORTED, Side.LOCAL, False)
    assert received == [provider_abort(reason)]


def test_its_maximum_length_has_no_room_for_a_fragment() -> None:
    received = []

    def script(raw: Raw) -> None:
        accept(raw, lambda ac: ac.replace(b"\x51\0\0\4\0\0\x40\0", b"\x51\0\0\4\0\0\0\4"))
        received.append(raw.rest())

    with FakeServer(script) as server:
        error = lost(server.port)
    assert error.outcome.cause is not None
    assert error.outcome.cause.code is Code.MAXIMUM_LENGTH_TINY
    assert received == [provider_abort(6)]


def test_it_accepts_no_context_we_need() -> None:
    def script(raw: Raw) -> None:
        accept(raw, supports="1.2.3.4")
        assert raw.pdu() == RELEASE_RQ
        raw.send(RELEASE_RP)

    with FakeServer(script) as server, associate(HOST, server.port, contexts=[CT], limits=BRIEF) as peer:
        assert [context.result for context in peer.contexts] == [3]
        with pytest.raises(LocalProtocolError, match="abstract syntax not supported"):
            peer.c_store(instance(10))
        with pytest.raises(LocalProtocolError, match="Verification"):
            peer.c_echo()


@pytest.mark.parametrize(
    ("sent", "kind", "by"),
    [
        (USER_ABORT, OutcomeKind.ABORTED, Side.PEER),
        (RELEASE_RQ, OutcomeKind.RELEASED, Side.PEER),
        (b"\xff" * 20, OutcomeKind.ABORTED, Side.LOCAL),
        (b"", OutcomeKind.CLOSED, Side.PEER),
        (
            command(CEchoRSP(message_id_being_responded_to=77, affected_sop_class_uid=VERIFICATION, status=0)),
            OutcomeKind.ABORTED,
            Side.LOCAL,
        ),
    ],
    ids=["abort", "release", "garbage", "close", "a response to something else"],
)
def test_it_does_not_answer_our_request_but(sent: bytes, kind: OutcomeKind, by: Side) -> None:
    def script(raw: Raw) -> None:
        accept(raw)
        raw.pdu()
        raw.send(sent)
        if sent:
            with suppress(ConnectionError):
                raw.rest()

    with FakeServer(script) as server:
        outcome = lost(server.port).outcome
    assert (outcome.kind, outcome.by) == (kind, by)


def test_it_does_not_answer_our_request_at_all() -> None:
    received = []

    def script(raw: Raw) -> None:
        accept(raw)
        raw.pdu()
        received.append(raw.rest())

    with FakeServer(script) as server:
        outcome = lost(server.port).outcome
    assert (outcome.kind, outcome.timer) == (OutcomeKind.TIMED_OUT, Timer.DIMSE_RESPONSE)
    assert received == [USER_ABORT]


@pytest.mark.parametrize("leave", [Raw.close, Raw.reset, abort])
def test_it_is_gone_in_the_middle_of_our_data_set(leave: Callable[[Raw], None]) -> None:
    def script(raw: Raw) -> None:
        accept(raw)
        raw.pdu()
        raw.pdu()
        if leave is abort:
            raw.send(USER_ABORT)
            with suppress(ConnectionError):
                raw.rest()
        else:
            leave(raw)

    with FakeServer(script) as server:
        outcome = lost(server.port, lambda peer: peer.c_store(instance(50_000_000))).outcome
    assert outcome.kind is (OutcomeKind.ABORTED if leave is abort else OutcomeKind.CLOSED)


def test_it_never_reads() -> None:
    done = threading.Event()

    def script(raw: Raw) -> None:
        accept(raw)
        done.wait(20)

    with FakeServer(script) as server:
        with pytest.raises(AssociationLost) as caught, connect(server) as peer:
            peer.c_store(instance(50_000_000))
        done.set()
    outcome = caught.value.outcome
    assert (outcome.kind, outcome.timer) == (OutcomeKind.TIMED_OUT, Timer.OUTPUT_STALL)


def test_it_never_answers_our_release() -> None:
    received = []

    def script(raw: Raw) -> None:
        accept(raw)
        raw.pdu()
        received.append(raw.rest())

    before = resources()
    with FakeServer(script) as server, associate(HOST, server.port, contexts=[VERIFICATION], limits=BRIEF) as peer:
        pass
    assert peer.outcome is not None
    assert (peer.outcome.kind, peer.outcome.timer) == (OutcomeKind.TIMED_OUT, Timer.RELEASE)
    assert received == [USER_ABORT]
    assert back_at(before)


def test_it_refuses_a_data_set_early_and_the_rest_is_not_sent() -> None:
    sizes = []

    def script(raw: Raw) -> None:
        accept(raw)
        request = decode_command(raw.pdu()[12:]).message
        assert isinstance(request, CStoreRQ)
        refused = CStoreRSP(message_id_being_responded_to=request.message_id, status=0xA700)
        raw.send(command(refused, 3))
        while True:
            piece = raw.pdu()
            sizes.append(len(piece) - 12)
            if piece[11] & 2:
                break
        assert raw.pdu() == RELEASE_RQ
        raw.send(RELEASE_RP)

    with FakeServer(script) as server, connect(server) as peer:
        assert peer.c_store(instance(50_000_000)) == 0xA700
    assert sum(sizes) < 50_000_000


@pytest.mark.parametrize("error", [KeyError, KeyboardInterrupt])
def test_leaving_by_an_exception_aborts(error: type[BaseException]) -> None:
    received = []

    def script(raw: Raw) -> None:
        accept(raw)
        received.append(raw.rest())

    with (
        FakeServer(script) as server,
        pytest.raises(error),
        associate(HOST, server.port, contexts=[VERIFICATION], limits=BRIEF),
    ):
        raise error
    assert received == [USER_ABORT]
