"""We send, the software of others receives: DCMTK, Orthanc and pynetdicom as servers."""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import generate_uid

from archive import bundled, data_set_of, essence, syntax_of, until
from interop import peers
from interop.capture import Capture, capturing
from sansdimse import (
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    SUCCESS,
    VERIFICATION,
    ExtendedNegotiation,
    LocalProtocolError,
    OutcomeKind,
    PresentationContext,
    Side,
    State,
    UserIdentityAC,
    UserIdentityRQ,
)
from sansdimse.dataset import Instance
from sansdimse_files import open_instance
from sansdimse_socket import AssociationLost, associate

CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT_CT = PresentationContext(CT, (EXPLICIT_VR_LITTLE_ENDIAN,))
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
SERVERS = ("storescp", "dcmrecv", "dcmqrscp", "orthanc", "pynetdicom_scp")


def encoded(data_length: int, uid: str, syntax: str = EXPLICIT_VR_LITTLE_ENDIAN) -> Instance:
    """A CT instance whose Explicit VR Little Endian data set has just this even length: UIDs, and zeros for pixels."""
    identity = (
        (0x00080016, CT),
        (0x00080018, uid),
        (0x00100020, "PATIENT"),
        (0x0020000D, "1.2.3"),
        (0x0020000E, "1.2.4"),
    )
    head = b""
    for tag, text in identity:
        value = text.encode() + bytes(len(text) % 2)
        vr = b"LO" if tag == 0x00100020 else b"UI"
        head += struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, len(value)) + value
    filling = data_length - len(head) - 12
    assert filling >= 0, "too short for the identity"
    data = head + b"\xe0\x7f\x10\0OW\0\0" + filling.to_bytes(4, "little") + bytes(filling)
    assert len(data) == data_length
    return Instance(CT, uid, syntax, data_length, lambda: iter([data]))


@pytest.fixture
def server(request: pytest.FixtureRequest) -> peers.Server:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, peers.Server)
    return found


def connect(server: peers.Server, *contexts: PresentationContext | str, **options: Any) -> Any:
    return associate(
        server.host,
        server.port,
        **{"called": server.ae_title, "contexts": contexts or [VERIFICATION, EXPLICIT_CT], **options},
    )


# ---------------------------------------------------------------- C-ECHO and the association


@pytest.mark.parametrize("server", SERVERS, indirect=True)
def test_every_server_answers_our_echo_and_our_release(server: peers.Server) -> None:
    with connect(server, VERIFICATION) as peer:
        assert [peer.c_echo() for _ in range(3)] == [SUCCESS] * 3
        assert peer.info.agreement.deviations == ()
    assert (peer.outcome.kind, peer.outcome.by) == (OutcomeKind.RELEASED, Side.LOCAL)


def test_a_thousand_echoes_complete(storescp: peers.Server) -> None:
    with connect(storescp, VERIFICATION) as peer:
        assert sum(peer.c_echo() == SUCCESS for _ in range(1000)) == 1000


@pytest.mark.parametrize("server", SERVERS, indirect=True)
def test_an_abort_is_taken_and_the_next_association_too(server: peers.Server) -> None:
    with connect(server, VERIFICATION) as peer:
        peer.c_echo()
        outcome = peer.abort()
        assert (outcome.kind, outcome.by) == (OutcomeKind.ABORTED, Side.LOCAL)
        with pytest.raises(AssociationLost):
            peer.c_echo()
    with connect(server, VERIFICATION) as peer:
        assert peer.c_echo() == SUCCESS


def test_leaving_by_an_exception_is_an_abort_to_the_peer(tmp_path: Path) -> None:
    from pynetdicom import evt

    seen: list[Any] = []
    with peers.pynetdicom_scp(tmp_path / "p", [(evt.EVT_ABORTED, seen.append)]) as server:
        with pytest.raises(ZeroDivisionError), connect(server):
            raise ZeroDivisionError
        until(lambda: seen, "the abort at pynetdicom")


