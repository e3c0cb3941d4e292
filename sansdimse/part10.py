"""The header of a DICOM file: preamble, prefix and File Meta Information (PS3.10 section 7.1). No I/O.

Writing is strict, as the parts may come from a peer: nothing but digits and dots gets into a UID, nothing
but printable ASCII into an AE title. Reading is lenient, as files in the field are: group length missing or
wrong, no preamble, no UIDs of the instance (then the data set's own); but what cannot be sent for want of a
transfer syntax, or is no DICOM file at all, is an error that says so.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sansdimse import uids
from sansdimse.transcode import (
    EXPLICIT_LITTLE,
    SHORT_LENGTH_VRS,
    DatasetError,
    Encoding,
    read_element_header,
)

PREAMBLE_LENGTH: Final = 128
PREFIX: Final = b"DICM"

MAX_FILE_META: Final = 1 << 20
"""Real file meta is some 200 to 500 bytes; private information (0002,0102) may make it longer."""

MAX_BEGINNING: Final = 64 * 1024
"""How far into the data set the SOP UIDs, (0008,0016) and (0008,0018), are looked for."""

_UID: Final = re.compile(r"[0-9.]{1,64}", re.ASCII)
_AE_TITLE: Final = re.compile(r"[ -\[\]-~]{1,16}", re.ASCII)


class NotDicomError(DatasetError):
    """These bytes do not begin as a DICOM file does."""


@dataclass(frozen=True, slots=True)
class Part10Header:
    """What the File Meta Information says of the instance behind it.

    ``offset`` is where the data set begins, in bytes from the start of the file. ``source_ae_title`` is
    (0002,0016) without padding, None when absent.
    """

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    offset: int
    source_ae_title: str | None = None


def encoding_of(transfer_syntax_uid: str) -> Encoding:
    """The layout of the elements, after inflating where it is deflated; all encapsulated ones, and those not
    in PS3.6, are Explicit VR Little Endian (PS3.5 A.4)."""
    syntax = uids.TRANSFER_SYNTAXES.get(transfer_syntax_uid)
    if syntax is None:
        return EXPLICIT_LITTLE
    return Encoding(implicit=bool(syntax.implicit_vr), big=syntax.little_endian is False)


def part10_header(
    sop_class_uid: str,
    sop_instance_uid: str,
    transfer_syntax_uid: str,
    *,
    source_ae_title: str | None = None,
    sending_ae_title: str | None = None,
    receiving_ae_title: str | None = None,
) -> bytes:
    """Preamble, "DICM" and File Meta Information for the data set that follows (PS3.10 Table 7.1-1).

    UIDs may have leading zeros, which real ones have, but must be 1 to 64 digits and dots; padding is
    taken off. AE titles that are no AE titles are left out (all three elements are type 3).
    Raises DatasetError naming the UID that is none.
    """
    elements = [_element(0x0001, b"OB", b"\x00\x01")]
    for number, name, uid in (
        (0x0002, "SOP Class UID", sop_class_uid),
        (0x0003, "SOP Instance UID", sop_instance_uid),
        (0x0010, "Transfer Syntax UID", transfer_syntax_uid),
        (0x0012, "Implementation Class UID", uids.IMPLEMENTATION_CLASS_UID),
    ):
        uid = uids.normal(uid)
        if not _UID.fullmatch(uid):
            raise DatasetError(f"the {name} is no UID: {uid[:80]!r}")
        elements.append(_element(number, b"UI", uid.encode("ascii")))
    elements.append(_element(0x0013, b"SH", uids.IMPLEMENTATION_VERSION_NAME.encode("ascii"), b" "))
    for number, title in ((0x0016, source_ae_title), (0x0017, sending_ae_title), (0x0018, receiving_ae_title)):
        title = (title or "").strip(" \0")
        if _AE_TITLE.fullmatch(title):
            elements.append(_element(number, b"AE", title.encode("ascii"), b" "))
    meta = b"".join(elements)
    return bytes(PREAMBLE_LENGTH) + PREFIX + _element(0x0000, b"UL", struct.pack("<I", len(meta))) + meta


def _element(number: int, vr: bytes, value: bytes, pad: bytes = b"\0") -> bytes:
    value += pad * (len(value) % 2)
    layout = "<HH2sH" if vr.decode() in SHORT_LENGTH_VRS else "<HH2sxxI"
    return struct.pack(layout, 2, number, vr, len(value)) + value


class _Reader:
    """Bytes from ``read`` as far as asked for, never further than a bound."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self.data = b""

    def up_to(self, end: int) -> bool:
        """Have ``data`` reach ``end``; False when the file ends before. Reads at least 4 KiB at a time."""
        while len(self.data) < end:
            piece = self._read(max(end - len(self.data), 4096))
            if not piece:
                return False
            self.data += piece
        return True


