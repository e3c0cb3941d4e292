"""What stands between the bytes of a connection and its association: nothing, TLS, and whoever looks on."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme

from engine_pair import acceptor, requestor
from sansdimse import NEED_DATA, Association, AssociationRequested, Limits, OutcomeKind, Side, State
from sansdimse.admission import Certificate
from sansdimse.peer.link import Engine
from sansdimse.peer.tap import Tapped
from sansdimse_files import Secured, client_context, server_context
from sansdimse_files.wiring import Wire, check_server_context, wire


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(folder / "ca.pem"))
    for name, identities in (("server", ["archive.test"]), ("client", ["scanner.test", "192.0.2.7"])):
        leaf = ca.issue_cert(*identities, common_name=f"{name}.test", organization_name="Hospital")
        leaf.private_key_and_cert_chain_pem.write_to_path(str(folder / f"{name}.pem"))
    return folder


def ends() -> tuple[Association, Association]:
    return Association(requestor(), now=0.0), Association(acceptor(), now=0.0)


def talk(*pairs: tuple[Association, Engine]) -> None:
    """Open both, and let pass what there is until nothing moves; the acceptor accepts."""
    for _, outside in pairs:
        outside.transport_opened(0.0)
    moved = True
    while moved:
        moved = False
        for (engine, outside), (_, other) in (pairs, pairs[::-1]):
            while not engine.wants_close and (event := engine.next_event()) is not NEED_DATA:
                if isinstance(event, AssociationRequested):
                    engine.accept()
            for buffer in outside.data_to_send(0.0):
                moved = True
                other.receive_data(bytes(buffer), 0.0)


def test_without_anything_it_is_the_engine_itself() -> None:
    engine, _ = ends()
    plain = wire(engine, None, server_side=False)
    assert plain.engine is engine
    assert plain.certificate() is None


class Seen:
    """A tap that keeps all."""

    def __init__(self) -> None:
        self.bytes = {Side.LOCAL: bytearray(), Side.PEER: bytearray()}

    def __call__(self, side: Side, data: bytes | memoryview, now: float) -> None:
        self.bytes[side] += data


def test_a_tap_is_around_the_engine() -> None:
    (ours, theirs), seen = ends(), Seen()
    tapped = wire(ours, None, server_side=False, tap=seen)
    assert isinstance(tapped.engine, Tapped)
    talk((ours, tapped.engine), (theirs, theirs))
    assert ours.state is State.STA6
    assert (seen.bytes[Side.LOCAL][0], seen.bytes[Side.PEER][0]) == (1, 2)


def secured(folder: Path, clients: Any, *, certificate: bool, verify: bool = True) -> tuple[Any, Wire, Wire, Seen]:
    """Both ends with TLS, talked to the end of their negotiation; and what a tap at ours saw."""
    ca = folder / "ca.pem"
    server = server_context(
        certificate=folder / "server.pem", ca=None if clients == "none" else ca, client_certificates=clients
    )
    client = client_context(
        ca=ca if verify else None, certificate=folder / "client.pem" if certificate else None, verify=verify
    )
    (ours, theirs), seen = ends(), Seen()
    us = wire(ours, client, server_side=False, server_name="archive.test", tap=seen)
    them = wire(theirs, server, server_side=True, deadline=30.0)
    assert isinstance(us.engine, Secured)
    assert isinstance(them.engine, Secured)
    assert us.certificate() is them.certificate() is None, "nothing is known yet"
    talk((ours, us.engine), (theirs, them.engine))
    return (ours, theirs), us, them, seen


def test_with_tls_a_tap_sees_it_taken_off_and_each_end_the_others_certificate(folder: Path) -> None:
    (ours, theirs), us, them, seen = secured(folder, "required", certificate=True)
    assert ours.state is theirs.state is State.STA6
    assert (seen.bytes[Side.LOCAL][0], seen.bytes[Side.PEER][0]) == (1, 2)
    server, client = us.certificate(), them.certificate()
    assert isinstance(server, Certificate)
    assert isinstance(client, Certificate)
    assert server.names == ("DNS:archive.test",)
    assert client.names == ("DNS:scanner.test", "IP Address:192.0.2.7")
    assert "commonName=client.test" in client.subject
    assert "organizationName=Hospital" in client.subject
    pem = (folder / "client.pem").read_text()
    begin = pem.index("-----BEGIN CERTIFICATE-----")
    end = pem.index("-----END CERTIFICATE-----") + len("-----END CERTIFICATE-----\n")
    assert client.der == ssl.PEM_cert_to_DER_cert(pem[begin:end])


def test_who_shows_none_has_none(folder: Path) -> None:
    _, us, them, _ = secured(folder, "optional", certificate=False)
    assert them.certificate() is None
    assert us.certificate() is not None


def test_what_nobody_verified_is_no_certificate(folder: Path) -> None:
    _, us, _, _ = secured(folder, "none", certificate=False, verify=False)
    assert isinstance(us.engine, Secured)
    assert us.engine.peer_certificate is not None
    assert us.certificate() is None


def test_a_deadline_is_for_the_handshake(folder: Path) -> None:
    engine = Association(acceptor(limits=Limits()), now=0.0)
    server = server_context(certificate=folder / "server.pem")
    silent = wire(engine, server, server_side=True, deadline=5.0).engine
    silent.transport_opened(0.0)
    assert silent.next_timeout() == 5.0
    silent.handle_timeout(5.0)
    engine.next_event()
    assert engine.outcome is not None
    assert engine.outcome.kind is OutcomeKind.CLOSED


@pytest.mark.parametrize("name", [None, ""])
def test_a_client_that_checks_names_needs_one(folder: Path, name: str | None) -> None:
    engine, _ = ends()
    context = client_context(ca=folder / "ca.pem")
    with pytest.raises(ValueError, match="host name"):
        wire(engine, context, server_side=False, server_name=name)


def test_a_context_of_a_client_is_refused_where_a_server_is_given_it(folder: Path) -> None:
    check_server_context(None)
    check_server_context(server_context(certificate=folder / "server.pem"))
    with pytest.raises(ssl.SSLError, match="server"):
        check_server_context(client_context(ca=folder / "ca.pem"))


@pytest.mark.parametrize("nonsense", [True, "archive.pem"])
def test_what_is_no_context_is_told_where_it_is_given(nonsense: Any) -> None:
    with pytest.raises(TypeError, match=f"sansdimse_files.server_context for one, not a {type(nonsense).__name__}"):
        check_server_context(nonsense)
    for side, server_side in (("server", True), ("client", False)):
        with pytest.raises(TypeError, match=f"tls= is an ssl.SSLContext, of sansdimse_files.{side}_context for one"):
            wire(ends()[0], nonsense, server_side=server_side)
