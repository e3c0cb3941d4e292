"""PDUs in a captured stream: what is complete is reported, nothing is invented, and what is missing is told."""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sansdimse.replay import framing
from sansdimse.replay.capture import Bytes, Captured, Gap, Side
from sansdimse.replay.framing import Framed, Framer, Lost, PdvHead, Piece
from sansdimse.ul.reader import PDVPiece
from sansdimse_files.captures import read_capture

CAPTURES = Path(__file__).resolve().parents[3] / "shared" / "captures"
FILES = sorted(CAPTURES.glob("*.pcap")) + sorted(CAPTURES.glob("impaired/*.pcap*"))
DIRECTIONS = {"C>S": Side.REQUESTOR, "S>C": Side.ACCEPTOR}
REQUESTOR = Side.REQUESTOR


def pdu(kind: int, body: bytes) -> bytes:
    return bytes((kind, 0)) + len(body).to_bytes(4, "big") + body


def pdv(data: bytes, context: int = 1, control: int = 2) -> bytes:
    return (len(data) + 2).to_bytes(4, "big") + bytes((context, control)) + data


RELEASE = pdu(5, bytes(4))
DATA = pdu(4, pdv(b"\xff" * 20))


def framed(*items: bytes | int | None, midway: bool = False) -> list[Piece]:
    """What a stream of bytes and gaps means."""
    framer = Framer(REQUESTOR, midway=midway)
    out: list[Piece] = []
    for time, item in enumerate(items):
        at = float(time)
        out += framer.take(Bytes(at, REQUESTOR, item) if isinstance(item, bytes) else Gap(at, REQUESTOR, item))
    return out + framer.finish(float(len(items)))


def pdus_of(pieces: list[Piece]) -> list[tuple[int, int, int]]:
    """Type, offset, missing."""
    return [(each.kind, each.offset, each.missing) for each in pieces if isinstance(each, Framed)]


def losses(pieces: list[Piece]) -> list[tuple[int, int | None, bool]]:
    return [(each.offset, each.length, each.framing) for each in pieces if isinstance(each, Lost)]


def test_there_are_captures() -> None:
    if not CAPTURES.exists() and not os.environ.get("CI"):
        pytest.skip("the captures are not here")
    assert len(FILES) == 41


def pieces_of(captured: Captured, side: Side) -> list[Piece]:
    framer = Framer(side, midway=captured.connection.begins_midway)
    mine = [item for item in captured.items if item.side is side and isinstance(item, Bytes | Gap)]
    return [piece for item in mine for piece in framer.take(item)] + framer.finish(0.0)


def first_offset(association: dict[str, Any], direction: str) -> int:
    """Where a stream begins whose beginning is not there."""
    present = association.get("present", {}).get(direction)
    return int(present[0][0]) if present and association["gaps"][direction][:1] != [] and present[0][0] else 0


def head_of(pdv: Any) -> PdvHead:
    """The oracles count context ID and control header in the length."""
    context, control, length = pdv if isinstance(pdv, list) else (pdv["ctx"], pdv["flags"], pdv["length"])
    return PdvHead(context, control, length - 2)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_captures_are_framed_as_their_oracles_say(path: Path) -> None:
    oracle = json.loads((path.parent / (path.name.split(".")[0] + ".oracle.json")).read_text())
    found = {str(each.connection.requestor): each for each in read_capture(path)}
    assert len(found) == len(oracle["associations"])
    for association in oracle["associations"]:
        captured = found[association["client"]]
        for direction, side in DIRECTIONS.items():
            pieces = pieces_of(captured, side)
            begin = first_offset(association, direction) if captured.connection.begins_midway else 0
            mine = [each for each in association["pdus"] if each["dir"] == direction]
            told = {each.offset + begin: each for each in pieces if isinstance(each, Framed)}
            for each in mine:
                complete = each.get("status", "complete") == "complete"
                one = told.get(each["offset"])
                if complete and each.get("framing", "ok") == "ok":
                    assert one is not None
                if one is not None:
                    assert (one.kind, one.length) == (each["type"], each["length"])
                    assert (one.missing == 0) is complete
                    if complete and each["type"] == 4 and "pdvs" in each:
                        heads = [head_of(pdv) for pdv in each["pdvs"]]
                        assert list(one.pdvs) == heads
            # None invented; one that the stream ends in is no PDU to the oracles of clean captures.
            cut_off = {
                offset for offset, one in told.items() if one.cut_off and association.get("undecoded_tail_bytes")
            }
            assert told.keys() - cut_off <= {each["offset"] for each in mine}


