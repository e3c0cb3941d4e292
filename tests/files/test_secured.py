"""TLS as an engine around an engine: it changes nothing that is said, always ends, and holds little."""

from __future__ import annotations

import datetime
import math
import ssl
import tracemalloc
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from engine_pair import CT, Cut, End, acceptor, bytewise, joined, requestor, whole
from sansdimse import (
    Association,
    AssociationAccepted,
    AssociationRequested,
    DatasetReceived,
    EchoRequested,
    Ended,
    LocalProtocolError,
    Outcome,
    OutcomeKind,
    ReleaseRequested,
    ResponseReceived,
    Side,
    State,
    Timer,
    TransportClosed,
)
from sansdimse_files import BCP_195_RFC_8996_9325, Secured
from sansdimse_files.secured import CLOSING_SECONDS, HANDSHAKE_SECONDS

NAME = "archive.test"


@cache
def authority(name: str = "ours") -> trustme.CA:
    return trustme.CA(organization_name=f"the authority {name}")


@cache
def leaf(ca: str = "ours", *names: str, expired: bool = False) -> trustme.LeafCert:
    after = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    before = datetime.datetime(2019, 1, 1, tzinfo=datetime.UTC)
    validity = {"not_before": before, "not_after": after} if expired else {}
    return authority(ca).issue_cert(*(names or (NAME,)), **validity)


def client_side(*, ca: str = "ours", version: str | None = None, certificate: trustme.LeafCert | None = None) -> Any:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return finish(context, ca, version, certificate)


def server_side(
    *,
    ca: str | None = None,
    version: str | None = None,
    certificate: trustme.LeafCert | None = None,
) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
    return finish(context, ca, version, certificate or leaf())


def finish(
    context: ssl.SSLContext, ca: str | None, version: str | None, certificate: trustme.LeafCert | None
) -> ssl.SSLContext:
    BCP_195_RFC_8996_9325.apply(context)
    if ca is not None:
        authority(ca).configure_trust(context)
    if certificate is not None:
        certificate.configure_cert(context)
    if version is not None:
        context.minimum_version = context.maximum_version = getattr(ssl.TLSVersion, version)
    return context


# ---------------------------------------------------------------- two associations, two wrappers, one wire


class Party(End):
    """An association, what it told, and TLS around it."""

    engine: Association

    def __init__(self, engine: Association, wire: Secured, user: Callable[[Any], None]) -> None:
        super().__init__(engine, user)
        self.wire = wire

    @property
    def outcome(self) -> Outcome:
        """How it ended."""
        last = self.events[-1]
        assert isinstance(last, Ended)
        return last.outcome


class Talk:
    """A requestor and an acceptor over TLS. The acceptor takes and answers all; the test is the requestor's user."""

    def __init__(
        self,
        client: ssl.SSLContext | None = None,
        server: ssl.SSLContext | None = None,
        *,
        cut: Cut = whole,
        name: str = NAME,
        now: float = 0.0,
    ) -> None:
        self.now = now
        self.cut = cut
        self.sources: list[Iterator[None]] = []  # data sets on their way, each as its association has room
        us, them = Association(requestor(), now=now), Association(acceptor(), now=now)
        wire = Secured(us, client or client_side(), server_side=False, server_hostname=name)
        self.client = Party(us, wire, lambda event: serve(us, event))
        self.server = Party(them, Secured(them, server or server_side(), server_side=True), lambda e: serve(them, e))
        self.server.wire.transport_opened(now)
        self.client.wire.transport_opened(now)

    def carry(self, source: Party, target: Party) -> bool:
        data = b"".join(bytes(buffer) for buffer in source.wire.data_to_send(self.now))
        if data and not target.heard_all:
            for chunk in self.cut(data):
                target.wire.receive_data(chunk, self.now)
                target.pump()
        if source.wire.wants_close and not source.wire.bytes_unsent and not target.heard_all:
            target.heard_all = True
            target.wire.receive_eof(self.now)
            return True
        return bool(data)

    def run(self) -> None:
        """Until nothing moves."""
        moving = True
        while moving:
            self.sources = [source for source in self.sources if next(source, self) is not self]
            moving = bool(self.sources)
            for party, other in ((self.client, self.server), (self.server, self.client)):
                moving |= bool(party.pump())
                moving |= self.carry(party, other)

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds
        for party in (self.client, self.server):
            party.wire.handle_timeout(self.now)
        self.run()

    def establish(self) -> None:
        self.run()
        assert any(isinstance(event, AssociationAccepted) for event in self.client.events)

    def release(self) -> None:
        self.client.engine.release()
        self.run()
        assert self.client.outcome.kind is self.server.outcome.kind is OutcomeKind.RELEASED


