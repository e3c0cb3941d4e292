"""Where PDUs begin and end in a captured stream, gaps included (PS3.8 9.3).

A gap inside a PDU whose header was seen leaves the next boundary known. Any other loses the framing: then the next
boundary that can be proved is looked for, which is a header whose body ends where another header stands, or where the
stream ends.
"""

from __future__ import annotations

import re
from typing import Final

from sansdimse.replay.capture import Bytes, Gap, Side
from sansdimse.replay.detect import is_header, is_start
from sansdimse.ul.reader import PDVPiece
from sansdimse.values import value

LONGEST_SHORT: Final = 1 << 20
"""Bytes of the longest body that is kept whole: of any PDU but a P-DATA-TF."""
MOST_SEARCHED: Final = 1 << 20
"""Bytes that are searched for a boundary at once; a longer PDU behind a gap is not proved."""
MOST_PDVS: Final = 4096
"""PDVs that are listed of one PDU."""

_DATA: Final = 4
_CANDIDATE: Final = re.compile(rb"[\x01-\x07]\x00")  # type and reserved byte


@value
class PdvHead:
    """The header of a presentation data value: ``length`` counts its fragment, without context ID and control."""

    context_id: int
    control: int
    length: int


@value
class Framed:
    """A PDU as it stands in the stream of one side; ``number`` counts those of this side.

    ``body`` is there for every PDU that has no byte missing, but a P-DATA-TF. ``began`` is when its header came,
    ``time`` when its last byte did. ``missing`` counts the bytes of it that are not there.
    """

    side: Side
    number: int
    offset: int
    began: float
    time: float
    kind: int
    length: int
    body: bytes | None
    pdvs: tuple[PdvHead, ...]
    missing: int
    cut_off: bool = False
    """Whether its end is missing: the stream ends in the middle of it, or a gap goes beyond it."""


@value
class Lost:
    """Bytes of one side that mean nothing: a gap, or what follows it up to the next boundary that can be proved.

    ``length`` is None where nobody can say how many; ``framing`` whether the boundaries of PDUs were lost too.
    """

    time: float
    side: Side
    offset: int
    length: int | None
    framing: bool
    why: str


Piece = PDVPiece | Framed | Lost


