"""Every transfer syntax both ways: bit for bit where the peer keeps bits, as data sets elsewhere.

The files come with pydicom; those that it lacks are made by DCMTK's converters.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid

from archive import archive, bundled, data_set_of, essence, syntax_of
from interop import peers
from sansdimse import SUCCESS, LocalProtocolError, OutcomeKind
from sansdimse_files import contexts_for
from sansdimse_socket import associate

BUNDLED = {
    "implicit": ("1.2.840.10008.1.2", "MR_small_implicit.dcm"),
    "explicit": ("1.2.840.10008.1.2.1", "CT_small.dcm"),
    "big endian": ("1.2.840.10008.1.2.2", "MR_small_bigendian.dcm"),
    "deflated": ("1.2.840.10008.1.2.1.99", "image_dfl.dcm"),
    "JPEG baseline": ("1.2.840.10008.1.2.4.50", "SC_rgb_jpeg_dcmtk.dcm"),
    "JPEG extended": ("1.2.840.10008.1.2.4.51", "JPEG-lossy.dcm"),
    "JPEG lossless SV1": ("1.2.840.10008.1.2.4.70", "SC_rgb_jpeg_gdcm.dcm"),
    "JPEG-LS lossless": ("1.2.840.10008.1.2.4.80", "MR_small_jpeg_ls_lossless.dcm"),
    "JPEG 2000 lossless": ("1.2.840.10008.1.2.4.90", "MR_small_jp2klossless.dcm"),
    "JPEG 2000": ("1.2.840.10008.1.2.4.91", "JPEG2000.dcm"),
    "RLE": ("1.2.840.10008.1.2.5", "MR_small_RLE.dcm"),
}
MADE = {
    "JPEG lossless": ("1.2.840.10008.1.2.4.57", ["dcmcjpeg", "+el"]),
    "JPEG lossless SV1 of a CT": ("1.2.840.10008.1.2.4.70", ["dcmcjpeg", "+e1"]),
    "RLE of a CT": ("1.2.840.10008.1.2.5", ["dcmcrle"]),
    "deflated of a CT": ("1.2.840.10008.1.2.1.99", ["dcmconv", "+td"]),
    "big endian of a CT": ("1.2.840.10008.1.2.2", ["dcmconv", "+tb"]),
    "implicit of a CT": ("1.2.840.10008.1.2", ["dcmconv", "+ti"]),
}
ALL = {**BUNDLED, **MADE}
SYNTAXES = tuple(ALL)
UNCOMPRESSED = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"}

# The option with which storescu proposes the syntax; it has none for JPEG lossless, process 14.
PROPOSE = {
    "1.2.840.10008.1.2": "-xi",
    "1.2.840.10008.1.2.1": "-xe",
    "1.2.840.10008.1.2.2": "-xb",
    "1.2.840.10008.1.2.1.99": "-xd",
    "1.2.840.10008.1.2.4.50": "-xy",
    "1.2.840.10008.1.2.4.51": "-xx",
    "1.2.840.10008.1.2.4.70": "-xs",
    "1.2.840.10008.1.2.4.80": "-xt",
    "1.2.840.10008.1.2.4.90": "-xv",
    "1.2.840.10008.1.2.4.91": "-xw",
    "1.2.840.10008.1.2.5": "-xr",
}


@pytest.fixture
def instance(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A file in the transfer syntax named."""
    name = request.param
    if name in BUNDLED:
        syntax, file = BUNDLED[name]
        path = bundled(file)
    else:
        syntax, (tool, *options) = MADE[name]
        path = tmp_path / "made.dcm"
        peers.run_tool(tool, *options, bundled("CT_small.dcm"), path)
    assert syntax_of(path) == syntax
    return path


@pytest.fixture
def server(request: pytest.FixtureRequest) -> peers.Server:
    found = request.getfixturevalue(request.param)
    assert isinstance(found, peers.Server)
    return found


every_syntax = pytest.mark.parametrize("instance", SYNTAXES, indirect=True)


