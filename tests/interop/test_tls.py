"""TLS with the software of others: DCMTK, pynetdicom, OpenSSL's own client; both ways, by a loop of plain sockets."""

from __future__ import annotations

import select
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme
from pydicom import dcmread

from archive import bundled, data_set_of
from engine_pair import End, echo_rq
from interop import peers
from sansdimse import (
    VERIFICATION,
    Acceptor,
    Association,
    AssociationAccepted,
    AssociationRequested,
    DatasetReceived,
    EchoRequested,
    Ended,
    Outcome,
    OutcomeKind,
    PresentationContext,
    ReleaseRequested,
    Requestor,
    ResponseReceived,
)
from sansdimse.ul.negotiation import propose
from sansdimse_files import (
    BCP_195_RFC_8996_9325,
    MODIFIED_BCP_195,
    NON_DOWNGRADING_BCP_195,
    Secured,
    TLSProfile,
    client_context,
    open_instance,
    server_context,
)

CT_SMALL = bundled("CT_small.dcm")
CT = dcmread(CT_SMALL, stop_before_pixels=True).SOPClassUID
EXPLICIT = "1.2.840.10008.1.2.1"
PATIENCE = 30.0
CONTEXTS = (PresentationContext(VERIFICATION), PresentationContext(CT, (EXPLICIT,)))


@dataclass(frozen=True)
class Certificates:
    """Files of one authority: its own, and of two devices on this host with their keys."""

    ca: Path
    ours: Path
    theirs: Path
    theirs_key: Path
    stranger: Path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder = tmp_path_factory.mktemp("certificates")
    ca = trustme.CA()
    for name in ("ours", "theirs"):  # DCMTK's profiles of TLS 1.2 know RSA only
        leaf = ca.issue_cert("localhost", "127.0.0.1", key_type=trustme.KeyType.RSA)
        leaf.private_key_and_cert_chain_pem.write_to_path(str(folder / f"{name}.pem"))
        leaf.private_key_pem.write_to_path(str(folder / f"{name}.key"))
    ca.cert_pem.write_to_path(str(folder / "ca.pem"))
    trustme.CA().cert_pem.write_to_path(str(folder / "stranger.pem"))
    return Certificates(*(folder / n for n in ("ca.pem", "ours.pem", "theirs.pem", "theirs.key", "stranger.pem")))


# ---------------------------------------------------------------- a transport of twenty lines


def drive(sock: socket.socket, engine: Association, wire: Secured, user: Callable[[Any], None]) -> End:
    """Until the association has ended and all is written."""
    end = End(engine, user)
    until = time.monotonic() + PATIENCE
    with sock:
        wire.transport_opened(time.monotonic())
        eof = False
        while True:
            end.pump()
            while buffers := wire.data_to_send(time.monotonic()):
                try:
                    sock.sendall(b"".join(map(bytes, buffers)))
                except OSError:
                    eof = True
                    wire.receive_eof(time.monotonic(), "broken pipe")
                end.pump()
            if wire.wants_close and not wire.bytes_unsent:
                return end
            deadline = min(until, wire.next_timeout() or until)
            readable, _, _ = select.select([] if eof else [sock], [], [], max(0.0, deadline - time.monotonic()))
            now = time.monotonic()
            assert now < until, (engine.state, end.events)
            if not readable:
                wire.handle_timeout(now)
                continue
            try:
                data = sock.recv(262144)
            except OSError as error:
                eof = True
                wire.receive_eof(now, error.strerror)
                continue
            if data:
                wire.receive_data(data, now)
            else:
                eof = True
                wire.receive_eof(now)


@dataclass
class Ours:
    """Our server for one association; ``done`` is there when it has ended."""

    port: int
    wire: Secured
    end: End | None = None
    thread: threading.Thread | None = None

    def done(self) -> tuple[End, Outcome]:
        """What it heard, and how it ended."""
        assert self.thread is not None
        self.thread.join(PATIENCE + 5)
        assert self.end is not None
        last = self.end.events[-1]
        assert isinstance(last, Ended)
        return self.end, last.outcome