def read_part10_header(read: Callable[[int], bytes]) -> Part10Header:
    """The header at the start of a file, by a function that reads on by at most so many bytes (b"" at its end).

    Reads some KiB more than the header, which is at most MAX_FILE_META, and MAX_BEGINNING of the data set where the
    file meta does not name the instance. Raises NotDicomError for what is no DICOM file, DatasetError for one that
    does not say what is needed; what ``read`` raises passes through.
    """
    reader = _Reader(read)
    reader.up_to(PREAMBLE_LENGTH + len(PREFIX))
    if reader.data[PREAMBLE_LENGTH : PREAMBLE_LENGTH + len(PREFIX)] == PREFIX:
        start = PREAMBLE_LENGTH + len(PREFIX)
    elif _begins_file_meta(reader.data):
        start = 0
    else:
        raise NotDicomError("not a DICOM file: there is no 'DICM' after 128 bytes, and no File Meta Information")
    meta, offset = _file_meta(reader, start)

    transfer_syntax_uid = _uid(meta.get(0x0010))
    if not transfer_syntax_uid:
        raise DatasetError("the File Meta Information has no Transfer Syntax UID (0002,0010)")
    sop_class_uid, sop_instance_uid = _uid(meta.get(0x0002)), _uid(meta.get(0x0003))
    if not (sop_class_uid and sop_instance_uid):
        own_class, own_instance = _sop_uids(reader, offset, transfer_syntax_uid)
        sop_class_uid, sop_instance_uid = sop_class_uid or own_class, sop_instance_uid or own_instance
    if not sop_class_uid:
        raise DatasetError("neither the file meta nor the data set has a SOP Class UID")
    if not sop_instance_uid:
        raise DatasetError("neither the file meta nor the data set has a SOP Instance UID")
    source = meta.get(0x0016, b"").decode("latin-1").strip(" \0")
    return Part10Header(sop_class_uid, sop_instance_uid, transfer_syntax_uid, offset, source or None)


def _begins_file_meta(data: bytes) -> bool:
    # The VR tells an element of group 0002 from a data set that happens to begin with these two bytes.
    return data[:2] == b"\x02\x00" and data[4:6].isalpha() and data[4:6].isupper()


def _uid(value: bytes | None) -> str:
    return uids.normal((value or b"").decode("latin-1"))


def _file_meta(reader: _Reader, at: int) -> tuple[dict[int, bytes], int]:
    """The elements of group 0002 by element number, and where they end.

    They end where another group begins. The group length is not looked at: it is the one that lies.
    """
    start, meta = at, dict[int, bytes]()
    while reader.up_to(at + 8) and _begins_file_meta(reader.data[at : at + 8]):
        reader.up_to(at + 12)
        tag, _, length, value_at = read_element_header(reader.data, at, EXPLICIT_LITTLE)
        if value_at + length - start > MAX_FILE_META:
            raise DatasetError(f"the File Meta Information is longer than {MAX_FILE_META} bytes")
        if not reader.up_to(value_at + length):
            raise DatasetError("the file ends within its File Meta Information")
        at = value_at + length
        meta[tag & 0xFFFF] = reader.data[value_at:at]
    if not meta:
        raise DatasetError("the file has no File Meta Information behind 'DICM'")
    return meta, at


def _sop_uids(reader: _Reader, offset: int, transfer_syntax_uid: str) -> tuple[str, str]:
    """SOP Class and Instance UID as the data set has them, "" where its beginning does not."""
    reader.up_to(offset + MAX_BEGINNING)
    data = reader.data[offset : offset + MAX_BEGINNING]
    found: dict[int, str] = {}
    at = 0
    try:
        if uids.is_deflated(transfer_syntax_uid):
            data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, MAX_BEGINNING)
        while at < len(data):
            tag, _, length, value_at = read_element_header(data, at, encoding_of(transfer_syntax_uid))
            if tag > 0x00080018:
                break
            at = value_at + length
            if at <= len(data):
                found[tag] = _uid(data[value_at:at])
    except (DatasetError, zlib.error):
        pass  # what was not found is reported by the caller, and more usefully
    return found.get(0x00080016, ""), found.get(0x00080018, "")
