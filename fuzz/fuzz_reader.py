"""The reader: the bytes of a connection, as they are.

However they are cut, they mean the same PDUs, the same fragments, the same deviations and the same fault;
and what is held between two feeds is never more than a header or a short PDU that has begun.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from harness import cuts, run

from sansdimse import NEED_DATA, Limits
from sansdimse.errors import RemoteProtocolError
from sansdimse.ul.reader import PDVPiece, Reader

LIMITS: Final = Limits(associate_pdu=4096)
MODES: Final = ((0, False), (1024, False), (1024, True))


def check(data: bytes) -> None:
    """In every chunking and mode the same outcome; nothing but ``RemoteProtocolError`` leaves the reader."""
    whole, *others = cuts(data)
    for maximum_length, strict in MODES:
        expected = _outcome(whole, maximum_length, strict)
        for chunks in others:
            assert _outcome(chunks, maximum_length, strict) == expected


def _outcome(chunks: list[bytes], maximum_length: int, strict: bool) -> tuple[object, ...]:
    reader = Reader(LIMITS, maximum_length=maximum_length, strict_maximum=strict)
    said: list[object] = []
    fault = None
    taken = 0
    for chunk in chunks:
        reader.feed(chunk)
        try:
            while (item := reader.next()) is not NEED_DATA:
                taken += len(item.data) if isinstance(item, PDVPiece) else 0
                _say(said, item)
        except RemoteProtocolError as error:
            fault = error
            reader.discard()
            assert reader.next() is NEED_DATA
        assert reader.bytes_buffered <= LIMITS.associate_pdu
        assert fault is None or not reader.bytes_buffered
    return said, fault, reader.deviations, reader.pdus_ended, reader.mid_pdu, reader.mid_payload, taken


def _say(said: list[object], item: object) -> None:
    """Remember what was read, the pieces of one fragment joined."""
    if isinstance(item, PDVPiece):
        item = replace(item, data=bytes(item.data))
        last = said[-1] if said else None
        if not item.starts:
            assert isinstance(last, PDVPiece)
            assert not last.ends
            assert (last.context_id, last.control, last.length, last.first_in_pdu) == (
                item.context_id,
                item.control,
                item.length,
                item.first_in_pdu,
            )
            item = replace(item, data=bytes(last.data) + bytes(item.data), starts=True)
            said.pop()
        assert item.ends == (len(item.data) == item.length)
    said.append(item)


if __name__ == "__main__":
    raise SystemExit(run(check))