@contextmanager
def serving(context: ssl.SSLContext) -> Iterator[Ours]:
    """Takes one association on a free port, and says yes to everything."""
    engine = Association(Acceptor("OURS", CONTEXTS), now=time.monotonic())
    ours = Ours(0, Secured(engine, context, server_side=True))

    def user(event: Any) -> None:
        if isinstance(event, AssociationRequested):
            engine.accept()
        elif isinstance(event, EchoRequested) or (isinstance(event, DatasetReceived) and event.is_last):
            event.operation.respond()
        elif isinstance(event, ReleaseRequested):
            engine.respond_release()

    def run() -> None:
        sock, _ = listener.accept()
        ours.end = drive(sock, engine, ours.wire, user)

    with socket.create_server((peers.HOST, 0)) as listener:
        listener.settimeout(PATIENCE)
        ours.port = listener.getsockname()[1]
        ours.thread = threading.Thread(target=run)
        ours.thread.start()
        try:
            yield ours
        finally:
            ours.thread.join(PATIENCE + 5)


def send(port: int, context: ssl.SSLContext, *, name: str = "localhost", called: str = "ANY") -> tuple[Secured, End]:
    """Echo, store an instance, release."""
    engine = Association(Requestor("OURS", called, CONTEXTS), now=time.monotonic())
    wire = Secured(engine, context, server_side=False, server_hostname=name)

    def user(event: Any) -> None:
        if isinstance(event, AssociationAccepted):
            engine.c_echo()
        elif isinstance(event, ResponseReceived) and event.operation.message_id == 1:
            with open_instance(CT_SMALL) as instance:
                operation = engine.c_store(instance.sop_class_uid, instance.sop_instance_uid)
                for piece in instance.pieces():
                    operation.send_data(piece)
                operation.send_data(b"", is_last=True)
        elif isinstance(event, ResponseReceived):
            engine.release()

    return wire, drive(socket.create_connection((peers.HOST, port)), engine, wire, user)


def statuses(end: End) -> list[int]:
    return [int(event.status) for event in end.events if isinstance(event, ResponseReceived)]


# ---------------------------------------------------------------- DCMTK


def dcmtk(files: Certificates, *options: str) -> list[str | Path]:
    return ["+tls", files.theirs_key, files.theirs, "+cf", files.ca, *options]


@pytest.mark.parametrize("profile", [BCP_195_RFC_8996_9325, MODIFIED_BCP_195, NON_DOWNGRADING_BCP_195])
@pytest.mark.parametrize(("option", "version"), [("+py", "TLSv1.3"), ("+pz", "TLSv1.2")])
def test_storescu_sends_to_us(profile: TLSProfile, option: str, version: str, files: Certificates) -> None:
    context = server_context(profile, certificate=files.ours, ca=files.ca, client_certificates="required")
    with serving(context) as ours:
        peers.run_tool("storescu", *dcmtk(files, option), "-aec", "OURS", peers.HOST, str(ours.port), CT_SMALL)
        end, outcome = ours.done()
    assert outcome.kind is OutcomeKind.RELEASED, outcome
    got = b"".join(bytes(event.data) for event in end.events if isinstance(event, DatasetReceived))
    assert len(got) > 30_000  # DCMTK leaves out the trailing padding
    assert data_set_of(CT_SMALL).startswith(got)
    assert ours.wire.version == version
    certificate = ours.wire.peer_certificate
    assert certificate is not None
    assert ("DNS", "localhost") in certificate.alternative_names


def test_echoscu_without_a_certificate(files: Certificates) -> None:
    with serving(server_context(certificate=files.ours)) as ours:
        peers.run_tool("echoscu", "+tla", "+cf", files.ca, peers.HOST, str(ours.port))
        _, outcome = ours.done()
    assert outcome.kind is OutcomeKind.RELEASED, outcome
    assert ours.wire.peer_certificate is None


