"""Bytes in, PDUs out: where a PDU ends, and that it is not too long. Knows no state of the machine.

A PDU is judged when its six header bytes are there. The six short PDUs are gathered whole, under a
limit; a P-DATA-TF never is: the payload of each PDV passes through, as it arrives, in pieces that are
views of what was fed, so that memory does not depend on the length of PDUs. No byte is scanned twice
and only headers cut in two by the network are ever copied.
"""

from __future__ import annotations

from collections import deque
from struct import Struct
from typing import Final

from sansdimse.deviations import Code, Deviation
from sansdimse.errors import RemoteProtocolError
from sansdimse.events import NEED_DATA, NeedData
from sansdimse.limits import Limits
from sansdimse.ul.pdu import AAssociateAC, AAssociateRQ, PDataTF, Pdu, decode_pdu
from sansdimse.values import value

_HEADER: Final = Struct(">BBL")  # PDU-type, reserved, PDU-length (PS3.8 9.3.1)
_PDV_HEADER: Final = Struct(">LBB")  # Item-length, Presentation-context-ID, control header (9.3.5.1, E.2)
_P_DATA_TF: Final = PDataTF.PDU_TYPE
_LONG: Final = frozenset({AAssociateRQ.PDU_TYPE, AAssociateAC.PDU_TYPE})
_TYPES: Final = frozenset(range(1, 8))
_NOTHING: Final = memoryview(b"")


@value
class PDVPiece:
    """A part of a presentation data value (PS3.8 9.3.5.1) as it arrived: P-DATA indication, piece by piece.

    ``data`` is a view of received bytes, perhaps empty; ``length`` counts the whole fragment.
    """

    context_id: int
    control: int
    """The message control header: bit 0 command, bit 1 last fragment (PS3.8 E.2)."""
    data: bytes | memoryview
    length: int
    starts: bool
    """This is the first piece of its PDV."""
    ends: bool
    """This is the last piece of its PDV."""
    first_in_pdu: bool
    """Its PDV is the first of its P-DATA-TF."""