def test_in_the_middle_of_a_capture_pdus_are_found_again() -> None:
    path = CAPTURES / "impaired" / "cap_begins_mid_pdu.pcap"
    if not path.exists():
        pytest.skip("the captures are not here")
    (captured,) = read_capture(path)
    kinds = {side: [kind for kind, _, _ in pdus_of(pieces_of(captured, side))] for side in Side}
    assert kinds == {Side.REQUESTOR: [4] * 7 + [5], Side.ACCEPTOR: [4, 6]}


# No byte of a payload looks like a type: what stands in it is no boundary, by chance or otherwise.
PAYLOADS = st.binary(max_size=30).map(lambda data: bytes(0x80 | byte for byte in data))
DATA_PDUS = st.lists(st.tuples(PAYLOADS, st.sampled_from([1, 3, 255]), st.integers(0, 3)), min_size=1, max_size=3).map(
    lambda pdvs: (4, b"".join(pdv(*each) for each in pdvs), tuple(PdvHead(c, k, len(d)) for d, c, k in pdvs))
)
SHORT_PDUS = st.tuples(st.sampled_from([1, 2, 3, 5, 6, 7]), PAYLOADS, st.just(()))


@given(st.lists(DATA_PDUS | SHORT_PDUS, min_size=1, max_size=6), st.data())
@settings(max_examples=200)
def test_any_cuts_and_gaps(written: list[tuple[int, bytes, tuple[PdvHead, ...]]], data: st.DataObject) -> None:
    stream = b"".join(pdu(kind, body) for kind, body, _ in written)
    cuts = sorted({0, len(stream), *data.draw(st.lists(st.integers(0, len(stream)), max_size=12))})
    lost: set[int] = set()
    items: list[bytes | int | None] = []
    for number, (first, last) in enumerate(itertools.pairwise(cuts)):
        if number % 2 and data.draw(st.booleans()):
            lost |= set(range(first, last))
            items.append(last - first)
        else:
            items.append(stream[first:last])
    pieces = framed(*items)
    told = {each.offset: each for each in pieces if isinstance(each, Framed)}
    assert [each.number for each in told.values()] == list(range(len(told)))
    at, is_framed, true = 0, True, {}
    for kind, body, heads in written:
        size = 6 + len(body)
        true[at] = kind
        is_framed = is_framed and not lost & set(range(at, at + 6))
        missing = len(lost & set(range(at, at + size)))
        one = told.get(at)
        if is_framed:
            assert one is not None
        if one is not None:
            assert (one.kind, one.length, one.missing) == (kind, len(body), missing)
            if not missing:
                assert (one.body, one.pdvs) == ((None, heads) if kind == 4 else (body, ()))
        at += size
    assert {offset: each.kind for offset, each in told.items()}.items() <= true.items()
    assert sum(each.length or 0 for each in pieces if isinstance(each, Lost)) >= len(lost)
    if not lost:
        heard = [(each.context_id, each.data) for each in pieces if isinstance(each, PDVPiece)]
        assert b"".join(bytes(piece) for _, piece in heard) == b"".join(
            body[at : at + head.length]
            for _, body, heads in written
            for at, head in zip(starts(heads), heads, strict=True)
        )
        assert not any(isinstance(each, Lost) for each in pieces)


def starts(heads: tuple[PdvHead, ...]) -> list[int]:
    out, at = [], 6
    for head in heads:
        out.append(at)
        at += 6 + head.length
    return out