def test_a_wrong_called_title_is_rejected(dcmqrscp: peers.Server, tmp_path: Path) -> None:
    with peers.orthanc(tmp_path / "orthanc", settings={"DicomCheckCalledAet": True}) as orthanc:
        for server in (dcmqrscp, orthanc):
            with pytest.raises(AssociationLost, match="rejected by the peer") as caught, connect(server, called="NO"):
                pass
            outcome = caught.value.outcome
            assert (outcome.kind, outcome.by, outcome.state) == (OutcomeKind.REJECTED, Side.PEER, State.STA5)
            assert (outcome.result, outcome.source, outcome.reason) == (1, 1, 7)


def test_an_scp_that_refuses_all_is_an_outcome(tmp_path: Path) -> None:
    with (
        peers.storescp(tmp_path / "storescp", "--refuse") as server,
        pytest.raises(AssociationLost) as caught,
        connect(server),
    ):
        pass
    assert caught.value.outcome.kind is OutcomeKind.REJECTED


@pytest.mark.parametrize("when", ["--abort-after", "--abort-during"])
def test_an_scp_that_aborts_a_store_is_an_outcome(tmp_path: Path, when: str) -> None:
    with (
        peers.storescp(tmp_path / "storescp", when) as server,
        pytest.raises(AssociationLost) as caught,
        connect(server) as peer,
    ):
        peer.c_store(encoded(5_000_000, "1.2.3"))
    assert (caught.value.outcome.kind, caught.value.outcome.by) == (OutcomeKind.ABORTED, Side.PEER)


def test_a_user_identity_is_believed_and_one_that_is_not_is_rejected(tmp_path: Path) -> None:
    from pynetdicom import evt

    def check(event: Any) -> tuple[bool, bytes | None]:
        known = (2, b"me", b"secret"), (3, b"\0ticket\xff", b"")
        return (event.user_id_type, event.primary_field, event.secondary_field or b"") in known, b"welcome"

    with peers.pynetdicom_scp(tmp_path / "p", [(evt.EVT_USER_ID, check)]) as server:
        with connect(server, user_identity=UserIdentityRQ(2, b"me", b"secret")) as peer:
            assert peer.c_echo() == SUCCESS
            assert peer.info.agreement.user_identity_response is None
        with connect(server, user_identity=UserIdentityRQ(3, b"\0ticket\xff", b"", 1)) as peer:
            assert peer.c_echo() == SUCCESS
            assert peer.info.agreement.user_identity_response == UserIdentityAC(b"welcome")
        with (
            pytest.raises(AssociationLost) as caught,
            connect(server, user_identity=UserIdentityRQ(2, b"me", b"guess", 1)),
        ):
            pass
        assert caught.value.outcome.kind is OutcomeKind.REJECTED


def test_extended_negotiation_is_answered(tmp_path: Path) -> None:
    from pynetdicom import evt

    def answer(event: Any) -> dict[str, bytes]:
        return {uid: information[:2] + b"\0" for uid, information in event.app_info.items()}

    offered = (ExtendedNegotiation(CT, b"\2\1\1"),)
    handlers = [(evt.EVT_SOP_EXTENDED, answer)]
    with peers.pynetdicom_scp(tmp_path / "p", handlers) as server, connect(server, extended=offered) as peer:
        assert peer.info.agreement.extended == {CT: b"\2\1\0"}


# ---------------------------------------------------------------- C-STORE


@pytest.mark.parametrize("maximum", ["4096", "16384", "131072"])
@pytest.mark.parametrize("ours", [4096, 131072])
def test_the_bits_arrive_whatever_the_maximum_length(tmp_path: Path, maximum: str, ours: int) -> None:
    sent = bundled("CT_small.dcm")
    with peers.storescp(tmp_path / "storescp", "+B", "--max-pdu", maximum) as server:
        with connect(server, maximum_length=ours) as peer:
            assert peer.info.agreement.maximum_length == int(maximum)
            assert peer.c_store(sent) == SUCCESS
        [stored] = server.files()
    assert data_set_of(stored) == data_set_of(sent)