class Reader:
    """An incremental PDU parser: ``feed`` bytes, take what they mean with ``next``."""

    __slots__ = (
        "_chunk",
        "_chunks",
        "_context_id",
        "_control",
        "_discarding",
        "_first",
        "_limits",
        "_partial",
        "_pdu_left",
        "_pdu_type",
        "_pdv_left",
        "_pdv_length",
        "_pdv_started",
        "_pos",
        "_reserved",
        "_view",
        "deviations",
        "maximum_length",
        "pdus_begun",
        "pdus_ended",
        "strict_maximum",
    )

    def __init__(self, limits: Limits, *, maximum_length: int, strict_maximum: bool = False) -> None:
        """``maximum_length`` is what we announced (PS3.8 D.1; 0 means none); above it PDUs are tolerated
        within four times as much, unless ``strict_maximum``."""
        self._limits = limits
        self.maximum_length = maximum_length
        self.strict_maximum = strict_maximum
        self.deviations: list[Deviation] = []
        self.pdus_begun = 0
        """PDUs whose header was taken: unlike their ends, the same however the bytes before a fault were cut."""
        self.pdus_ended = 0
        """PDUs that came to their end, counted."""
        self._chunks: deque[bytes] | None = None  # made when there are any: even an empty one takes 760 bytes
        self._chunk = b""  # the one being read, with ``_view`` on it and ``_pos`` in it
        self._view = _NOTHING
        self._pos = 0
        self._partial = bytearray()  # the beginning of a header or a short PDU that ended with a chunk
        self._pdu_type = 0  # 0: between PDUs
        self._reserved = 0
        self._pdu_left = 0  # bytes of the PDU's body not read yet
        self._pdv_left = -1  # bytes of the fragment not read yet; -1: between PDVs
        self._pdv_length = 0
        self._pdv_started = False
        self._context_id = 0
        self._control = 0
        self._first = False
        self._discarding = False

    def feed(self, data: bytes) -> None:
        """Take bytes; they are never changed and never copied, and pieces keep them alive."""
        if data and not self._discarding:
            self._chunks = self._chunks or deque()
            self._chunks.append(data)

    def discard(self) -> None:
        """Framing is lost, or nobody wants to know: forget what is there and whatever comes."""
        self._discarding = True
        self._chunks = None
        self._chunk = b""
        self._view = _NOTHING
        self._pos = 0
        self._partial.clear()
        self._pdu_type = 0
        self._pdv_left = -1

    @property
    def bytes_buffered(self) -> int:
        """Bytes fed and not yet taken."""
        return len(self._chunk) - self._pos + len(self._partial) + sum(map(len, self._chunks or ()))

    @property
    def mid_pdu(self) -> bool:
        """Whether a PDU has begun and not ended."""
        return self._pdu_type != 0 or bool(self._partial)

    @property
    def mid_payload(self) -> bool:
        """Whether the PDU that has begun is a P-DATA-TF."""
        return self._pdu_type == _P_DATA_TF

    def next(self) -> Pdu | PDVPiece | NeedData:
        """The next PDU or piece of a PDV.

        Raises ``RemoteProtocolError`` for what is no PDU, or one that lies about its lengths; after
        that nothing that follows has a meaning, and the caller shall ``discard``.
        """
        if self._pdu_type == 0:
            header = self._take(6)
            if header is None:
                return NEED_DATA
            pdu_type, self._reserved, length = _HEADER.unpack(header)
            self._judge(pdu_type, length, header)
            self.pdus_begun += 1
            self._pdu_type = pdu_type
            self._pdu_left = length
            self._first = True
        if self._pdu_type == _P_DATA_TF:
            return self._next_piece()
        body = self._take(self._pdu_left)
        if body is None:
            return NEED_DATA
        pdu_type, self._pdu_type = self._pdu_type, 0
        self.pdus_ended += 1
        return decode_pdu(pdu_type, body, self._reserved)

    def _judge(self, pdu_type: int, length: int, header: bytes) -> None:
        """Refuse a PDU by its header (PS3.8 9.3.1), before a byte of it is waited for."""
        limits = self._limits
        if pdu_type == _P_DATA_TF:
            if length < 6:
                raise RemoteProtocolError(
                    f"P-DATA-TF of {length} bytes holds no presentation data value", code=Code.PDV_MALFORMED
                )
            maximum = self.maximum_length
            if maximum and length > maximum:
                if self.strict_maximum or length > min(4 * maximum, max(maximum, limits.data_pdu)):
                    raise RemoteProtocolError(
                        f"P-DATA-TF of {length} bytes, {maximum} were announced as the maximum",
                        code=Code.PDU_ABOVE_MAXIMUM,
                    )
                self.deviations.append(Deviation(Code.PDU_ABOVE_MAXIMUM, f"{length} bytes, {maximum} announced"))
        elif pdu_type not in _TYPES:
            raise RemoteProtocolError(
                f"PDU type {pdu_type:02X} is none of DICOM's; the bytes are {header.hex(' ')}",
                code=Code.PDU_UNRECOGNIZED,
                abort_reason=1,
            )
        elif length > (limit := limits.associate_pdu if pdu_type in _LONG else limits.fixed_pdu):
            raise RemoteProtocolError(
                f"PDU type {pdu_type:02X} of {length} bytes, at most {limit} are taken", code=Code.PDU_TOO_LONG
            )

    def _next_piece(self) -> PDVPiece | NeedData:
        if self._pdv_left < 0:
            # What is too short for another PDV is judged before its bytes come, so in every chunking.
            if self._pdu_left < 6:
                raise RemoteProtocolError(
                    f"{self._pdu_left} bytes follow the last presentation data value of a P-DATA-TF",
                    code=Code.PDV_MALFORMED,
                )
            header = self._take(6)
            if header is None:
                return NEED_DATA
            length, self._context_id, self._control = _PDV_HEADER.unpack(header)
            self._pdu_left -= 6
            if not 2 <= length <= self._pdu_left + 2:
                raise RemoteProtocolError(
                    f"presentation data value of {length} bytes with {self._pdu_left + 2} left in its P-DATA-TF",
                    code=Code.PDV_MALFORMED,
                )
            self._pdv_left = self._pdv_length = length - 2
            self._pdv_started = False
        if self._pos >= len(self._chunk) and not self._next_chunk() and self._pdv_left and self._pdv_started:
            return NEED_DATA
        start = self._pos
        end = min(start + self._pdv_left, len(self._chunk))
        size = end - start
        self._pos = end
        self._pdv_left -= size
        self._pdu_left -= size
        ends = self._pdv_left == 0
        piece = PDVPiece(
            self._context_id,
            self._control,
            self._view[start:end],
            self._pdv_length,
            not self._pdv_started,
            ends,
            self._first,
        )
        self._pdv_started = True
        if ends:
            self._pdv_left = -1
            self._first = False
            if self._pdu_left == 0:
                self._pdu_type = 0
                self.pdus_ended += 1
        return piece

    def _take(self, size: int) -> bytes | None:
        """Exactly ``size`` bytes, or None while there are fewer; what there is stays remembered."""
        end = self._pos + size
        if not self._partial and end <= len(self._chunk):
            taken = self._chunk[self._pos : end]
            self._pos = end
            return taken
        while True:
            missing = size - len(self._partial)
            part = self._view[self._pos : self._pos + missing]
            self._partial += part
            self._pos += len(part)
            if len(part) == missing:
                taken = bytes(self._partial)
                self._partial.clear()
                return taken
            if not self._next_chunk():
                return None

    def _next_chunk(self) -> bool:
        if not self._chunks:
            self._chunks = None
            # Let go of a chunk that is used up: pieces alone shall keep it alive.
            if self._chunk:
                self._chunk = b""
                self._view = _NOTHING
                self._pos = 0
            return False
        self._chunk = self._chunks.popleft()
        self._view = memoryview(self._chunk)
        self._pos = 0
        return True
