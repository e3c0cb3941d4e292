"""Encoded data sets from one uncompressed transfer syntax to another, byte by byte (PS3.5 section 7, Annex A).

The choice: values are copied, never interpreted. Decoding a data set to Python values and encoding it
again loses what the values could not hold (text in a character set wrongly declared, numbers written
in an odd way, dates that are none), and pydicom leaves OW, OF, OL, OD and OV values in the byte order
they were read in. A walk over the elements needs only each VR's word size, and a data dictionary for the
VRs that Implicit VR leaves out. Who has the dictionary passes it in, so this module needs no pydicom.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

UNDEFINED_LENGTH: Final = 0xFFFFFFFF
ITEM: Final = 0xFFFEE000
ITEM_DELIMITATION: Final = 0xFFFEE00D
SEQUENCE_DELIMITATION: Final = 0xFFFEE0DD
PIXEL_REPRESENTATION: Final = 0x00280103

MAX_DEPTH: Final = 64
"""Sequences in sequences: more is an attack on the stack, not an image (real ones stay below 10)."""

SHORT_LENGTH_VRS: Final = frozenset("AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
"""VRs whose explicit form has a 16-bit length (PS3.5 Table 7.1-2); all others, later ones too, have 32 bits."""

WORD_SIZES: Final = {
    **dict.fromkeys(("AT", "OW", "SS", "US"), 2),
    **dict.fromkeys(("FL", "OF", "OL", "SL", "UL"), 4),
    **dict.fromkeys(("FD", "OD", "OV", "SV", "UV"), 8),
}
"""Octets whose order changes with the byte order (PS3.5 7.3). OW has 16-bit words whatever Bits Allocated is: 32-bit
pixel cells keep their least significant word first (PS3.5 Annex D). UN is not here: it is little endian in
every transfer syntax (PS3.5 6.2.2)."""

_WORD_TYPES: Final = {2: "H", 4: "I", 8: "Q"}

VRLookup: TypeAlias = Callable[[int, str | None], str | None]
"""(tag, private creator or None) -> VR, several joined by "or" where it depends ("US or SS"), None when unknown."""


class DatasetError(ValueError):
    """A data set that cannot be read, written or converted; ``str(error)`` says why, for people."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """How elements are laid out: with or without VRs, in which byte order (PS3.5 Annex A)."""

    implicit: bool
    big: bool

    @property
    def order(self) -> str:
        """``struct``'s sign for the byte order."""
        return ">" if self.big else "<"


IMPLICIT_LITTLE: Final = Encoding(implicit=True, big=False)
EXPLICIT_LITTLE: Final = Encoding(implicit=False, big=False)
EXPLICIT_BIG: Final = Encoding(implicit=False, big=True)


def read_element_header(data: bytes, at: int, encoding: Encoding) -> tuple[int, str, int, int]:
    """The element at ``at``: (tag, VR, length, where its value begins).

    The VR is "" in Implicit VR and for items and delimiters (PS3.5 7.1.3, 7.5). The length is as written:
    the caller checks it against what is there. Raises DatasetError when the header is cut off or no header.
    """
    order = encoding.order
    if at + 8 > len(data):
        raise DatasetError(f"the data set ends within the header of an element, at offset {at}")
    group, element = struct.unpack_from(order + "HH", data, at)
    tag = group << 16 | element
    if encoding.implicit or group == 0xFFFE:
        return tag, "", struct.unpack_from(order + "I", data, at + 4)[0], at + 8
    vr_bytes = data[at + 4 : at + 6]
    if not (vr_bytes.isalpha() and vr_bytes.isupper()):
        raise DatasetError(f"{tag_text(tag)} at offset {at} has no valid VR: {vr_bytes!r}")
    vr = vr_bytes.decode("ascii")
    if vr in SHORT_LENGTH_VRS:
        return tag, vr, struct.unpack_from(order + "H", data, at + 6)[0], at + 8
    if at + 12 > len(data):
        raise DatasetError(f"the data set ends within the header of {tag_text(tag)}, at offset {at}")
    return tag, vr, struct.unpack_from(order + "I", data, at + 8)[0], at + 12


def tag_text(tag: int) -> str:
    """A tag as the standard prints it: (gggg,eeee)."""
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def transcode(data: bytes, source: Encoding, target: Encoding, vr_of: VRLookup) -> bytes:
    """The same data set in another encoding, with every value the same.

    Group lengths are left out: retired (PS3.5 7.2), and wrong afterwards. Undefined-length UN becomes the
    sequence that it is (PS3.5 6.2.2). An element whose value is too long for the 16-bit length of its
    explicit form becomes UN, as PS3.5 6.2.2 asks. Raises DatasetError for malformed input, for sequences
    nested deeper than MAX_DEPTH, and for encapsulated pixel data.
    """
    walker = _Walker(data, target, vr_of)
    walker.elements(0, len(data), source, _Scope(None, 0), delimited=False)
    return b"".join(walker.out)


@dataclass(slots=True)
class _Scope:
    """What VRs of the elements in one item can depend on."""

    parent: _Scope | None
    depth: int
    signed: bool | None = None

    def pixel_values_are_signed(self) -> bool:
        """Pixel Representation of this item, else of the nearest one around it (PS3.5 A.1)."""
        scope: _Scope | None = self
        while scope is not None:
            if scope.signed is not None:
                return scope.signed
            scope = scope.parent
        return False