def test_pieces_say_where_a_pdv_begins_and_ends() -> None:
    two = pdu(4, pdv(b"abcd", 1, 3) + pdv(b"", 3, 2))
    pieces = [each for each in framed(two[:14], two[14:]) if isinstance(each, PDVPiece)]
    assert pieces == [
        PDVPiece(1, 3, b"ab", 4, True, False, True),
        PDVPiece(1, 3, b"cd", 4, False, True, True),
        PDVPiece(3, 2, b"", 0, True, True, False),
    ]


def test_a_gap_in_a_pdv_leaves_the_next_one_readable() -> None:
    two = pdu(4, pdv(b"abcdefgh") + pdv(b"xy", 3))
    pieces = framed(two[:14], 6, two[20:], RELEASE)
    assert [each.data for each in pieces if isinstance(each, PDVPiece)] == [b"ab", b"", b"xy"]
    assert pdus_of(pieces) == [(4, 0, 6), (5, len(two), 0)]
    assert losses(pieces) == [(14, 6, False)]


def test_a_gap_of_unknown_length_loses_the_boundaries() -> None:
    pieces = framed(DATA[:9], None, b"\xee" * 5, DATA, RELEASE)
    assert [kind for kind, _, _ in pdus_of(pieces)] == [4, 4, 5]
    assert losses(pieces) == [(9, None, True), (9, 5, True)]


def test_a_boundary_may_be_proved_by_the_end() -> None:
    assert pdus_of(framed(b"\xee\xee", RELEASE, midway=True)) == [(5, 2, 0)]
    assert pdus_of(framed(b"\xee" + DATA, midway=True)) == [(4, 1, 0)]
    assert losses(framed(b"\xee" + DATA[:-1], midway=True)) == [(0, len(DATA), True)]


def test_a_stream_that_ends_early_says_so() -> None:
    assert pdus_of(framed(RELEASE[:8])) == [(5, 0, 2)]
    assert losses(framed(RELEASE[:4])) == [(0, 4, False)]
    (one,) = (each for each in framed(DATA[:20]) if isinstance(each, Framed))
    assert (one.missing, one.cut_off) == (len(DATA) - 20, True)


def test_what_is_no_pdu_loses_the_boundaries() -> None:
    for junk in (b"\x09\0\0\0\0\x04", b"\x01\0\x7f\0\0\0"):
        pieces = framed(junk + DATA + RELEASE)
        assert [kind for kind, _, _ in pdus_of(pieces)] == [4, 5]
        assert losses(pieces) == [(0, None, True), (0, 6, True)]


def test_a_pdv_that_does_not_fit_is_skipped_with_its_pdu() -> None:
    for body in (b"\0\0\0\x09\1\1ab", b"\0\0\0\x01\1\1", b"abc"):
        pieces = framed(pdu(4, body) + RELEASE)
        assert [kind for kind, _, _ in pdus_of(pieces)] == [4, 5]
        assert losses(pieces) == [(6, len(body), False)]
    assert pdus_of(framed(pdu(4, b"") + RELEASE)) == [(4, 0, 0), (5, 6, 0)]


def test_bounds_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(framing, "MOST_PDVS", 2)
    (one,) = (each for each in framed(pdu(4, pdv(b"a") * 5)) if isinstance(each, Framed))
    assert len(one.pdvs) == 2
    monkeypatch.setattr(framing, "MOST_SEARCHED", 64)
    far = pdu(4, pdv(b"\xff" * 300))
    framer = Framer(REQUESTOR, midway=True)
    for _ in range(50):
        framer.take(Bytes(0.0, REQUESTOR, far[:40]))
        assert len(framer._buffer) < 200
    assert [kind for kind, _, _ in pdus_of(framed(b"\xee" * 200 + far[:100], DATA + RELEASE, midway=True))] == [4, 5]


@given(st.lists(st.binary(min_size=1, max_size=40) | st.integers(1, 40) | st.none(), max_size=10), st.booleans())
def test_any_stream_is_taken(items: list[bytes | int | None], midway: bool) -> None:
    for piece in framed(*items, midway=midway):
        assert not isinstance(piece, Framed) or piece.missing >= 0