def serve(engine: Association, event: Any) -> None:
    """Say yes to everything."""
    if isinstance(event, AssociationRequested):
        engine.accept()
    elif isinstance(event, EchoRequested) or (isinstance(event, DatasetReceived) and event.is_last):
        event.operation.respond()
    elif isinstance(event, ReleaseRequested):
        engine.respond_release()


def store(engine: Association, data: bytes) -> Iterator[None]:
    """Store an instance, a piece a step."""
    operation = engine.c_store(CT, "1.2.3.4")
    for at in range(0, len(data), 1 << 16):
        while engine.bytes_unsent >= engine.limits.output_high_water:
            yield
        operation.send_data(data[at : at + (1 << 16)], is_last=at + (1 << 16) >= len(data))


def received(party: Party) -> bytes:
    return b"".join(bytes(event.data) for event in party.events if isinstance(event, DatasetReceived))


def by_kilobytes(data: bytes) -> Iterator[bytes]:
    return (data[at : at + 1009] for at in range(0, len(data), 1009))


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
@pytest.mark.parametrize("cut", [whole, by_kilobytes])
def test_an_echo_and_five_megabytes_both_ways(version: str, cut: Cut) -> None:
    talk = Talk(client_side(version=version), cut=cut)
    talk.establish()
    there, back = bytes(range(256)) * 20000, bytes(range(255, -1, -1)) * 20000
    talk.client.engine.c_echo()
    talk.run()
    talk.sources = [store(talk.client.engine, there), store(talk.server.engine, back)]
    talk.run()
    assert received(talk.server) == there
    assert received(talk.client) == back
    answers = [event for event in talk.client.events if isinstance(event, ResponseReceived)]
    assert [answer.status for answer in answers] == [0, 0]
    assert talk.client.wire.version == talk.server.wire.version == version.replace("_", ".")
    assert talk.client.wire.cipher == talk.server.wire.cipher
    assert "AES" in (talk.client.wire.cipher or "")
    talk.release()
    assert talk.client.wire.wants_close
    assert talk.server.wire.wants_close
    assert talk.client.wire.bytes_unsent == talk.server.wire.bytes_unsent == 0


def test_close_notify_is_the_end_of_the_stream() -> None:
    talk = Talk()
    talk.establish()
    talk.client.engine.abort()
    talk.run()
    assert talk.server.outcome.kind is OutcomeKind.ABORTED
    assert talk.server.wire.wants_close
    other = Talk()
    other.establish()
    with pytest.raises(ssl.SSLWantReadError):
        other.client.wire._tls.unwrap()
    data = other.client.wire._outgoing.read()
    other.server.wire.receive_data(data, 0.0)
    other.server.pump()
    assert other.server.outcome.kind is OutcomeKind.CLOSED
    assert other.server.outcome.error is None
    other.server.wire.receive_data(b"anything more is discarded", 0.0)
    other.server.wire.receive_eof(0.0, "reset")
    assert other.server.outcome.error is None


# ---------------------------------------------------------------- certificates


def test_mutual_certificates_are_told() -> None:
    talk = Talk(client_side(certificate=leaf("clients", "scanner.test")), server_side(ca="clients"))
    talk.establish()
    shown = talk.server.wire.peer_certificate
    assert shown is not None
    assert shown.verified
    assert ("DNS", "scanner.test") in shown.alternative_names
    assert ("organizationName", "the authority clients") in shown.issuer
    assert shown.subject
    assert shown.serial_number
    assert ssl.cert_time_to_seconds(shown.not_after or "")
    theirs = talk.client.wire.peer_certificate
    assert theirs is not None
    assert theirs.der == ssl.PEM_cert_to_DER_cert(leaf().cert_chain_pems[0].bytes().decode())
    assert theirs == talk.client.wire.peer_certificate
    talk.release()


def test_a_certificate_that_nobody_verified_has_no_names() -> None:
    context = client_side()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    talk = Talk(context)
    assert talk.client.wire.peer_certificate is talk.client.wire.version is talk.client.wire.cipher is None
    talk.establish()
    shown = talk.client.wire.peer_certificate
    assert shown is not None
    assert shown.der
    assert not shown.verified
    assert shown.subject == shown.issuer == shown.alternative_names == ()
    assert talk.server.wire.peer_certificate is None


