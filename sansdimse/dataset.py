"""Data sets as encoded bytes and as ``pydicom.Dataset``; the engine's one door to pydicom (PS3.5, PS3.10).

An association carries instances as bytes that it never decodes. Here is what needs to look inside: making
an Instance of a data set, decoding and encoding identifiers, and converting between the four uncompressed
transfer syntaxes. Whatever pydicom raises for bad input leaves as DatasetError. No I/O: files are
``sansdimse_files``.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final, cast

from pydicom import Dataset, datadict
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset

from sansdimse import uids
from sansdimse.part10 import (
    NotDicomError,
    Part10Header,
    encoding_of,
    part10_header,
    read_part10_header,
)
from sansdimse.transcode import EXPLICIT_BIG, EXPLICIT_LITTLE, DatasetError, Encoding, transcode

__all__ = [
    "Dataset",
    "DatasetError",
    "Instance",
    "NotDicomError",
    "Part10Header",
    "convert",
    "decode",
    "encode",
    "instance_of",
    "part10_header",
    "read_part10_header",
    "tag_of",
]

MAX_INFLATED: Final = 1 << 30
"""Deflate packs a thousand zeros into one byte, so a small message can ask for any memory: 1 GiB and no more."""

PIECE_SIZE: Final = 256 * 1024
"""Pieces in octets: several PDUs each, and small beside the memory one association may hold."""

# What pydicom 3's reader and writer raise for data sets they cannot handle: their own two, what their raise
# statements name, what struct, codecs, decimal and deep nesting raise from below, and warnings where the user has
# made them errors. MemoryError and the like are not the data set's fault and pass.
_PYDICOM_FAILURES: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    BytesLengthException,
    EOFError,
    ImportError,
    InvalidDicomError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    Warning,
    struct.error,
)


@dataclass(frozen=True, slots=True)
class Instance:
    """A SOP instance to send: what C-STORE-RQ says of it, and its encoded data set (PS3.7 9.1.1).

    ``length`` is the data set's in octets, always even, None when it is not known before. Each call of
    ``pieces`` gives the data set from its start; nobody may change a piece once given. Iterating may raise
    DatasetError or OSError when its source fails.
    """

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    length: int | None
    pieces: Callable[[], Iterable[bytes | memoryview]]


def instance_of(dataset: Dataset, transfer_syntax_uid: str | None = None) -> Instance:
    """The instance that this data set is, encoded once, here.

    The transfer syntax is the one given, else that of the data set's file meta. Elements of groups 0000 and
    0002 belong to messages and files and are left out (PS3.7 6.3.1, PS3.10 7.1), as are group lengths. The data
    set's values stay as they are; pydicom may settle VRs that it had left open.
    Raises DatasetError naming what is missing, or why this cannot be encoded so.
    """
    sop_class_uid = _uid_of(dataset, "SOPClassUID", "SOP Class UID (0008,0016)")
    sop_instance_uid = _uid_of(dataset, "SOPInstanceUID", "SOP Instance UID (0008,0018)")
    own = _own_transfer_syntax(dataset)
    syntax = transfer_syntax_uid or own
    if not syntax:
        raise DatasetError(
            "the data set has no transfer syntax: set file_meta.TransferSyntaxUID, or give one to instance_of"
        )
    if own and own != syntax and not (own in uids.UNCOMPRESSED and syntax in uids.UNCOMPRESSED):
        raise DatasetError(f"the data set is in transfer syntax {own}, which cannot be converted to {syntax}")
    return _instance(sop_class_uid, sop_instance_uid, syntax, encode(dataset, syntax))


def decode(data: bytes, transfer_syntax_uid: str) -> Dataset:
    """The data set, every element of it decoded now: nothing fails later that did not fail here.

    Lenient where pydicom is (it gives what is there of a data set cut short, and sees through a wrong
    implicit or explicit). Raises DatasetError for what it cannot decode, or what inflates to more than
    MAX_INFLATED.
    """
    if uids.is_deflated(transfer_syntax_uid):
        data = _inflate(data)
    encoding = encoding_of(transfer_syntax_uid)
    try:
        dataset = read_dataset(cast(BinaryIO, DicomBytesIO(data)), encoding.implicit, not encoding.big)
        for element in dataset.iterall():
            if element.VR == "PN" and not element.is_empty:  # names keep bytes, and decode them when first asked
                for name in element.value if element.VM > 1 else [element.value]:
                    _ = name.components
    except _PYDICOM_FAILURES as error:
        raise DatasetError(f"the data set cannot be decoded: {_reason(error)}") from error
    return dataset


def encode(dataset: Dataset, transfer_syntax_uid: str) -> bytes:
    """The data set's bytes, of even length; without groups 0000 and 0002 and group lengths.

    Values that pydicom keeps as bytes (OW and its like, Pixel Data among them) are taken to be in the byte order the
    data set was read in, else that of its file meta's transfer syntax, else little endian.
    Raises DatasetError when it cannot be encoded.
    """
    target = encoding_of(transfer_syntax_uid)
    held_big = _held_big_endian(dataset)
    # pydicom copies such values in whichever order they are in; so it writes in that order, and we swap.
    written = target if held_big == target.big else EXPLICIT_BIG if held_big else EXPLICIT_LITTLE
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = written.implicit, not written.big
    try:
        if dataset[:0x00030000]:
            dataset = dataset[0x00030000:]
        write_dataset(buffer, dataset)
    except _PYDICOM_FAILURES as error:
        raise DatasetError(f"the data set cannot be encoded: {_reason(error)}") from error
    data = buffer.getvalue()
    data = _transcode(data, written, target)
    if uids.is_deflated(transfer_syntax_uid):
        data = _deflate(data)
    if len(data) % 2:
        raise DatasetError("the data set has an odd length: one of its values has (PS3.5 7.1.1)")
    return data


def tag_of(keyword: str) -> int:
    """The tag of a keyword of PS3.6: 0x00100020 for ``"PatientID"``. Raises KeyError if it is none."""
    tag = datadict.tag_for_keyword(keyword)
    if tag is None:
        raise KeyError(keyword)
    return tag


def convert(instance: Instance, transfer_syntax_uid: str) -> Instance:
    """The same instance in another uncompressed transfer syntax, every value the same; itself if it is in that one.

    Holds the whole data set in memory. Raises DatasetError when one of the two syntaxes is compressed or the
    data set is malformed, and what the instance's pieces raise.
    """
    source = instance.transfer_syntax_uid
    if source == transfer_syntax_uid:
        return instance
    for syntax in (source, transfer_syntax_uid):
        if syntax not in uids.UNCOMPRESSED:
            raise DatasetError(f"cannot convert from {source} to {transfer_syntax_uid}: {syntax} is not uncompressed")
    data = b"".join(instance.pieces())
    if uids.is_deflated(source):
        data = _inflate(data)
    data = _transcode(data, encoding_of(source), encoding_of(transfer_syntax_uid))
    if uids.is_deflated(transfer_syntax_uid):
        data = _deflate(data)
    return _instance(instance.sop_class_uid, instance.sop_instance_uid, transfer_syntax_uid, data)


def _instance(sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str, data: bytes) -> Instance:
    view = memoryview(data)

    def pieces() -> Iterator[bytes | memoryview]:
        return (view[at : at + PIECE_SIZE] for at in range(0, len(view), PIECE_SIZE))

    return Instance(sop_class_uid, sop_instance_uid, transfer_syntax_uid, len(data), pieces)


def _transcode(data: bytes, source: Encoding, target: Encoding) -> bytes:
    return data if source == target else transcode(data, source, target, _vr_of)


def _uid_of(dataset: Dataset, keyword: str, name: str) -> str:
    try:
        uid = uids.normal(str(dataset.get(keyword) or ""))
    except _PYDICOM_FAILURES as error:
        raise DatasetError(f"the data set's {name} cannot be decoded: {_reason(error)}") from error
    if not uid:
        raise DatasetError(f"the data set has no {name}")
    return uid


def _own_transfer_syntax(dataset: Dataset) -> str:
    # file_meta is an attribute that a data set may have or not; it may be None or lack the element.
    return uids.normal(str(getattr(getattr(dataset, "file_meta", None), "TransferSyntaxUID", None) or ""))


def _held_big_endian(dataset: Dataset) -> bool:
    _, little = dataset.original_encoding
    if little is not None:
        return not little
    return _own_transfer_syntax(dataset) == uids.EXPLICIT_VR_BIG_ENDIAN


def _vr_of(tag: int, private_creator: str | None) -> str | None:
    """What pydicom's dictionaries say, the repeating groups' and the well-known private ones included."""
    try:
        if private_creator is not None:
            return datadict.private_dictionary_VR(tag, private_creator)
        return datadict.dictionary_VR(tag)
    except KeyError:
        return None


def _inflate(data: bytes) -> bytes:
    """Undo PS3.5 A.5; what follows the stream is its one NUL of padding, and not looked at."""
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        inflated = stream.decompress(data, MAX_INFLATED)
    except zlib.error as error:
        raise DatasetError(f"the data set is not deflated as its transfer syntax says: {error}") from error
    if not stream.eof:
        if len(inflated) == MAX_INFLATED:
            raise DatasetError(f"the data set inflates to more than {MAX_INFLATED} bytes")
        raise DatasetError("the deflated data set is cut short")
    return inflated


def _deflate(data: bytes) -> bytes:
    """PS3.5 A.5: one raw deflated stream (RFC 1951), padded with one NUL to an even length."""
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    deflated = stream.compress(data) + stream.flush()
    return deflated + bytes(len(deflated) % 2)


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