class Framer:
    """One side's stream: ``take`` what was captured of it, get what it means."""

    def __init__(self, side: Side, *, midway: bool = False) -> None:
        self._side = side
        self._buffer = bytearray()
        self._searching = midway
        self._searched_from = 0
        self.offset = 0
        """Bytes of the stream before what is buffered, gaps counted as far as their length is known."""
        self._count = 0
        # The PDU that has begun.
        self._kind = 0  # 0: none
        self._length = 0
        self._start = 0
        self._began = 0.0
        self._left = 0
        self._missing = 0
        self._pdvs: list[PdvHead] = []
        self._pdv_left = -1  # -1: between PDVs
        self._pdv_started = False
        self._skipping = False  # the rest of this P-DATA-TF cannot be read: a PDV's header was lost, or is none

    def take(self, item: Bytes | Gap) -> list[Piece]:
        """What this adds."""
        out: list[Piece] = []
        if isinstance(item, Gap):
            self._gap(item, out)
        else:
            self._buffer += item.data
            self._read(item.time, out)
        return out

    def finish(self, time: float) -> list[Piece]:
        """The stream ends here."""
        out: list[Piece] = []
        while self._searching and self._found(time, out, is_end=True):
            self._read(time, out)
        if self._kind:
            self._skip(len(self._buffer))
            self._end_pdu(time, out, cut_off=True)
        elif self._buffer:
            out.append(Lost(time, self._side, self.offset, len(self._buffer), self._searching, "the stream ends in it"))
            self._drop(len(self._buffer))
        return out

    # ------------------------------------------------------------ gaps

    def _gap(self, gap: Gap, out: list[Piece]) -> None:
        length = gap.length
        if self._kind:
            if self._buffer:  # a header of a PDV, or a short PDU, of which a part is missing
                self._skip(len(self._buffer))
                self._skipping = True
        elif self._buffer:
            why = "what it begins is not captured"
            out.append(Lost(gap.time, self._side, self.offset, len(self._buffer), True, why))
            self._drop(len(self._buffer))
        if self._kind and length is not None and length <= self._left:
            out.append(Lost(gap.time, self._side, self.offset, length, False, "not captured"))
            self._miss(gap.time, length, out)
            return
        out.append(Lost(gap.time, self._side, self.offset, length, True, "not captured"))
        self.offset += length or 0
        if self._kind:
            self._end_pdu(gap.time, out, cut_off=True)
        self._searching, self._searched_from = True, 0

    def _miss(self, time: float, length: int, out: list[Piece]) -> None:
        """Bytes of the PDU that has begun are not there, but where it ends is known."""
        self._missing += length
        self._left -= length
        self.offset += length
        if 0 <= length <= self._pdv_left:
            self._pdv_left -= length
            if not self._pdv_left:
                out.append(self._piece(b"", ends=True))
                self._pdv_left = -1
        else:
            self._pdv_left = -1
            self._skipping = True
        if not self._left:
            self._end_pdu(time, out)

    def _skip(self, size: int) -> None:
        """Bytes of the PDU that has begun are there, but mean nothing."""
        self._left -= size
        self._drop(size)

    # ------------------------------------------------------------ bytes

    def _read(self, time: float, out: list[Piece]) -> None:
        while self._buffer:
            if self._searching:
                if not self._found(time, out):
                    return
            elif not self._kind:
                if not self._begin_pdu(time, out):
                    return
            elif self._kind == _DATA and not self._skipping:
                if not self._read_data(time, out):
                    return
            elif not self._read_rest(time, out):
                return

    def _begin_pdu(self, time: float, out: list[Piece]) -> bool:
        if len(self._buffer) < 6:
            return False
        kind, length = self._buffer[0], int.from_bytes(self._buffer[2:6], "big")
        if not 1 <= kind <= 7 or (kind != _DATA and length > LONGEST_SHORT):
            why = f"PDU type {kind:02X} of {length} bytes is none"
            out.append(Lost(time, self._side, self.offset, None, True, why))
            self._searching, self._searched_from = True, 1
            return True
        self._kind, self._length, self._left = kind, length, length
        self._start, self._began, self._missing = self.offset, time, 0
        self._pdvs, self._pdv_left, self._skipping = [], -1, False
        self._drop(6)
        if not length:
            self._end_pdu(time, out, body=b"" if kind != _DATA else None)
        return True

    def _read_rest(self, time: float, out: list[Piece]) -> bool:
        """A body that is kept whole, or what is left of one that cannot be read."""
        if self._skipping or self._missing:
            size = min(self._left, len(self._buffer))
            self._drop(size)
            self._left -= size
            if self._left:
                return False
            self._end_pdu(time, out)
            return True
        if len(self._buffer) < self._left:
            return False
        body = bytes(self._buffer[: self._left])
        self._drop(self._left)
        self._left = 0
        self._end_pdu(time, out, body=body)
        return True

    def _read_data(self, time: float, out: list[Piece]) -> bool:
        if self._pdv_left < 0:
            if self._left < 6:
                out.append(Lost(time, self._side, self.offset, self._left, False, "no room for a PDV"))
                self._skipping = True
                return True
            if len(self._buffer) < 6:
                return False
            length = int.from_bytes(self._buffer[:4], "big") - 2
            if not 0 <= length <= self._left - 6:
                out.append(Lost(time, self._side, self.offset, self._left, False, "a PDV does not fit its PDU"))
                self._skipping = True
                return True
            head = PdvHead(self._buffer[4], self._buffer[5], length)
            if len(self._pdvs) < MOST_PDVS:
                self._pdvs.append(head)
            self._head, self._pdv_left, self._pdv_started = head, length, True
            self._first = len(self._pdvs) == 1
            self._drop(6)
            self._left -= 6
            if length and not self._buffer:
                return False
        size = min(self._pdv_left, len(self._buffer))
        data = bytes(self._buffer[:size])
        self._drop(size)
        self._left -= size
        self._pdv_left -= size
        ends = not self._pdv_left
        if data or ends:
            out.append(self._piece(data, ends=ends))
        if ends:
            self._pdv_left = -1
        if not self._left:
            self._end_pdu(time, out)
        return True

    def _piece(self, data: bytes, *, ends: bool) -> PDVPiece:
        head = self._head
        starts, self._pdv_started = self._pdv_started, False
        return PDVPiece(head.context_id, head.control, data, head.length, starts, ends, self._first)

    def _end_pdu(self, time: float, out: list[Piece], *, body: bytes | None = None, cut_off: bool = False) -> None:
        missing = self._missing + (self._left if cut_off else 0)
        out.append(
            Framed(
                self._side,
                self._count,
                self._start,
                self._began,
                time,
                self._kind,
                self._length,
                body,
                tuple(self._pdvs),
                missing,
                cut_off,
            )
        )
        self._count += 1
        self._kind = 0

    def _drop(self, size: int) -> None:
        del self._buffer[:size]
        self.offset += size

    # ------------------------------------------------------------ the next boundary that can be proved

    def _found(self, time: float, out: list[Piece], *, is_end: bool = False) -> bool:
        """Whether a boundary was found: what is before it is lost."""
        at = self._searched_from
        while candidate := _CANDIDATE.search(self._buffer, at):
            at = candidate.start()
            proved = self._proved(at)
            if proved is None and not is_end and len(self._buffer) - at <= MOST_SEARCHED:
                break  # more must come
            if proved or (is_end and self._ends_at_end(at)):
                self._give_up(time, at, out, "before the next boundary that can be proved")
                self._searching = False
                return True
            at += 1
        else:
            at = max(at, len(self._buffer) - 1)
        self._searched_from = at
        if at > MOST_SEARCHED:
            self._give_up(time, at, out, "no boundary of a PDU is in it")
        return False

    def _after(self, at: int) -> int:
        return at + 6 + int.from_bytes(self._buffer[at + 2 : at + 6], "big")

    def _proved(self, at: int) -> bool | None:
        """Whether a header stands here, and another where it says; None if that is not there yet."""
        starts = is_start(self._buffer[at : at + 12])
        if not starts:
            return starts
        after = self._after(at)
        return is_start(self._buffer[after : after + 12])

    def _ends_at_end(self, at: int) -> bool:
        return is_header(self._buffer[at : at + 12]) and self._after(at) == len(self._buffer)

    def _give_up(self, time: float, size: int, out: list[Piece], why: str) -> None:
        if size:
            out.append(Lost(time, self._side, self.offset, size, True, why))
        self._drop(size)
        self._searched_from = 0