class _Walker:
    """One pass over ``data``; ``out`` grows by headers and values."""

    def __init__(self, data: bytes, target: Encoding, vr_of: VRLookup) -> None:
        self.data = data
        self.target = target
        self.vr_of = vr_of
        self.out: list[bytes] = []

    def elements(self, at: int, end: int, source: Encoding, scope: _Scope, *, delimited: bool) -> int:
        """The elements of one (item's) data set; where it ends, behind its delimiter if it has one."""
        creators: dict[int, str] = {}
        while at < end:
            tag, vr, length, value_at = read_element_header(self.data, at, source)
            if tag == ITEM_DELIMITATION and delimited:
                return value_at
            if tag >> 16 == 0xFFFE:
                raise DatasetError(f"{tag_text(tag)} at offset {at} stands outside of a sequence")
            if length != UNDEFINED_LENGTH and value_at + length > end:
                raise DatasetError(f"{tag_text(tag)} at offset {at} claims {length} bytes; {end - value_at} are there")
            if not vr:
                vr = self._implicit_vr(tag, length, creators, scope)
            if vr == "SQ" or (vr == "UN" and length == UNDEFINED_LENGTH):
                inner = IMPLICIT_LITTLE if vr == "UN" else source
                at = self._sequence(tag, length, value_at, end, inner, scope)
                continue
            if length == UNDEFINED_LENGTH:
                raise DatasetError(f"{tag_text(tag)} is encapsulated, which no uncompressed transfer syntax allows")
            at = value_at + length
            value = self.data[value_at:at]
            if tag & 0xFFFF == 0:
                continue
            if tag & 0x1FF00 == 0x10000 and tag & 0xFF >= 0x10:
                creators[tag] = value.decode("latin-1").strip(" \0")
            elif tag == PIXEL_REPRESENTATION:
                scope.signed = any(value)
            self._element(tag, vr, value, source)
        if delimited:
            raise DatasetError("the data set ends within an item of undefined length")
        return at

    def _implicit_vr(self, tag: int, length: int, creators: dict[int, str], scope: _Scope) -> str:
        """The VR the dictionary gives; of several, the one for Implicit VR Little Endian (PS3.5 A.1)."""
        creator = None
        if tag & 0x10000:
            if 0x10 <= tag & 0xFFFF <= 0xFF:
                return "LO"
            creator = creators.get(tag & 0xFFFF0000 | tag >> 8 & 0xFF)
        vr = self.vr_of(tag, creator) or "UN"
        if length == UNDEFINED_LENGTH and vr == "UN":
            return "SQ"
        if len(vr) == 2:
            return vr
        if "OW" in vr:
            return "OW"
        return "SS" if scope.pixel_values_are_signed() else "US"

    def _element(self, tag: int, vr: str, value: bytes, source: Encoding) -> None:
        if vr in SHORT_LENGTH_VRS and not self.target.implicit and len(value) > 0xFFFF:
            vr = "UN"
        self._header(tag, vr, len(value))
        size = WORD_SIZES.get(vr)
        if size is not None and source.big != self.target.big:
            if len(value) % size:
                raise DatasetError(f"{tag_text(tag)} has VR {vr} and {len(value)} bytes, no multiple of {size}")
            words = array(_WORD_TYPES[size], value)
            words.byteswap()
            value = words.tobytes()
        self.out.append(value)

    def _sequence(self, tag: int, length: int, at: int, end: int, source: Encoding, scope: _Scope) -> int:
        if scope.depth == MAX_DEPTH:
            raise DatasetError(f"{tag_text(tag)} is nested in more than {MAX_DEPTH} sequences")
        delimited = length == UNDEFINED_LENGTH
        if not delimited:
            end = at + length
        header = self._reserve()
        start = len(self.out)
        while True:
            if at >= end:
                if delimited:
                    raise DatasetError(f"the data set ends within the sequence {tag_text(tag)}")
                break
            item, _, item_length, value_at = read_element_header(self.data, at, source)
            if item == SEQUENCE_DELIMITATION and delimited:
                at = value_at
                break
            if item != ITEM:
                raise DatasetError(f"{tag_text(item)} at offset {at} stands where {tag_text(tag)} has its items")
            at = self._item(item_length, value_at, end, source, scope)
        if delimited:
            self._header(SEQUENCE_DELIMITATION, "", 0)
        self._fill(header, tag, "SQ", UNDEFINED_LENGTH if delimited else self._size_from(start))
        return at

    def _item(self, length: int, at: int, end: int, source: Encoding, scope: _Scope) -> int:
        delimited = length == UNDEFINED_LENGTH
        if not delimited and at + length > end:
            raise DatasetError(f"an item at offset {at} claims {length} bytes; {end - at} are there")
        header = self._reserve()
        start = len(self.out)
        inner = _Scope(scope, scope.depth + 1)
        at = self.elements(at, end if delimited else at + length, source, inner, delimited=delimited)
        if delimited:
            self._header(ITEM_DELIMITATION, "", 0)
        self._fill(header, ITEM, "", UNDEFINED_LENGTH if delimited else self._size_from(start))
        return at

    def _reserve(self) -> int:
        """A place for a header whose length is not known yet."""
        self.out.append(b"")
        return len(self.out) - 1

    def _size_from(self, start: int) -> int:
        return sum(map(len, self.out[start:]))

    def _fill(self, place: int, tag: int, vr: str, length: int) -> None:
        self._header(tag, vr, length)
        self.out[place] = self.out.pop()

    def _header(self, tag: int, vr: str, length: int) -> None:
        order = self.target.order
        group, element = tag >> 16, tag & 0xFFFF
        if self.target.implicit or not vr:
            header = struct.pack(order + "HHI", group, element, length)
        elif vr in SHORT_LENGTH_VRS:
            header = struct.pack(order + "HH2sH", group, element, vr.encode(), length)
        else:
            header = struct.pack(order + "HH2sHI", group, element, vr.encode(), 0, length)
        self.out.append(header)
