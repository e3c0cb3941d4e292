"""The software of others sends, we receive: DCMTK, Orthanc and pynetdicom as clients of our server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid

from archive import Archive, Running, archive, bundled, data_set_of, essence, syntax_of, until
from interop import peers
from interop.capture import capturing
from sansdimse import (
    VERIFICATION,
    AsynchronousOperationsWindow,
    Code,
    OutcomeKind,
    Side,
    Status,
    Timer,
)
from sansdimse.admission import Applicant
from sansdimse.dataset import part10_header
from sansdimse_socket import Failure, Store

CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
IMPLICIT = "1.2.840.10008.1.2"


CT_SMALL = bundled("CT_small.dcm")


@pytest.fixture
def ours(tmp_path: Path) -> Iterator[Running]:
    with archive(tmp_path / "ours") as running:
        yield running


def released(running: Running, number: int = 1) -> None:
    """The association ended as it should, and its peer did nothing that the standard does not allow."""
    ended, outcome = running.end(number)
    assert (outcome.kind, outcome.by) == (OutcomeKind.RELEASED, Side.PEER), str(outcome)
    assert {each.code for each in ended.deviations} <= {Code.RESERVED_NOT_ZERO}  # DCMTK's results in proposals are FF


# ---------------------------------------------------------------- DCMTK: echoscu


@pytest.mark.parametrize(
    "options", [[], ["--propose-ts", "38"], ["--propose-pc", "128"], ["--max-pdu", "4096"], ["--max-pdu", "131072"]]
)
def test_echoscu(ours: Running, options: list[str]) -> None:
    done = peers.run_tool("echoscu", "-v", *options, *ours.address)
    assert "Received Echo Response (Success)" in done.stdout
    released(ours)


def test_a_thousand_echoes_complete(ours: Running) -> None:
    peers.run_tool("echoscu", "--repeat", "1000", *ours.address)
    released(ours)
    assert ours.ends[0][1].messages_received == 1000


def test_echoscu_that_aborts(ours: Running) -> None:
    peers.run_tool("echoscu", "--abort", *ours.address)
    _, outcome = ours.end()
    assert (outcome.kind, outcome.by, outcome.source) == (OutcomeKind.ABORTED, Side.PEER, 0)
    peers.run_tool("echoscu", *ours.address)
    released(ours, 2)


def test_titles_are_checked_if_we_say_so(tmp_path: Path) -> None:
    with archive(tmp_path / "ours", ae_title="US", require_called=True, allowed_calling=["FRIEND"]) as running:
        for called, calling, said in (
            ("THEM", "FRIEND", "Called AE Title Not Recognized"),
            ("US", "STRANGER", "Calling AE Title Not Recognized"),
        ):
            done = peers.run_tool("echoscu", "-aec", called, "-aet", calling, *running.address, check=False)
            assert done.returncode != 0
            assert said in done.stdout
        peers.run_tool("echoscu", "-aec", "US", "-aet", "FRIEND", *running.address)
        kinds = [running.end(number)[1].kind for number in (1, 2, 3)]
        assert kinds == [OutcomeKind.REJECTED, OutcomeKind.REJECTED, OutcomeKind.RELEASED]


# ---------------------------------------------------------------- DCMTK: storescu, dcmsend


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--required"],
        ["--combine"],
        ["--required", "--combine"],
        ["-xe"],
        ["-xb"],
        ["-xi"],
        ["-xs"],
        ["-xy"],
        ["-xv"],
        ["-xr"],
        ["-xd"],
        ["--max-pdu", "4096"],
        ["--max-pdu", "131072"],
        ["--max-send-pdu", "4096"],
        ["--max-send-pdu", "131072"],
    ],
    ids=" ".join,
)
def test_storescu(ours: Running, options: list[str]) -> None:
    peers.run_tool("storescu", *options, *ours.address, CT_SMALL)
    released(ours)
    [stored] = ours.files()
    assert essence(stored) == essence(CT_SMALL)


@pytest.mark.parametrize("maximum", [0, 4096, 16384, 131072, 1 << 20])
def test_storescu_obeys_our_maximum_length(tmp_path: Path, maximum: int) -> None:
    with archive(tmp_path / "ours", maximum_length=maximum) as running:
        peers.run_tool("storescu", "-R", *running.address, CT_SMALL)
        released(running)
        assert len(running.files()) == 1


def test_storescu_that_aborts_after_its_stores(ours: Running) -> None:
    peers.run_tool("storescu", "--abort", "-R", *ours.address, CT_SMALL)
    _, outcome = ours.end()
    assert (outcome.kind, outcome.by) == (OutcomeKind.ABORTED, Side.PEER)
    assert len(ours.files()) == 1


@pytest.mark.parametrize("options", [[], ["-dn"], ["-ma"], ["--max-pdu", "4096"]], ids=" ".join)
def test_dcmsend_sends_a_folder_of_everything(ours: Running, options: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "sent"
    folder.mkdir()
    names = "CT_small", "MR_small_bigendian", "rtplan", "JPEG2000", "MR_small_RLE", "SC_rgb_jpeg_dcmtk", "image_dfl"
    for name in names:
        (folder / f"{name}.dcm").write_bytes(bundled(f"{name}.dcm").read_bytes())
    peers.run_tool("dcmsend", "-v", "--scan-directories", "-nuc", *options, *ours.address, folder)
    until(lambda: ours.ends)
    sent = {dcmread(path, stop_before_pixels=True).SOPInstanceUID for path in folder.iterdir()}
    assert {path.stem for path in ours.files()} == sent


@pytest.mark.parametrize("tool", ["storescu", "dcmsend"])
def test_200_instances_on_one_association(ours: Running, tool: str, tmp_path: Path) -> None:
    folder = many(tmp_path / "sent", 200)
    peers.run_tool(tool, *(["-R"] if tool == "storescu" else []), "+sd", *ours.address, folder)
    released(ours)
    assert len(ours.ends) == 1
    assert len(ours.files()) == 200
    for path in ours.files():
        assert data_set_of(path) == data_set_of(folder / path.name)


def many(folder: Path, number: int) -> Path:
    folder.mkdir()
    for _ in range(number):
        write(folder, 2000)
    return folder


def write(folder: Path, size: int) -> Path:
    """A CT file with this many bytes of pixel data."""
    uid = generate_uid()
    data = b"".join(
        tag + vr + len(value).to_bytes(2, "little") + value
        for tag, vr, value in (
            (b"\x08\0\x16\0", b"UI", CT.encode() + b"\0"),
            (b"\x08\0\x18\0", b"UI", uid.encode() + bytes(len(uid) % 2)),
            (b"\x10\0\x20\0", b"LO", b"PATIENT "),
            (b"\x20\0\x0d\0", b"UI", b"1.2.3\0"),
            (b"\x20\0\x0e\0", b"UI", b"1.2.4\0"),
        )
    )
    data += b"\xe0\x7f\x10\0OW\0\0" + size.to_bytes(4, "little") + os.urandom(size)
    path = folder / f"{uid}.dcm"
    path.write_bytes(part10_header(CT, uid, EXPLICIT) + data)
    return path


@pytest.mark.parametrize("size", [2, 4, 16366, 16368, 16370, 16372, 16374, 16376, 16378, 20_000_000])
def test_data_sets_of_all_sizes_arrive_as_they_were(ours: Running, tmp_path: Path, size: int) -> None:
    sent = write(tmp_path, size)
    peers.run_tool("storescu", "-R", "-xe", *ours.address, sent)
    released(ours)
    [stored] = ours.files()
    assert data_set_of(stored) == data_set_of(sent)


def test_several_clients_at_once(ours: Running, tmp_path: Path) -> None:
    folder = many(tmp_path / "sent", 20)
    command = [peers.require("storescu"), "-R", "+II", "+sd", *ours.address, str(folder)]
    clients = [subprocess.Popen(command) for _ in range(5)]
    assert [client.wait(60) for client in clients] == [0] * 5
    for number in range(1, 6):
        released(ours, number)
    assert len(ours.files()) == 100


def test_a_status_reaches_dcmtk(tmp_path: Path) -> None:
    class Full(Archive):
        def c_store(self, store: Store) -> Status:
            raise Failure(0xA700, "no room")

    with archive(tmp_path / "ours", Full(tmp_path)) as running:
        done = peers.run_tool("storescu", "-v", "-R", *running.address, CT_SMALL, check=False)
        assert "Refused: OutOfResources" in done.stdout
        released(running)


@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGTERM])
def test_storescu_killed_in_the_middle_of_a_data_set_leaves_no_file(
    ours: Running, tmp_path: Path, kind: signal.Signals
) -> None:
    large = write(tmp_path, 400_000_000)
    with subprocess.Popen([peers.require("storescu"), "-R", *ours.address, str(large)]) as client:
        until(lambda: any(path.stat().st_size > 1_000_000 for path in ours.files()), "the beginning of the data set")
        client.send_signal(kind)
    _, outcome = ours.end()
    assert outcome.kind in (OutcomeKind.CLOSED, OutcomeKind.ABORTED)
    assert outcome.outstanding == 1
    until(lambda: not ours.files(), "the handler to clean up")
    peers.run_tool("storescu", "-R", *ours.address, CT_SMALL)
    released(ours, 2)
    assert len(ours.files()) == 1


# ---------------------------------------------------------------- pynetdicom


def dicom_ae(*contexts: tuple[str, list[str]]) -> Any:
    pynetdicom = peers.require_pynetdicom()
    ae = pynetdicom.AE(ae_title="PYNETDICOM")
    ae.add_requested_context(VERIFICATION)
    for abstract, transfer in contexts:
        ae.add_requested_context(abstract, transfer)
    return ae


def host_and_port(running: Running) -> tuple[str, int]:
    return running.address[0], int(running.address[1])


@pytest.mark.parametrize("maximum", [0, 4096, 4097, 16382, 131072])
def test_pynetdicom_echoes_and_stores(ours: Running, maximum: int) -> None:
    ae = dicom_ae((CT, [EXPLICIT]))
    assoc = ae.associate(*host_and_port(ours), max_pdu=maximum)
    assert assoc.is_established
    assert assoc.send_c_echo().Status == 0
    dataset = dcmread(CT_SMALL)
    assert assoc.send_c_store(dataset).Status == 0
    assoc.release()
    _engine, outcome = ours.end()
    assert outcome.kind is OutcomeKind.RELEASED
    [stored] = ours.files()
    assert dcmread(stored) == dataset


def test_pynetdicom_aborts(ours: Running) -> None:
    assoc = dicom_ae().associate(*host_and_port(ours))
    assoc.abort()
    _, outcome = ours.end()
    assert (outcome.kind, outcome.by) == (OutcomeKind.ABORTED, Side.PEER)


def test_pynetdicom_with_an_identity_extended_negotiation_and_a_window(tmp_path: Path) -> None:
    from pynetdicom.pdu_primitives import (
        AsynchronousOperationsWindowNegotiation,
        SOPClassExtendedNegotiation,
        UserIdentityNegotiation,
    )

    identity = UserIdentityNegotiation()
    identity.user_identity_type, identity.primary_field, identity.secondary_field = 2, b"me", b"secret"
    extended = SOPClassExtendedNegotiation()
    extended.sop_class_uid, extended.service_class_application_information = CT, b"\2\1\1"
    window = AsynchronousOperationsWindowNegotiation()
    window.maximum_number_operations_invoked, window.maximum_number_operations_performed = 5, 1
    identities = []

    def access(applicant: Applicant) -> bool:
        identities.append(applicant.user_identity)
        return True

    options = {
        "extended": {CT: lambda offered: offered[:1] + b"\0\0"},
        "window": AsynchronousOperationsWindow(3, 1),
        "access": access,
    }
    with archive(tmp_path / "ours", **options) as running:
        ae = dicom_ae((CT, [EXPLICIT]))
        assoc = ae.associate(*host_and_port(running), ext_neg=[identity, extended, window])
        assert assoc.is_established
        assert assoc.acceptor.sop_class_extended == {CT: b"\2\0\0"}
        assert assoc.acceptor.asynchronous_operations == (3, 1)
        assert assoc.send_c_store(dcmread(CT_SMALL)).Status == 0
        assoc.release()
        _, outcome = running.end()
        assert outcome.kind is OutcomeKind.RELEASED
    assert [identity.primary_field for identity in identities if identity is not None] == [b"me"]


def test_an_idle_client_is_aborted_when_we_say_so(tmp_path: Path) -> None:
    from dataclasses import replace

    from sansdimse import Limits

    with archive(tmp_path / "ours", limits=replace(Limits(), idle=0.3)) as running:
        assoc = dicom_ae().associate(*host_and_port(running))
        assert assoc.send_c_echo().Status == 0
        until(lambda: assoc.is_aborted, "the abort at pynetdicom")
        _, outcome = running.end()
        assert (outcome.kind, outcome.timer) == (OutcomeKind.TIMED_OUT, Timer.IDLE)


# ---------------------------------------------------------------- Orthanc


def post(server: peers.Server, path: str, body: bytes) -> Any:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(f"http://{server.host}:{server.http_port}{path}", data=body, method="POST")
    with opener.open(request, timeout=peers.TOOL_TIMEOUT) as response:
        return json.loads(response.read() or b"null")


def test_orthanc_echoes_and_stores(ours: Running, tmp_path: Path) -> None:
    names = ["CT_small.dcm", "MR_small_RLE.dcm", "JPEG2000.dcm", "image_dfl.dcm"]
    with peers.orthanc(tmp_path / "orthanc", modalities={"ours": ("SANSDIMSE", ours.server.port)}) as orthanc:
        post(orthanc, "/modalities/ours/echo", b"{}")
        _engine, outcome = ours.end()
        assert outcome.kind is OutcomeKind.RELEASED
        for name in names:
            identifier = post(orthanc, "/instances", bundled(name).read_bytes())["ID"]
            post(orthanc, "/modalities/ours/store", identifier.encode())
        kept = orthanc.instances()
    assert {path.stem for path in ours.files()} == set(kept)
    for path in ours.files():
        assert dcmread(path).PixelData == dcmread(bundled_of(path.stem, names)).PixelData
        assert syntax_of(path) == syntax_of(bundled_of(path.stem, names))


def bundled_of(uid: str, names: list[str]) -> Path:
    """The bundled file with this instance UID."""
    return next(path for path in map(bundled, names) if dcmread(path, stop_before_pixels=True).SOPInstanceUID == uid)


# ---------------------------------------------------------------- what a bystander sees


def test_wireshark_finds_nothing_wrong_with_what_we_answer(ours: Running, tmp_path: Path) -> None:
    with capturing(ours.server.port, tmp_path / "scp.pcap") as capture:
        peers.run_tool("storescu", "-R", *ours.address, CT_SMALL)
        released(ours)
    assert capture.complaints() == []
    types = capture.pdu_types()
    assert types[:2] == [1, 2]
    assert types[-2:] == [5, 6]
    assert set(types[2:-2]) == {4}


def test_wireshark_names_our_rejection(tmp_path: Path) -> None:
    with archive(tmp_path / "ours", ae_title="US", require_called=True) as running:
        with capturing(running.server.port, tmp_path / "rj.pcap") as capture:
            peers.run_tool("echoscu", *running.address, check=False)
            running.end()
        assert capture.pdu_types() == [1, 3]
        [complaint] = capture.complaints()
        assert "Association rejected" in complaint
        assert "Called AE title not recognized" in complaint