def test_echoscu_that_should_show_one_is_refused(files: Certificates) -> None:
    context = server_context(certificate=files.ours, ca=files.ca, client_certificates="required")
    with serving(context) as ours:
        done = peers.run_tool("echoscu", "+tla", "+cf", files.ca, peers.HOST, str(ours.port), check=False)
        _, outcome = ours.done()
    assert done.returncode
    assert "the peer showed no certificate" in (outcome.error or "")


def test_echoscu_that_does_not_trust_us(files: Certificates) -> None:
    with serving(server_context(certificate=files.ours)) as ours:
        done = peers.run_tool("echoscu", "+tla", "+cf", files.stranger, peers.HOST, str(ours.port), check=False)
        _, outcome = ours.done()
    assert done.returncode
    assert "the peer does not know the authority of our certificate" in (outcome.error or "")


def test_echoscu_without_tls_is_told_from_it(files: Certificates) -> None:
    with serving(server_context(certificate=files.ours)) as ours:
        done = peers.run_tool("echoscu", peers.HOST, str(ours.port), check=False)
        _, outcome = ours.done()
    assert done.returncode
    assert (outcome.error or "").startswith("TLS: ")


@pytest.mark.parametrize("profile", [BCP_195_RFC_8996_9325, MODIFIED_BCP_195, NON_DOWNGRADING_BCP_195])
@pytest.mark.parametrize(("option", "version"), [("+py", "TLSv1.3"), ("+pz", "TLSv1.2")])
def test_we_send_to_storescp(
    profile: TLSProfile, option: str, version: str, files: Certificates, tmp_path: Path
) -> None:
    with peers.storescp(tmp_path / "storescp", "+B", *map(str, dcmtk(files, option))) as server:
        wire, end = send(server.port, client_context(profile, ca=files.ca, certificate=files.ours))
        assert end.events[-1].outcome.kind is OutcomeKind.RELEASED, end.events
        assert statuses(end) == [0, 0]
        [file] = server.files()
        assert data_set_of(file) == data_set_of(CT_SMALL)
    assert wire.version == version


def test_a_storescp_that_we_should_not_trust(files: Certificates, tmp_path: Path) -> None:
    with peers.storescp(tmp_path / "storescp", *map(str, dcmtk(files))) as server:
        for context, name, words in (
            (client_context(ca=files.stranger), "localhost", "certificate verify failed"),
            (client_context(ca=files.ca), "archive.test", "Hostname mismatch"),
            (client_context(ca=files.ca), "localhost", "certificate of ours"),  # it requires one
        ):
            _, end = send(server.port, context, name=name)
            assert words in (end.events[-1].outcome.error or ""), end.events


def test_a_storescp_without_tls_is_told_from_it(files: Certificates, storescp: peers.Server) -> None:
    _, end = send(storescp.port, client_context(ca=files.ca))
    assert end.events[-1].outcome.kind is OutcomeKind.CLOSED
    assert "TLS" in (end.events[-1].outcome.error or "")


# ---------------------------------------------------------------- pynetdicom