REFUSED = {
    "wrong authority": (
        lambda: Talk(server=server_side(certificate=leaf("others"))),
        "TLS: certificate verify failed: unable to get local issuer certificate",
        "TLS: the peer does not know the authority of our certificate (tlsv1 alert unknown ca)",
    ),
    "wrong name": (
        lambda: Talk(name="else.test"),
        "TLS: certificate verify failed: Hostname mismatch, certificate is not valid for 'else.test'",
        "TLS: the peer refuses our certificate (sslv3 alert bad certificate)",
    ),
    "expired": (
        lambda: Talk(server=server_side(certificate=leaf("ours", NAME, expired=True))),
        "TLS: certificate verify failed: certificate has expired",
        "TLS: our certificate has expired, says the peer (sslv3 alert certificate expired)",
    ),
    "old version": (
        lambda: Talk(client_side(version="TLSv1_2"), server_side(version="TLSv1_3")),
        "TLS: the peer takes no version of TLS that we offer (tlsv1 alert protocol version)",
        "TLS: the peer offers no version of TLS that we take (unsupported protocol)",
    ),
    "no certificate, TLS 1.2": (
        lambda: Talk(client_side(version="TLSv1_2"), server_side(ca="clients")),
        "TLS: the peer finds no cipher suite in common, or wants a certificate of ours (sslv3 alert handshake failure)",
        "TLS: the peer showed no certificate, and we require one (peer did not return a certificate)",
    ),
    "no certificate, TLS 1.3": (
        lambda: Talk(client_side(version="TLSv1_3"), server_side(ca="clients")),
        "TLS: the peer requires a certificate of ours (tlsv13 alert certificate required)",
        "TLS: the peer showed no certificate, and we require one (peer did not return a certificate)",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("cut", [whole, bytewise])
def test_what_is_refused_is_said_in_words_on_both_sides(case: str, cut: Cut) -> None:
    make, ours, theirs = REFUSED[case]
    talk = make()
    talk.cut = cut
    talk.run()
    assert talk.client.outcome.kind is talk.server.outcome.kind is OutcomeKind.CLOSED
    assert (talk.client.outcome.error, talk.server.outcome.error) == (ours, theirs)
    for party in (talk.client, talk.server):
        assert party.wire.wants_close
        assert party.wire.bytes_unsent == 0
        assert party.wire.next_timeout() is None


STRANGERS = {
    "http": (b"GET / HTTP/1.1\r\nHost: archive.test\r\n\r\n", "TLS: the peer speaks HTTP (http request)"),
    "dicom": (bytes.fromhex("0100000000cd00010000") + b"ARCHIVE         ", None),
}


@pytest.mark.parametrize("case", STRANGERS)
def test_whoever_speaks_no_tls_to_a_server_is_gone_at_once(case: str) -> None:
    data, words = STRANGERS[case]
    party = alone()
    party.wire.receive_data(data, 1.0)
    party.pump()
    assert party.outcome.error is not None
    assert party.outcome.error.startswith("TLS: ")
    assert words in (None, party.outcome.error)
    assert not party.wire.handshake_done


def test_a_server_that_speaks_plain_dicom_is_told_from_tls() -> None:
    engine = Association(requestor(), now=0.0)
    wire = Secured(engine, client_side(), server_side=False, server_hostname=NAME)
    wire.transport_opened(0.0)
    wire.receive_data(bytes.fromhex("0700 00000004 00000200"), 0.0)
    party = Party(engine, wire, lambda event: None)
    party.pump()
    assert party.outcome.error is not None
    assert "the peer does not speak TLS here" in party.outcome.error


# ---------------------------------------------------------------- it always ends, and never raises


def alone(server: ssl.SSLContext | None = None, now: float = 0.0) -> Party:
    """An acceptor that waits for whatever comes."""
    engine = Association(acceptor(), now=now)
    wire = Secured(engine, server or server_side(), server_side=True)
    wire.transport_opened(now)
    return Party(engine, wire, lambda event: serve(engine, event))


def drained(party: Party, now: float) -> bytes:
    """Pumped and written until there is nothing."""
    sent = b""
    party.pump()
    while buffers := party.wire.data_to_send(now):
        sent += b"".join(bytes(buffer) for buffer in buffers)
        party.pump()
    return sent


def ends(party: Party, now: float) -> None:
    """By time alone it ends: there is always a next deadline."""
    for _ in range(20):
        drained(party, now)
        if party.over:
            break
        deadline = party.wire.next_timeout()
        assert deadline is not None
        now = max(now, deadline)
        party.wire.handle_timeout(now)
    assert party.over
    drained(party, now)
    assert party.wire.wants_close
    assert party.wire.bytes_unsent == 0


@given(st.lists(st.binary(max_size=300), max_size=5), st.booleans())
def test_random_bytes_end(chunks: list[bytes], eof: bool) -> None:
    party = alone()
    for chunk in chunks:
        party.wire.receive_data(chunk, 1.0)
        drained(party, 1.0)
    if eof:
        party.wire.receive_eof(2.0)
    ends(party, 2.0)
    assert party.outcome.kind is OutcomeKind.CLOSED


@cache
def undisturbed() -> tuple[list[Any], list[Any]]:
    """What client and server are told when an association is opened and an echo answered."""
    talk = Talk()
    talk.establish()
    talk.client.engine.c_echo()
    talk.run()
    return talk.client.events, talk.server.events


@given(st.data())
def test_a_flipped_byte_is_noticed_wherever_it_is(data: st.DataObject) -> None:
    version = data.draw(st.sampled_from(["TLSv1_2", "TLSv1_3"]))
    from_client = data.draw(st.booleans())
    flight = data.draw(st.integers(0, 3))
    bit = data.draw(st.integers(0, 7))
    position = data.draw(st.floats(0, 1, exclude_max=True))
    seen = 0

    def spoil(chunk: bytes) -> Iterable[bytes]:
        nonlocal seen
        seen += 1
        if seen - 1 == flight:
            at = int(position * len(chunk))
            chunk = chunk[:at] + bytes([chunk[at] ^ 1 << bit]) + chunk[at + 1 :]
        yield chunk

    talk = Talk(client_side(version=version))
    target = talk.server if from_client else talk.client
    genuine = target.wire.receive_data

    def receive(chunk: bytes, now: float) -> None:
        for piece in spoil(chunk):
            genuine(piece, now)

    target.wire.receive_data = receive  # type: ignore[method-assign]
    talk.run()
    if talk.client.over or talk.server.over:
        talk.run()
    elif any(isinstance(event, AssociationAccepted) for event in talk.client.events):
        talk.client.engine.c_echo()
        talk.run()
    for party, unspoilt in zip((talk.client, talk.server), undisturbed(), strict=True):
        told = [event for event in party.events if not isinstance(event, Ended | TransportClosed)]
        assert told == unspoilt[: len(told)]  # fewer perhaps, but no others
        party.engine.abort()  # the spoilt flight may be one that there never was
        ends(party, talk.now)


@given(st.data())
def test_truncation_ends(data: st.DataObject) -> None:
    talk = Talk(client_side(version=data.draw(st.sampled_from(["TLSv1_2", "TLSv1_3"]))))
    left = data.draw(st.integers(0, 4000))
    error = data.draw(st.sampled_from([None, "Connection reset by peer"]))

    def cut(chunk: bytes) -> Iterator[bytes]:
        nonlocal left
        yield chunk[:left]
        left = max(0, left - len(chunk))

    talk.cut = cut
    talk.run()
    if any(isinstance(event, AssociationAccepted) for event in talk.client.events):
        talk.client.engine.c_echo()
        talk.run()
    for party in (talk.client, talk.server):
        done = party.wire.handshake_done
        over = party.over
        party.wire.receive_eof(talk.now, error)
        ends(party, talk.now)
        if not over:
            assert party.outcome.kind is OutcomeKind.CLOSED
            words = [error, "during the TLS handshake"] if not done else [error]
            assert all(word in (party.outcome.error or "") for word in words if word)
            assert done is False or party.outcome.error == error


@given(st.lists(st.integers(1, 40), min_size=1, max_size=40), st.sampled_from(["TLSv1_2", "TLSv1_3"]))
def test_chunking_of_ciphertext_does_not_matter(sizes: list[int], version: str) -> None:
    def by_sizes(chunk: bytes) -> Iterator[bytes]:
        at = turn = 0
        while at < len(chunk):
            size = sizes[turn % len(sizes)]
            yield chunk[at : at + size]
            at, turn = at + size, turn + 1

    def told(cut: Cut) -> list[list[Any]]:
        talk = Talk(client_side(version=version), cut=cut)
        talk.establish()
        talk.sources = [store(talk.client.engine, bytes(3000))]
        talk.run()
        talk.release()
        return [joined(talk.client.events), joined(talk.server.events)]

    assert told(by_sizes) == told(whole)


# ---------------------------------------------------------------- time


def test_the_handshake_counts_against_artim() -> None:
    talk = Talk()
    talk.now = 20.0
    hello = talk.client.wire.data_to_send(20.0)
    for buffer in hello:
        talk.server.wire.receive_data(bytes(buffer), 20.0)
    for buffer in talk.server.wire.data_to_send(20.0):
        talk.client.wire.receive_data(bytes(buffer), 20.0)
    assert talk.client.wire.handshake_done
    finished = talk.client.wire._outgoing.read()  # without the A-ASSOCIATE-RQ, which the client never sends
    talk.server.wire.receive_data(finished, 20.0)
    talk.server.pump()
    assert talk.server.wire.handshake_done
    assert talk.server.engine.state is State.STA2
    assert talk.server.wire.next_timeout() == talk.server.engine.limits.artim == 30.0
    talk.server.wire.handle_timeout(30.0)
    talk.server.pump()
    assert talk.server.outcome.timer is Timer.ARTIM


def test_a_handshake_that_is_never_done_ends_at_its_deadline() -> None:
    party = alone(now=5.0)
    assert party.wire.next_timeout() == 5.0 + HANDSHAKE_SECONDS
    party.wire.handle_timeout(34.9)
    party.pump()
    assert not party.over
    party.wire.handle_timeout(35.0)
    party.pump()
    assert party.outcome.kind is OutcomeKind.CLOSED
    assert party.outcome.error == "the TLS handshake was not done in time"
    ends(party, 35.0)


def test_a_deadline_given_is_the_one() -> None:
    engine = Association(acceptor(), now=0.0)
    wire = Secured(engine, server_side(), server_side=True, deadline=3.0)
    wire.transport_opened(1.0)
    assert wire.next_timeout() == 3.0
    party = Party(engine, wire, lambda event: None)
    talk = Talk()
    wire.receive_data(b"".join(map(bytes, talk.client.wire.data_to_send(0.0))), 2.0)
    assert wire.bytes_unsent > 500  # our certificate
    wire.handle_timeout(3.0)
    party.pump()
    assert party.over
    assert wire.next_timeout() == 3.0 + CLOSING_SECONDS  # the peer has that long to take what is left
    wire.handle_timeout(3.0 + CLOSING_SECONDS)
    assert wire.data_to_send(6.0) == []
    assert wire.wants_close
    assert wire.next_timeout() is None


def test_a_client_waits_as_long_as_its_engine_does() -> None:
    engine = Association(requestor(), now=0.0)
    wire = Secured(engine, client_side(), server_side=False, server_hostname=NAME)
    assert wire.next_timeout() == engine.limits.connect
    wire.transport_opened(1.0)
    assert wire.next_timeout() == engine.limits.connect
    wire.handle_timeout(15.0)
    party = Party(engine, wire, lambda event: None)
    party.pump()
    assert party.outcome.timer is Timer.CONNECT
    wire.receive_data(b"\x16\x03\x03\x00\x00", 15.0)  # too late to matter
    ends(party, 15.0)


def test_a_connection_that_never_came_is_told_as_it_was() -> None:
    engine = Association(requestor(), now=0.0)
    wire = Secured(engine, client_side(), server_side=False, server_hostname=NAME)
    wire.receive_eof(1.0, "refused")
    wire.receive_eof(1.0, "again")
    party = Party(engine, wire, lambda event: None)
    party.pump()
    assert party.outcome.error == "refused"
    with pytest.raises(LocalProtocolError):
        wire.transport_opened(2.0)


def test_a_user_may_abort_in_the_middle_of_the_handshake() -> None:
    talk = Talk()
    talk.client.engine.abort()
    talk.run()
    assert talk.client.outcome.by is Side.LOCAL
    assert talk.client.wire.wants_close
    assert talk.server.outcome.error == "closed during the TLS handshake"


def test_an_engine_that_ended_before_the_connection_came_is_left_alone() -> None:
    engine = Association(requestor(), now=0.0)
    wire = Secured(engine, client_side(), server_side=False, server_hostname=NAME)
    engine.abort()
    wire.transport_opened(1.0)
    assert wire.data_to_send(1.0) == []
    assert wire.wants_close


# ---------------------------------------------------------------- to the letter, with an engine that only writes down


class Notes:
    """An engine that writes down what it is told, and sends what it is given to send."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.output: deque[list[bytes | memoryview]] = deque()
        self.wants_close = False
        self.deadline: float | None = None
        self.in_flight = 0
        self.mid_pdu = False

    def transport_opened(self, now: float) -> None:
        self.told.append(("opened", now))

    def receive_data(self, data: bytes, now: float) -> None:
        assert type(data) is bytes
        self.told.append(("data", data))

    def receive_eof(self, now: float, error: str | None = None) -> None:
        self.told.append(("eof", now, error))

    def handle_timeout(self, now: float) -> None:
        self.told.append(("time", now))

    def data_to_send(self, now: float) -> list[bytes | memoryview]:
        batch = self.output.popleft() if self.output else []
        self.in_flight = sum(map(len, batch))
        return batch

    def next_timeout(self) -> float | None:
        return self.deadline

    @property
    def bytes_unsent(self) -> int:
        return self.in_flight + sum(len(buffer) for batch in self.output for buffer in batch)


def joined_by_tls(version: str = "TLSv1_3") -> tuple[Notes, Secured, Notes, Secured]:
    """Client and server with the handshake behind them."""
    us, them = Notes(), Notes()
    client = Secured(us, client_side(version=version), server_side=False, server_hostname=NAME)
    server = Secured(them, server_side(), server_side=True)
    server.transport_opened(1.0)
    client.transport_opened(2.0)
    for _ in range(3):
        pass_on(client, server, 3.0)
        pass_on(server, client, 4.0)
    assert client.handshake_done
    assert server.handshake_done
    return us, client, them, server


def pass_on(source: Secured, target: Secured, now: float) -> bytes:
    data = b"".join(map(bytes, source.data_to_send(now)))
    if data:
        target.receive_data(data, now)
    return data


def test_the_engine_is_told_the_time_that_its_timers_need() -> None:
    us, _, them, server = joined_by_tls()
    assert us.told == [("opened", 4.0)]
    assert them.told == [("opened", 1.0)]
    server.handle_timeout(5.0)
    assert them.told[-1] == ("time", 5.0)


def test_an_acceptor_is_told_no_time_before_it_is_open() -> None:
    notes = Notes()
    wire = Secured(notes, server_side(), server_side=True)
    wire.transport_opened(1.0)
    wire.handle_timeout(2.0)
    assert wire.data_to_send(2.0) == []
    assert notes.told == []


def test_plaintext_comes_in_few_large_pieces() -> None:
    us, client, them, server = joined_by_tls()
    us.output.append([bytes(12), memoryview(bytes(100_000)), b"", bytes(12), memoryview(bytes(60_000))])
    data = pass_on(client, server, 5.0)
    assert len(data) < 160_024 + 12 * 40  # whole records: small buffers have none of their own
    assert [len(told[1]) for told in them.told[1:]] == [160_024]
    us.output.append([bytes(1_000_000)])
    pass_on(client, server, 5.0)
    sizes = [len(told[1]) for told in them.told[2:]]
    assert sum(sizes) == 1_000_000
    assert len(sizes) == 4
    assert max(sizes) <= 256 * 1024


def test_the_engine_is_asked_again_only_when_all_was_written() -> None:
    us, client, _, _ = joined_by_tls()
    us.output.extend([[b"one"], [b"two"]])
    assert client.bytes_unsent == 6
    first = client.data_to_send(5.0)
    assert len(us.output) == 1
    assert client.bytes_unsent >= 6
    assert client.bytes_unsent == sum(map(len, first)) + 3
    client.data_to_send(5.0)
    assert client.data_to_send(5.0) == []
    assert client.bytes_unsent == 0


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_close_notify_is_said_once_behind_the_last_output(version: str) -> None:
    us, client, them, server = joined_by_tls(version)
    us.output.append([b"last words"])
    us.wants_close = True
    assert not client.wants_close
    pass_on(client, server, 5.0)
    assert not client.wants_close
    assert client.bytes_unsent
    assert client.next_timeout() == 5.0 + CLOSING_SECONDS
    goodbye = pass_on(client, server, 5.0)
    assert goodbye
    assert client.wants_close
    assert client.bytes_unsent == len(goodbye)
    assert client.data_to_send(5.0) == []
    assert client.bytes_unsent == 0
    assert client.next_timeout() is None
    assert them.told[-2:] == [("data", b"last words"), ("eof", 5.0, None)]
    them.wants_close = True
    answer = pass_on(server, client, 6.0)
    assert answer  # theirs, which nobody needs any more
    assert server.wants_close
    client.receive_eof(6.0)
    assert ("eof", 6.0, None) in us.told


def test_both_may_say_close_notify_at_once() -> None:
    us, client, them, server = joined_by_tls()
    us.wants_close = them.wants_close = True
    one, other = client.data_to_send(5.0), server.data_to_send(5.0)
    us.wants_close = them.wants_close = False  # so that they still listen
    server.receive_data(b"".join(map(bytes, one)), 5.0)
    client.receive_data(b"".join(map(bytes, other)), 5.0)
    assert us.told[-1] == them.told[-1] == ("eof", 5.0, None)


def test_a_peer_that_does_not_take_the_goodbye_does_not_hold_us() -> None:
    us, client, _, _ = joined_by_tls()
    us.output.append([b"never taken"])
    client.data_to_send(5.0)
    us.wants_close = True
    us.in_flight = 0  # the engine has given up on it
    assert client.bytes_unsent
    assert client.next_timeout() == 5.0  # at once: it must be told what time it is
    client.handle_timeout(7.0)
    assert client.next_timeout() == 7.0 + CLOSING_SECONDS
    client.handle_timeout(7.0 + CLOSING_SECONDS)
    assert client.bytes_unsent == 0
    assert client.wants_close
    assert client.next_timeout() is None


def test_after_a_reset_nothing_is_owed() -> None:
    us, client, _, _ = joined_by_tls()
    client.receive_eof(5.0, "reset")
    us.wants_close = True
    assert us.told[-1] == ("eof", 5.0, "reset")
    assert client.wants_close
    assert client.data_to_send(5.0) == []
    with pytest.raises(LocalProtocolError):
        client.receive_data(b"x", 6.0)


def test_after_a_fault_the_engine_s_output_is_discarded_and_the_alert_sent() -> None:
    us, client, them, server = joined_by_tls()
    server.receive_data(b"\x17\x03\x03\x00\x20" + bytes(32), 5.0)
    assert them.told[-1][2] == "TLS: bytes were changed on their way (decryption failed or bad record mac)"
    them.output.extend([[b"too"], [b"late"]])
    assert server.bytes_unsent > 7
    alert = pass_on(server, client, 5.0)
    assert 0 < len(alert) < 64
    assert them.bytes_unsent == 0
    assert us.told[-1][2] == "TLS: bytes were changed on their way, says the peer (sslv3 alert bad record mac)"
    server.receive_data(b"more", 5.0)
    server.receive_eof(6.0)
    assert [told[0] for told in them.told].count("eof") == 1


def test_what_came_before_the_fault_is_heard() -> None:
    us, client, them, server = joined_by_tls()
    us.output.append([b"good"])
    data = b"".join(map(bytes, client.data_to_send(5.0)))
    server.receive_data(data + b"\x17\x03\x03\x00\x20" + bytes(32), 5.0)
    assert them.told[1] == ("data", b"good")
    assert them.told[2][0] == "eof"


def test_a_new_handshake_in_which_nothing_can_be_written_holds_the_output_back() -> None:
    us, client, _, _ = joined_by_tls("TLSv1_2")
    genuine = client._tls

    class Busy:
        """TLS in the middle of a new handshake, as a context without OP_NO_RENEGOTIATION allows it."""

        def write(self, data: Any) -> int:
            raise ssl.SSLWantReadError

    us.output.extend([[b"waits"], [b"behind"]])
    client._tls = Busy()  # type: ignore[assignment]
    assert client.data_to_send(5.0) == []
    assert client.data_to_send(5.0) == []
    assert len(us.output) == 1
    assert client.bytes_unsent == 11
    client._tls = genuine
    assert client.data_to_send(5.0)
    assert len(us.output) == 1
    assert client.data_to_send(5.0)
    assert not us.output


def test_a_new_handshake_that_outlives_the_engine_is_given_up() -> None:
    us, client, _, _ = joined_by_tls("TLSv1_2")

    class Busy:
        """TLS in the middle of a new handshake."""

        def write(self, data: Any) -> int:
            raise ssl.SSLWantReadError

    us.output.append([b"waits"])
    client._tls = Busy()  # type: ignore[assignment]
    assert client.data_to_send(5.0) == []
    us.wants_close = True
    assert client.data_to_send(6.0) == []
    assert client.next_timeout() == 6.0 + CLOSING_SECONDS
    client.handle_timeout(6.0 + CLOSING_SECONDS)
    assert client.data_to_send(9.0) == []
    assert client.wants_close
    assert client.bytes_unsent == 0


def test_a_fault_while_writing_is_a_fault() -> None:
    us, client, _, _ = joined_by_tls()

    class Broken:
        """TLS that cannot write."""

        def write(self, data: Any) -> int:
            raise ssl.SSLError("no words")

    us.output.append([b"x"])
    client._tls = Broken()  # type: ignore[assignment]
    assert client.data_to_send(5.0) == []
    assert us.told[-1][0] == "eof"
    assert us.told[-1][2].startswith("TLS: ")


def test_a_fault_after_the_peer_s_last_word_is_not_told_as_another_end() -> None:
    us, client, them, server = joined_by_tls()
    them.wants_close = True
    pass_on(server, client, 5.0)
    assert us.told[-1] == ("eof", 5.0, None)
    told = list(us.told)

    class Broken:
        """TLS that cannot write."""

        def write(self, data: Any) -> int:
            raise ssl.SSLError("no words")

    us.output.append([b"still said"])
    client._tls = Broken()  # type: ignore[assignment]
    assert client.data_to_send(5.0) == []
    assert us.told == told
    us.wants_close = True
    client.data_to_send(5.0)
    assert client.wants_close


def test_a_last_word_in_the_middle_of_the_handshake() -> None:
    party = alone()
    party.wire.receive_data(bytes.fromhex("15030300020100"), 1.0)
    party.pump()
    assert party.outcome.error is not None
    ends(party, 1.0)
    engine = Association(requestor(), now=0.0)
    wire = Secured(engine, client_side(), server_side=False, server_hostname=NAME)
    wire.transport_opened(0.0)
    wire.receive_data(bytes.fromhex("15030300020100"), 1.0)
    party = Party(engine, wire, lambda event: None)
    party.pump()
    assert party.outcome.error == "closed during the TLS handshake"


def test_a_peer_that_makes_us_answer_for_ever_is_a_fault() -> None:
    _, _, them, server = joined_by_tls()
    server._outgoing.write(bytes(64 * 1024))  # what it has never taken
    genuine = server._tls

    class Chatty:
        """TLS that answers something whenever it reads."""

        def read(self, size: int) -> bytes:
            server._outgoing.write(b"no")
            return genuine.read(size)

    server._tls = Chatty()  # type: ignore[assignment]
    server.receive_data(b"\x17", 5.0)
    assert them.told[-1] == ("eof", 5.0, "TLS: the peer makes us answer and takes no answers")


def test_local_mistakes_are_raised_and_change_nothing() -> None:
    notes = Notes()
    wire = Secured(notes, server_side(), server_side=True)
    with pytest.raises(LocalProtocolError):
        wire.receive_data(b"x", 0.0)
    wire.transport_opened(0.0)
    with pytest.raises(LocalProtocolError):
        wire.transport_opened(0.0)
    with pytest.raises(ValueError, match="server_hostname"):
        Secured(notes, client_side(), server_side=False)
    with pytest.raises(ssl.SSLError):
        Secured(notes, client_side(), server_side=True)
    assert notes.told == []


def test_mid_pdu_while_anything_is_incomplete() -> None:
    talk = Talk()
    wire = talk.server.wire
    assert wire.mid_pdu  # the handshake
    assert not Secured(Notes(), server_side(), server_side=True).mid_pdu
    talk.establish()
    assert not wire.mid_pdu
    talk.client.wire._tls.write(b"\x04\x00\x00")
    wire.receive_data(talk.client.wire._outgoing.read(), 0.0)
    talk.server.pump()
    assert wire.mid_pdu  # half the header of a PDU
    wire.receive_eof(0.0)
    assert not wire.mid_pdu


@given(st.lists(st.integers(0, 60), min_size=1, max_size=5), st.data())
def test_mid_pdu_in_the_middle_of_records_and_nowhere_else(sizes: list[int], data: st.DataObject) -> None:
    _, client, _, server = joined_by_tls()
    records = []
    for size in sizes:
        client._tls.write(bytes(size + 1))
        records.append(client._outgoing.read())
    ends = {sum(map(len, records[:count])) for count in range(len(records) + 1)}
    stream = b"".join(records)
    cuts = [*sorted(data.draw(st.sets(st.integers(0, len(stream))))), len(stream)]
    at = 0
    for cut in cuts:
        server.receive_data(stream[at:cut], 5.0)
        at = cut
        assert server.mid_pdu is (at not in ends)


# ---------------------------------------------------------------- memory


def test_memory_does_not_grow_with_what_is_streamed() -> None:
    us, client, them, server = joined_by_tls()
    piece = memoryview(bytes(128 * 1024))
    header = bytes(12)
    passed = 0
    tracemalloc.start()
    try:
        for _ in range(160):
            us.output.append([header, piece, header, piece])
            passed += len(pass_on(client, server, 5.0))
            assert server._incoming.pending == client._outgoing.pending == 0
            them.told.clear()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert passed > 40 << 20
    assert peak < 3 << 20
    assert math.isfinite(client._now)


def test_a_record_that_never_ends_is_not_gathered() -> None:
    party = alone()
    for _ in range(64):
        party.wire.receive_data(b"\x16\x03\x01\x40\x00" + bytes(16 * 1024), 1.0)
        party.pump()
        if party.over:
            break
    assert party.over
    assert party.wire._incoming.pending == 0