def around(maximum: int) -> list[int]:
    whole = maximum - 6
    return [*range(180, 188, 2), *(n * whole + d for n in (1, 2, 3) for d in (-4, -2, 0, 2, 4)), 16 * whole]


def test_data_sets_that_just_fill_their_fragments_arrive(tmp_path: Path) -> None:
    lengths = {f"1.2.3.{n}": n for n in around(4096)}
    with peers.storescp(tmp_path / "storescp", "+B", "--max-pdu", "4096") as server:
        with connect(server) as peer:
            for uid, length in lengths.items():
                assert peer.c_store(encoded(length, uid)) == SUCCESS
        assert {len(data_set_of(path)) for path in server.files()} == set(lengths.values())
        assert len(server.files()) == len(lengths)


def test_an_odd_maximum_length_gets_even_fragments(tmp_path: Path) -> None:
    for maximum in (4097, 16383):
        with peers.pynetdicom_scp(tmp_path / str(maximum), maximum_pdu_size=maximum) as server:
            instance = encoded(100_000, "1.2.3")
            with connect(server) as peer:
                assert peer.c_store(instance) == SUCCESS
            assert data_set_of(server.files()[0]) == b"".join(instance.pieces())


@pytest.mark.parametrize("server", ["storescp", "dcmrecv", "orthanc", "pynetdicom_scp"], indirect=True)
def test_a_large_data_set_arrives(server: peers.Server) -> None:
    uid = generate_uid()
    instance = encoded(20_000_000, uid)
    told: list[int] = []
    with connect(server) as peer:
        assert peer.c_store(instance, progress=told.append) == SUCCESS
    assert told[-1] == 20_000_000
    assert told == sorted(told)
    sent = b"".join(instance.pieces())
    if server.name == "orthanc":
        assert server.instances()[uid].endswith(sent)
    else:
        assert data_set_of(server.files()[0]) == sent


@pytest.mark.parametrize("server", ["storescp", "dcmrecv", "pynetdicom_scp"], indirect=True)
def test_200_instances_on_one_association(server: peers.Server) -> None:
    instances = [encoded(2000 + 2 * n, f"1.2.3.{n + 1}") for n in range(200)]
    with connect(server) as peer:
        assert [status for _, status in peer.c_store_each(instances)] == [SUCCESS] * 200
    assert len(server.files()) == 200