def test_pynetdicom_asks_us(files: Certificates) -> None:
    pynetdicom = peers.require_pynetdicom()
    context = server_context(certificate=files.ours, ca=files.ca, client_certificates="required")
    theirs = ssl.create_default_context(cafile=str(files.ca))
    theirs.load_cert_chain(files.theirs)
    with serving(context) as ours:
        ae = pynetdicom.AE()
        ae.add_requested_context(VERIFICATION)
        association = ae.associate(peers.HOST, ours.port, tls_args=(theirs, "localhost"))
        assert association.is_established
        assert association.send_c_echo().Status == 0
        association.release()
        _, outcome = ours.done()
    assert outcome.kind is OutcomeKind.RELEASED
    assert ours.wire.version == "TLSv1.3"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_we_ask_pynetdicom(version: ssl.TLSVersion, files: Certificates) -> None:
    pynetdicom = peers.require_pynetdicom()
    from pynetdicom import evt

    theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(files.ca))
    theirs.load_cert_chain(files.theirs)
    theirs.verify_mode = ssl.CERT_REQUIRED
    theirs.maximum_version = version
    stored: list[bytes] = []

    def store(event: Any) -> int:
        stored.append(event.encoded_dataset(include_meta=False))
        return 0

    ae = pynetdicom.AE()
    ae.add_supported_context(VERIFICATION)
    ae.add_supported_context(CT, EXPLICIT)
    server = ae.start_server((peers.HOST, 0), block=False, ssl_context=theirs, evt_handlers=[(evt.EVT_C_STORE, store)])
    try:
        context = client_context(ca=files.ca, certificate=files.ours)
        wire, end = send(server.server_address[1], context)
    finally:
        server.shutdown()
    assert statuses(end) == [0, 0]
    assert stored == [data_set_of(CT_SMALL)]
    assert wire.version == version.name.replace("_", ".")


# ---------------------------------------------------------------- what only OpenSSL's own client can be made to do


@contextmanager
def s_client(port: int, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """OpenSSL's client. What is written to it is sent, except for a few single letters, which are commands."""
    command = [peers.require("openssl"), "s_client", "-connect", f"{peers.HOST}:{port}", *options]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, bufsize=0
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdin is not None:
            process.stdin.close()


def say(process: subprocess.Popen[bytes], data: bytes) -> None:
    assert process.stdin is not None
    process.stdin.write(data)


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def echoes(engine: Association) -> int:
    """Bytes say how many were answered; no lock is needed to look at them."""
    return engine._outbox.messages_sent


@pytest.mark.parametrize("command", [b"K\n", b"k\n"])
def test_new_keys_of_tls_1_3(command: bytes, files: Certificates) -> None:
    with serving(server_context(certificate=files.ours)) as ours:
        engine = ours.wire.engine
        assert isinstance(engine, Association)
        with s_client(ours.port, "-tls1_3") as process:
            say(process, propose(Requestor("ME", "OURS", CONTEXTS)).encode())
            until(lambda: engine.agreement)
            for number in range(1, 6):
                say(process, command)
                time.sleep(0.05)  # the command must be alone in what the client reads
                say(process, echo_rq(number))
                until(lambda number=number: echoes(engine) == number)  # type: ignore[misc]
        _, outcome = ours.done()
    assert outcome.kind is OutcomeKind.CLOSED
    assert outcome.messages_sent == 5


def test_a_new_handshake_of_tls_1_2_is_refused_and_hangs_nobody(files: Certificates) -> None:
    with serving(server_context(certificate=files.ours)) as ours:
        engine = ours.wire.engine
        assert isinstance(engine, Association)
        with s_client(ours.port, "-tls1_2") as process:
            say(process, propose(Requestor("ME", "OURS", CONTEXTS)).encode())
            until(lambda: engine.agreement)
            say(process, b"R\n")
            _, outcome = ours.done()
    assert outcome.kind is OutcomeKind.CLOSED


def test_a_new_handshake_of_tls_1_2_where_the_user_s_context_allows_it(files: Certificates) -> None:
    context = server_context(certificate=files.ours)
    context.options &= ~ssl.OP_NO_RENEGOTIATION
    context.options |= 1 << 8  # SSL_OP_ALLOW_CLIENT_RENEGOTIATION
    with serving(context) as ours:
        engine = ours.wire.engine
        assert isinstance(engine, Association)
        with s_client(ours.port, "-tls1_2") as process:
            say(process, propose(Requestor("ME", "OURS", CONTEXTS)).encode())
            until(lambda: engine.agreement)
            for number in range(1, 4):
                say(process, b"R\n")
                time.sleep(0.1)
                say(process, echo_rq(number))
                until(lambda number=number: echoes(engine) == number)  # type: ignore[misc]
        _, outcome = ours.done()
    assert outcome.messages_sent == 3
