"""Bytes in, PDUs out: in every chunking, judged at six bytes, without copies."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdu_strategies import pdus
from sansdimse.deviations import Code, Deviation
from sansdimse.errors import RemoteProtocolError
from sansdimse.events import NEED_DATA
from sansdimse.limits import KIB, MIB, Limits
from sansdimse.ul.items import UserInformation
from sansdimse.ul.pdu import (
    PDV,
    AAbort,
    AAssociateAC,
    AAssociateRJ,
    AAssociateRQ,
    AReleaseRP,
    AReleaseRQ,
    PDataTF,
    Pdu,
)
from sansdimse.ul.reader import PDVPiece, Reader

TITLE = b"A               "
LIMITS = Limits(associate_pdu=256, fixed_pdu=16, data_pdu=1000)
SHORT: list[Pdu] = [
    AAssociateRQ(TITLE, TITLE, (UserInformation(()),)),
    AAssociateAC(TITLE, TITLE, (UserInformation(()),)),
    AAssociateRJ(1, 1, 7),
    AReleaseRQ(),
    AReleaseRQ(body=b""),
    AReleaseRP(),
    AReleaseRP(body=bytes(16)),
    AAbort(2, 6),
    AAbort(missing=4),
]
DATA: list[Pdu] = [
    PDataTF((PDV(1, 3, b"whole"),)),
    PDataTF((PDV(1, 3, b"command!"), PDV(3, 0, b"data"))),
    PDataTF((PDV(255, 2, b""),)),
    PDataTF((PDV(1, 1, b""), PDV(1, 3, b"x"), PDV(1, 2, b""))),
]


def reader(maximum_length: int = 100, limits: Limits = LIMITS, *, strict: bool = False) -> Reader:
    return Reader(limits, maximum_length=maximum_length, strict_maximum=strict)


def header(pdu_type: int, length: int) -> bytes:
    return bytes((pdu_type, 0)) + length.to_bytes(4, "big")


def drain(source: Reader) -> list[Pdu | PDVPiece]:
    """All that there is to take now."""
    found: list[Pdu | PDVPiece] = []
    while (item := source.next()) is not NEED_DATA:
        found.append(item)
    return found


def joined(items: list[Pdu | PDVPiece]) -> list[Pdu | PDVPiece]:
    """The pieces of each PDV put together."""
    whole: list[Pdu | PDVPiece] = []
    for item in items:
        last = whole[-1] if whole else None
        if isinstance(item, PDVPiece) and isinstance(last, PDVPiece) and not last.ends:
            assert not item.starts
            assert (item.context_id, item.control, item.length) == (last.context_id, last.control, last.length)
            assert item.first_in_pdu is last.first_in_pdu
            whole[-1] = replace(last, data=bytes(last.data) + bytes(item.data), ends=item.ends)
        else:
            whole.append(replace(item, data=bytes(item.data)) if isinstance(item, PDVPiece) else item)
    return whole


def expected(pdu: Pdu) -> list[Pdu | PDVPiece]:
    """What a reader makes of a PDU fed at once."""
    if not isinstance(pdu, PDataTF):
        return [pdu]
    return [
        PDVPiece(pdv.context_id, pdv.control, pdv.data, len(pdv.data), starts=True, ends=True, first_in_pdu=index == 0)
        for index, pdv in enumerate(pdu.pdvs)
    ]


def refused(source: Reader, data: bytes) -> RemoteProtocolError:
    source.feed(data)
    with pytest.raises(RemoteProtocolError) as caught:
        drain(source)
    return caught.value


# ------------------------------------------------------------ framing


@pytest.mark.parametrize("pdu", SHORT + DATA, ids=lambda pdu: type(pdu).__name__)
def test_a_pdu_fed_whole(pdu: Pdu) -> None:
    source = reader()
    source.feed(pdu.encode())
    assert drain(source) == expected(pdu)
    assert (source.bytes_buffered, source.mid_pdu, source.pdus_ended) == (0, False, 1)


@pytest.mark.parametrize("pdu", SHORT, ids=lambda pdu: type(pdu).__name__)
def test_a_short_pdu_fed_byte_by_byte_needs_data_until_its_last(pdu: Pdu) -> None:
    source, encoded = reader(), pdu.encode()
    for index in range(len(encoded) - 1):
        source.feed(encoded[index : index + 1])
        assert source.next() is NEED_DATA
        assert source.mid_pdu
        assert not source.mid_payload
        assert source.bytes_buffered == (index + 1 if index < 5 else index - 5)
    source.feed(encoded[-1:])
    assert source.next() == pdu
    assert source.next() is NEED_DATA
    assert not source.mid_pdu


def test_data_fed_byte_by_byte_passes_through_byte_by_byte() -> None:
    source, encoded = reader(), PDataTF((PDV(5, 2, b"abc"),)).encode()
    for byte in encoded[:11]:
        source.feed(bytes((byte,)))
        assert source.next() is NEED_DATA
    source.feed(encoded[11:12])  # the PDV header is complete: Evt10 is now, whenever the payload comes
    empty = PDVPiece(5, 2, b"", 3, starts=True, ends=False, first_in_pdu=True)
    assert source.next() == empty
    for byte in encoded[12:]:
        assert source.next() is NEED_DATA
        assert source.mid_payload
        source.feed(bytes((byte,)))
        piece = source.next()
        assert piece == replace(empty, data=bytes((byte,)), starts=False, ends=byte == encoded[-1])
    assert source.next() is NEED_DATA
    assert not source.mid_pdu


@pytest.mark.parametrize("pdu", SHORT + DATA, ids=lambda pdu: type(pdu).__name__)
@pytest.mark.parametrize("trailing", [AReleaseRQ().encode(), DATA[0].encode(), b"\7\0\0"])
def test_bytes_behind_a_pdu_survive(pdu: Pdu, trailing: bytes) -> None:
    source = reader()
    source.feed(pdu.encode() + trailing)
    found = [source.next() for _ in expected(pdu)]
    assert found == expected(pdu)
    assert source.bytes_buffered == len(trailing)
    behind = reader()
    behind.feed(trailing)
    assert drain(source) == drain(behind)
    assert source.bytes_buffered == behind.bytes_buffered


@settings(max_examples=200)
@given(st.lists(pdus, max_size=4), st.data())
def test_the_same_bytes_cut_anyhow_mean_the_same(sent: list[Pdu], data: st.DataObject) -> None:
    wire = b"".join(pdu.encode() for pdu in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=12)))
    source, found = reader(0, Limits()), list[Pdu | PDVPiece]()
    for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True):
        source.feed(wire[start:end])
        if data.draw(st.booleans()):
            found += drain(source)
    found += drain(source)
    assert joined(found) == [item for pdu in sent for item in expected(pdu)]
    assert (source.bytes_buffered, source.mid_pdu, source.pdus_ended) == (0, False, len(sent))


@settings(max_examples=300)
@given(st.binary(max_size=60) | pdus.map(lambda pdu: pdu.encode()[:-1]), st.data())
def test_any_bytes_are_taken_or_refused_alike_in_every_chunking(wire: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=6)))
    whole = outcome([wire])
    assert outcome([wire[start:end] for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True)]) == whole


def outcome(chunks: list[bytes]) -> tuple[list[Pdu | PDVPiece], RemoteProtocolError | None, list[Deviation]]:
    source, found = reader(20, Limits(fixed_pdu=16)), list[Pdu | PDVPiece]()
    for chunk in chunks:
        source.feed(chunk)
        try:
            while (item := source.next()) is not NEED_DATA:
                found.append(item)
        except RemoteProtocolError as error:
            return joined(found), error, source.deviations
    return joined(found), None, source.deviations


# ------------------------------------------------------------ headers


@pytest.mark.parametrize("pdu_type", [0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07])
def test_four_gib_are_refused_as_soon_as_six_bytes_are_there(pdu_type: int) -> None:
    source = reader()
    source.feed(header(pdu_type, 0xFFFFFFFF)[:5])
    assert source.next() is NEED_DATA
    error = refused(source, b"\xff")
    assert error.code is (Code.PDU_ABOVE_MAXIMUM if pdu_type == 4 else Code.PDU_TOO_LONG)
    assert error.abort_reason == 6


@pytest.mark.parametrize(
    ("pdu_type", "limit"), [(0x01, 256), (0x02, 256), (0x03, 16), (0x05, 16), (0x06, 16), (0x07, 16)]
)
def test_each_type_has_its_limit(pdu_type: int, limit: int) -> None:
    source = reader()
    source.feed(header(pdu_type, limit))
    assert source.next() is NEED_DATA
    assert refused(reader(), header(pdu_type, limit + 1)).code is Code.PDU_TOO_LONG


@pytest.mark.parametrize("first", [b"\0", b"\x08", b"GET / HTTP/1.1", b"\x16\x03\x01\x02\x00\x01", b"\xff"])
def test_other_protocols_are_told_by_their_first_six_bytes(first: bytes) -> None:
    error = refused(reader(), first.ljust(6, b"\0"))
    assert (error.code, error.abort_reason) == (Code.PDU_UNRECOGNIZED, 1)
    assert first[:6].hex(" ") in str(error)


@pytest.mark.parametrize("length", range(6))
def test_data_without_room_for_a_pdv_are_refused_by_the_header(length: int) -> None:
    assert refused(reader(), header(4, length)).code is Code.PDV_MALFORMED


@pytest.mark.parametrize(
    ("maximum", "data_pdu", "taken", "refused_above"),
    [
        (100, 1000, 400, 400),  # four times what we announced
        (300, 1000, 1000, 1000),  # but not above the limit
        (2000, 1000, 2000, 2000),  # unless we announced that ourselves
        (8, 1000, 32, 32),
    ],
)
def test_data_above_the_announced_maximum_are_tolerated_so_far(
    maximum: int, data_pdu: int, taken: int, refused_above: int
) -> None:
    limits = Limits(data_pdu=data_pdu)
    source = reader(maximum, limits)
    source.feed(header(4, taken))
    assert source.next() is NEED_DATA
    above = [Deviation(Code.PDU_ABOVE_MAXIMUM, f"{taken} bytes, {maximum} announced")] if taken > maximum else []
    assert source.deviations == above
    assert refused(reader(maximum, limits), header(4, refused_above + 1)).code is Code.PDU_ABOVE_MAXIMUM


def test_the_strict_refuse_at_once_what_is_above_the_maximum() -> None:
    source = reader(100, strict=True)
    source.feed(header(4, 100))
    assert source.next() is NEED_DATA
    assert source.deviations == []
    assert refused(reader(100, strict=True), header(4, 101)).code is Code.PDU_ABOVE_MAXIMUM


@pytest.mark.parametrize("strict", [False, True])
def test_no_maximum_takes_any_length_of_data(*, strict: bool) -> None:
    source = reader(0, strict=strict)
    fragment = 0xFFFFFFFF - 6
    source.feed(header(4, 0xFFFFFFFF) + (fragment + 2).to_bytes(4, "big") + b"\1\2" + b"pay")
    assert drain(source) == [PDVPiece(1, 2, b"pay", fragment, starts=True, ends=False, first_in_pdu=True)]
    assert source.deviations == []


# ------------------------------------------------------------ PDV lengths that lie


@pytest.mark.parametrize(
    ("pdu_length", "pdv_length"),
    [(6, 0), (6, 1), (6, 3), (10, 7), (10, 0xFFFFFFFF), (100, 97)],
)
def test_a_pdv_longer_than_its_pdu_or_shorter_than_its_header_is_refused(pdu_length: int, pdv_length: int) -> None:
    source = reader()
    source.feed(header(4, pdu_length) + pdv_length.to_bytes(4, "big") + b"\1")
    assert source.next() is NEED_DATA
    error = refused(source, b"\3")
    assert error.code is Code.PDV_MALFORMED
    assert f"value of {pdv_length} bytes with {pdu_length - 4} left" in str(error)


@pytest.mark.parametrize("left", range(1, 6))
def test_bytes_too_few_for_another_pdv_are_refused_before_they_come(left: int) -> None:
    source = reader()
    source.feed(header(4, 8 + left) + b"\0\0\0\4\1\3ab")
    assert source.next() == PDVPiece(1, 3, b"ab", 2, starts=True, ends=True, first_in_pdu=True)
    with pytest.raises(RemoteProtocolError, match=f"{left} bytes follow") as caught:
        source.next()
    assert caught.value.code is Code.PDV_MALFORMED


def test_a_lie_in_the_second_pdv_is_told_after_the_first() -> None:
    source = reader()
    source.feed(header(4, 16) + b"\0\0\0\4\1\3ab" + b"\0\0\0\5\1\0cd")
    assert isinstance(source.next(), PDVPiece)
    with pytest.raises(RemoteProtocolError, match="5 bytes with 4 left"):
        source.next()


# ------------------------------------------------------------ memory


def test_pieces_are_views_of_what_was_fed() -> None:
    chunk = PDataTF((PDV(1, 2, bytes(1000)), PDV(1, 2, b"more"))).encode()
    source = reader(0)
    source.feed(chunk)
    for piece in drain(source):
        assert isinstance(piece, PDVPiece)
        assert isinstance(piece.data, memoryview)
        assert piece.data.obj is chunk


def test_a_piece_of_a_chunk_in_the_middle_of_a_pdv_is_the_whole_chunk() -> None:
    source = reader(0)
    source.feed(header(4, 2 * MIB) + (2 * MIB - 4).to_bytes(4, "big") + b"\1\2")
    assert len(drain(source)) == 1
    chunk = bytes(256 * KIB)
    source.feed(chunk)
    (piece,) = drain(source)
    assert isinstance(piece, PDVPiece)
    assert isinstance(piece.data, memoryview)
    assert piece.data.obj is chunk
    assert len(piece.data) == len(chunk)


@pytest.mark.parametrize("pdu", [DATA[1], SHORT[0]], ids=lambda pdu: type(pdu).__name__)
@pytest.mark.parametrize("behind", [0, 3], ids=["whole", "and the beginning of another"])
def test_nothing_is_retained_when_it_is_used_up(pdu: Pdu, behind: int) -> None:
    chunk = pdu.encode() + AReleaseRQ().encode()[:behind]
    before = sys.getrefcount(chunk)
    source = reader()
    source.feed(chunk)
    assert sys.getrefcount(chunk) > before
    drain(source)
    assert sys.getrefcount(chunk) == before
    assert source.bytes_buffered == behind


def test_discarding_forgets_what_is_there_and_whatever_comes() -> None:
    chunk, partial = DATA[1].encode(), DATA[0].encode()[:9]
    before = sys.getrefcount(chunk)
    source = reader()
    source.feed(partial)
    source.next()
    source.feed(chunk)
    source.feed(chunk)
    source.next()
    source.discard()
    assert sys.getrefcount(chunk) == before
    source.feed(chunk)
    assert source.next() is NEED_DATA
    assert (source.bytes_buffered, source.mid_pdu) == (0, False)


def test_feeding_nothing_changes_nothing() -> None:
    source = reader()
    source.feed(b"")
    assert source.next() is NEED_DATA
    assert (source.bytes_buffered, source.mid_pdu) == (0, False)


@settings(max_examples=100)
@given(
    st.lists(st.binary(min_size=1, max_size=400), max_size=12), st.sampled_from([b"", header(1, 256), header(4, 99)])
)
def test_what_is_held_between_chunks_is_never_more_than_a_short_pdu(chunks: list[bytes], first: bytes) -> None:
    source = reader()
    for chunk in [first, *chunks]:
        source.feed(chunk)
        try:
            drain(source)
        except RemoteProtocolError:
            source.discard()
        assert source.bytes_buffered <= LIMITS.associate_pdu
