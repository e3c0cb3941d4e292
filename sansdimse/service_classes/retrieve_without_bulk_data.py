"""Composite Instance Retrieve Without Bulk Data: an instance as its C-GET sends it (PS3.4 Annex Z).

Bulk data is named by tag and counts at the top level alone, but for the samples of waveforms, which lie one level
down. All else goes along as it is: icon images, private elements, pixel data nested in sequences.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from dataclasses import replace
from typing import Final, TypeAlias

from sansdimse import uids
from sansdimse.dataset import PIECE_SIZE, Dataset, DatasetError, Instance, convert
from sansdimse.part10 import encoding_of
from sansdimse.transcode import (
    IMPLICIT_LITTLE,
    ITEM,
    ITEM_DELIMITATION,
    MAX_DEPTH,
    SEQUENCE_DELIMITATION,
    SHORT_LENGTH_VRS,
    UNDEFINED_LENGTH,
    Encoding,
    read_element_header,
    tag_text,
)

WAVEFORM_SEQUENCE: Final = 0x54000100
WAVEFORM_DATA: Final = 0x54001010

_BULK: Final = frozenset(
    {
        0x00287FE0,  # Pixel Data Provider URL
        0x00420011,  # Encapsulated Document
        0x56000020,  # Spectroscopy Data
        0x7FE00008,  # Float Pixel Data
        0x7FE00009,  # Double Float Pixel Data
        0x7FE00010,  # Pixel Data
    }
)
_REPEATING_BULK: Final = frozenset(
    {
        0x5000200C,  # Audio Sample Data
        0x50003000,  # Curve Data
        0x60003000,  # Overlay Data
    }
)
_REPEATING_GROUP: Final = 0xFF01FFFF
"""Clears the xx of 50xx and 60xx and keeps the bit that makes a group odd, which is private (PS3.5 7.6, 7.8)."""

_Write: TypeAlias = Callable[[bytes], object]


def is_bulk_data(tag: int) -> bool:
    """Whether an element of the top level is bulk data by PS3.4 Z.1.3."""
    return tag in _BULK or tag & _REPEATING_GROUP in _REPEATING_BULK


def without_bulk_data(dataset: Dataset) -> Dataset:
    """A copy without its bulk data; the data set given stays as it is."""
    kept = dataset[:]
    for tag in [tag for tag in kept.keys() if is_bulk_data(tag)]:  # noqa: SIM118  a Dataset iterates over elements
        del kept[tag]
    kept = deepcopy(kept)
    if WAVEFORM_SEQUENCE in kept and kept[WAVEFORM_SEQUENCE].VR == "SQ":
        for item in kept[WAVEFORM_SEQUENCE].value:
            if WAVEFORM_DATA in item:
                del item[WAVEFORM_DATA]
    if getattr(dataset, "file_meta", None) is not None:
        kept.file_meta = deepcopy(dataset.file_meta)
    return kept


def instance_without_bulk_data(instance: Instance) -> Instance:
    """The instance without its bulk data, in its transfer syntax, every other element byte for byte the same.

    Reads the instance to its end, now, and holds what it keeps, and waveforms one sequence at a time; a deflated
    instance it holds whole. Group lengths are left out: retired (PS3.5 7.2), and wrong afterwards. Raises DatasetError
    for a malformed data set, and what the instance's pieces raise.
    """
    syntax = instance.transfer_syntax_uid
    if uids.is_deflated(syntax):
        inflated = convert(instance, uids.EXPLICIT_VR_LITTLE_ENDIAN)
        return convert(instance_without_bulk_data(inflated), syntax)
    out: list[bytes] = []
    _Walk(_Source(instance.pieces()), encoding_of(syntax)).top_level(out.append)
    view = memoryview(b"".join(out))

    def pieces() -> Iterator[memoryview]:
        return (view[at : at + PIECE_SIZE] for at in range(0, len(view), PIECE_SIZE))

    return replace(instance, length=len(view), pieces=pieces)


class _Source:
    """Pieces of an encoded data set, read forward only."""

    def __init__(self, pieces: Iterable[bytes | memoryview]) -> None:
        self._pieces = iter(pieces)
        self._piece = memoryview(b"")
        self._offset = 0

    def at_end(self) -> bool:
        while not self._piece:
            piece = next(self._pieces, None)
            if piece is None:
                return True
            self._piece = memoryview(piece)
        return False

    def copy(self, count: int, write: _Write) -> None:
        """The next ``count`` octets."""
        while count:
            if self.at_end():
                raise DatasetError(f"the data set ends at offset {self._offset}; {count} bytes more were announced")
            part = self._piece[:count]
            self._piece = self._piece[len(part) :]
            self._offset += len(part)
            count -= len(part)
            write(bytes(part))

    def take(self, count: int) -> bytes:
        parts: list[bytes] = []
        self.copy(count, parts.append)
        return b"".join(parts)

    def header(self, encoding: Encoding) -> tuple[bytes, int, str, int]:
        """The next element's header: (its octets, tag, VR, length), the latter three as ``read_element_header``."""
        octets = self.take(8)
        of_an_item = octets[:2] == struct.pack(encoding.order + "H", 0xFFFE)
        if not (encoding.implicit or of_an_item or octets[4:6].decode("latin-1") in SHORT_LENGTH_VRS):
            octets += self.take(4)
        tag, vr, length, _ = read_element_header(octets, 0, encoding)
        return octets, tag, vr, length