@pytest.mark.parametrize("server", ["forking_storescp", "orthanc", "pynetdicom_scp"], indirect=True)
def test_several_associations_at_once(server: peers.Server) -> None:
    together = threading.Barrier(5, timeout=30)
    done: list[int] = []

    def store(number: int) -> None:
        with connect(server, calling=f"US{number}") as peer:
            together.wait()  # all five are established before one stores
            done.extend(peer.c_store(encoded(100_000, f"1.2.4.{number}.{n + 1}")) for n in range(10))

    threads = [threading.Thread(target=store, args=(number,)) for number in range(1, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done == [SUCCESS] * 50


def test_paths_data_sets_and_instances_are_sources(storescp: peers.Server) -> None:
    path = bundled("CT_small.dcm")
    with connect(storescp) as peer:
        sources: list[Callable[[], Any]] = [lambda: path, lambda: str(path), lambda: dcmread(path)]
        for make in sources:
            assert peer.c_store(make()) == SUCCESS
            [stored] = storescp.files()
            assert dcmread(stored) == dcmread(path)
            stored.unlink()
        with open_instance(path) as instance:
            assert peer.c_store(instance) == SUCCESS
        [stored] = storescp.files()
        assert data_set_of(stored) == data_set_of(path)


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small_implicit.dcm", "MR_small_bigendian.dcm"])
@pytest.mark.parametrize("syntax", [IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN])
def test_what_is_uncompressed_is_converted_to_the_one_syntax_accepted(
    storescp: peers.Server, name: str, syntax: str
) -> None:
    path = bundled(name)
    with connect(storescp, PresentationContext(dcmread(path).SOPClassUID, (syntax,))) as peer:
        assert peer.c_store(path) == SUCCESS
    [stored] = storescp.files()
    assert syntax_of(stored) == syntax
    received, original = essence(stored), essence(path)
    assert (received.pixel_array == original.pixel_array).all()
    for dataset in (received, original):
        del dataset.PixelData
    assert received == original


def test_what_cannot_be_sent_says_what_could(tmp_path: Path) -> None:
    compressed = bundled("SC_rgb_jpeg_dcmtk.dcm")
    sop_class = dcmread(compressed, stop_before_pixels=True).SOPClassUID
    with peers.storescp(tmp_path / "storescp", "+xi") as server:
        contexts = [
            PresentationContext(sop_class, (JPEG_BASELINE,)),
            PresentationContext(sop_class, (IMPLICIT_VR_LITTLE_ENDIAN,)),
        ]
        with connect(server, *contexts, VERIFICATION) as peer:
            with pytest.raises(LocalProtocolError, match=r"JPEG Baseline.*takes it in: Implicit VR Little Endian"):
                peer.c_store(compressed)
            with pytest.raises(LocalProtocolError, match="no presentation context for it was proposed"):
                peer.c_store(bundled("CT_small.dcm"))
            assert peer.c_echo() == SUCCESS
        refused = "the peer refused its presentation contexts"
        with connect(server, contexts[0]) as peer, pytest.raises(LocalProtocolError, match=refused):
            peer.c_store(compressed)


def test_a_failure_of_the_peer_is_a_status_with_its_comment(tmp_path: Path) -> None:
    from pynetdicom import evt

    def store(event: Any) -> Dataset:
        status = Dataset()
        status.Status = 0xA700
        status.ErrorComment = "no room"
        return status

    sources: list[Any] = [bundled("CT_small.dcm"), tmp_path / "missing", bundled("rtplan.dcm")]
    with peers.pynetdicom_scp(tmp_path / "p", [(evt.EVT_C_STORE, store)]) as server, connect(server) as peer:
        (_, first), (_, second), (_, third) = peer.c_store_each(sources)
        assert first == 0xA700
        assert first.response.error_comment == "no room"
        assert isinstance(second, FileNotFoundError)
        assert isinstance(third, LocalProtocolError)
        assert peer.c_echo() == SUCCESS


def test_a_source_that_fails_in_the_middle_aborts(pynetdicom_scp: peers.Server) -> None:
    def pieces() -> Iterator[bytes]:
        yield bytes(100_000)
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"), connect(pynetdicom_scp) as peer:
        peer.c_store(Instance(CT, "1.2.3", EXPLICIT_VR_LITTLE_ENDIAN, None, pieces))
    assert (peer.outcome.kind, peer.outcome.by) == (OutcomeKind.ABORTED, Side.LOCAL)
    assert pynetdicom_scp.files() == []


# ---------------------------------------------------------------- what a bystander sees


def test_wireshark_finds_nothing_wrong_with_what_we_send(storescp: peers.Server, tmp_path: Path) -> None:
    with capturing(storescp.port, tmp_path / "scu.pcap") as capture, connect(storescp) as peer:
        assert peer.c_echo() == SUCCESS
        assert peer.c_store(bundled("CT_small.dcm")) == SUCCESS
    check(capture)


def check(capture: Capture) -> None:
    assert capture.complaints() == []
    types = capture.pdu_types()
    assert types[:2] == [1, 2]
    assert types[-2:] == [5, 6]
    assert set(types[2:-2]) == {4}