@pytest.mark.parametrize(
    ("server", "instance"),
    [
        (server, name)
        for server in ("storescp", "dcmrecv", "pynetdicom_scp")
        for name in SYNTAXES
        if (server, name) != ("storescp", "JPEG lossless")
    ],
    indirect=True,
)
def test_what_we_send_is_kept_bit_for_bit(server: peers.Server, instance: Path) -> None:
    with associate(server.host, server.port, called=server.ae_title, contexts=contexts_for([instance])) as peer:
        assert peer.c_store(instance) == SUCCESS
    [stored] = server.files()
    sent, kept = data_set_of(instance), data_set_of(stored)
    if syntax_of(stored) == syntax_of(instance):
        assert kept == sent + b"\0" * (len(sent) % 2)  # only a deflated one may be odd (PS3.5 A.5)
    else:  # Explicit and Implicit VR Little Endian share a context, and the peer chose the other
        assert {syntax_of(stored), syntax_of(instance)} <= UNCOMPRESSED
        assert essence(stored) == essence(instance)


@pytest.mark.parametrize("instance", ["JPEG lossless"], indirect=True)
def test_a_syntax_that_the_peer_does_not_take_is_an_error_that_says_which_it_takes(
    storescp: peers.Server, instance: Path
) -> None:
    with (
        associate(storescp.host, storescp.port, contexts=contexts_for([instance])) as peer,
        pytest.raises(LocalProtocolError, match=r"takes it in: Explicit VR Little Endian, JPEG Lossless"),
    ):
        peer.c_store(instance)


@every_syntax
def test_what_we_send_is_there_in_orthanc(orthanc: peers.Server, instance: Path, tmp_path: Path) -> None:
    fresh = tmp_path / "fresh.dcm"
    dataset = dcmread(instance)
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid = generate_uid()
    dataset.save_as(fresh)
    with associate(orthanc.host, orthanc.port, called=orthanc.ae_title, contexts=contexts_for([fresh])) as peer:
        assert peer.c_store(fresh) == SUCCESS
    stored = tmp_path / "stored.dcm"
    stored.write_bytes(orthanc.instances()[uid])
    assert essence(stored).PixelData == essence(fresh).PixelData
    assert syntax_of(stored) == syntax_of(fresh) or {syntax_of(stored), syntax_of(fresh)} <= UNCOMPRESSED


@every_syntax
def test_what_we_send_we_store_bit_for_bit(instance: Path, tmp_path: Path) -> None:
    with archive(tmp_path / "ours", prefer=(syntax_of(instance),)) as running:
        with associate("127.0.0.1", running.server.port, contexts=contexts_for([instance])) as peer:
            assert peer.c_store(instance) == SUCCESS
        [stored] = running.files()
        sent = data_set_of(instance)
        assert data_set_of(stored) == sent + b"\0" * (len(sent) % 2)
        assert syntax_of(stored) == syntax_of(instance)


@pytest.mark.parametrize("instance", [name for name in SYNTAXES if ALL[name][0] in PROPOSE], indirect=True)
def test_what_storescu_sends_we_store(instance: Path, tmp_path: Path) -> None:
    with archive(tmp_path / "ours") as running:
        peers.run_tool("storescu", "-R", PROPOSE[syntax_of(instance)], *running.address, instance)
        _store_is_the_same(running.files(), instance)
        assert running.end()[1].kind is OutcomeKind.RELEASED


@every_syntax
def test_what_dcmsend_sends_we_store(instance: Path, tmp_path: Path) -> None:
    with archive(tmp_path / "ours") as running:
        peers.run_tool("dcmsend", "-dn", *running.address, instance)
        _store_is_the_same(running.files(), instance)


def _store_is_the_same(files: list[Path], instance: Path) -> None:
    """DCMTK encodes data sets anew, and inflates them before it sends, but leaves pixels as they are."""
    [stored] = files
    assert syntax_of(stored) == syntax_of(instance) or {syntax_of(stored), syntax_of(instance)} <= UNCOMPRESSED
    received, sent = essence(stored), essence(instance)
    if syntax_of(stored) == syntax_of(instance):
        assert received == sent
    else:
        assert (received.pixel_array == sent.pixel_array).all()


@every_syntax
def test_what_pynetdicom_sends_we_store(instance: Path, tmp_path: Path) -> None:
    pynetdicom = peers.require_pynetdicom()
    dataset = dcmread(instance)
    ae = pynetdicom.AE()
    ae.add_requested_context(dataset.SOPClassUID, syntax_of(instance))
    with archive(tmp_path / "ours") as running:
        assoc = ae.associate("127.0.0.1", running.server.port)
        assert assoc.is_established
        assert assoc.send_c_store(dataset).Status == 0
        assoc.release()
        [stored] = running.files()
        assert syntax_of(stored) == syntax_of(instance)
        assert essence(stored) == essence(instance)