class _Walk:
    """One pass over ``source``, whose elements are laid out by ``encoding``; what is kept goes to ``write``."""

    def __init__(self, source: _Source, encoding: Encoding) -> None:
        self.source = source
        self.encoding = encoding

    def top_level(self, write: _Write) -> None:
        while not self.source.at_end():
            octets, tag, vr, length = self.source.header(self.encoding)
            if tag >> 16 == 0xFFFE:
                raise DatasetError(f"{tag_text(tag)} stands outside of a sequence")
            if tag == WAVEFORM_SEQUENCE and vr in ("", "SQ", "UN"):
                self._waveforms(octets, vr, length, write)
                continue
            kept = not is_bulk_data(tag) and tag & 0xFFFF != 0
            self._value(octets, vr, length, write if kept else _nowhere, 1)

    def _value(self, octets: bytes, vr: str, length: int, write: _Write, depth: int) -> None:
        """An element whose header is read: it, and its value, whatever that is."""
        write(octets)
        if length != UNDEFINED_LENGTH:
            self.source.copy(length, write)
        else:
            self._within(vr)._items(write, depth)

    def _within(self, vr: str) -> _Walk:
        # The inside of UN is implicit VR little endian whatever is around it (PS3.5 6.2.2).
        return _Walk(self.source, IMPLICIT_LITTLE) if vr == "UN" else self

    def _items(self, write: _Write, depth: int) -> None:
        """Items, or fragments of encapsulated pixel data, and the delimiter that ends them."""
        if depth > MAX_DEPTH:
            raise DatasetError(f"sequences are nested more than {MAX_DEPTH} deep")
        while True:
            octets, tag, _, length = self.source.header(self.encoding)
            write(octets)
            if tag == SEQUENCE_DELIMITATION:
                return
            if tag != ITEM:
                raise DatasetError(f"{tag_text(tag)} stands where an item belongs")
            if length != UNDEFINED_LENGTH:
                self.source.copy(length, write)
            else:
                self._delimited_item(write, depth)

    def _delimited_item(self, write: _Write, depth: int, dropped: int | None = None) -> None:
        while True:
            octets, tag, vr, length = self.source.header(self.encoding)
            if tag == ITEM_DELIMITATION:
                write(octets)
                return
            if tag >> 16 == 0xFFFE:
                raise DatasetError(f"{tag_text(tag)} stands where an element belongs")
            self._value(octets, vr, length, _nowhere if _leaves(tag, dropped) else write, depth + 1)

    def _waveforms(self, octets: bytes, vr: str, length: int, write: _Write) -> None:
        """Waveform Sequence without the samples in its items; defined lengths are those of what is left."""
        if length == UNDEFINED_LENGTH:
            write(octets)
            self._within(vr)._waveform_items(write, delimited=True)
            return
        left: list[bytes] = []
        whole = _Walk(_Source([self.source.take(length)]), self._within(vr).encoding)
        whole._waveform_items(left.append, delimited=False)
        write(self._with_length(octets, left, self.encoding))
        for part in left:
            write(part)

    def _waveform_items(self, write: _Write, *, delimited: bool) -> None:
        while delimited or not self.source.at_end():
            octets, tag, _, length = self.source.header(self.encoding)
            if tag == SEQUENCE_DELIMITATION and delimited:
                write(octets)
                return
            if tag != ITEM:
                raise DatasetError(f"{tag_text(tag)} stands where an item of Waveform Sequence belongs")
            if length == UNDEFINED_LENGTH:
                write(octets)
                self._delimited_item(write, 1, WAVEFORM_DATA)
                continue
            left: list[bytes] = []
            inside = _Walk(_Source([self.source.take(length)]), self.encoding)
            while not inside.source.at_end():
                header, inner_tag, vr, inner_length = inside.source.header(self.encoding)
                inside._value(
                    header, vr, inner_length, _nowhere if _leaves(inner_tag, WAVEFORM_DATA) else left.append, 2
                )
            write(self._with_length(octets, left, self.encoding))
            for part in left:
                write(part)

    @staticmethod
    def _with_length(octets: bytes, left: list[bytes], encoding: Encoding) -> bytes:
        # The last four octets of these headers are the length in every encoding (PS3.5 7.1.2, 7.1.3, 7.5).
        return octets[:-4] + struct.pack(encoding.order + "I", sum(map(len, left)))


def _leaves(tag: int, dropped: int | None) -> bool:
    return dropped is not None and (tag == dropped or tag & 0xFFFF == 0)


def _nowhere(_: bytes) -> None:
    """What bulk data is written to."""
