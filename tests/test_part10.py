"""File headers: written strictly, read leniently, never further than the bound."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO

import pydicom
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydicom.data import get_testdata_file

from sansdimse import uids
from sansdimse.part10 import (
    MAX_BEGINNING,
    MAX_FILE_META,
    NotDicomError,
    Part10Header,
    part10_header,
    read_part10_header,
)
from sansdimse.transcode import DatasetError

CT, INSTANCE = "1.2.840.10008.5.1.4.1.1.2", "1.2.3.4"
ELE = uids.EXPLICIT_VR_LITTLE_ENDIAN


def element(tag: int, vr: bytes, value: bytes) -> bytes:
    layout = "<HH2sH" if vr in (b"UI", b"UL", b"AE", b"SH", b"CS") else "<HH2sxxI"
    return struct.pack(layout, tag >> 16, tag & 0xFFFF, vr, len(value)) + value


def meta(*elements: bytes) -> bytes:
    return bytes(128) + b"DICM" + b"".join(elements)


def syntax(uid: str) -> bytes:
    return element(0x00020010, b"UI", uid.encode() + b"\0" * (len(uid) % 2))


def test_what_is_written_is_what_pydicom_reads() -> None:
    header = part10_header(
        CT, INSTANCE, ELE, source_ae_title=" SOURCE ", sending_ae_title="SENDING", receiving_ae_title="RECEIVING"
    )
    file_meta = pydicom.dcmread(BytesIO(header)).file_meta
    assert file_meta.FileMetaInformationGroupLength == len(header) - 144
    assert file_meta.FileMetaInformationVersion == b"\0\1"
    assert (file_meta.MediaStorageSOPClassUID, file_meta.MediaStorageSOPInstanceUID) == (CT, INSTANCE)
    assert file_meta.TransferSyntaxUID == ELE
    assert file_meta.ImplementationClassUID == uids.IMPLEMENTATION_CLASS_UID
    assert file_meta.ImplementationVersionName == uids.IMPLEMENTATION_VERSION_NAME
    assert file_meta.SourceApplicationEntityTitle == "SOURCE"
    assert file_meta.SendingApplicationEntityTitle == "SENDING"
    assert file_meta.ReceivingApplicationEntityTitle == "RECEIVING"


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=70), st.from_regex(r"[0-9.]{1,66}[\0 ]?", fullmatch=True), st.text(max_size=20))
@example("1.2.3\0", "1.02.3", "TWO\\TITLES")
@example("1.2.3", "1.2.3", "\N{LATIN SMALL LETTER E WITH ACUTE}")
@example("1.2.3\0\x02", "1.2.3", "A\nB")
def test_what_a_peer_sends_cannot_corrupt_the_header(sop_class: str, sop_instance: str, title: str) -> None:
    normal = sop_class.strip("\0 "), sop_instance.strip("\0 ")
    if not all(0 < len(uid) <= 64 and set(uid) <= set("0123456789.") for uid in normal):
        with pytest.raises(DatasetError, match="no UID"):
            part10_header(sop_class, sop_instance, ELE, source_ae_title=title)
        return
    data = part10_header(sop_class, sop_instance, ELE, source_ae_title=title)
    assert len(data) % 2 == 0
    header = read_part10_header(BytesIO(data).read)
    assert header == Part10Header(*normal, ELE, len(data), header.source_ae_title)
    valid = title.strip(" \0")
    if valid.isascii() and valid.isprintable() and 0 < len(valid) <= 16 and "\\" not in valid:
        assert header.source_ae_title == valid
    else:
        assert header.source_ae_title is None


@pytest.mark.parametrize("uid", ["", "1.2.a", "1" * 65, "1.2\n", "../1", "١.٢"])
def test_what_is_no_uid_is_named(uid: str) -> None:
    for arguments, name in (
        ((uid, "1", "1"), "SOP Class"),
        (("1", uid, "1"), "SOP Instance"),
        (("1", "1", uid), "Transfer"),
    ):
        with pytest.raises(DatasetError, match=f"{name}.* is no UID"):
            part10_header(*arguments)


def one_byte_at_a_time(data: bytes) -> Callable[[int], bytes]:
    stream = BytesIO(data)
    return lambda size: stream.read(min(size, 1))


@pytest.mark.parametrize("name", ["CT_small.dcm", "MR_small_bigendian.dcm", "image_dfl.dcm", "JPEG2000.dcm"])
def test_real_files(name: str) -> None:
    path = get_testdata_file(name)
    assert isinstance(path, str)
    with open(path, "rb") as stream:
        data = stream.read()
    file_meta = pydicom.dcmread(path).file_meta
    header = read_part10_header(one_byte_at_a_time(data))
    assert header.sop_class_uid == file_meta.MediaStorageSOPClassUID
    assert header.sop_instance_uid == file_meta.MediaStorageSOPInstanceUID
    assert header.transfer_syntax_uid == file_meta.TransferSyntaxUID
    assert header.offset == 144 + file_meta.FileMetaInformationGroupLength
    assert read_part10_header(BytesIO(data).read) == header


def test_group_length_missing_or_wrong_and_no_preamble() -> None:
    body = element(0x00020002, b"UI", b"1.22") + element(0x00020003, b"UI", b"1.33") + syntax(ELE)
    rest = element(0x00080008, b"CS", b"AB")
    for lie in (b"", element(0x00020000, b"UL", bytes(4)), element(0x00020000, b"UL", b"\xff\xff\xff\x7f")):
        for front in (bytes(128) + b"DICM", b""):
            data = front + lie + body
            for file in (data, data + rest):
                header = read_part10_header(BytesIO(file).read)
                assert header == Part10Header("1.22", "1.33", ELE, len(data))


def own_uids(order: str, explicit: bool) -> bytes:
    out = b""
    for tag, vr, value in (
        (0x00080005, b"CS", b""),
        (0x00080016, b"UI", b"1.2\0"),
        (0x00080018, b"UI", b"1.3.4 "),
        (0x00080020, b"DA", b""),
    ):
        out += struct.pack(order + "HH", tag >> 16, tag & 0xFFFF)
        out += vr + struct.pack(order + "H", len(value)) if explicit else struct.pack(order + "I", len(value))
        out += value
    return out


def raw_deflate(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(data) + stream.flush()


@pytest.mark.parametrize(
    ("uid", "dataset"),
    [
        (uids.IMPLICIT_VR_LITTLE_ENDIAN, own_uids("<", False)),
        (ELE, own_uids("<", True)),
        (uids.EXPLICIT_VR_BIG_ENDIAN, own_uids(">", True)),
        (uids.DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN, raw_deflate(own_uids("<", True))),
        ("1.2.840.10008.1.2.4.50", own_uids("<", True)),
        ("1.2.3.4.5", own_uids("<", True)),
    ],
)
def test_uids_missing_in_the_file_meta_are_the_data_sets(uid: str, dataset: bytes) -> None:
    header = read_part10_header(BytesIO(meta(syntax(uid)) + dataset).read)
    assert (header.sop_class_uid, header.sop_instance_uid) == ("1.2", "1.3.4")
    both = meta(element(0x00020002, b"UI", b"1.99"), syntax(uid)) + dataset
    assert read_part10_header(BytesIO(both).read).sop_class_uid == "1.99"


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (meta(), "no File Meta Information"),
        (meta(element(0x00020003, b"UI", b"1.22")), "no Transfer Syntax UID"),
        (meta(syntax(ELE)), "SOP Class UID"),
        (meta(syntax(ELE)) + own_uids("<", True)[:30], "SOP Instance UID"),
        (meta(syntax(ELE)) + own_uids("<", True)[:12], "SOP Class UID"),
        (meta(syntax(ELE)) + own_uids("<", True)[:18], "SOP Class UID"),
        (meta(syntax(uids.DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN)) + b"\xff" * 9, "SOP Class UID"),
        (meta(syntax(ELE)) + element(0x00080006, b"OB", bytes(MAX_BEGINNING)) + own_uids("<", True), "SOP Class UID"),
        (meta(syntax(ELE)[:-1]), "ends within its File Meta Information"),
        (meta(b"\x02\x00\x02\x01OB\0\0"), "ends within the header"),
        (meta(element(0x00020102, b"OB", b"")[:-4] + b"\xff\xff\xff\xff"), "longer than"),
    ],
)
def test_what_is_missing_is_named(data: bytes, what: str) -> None:
    with pytest.raises(DatasetError, match=what) as caught:
        read_part10_header(BytesIO(data).read)
    assert type(caught.value) is DatasetError


@pytest.mark.parametrize("data", [b"", b"hello", bytes(300), own_uids("<", True), b"\x02\x00\x10\x00\x04\0\0\0"])
def test_what_is_no_dicom_file(data: bytes) -> None:
    with pytest.raises(NotDicomError, match="not a DICOM file"):
        read_part10_header(BytesIO(data).read)


class Endless:
    """The start, then the same element for ever; counts what was taken."""

    def __init__(self, start: bytes, again: bytes) -> None:
        self.start, self.again, self.taken = start, again, 0

    def read(self, size: int) -> bytes:
        self.taken += size
        piece = (self.start + self.again * (size // len(self.again) + 1))[:size]
        self.start = (self.start + self.again * (size // len(self.again) + 1))[size : size + len(self.again)]
        return piece


@pytest.mark.parametrize(
    ("start", "again", "bound"),
    [
        (meta(), element(0x00020102, b"OB", b""), MAX_FILE_META),
        (meta(), element(0x00020102, b"OB", bytes(1000)), MAX_FILE_META),
        (meta(syntax(ELE)), element(0x00080001, b"UL", bytes(4)), MAX_BEGINNING),
        (b"\0", b"\0", 4096),
    ],
)
def test_reading_is_bounded_for_files_without_end(start: bytes, again: bytes, bound: int) -> None:
    endless = Endless(start, again)
    with pytest.raises(DatasetError):
        read_part10_header(endless.read)
    assert endless.taken <= bound + 8192


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_give_a_header_or_an_error(data: bytes, marked: bool) -> None:
    with suppress(DatasetError):
        header = read_part10_header(BytesIO(meta(syntax(ELE)) + data if marked else data).read)
        assert header.sop_class_uid
        assert header.sop_instance_uid
